-- simulate(): policies on recorded statements and on a trace, what can be changed, what is refused
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
RESET client_min_messages;
\set SHOW_CONTEXT never
\set VERBOSITY default

-- A trace that anybody can follow: two processors, two slots. Three statements of a second come together, a short one after them.
SELECT current_setting('data_directory') || '/regress_wlm_trace.csv' AS file, 'rm -f ' || current_setting('data_directory') || '/regress_wlm_*.csv' AS remove \gset
CREATE TEMP TABLE trace (arrival_ms int, duration_ms int, duration_with_queue_ms int, memory_kb int, queue text, priority text,
                         predicted_ms int, predicted_upper_ms int);
INSERT INTO trace VALUES (100, 1000, 1000, 1000, 'default', 'normal', 1000, 1200), (100, 1000, 1000, 2000, 'default', 'normal', 1000, 1200),
                         (100, 1000, 2000, 3000, 'default', 'high', 1000, 1200), (200, 10, 1910, 0, 'default', NULL, 10, 12);
COPY trace TO :'file' WITH (FORMAT csv, HEADER);
SELECT policy, queries, offered_load, queue_mean_ms, queue_p50_ms, queue_max_ms, never_waited, latency_mean_ms, short_p95_ms, mean_slowdown,
       makespan_ms, mean_running, peak_memory_kb, mean_memory_kb, over_memory, num_forced, num_preempted, gap, calibration
FROM wlm.simulate('{recorded}', processors => 2, memory => '4MB', trace => 'regress_wlm_trace.csv', settings => '{"short": 100}') \gx
SELECT policy, round(queue_mean_ms) AS queue, round(queue_max_ms) AS longest, never_waited, round(latency_mean_ms) AS latency,
       round(makespan_ms) AS makespan, peak_memory_kb
FROM wlm.simulate('{fifo,unlimited,clairvoyant}', slots => 2, processors => 2, trace => 'regress_wlm_trace.csv');
-- policies come in the order asked for, each once; clairvoyant is what the others are compared with
SELECT policy, gap IS NULL AS no_gap FROM wlm.simulate('{unlimited,fifo,unlimited}', trace => 'regress_wlm_trace.csv');
SELECT policy, gap >= 0 AS gap FROM wlm.simulate('{fifo,clairvoyant}', slots => 1, processors => 1, trace => 'regress_wlm_trace.csv');
SELECT count(*) FROM wlm.simulate('{}', trace => 'regress_wlm_trace.csv');
-- load
SELECT policy, round(offered_load::numeric, 3) AS load FROM wlm.simulate('{recorded,fifo}', processors => 2, load => 0.5, trace => 'regress_wlm_trace.csv');

-- What if reports had another priority: of the whole, and of each queue. One slot, and they came first.
SELECT wlm.create_queue('reports');
DO $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXIT WHEN EXISTS (SELECT FROM wlm.queue_state WHERE queue = 'reports');
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;
COPY (VALUES ('arrival_ms', 'duration_ms', 'duration_with_queue_ms', 'queue', 'predicted_kb', 'predicted_upper_ms'), ('0', '1000', '1000', 'default', '10', '2000'),
             ('10', '1000', '1990', 'default', '10', '2000'), ('20', '1000', '2980', 'reports', '', ''), ('30', '1000', '3970', 'reports', '0', ''))
TO :'file' WITH (FORMAT csv);
SELECT priority, policy, queue, queries, round(queue_mean_ms) AS waited, round(latency_mean_ms) AS latency, offered_load IS NULL AS of_queue, num_forced
FROM unnest('{low,high}'::text[]) priority,
     wlm.simulate('{recorded,wlm}', slots => 1, processors => 1, memory => '4MB', trace => 'regress_wlm_trace.csv', per_queue => true,
                  settings => '{"express_floor": -1}', queues => format('{"reports": {"priority": "%s"}}', priority)::jsonb);
