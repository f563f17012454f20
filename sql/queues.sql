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
SELECT wlm.create_queue('etl', roles => '{wlm_admin}', databases => '{postgres}', ordinal => 20, slot_share => 0.25,
                        max_slot_share => 0.75, max_execution_time => '2 h', client_addresses => '{local,10.0.0.0/8,::1}',
                        commands => '{insert,merge}', min_predicted_time => '1 s', max_predicted_time => '1 h',
                        min_predicted_memory_kb => 100, max_predicted_memory_kb => 1000000, min_cost => 1000, max_cost => 1e9,
                        state => 'paused');
\x on
SELECT * FROM wlm.queue ORDER BY ordinal;
\x off

-- only what is given changes; reset gives defaults back
SELECT wlm.alter_queue('reports', max_slots => 3, reset => '{queue_timeout,application_name}');
SELECT wait_for_queue($$queue = 'reports' AND slots = 3$$);
SELECT wlm.alter_queue('etl', state => 'draining', max_cost => 1e10, slot_share => 0.5, reset => '{commands,min_predicted_time}');
\x on
SELECT * FROM wlm.queue ORDER BY ordinal;
SELECT wlm.alter_queue('reports', priority => 'high', reset => '{all}');
SELECT wlm.alter_queue('etl', reset => '{all}');
SELECT * FROM wlm.queue ORDER BY ordinal;
\x off

-- "default" can be changed, but has no conditions and stays
SELECT wlm.alter_queue('default', max_slots => 7, ordinal => 30);
SELECT wait_for_queue($$queue = 'default' AND slots = 7$$);
SELECT wlm.alter_queue('default', query_group => 'x');
SELECT wlm.alter_queue('default', commands => '{select}');
SELECT wlm.alter_queue('default', max_predicted_time => '1 s');
SELECT wlm.alter_queue('default', state => 'draining');
SELECT wlm.alter_queue('default', state => 'paused', max_execution_time => '10 h', slot_share => 0.1, reset => '{max_slots}');
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
SELECT wlm.create_queue('x', state => 'closed');
SELECT wlm.create_queue('x', slot_share => 1.1);
SELECT wlm.create_queue('x', max_slot_share => 0);
SELECT wlm.create_queue('x', slot_share => 0.5, max_slot_share => 0.2);
SELECT wlm.create_queue('x', max_slots => 2, slot_share => 0.9);
SELECT wlm.create_queue('x', max_slots => 2, max_slot_share => 0.9);
SELECT wlm.create_queue('x', max_execution_time => '0');
SELECT wlm.create_queue('x', commands => '{select,truncate}');
SELECT wlm.create_queue('x', client_addresses => '{10.0.0.0/8,elsewhere}');
SELECT wlm.create_queue('x', client_addresses => '{10.0.0.0/40}');
SELECT wlm.create_queue('x', client_addresses => '{10.0.0.1,NULL}');
SELECT wlm.create_queue('x', client_addresses => (SELECT array_agg('10.0.0.' || i) FROM generate_series(1, 9) i));
SELECT wlm.create_queue('x', min_predicted_time => '-1 s');
SELECT wlm.create_queue('x', max_predicted_memory_kb => 0);
SELECT wlm.create_queue('x', min_cost => 'NaN');
SELECT wlm.create_queue('x', min_predicted_time => '1 min', max_predicted_time => '60 s');
SELECT wlm.create_queue('x', min_predicted_memory_kb => 10, max_predicted_memory_kb => 1);
SELECT wlm.create_queue('x', min_cost => 2, max_cost => 1);
SELECT wlm.alter_queue('nonexistent', max_slots => 1);
SELECT wlm.alter_queue('reports', max_slots => 0);
SELECT wlm.alter_queue('reports', reset => '{max_slots,colour}');
SELECT wlm.drop_queue('nonexistent');

-- what only all queues together can violate
SELECT wlm.alter_queue('reports', memory_share => 0.6);
SELECT wlm.alter_queue('etl', memory_share => 0.6);
INSERT INTO wlm.queue (name, memory_share) VALUES ('greedy', 0.6);
SELECT wlm.alter_queue('reports', slot_share => 0.6);
SELECT wlm.alter_queue('etl', slot_share => 0.6);
SELECT wlm.alter_queue('reports', max_slots => 2);
SELECT wlm.alter_queue('reports', max_slots => 2, reset => '{slot_share}');
SELECT wlm.alter_queue('reports', slot_share => 0.6);
SELECT wlm.alter_queue('etl', slot_share => 0.6);
SELECT wlm.alter_queue('reports', reset => '{max_slots}');
INSERT INTO wlm.queue (name) SELECT 'q' || i FROM generate_series(1, 62) i;
\set VERBOSITY terse
INSERT INTO wlm.queue (name, priority) VALUES ('raw', 'urgent');
INSERT INTO wlm.queue (name, max_slots, slot_share) VALUES ('raw', 2, 0.1);
INSERT INTO wlm.queue (name, state) VALUES ('raw', 'closed');
INSERT INTO wlm.queue (name, commands) VALUES ('raw', '{truncate}');
INSERT INTO wlm.queue (name, min_cost, max_cost) VALUES ('raw', 1, 1);
INSERT INTO wlm.queue (name, state) VALUES ('default', 'draining');
-- what no constraint forbids becomes harmless: it matches nobody
INSERT INTO wlm.queue (name, client_addresses) VALUES ('raw', '{elsewhere}');
SELECT wait_for_queue($$queue = 'raw'$$);
SELECT matches, reason FROM wlm.classify('SELECT * FROM wlm.history ORDER BY id') WHERE queue = 'raw';
DELETE FROM wlm.queue WHERE name = 'raw';
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
