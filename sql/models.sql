-- train(), evaluate(), rollback(), reset(), flush(): models from history and back
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
RESET client_min_messages;
\set SHOW_CONTEXT never

SELECT wlm.flush();
SELECT wlm.reset('all');
SELECT wlm.train();
SELECT wlm.evaluate();
SELECT wlm.rollback('planner');
SELECT wlm.rollback('oracle');
SELECT wlm.train('oracle');
SELECT wlm.reset('everything');
SELECT wlm.flush('0 s');

CREATE TABLE model_data AS SELECT g AS id, g % 1000 AS k, repeat('x', 100) AS t FROM generate_series(1, 50000) g;
ANALYZE model_data;
SET max_parallel_workers_per_gather = 0;
DO $$
BEGIN
	FOR i IN 1 .. 40 LOOP
		PERFORM count(*) FROM (SELECT * FROM model_data WHERE id > i * 10 ORDER BY t, id OFFSET 0) s;
		PERFORM k, count(*) FROM model_data a GROUP BY k ORDER BY 2;
		PERFORM count(*) FROM model_data a JOIN model_data b USING (id) WHERE a.k < i;
		IF i = 20 THEN
			PERFORM wlm.flush(); -- the second half finds the first one learned
		END IF;
	END LOOP;
END $$;
SELECT wlm.flush();
SELECT count(*) >= 80 AS enough, bool_and(final_state = 'completed') AS completed FROM wlm.history;

-- as if what was in use had been wrong by far: any fresh model is better, and what was in use is kept as version 1
UPDATE wlm.history SET experts = jsonb_set(jsonb_set(experts, '{planner,ms}', '1e9', false), '{recall,ms}', '1e9', false);
SELECT expert, version, state, samples = (SELECT count(*) FROM wlm.history) AS all_samples,
       metrics -> 'time' ?& '{p50,p90,p95,samples,coverage,champion_p50}' AS metrics, error
FROM wlm.train() ORDER BY expert;
SELECT expert, version, state, content IS NOT NULL AS content, learned_to IS NOT NULL AS learned
FROM wlm.model ORDER BY expert, version;
SELECT expert, version, state FROM wlm.train('recall');
SELECT expert, target, samples > 0 AS samples, p50 >= 1 AS p50, p50 <= p90 AND p90 <= p95 AS ordered,
       coverage BETWEEN 0 AND 1 AS coverage
FROM wlm.evaluate() WHERE expert NOT IN ('trees', 'graph', 'neighbours');
SELECT expert, target, samples > 0 AS samples, share BETWEEN 0 AND 1 AS share, calibration > 0 AS calibration
FROM wlm.expert_accuracy WHERE expert NOT IN ('trees', 'graph', 'neighbours');
-- whether the others have answered depends on the models that came with pg_wlm
SELECT expert, count(*), (SELECT count(*) FROM wlm.evaluate() e WHERE e.expert = a.expert) AS evaluated
FROM wlm.expert_accuracy a GROUP BY expert ORDER BY expert COLLATE "C";

-- back, step by step, and no further
SELECT model_version AS before FROM wlm.status() \gset
SELECT expert, version, state FROM wlm.rollback('recall');
SELECT expert, version, state FROM wlm.rollback('recall');
SELECT expert, version, state FROM wlm.rollback('recall');
SELECT expert, version, state FROM wlm.model ORDER BY expert, version;
SELECT model_version - :before AS published FROM wlm.status();

-- a transaction that is rolled back publishes nothing
SELECT model_version AS before FROM wlm.status() \gset
BEGIN;
SELECT expert, state FROM wlm.train('planner');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT expert, state FROM wlm.train('planner');
ROLLBACK TO s;
SELECT expert, state FROM wlm.rollback('planner');
COMMIT;
SELECT model_version - :before AS published FROM wlm.status();

-- a model that was tampered with is refused
SELECT expert, state FROM wlm.train('recall');
SELECT expert, state FROM wlm.train('recall');
UPDATE wlm.model SET content = set_byte(content, length(content) / 2, 255 - get_byte(content, length(content) / 2))
WHERE state = 'retired';
SELECT wlm.rollback('recall');
UPDATE wlm.model SET content = 'nonsense' WHERE state = 'retired' AND content IS NOT NULL;
SELECT wlm.rollback('recall');

-- nobody can be better than who was right, where nothing can be learned
UPDATE wlm.history SET actual_ms = actual_ms * (1 + 1000 * (id % 7));
UPDATE wlm.history SET experts = jsonb_set(jsonb_set(experts, '{planner,ms}', to_jsonb(actual_ms), false),
                                           '{recall,ms}', to_jsonb(actual_ms), false);
SELECT expert, state, error FROM wlm.train() ORDER BY expert;
SELECT expert, state, count(*), count(content) AS contents FROM wlm.model GROUP BY 1, 2 ORDER BY 1, 2;

-- forgetting, one by one
SELECT wlm.reset();
SELECT num_managed, num_experiences, planner_observations > 0 AS planner, recall_entries > 0 AS recall FROM wlm.status();
SELECT sum(samples) FROM wlm.expert_accuracy;
SELECT wlm.reset('models');
SELECT planner_observations, recall_entries, (SELECT count(*) FROM wlm.model) AS models FROM wlm.status();
SELECT wlm.reset('history');
SELECT (SELECT count(*) FROM wlm.history), (SELECT count(*) FROM wlm.history_operator), (SELECT count(*) FROM wlm.plan);
DROP TABLE model_data;