SELECT queries, queue FROM wlm.simulate('{fifo}', slots => 1, processors => 1, trace => 'regress_wlm_trace.csv', per_queue => NULL);
-- waits that are not known
COPY (VALUES ('arrival_ms', 'duration_ms'), ('0', '1000')) TO :'file' WITH (FORMAT csv);
SELECT policy, queue, queries, queue_mean_ms FROM wlm.simulate('{recorded,fifo}', processors => 1, trace => 'regress_wlm_trace.csv', per_queue => true);
SELECT wlm.drop_queue('reports');

-- an hour of statements of six templates: the manager waits less than five slots, and is nearer to the best
CREATE FUNCTION pg_temp.chance(g int, what text) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT ('x' || substr(md5(what || g), 1, 7))::bit(28)::int / 268435456.0 $$;
CREATE TEMP TABLE hour AS
SELECT (3600000 * pg_temp.chance(g, 'when'))::int AS arrival_ms, t AS template, (20 * 3 ^ t * (0.8 + 0.4 * pg_temp.chance(g, 'long')))::int + 1 AS duration_ms,
       (2000 * 2 ^ t)::int AS memory_kb, 'query, "of" ' || t AS note
FROM generate_series(1, 9000) g, LATERAL (SELECT (ARRAY[0, 0, 0, 1, 1, 2, 2, 3, 4, 5])[1 + (10 * pg_temp.chance(g, 'which'))::int % 10] AS t) x;
COPY (SELECT * FROM hour ORDER BY arrival_ms, duration_ms) TO :'file' WITH (FORMAT csv, HEADER);
SELECT policy, queries, round(offered_load::numeric, 1) AS load, num_express > 0 AS express
FROM wlm.simulate('{recorded,wlm,fifo,unlimited,clairvoyant}', processors => 2, memory => '2GB', trace => 'regress_wlm_trace.csv');
SELECT w.queue_mean_ms < f.queue_mean_ms / 3 AS mean, w.queue_p90_ms < f.queue_p90_ms / 3 AS p90, w.never_waited > f.never_waited + 0.1 AS at_once,
       w.short_p95_ms < f.short_p95_ms AS short, c.gap = 0 AS best, w.gap > 0 AND f.latency_mean_ms > w.latency_mean_ms AS nearer
FROM wlm.simulate('{fifo}', slots => 2, processors => 2, memory => '2GB', trace => 'regress_wlm_trace.csv', load => 0.85) f,
     wlm.simulate('{clairvoyant,wlm}', processors => 2, memory => '2GB', trace => 'regress_wlm_trace.csv', load => 0.85) w,
     wlm.simulate('{clairvoyant}', processors => 2, memory => '2GB', trace => 'regress_wlm_trace.csv', load => 0.85) c
WHERE w.policy = 'wlm';

-- History: as many rows as a function makes, in a transaction, so that nothing is left behind. Statements of a second
-- that come together, two slots: who waits is known.
CREATE FUNCTION pg_temp.remember(finished_at timestamptz, queue_ms real, actual_ms real, queue name DEFAULT 'default',
                                 priority text DEFAULT 'normal', lane text DEFAULT 'normal', final_state text DEFAULT 'completed',
                                 peak_kb real DEFAULT 1024, temp_bytes bigint DEFAULT 0, forced boolean DEFAULT false) RETURNS void
LANGUAGE sql AS $$
INSERT INTO wlm.history (finished_at, pid, query_id, template, fingerprint, command, queue, priority, lane, familiarity, final_state,
	forced, evicted, applied, censored, total_cost, estimated_rows, queue_ms, predicted_ms, predicted_low_ms, predicted_high_ms, actual_ms,
	reserved_kb, session_work_mem_kb, granted_work_mem_kb, lacking_kb, coverage, grant_level, grant_reason, peak_kb, temp_bytes,
	workers_planned, workers_granted, workers_launched, worker_reason, model_version, experts)
