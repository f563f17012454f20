-- The plan as data: what makes two statements the same template, and what does not.
CREATE SCHEMA plan_test;
SET search_path TO plan_test, public;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
CREATE TABLE a (id int, k int, t text);
INSERT INTO a SELECT g, g % 100, md5(g::text) FROM generate_series(1, 20000) g;
CREATE INDEX ON a (id);
CREATE TABLE b (LIKE a);
INSERT INTO b SELECT * FROM a;
CREATE TABLE p (id int, k int) PARTITION BY RANGE (id);
SELECT format('CREATE TABLE p%s PARTITION OF p FOR VALUES FROM (%s) TO (%s)', i, i * 1000, (i + 1) * 1000)
FROM generate_series(0, 9) i \gexec
INSERT INTO p SELECT g, g % 10 FROM generate_series(0, 9999) g;
ANALYZE a, b, p;

CREATE FUNCTION template(sql text) RETURNS bigint LANGUAGE sql AS
$$ SELECT (regexp_match(line, 'Template: (-?\d+)'))[1]::bigint FROM wlm.explain(sql) AS line WHERE line LIKE '%Template:%' $$;
CREATE FUNCTION same(one text, other text) RETURNS boolean LANGUAGE sql AS
$$ SELECT template(one) = template(other) $$;

-- constants, their number, their types' defaults
SELECT same('SELECT * FROM a WHERE k = 1 ORDER BY t', 'SELECT * FROM a WHERE k = 77 ORDER BY t') AS constant,
       same('SELECT * FROM a WHERE k IN (1, 2)', 'SELECT * FROM a WHERE k IN (3, 4, 5, 6)') AS list,
       same('SELECT count(*) FROM a WHERE t LIKE ''a%''', 'SELECT count(*) FROM a WHERE t LIKE ''%b''') AS pattern,
       same('SELECT * FROM a ORDER BY t LIMIT 10', 'SELECT * FROM a ORDER BY t LIMIT 1000') AS "limit",
       same('SELECT id + 1 FROM a', 'SELECT id + 99 FROM a') AS expression;

-- relations, keys, operators, shape
SELECT same('SELECT * FROM a ORDER BY t', 'SELECT * FROM b ORDER BY t') AS relation,
       same('SELECT * FROM a ORDER BY t', 'SELECT * FROM a ORDER BY k') AS key,
       same('SELECT * FROM a WHERE k = 1', 'SELECT * FROM a WHERE k < 1') AS operator,
       same('SELECT * FROM a WHERE k = 1', 'SELECT * FROM a WHERE id + k = 1') AS qual,
       same('SELECT k, count(*) FROM a GROUP BY k', 'SELECT k, max(t) FROM a GROUP BY k') AS aggregate,
       same('SELECT * FROM a JOIN b USING (id)', 'SELECT * FROM a JOIN b USING (k)') AS join_key,
       same('SELECT * FROM a JOIN b USING (id)', 'SELECT * FROM a LEFT JOIN b USING (id)') AS join_kind;

-- partitions that survive pruning, as long as there are two or more
SELECT same('SELECT sum(k) FROM p WHERE id < 3000', 'SELECT sum(k) FROM p WHERE id < 8000') AS pruning,
       same('SELECT * FROM p ORDER BY k', 'SELECT * FROM a ORDER BY k') AS another_table;

-- a literal and a parameter, as they were executed
SET wlm.mode = observe;
SET plan_cache_mode = force_generic_plan;
PREPARE generic(int) AS SELECT count(*) FROM (SELECT DISTINCT x.t, y.t FROM a x, b y WHERE x.k = y.k AND x.id % 20 < $1 AND y.id % 20 = 7) s;
EXECUTE generic(3);
SELECT count(*) FROM (SELECT DISTINCT x.t, y.t FROM a x, b y WHERE x.k = y.k AND x.id % 20 < 5 AND y.id % 20 = 7) s;
SELECT wlm.flush();
SELECT count(*), count(DISTINCT template) AS templates FROM (SELECT template FROM wlm.history WHERE pid = pg_backend_pid() ORDER BY id DESC LIMIT 2) h;
RESET plan_cache_mode;
RESET wlm.mode;

