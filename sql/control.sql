-- Control: what the functions say, without anybody to control. With statements that wait: test/isolation, test/tap
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
RESET client_min_messages;
\set SHOW_CONTEXT never

-- the worker needs a moment to compile a committed change
CREATE FUNCTION wait_for_queue(condition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	found boolean;
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXECUTE 'SELECT EXISTS (SELECT FROM wlm.queue_state WHERE ' || condition || ')' INTO found;
		IF found THEN
			RETURN true;
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN false;
END $$;

SELECT wlm.create_queue('controlled', max_slots => 2, query_group => 'controlled');
SELECT wait_for_queue($$queue = 'controlled' AND state = 'open'$$);
SELECT guaranteed_slots, max_slots, num_preempted, total_wasted FROM wlm.queue_state WHERE queue = 'controlled';

SELECT wlm.pause_queue('controlled');
SELECT wait_for_queue($$queue = 'controlled' AND state = 'paused'$$);
SELECT name, state FROM wlm.queue;
SELECT wlm.drain_queue('controlled');
SELECT wait_for_queue($$queue = 'controlled' AND state = 'draining'$$);
SELECT wlm.resume_queue('controlled');
SELECT wait_for_queue($$queue = 'controlled' AND state = 'open'$$);
-- what is rolled back has not happened
BEGIN;
SELECT wlm.pause_queue('controlled');
ROLLBACK;
SELECT name, state FROM wlm.queue;
-- "default" needs a row for it
SELECT wlm.pause_queue('default');
SELECT wait_for_queue($$queue = 'default' AND state = 'paused'$$);
SELECT wlm.resume_queue('default');
SELECT wait_for_queue($$queue = 'default' AND state = 'open'$$);

-- mistakes
SELECT wlm.drain_queue('default');
SELECT wlm.pause_queue('nonexistent');
SELECT wlm.resume_queue('nonexistent');
SELECT wlm.drain_queue('nonexistent');
SELECT wlm.pause_queue(NULL);
SELECT wlm.change_query_priority(-1, 'low');
SELECT wlm.change_query_priority(0, 'low');
SET client_min_messages = error;
SELECT wlm.change_query_priority(pg_backend_pid(), 'low');
RESET client_min_messages;
SELECT wlm.change_query_priority(-1, 'urgent');
SELECT wlm.change_query_priority(NULL, 'low') IS NULL AS nothing;
SELECT wlm.move_query(-1, 'controlled');
SELECT wlm.move_query(-1, 'nonexistent');

-- priorities of roles
CREATE ROLE regress_wlm_user;
SELECT wlm.change_user_priority('regress_wlm_user', 'low');
SELECT wlm.change_user_priority('regress_wlm_user', 'high');
SELECT role, priority FROM wlm.user_priority;
SELECT wlm.change_user_priority('regress_wlm_user', 'urgent');
SELECT wlm.change_user_priority('regress_no_such_role', 'low');
SELECT wlm.change_user_priority(NULL, 'low');
SELECT wlm.change_user_priority('regress_wlm_user');
SELECT wlm.change_user_priority('regress_wlm_user');
SELECT count(*) FROM wlm.user_priority;

-- who may
CREATE ROLE regress_wlm_admin IN ROLE wlm_admin;
SET ROLE regress_wlm_user;
SELECT wlm.pause_queue('controlled');
SELECT wlm.resume_queue('controlled');
SELECT wlm.drain_queue('controlled');
SELECT wlm.change_user_priority('regress_wlm_user', 'highest');
SELECT wlm.change_query_priority(pg_backend_pid(), 'highest');
SELECT wlm.move_query(pg_backend_pid(), 'default');
SELECT * FROM wlm.concurrency;
SELECT wlm.concurrency_changes();
SET ROLE regress_wlm_admin;
SELECT wlm.pause_queue('controlled');
SELECT wlm.resume_queue('controlled');
SELECT wlm.change_user_priority('regress_wlm_user', 'highest');
SELECT wlm.change_user_priority('regress_wlm_user', 'critical');
SELECT wlm.change_query_priority(-1, 'critical');
SELECT wlm.change_user_priority('regress_wlm_user');
SELECT count(*) FROM wlm.concurrency;
RESET ROLE;
DO $$ BEGIN
	EXECUTE format('CREATE FUNCTION superuser_priority() RETURNS text LANGUAGE plpgsql AS %L', format(
		'BEGIN PERFORM wlm.change_user_priority(%L, ''low''); RETURN ''done''; EXCEPTION WHEN insufficient_privilege THEN RETURN sqlerrm; END',
		current_user));
END $$;
SET ROLE regress_wlm_admin;
SELECT superuser_priority();
RESET ROLE;
DROP FUNCTION superuser_priority();

-- the pool that automatic queues share
SELECT slots > 0 AS slots, slots_used, automatic, superuser_slots_used, superuser_slots, changed_at <= clock_timestamp() AS changed
FROM wlm.concurrency;
SELECT DISTINCT reason FROM wlm.concurrency_changes() WHERE reason = 'start';
SELECT count(*) BETWEEN 1 AND 64 AS some, bool_and(slots_before <> slots_after) AS changes FROM wlm.concurrency_changes();
SELECT num_preempted >= 0 AS preempted, num_rules_fired >= 0 AS rules, express_correction > 0 AS correction FROM wlm.status();

SELECT wlm.drop_queue('controlled');
DELETE FROM wlm.queue;
SELECT wait_for_queue($$(SELECT count(*) FROM wlm.queue_state) = 1$$);
DROP FUNCTION wait_for_queue(text);
DROP ROLE regress_wlm_user, regress_wlm_admin;
