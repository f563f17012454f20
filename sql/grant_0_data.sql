-- Tables and helpers of the grant_* tests. What is granted depends on what was learned before, so no test shows
-- numbers: they compare modes, and sizes are far from every limit.
CREATE SCHEMA grant_test;
SET search_path = grant_test;

CREATE TABLE fact (id int, k int, g int, v int, pad text) WITH (autovacuum_enabled = off);
INSERT INTO fact
SELECT i, i * 7919 % 20000, i * 31 % 10007, i % 97, repeat(chr(97 + i % 26), 100)
FROM generate_series(1, 20000) i;
CREATE TABLE dim (k int, label text) WITH (autovacuum_enabled = off);
INSERT INTO dim SELECT i, repeat(chr(97 + i % 26), 200) FROM generate_series(0, 19999) i;
CREATE INDEX dim_k ON dim (k);
VACUUM ANALYZE fact, dim;

-- Runs a query under given settings and tells whether anything of it went to temporary files, in any process.
CREATE FUNCTION spills(query text, settings text DEFAULT '', mode text DEFAULT 'auto') RETURNS boolean
LANGUAGE plpgsql
SET max_parallel_workers_per_gather = 0
SET min_parallel_table_scan_size = 0
SET parallel_setup_cost = 0
SET parallel_tuple_cost = 0
AS $$
DECLARE
	setting text;
	previous jsonb := '{}';
	plan jsonb;
BEGIN
	FOREACH setting IN ARRAY string_to_array(settings, ' ') || ('wlm.mode=' || mode) LOOP
		previous := previous || jsonb_build_object(split_part(setting, '=', 1), current_setting(split_part(setting, '=', 1)));
		PERFORM set_config(split_part(setting, '=', 1), split_part(setting, '=', 2), false);
	END LOOP;
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF, FORMAT JSON) ' || query INTO plan;
	FOR setting IN SELECT set_config(key, value, false) FROM jsonb_each_text(previous) LOOP
	END LOOP;
	RETURN (plan #>> '{0,Plan,Temp Written Blocks}')::int > 0;
END
$$;

-- Until the grant is precise: a spilled operator tells only a lower bound of its need.
CREATE FUNCTION spills_at_last(query text, settings text DEFAULT '') RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	spilled boolean;
BEGIN
	FOR round IN 1..6 LOOP
		spilled := spills(query, settings);
		EXIT WHEN round > 1 AND NOT spilled;
		PERFORM wlm.flush();
	END LOOP;
	RETURN spilled;
END
$$;

-- A number anywhere in the plan of a query that is run, the largest if there are several.
CREATE FUNCTION largest(plan jsonb, property text) RETURNS numeric
LANGUAGE sql AS $$
	SELECT max((v #>> '{}')::numeric) FROM jsonb_path_query(plan, ('strict $.**."' || property || '"')::jsonpath) v
$$;
