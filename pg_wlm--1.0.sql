/* pg_wlm--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_wlm" to load this file. \quit

-- CREATE EXTENSION takes a schema that is there; whoever owns it could drop the extension with it.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
	               WHERE n.nspname = 'wlm' AND (r.rolsuper OR r.rolname = current_user)) THEN
		RAISE EXCEPTION 'schema "wlm" belongs to somebody else' USING
			ERRCODE = 'insufficient_privilege',
			DETAIL = 'pg_wlm keeps its tables in schema "wlm", whose owner could drop them.',
			HINT = 'Rename or drop that schema, or give it to a superuser with ALTER SCHEMA ... OWNER TO.';
	END IF;
END
$$;

-- Members of wlm_admin may configure pg_wlm. A role belongs to the whole server,
-- so it may exist already and outlives DROP EXTENSION.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'wlm_admin') THEN
		CREATE ROLE wlm_admin NOLOGIN;
	END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
	NULL; -- another database's CREATE EXTENSION was faster
END
$$;

--
-- Configuration: an ordinary table, read by a worker and compiled to shared memory
--

CREATE TABLE wlm.queue (
	name              name PRIMARY KEY CHECK (name <> ''),
	ordinal           integer NOT NULL DEFAULT 0,
	priority          text NOT NULL DEFAULT 'normal'
	                  CHECK (priority IN ('lowest', 'low', 'normal', 'high', 'highest', 'critical')),
	max_slots         integer CHECK (max_slots BETWEEN 1 AND 10000),
	memory_share      real NOT NULL DEFAULT 0 CHECK (memory_share BETWEEN 0 AND 1),
	max_memory_share  real NOT NULL DEFAULT 1 CHECK (max_memory_share > 0 AND max_memory_share <= 1),
	max_queue_length  integer CHECK (max_queue_length >= 0),
	queue_timeout     interval CHECK (queue_timeout > interval '0'),
	roles             name[] NOT NULL DEFAULT '{}' CHECK (cardinality(roles) <= 16 AND array_position(roles, NULL) IS NULL),
	databases         name[] NOT NULL DEFAULT '{}' CHECK (cardinality(databases) <= 16 AND array_position(databases, NULL) IS NULL),
	application_name  text CHECK (octet_length(application_name) BETWEEN 1 AND 63),
	query_group       text CHECK (octet_length(query_group) BETWEEN 1 AND 63),
	CHECK (memory_share <= max_memory_share),
	CHECK (name <> 'default' OR (cardinality(roles) = 0 AND cardinality(databases) = 0
	                             AND application_name IS NULL AND query_group IS NULL))
);
COMMENT ON TABLE wlm.queue IS 'workload queues; the queue "default" is built in and needs a row only to be changed';

--
-- What happened: written by a worker, bounded by wlm.history_rows and wlm.history_days
--

CREATE TABLE wlm.history (
	id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	finished_at         timestamptz NOT NULL,
	database            name,
	role                name,
	pid                 integer NOT NULL,
	query_id            bigint NOT NULL,
	template            bigint NOT NULL,
	fingerprint         bigint NOT NULL,
	command             text NOT NULL,
	queue               name NOT NULL,
	priority            text NOT NULL,
	lane                text NOT NULL,
	familiarity         text NOT NULL,
	novelty             real,
	final_state         text NOT NULL,
	forced              boolean NOT NULL,
	evicted             boolean NOT NULL,
	applied             boolean NOT NULL,
	censored            boolean NOT NULL,
	total_cost          real NOT NULL,
	estimated_rows      real NOT NULL,
	returned_rows       double precision,
	queue_ms            real NOT NULL,
	predicted_ms        real,
	predicted_low_ms    real,
	predicted_high_ms   real,
	actual_ms           real NOT NULL,
	predicted_kb        real,
	predicted_high_kb   real,
	reserved_kb         real NOT NULL,
	session_work_mem_kb real NOT NULL,
	plan_work_mem_kb    real,
	granted_work_mem_kb real NOT NULL,
	lacking_kb          real NOT NULL,
	coverage            real NOT NULL,
	grant_level         text NOT NULL,
	grant_reason        text NOT NULL,
	peak_kb             real,
	temp_bytes          bigint NOT NULL,
	workers_planned     smallint NOT NULL,
	workers_granted     smallint NOT NULL,
	workers_launched    smallint NOT NULL,
	worker_reason       text NOT NULL,
	model_version       integer NOT NULL,
	experts             jsonb NOT NULL
);
CREATE INDEX history_finished_at ON wlm.history (finished_at);
COMMENT ON TABLE wlm.history IS 'one row per managed statement: what was predicted, decided and observed';

CREATE TABLE wlm.history_operator (
	history_id      bigint NOT NULL REFERENCES wlm.history ON DELETE CASCADE,
	plan_node_id    integer NOT NULL,
	operator        text NOT NULL,
	memory_class    text NOT NULL,
	slot            smallint NOT NULL,
	processes       smallint NOT NULL,
	estimated_rows  real NOT NULL,
	actual_rows     real,
	formula_kb      real NOT NULL,
	predicted_kb    real,
	predicted_high_kb real,
	granted_kb      real NOT NULL,
	grown_kb        real NOT NULL,
	peak_kb         real,
	needed_kb       real,
	temp_kb         real,
	spilled         boolean NOT NULL,
	censored        boolean NOT NULL,
	experts         jsonb NOT NULL,
	PRIMARY KEY (history_id, plan_node_id)
);
COMMENT ON TABLE wlm.history_operator IS 'memory of each operator of a statement in wlm.history';

CREATE TABLE wlm.plan (
	fingerprint  bigint PRIMARY KEY,
	template     bigint NOT NULL,
	format       smallint NOT NULL,
	graph        bytea NOT NULL,
	total_cost   real NOT NULL,
	nodes        smallint NOT NULL,
	executions   bigint NOT NULL DEFAULT 0,
	first_seen   timestamptz NOT NULL DEFAULT now(),
	last_seen    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX plan_template ON wlm.plan (template);
CREATE INDEX plan_last_seen ON wlm.plan (last_seen);
COMMENT ON TABLE wlm.plan IS 'distinct plans as data: what training and reports need, without texts or constants';

CREATE TABLE wlm.model (
	expert      text NOT NULL,
	version     integer NOT NULL,
	state       text NOT NULL CHECK (state IN ('champion', 'challenger', 'retired', 'failed')),
	trained_at  timestamptz NOT NULL DEFAULT now(),
	samples     bigint NOT NULL,
	learned_to  timestamptz,
	metrics     jsonb NOT NULL DEFAULT '{}',
	error       text,
	content     bytea,
	PRIMARY KEY (expert, version)
);
CREATE UNIQUE INDEX model_champion ON wlm.model (expert) WHERE state = 'champion';
COMMENT ON TABLE wlm.model IS 'models of planner, recall, trees, graph and gate; at most one champion each, which is in use';

SELECT pg_catalog.pg_extension_config_dump('wlm.queue', '');
SELECT pg_catalog.pg_extension_config_dump('wlm.model', $$WHERE state = 'champion'$$);

--
-- Configuration: checks of the whole table, and word to the launcher
--

CREATE FUNCTION wlm.configuration_changed() RETURNS trigger
AS 'MODULE_PATHNAME', 'wlm_configuration_changed' LANGUAGE C;
COMMENT ON FUNCTION wlm.configuration_changed() IS 'trigger of wlm.queue: has the configuration read again after commit';

CREATE FUNCTION wlm.check_configuration() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	queues bigint;
	shares numeric;
BEGIN
	-- One at a time: what is counted below must include what another session is about to commit.
	PERFORM pg_advisory_xact_lock(hashtext('pg_wlm.queue'));
	SELECT count(*) FILTER (WHERE q.name <> 'default'), coalesce(sum(q.memory_share::numeric), 0)
	INTO queues, shares
	FROM wlm.queue q;
	IF queues > 63 THEN
		RAISE EXCEPTION 'too many workload queues' USING
			ERRCODE = 'program_limit_exceeded',
			DETAIL = format('There would be %s besides "default"; 63 are possible.', queues),
			HINT = 'Drop queues that are not used, or tell workloads apart by priority.';
	END IF;
	IF shares > 1.00001 THEN
		RAISE EXCEPTION 'guaranteed memory shares of all workload queues exceed the budget' USING
			ERRCODE = 'invalid_parameter_value',
			DETAIL = format('They would add up to %s; at most 1 can be guaranteed.', round(shares, 3)),
			HINT = 'Lower memory_share of other queues first, or raise max_memory_share instead.';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION wlm.check_configuration() IS 'trigger of wlm.queue: what only all queues together can violate';

CREATE TRIGGER check_configuration AFTER INSERT OR UPDATE ON wlm.queue
	FOR EACH STATEMENT EXECUTE FUNCTION wlm.check_configuration();
CREATE TRIGGER configuration_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wlm.queue
	FOR EACH STATEMENT EXECUTE FUNCTION wlm.configuration_changed();

--
-- Configuration: functions, for messages that say what to do. They run with their caller's privileges.
--

CREATE FUNCTION wlm.require_configured_database(function_name text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	configured text := current_setting('wlm.database', true);
BEGIN
	-- Without a value pg_wlm is not loaded: then any database may be prepared.
	IF configured <> current_database() THEN
		RAISE EXCEPTION 'wlm.%() must be called in database "%"', function_name, configured USING
			ERRCODE = 'object_not_in_prerequisite_state',
			DETAIL = format('wlm.database names "%s"; the tables of database "%s" are not used.', configured, current_database()),
			HINT = format('Connect to database "%s", or change wlm.database and restart the server.', configured);
	END IF;
END
$$;
COMMENT ON FUNCTION wlm.require_configured_database(text) IS 'raises an error unless the current database is wlm.database';

CREATE FUNCTION wlm.check_queue(q wlm.queue) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	missing text;
BEGIN
	IF coalesce(q.name, '') = '' THEN
		RAISE EXCEPTION 'a workload queue needs a name' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF q.priority IS NULL OR q.priority NOT IN ('lowest', 'low', 'normal', 'high', 'highest', 'critical') THEN
		RAISE EXCEPTION 'invalid priority "%" of workload queue "%"', q.priority, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Priorities are lowest, low, normal, high, highest and critical.';
	END IF;
	IF q.max_slots NOT BETWEEN 1 AND 10000 THEN
		RAISE EXCEPTION 'invalid max_slots % of workload queue "%"', q.max_slots, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give a number from 1 to 10000, or leave it null: then pg_wlm finds the number.';
	END IF;
	IF q.memory_share IS NULL OR NOT q.memory_share BETWEEN 0 AND 1 THEN
		RAISE EXCEPTION 'invalid memory_share % of workload queue "%"', q.memory_share, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give the guaranteed part of the memory budget as a fraction from 0 to 1.';
	END IF;
	IF q.max_memory_share IS NULL OR NOT (q.max_memory_share > 0 AND q.max_memory_share <= 1) THEN
		RAISE EXCEPTION 'invalid max_memory_share % of workload queue "%"', q.max_memory_share, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give the largest part of the memory budget as a fraction over 0 and up to 1.';
	END IF;
	IF q.memory_share > q.max_memory_share THEN
		RAISE EXCEPTION 'memory_share % of workload queue "%" exceeds its max_memory_share %',
			q.memory_share, q.name, q.max_memory_share USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'What is guaranteed can be at most what is allowed.';
	END IF;
	IF q.max_queue_length < 0 THEN
		RAISE EXCEPTION 'invalid max_queue_length % of workload queue "%"', q.max_queue_length, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give the number of statements that may wait; 0 rejects instead of waiting, null is no limit.';
	END IF;
	IF q.queue_timeout <= interval '0' THEN
		RAISE EXCEPTION 'invalid queue_timeout % of workload queue "%"', q.queue_timeout, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give a positive interval, or null: then statements are admitted after wlm.max_wait instead of cancelled.';
	END IF;
	IF cardinality(q.roles) > 16 OR cardinality(q.databases) > 16 THEN
		RAISE EXCEPTION 'too many names in the conditions of workload queue "%"', q.name USING
			ERRCODE = 'program_limit_exceeded',
			DETAIL = 'A queue can name up to 16 roles and 16 databases.',
			HINT = 'Name a role that the others are members of, or use a second queue.';
	END IF;
	IF octet_length(q.application_name) NOT BETWEEN 1 AND 63 OR octet_length(q.query_group) NOT BETWEEN 1 AND 63 THEN
		RAISE EXCEPTION 'application_name and query_group of workload queue "%" must have 1 to 63 bytes', q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Leave a condition null that should not restrict the queue.';
	END IF;
	IF q.name = 'default' AND (cardinality(q.roles) > 0 OR cardinality(q.databases) > 0
	                           OR q.application_name IS NOT NULL OR q.query_group IS NOT NULL) THEN
		RAISE EXCEPTION 'workload queue "default" cannot have conditions' USING
			ERRCODE = 'invalid_parameter_value',
			DETAIL = 'It takes what no other queue takes.',
			HINT = 'Create another queue with these conditions.';
	END IF;

	SELECT string_agg(format('"%s"', n), ', ') INTO missing
	FROM unnest(q.roles) n
	WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = n);
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'workload queue "%" names roles that do not exist: %', q.name, missing USING
			ERRCODE = 'undefined_object',
			HINT = 'Create them first, or correct the names.';
	END IF;
	SELECT string_agg(format('"%s"', n), ', ') INTO missing
	FROM unnest(q.databases) n
	WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = n);
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'workload queue "%" names databases that do not exist: %', q.name, missing USING
			ERRCODE = 'undefined_object',
			HINT = 'Create them first, or correct the names.';
	END IF;
END
$$;
COMMENT ON FUNCTION wlm.check_queue(wlm.queue) IS 'raises an error with a hint for values that a queue cannot have';

CREATE FUNCTION wlm.raise_unknown_queue(name name) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known text;
BEGIN
	SELECT string_agg(format('"%s"', q.name), ', ' ORDER BY q.ordinal, q.name) INTO known
	FROM wlm.queue q WHERE q.name <> 'default';
	RAISE EXCEPTION 'workload queue "%" does not exist', raise_unknown_queue.name USING
		ERRCODE = 'undefined_object',
		DETAIL = CASE WHEN known IS NULL THEN 'There is only "default".' ELSE format('There are "default", %s.', known) END,
		HINT = 'Use wlm.create_queue() to create it.';
END
$$;
COMMENT ON FUNCTION wlm.raise_unknown_queue(name) IS 'the error for a queue that does not exist, naming those that do';

CREATE FUNCTION wlm.create_queue(
	name              name,
	priority          text     DEFAULT 'normal',
	max_slots         integer  DEFAULT NULL,
	memory_share      real     DEFAULT 0,
	max_memory_share  real     DEFAULT 1,
	max_queue_length  integer  DEFAULT NULL,
	queue_timeout     interval DEFAULT NULL,
	roles             name[]   DEFAULT '{}',
	databases         name[]   DEFAULT '{}',
	application_name  text     DEFAULT NULL,
	query_group       text     DEFAULT NULL,
	ordinal           integer  DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	q wlm.queue;
BEGIN
	PERFORM wlm.require_configured_database('create_queue');
	q := ROW(create_queue.name, coalesce(create_queue.ordinal, 0), create_queue.priority, create_queue.max_slots,
	         create_queue.memory_share, create_queue.max_memory_share, create_queue.max_queue_length,
	         create_queue.queue_timeout, coalesce(create_queue.roles, '{}'), coalesce(create_queue.databases, '{}'),
	         create_queue.application_name, create_queue.query_group);
	PERFORM wlm.check_queue(q);
	IF q.name = 'default' THEN
		RAISE EXCEPTION 'workload queue "default" is built in' USING
			ERRCODE = 'duplicate_object',
			HINT = 'Use wlm.alter_queue(''default'', ...) to change it.';
	END IF;
	IF create_queue.ordinal IS NULL THEN
		q.ordinal := (SELECT coalesce(max(t.ordinal), 0) + 1 FROM wlm.queue t);
	END IF;
	INSERT INTO wlm.queue SELECT q.*;
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'workload queue "%" already exists', create_queue.name USING
		ERRCODE = 'duplicate_object',
		HINT = 'Use wlm.alter_queue() to change it.';
END
$$;
COMMENT ON FUNCTION wlm.create_queue(name, text, integer, real, real, integer, interval, name[], name[], text, text, integer)
	IS 'creates a workload queue; conditions that are not given match everything';

CREATE FUNCTION wlm.alter_queue(
	name              name,
	priority          text     DEFAULT NULL,
	max_slots         integer  DEFAULT NULL,
	memory_share      real     DEFAULT NULL,
	max_memory_share  real     DEFAULT NULL,
	max_queue_length  integer  DEFAULT NULL,
	queue_timeout     interval DEFAULT NULL,
	roles             name[]   DEFAULT NULL,
	databases         name[]   DEFAULT NULL,
	application_name  text     DEFAULT NULL,
	query_group       text     DEFAULT NULL,
	ordinal           integer  DEFAULT NULL,
	reset             text[]   DEFAULT '{}')
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	attributes CONSTANT text[] := '{priority,max_slots,memory_share,max_memory_share,max_queue_length,queue_timeout,'
		'roles,databases,application_name,query_group}';
	forget text[] := coalesce(alter_queue.reset, '{}');
	unknown text;
	q wlm.queue;
BEGIN
	PERFORM wlm.require_configured_database('alter_queue');
	SELECT string_agg(format('"%s"', a), ', ') INTO unknown
	FROM unnest(forget) a WHERE a IS NULL OR a <> ALL (attributes || 'all'::text);
	IF unknown IS NOT NULL THEN
		RAISE EXCEPTION 'unknown attributes to reset: %', unknown USING
			ERRCODE = 'invalid_parameter_value',
			HINT = format('Attributes are %s; "all" stands for all of them.', array_to_string(attributes, ', '));
	END IF;
	IF 'all' = ANY (forget) THEN
		forget := attributes;
	END IF;

	SELECT * INTO q FROM wlm.queue t WHERE t.name = alter_queue.name FOR UPDATE;
	IF NOT FOUND THEN
		IF alter_queue.name IS DISTINCT FROM 'default' THEN
			PERFORM wlm.raise_unknown_queue(alter_queue.name);
		END IF;
		INSERT INTO wlm.queue AS t (name) VALUES ('default') RETURNING t.* INTO q;
	END IF;

	q.priority := coalesce(alter_queue.priority, CASE WHEN 'priority' = ANY (forget) THEN 'normal' ELSE q.priority END);
	q.max_slots := coalesce(alter_queue.max_slots, CASE WHEN 'max_slots' = ANY (forget) THEN NULL ELSE q.max_slots END);
	q.memory_share := coalesce(alter_queue.memory_share, CASE WHEN 'memory_share' = ANY (forget) THEN 0 ELSE q.memory_share END);
	q.max_memory_share := coalesce(alter_queue.max_memory_share,
		CASE WHEN 'max_memory_share' = ANY (forget) THEN 1 ELSE q.max_memory_share END);
	q.max_queue_length := coalesce(alter_queue.max_queue_length,
		CASE WHEN 'max_queue_length' = ANY (forget) THEN NULL ELSE q.max_queue_length END);
	q.queue_timeout := coalesce(alter_queue.queue_timeout, CASE WHEN 'queue_timeout' = ANY (forget) THEN NULL ELSE q.queue_timeout END);
	q.roles := coalesce(alter_queue.roles, CASE WHEN 'roles' = ANY (forget) THEN '{}' ELSE q.roles END);
	q.databases := coalesce(alter_queue.databases, CASE WHEN 'databases' = ANY (forget) THEN '{}' ELSE q.databases END);
	q.application_name := coalesce(alter_queue.application_name,
		CASE WHEN 'application_name' = ANY (forget) THEN NULL ELSE q.application_name END);
	q.query_group := coalesce(alter_queue.query_group, CASE WHEN 'query_group' = ANY (forget) THEN NULL ELSE q.query_group END);
	q.ordinal := coalesce(alter_queue.ordinal, q.ordinal);
	PERFORM wlm.check_queue(q);

	UPDATE wlm.queue AS t SET
		ordinal = q.ordinal, priority = q.priority, max_slots = q.max_slots, memory_share = q.memory_share,
		max_memory_share = q.max_memory_share, max_queue_length = q.max_queue_length, queue_timeout = q.queue_timeout,
		roles = q.roles, databases = q.databases, application_name = q.application_name, query_group = q.query_group
	WHERE t.name = alter_queue.name;
END
$$;
COMMENT ON FUNCTION wlm.alter_queue(name, text, integer, real, real, integer, interval, name[], name[], text, text, integer, text[])
	IS 'changes those attributes of a workload queue that are given, and sets back to their defaults those that reset names';

CREATE FUNCTION wlm.drop_queue(name name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM wlm.require_configured_database('drop_queue');
	IF drop_queue.name = 'default' THEN
		RAISE EXCEPTION 'workload queue "default" cannot be dropped' USING
			ERRCODE = 'dependent_objects_still_exist',
			HINT = 'Use wlm.alter_queue(''default'', reset => ''{all}'') to give it back its built-in values.';
	END IF;
	DELETE FROM wlm.queue t WHERE t.name = drop_queue.name;
	IF NOT FOUND THEN
		PERFORM wlm.raise_unknown_queue(drop_queue.name);
	END IF;
END
$$;
COMMENT ON FUNCTION wlm.drop_queue(name) IS 'drops a workload queue; statements that wait in it move to "default"';

--
-- What is going on
--

CREATE FUNCTION wlm.activity(
	OUT pid integer, OUT query_id bigint, OUT database name, OUT role name, OUT queue name, OUT state text,
	OUT "position" integer, OUT priority text, OUT lane text, OUT forced boolean, OUT applied boolean,
	OUT predicted_ms double precision, OUT requested_kb bigint, OUT reserved_kb bigint, OUT work_mem_kb bigint,
	OUT granted_kb bigint, OUT grown_kb bigint, OUT used_kb bigint, OUT real_kb bigint, OUT workers_granted integer,
	OUT queue_time interval, OUT exec_time interval, OUT wait_reason text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_activity' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION wlm.activity() IS 'managed statements that run or wait; own ones only, unless the caller may read all statistics';

CREATE VIEW wlm.activity AS SELECT * FROM wlm.activity();
COMMENT ON VIEW wlm.activity IS 'managed statements that run or wait; own ones only, unless the reader may read all statistics';

CREATE FUNCTION wlm.queue_state(
	OUT queue name, OUT priority text, OUT slots integer, OUT automatic boolean, OUT slots_used integer,
	OUT num_running integer, OUT num_express integer, OUT num_returned integer, OUT num_queued integer,
	OUT num_executed bigint, OUT num_forced bigint, OUT num_timeouts bigint, OUT num_rejected bigint,
	OUT num_cancelled bigint, OUT num_evicted bigint, OUT memory_reserved_kb bigint, OUT max_memory_kb bigint,
	OUT total_queue_time interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_queue_state' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION wlm.queue_state() IS 'limits in force, load and totals since the server was started, of each queue';

CREATE VIEW wlm.queue_state AS SELECT * FROM wlm.queue_state();
COMMENT ON VIEW wlm.queue_state IS 'limits in force, load and totals since the server was started, of each queue';

CREATE FUNCTION wlm.status(
	OUT version text, OUT loaded boolean, OUT mode text, OUT database name, OUT launcher_running boolean,
	OUT worker_running boolean, OUT worker_started_at timestamptz, OUT worker_finished_at timestamptz,
	OUT worker_problem text, OUT history_available boolean, OUT history_replayed boolean,
	OUT configuration_generation integer, OUT budget_kb bigint, OUT reserved_kb bigint, OUT forced_kb bigint,
	OUT num_active integer, OUT num_queued integer, OUT express_cutoff_ms double precision,
	OUT saturation double precision, OUT model_version integer, OUT planner_observations bigint,
	OUT recall_entries bigint, OUT recall_capacity bigint, OUT learner_pending_bytes bigint,
	OUT history_pending_bytes bigint, OUT num_managed bigint, OUT num_unmanaged_full bigint,
	OUT num_no_opinion bigint, OUT num_experiences bigint, OUT num_experiences_lost bigint,
	OUT num_lock_forced bigint, OUT num_slots_taken_back bigint, OUT num_errors bigint,
	OUT memory_limit_kb bigint, OUT memory_used_kb bigint, OUT memory_pressure text, OUT unavailable_kb bigint,
	OUT num_grown bigint, OUT num_growth_refused bigint, OUT num_stopped bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_status' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION wlm.status() IS 'one row: how the workload manager is; loaded is false without shared_preload_libraries';

CREATE FUNCTION wlm.expert_accuracy(
	OUT expert text, OUT target text, OUT samples double precision, OUT p50 double precision,
	OUT p90 double precision, OUT p95 double precision, OUT coverage double precision,
	OUT share double precision, OUT calibration double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_expert_accuracy' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 18;
COMMENT ON FUNCTION wlm.expert_accuracy() IS 'q-errors and coverage of the recent predictions, of each expert and of their mixture';

CREATE VIEW wlm.expert_accuracy AS SELECT * FROM wlm.expert_accuracy();
COMMENT ON VIEW wlm.expert_accuracy IS 'q-errors and coverage of the recent predictions, of each expert and of their mixture';

CREATE FUNCTION wlm.grant_outcomes(
	OUT template bigint, OUT level text, OUT runs double precision, OUT relative_time double precision,
	OUT temp_kb double precision, OUT peak_kb double precision, OUT slower boolean, OUT preferred boolean,
	OUT executions bigint, OUT kept_kb double precision, OUT used_kb double precision, OUT flips integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_grant_outcomes' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION wlm.grant_outcomes() IS 'what was learned of the value of memory: time and temporary files of each template by what it was granted';

CREATE FUNCTION wlm.plan_memory(
	query_id bigint DEFAULT NULL,
	OUT statement bigint, OUT trial text, OUT executions integer, OUT session_work_mem_kb bigint,
	OUT other_work_mem_kb bigint, OUT own_template bigint, OUT other_template bigint, OUT own_runs double precision,
	OUT own_ms double precision, OUT other_runs double precision, OUT other_ms double precision,
	OUT reversals integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_plan_memory' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION wlm.plan_memory(bigint) IS 'statements that are or may be planned with another work_mem than their session''s, and what came of it';

CREATE FUNCTION wlm.training(
	OUT running boolean, OUT pid integer, OUT reason text, OUT phase text, OUT progress double precision,
	OUT loss double precision, OUT samples bigint, OUT started_at timestamptz, OUT finished_at timestamptz,
	OUT problem text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_training' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION wlm.training() IS 'one row: the training of models that runs, or else the last one';

CREATE VIEW wlm.training AS SELECT * FROM wlm.training();
COMMENT ON VIEW wlm.training IS 'one row: the training of models that runs, or else the last one';

CREATE FUNCTION wlm.version() RETURNS text
AS 'MODULE_PATHNAME', 'wlm_version' LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION wlm.version() IS 'version of the loaded module';

CREATE FUNCTION wlm.cancel_queued(pid integer) RETURNS boolean
AS 'MODULE_PATHNAME', 'wlm_cancel_queued' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION wlm.cancel_queued(integer) IS 'cancels the statement that a process waits with in a queue; never one that runs';

--
-- What is expected
--

CREATE FUNCTION wlm.predict(
	sql text,
	OUT target text, OUT plan_node_id integer, OUT operator text, OUT processes integer, OUT expert text,
	OUT share double precision, OUT estimate double precision, OUT low double precision, OUT high double precision,
	OUT unit text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_predict' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 30 COST 1000;
COMMENT ON FUNCTION wlm.predict(text) IS 'time, memory and scalability of a statement with 95 % intervals, and what each expert says; does not run it';

CREATE FUNCTION wlm.explain(sql text) RETURNS SETOF text
AS 'MODULE_PATHNAME', 'wlm_explain' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 10 COST 1000;
COMMENT ON FUNCTION wlm.explain(text) IS 'what the workload manager would do with a statement; does not run it';

CREATE FUNCTION wlm.grant_curve(
	sql text,
	OUT level text, OUT memory_kb bigint, OUT predicted_ms double precision, OUT lower_ms double precision,
	OUT upper_ms double precision, OUT runs double precision, OUT temp_kb double precision, OUT slower boolean,
	OUT chosen boolean, OUT reason text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_grant_curve' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 4 COST 1000;
COMMENT ON FUNCTION wlm.grant_curve(text) IS 'time of a statement by how much memory it is granted, as predicted from outcomes; does not run it';

--
-- What the learned experts know
--

CREATE FUNCTION wlm.feature_importance(
	OUT expert text, OUT target text, OUT feature text, OUT importance double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_feature_importance' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION wlm.feature_importance() IS
	'which properties of a plan the trees model in use rests on, for each target; they sum to 1';

CREATE FUNCTION wlm.neighbours(
	sql text,
	OUT rank integer, OUT fingerprint bigint, OUT same_plan boolean, OUT distance double precision,
	OUT weight double precision, OUT executions double precision, OUT mean_ms double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_neighbours' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 8 COST 1000;
COMMENT ON FUNCTION wlm.neighbours(text) IS
	'the plans seen before that the neighbours expert''s answer to a statement rests on; does not run it';

--
-- Learning. Definer's rights, since the tables of models and history belong to the extension alone;
-- unmanaged, since reading the history is nothing to learn from.
--

CREATE FUNCTION wlm.flush(timeout interval DEFAULT '30 s') RETURNS void
AS 'MODULE_PATHNAME', 'wlm_flush' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION wlm.flush(interval) IS 'waits until all that was observed so far is learned and stored';

CREATE FUNCTION wlm.train(
	expert text DEFAULT NULL,
	OUT expert text, OUT version integer, OUT state text, OUT trained_at timestamptz, OUT samples bigint,
	OUT metrics jsonb, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_train' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 4
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET wlm.bypass = on;
COMMENT ON FUNCTION wlm.train(text) IS
	'trains one expert, or all, from the stored history; publishes a model only if it is good enough beside the one in use';

CREATE FUNCTION wlm.evaluate(
	OUT expert text, OUT target text, OUT samples double precision, OUT p50 double precision,
	OUT p90 double precision, OUT p95 double precision, OUT coverage double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_evaluate' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 18
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET wlm.bypass = on;
COMMENT ON FUNCTION wlm.evaluate() IS
	'q-errors and coverage of experts that start anew and go through the stored history; changes nothing';

CREATE FUNCTION wlm.rollback(
	expert text,
	OUT expert text, OUT version integer, OUT state text, OUT trained_at timestamptz, OUT samples bigint,
	OUT metrics jsonb, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_rollback' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 1
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET wlm.bypass = on;
COMMENT ON FUNCTION wlm.rollback(text) IS 'puts the expert''s previous model back in use';

CREATE FUNCTION wlm.export_model(expert text, version integer DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'wlm_export_model' LANGUAGE C VOLATILE PARALLEL UNSAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET wlm.bypass = on;
COMMENT ON FUNCTION wlm.export_model(text, integer) IS 'the expert''s model in use, or a version of wlm.model, for wlm.import_model()';

CREATE FUNCTION wlm.import_model(
	content bytea,
	OUT expert text, OUT version integer, OUT state text, OUT trained_at timestamptz, OUT samples bigint,
	OUT metrics jsonb, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_import_model' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 1
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET wlm.bypass = on;
COMMENT ON FUNCTION wlm.import_model(bytea) IS 'checks a model and puts it in use; wlm.rollback() takes it back';

CREATE FUNCTION wlm.export_samples(max_rows integer DEFAULT NULL) RETURNS SETOF bytea
AS 'MODULE_PATHNAME', 'wlm_export_samples' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10000
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET wlm.bypass = on;
COMMENT ON FUNCTION wlm.export_samples(integer) IS 'history as pg_wlm_trainer reads it, oldest first; no texts, constants or names';

CREATE FUNCTION wlm.reset(target text DEFAULT 'statistics') RETURNS void
AS 'MODULE_PATHNAME', 'wlm_reset' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET wlm.bypass = on;
COMMENT ON FUNCTION wlm.reset(text) IS 'forgets statistics, models, history or all';

--
-- Who may what: everybody predicts and sees his own, pg_monitor reads, wlm_admin configures
--

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA wlm FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA wlm FROM PUBLIC;
GRANT USAGE ON SCHEMA wlm TO PUBLIC;

GRANT EXECUTE ON FUNCTION wlm.predict(text), wlm.explain(text), wlm.grant_curve(text), wlm.activity(), wlm.version(),
	wlm.cancel_queued(integer) TO PUBLIC;
GRANT SELECT ON wlm.activity TO PUBLIC;

GRANT EXECUTE ON FUNCTION wlm.status(), wlm.queue_state(), wlm.expert_accuracy(), wlm.training(),
	wlm.feature_importance(), wlm.plan_memory(bigint), wlm.grant_outcomes(), wlm.flush(interval) TO pg_monitor, wlm_admin;
-- Others' plans, by fingerprint: for those who may read them anyway.
GRANT EXECUTE ON FUNCTION wlm.neighbours(text) TO pg_read_all_stats, wlm_admin;
GRANT SELECT ON ALL TABLES IN SCHEMA wlm TO pg_monitor, wlm_admin;

GRANT INSERT, UPDATE, DELETE ON wlm.queue TO wlm_admin;
GRANT EXECUTE ON FUNCTION
	wlm.create_queue(name, text, integer, real, real, integer, interval, name[], name[], text, text, integer),
	wlm.alter_queue(name, text, integer, real, real, integer, interval, name[], name[], text, text, integer, text[]),
	wlm.drop_queue(name), wlm.check_queue(wlm.queue), wlm.raise_unknown_queue(name),
	wlm.require_configured_database(text), wlm.check_configuration(), wlm.configuration_changed(),
	wlm.train(text), wlm.evaluate(), wlm.rollback(text), wlm.export_model(text, integer), wlm.import_model(bytea),
	wlm.export_samples(integer), wlm.reset(text)
	TO wlm_admin;

-- Fires the trigger: from this commit on the empty configuration of the new extension is in force.
DELETE FROM wlm.queue WHERE false;
