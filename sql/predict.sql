-- predict() and explain(): what they answer and what they refuse. Numbers depend on the machine's history, shapes do not.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
RESET client_min_messages;
SELECT wlm.reset('all');

CREATE TABLE predict_data AS SELECT g AS id, g % 100 AS k, md5(g::text) AS t FROM generate_series(1, 10000) g;
ANALYZE predict_data;
SET max_parallel_workers_per_gather = 0;

-- which other experts answer depends on the models that came with pg_wlm
SELECT target, plan_node_id, operator, processes, expert, unit, estimate >= 0 AS positive,
       low <= estimate AND estimate <= high AS inside, share BETWEEN 0 AND 1 AS share
FROM wlm.predict('SELECT k, count(*) FROM predict_data GROUP BY k ORDER BY 2')
WHERE expert IN ('mixture', 'planner') AND target <> 'operator_temp';

-- planned with the caller's settings
SET enable_hashagg = off;
SELECT DISTINCT operator FROM wlm.predict('SELECT k, count(*) FROM predict_data GROUP BY k') WHERE operator IS NOT NULL;
RESET enable_hashagg;

-- how it scales: part of what EXPLAIN shows if the plan is parallel
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT regexp_replace(line, '\d+\.\d+', 'N', 'g') FROM wlm.explain('SELECT count(*) FROM predict_data') line WHERE line ~ 'Scalability';
SELECT processes, estimate BETWEEN 1.0 / processes AND 1 AS possible, low >= 0.99 / processes AS best, high <= 1 AS worst
FROM wlm.predict('SELECT count(*) FROM predict_data') WHERE target = 'relative_time';
RESET min_parallel_table_scan_size;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM wlm.explain('SELECT count(*) FROM predict_data') line WHERE line ~ 'Scalability';

-- every kind of statement that has a plan
SELECT count(*) > 0 FROM wlm.predict('INSERT INTO predict_data SELECT * FROM predict_data');
SELECT count(*) > 0 FROM wlm.predict('UPDATE predict_data SET k = 1');
SELECT count(*) > 0 FROM wlm.predict('DELETE FROM predict_data');
SELECT count(*) > 0 FROM wlm.predict('VALUES (1)');
SELECT count(*) > 0 FROM wlm.predict('WITH d AS (DELETE FROM predict_data RETURNING *) SELECT count(*) FROM d;');
SELECT count(*) FROM predict_data;

-- nothing is run: this would raise
SELECT count(*) > 0 FROM wlm.predict('SELECT 1 / (k - k) FROM predict_data');

SELECT * FROM wlm.predict(NULL);
SELECT * FROM wlm.predict('');
SELECT * FROM wlm.predict('SELECT 1; SELECT 2');
SELECT * FROM wlm.predict('SELEC 1');
SELECT * FROM wlm.predict('SELECT * FROM no_such_table');
SELECT * FROM wlm.predict('SELECT no_such_function(2)');
SELECT * FROM wlm.predict('SELECT * FROM predict_data WHERE id = $1');
SELECT * FROM wlm.predict('EXPLAIN SELECT 1');
SELECT * FROM wlm.predict('CREATE TABLE t AS SELECT 1');
SELECT * FROM wlm.predict('VACUUM');
SELECT * FROM wlm.predict('BEGIN');

CREATE TABLE predict_ruled (a int);
CREATE RULE twice AS ON INSERT TO predict_ruled DO ALSO INSERT INTO predict_data (id) VALUES (NEW.a);
SELECT * FROM wlm.predict('INSERT INTO predict_ruled VALUES (1)');
CREATE RULE never AS ON DELETE TO predict_ruled DO INSTEAD NOTHING;
SELECT count(*) FROM wlm.predict('DELETE FROM predict_ruled');

-- who may not run a statement learns nothing of it
CREATE ROLE regress_wlm_outsider;
SET ROLE regress_wlm_outsider;
SELECT count(*) > 0 FROM wlm.predict('SELECT 1');
SELECT * FROM wlm.predict('SELECT count(*) FROM predict_data');
SELECT * FROM wlm.explain('SELECT count(*) FROM predict_data');
SELECT * FROM wlm.predict('SELECT * FROM wlm.history');
SELECT * FROM wlm.grant_curve('SELECT count(*) FROM predict_data');
SELECT level, chosen, reason FROM wlm.grant_curve('SELECT 1');
RESET ROLE;
GRANT SELECT (k) ON predict_data TO regress_wlm_outsider;
SET ROLE regress_wlm_outsider;
SELECT count(*) > 0 FROM wlm.predict('SELECT k FROM predict_data');
SELECT * FROM wlm.predict('SELECT t FROM predict_data');
SELECT * FROM wlm.predict('DELETE FROM predict_data');
RESET ROLE;

-- explain(): digits blotted out, and experts whose answers depend on the models that came with pg_wlm
CREATE FUNCTION shape(sql text) RETURNS SETOF text LANGUAGE sql AS
$$ SELECT regexp_replace(regexp_replace(regexp_replace(line, 'node \d+', 'node #', 'g'), '-?\d+(\.\d+)?', 'N', 'g'),
                         ' \(raised\)|(?<=Lane: )(normal|express)|, (trees|graph|neighbours) (-|N ms \(N%\)|N kB)', '', 'g')
   FROM wlm.explain(sql) AS line $$;
SELECT * FROM shape('SELECT k, count(*) FROM predict_data GROUP BY k ORDER BY 2');
SELECT * FROM shape('SELECT * FROM predict_data a, predict_data b ORDER BY a.t');
SELECT * FROM shape('SELECT relname FROM pg_class a, pg_attribute b ORDER BY 1');

-- grant_curve(): a level for each part of what is lacking
SELECT level, chosen, reason, predicted_ms BETWEEN lower_ms AND upper_ms AS inside, runs, temp_kb, slower
FROM wlm.grant_curve('SELECT k, count(*) FROM predict_data GROUP BY k ORDER BY 2');
SELECT count(*), count(*) FILTER (WHERE chosen) AS chosen, count(reason) AS reasons, bool_and(memory_kb > 0) AS memory,
       bool_and(predicted_ms BETWEEN lower_ms AND upper_ms) AS inside, max(runs) AS runs, bool_or(slower) AS slower
FROM wlm.grant_curve('SELECT a.t FROM predict_data a, generate_series(1, 100) ORDER BY a.t');
SELECT * FROM wlm.grant_curve('SELECT $1');

SET wlm.mode = off;
SELECT * FROM shape('SELECT * FROM predict_data a, predict_data b') WHERE shape LIKE '%Not managed%';
SET wlm.mode = observe;
SET wlm.bypass = on;
SELECT * FROM shape('SELECT * FROM predict_data a, predict_data b') WHERE shape LIKE '%Not managed%';
RESET wlm.bypass;
RESET wlm.mode;

DROP FUNCTION shape(text);
DROP TABLE predict_data, predict_ruled;
DROP ROLE regress_wlm_outsider;
