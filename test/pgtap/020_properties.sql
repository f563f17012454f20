-- Properties of what is shown and stored that hold whatever was run before.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP true

CREATE TABLE public.pgtap_load AS SELECT i AS id, i * 7919 % 20000 AS k, repeat('p', 90) AS pad FROM generate_series(1, 20000) i;
ANALYZE public.pgtap_load;
SET wlm.mode = auto;
SELECT count(*) FROM (SELECT * FROM public.pgtap_load ORDER BY pad, k OFFSET 0) s \g /dev/null
SELECT count(*) FROM public.pgtap_load a JOIN public.pgtap_load b USING (id) \g /dev/null
SELECT wlm.flush() \g /dev/null

BEGIN;
SELECT no_plan();

-- History.
SELECT isnt_empty('SELECT * FROM wlm.history', 'something was run');
SELECT is_empty($$SELECT * FROM wlm.history WHERE actual_ms < 0 OR queue_ms < 0 OR reserved_kb < 0 OR temp_bytes < 0 OR peak_kb < 0$$, 'no quantity is negative');
SELECT is_empty($$SELECT * FROM wlm.history WHERE 'NaN' IN (actual_ms, queue_ms, predicted_ms, predicted_kb, peak_kb, reserved_kb)$$, 'none is not a number');
SELECT is_empty($$SELECT * FROM wlm.history WHERE predicted_low_ms > predicted_ms OR predicted_ms > predicted_high_ms$$, 'times are within their intervals');
SELECT is_empty($$SELECT * FROM wlm.history_operator WHERE predicted_kb > predicted_high_kb$$, 'needs are below their upper bounds');
SELECT is_empty($$SELECT * FROM wlm.history WHERE final_state NOT IN ('completed', 'cancelled', 'failed', 'rejected', 'evicted', 'bypassed')$$, 'final states are known ones');
SELECT is_empty($$SELECT * FROM wlm.history WHERE final_state <> 'completed' AND NOT censored$$, 'what did not complete is censored');
SELECT is_empty($$SELECT * FROM wlm.history_operator WHERE needed_kb < peak_kb * 0.5 AND NOT spilled$$, 'without a spill the need is the peak');
SELECT is_empty($$SELECT * FROM wlm.history_operator WHERE temp_kb < 0 OR (temp_kb > 0 AND NOT spilled)$$, 'only what spills writes temporary files');
SELECT is_empty($$SELECT * FROM wlm.history WHERE familiarity NOT IN ('plan', 'template', 'none') OR novelty < 0 OR novelty = 'NaN'$$, 'familiarity and novelty are known');
SELECT is_empty($$SELECT * FROM wlm.history WHERE lacking_kb < 0 OR coverage NOT BETWEEN 0 AND 1 OR (coverage > 0 AND NOT applied)$$, 'coverage is a part, of what was applied');
SELECT is_empty($$SELECT * FROM wlm.history WHERE workers_granted NOT BETWEEN 0 AND workers_planned$$, 'workers are never more than planned');
SELECT is_empty($$SELECT * FROM wlm.history_operator WHERE grown_kb < granted_kb$$, 'no limit shrinks');
SELECT is_empty($$SELECT * FROM wlm.history_operator WHERE processes = 0 AND peak_kb IS NOT NULL$$, 'a peak is of a process');
SELECT is_empty($$SELECT * FROM wlm.plan WHERE executions < 0 OR first_seen > last_seen OR nodes < 1 OR graph = ''$$, 'plans are plans');
SELECT hasnt_column('wlm', 'history', 'query', 'texts are not stored');
SELECT is_empty($$SELECT * FROM wlm.plan WHERE position('pgtap_load'::bytea IN graph) > 0$$, 'nor names');