VALUES (finished_at, 1, 1, 1, 1, 'SELECT', queue, priority, lane, 'plan', final_state,
	forced, false, true, false, 1e6, 1, queue_ms, actual_ms, actual_ms / 1.2, actual_ms * 1.2, actual_ms,
	peak_kb, 4096, 4096, 0, 0, 'own', 'nothing lacks', peak_kb, temp_bytes, 0, 0, 0, 'as planned', 1, '{}')
$$;
BEGIN;
-- 3 at once and one later, of which one waited; and what is not of this kind or period
SELECT count(pg_temp.remember('2020-01-01 00:00:01', 0, 1000)) FROM generate_series(1, 2);
SELECT pg_temp.remember('2020-01-01 00:00:02', 1000, 1000, peak_kb => 4096), pg_temp.remember('2020-01-01 00:00:04', 0, 500, final_state => 'failed'),
       pg_temp.remember('2020-01-01 00:00:05', 1000, 0, final_state => 'timed_out'), pg_temp.remember('2020-01-01 00:00:05', 0, 0, final_state => 'rejected'),
       pg_temp.remember('2020-01-01 00:00:03.1', 0, 100, lane => 'maintenance'), pg_temp.remember('2020-01-02 00:00:00', 0, 1000);
SELECT policy, queries, round(offered_load::numeric, 2) AS load, queue_mean_ms, queue_max_ms, latency_mean_ms, execution_mean_ms, mean_slowdown, makespan_ms,
       peak_memory_kb, num_forced, num_express, num_preempted, num_rejected, num_timeouts
FROM wlm.simulate('{recorded}', since => '2020-01-01', until => '2020-01-02', settings => '{"recorded_processors": 2}');
SELECT policy, queries, round(queue_mean_ms) AS queue, round(latency_mean_ms) AS latency, round(calibration::numeric, 2) AS calibration,
       round(calibration_error_ms::numeric, 1) AS error, peak_memory_kb
FROM wlm.simulate('{recorded,wlm}', since => '2020-01-01', until => '2020-01-02', settings => '{"recorded_processors": 2, "express_floor": -1}',
                  queues => '{"default": {"max_slots": 2}}');
-- what if
SELECT slots, round(queue_mean_ms) AS queue, round(makespan_ms) AS makespan
FROM generate_series(1, 4) slots, wlm.simulate('{fifo}', slots, processors => 4, since => '2020-01-01', until => '2020-01-02', settings => '{"recorded_processors": 2}');
SELECT slots, round(queue_mean_ms) AS queue
FROM (VALUES ('1'), ('2'), ('3')) v(slots),
     wlm.simulate('{wlm}', processors => 4, since => '2020-01-01', until => '2020-01-02', settings => '{"recorded_processors": 2, "express_floor": -1}',
                  queues => format('{"default": {"max_slots": %s}}', slots)::jsonb);
SELECT timeout, round(queue_mean_ms) AS queue, num_timeouts, num_rejected, num_forced
FROM (VALUES ('"queue_timeout": "0.5 s"'), ('"queue_timeout": 500'), ('"queue_timeout": null'), ('"max_queue_length": 0')) v(timeout),
     wlm.simulate('{wlm}', processors => 4, since => '2020-01-01', until => '2020-01-02', settings => '{"recorded_processors": 2, "express_floor": -1}',
                  queues => format('{"default": {"max_slots": 2, %s}}', timeout)::jsonb);
SELECT wait, num_forced FROM unnest('{100,10000}'::int[]) wait,
     wlm.simulate('{wlm}', processors => 4, since => '2020-01-01', until => '2020-01-02', queues => '{"default": {"max_slots": 2}}',
                  settings => format('{"recorded_processors": 2, "express_floor": -1, "max_wait": %s}', wait)::jsonb);
-- memory: what runs together must fit
SELECT memory, round(queue_mean_ms) AS queue, peak_memory_kb
FROM unnest('{2MB,16GB}'::text[]) memory, wlm.simulate('{wlm}', memory => memory, processors => 4, since => '2020-01-01', until => '2020-01-02',
     settings => '{"recorded_processors": 2, "express_floor": -1}', queues => '{"default": {"max_slots": 4}}');
