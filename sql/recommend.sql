-- recommend(): what a simulation of variants and the facts of the history speak for
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
RESET client_min_messages;
\set SHOW_CONTEXT never
\set VERBOSITY default

SELECT wlm.recommend('2020-01-01', '2020-01-02');

CREATE FUNCTION pg_temp.chance(g int, what text) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT ('x' || substr(md5(what || g), 1, 7))::bit(28)::int / 268435456.0 $$;
CREATE FUNCTION pg_temp.remember(finished_at timestamptz, queue_ms real, actual_ms real, queue name DEFAULT 'default', final_state text DEFAULT 'completed',
                                 applied boolean DEFAULT true, temp_bytes bigint DEFAULT 0, granted_kb real DEFAULT 4096, forced boolean DEFAULT false) RETURNS void
LANGUAGE sql AS $$
INSERT INTO wlm.history (finished_at, pid, query_id, template, fingerprint, command, queue, priority, lane, familiarity, final_state,
	forced, evicted, applied, censored, total_cost, estimated_rows, queue_ms, predicted_ms, predicted_low_ms, predicted_high_ms, actual_ms,
	reserved_kb, session_work_mem_kb, granted_work_mem_kb, lacking_kb, coverage, grant_level, grant_reason, peak_kb, temp_bytes,
	workers_planned, workers_granted, workers_launched, worker_reason, model_version, experts)
VALUES (finished_at, 1, 1, 1, 1, 'SELECT', queue, 'normal', 'normal', 'plan', final_state,
	forced, false, applied, false, 1e6, 1, queue_ms, actual_ms, actual_ms / 1.2, actual_ms * 1.2, actual_ms,
	1024, 4096, granted_kb, 0, 0, 'own', 'nothing lacks', 1024, temp_bytes, 0, 0, 0, 'as planned', 1, '{}')
$$;
-- Waits until the launcher has taken over what was changed.
CREATE FUNCTION pg_temp.in_force(condition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	holds boolean;
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXECUTE 'SELECT ' || condition INTO holds;
		EXIT WHEN holds;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN holds;
END
$$;
SET wlm.mode = auto;

-- Nothing waits: nothing to say.
BEGIN;
SELECT count(*) FROM (SELECT pg_temp.remember('2020-01-01'::timestamptz + g * interval '1 min', 0, 100) FROM generate_series(1, 200) g) s;
SELECT * FROM wlm.recommend('2020-01-01', '2020-01-02');
ROLLBACK;

-- One slot for what needs more: a row for the queue, with a statement that changes it. And a queue that nobody comes to.
SELECT wlm.create_queue('reports', max_slots => 1, query_group => 'reports');
SELECT wlm.create_queue('nobody', memory_share => 0.25, query_group => 'nobody', queue_timeout => '1 min');
SELECT pg_temp.in_force($$count(*) = 3 AND count(*) FILTER (WHERE queue = 'reports' AND slots = 1) = 1 FROM wlm.queue_state$$);
BEGIN;
-- a minute of work in threes, every two minutes
SELECT count(*) FROM (SELECT pg_temp.remember('2020-01-01'::timestamptz + g / 3 * interval '2 min' + interval '30 s' * (1 + g % 3), 30000 * (g % 3), 30000, 'reports')
                      FROM generate_series(0, 1199) g) s;
SELECT count(*) FROM (SELECT pg_temp.remember('2020-01-01'::timestamptz + g * interval '1 s', 60000, 0, 'nobody', 'timed_out') FROM generate_series(1, 20) g) s;
SELECT subject, current, recommended IN ('2', 'automatic') AS recommended, change LIKE 'SELECT wlm.alter_queue(''reports'', %)' AS change,
       latency_mean_after_ms < 0.9 * latency_mean_before_ms AS latency,
       queue_mean_after_ms < queue_mean_before_ms / 2 AS queue, peak_memory_after_kb > peak_memory_before_kb AS memory, evidence LIKE '1200 statements simulated%' AS evidence
FROM wlm.recommend('2020-01-01', '2020-01-03') WHERE subject = 'max_slots of queue "reports"';
-- it was what counts most
SELECT rank, subject LIKE '%"reports"' AS reports FROM wlm.recommend('2020-01-01', '2020-01-03') LIMIT 1;
SELECT subject, current, recommended, change, effect, latency_mean_before_ms, evidence
FROM wlm.recommend('2020-01-01', '2020-01-03') WHERE subject LIKE '%"nobody"%';
DELETE FROM wlm.history WHERE queue = 'nobody';
SELECT subject, current, recommended, change, effect, latency_mean_before_ms, evidence
FROM wlm.recommend('2020-01-01', '2020-01-03') WHERE subject LIKE '%"nobody"%';
ROLLBACK;
SELECT wlm.drop_queue('reports'), wlm.drop_queue('nobody');
SELECT pg_temp.in_force('count(*) = 1 FROM wlm.queue_state');

-- A burst: work for 1,000 s that comes within 710 s. After wlm.max_wait (300 s) all that wait start together, and the short ones share
-- processors with the long. In turns of one statement for each processor, so that it is the same on every machine. What history says of
-- wlm.max_wait is not said as well.
BEGIN;
CREATE TEMP TABLE processors (number int);
COPY processors FROM PROGRAM 'getconf _NPROCESSORS_ONLN';
SELECT count(pg_temp.remember('2020-01-01'::timestamptz + turn * interval '20 s', (turn - 1) * 20000, 20000, forced => true)) = 0 AS remembered
FROM processors, generate_series(1, 40) turn, generate_series(1, number);
SELECT count(pg_temp.remember('2020-01-01'::timestamptz + (800 + turn) * interval '1 s', (489 - turn) * 1000, 1000)) = 0 AS remembered
FROM processors, generate_series(1, 200) turn, generate_series(1, number);
SELECT current, recommended, change, latency_mean_after_ms < 0.8 * latency_mean_before_ms AS latency,
       evidence ~ '^\d+ statements simulated, offered load 1.41, \d+ of them started over the limits after waiting that long$' AS evidence
FROM wlm.recommend('2020-01-01', '2020-01-03') WHERE subject = 'wlm.max_wait';
ROLLBACK;

-- Facts: what spills with all it may have; what waited out max_wait; and that nothing is managed yet.
BEGIN;
SELECT count(*) FROM (SELECT pg_temp.remember('2020-01-01'::timestamptz + g * interval '1 min', 0, 100, temp_bytes => 1000, granted_kb => 1024 * 1024)
                      FROM generate_series(1, 200) g) s;
SELECT count(*) FROM (SELECT pg_temp.remember('2020-01-01'::timestamptz + g * interval '1 h', 300000, 100, forced => true) FROM generate_series(10, 20) g) s;
SELECT subject, current, recommended, change, effect, evidence FROM wlm.recommend('2020-01-01', '2020-01-03') ORDER BY rank;
UPDATE wlm.history SET applied = false, queue_ms = 0, forced = false WHERE finished_at < '2020-02-01';
SET LOCAL wlm.mode = observe;
SELECT subject, current, recommended, change, evidence LIKE '%95 % of all execution time was in statements that spilled' AS evidence
FROM wlm.recommend('2020-01-01', '2020-01-03') ORDER BY rank;
ROLLBACK;
RESET wlm.mode;
