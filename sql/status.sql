-- status(), activity, queue_state: one's own statement as others see it
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
RESET client_min_messages;
\set SHOW_CONTEXT never

SELECT wlm.flush();
SELECT wlm.version(), version, loaded, mode, database = current_database() AS database, launcher_running, worker_problem,
       history_available, history_replayed, budget_kb > 0 AS budget, express_cutoff_ms >= 0 AS cutoff, recall_capacity > 0 AS capacity
FROM wlm.status();

CREATE TABLE status_data AS SELECT g AS id, repeat('x', 100) AS t FROM generate_series(1, 50000) g;
ANALYZE status_data;
SET max_parallel_workers_per_gather = 0;
SET wlm.query_group = 'status';

-- an open cursor is a statement in the middle
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM status_data ORDER BY t, id DESC;
FETCH 1 FROM c \g /dev/null
SELECT pid = pg_backend_pid() AS pid, database = current_database() AS database,
       role = current_user AS role, queue, state, position, priority, forced, applied, predicted_ms > 0 AS predicted,
       requested_kb > 0 AS requested, reserved_kb > 0 AS reserved, granted_kb >= work_mem_kb AS granted, grown_kb, workers_granted,
       queue_time < '1 min' AS queue_time, exec_time < '1 min' AS exec_time, wait_reason
FROM wlm.activity WHERE pid = pg_backend_pid();
SELECT num_running + num_returned AS here, memory_reserved_kb > 0 AS reserved FROM wlm.queue_state WHERE queue = 'default';
SELECT num_active, reserved_kb > 0 AS reserved FROM wlm.status();
CREATE ROLE regress_wlm_other;
SET LOCAL ROLE regress_wlm_other;
SELECT count(*) AS of_others FROM wlm.activity;
RESET ROLE;
COMMIT;

-- and gone without a trace
SELECT count(*) FROM wlm.activity;
SELECT sum(num_running + num_returned + num_queued) AS statements, sum(memory_reserved_kb) AS reserved FROM wlm.queue_state;
SELECT num_active, num_queued, reserved_kb, forced_kb, num_errors FROM wlm.status();

-- it is in the history once flushed
SELECT wlm.flush();
SELECT wlm.reset('history');
SELECT count(*) FROM (SELECT * FROM status_data ORDER BY t, id DESC OFFSET 0) s;
SELECT wlm.flush();
SELECT database = current_database() AS database, role = current_user AS role, command, queue, final_state, censored, forced
FROM wlm.history;
SELECT operator, memory_class, peak_kb > 0 AS peak FROM wlm.history_operator;

-- who only looks is not managed
SELECT wlm.reset('history');
SELECT count(*) > 0 AS rows FROM pg_class, generate_series(1, 1000);
SELECT count(*) AS rows FROM wlm.queue, wlm.activity, generate_series(1, 100000);
SELECT wlm.flush();
SELECT count(*) FROM wlm.history;
-- what the extension owns, that is; a schema may be called so elsewhere, or have other tables too
CREATE TABLE wlm.status_others AS SELECT 1 AS x;
SELECT count(*) AS rows FROM wlm.status_others, generate_series(1, 100000);
SELECT wlm.flush();
SELECT count(*) FROM wlm.history;
DROP TABLE wlm.status_others;

DROP TABLE status_data;
DROP ROLE regress_wlm_other;
