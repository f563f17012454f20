-- Which queue a statement goes to, and why: conditions of every kind, wlm.classify(), priorities of users
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
-- where a statement goes and why not elsewhere; predictions as #
CREATE FUNCTION classified(sql text) RETURNS TABLE (queue name, matches boolean, reason text, chosen boolean, priority text)
LANGUAGE sql AS $$
	SELECT c.queue, c.matches, regexp_replace(c.reason, '^(predicted \w+) [0-9.e+]+ \w+|^(cost) [0-9.e+]+', '\1\2 #'), c.chosen, c.priority
	FROM wlm.classify(sql) c ORDER BY c.ordinal
$$;
CREATE FUNCTION chosen(sql text) RETURNS name LANGUAGE sql AS $$ SELECT queue FROM wlm.classify(sql) WHERE chosen $$;
CREATE TABLE routed AS SELECT i AS a, i % 10 AS b FROM generate_series(1, 10000) i;
ANALYZE routed;
SET wlm.mode = auto;

-- nothing but "default"
SELECT * FROM classified('SELECT 1');
SELECT ordinal, queue, lane IS NOT NULL AS lane FROM wlm.classify('SELECT count(*) FROM routed a, routed b, routed c');

-- each kind of condition
SELECT wlm.create_queue('group', query_group => 'night');
SELECT wlm.create_queue('database', databases => '{postgres}');
SELECT wlm.create_queue('application', application_name => 'dash%');
SELECT wlm.create_queue('network', client_addresses => '{10.0.0.0/8,2001:db8::/32}');
SELECT wlm.create_queue('command', commands => '{insert,update,delete}');
SELECT wlm.create_queue('time', min_predicted_time => '1000 h');
SELECT wlm.create_queue('memory', min_predicted_memory_kb => 1000000000000);
SELECT wlm.create_queue('cost', min_cost => 1e20);
SELECT wlm.create_queue('role', roles => '{pg_read_all_data}');
SELECT wlm.create_queue('last');
SELECT wait_for_queue($$queue = 'last'$$);
SET client_min_messages = warning;
SET application_name = 'psql';
SELECT * FROM classified('SELECT * FROM routed ORDER BY a');
SELECT chosen('DELETE FROM routed');
SELECT chosen('WITH gone AS (DELETE FROM routed RETURNING a) SELECT * FROM gone');
SET wlm.query_group = 'night';
SELECT chosen('SELECT * FROM routed');
SET wlm.query_group = 'day';
SELECT reason FROM classified('SELECT * FROM routed') WHERE queue = 'group';
RESET wlm.query_group;
SET application_name = 'dashboard/1';
SELECT chosen('SELECT * FROM routed');
SET application_name = 'psql';

-- upper bounds; what is under one queue's bound is not over that of the next
SELECT wlm.alter_queue('time', max_predicted_time => '10 us', reset => '{min_predicted_time}');
SELECT wlm.alter_queue('memory', max_predicted_memory_kb => 1, reset => '{min_predicted_memory_kb}');
SELECT wlm.alter_queue('cost', max_cost => 1, reset => '{min_cost}');
SELECT wlm.alter_queue('last', priority => 'low');
SELECT wait_for_queue($$queue = 'last' AND priority = 'low'$$);
SELECT queue, reason FROM classified('SELECT * FROM routed a JOIN routed b USING (b) ORDER BY a.a') WHERE queue IN ('time', 'memory', 'cost');
SELECT chosen('SELECT * FROM routed');