-- queues that were dropped since
SELECT pg_temp.remember('2020-01-01 00:00:04', 0, 500, queue => 'gone');
SELECT policy, queries FROM wlm.simulate('{fifo}', since => '2020-01-01', until => '2020-01-02');
-- priorities: session's own, or the queue's if that is to change
SELECT pg_temp.remember('2021-01-01 00:00:10', 0, t, priority => p) FROM (VALUES (1, 1000, 'low'), (2, 1010, 'low'), (3, 4000, 'high')) v(i, t, p) ORDER BY i;
UPDATE wlm.history SET finished_at = '2021-01-01'::timestamptz + actual_ms * interval '1 ms' WHERE finished_at = '2021-01-01 00:00:10';
SELECT changes, round(queue_mean_ms) AS queue
FROM (VALUES ('{"default": {"max_slots": 1}}'), ('{"default": {"max_slots": 1, "priority": "low"}}')) v(changes),
     wlm.simulate('{wlm}', processors => 1, queues => changes::jsonb, settings => '{"recorded_processors": 4, "express_floor": -1}',
                  since => '2021-01-01', until => '2021-01-02');
ROLLBACK;

-- calibration: the configuration in force, beside what it did
SELECT wlm.alter_queue('default', max_slots => 2);
DO $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXIT WHEN (SELECT slots = 2 AND NOT automatic FROM wlm.queue_state WHERE queue = 'default');
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;
BEGIN;
SELECT count(pg_temp.remember('2020-01-01 00:00:30', 0, 30000)) FROM generate_series(1, 2);
SELECT pg_temp.remember('2020-01-01 00:01:00', 30000, 30000), pg_temp.remember('2020-01-01 00:01:00', 29000, 30000);
SELECT policy, queries, round(queue_mean_ms) AS queue, round(calibration::numeric, 2) AS calibration, round(calibration_error_ms::numeric, 1) AS error
FROM wlm.simulate('{recorded,wlm}', since => '2020-01-01', until => '2020-01-02', settings => '{"recorded_processors": 2}');
SELECT policy, round(queue_mean_ms) AS queue, round(calibration::numeric, 2) AS calibration, round(calibration_error_ms::numeric, 1) AS error
FROM wlm.simulate('{wlm,recorded}', since => '2020-01-01', until => '2020-01-02', settings => '{"recorded_processors": 2}', queues => '{"default": {"max_slots": 1}}');
ROLLBACK;
SELECT wlm.alter_queue('default', reset => '{all}');
DELETE FROM wlm.queue WHERE name = 'default';

