-- pgbench's own statements, in batches that are dear enough to be managed. The format is that of bench/retail/templates/dashboards.sql.

-- name: update_accounts
-- serial
-- param: low int 1..@accounts
-- param: delta int 1..5000
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid BETWEEN :low AND :low + 8000 AND aid % 10 = 0;

-- name: select_accounts
-- param: low int 1..@accounts
-- param: rows int 10000..60000
SELECT sum(abalance) FROM pgbench_accounts WHERE aid BETWEEN :low AND :low + :rows;

-- name: insert_history
-- serial
-- param: teller int 1..@tellers
-- param: rows int 5000..20000
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime)
SELECT :teller, 1 + (:teller - 1) / 10, n, n % 5000, timestamp '2024-12-01' + n * interval '1 second' FROM generate_series(1, :rows) AS n;
