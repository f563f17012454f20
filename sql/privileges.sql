-- Who may what: everybody predicts and sees his own, pg_monitor reads, wlm_admin configures
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
RESET client_min_messages;
\set SHOW_CONTEXT never

-- what PUBLIC, pg_monitor and wlm_admin were given
\pset format unaligned
SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END COLLATE "C" AS role, proname COLLATE "C" AS function
FROM pg_proc, aclexplode(proacl)
WHERE pronamespace = 'wlm'::regnamespace AND grantee <> proowner
ORDER BY 1, 2;
\pset format aligned
SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END COLLATE "C" AS role,
       privilege_type COLLATE "C" AS privilege, string_agg(relname, ', ' ORDER BY relname COLLATE "C") AS relations
FROM pg_class, aclexplode(relacl)
WHERE relnamespace = 'wlm'::regnamespace AND grantee <> relowner
GROUP BY 1, 2 ORDER BY 1, 2;
-- functions with definer's rights must not look anything up in a schema of the caller's choice
SELECT proname, proconfig FROM pg_proc
WHERE pronamespace = 'wlm'::regnamespace AND prosecdef ORDER BY proname COLLATE "C";
-- everything has a description
SELECT oid::regprocedure FROM pg_proc
WHERE pronamespace = 'wlm'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL;
SELECT oid::regclass FROM pg_class
WHERE relnamespace = 'wlm'::regnamespace AND relkind IN ('r', 'v') AND obj_description(oid, 'pg_class') IS NULL;

CREATE ROLE regress_wlm_user;
CREATE ROLE regress_wlm_monitor IN ROLE pg_monitor;
CREATE ROLE regress_wlm_admin IN ROLE wlm_admin;

SET ROLE regress_wlm_user;
SELECT count(*) FROM wlm.activity;
SELECT count(*) > 0 AS predicts FROM wlm.predict('SELECT 1');
SELECT wlm.version();
SELECT * FROM wlm.queue_state;
SELECT * FROM wlm.status();
SELECT * FROM wlm.expert_accuracy;
SELECT * FROM wlm.history;
SELECT * FROM wlm.queue;
SELECT * FROM wlm.rule;
SELECT count(*) > 0 AS classifies FROM wlm.classify('SELECT 1');
SELECT wlm.create_queue('mine');
SELECT wlm.create_rule('mine', 'query_cpu_time > 1');
SELECT wlm.train();
SELECT wlm.reset();
SELECT wlm.flush();
SELECT wlm.simulate();
SELECT wlm.recommend();
SELECT * FROM wlm.training;
SELECT * FROM wlm.feature_importance();
SELECT * FROM wlm.neighbours('SELECT 1');
SELECT wlm.export_model('trees');
SELECT wlm.import_model('');
SELECT wlm.export_samples();
SET wlm.mode = off;
SET wlm.bypass = on;
SET wlm.priority = highest;
SET wlm.slot_count = 2;
SET wlm.query_serial = 7;
SET wlm.query_group = 'mine';
RESET wlm.query_group;

SET ROLE regress_wlm_monitor;
SELECT count(*) > 0 AS queues FROM wlm.queue_state;
SELECT loaded FROM wlm.status();
SELECT count(*) AS rows FROM wlm.expert_accuracy;
SELECT count(*) >= 0 AS history FROM wlm.history;
SELECT running FROM wlm.training;
SELECT wlm.export_model('planner');
SELECT wlm.import_model('');
SELECT wlm.export_samples();
SELECT wlm.create_queue('mine');
DELETE FROM wlm.history;
INSERT INTO wlm.queue (name) VALUES ('mine');
SELECT wlm.reset();

SET ROLE regress_wlm_admin;
SELECT count(*) > 0 AS queues FROM wlm.queue_state;
SELECT wlm.create_queue('mine', priority => 'high');
SELECT wlm.alter_queue('mine', priority => 'low');
SELECT name, priority FROM wlm.queue;
SELECT wlm.drop_queue('mine');
SELECT wlm.reset();
DELETE FROM wlm.history;
DELETE FROM wlm.model;
SELECT length(wlm.export_model('planner')) > 0 AS exported;
SELECT wlm.import_model('');
RESET ROLE;

DROP ROLE regress_wlm_user, regress_wlm_monitor, regress_wlm_admin;