-- what is refused
SELECT wlm.simulate(since => '2020-01-01', until => '2020-01-02');
SELECT wlm.simulate('{oracle}');
SELECT wlm.simulate('{NULL}');
SELECT wlm.simulate(NULL);
SELECT wlm.simulate(slots => 0);
SELECT wlm.simulate(processors => 0);
SELECT wlm.simulate(processors => 'NaN');
SELECT wlm.simulate(load => -1);
SELECT wlm.simulate(memory => '32 elephants');
SELECT wlm.simulate(memory => '1kB');
SELECT wlm.simulate(queues => '[]');
SELECT wlm.simulate(queues => '{"nobody": {}}');
SELECT wlm.simulate(queues => '{"default": 3}');
SELECT wlm.simulate(queues => '{"default": [3]}');
SELECT wlm.simulate(queues => '{"default": {"roles": "{bob}"}}');
SELECT wlm.simulate(queues => '{"default": {"max_slots": 0}}');
SELECT wlm.simulate(queues => '{"default": {"max_slots": 1.5}}');
SELECT wlm.simulate(queues => '{"default": {"max_slots": "many"}}');
SELECT wlm.simulate(queues => '{"default": {"priority": "urgent"}}');
SELECT wlm.simulate(queues => '{"default": {"priority": null}}');
SELECT wlm.simulate(queues => '{"default": {"queue_timeout": "soon"}}');
SELECT wlm.simulate(queues => '{"default": {"queue_timeout": "-1 s"}}');
SELECT wlm.simulate(queues => '{"default": {"memory_share": 0.5, "max_memory_share": 0.25}}');
SELECT wlm.simulate(settings => '"fast"');
SELECT wlm.simulate(settings => '{"speed": 2}');
SELECT wlm.simulate(settings => '{"preemption": 1}');
SELECT wlm.simulate(settings => '{"max_wait": "1 s"}');
SELECT wlm.simulate(settings => '{"superuser_slots": 1}');
SELECT wlm.simulate(trace => 'regress_wlm_trace.csv', since => '2020-01-01');
SELECT wlm.simulate(trace => 'regress_wlm_nowhere.csv');
SELECT wlm.simulate(trace => 'base');
COPY (SELECT 'arrival_ms,duration') TO :'file';
SELECT wlm.simulate(trace => 'regress_wlm_trace.csv');
COPY (SELECT 1 WHERE false) TO :'file';
SELECT wlm.simulate(trace => 'regress_wlm_trace.csv');
COPY (SELECT * FROM trace WHERE false) TO :'file' WITH (FORMAT csv, HEADER);
SELECT wlm.simulate(trace => 'regress_wlm_trace.csv');
COPY (SELECT unnest(ARRAY['duration_ms,arrival_ms,other', '5,5,', '5,4,'])) TO :'file';
SELECT policy, round(makespan_ms) AS makespan FROM wlm.simulate('{fifo}', processors => 2, trace => 'regress_wlm_trace.csv');
COPY (SELECT unnest(ARRAY['arrival_ms,duration_ms,priority', '5,long,'])) TO :'file';
SELECT wlm.simulate(trace => 'regress_wlm_trace.csv');
COPY (SELECT unnest(ARRAY['arrival_ms,duration_ms,priority', '5,-1,'])) TO :'file';
SELECT wlm.simulate(trace => 'regress_wlm_trace.csv');
COPY (SELECT unnest(ARRAY['arrival_ms,duration_ms,priority', '5,5,urgent'])) TO :'file';
SELECT wlm.simulate(trace => 'regress_wlm_trace.csv');
COPY (SELECT unnest(ARRAY['arrival_ms,duration_ms,priority', '5'])) TO :'file';
SELECT wlm.simulate(trace => 'regress_wlm_trace.csv');
COPY (SELECT unnest(ARRAY['arrival_ms,duration_ms,priority', '5,5,"low'])) TO :'file';
SELECT wlm.simulate(trace => 'regress_wlm_trace.csv');
COPY (SELECT unnest(ARRAY['"arrival_ms",duration_ms,priority', '5,5,"low"', '6,"5",'])) TO :'file';
SELECT queries FROM wlm.simulate('{fifo}', trace => 'regress_wlm_trace.csv');

-- who may: with the caller's rights, and files only for those who may read the server's
CREATE ROLE regress_wlm_reader;
GRANT pg_monitor TO regress_wlm_reader;
SET ROLE regress_wlm_reader;
SELECT wlm.simulate(trace => 'regress_wlm_trace.csv');
SELECT wlm.simulate(since => '2020-01-01', until => '2020-01-02');
RESET ROLE;
REVOKE pg_monitor FROM regress_wlm_reader;
GRANT EXECUTE ON FUNCTION wlm.simulate TO regress_wlm_reader;
SET ROLE regress_wlm_reader;
SELECT wlm.simulate(since => '2020-01-01', until => '2020-01-02');
RESET ROLE;
GRANT pg_read_server_files TO regress_wlm_reader;
SET ROLE regress_wlm_reader;
SELECT queries FROM wlm.simulate('{fifo}', trace => 'regress_wlm_trace.csv');
SHOW wlm.bypass;
RESET ROLE;
DROP OWNED BY regress_wlm_reader;
DROP ROLE regress_wlm_reader;
COPY (SELECT) TO PROGRAM :'remove';
