-- Queues: what can be created, changed and dropped, and what the messages say
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

-- the built-in queue needs no row
SELECT count(*) FROM wlm.queue;
SELECT wait_for_queue($$(SELECT count(*) FROM wlm.queue_state) = 1$$);
SELECT queue, priority, automatic FROM wlm.queue_state;

SELECT wlm.create_queue('reports', priority => 'low', max_slots => 2, memory_share => 0.25,
                        max_memory_share => 0.5, max_queue_length => 10, queue_timeout => '5 min',
                        application_name => 'report%', query_group => 'reports', ordinal => 10);
SELECT wait_for_queue($$queue = 'reports' AND slots = 2 AND priority = 'low' AND NOT automatic$$);
SELECT wlm.create_queue('etl', roles => '{wlm_admin}', databases => '{postgres}', ordinal => 20);
SELECT * FROM wlm.queue ORDER BY ordinal;

-- only what is given changes; reset gives defaults back
SELECT wlm.alter_queue('reports', max_slots => 3, reset => '{queue_timeout,application_name}');
SELECT wait_for_queue($$queue = 'reports' AND slots = 3$$);
SELECT * FROM wlm.queue WHERE name = 'reports';
SELECT wlm.alter_queue('reports', priority => 'high', reset => '{all}');
SELECT * FROM wlm.queue WHERE name = 'reports';

-- "default" can be changed, but has no conditions and stays
SELECT wlm.alter_queue('default', max_slots => 7, ordinal => 30);
SELECT wait_for_queue($$queue = 'default' AND slots = 7$$);
SELECT wlm.alter_queue('default', query_group => 'x');
SELECT wlm.create_queue('default');
SELECT wlm.drop_queue('default');
SELECT wlm.alter_queue('default', reset => '{all}');
SELECT wait_for_queue($$queue = 'default' AND automatic$$);

-- mistakes
SELECT wlm.create_queue('reports');
SELECT wlm.create_queue('');
SELECT wlm.create_queue(NULL);
SELECT wlm.create_queue('x', priority => 'urgent');
SELECT wlm.create_queue('x', max_slots => 0);
SELECT wlm.create_queue('x', max_slots => -5);
SELECT wlm.create_queue('x', memory_share => -0.1);
SELECT wlm.create_queue('x', memory_share => 'NaN');
SELECT wlm.create_queue('x', max_memory_share => 1.5);
SELECT wlm.create_queue('x', max_memory_share => 0);
SELECT wlm.create_queue('x', memory_share => 0.5, max_memory_share => 0.2);
SELECT wlm.create_queue('x', max_queue_length => -1);
SELECT wlm.create_queue('x', queue_timeout => '-1 s');
SELECT wlm.create_queue('x', roles => '{regress_no_such_role}');
SELECT wlm.create_queue('x', databases => '{regress_no_such_database}');
SELECT wlm.create_queue('x', application_name => repeat('x', 64));
SELECT wlm.create_queue('x', roles => (SELECT array_agg('r' || i) FROM generate_series(1, 17) i)::name[]);
SELECT wlm.alter_queue('nonexistent', max_slots => 1);
SELECT wlm.alter_queue('reports', max_slots => 0);
SELECT wlm.alter_queue('reports', reset => '{max_slots,colour}');
SELECT wlm.drop_queue('nonexistent');

-- what only all queues together can violate
SELECT wlm.alter_queue('reports', memory_share => 0.6);
SELECT wlm.alter_queue('etl', memory_share => 0.6);
INSERT INTO wlm.queue (name, memory_share) VALUES ('greedy', 0.6);
INSERT INTO wlm.queue (name) SELECT 'q' || i FROM generate_series(1, 62) i;
\set VERBOSITY terse
INSERT INTO wlm.queue (name, priority) VALUES ('raw', 'urgent');
\set VERBOSITY default

-- several changes in one transaction are one change; a rolled back one is none
BEGIN;
SELECT wlm.create_queue('a', ordinal => 40);
SELECT wlm.create_queue('b', ordinal => 50);
SAVEPOINT s;
SELECT wlm.create_queue('c', ordinal => 60);
ROLLBACK TO s;
COMMIT;
SELECT wait_for_queue($$queue = 'b'$$);
BEGIN;
SELECT wlm.drop_queue('a');
ROLLBACK;
SELECT queue FROM wlm.queue_state ORDER BY queue COLLATE "C";

SELECT wlm.drop_queue('a');
SELECT wlm.drop_queue('b');
SELECT wlm.drop_queue('etl');
SELECT wlm.drop_queue('reports');
DELETE FROM wlm.queue;
SELECT wait_for_queue($$(SELECT count(*) FROM wlm.queue_state) = 1$$);
SELECT * FROM wlm.queue;

SELECT wlm.cancel_queued(-1);
DROP FUNCTION wait_for_queue(text);
