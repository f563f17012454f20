-- Who may see and do what: an ordinary user, a member of pg_monitor, a member of wlm_admin; and nobody can raise what
-- he is given, jump the queue, read what others do or teach wrong things.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP true

BEGIN;
SELECT no_plan();

CREATE ROLE wlm_test_user;
CREATE ROLE wlm_test_other;
CREATE ROLE wlm_test_monitor IN ROLE pg_monitor;
CREATE ROLE wlm_test_admin IN ROLE wlm_admin;
CREATE TABLE public.secret (x int);
CREATE TABLE public.open (x int);
GRANT SELECT ON public.open TO PUBLIC;
CREATE FUNCTION public.leaks(int) RETURNS int LANGUAGE plpgsql COST 1000000 AS $$ BEGIN RAISE 'it was run'; END $$;

-- Settings that decide over others are not an ordinary user's.
SELECT throws_ok(format('SET ROLE wlm_test_user; SET wlm.%s = %L', name, value), '42501',
	format('permission denied to set parameter "wlm.%s"', name), 'a user cannot set ' || name)
FROM (VALUES ('mode', 'off'), ('mode', 'auto'), ('bypass', 'on'), ('priority', 'critical'), ('priority', 'low'), ('slot_count', '1'),
	('queue_timeout', '1'), ('respect_user_work_mem', 'off'), ('sample_rate', '1'), ('query_serial', '3')) v(name, value);
SELECT throws_ok($$SET ROLE wlm_test_user; SHOW wlm.trainer$$, '42501', NULL, 'a user cannot see which program is started');
SELECT throws_matching(format('SET wlm.%s = %L', name, value), 'cannot be changed', name || ' is for the configuration file')
FROM (VALUES ('memory', '1TB'), ('max_work_mem', '1TB'), ('min_cost', '1'), ('grant_quantile', '0.6'), ('oversubscription', '9'),
	('database', 'x'), ('model_memory', '1MB'), ('history_rows', '2000'), ('max_wait', '1'), ('max_standstill', '1'), ('trainer', '/bin/sh'), ('train_interval', '1'),
	('train_statements', '60'), ('train_memory', '1GB'), ('train_timeout', '6')) v(name, value);
SET ROLE wlm_test_user;
SELECT lives_ok($$SET wlm.query_group = 'mine'$$, 'a user chooses his query group');
RESET wlm.query_group;
RESET ROLE;
GRANT SET ON PARAMETER wlm.priority TO wlm_test_user;
SET ROLE wlm_test_user;
SELECT lives_ok($$SET LOCAL wlm.priority = 'high'$$, 'but GRANT SET ON PARAMETER lets him');
RESET ROLE;

-- Tables: nothing for a user, nothing but reading for others, queues for wlm_admin.
SELECT is_empty(format($$SELECT p FROM unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
	WHERE has_table_privilege('wlm_test_user', 'wlm.%I', p)$$, t), 'a user has no privilege on wlm.' || t)
