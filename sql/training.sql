-- training(), export and import of models and samples, what the learned experts show: the surface. Trained models are in the TAP tests.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
\set SHOW_CONTEXT never
\set VERBOSITY default

SELECT wlm.flush();
SELECT wlm.reset('all');
RESET client_min_messages;

-- nothing to learn from
SELECT wlm.train('trees');
SELECT wlm.train('graph');
SELECT wlm.train('neighbours');
SELECT wlm.train('gate');
SELECT running, pid, reason, phase, progress, loss, started_at <= finished_at AS ended, problem FROM wlm.training;
SELECT count(*) FROM wlm.export_samples();

CREATE TABLE training_data AS SELECT g AS id, g % 100 AS k, repeat('x', 50) AS t FROM generate_series(1, 20000) g;
ANALYZE training_data;
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM (SELECT * FROM training_data ORDER BY t, id OFFSET 0) s;
SELECT count(*) FROM training_data a JOIN training_data b USING (id);
SELECT wlm.flush();

-- samples: one for each statement, as many as are wanted, nothing else
SELECT count(*) = (SELECT count(*) FROM wlm.history) AS every_statement, bool_and(length(s) < 65536) AS bounded,
       count(*) FILTER (WHERE position('training_data'::bytea IN s) > 0) AS with_names
FROM wlm.export_samples() s;
SELECT count(*) FROM wlm.export_samples(1);
SELECT count(*) FROM wlm.export_samples(max_rows => NULL) HAVING count(*) > 1;
SELECT wlm.export_samples(0);
SELECT wlm.export_samples(-1);

-- models out and in
SELECT wlm.export_model(NULL), wlm.export_model(NULL, 1);
SELECT wlm.export_model('oracle');
SELECT wlm.export_model('planner', 1);
SELECT wlm.export_model('neighbours');
SELECT length(wlm.export_model('planner')) > 1000 AS planner, length(wlm.export_model('recall')) > 0 AS recall, length(wlm.export_model('gate')) > 0 AS gate;
SELECT model_version AS before FROM wlm.status() \gset
SELECT expert, version, state, samples, metrics, error FROM wlm.import_model(wlm.export_model('planner'));
SELECT expert, version, state, samples, metrics, error FROM wlm.import_model(wlm.export_model('gate'));
SELECT expert, version, state, content IS NOT NULL AS content FROM wlm.model ORDER BY 1, 2;
SELECT wlm.export_model('planner', 2) = content AS stored FROM wlm.model WHERE expert = 'planner' AND version = 2;
SELECT expert, version, state FROM wlm.rollback('planner');
SELECT expert, version, state FROM wlm.rollback('gate');
SELECT model_version - :before AS published FROM wlm.status();
DELETE FROM wlm.model WHERE expert = 'gate';
UPDATE wlm.model SET content = NULL WHERE state = 'retired';
SELECT wlm.export_model('planner', 2);

-- what cannot be a model changes nothing
SELECT model_version AS before FROM wlm.status() \gset
SELECT * FROM wlm.import_model(NULL);
SELECT wlm.import_model('');
SELECT wlm.import_model('nonsense');
SELECT wlm.import_model(repeat('nonsense', 100)::bytea);
SELECT wlm.import_model(substr(m, 1, length(m) - 1)) FROM wlm.export_model('planner') m;
SELECT wlm.import_model(set_byte(m, 8, 99)) FROM wlm.export_model('planner') m;
SELECT wlm.import_model(set_byte(m, 12, 1)) FROM wlm.export_model('planner') m;
SELECT wlm.import_model(set_byte(m, 12, 4)) FROM wlm.export_model('planner') m;
SELECT wlm.import_model(set_byte(m, 12, 99)) FROM wlm.export_model('planner') m;
SELECT wlm.import_model(set_byte(m, 100, 255 - get_byte(m, 100))) FROM wlm.export_model('planner') m;
BEGIN;
SELECT expert, state FROM wlm.import_model(wlm.export_model('planner'));
ROLLBACK;
SELECT count(*), (SELECT model_version FROM wlm.status()) - :before AS published FROM wlm.model;

-- plans, not texts
SELECT * FROM wlm.neighbours(NULL);
SELECT wlm.neighbours('SELEC');
SELECT wlm.neighbours('VACUUM');
SELECT wlm.neighbours('SELECT * FROM no_such_table');

SELECT wlm.reset('all');
DROP TABLE training_data;