-- Predictions.
CREATE TEMP TABLE p AS SELECT * FROM wlm.predict('SELECT count(*) FROM (SELECT * FROM public.pgtap_load ORDER BY pad, k OFFSET 0) s');
SELECT is_empty('SELECT * FROM p WHERE NOT (low <= estimate AND estimate <= high)', 'estimates are within their intervals');
SELECT is_empty($$SELECT * FROM p WHERE 'NaN' IN (estimate, low, high) OR 'Infinity' IN (estimate, high)$$, 'and finite');
SELECT is_empty($$SELECT * FROM p WHERE share NOT BETWEEN 0 AND 1$$, 'shares are fractions');
SELECT results_eq($$SELECT DISTINCT abs(s - 1) < 0.001 FROM (SELECT sum(share) s FROM p WHERE expert <> 'mixture' AND target NOT IN ('parallel_fraction', 'operator_temp') GROUP BY target, plan_node_id) x$$,
	'VALUES (true)', 'and add up to one');
SELECT results_eq($$SELECT processes FROM p WHERE target = 'relative_time' ORDER BY processes$$, 'VALUES (2), (4), (8)', 'time is given for several processes');
SELECT is_empty($$SELECT * FROM p WHERE target = 'relative_time' AND NOT (estimate BETWEEN 1.0 / processes AND 1)$$, 'relative to one process, and never better than can be');
SELECT is_empty($$SELECT * FROM p a JOIN p b USING (target) WHERE target = 'relative_time' AND a.processes < b.processes AND a.estimate < b.estimate$$, 'nor longer with more');
SELECT is_empty($$SELECT * FROM p WHERE (processes IS NULL) <> (target <> 'relative_time') OR (plan_node_id IS NULL) <> (target NOT LIKE 'operator%')$$, 'nothing else has processes, only operators have nodes');
SELECT isnt_empty($$SELECT * FROM p WHERE expert = 'recall' AND target = 'time'$$, 'what was run is recalled');
SELECT results_eq($$SELECT * FROM wlm.predict('SELECT count(*) FROM (SELECT * FROM public.pgtap_load ORDER BY pad, k OFFSET 0) s')$$, 'SELECT * FROM p', 'the same question has the same answer');
SELECT lives_ok(format('SELECT * FROM wlm.predict(%L)', q), 'predict() answers: ' || left(q, 40)) FROM unnest(ARRAY['SELECT', 'SELECT 1', 'VALUES (1), (2)',
	'INSERT INTO public.pgtap_load SELECT * FROM public.pgtap_load', 'WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT * FROM r',
	'SELECT ' || repeat('1 + ', 1000) || '1', 'SELECT 1' || repeat(' UNION ALL SELECT 1', 300), 'SELECT * FROM generate_series(1, 1000000000) g ORDER BY g']) q;
SELECT throws_ok(format('SELECT * FROM wlm.predict(%L)', q), state, NULL, 'predict() refuses: ' || q) FROM (VALUES
	('SELEKT', '42601'), ('SELECT * FROM nowhere', '42P01'), ('SELECT nothing', '42703')) v(q, state);
SELECT throws_ok(format('SELECT * FROM wlm.predict(%L)', q), NULL, NULL, 'predict() refuses: "' || q || '"') FROM unnest(ARRAY['', 'VACUUM', 'SELECT 1; SELECT 2', 'BEGIN', 'SELECT $1']) q;
SELECT is_empty('SELECT * FROM wlm.predict(NULL)', 'nothing about nothing');