FROM unnest('{queue,rule,user_priority,history,history_operator,plan,model,queue_state,expert_accuracy,training}'::text[]) t;
SELECT is_empty(format($$SELECT p FROM unnest('{INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p, unnest('{wlm_test_monitor,wlm_test_admin}'::text[]) r
	WHERE has_table_privilege(r, 'wlm.%I', p)$$, t), 'nobody writes wlm.' || t)
FROM unnest('{history,history_operator,plan,model}'::text[]) t;
SELECT is_empty(format($$SELECT p FROM unnest('{INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) p WHERE has_table_privilege('wlm_test_monitor', 'wlm.%I', p)$$, t),
	'pg_monitor does not configure ' || t)
FROM unnest('{queue,rule,user_priority}'::text[]) t;
SET ROLE wlm_test_user;
SELECT throws_ok($$INSERT INTO wlm.queue (name, priority) VALUES ('mine', 'critical')$$, '42501', NULL, 'a user cannot add a queue');
SELECT throws_ok($$UPDATE wlm.queue SET priority = 'critical'$$, '42501', NULL, 'a user cannot change a queue');
SELECT throws_ok(q, '42501', NULL, 'a user cannot call ' || q) FROM unnest(ARRAY[
	$$SELECT wlm.create_queue('mine')$$, $$SELECT wlm.alter_queue('default', priority => 'critical')$$, $$SELECT wlm.drop_queue('mine')$$,
	$$SELECT wlm.create_rule('mine', 'query_cpu_time > 1', 'abort')$$, $$SELECT wlm.alter_rule('mine')$$, $$SELECT wlm.drop_rule('mine')$$,
	$$INSERT INTO wlm.rule (name, predicates) VALUES ('mine', '[]')$$, $$INSERT INTO wlm.user_priority VALUES (current_user, 'highest')$$,
	$$SELECT wlm.train()$$, $$SELECT wlm.evaluate()$$, $$SELECT wlm.rollback('recall')$$, $$SELECT wlm.reset()$$, $$SELECT wlm.reset('all')$$,
	$$SELECT wlm.flush()$$, $$SELECT wlm.simulate()$$, $$SELECT wlm.recommend()$$, $$SELECT wlm.status()$$, $$SELECT wlm.queue_state()$$, $$SELECT * FROM wlm.expert_accuracy()$$,
	$$SELECT wlm.export_model('trees')$$, $$SELECT wlm.import_model('')$$, $$SELECT wlm.export_samples()$$, $$SELECT wlm.training()$$,
	$$SELECT wlm.feature_importance()$$, $$SELECT * FROM wlm.neighbours('SELECT * FROM public.open')$$]) q;
SELECT throws_ok($$CREATE TABLE wlm.mine (x int)$$, '42501', NULL, 'a user cannot create anything beside the tables');
SELECT throws_ok($$CREATE FUNCTION wlm.predict(int) RETURNS int LANGUAGE sql AS 'SELECT 1'$$, '42501', NULL, 'nor functions');
RESET ROLE;
SET ROLE wlm_test_admin;
SELECT lives_ok($$SELECT wlm.create_queue('pgtap_made', max_slots => 2)$$, 'wlm_admin creates a queue');
SELECT lives_ok($$UPDATE wlm.queue SET max_slots = 3 WHERE name = 'pgtap_made'$$, 'and changes it');
SELECT lives_ok($$SELECT wlm.create_rule('pgtap_made', 'query_cpu_time > 1 h', 'hop', 'pgtap_made')$$, 'wlm_admin creates a rule');
SELECT throws_ok($$SELECT wlm.drop_queue('pgtap_made')$$, '2BP01', NULL, 'whose queue stays');
SELECT lives_ok($$SELECT wlm.alter_rule('pgtap_made', enabled => false)$$, 'and changes it');
SELECT lives_ok($$SELECT wlm.drop_rule('pgtap_made')$$, 'and drops it');
SELECT lives_ok($$SELECT wlm.drop_queue('pgtap_made')$$, 'and drops the queue');
SELECT lives_ok($$INSERT INTO wlm.user_priority VALUES ('wlm_test_user', 'low')$$, 'and gives a role a priority');
SELECT throws_ok($$INSERT INTO wlm.user_priority VALUES ('wlm_test_other', 'critical')$$, '42501', NULL, 'but not critical');
SELECT throws_ok($$UPDATE wlm.user_priority SET priority = 'critical'$$, '42501', NULL, 'nor later');
SELECT throws_ok(format('INSERT INTO wlm.user_priority VALUES (%L, %L)', session_user, 'lowest'), '42501', NULL, 'nor any to a superuser');
SELECT throws_ok(format('UPDATE wlm.user_priority SET role = %L', session_user), '42501', NULL, 'nor by way of another');
RESET ROLE;
INSERT INTO wlm.user_priority VALUES (session_user, 'critical');
SET ROLE wlm_test_admin;
SELECT throws_ok(format('DELETE FROM wlm.user_priority WHERE role = %L', session_user), '42501', NULL, 'nor does he take away a superuser''s');
SELECT lives_ok($$DELETE FROM wlm.user_priority WHERE role = 'wlm_test_user'$$, 'others he does');
SELECT throws_ok($$DELETE FROM wlm.model$$, '42501', NULL, 'wlm_admin does not write models by hand');
SELECT isa_ok(wlm.export_model('planner'), 'bytea', 'but exports one');
SELECT results_eq($$SELECT expert, state FROM wlm.import_model(wlm.export_model('planner'))$$, $$VALUES ('planner', 'champion')$$, 'and imports one');
SELECT throws_ok($$SELECT wlm.import_model('nothing')$$, 'XX001', 'this is not a model that can be used', 'if it is one');
SELECT lives_ok($$SELECT wlm.export_samples(1)$$, 'wlm_admin exports samples');
SELECT lives_ok($$SELECT * FROM wlm.neighbours('SELECT * FROM public.open')$$, 'and sees examples');
SELECT throws_ok($$SELECT * FROM wlm.neighbours('SELECT * FROM public.secret')$$, '42501', 'permission denied for table secret', 'of what he may run');
SELECT throws_ok($$SET wlm.mode = off$$, '42501', NULL, 'nor sets what is for superusers');
RESET ROLE;
SET ROLE wlm_test_monitor;
SELECT lives_ok(q, 'pg_monitor can ' || q) FROM unnest(ARRAY['SELECT * FROM wlm.history', 'SELECT * FROM wlm.queue_state',
	'SELECT * FROM wlm.status()', 'SELECT * FROM wlm.expert_accuracy', 'SELECT * FROM wlm.training', 'SELECT * FROM wlm.feature_importance()',
	'SELECT * FROM wlm.neighbours($$SELECT * FROM public.open$$)', 'SELECT expert, state FROM wlm.model', 'SELECT * FROM wlm.queue', 'SELECT * FROM wlm.rule',
	'SELECT * FROM wlm.user_priority']) q;
SELECT throws_ok(q, '42501', NULL, 'pg_monitor cannot call ' || q) FROM unnest(ARRAY[$$SELECT wlm.export_model('trees')$$,
	$$SELECT wlm.import_model('')$$, $$SELECT wlm.export_samples()$$, $$SELECT wlm.train()$$]) q;
SELECT throws_ok($$SELECT * FROM wlm.neighbours('SELECT * FROM public.secret')$$, '42501', 'permission denied for table secret', 'nor ask about what he may not run');
RESET ROLE;

-- Definer's rights: nothing is looked up where the caller could have put something.
SELECT is_empty($$SELECT proname FROM pg_proc WHERE pronamespace = 'wlm'::regnamespace AND prosecdef
	AND NOT coalesce(proconfig @> '{"search_path=pg_catalog, pg_temp"}', false)$$, 'every function with definer''s rights has its search_path');
SELECT set_eq($$SELECT proname FROM pg_proc WHERE pronamespace = 'wlm'::regnamespace AND prosecdef$$,
	'{train,evaluate,rollback,reset,export_model,import_model,export_samples}'::name[], 'and these are all');

-- Predictions: of what one may run, and without running it.
SET ROLE wlm_test_user;
SELECT lives_ok($$SELECT * FROM wlm.predict('SELECT * FROM public.open ORDER BY x')$$, 'a user predicts what he may read');
SELECT throws_ok($$SELECT * FROM wlm.predict('SELECT * FROM public.secret')$$, '42501', 'permission denied for table secret', 'and nothing else');
SELECT lives_ok($$SELECT * FROM wlm.classify('SELECT * FROM public.open ORDER BY x')$$, 'and asks for its queue');
SELECT throws_ok($$SELECT * FROM wlm.classify('SELECT * FROM public.secret')$$, '42501', 'permission denied for table secret', 'of nothing else');
SELECT throws_ok($$SELECT * FROM wlm.explain('SELECT * FROM public.secret')$$, '42501', 'permission denied for table secret', 'nor explains it');
SELECT throws_ok($$SELECT * FROM wlm.predict('SELECT * FROM wlm.history')$$, '42501', NULL, 'the tables of the manager included');
SELECT throws_ok($$SELECT * FROM wlm.predict('DELETE FROM public.open')$$, '42501', NULL, 'reading is not writing');
SELECT throws_ok($$SELECT * FROM wlm.predict('SELECT x FROM public.open UNION SELECT x FROM public.secret')$$, '42501', NULL, 'anywhere in it');
SELECT lives_ok($$SELECT * FROM wlm.predict('SELECT public.leaks(x) FROM public.open')$$, 'functions are not run');
RESET ROLE;
SELECT lives_ok($$SELECT * FROM wlm.predict('DELETE FROM public.open')$$, 'a statement that writes can be predicted');
INSERT INTO public.open VALUES (1);
SELECT lives_ok($$SELECT * FROM wlm.explain('DELETE FROM public.open')$$, 'and explained');
SELECT is(count(*), 1::bigint, 'and is not run') FROM public.open;

-- Activity: one's own rows.
SET ROLE wlm_test_user;
SELECT is_empty($$SELECT * FROM wlm.activity WHERE role <> 'wlm_test_user'$$, 'a user sees his own activity only');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
