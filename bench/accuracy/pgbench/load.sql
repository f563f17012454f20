-- What pgbench -i leaves empty or equal: psql -v scale=40 -f load.sql. Balances of a tenth of the accounts, a skewed history, and the
-- sizes that parameters of templates are drawn from.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE TABLE size (name text PRIMARY KEY, value bigint NOT NULL);
INSERT INTO size VALUES ('accounts', :scale * 100000), ('tellers', :scale * 10), ('branches', :scale);

UPDATE pgbench_accounts SET abalance = (hashint8extended(aid, 1) % 100000)::int WHERE aid % 10 = 0;
UPDATE pgbench_tellers SET tbalance = (hashint8extended(tid, 2) % 1000000)::int;
UPDATE pgbench_branches SET bbalance = (hashint8extended(bid, 3) % 10000000)::int;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime)
SELECT tid, 1 + (tid - 1) / 10, 1 + floor(:scale * 100000 * power(u, 2.5))::int, (h % 5000)::int,
       timestamp '2024-01-01' + n * interval '40 seconds'
FROM (SELECT n, h, u, 1 + floor(:scale * 10 * power(((h >> 16) & 65535) / 65536.0, 1.5))::int AS tid
      FROM (SELECT n, hashint8extended(n, 4) AS h, (hashint8extended(n, 5) & 4294967295)::float8 / 4294967296.0 AS u
            FROM generate_series(1, :scale * 20000) AS n) AS a) AS b;
VACUUM ANALYZE;
CHECKPOINT;
