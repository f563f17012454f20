-- G1, G7, G19: what is granted reaches parallel workers, and is counted once for each process.
-- work_mem keeps its default, the only case in which PostgreSQL does not hand it to workers by itself.
SET search_path = grant_test;
SELECT source FROM pg_settings WHERE name = 'work_mem';
SET max_parallel_workers_per_gather = 2;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
CREATE TABLE several AS SELECT i AS id, i * 7919 % 90000 AS k, repeat('s', 160) AS pad FROM generate_series(1, 90000) i;
ALTER TABLE several SET (parallel_workers = 2);
VACUUM ANALYZE several;

-- All of a query's sorts and hashes in all processes: how often on disk.
CREATE FUNCTION on_disk(query text, OUT workers int, OUT sorts_in_memory int, OUT sorts_on_disk int, OUT batches int)
LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, FORMAT JSON) ' || query INTO plan;
	workers := largest(plan, 'Workers Launched');
	SELECT count(*) FILTER (WHERE v = '"Memory"'), count(*) FILTER (WHERE v = '"Disk"') INTO sorts_in_memory, sorts_on_disk
	FROM jsonb_path_query(plan, 'strict $.**."Sort Space Type"') v;
	batches := coalesce(largest(plan, 'Hash Batches'), largest(plan, 'HashAgg Batches'));
END
$$;
-- The memory that a process really saw, and which process.
CREATE FUNCTION seen() RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS $$
BEGIN
	RETURN pg_size_bytes(current_setting('work_mem')) / 1024 || ' in ' || pg_backend_pid();
END
$$;
CREATE VIEW seen_in_workers AS
SELECT count(DISTINCT s) > 1 AS several_processes, count(DISTINCT split_part(s, ' ', 1)) AS values,
       min(split_part(s, ' ', 1)::int) > 4096 AS raised
FROM (SELECT seen() AS s, pad FROM several ORDER BY pad, k) s;

SET enable_hashagg = off; -- which 18 prefers
SET wlm.mode = off;
SELECT sorts_on_disk > 0 AS spilled FROM on_disk('SELECT * FROM several ORDER BY pad, k');
SELECT sorts_on_disk > 0 AS spilled FROM on_disk('SELECT k, count(pad) FROM several GROUP BY k');
SELECT * FROM seen_in_workers;

SET wlm.mode = auto;
DO $$
BEGIN
	FOR i IN 1..2 LOOP
		PERFORM grant_test.on_disk('SELECT * FROM several ORDER BY pad, k');
		PERFORM grant_test.on_disk('SELECT k, count(pad) FROM several GROUP BY k');
		PERFORM wlm.flush();
	END LOOP;
END
$$;
SELECT sorts_on_disk > 0 AS spilled FROM on_disk('SELECT * FROM several ORDER BY pad, k');
SELECT sorts_on_disk > 0 AS spilled FROM on_disk('SELECT k, count(pad) FROM several GROUP BY k');
RESET enable_hashagg;

-- One work_mem for all operators: what functions see, and what the limits are multiples of.
SET wlm.grant_scope = 'query';
SELECT * FROM seen_in_workers;

-- A hash table of all and, without parallel hash, one of each process.
CREATE FUNCTION memory_of(query text, OUT node text, OUT processes int, OUT kb_over_work_mem numeric)
RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	plan := plan #> '{0,Workload Manager}';
	RETURN QUERY SELECT o ->> 'Node', (o ->> 'Processes')::int,
		round((o ->> 'Granted')::numeric / (plan ->> 'Work Mem Granted')::numeric, 2)
	FROM jsonb_array_elements(plan -> 'Operators') o;
END
$$;
SET enable_mergejoin = off; SET enable_nestloop = off;
SET hash_mem_multiplier = 2;
SELECT * FROM memory_of('SELECT * FROM several ORDER BY pad, k');
SELECT * FROM memory_of('SELECT count(a.pad), count(b.pad) FROM several a JOIN several b USING (id)');
SET enable_parallel_hash = off;
SELECT * FROM memory_of('SELECT count(a.pad), count(b.pad) FROM several a JOIN several b USING (id)');
SET hash_mem_multiplier = 3.5;
SELECT * FROM memory_of('SELECT count(a.pad), count(b.pad) FROM several a JOIN several b USING (id)');
SET hash_mem_multiplier = 2;
RESET wlm.grant_scope;

-- With one worker, the parallel hash table has room for twice work_mem * hash_mem_multiplier.
SET max_parallel_workers_per_gather = 1;
CREATE FUNCTION batches(parallel_hash text, mode text) RETURNS int
LANGUAGE plpgsql SET enable_parallel_hash = off SET wlm.mode = off AS $$
BEGIN
	PERFORM set_config('enable_parallel_hash', parallel_hash, true), set_config('wlm.mode', mode, true);
	RETURN (grant_test.on_disk('SELECT count(a.pad), count(b.pad) FROM several a JOIN several b USING (id)')).batches;
END
$$;
SELECT p AS parallel_hash, m AS mode, batches(p, m) > 1 AS spilled FROM unnest('{on,off}'::text[]) p, unnest('{off,observe}'::text[]) m
ORDER BY 1, 2;
DO $$
BEGIN
	FOR i IN 1..2 LOOP
		PERFORM grant_test.batches(p, 'auto') FROM unnest('{on,off}'::text[]) p;
		PERFORM wlm.flush();
	END LOOP;
END
$$;
SELECT p AS parallel_hash, batches(p, 'auto') AS batches FROM unnest('{on,off}'::text[]) p ORDER BY 1;
SELECT wlm.flush();

-- What was reserved covers what all processes were seen to use together.
SELECT o.memory_class, bool_or(o.processes >= 2) AS several_processes,
       bool_or(h.peak_kb >= o.peak_kb * CASE WHEN o.memory_class = 'parallel hash' THEN 1 ELSE 1.5 END) AS counted_in_each,
       bool_and(h.reserved_kb >= 0.9 * o.peak_kb) AS reserved
FROM wlm.history h JOIN wlm.history_operator o ON o.history_id = h.id
WHERE h.workers_planned > 0 AND h.applied AND NOT o.spilled AND o.memory_class IN ('sort', 'hash', 'parallel hash')
AND h.pid = pg_backend_pid()
GROUP BY 1 ORDER BY 1;
RESET ALL;
DROP VIEW grant_test.seen_in_workers;
DROP TABLE grant_test.several;
DROP FUNCTION grant_test.seen(), grant_test.on_disk(text), grant_test.memory_of(text), grant_test.batches(text, text);