-- What the learned experts show.
SELECT results_eq('SELECT count(*)::int FROM wlm.training', 'VALUES (1)', 'training is one row');
SELECT is_empty($$SELECT * FROM wlm.training WHERE running OR progress NOT BETWEEN 0 AND 1 OR loss = 'NaN' OR samples < 0$$, 'of sane numbers');
SELECT is_empty($$SELECT target FROM wlm.feature_importance() GROUP BY target HAVING abs(sum(importance) - 1) > 0.001 OR min(importance) < 0$$, 'importance sums to one');
SELECT is_empty($$SELECT target, feature FROM wlm.feature_importance() GROUP BY 1, 2 HAVING count(*) > 1$$, 'each feature once');
CREATE TEMP TABLE n AS SELECT * FROM wlm.neighbours('SELECT count(*) FROM (SELECT * FROM public.pgtap_load ORDER BY pad, k OFFSET 0) s');
SELECT cmp_ok(count(*), '<=', 8::bigint, 'up to eight neighbours') FROM n;
SELECT is_empty($$SELECT * FROM n WHERE distance < 0 OR weight NOT BETWEEN 0 AND 1 OR executions <= 0 OR mean_ms < 0 OR 'NaN' IN (distance, weight, executions, mean_ms)$$, 'of sane numbers');
SELECT is_empty($$SELECT * FROM n a JOIN n b ON a.rank < b.rank WHERE a.distance > b.distance$$, 'the nearest first');
SELECT is_empty($$SELECT fingerprint FROM n GROUP BY 1 HAVING count(*) > 1$$, 'each plan once');
SELECT is_empty($$SELECT s FROM wlm.export_samples() s WHERE position('pgtap_load'::bytea IN s) > 0$$, 'samples have no names');
SELECT isnt_empty($$SELECT s FROM wlm.export_samples() s WHERE length(s) BETWEEN 100 AND 65536$$, 'and are bounded');
SELECT results_eq($$SELECT count(*)::int FROM wlm.export_samples(1)$$, 'VALUES (1)', 'as many as were asked for');
SELECT is_empty($$SELECT e FROM unnest('{planner,recall,gate}'::text[]) e WHERE length(wlm.export_model(e)) < 32$$, 'what is always there can be exported');

-- Nothing is left over.
SELECT is(num_queued, 0, 'nobody waits') FROM wlm.status();
SELECT is(num_errors, 0::bigint, 'no error inside') FROM wlm.status();
SELECT cmp_ok(reserved_kb, '<=', budget_kb, 'reservations are within the budget') FROM wlm.status();
SELECT cmp_ok(sum(share)::numeric, '>', 0.0, 'experts have shares') FROM wlm.expert_accuracy;
SELECT is_empty('SELECT * FROM wlm.queue_state WHERE slots_used > slots AND NOT automatic AND num_forced = 0', 'no queue runs more than it may');
SELECT results_eq($$SELECT count(*)::int FROM wlm.queue_state WHERE queue = 'default'$$, 'VALUES (1)', 'there is always "default"');

-- Predicates: what is stored reads the same again, and units of one metric agree.
SELECT is(wlm.parse_predicates(wlm.parse_predicates(t)::text), wlm.parse_predicates(t), 'predicates are stored as they are read: ' || t)
FROM unnest('{"query_cpu_time > 1.5 h AND scan_row_count < 1e12","query_memory_kb = 0.25TB","query_blocks_read < 0 AND query_queue_time > 7d"}'::text[]) t;
SELECT is(wlm.parse_predicates(format('%s > %s %s', metric, number * factor, small)), wlm.parse_predicates(format('%s > %s %s', metric, number, large)),
	format('%s %s is %s %s', number, large, number * factor, small))
FROM (VALUES ('query_cpu_time', 'ms', 1000, 's'), ('query_cpu_time', 's', 60, 'min'), ('query_cpu_time', 'MIN', 60, 'h'), ('query_cpu_time', 'h', 24, 'd'),
	('query_memory_kb', 'kB', 1024, 'MB'), ('query_memory_kb', 'MB', 1024, 'GB'), ('query_temp_blocks_to_disk', 'gb', 1024, 'TB'),
	('query_temp_blocks_to_disk', '', 128, 'MB')) v(metric, small, factor, large), unnest('{0,1,3,0.5,2.25}'::numeric[]) number;

SELECT * FROM finish();
ROLLBACK;
DROP TABLE public.pgtap_load;
