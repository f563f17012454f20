-- G2, G3, G7, G11: each operator really runs with the memory it was granted, though the session's work_mem stays small.
-- Some need more than they were planned for only while they run: a window, a rescan, an ordered aggregate per group.
SET search_path = grant_test;
SET wlm.respect_user_work_mem = off;
SET work_mem = '512kB';

CREATE TABLE target (k int, label text);
CREATE TABLE wide_groups AS SELECT k / 10000 AS a, label AS b, k AS c FROM dim;
CREATE INDEX ON wide_groups (a);
VACUUM ANALYZE wide_groups;

CREATE TABLE cases (name text, settings text, query text);
INSERT INTO cases VALUES
('cte', '', 'WITH c AS MATERIALIZED (SELECT * FROM fact) SELECT count(*) FROM c a WHERE id > (SELECT avg(id) FROM c)'),
('hash aggregate', 'enable_sort=off', 'SELECT pad || id, count(*) FROM fact GROUP BY 1'),
('hash join', 'enable_mergejoin=off enable_nestloop=off', 'SELECT count(label), count(pad) FROM fact JOIN dim USING (k)'),
('hashed grouping sets', 'enable_sort=off',
 'SELECT pad || id, v, count(*) FROM fact GROUP BY GROUPING SETS ((1), (2), ())'),
('incremental sort', 'enable_seqscan=off enable_sort=off enable_bitmapscan=off', 'SELECT * FROM wide_groups ORDER BY a, b, c'),
('ordered aggregate', '', 'SELECT length(string_agg(pad, '','' ORDER BY id)) FROM (SELECT * FROM fact ORDER BY pad, k OFFSET 0) f'),
('sort', '', 'SELECT * FROM fact ORDER BY pad, k'),
('sort below insert', '', 'INSERT INTO target SELECT k, pad FROM fact ORDER BY pad, k'),
('sort in an init-plan', '', 'SELECT (SELECT count(*) FROM (SELECT * FROM fact ORDER BY pad, k OFFSET 0) s)'),
('sort, rescanned', '',
 'SELECT count(*) FROM generate_series(1, 2) n, LATERAL (SELECT label FROM dim WHERE k >= n ORDER BY label, k OFFSET 0) s'),
('two sorts at once', 'enable_hashjoin=off enable_nestloop=off',
 'SELECT count(*) FROM fact a JOIN fact b ON a.pad = b.pad AND a.id = b.id'),
('window', '',
 'SELECT sum(v) OVER (ORDER BY pad, id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM fact');

SELECT name, spills(query, settings, 'off') AS off, spills_at_last(query, settings) AS auto
FROM cases ORDER BY name;
SHOW work_mem;

-- The other modes only watch.
SELECT spills(query, settings, 'observe') FROM cases WHERE name = 'sort';

-- Memoize forgets instead of spilling.
CREATE TABLE repeated AS SELECT i % 97 AS k, repeat('r', 200) AS label FROM generate_series(1, 1164) i;
CREATE INDEX ON repeated (k);
VACUUM ANALYZE repeated;
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET enable_bitmapscan = off;
SET max_parallel_workers_per_gather = 0; SET random_page_cost = 10;
CREATE FUNCTION evictions() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT count(label) FROM fact JOIN repeated ON repeated.k = fact.v' INTO plan;
	RETURN CASE WHEN grant_test.largest(plan, 'Cache Evictions') > 0 THEN 'evictions'
	            WHEN grant_test.largest(plan, 'Cache Hits') > 0 THEN 'no evictions' ELSE plan::text END;
END
$$;
SET work_mem = '64kB';
SET wlm.mode = off;
SELECT evictions();
SET wlm.mode = auto;
DO $$ BEGIN PERFORM grant_test.evictions(); PERFORM wlm.flush(); END $$;
SELECT evictions();
RESET ALL;
DROP TABLE grant_test.cases, grant_test.target, grant_test.wide_groups, grant_test.repeated;
DROP FUNCTION grant_test.evictions();
