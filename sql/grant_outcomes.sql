-- What is learned of the value of memory: grant_outcomes(), and columns of the history that it is learned from again
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
RESET client_min_messages;
SELECT wlm.reset('all');
SELECT count(*) FROM wlm.grant_outcomes();

CREATE TABLE outcome_data AS SELECT g AS id, g * 7919 % 50000 AS k, repeat('o', 100) AS t FROM generate_series(1, 50000) g;
ANALYZE outcome_data;
SET max_parallel_workers_per_gather = 0;

-- in mode observe nothing is granted beyond the session's own
SELECT count(*) FROM (SELECT * FROM outcome_data ORDER BY t, k OFFSET 0) s;
SET wlm.mode = auto;
SELECT count(*) FROM (SELECT * FROM outcome_data ORDER BY t, k OFFSET 0) s;
SELECT count(*) FROM (SELECT * FROM outcome_data ORDER BY t, k OFFSET 0) s;
RESET wlm.mode;
SELECT wlm.flush();

SELECT applied, session_work_mem_kb, granted_work_mem_kb > session_work_mem_kb AS raised, lacking_kb > 0 AS lacking, coverage > 0 AS covered,
       grant_level, workers_planned, workers_granted, worker_reason
FROM wlm.history WHERE total_cost >= 1000 AND fingerprint = (SELECT fingerprint FROM wlm.history ORDER BY id LIMIT 1) ORDER BY id;
SELECT h.applied, o.operator, o.grown_kb >= o.granted_kb AS grown, o.peak_kb <= o.grown_kb * 1.1 AS within, o.spilled
FROM wlm.history h JOIN wlm.history_operator o ON o.history_id = h.id
WHERE h.fingerprint = (SELECT fingerprint FROM wlm.history ORDER BY id LIMIT 1) ORDER BY h.id;
SELECT level, runs > 0 AS runs, relative_time > 0 AS relative_time, temp_kb > 0 AS temporary, peak_kb > 0 AS peak, slower, executions, kept_kb > 0 AS kept, flips
FROM wlm.grant_outcomes() WHERE template = (SELECT template FROM wlm.history ORDER BY id LIMIT 1)
ORDER BY array_position('{own,some,most,all}'::text[], level);

-- what was predicted too low grows while it runs, and shows it
SET wlm.mode = auto;
SET wlm.need_factor = 0.1;
SET enable_sort = off;
CREATE FUNCTION run_of(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ' || query INTO plan;
	RETURN plan -> 0 -> 'Workload Manager' -> 'Operators' -> 0;
END
$$;
SELECT o ->> 'Node' AS node, (o ->> 'Grown To')::int > (o ->> 'Granted')::int AS grown, (o ->> 'Used')::int > (o ->> 'Granted')::int AS used_it, o -> 'Spilled' AS spilled
FROM run_of('SELECT t || id, count(*) FROM outcome_data GROUP BY 1') o;
SET wlm.elastic = off;
SELECT o ->> 'Node' AS node, (o ->> 'Grown To')::int > (o ->> 'Granted')::int AS grown, o -> 'Spilled' AS spilled
FROM run_of('SELECT t || id, count(*) FROM outcome_data GROUP BY 1') o;
RESET wlm.elastic;
RESET enable_sort;
RESET wlm.need_factor;
RESET wlm.mode;
SELECT wlm.flush();
SELECT operator, grown_kb > granted_kb AS grown, spilled FROM wlm.history_operator
WHERE history_id IN (SELECT id FROM wlm.history ORDER BY id DESC LIMIT 2) AND operator = 'HashAggregate' ORDER BY history_id;
DROP FUNCTION run_of(text);

-- forgotten with the models
SELECT wlm.reset('models');
SELECT count(*) FROM wlm.grant_outcomes();
DROP TABLE outcome_data;