-- local clients, membership that is not a superuser's
SELECT wlm.alter_queue('network', client_addresses => '{10.0.0.0/8,local}');
SELECT wlm.alter_queue('last', priority => 'high');
SELECT wait_for_queue($$queue = 'last' AND priority = 'high'$$);
SELECT chosen('SELECT * FROM routed');
SELECT wlm.drop_queue('network');
CREATE ROLE regress_wlm_reader IN ROLE pg_read_all_data;
SELECT wait_for_queue($$(SELECT count(*) FROM wlm.queue_state) = 10$$);
SET ROLE regress_wlm_reader;
SELECT chosen('SELECT * FROM routed');
RESET ROLE;
CREATE ROLE regress_wlm_nobody;
SET ROLE regress_wlm_nobody;
SELECT wlm.classify('SELECT * FROM routed');
RESET ROLE;
-- who may not see what others do learns no conditions of other queues
GRANT SELECT ON routed TO regress_wlm_nobody;
SET ROLE regress_wlm_nobody;
SELECT * FROM classified('SELECT * FROM routed a JOIN routed b USING (b) ORDER BY a.a');
RESET ROLE;
GRANT pg_monitor TO regress_wlm_nobody;
SET ROLE regress_wlm_nobody;
SELECT queue, reason FROM classified('SELECT * FROM routed a JOIN routed b USING (b) ORDER BY a.a') WHERE queue IN ('database', 'role');
RESET ROLE;
REVOKE SELECT ON routed FROM regress_wlm_nobody;
DROP ROLE regress_wlm_nobody;

-- a draining queue takes nobody, a paused one does
SELECT wlm.alter_queue('last', state => 'draining');
SELECT wlm.alter_queue('application', priority => 'low');
SELECT wait_for_queue($$queue = 'application' AND priority = 'low'$$);
SELECT queue, matches, reason, chosen FROM classified('SELECT * FROM routed') WHERE queue IN ('last', 'default');
SELECT wlm.alter_queue('last', state => 'paused');
SELECT wlm.alter_queue('application', priority => 'high');
SELECT wait_for_queue($$queue = 'application' AND priority = 'high'$$);
SELECT queue, matches, reason, chosen FROM classified('SELECT * FROM routed') WHERE queue IN ('last', 'default');
-- instead of waiting
SELECT wlm.alter_queue('last', query_group => 'superuser');
SELECT wlm.alter_queue('application', priority => 'low');
SELECT wait_for_queue($$queue = 'application' AND priority = 'low'$$);
SET wlm.query_group = 'superuser';
SELECT queue, reason, lane FROM wlm.classify('SELECT count(*) FROM routed a, routed b, routed c') WHERE chosen;
RESET wlm.query_group;
SELECT wlm.alter_queue('last', reset => '{state,query_group}');

-- priorities: the session's own, the user's, the queue's; critical is for superusers
INSERT INTO wlm.user_priority VALUES ('regress_wlm_reader', 'critical'), (current_user, 'lowest');
SELECT wlm.alter_queue('application', priority => 'lowest');
SELECT wait_for_queue($$queue = 'application' AND priority = 'lowest'$$);
SELECT priority FROM classified('SELECT * FROM routed') WHERE chosen;
SET wlm.priority = critical;
SELECT priority FROM classified('SELECT * FROM routed') WHERE chosen;
RESET wlm.priority;
SET ROLE regress_wlm_reader;
SELECT priority FROM classified('SELECT * FROM routed') WHERE chosen;
RESET ROLE;
DELETE FROM wlm.user_priority;
INSERT INTO wlm.user_priority VALUES ('x', 'urgent');

-- EXPLAIN and explain() say the same as classify()
SELECT wlm.alter_queue('application', priority => 'high');
SELECT wait_for_queue($$queue = 'application' AND priority = 'high'$$);
SELECT line LIKE '%Queue: command%' AS agrees FROM wlm.explain('DELETE FROM routed') line WHERE line LIKE '%Queue:%';

-- and a statement that runs goes there: history says so
SET wlm.sample_rate = 1;
SELECT count(*) > 0 FROM routed a, routed b WHERE a.a < 500 AND a.b < b.b;
SELECT wlm.flush();
SELECT queue FROM wlm.history ORDER BY id DESC LIMIT 1;
RESET wlm.sample_rate;
RESET wlm.mode;
RESET client_min_messages;

-- what cannot be classified
SELECT wlm.classify('VACUUM');
SELECT wlm.classify('SELECT 1; SELECT 2');
SELECT wlm.classify('SELECT $1::int');

DELETE FROM wlm.queue;
SELECT wait_for_queue($$(SELECT count(*) FROM wlm.queue_state) = 1$$);
RESET application_name;
DROP TABLE routed;
DROP ROLE regress_wlm_reader;
DROP FUNCTION classified(text);
DROP FUNCTION chosen(text);
DROP FUNCTION wait_for_queue(text);