-- every kind of node can be read
CREATE FUNCTION readable(sql text) RETURNS boolean LANGUAGE sql AS $$ SELECT template(sql) IS NOT NULL $$;
SELECT sql FROM unnest(ARRAY[
	'SELECT 1', 'VALUES (1), (2)', 'SELECT * FROM generate_series(1, 3)', 'SELECT generate_series(1, 3)',
	'SELECT * FROM a TABLESAMPLE system (10)', 'SELECT * FROM a WHERE ctid = ''(0,1)''', 'SELECT * FROM a WHERE ctid > ''(0,1)''',
	'SELECT id FROM a WHERE id < 9 ORDER BY id', 'SELECT * FROM a WHERE id = 3 OR id = 5 OR id BETWEEN 7 AND 900',
	'SELECT * FROM a x, a y WHERE x.id = y.id AND x.k = 3 ORDER BY x.id, y.t', 'SELECT DISTINCT k FROM a', 'SELECT k FROM a UNION SELECT k FROM b',
	'SELECT k FROM a INTERSECT ALL SELECT k FROM b', 'SELECT k FROM a EXCEPT SELECT k FROM b',
	'SELECT k, grouping(k), count(*) FROM a GROUP BY ROLLUP (k, t)', 'SELECT k, count(*) FROM a GROUP BY GROUPING SETS ((k), ())',
	'SELECT k, row_number() OVER (PARTITION BY k ORDER BY t) FROM a', 'SELECT * FROM a ORDER BY id, t',
	'WITH c AS MATERIALIZED (SELECT * FROM a) SELECT * FROM c x JOIN c y USING (id)',
	'WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r WHERE n < 9) SELECT * FROM r',
	'SELECT (SELECT max(t) FROM b WHERE b.k = a.k) FROM a WHERE id < 10', 'SELECT * FROM a WHERE k NOT IN (SELECT k FROM b WHERE id < 3)',
	'SELECT * FROM a WHERE EXISTS (SELECT FROM b WHERE b.id = a.id)', 'SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.k = a.k LIMIT 1) l WHERE a.id < 5',
	'SELECT * FROM a FOR UPDATE', 'SELECT * FROM xmltable(''/r'' PASSING xmlparse(content ''<r/>'') COLUMNS x int)',
	'INSERT INTO a SELECT * FROM b RETURNING id', 'UPDATE a SET k = b.k FROM b WHERE a.id = b.id', 'DELETE FROM a WHERE id IN (SELECT id FROM b)',
	'MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN UPDATE SET k = b.k WHEN NOT MATCHED THEN INSERT VALUES (b.id, b.k, b.t)',
	'INSERT INTO a VALUES (1, 2, ''x'') ON CONFLICT DO NOTHING', 'WITH d AS (DELETE FROM p RETURNING *) SELECT count(*) FROM d',
	'SELECT * FROM p x JOIN p y USING (id)', 'SELECT sum(k) FROM p GROUP BY id'
]) AS sql WHERE NOT readable(sql);
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT readable('SELECT k, count(*) FROM a GROUP BY k') AS gather, readable('SELECT * FROM a JOIN b USING (id) ORDER BY a.t') AS gather_merge;

-- more nodes than the arena has: no opinion, and the statement runs
SELECT string_agg(format('(SELECT k FROM a WHERE id = %s ORDER BY %st LIMIT 1)', i, repeat('t || ', i)), ' UNION ALL ') AS large
FROM generate_series(1, 100) i \gset
SELECT count(*) FROM (:large) s;
SELECT count(*) FROM wlm.predict($$SELECT count(*) FROM ($$ || :'large' || $$) s$$);

-- many alike are one node with a count
SELECT string_agg(format('(SELECT k FROM a WHERE id = %s ORDER BY t LIMIT 1)', i), ' UNION ALL ') AS alike FROM generate_series(1, 100) i \gset
SELECT count(*) FROM wlm.predict($$SELECT count(*) FROM ($$ || :'alike' || $$) s$$) WHERE expert = 'planner';

SET client_min_messages = warning;
DROP SCHEMA plan_test CASCADE;
