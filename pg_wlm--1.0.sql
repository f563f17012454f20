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

CREATE FUNCTION wlm.is_priority(priority text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN priority IN ('lowest', 'low', 'normal', 'high', 'highest', 'critical');
COMMENT ON FUNCTION wlm.is_priority(text) IS 'whether there is a priority of this name';

--
-- Configuration: an ordinary table, read by a worker and compiled to shared memory
--

CREATE TABLE wlm.queue (
	name                     name PRIMARY KEY CHECK (name <> ''),
	ordinal                  integer NOT NULL DEFAULT 0,
	priority                 text NOT NULL DEFAULT 'normal' CHECK (wlm.is_priority(priority)),
	state                    text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paused', 'draining')),
	max_slots                integer CHECK (max_slots BETWEEN 1 AND 10000),
	slot_share               real NOT NULL DEFAULT 0 CHECK (slot_share BETWEEN 0 AND 1),
	max_slot_share           real NOT NULL DEFAULT 1 CHECK (max_slot_share > 0 AND max_slot_share <= 1),
	memory_share             real NOT NULL DEFAULT 0 CHECK (memory_share BETWEEN 0 AND 1),
	max_memory_share         real NOT NULL DEFAULT 1 CHECK (max_memory_share > 0 AND max_memory_share <= 1),
	max_queue_length         integer CHECK (max_queue_length >= 0),
	queue_timeout            interval CHECK (queue_timeout > interval '0'),
	max_execution_time       interval CHECK (max_execution_time > interval '0'),
	roles                    name[] NOT NULL DEFAULT '{}' CHECK (cardinality(roles) <= 16 AND array_position(roles, NULL) IS NULL),
	databases                name[] NOT NULL DEFAULT '{}' CHECK (cardinality(databases) <= 16 AND array_position(databases, NULL) IS NULL),
	application_name         text CHECK (octet_length(application_name) BETWEEN 1 AND 63),
	query_group              text CHECK (octet_length(query_group) BETWEEN 1 AND 63),
	client_addresses         text[] NOT NULL DEFAULT '{}' CHECK (cardinality(array_remove(client_addresses, 'local')) <= 8
	                                                              AND array_position(client_addresses, NULL) IS NULL),
	commands                 text[] NOT NULL DEFAULT '{}' CHECK (commands <@ '{select,insert,update,delete,merge,other}'),
	min_predicted_time       interval CHECK (min_predicted_time >= interval '0'),
	max_predicted_time       interval CHECK (max_predicted_time > interval '0'),
	min_predicted_memory_kb  bigint CHECK (min_predicted_memory_kb >= 0),
	max_predicted_memory_kb  bigint CHECK (max_predicted_memory_kb > 0),
	min_cost                 real CHECK (min_cost >= 0 AND min_cost <> 'NaN'),
	max_cost                 real CHECK (max_cost > 0 AND max_cost <> 'NaN'),
	CHECK (slot_share <= max_slot_share),
	CHECK (memory_share <= max_memory_share),
	CHECK (min_predicted_time < max_predicted_time),
	CHECK (min_predicted_memory_kb < max_predicted_memory_kb),
	CHECK (min_cost < max_cost),
	CHECK (max_slots IS NULL OR (slot_share = 0 AND max_slot_share = 1)),
	CHECK (name <> 'default' OR (cardinality(roles) = 0 AND cardinality(databases) = 0 AND cardinality(client_addresses) = 0
	                             AND cardinality(commands) = 0 AND state <> 'draining'
	                             AND num_nonnulls(application_name, query_group, min_predicted_time, max_predicted_time,
	                                              min_predicted_memory_kb, max_predicted_memory_kb, min_cost, max_cost) = 0))
);
COMMENT ON TABLE wlm.queue IS 'workload queues; the queue "default" is built in and needs a row only to be changed';

CREATE TABLE wlm.rule (
	name          name PRIMARY KEY CHECK (name <> ''),
	ordinal       integer NOT NULL DEFAULT 0,
	queue         name,
	predicates    jsonb NOT NULL CHECK (jsonb_typeof(predicates) = 'array'),
	action        text NOT NULL DEFAULT 'log' CHECK (action IN ('log', 'change_priority', 'hop', 'abort')),
	action_value  text,
	enabled       boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE wlm.rule IS 'what is done with statements that do too much while they run; change it with wlm.create_rule() and others';

CREATE TABLE wlm.user_priority (
	role      name PRIMARY KEY CHECK (role <> ''),
	priority  text NOT NULL CHECK (wlm.is_priority(priority))
);
COMMENT ON TABLE wlm.user_priority IS 'priorities of roles, over those of queues; wlm.change_user_priority() writes it';

-- Who changes the configuration does it one at a time. Not an advisory lock, which everybody may hold for ever, nor a lock on
-- the tables themselves, which two who have changed rows already could only wait for from each other.
CREATE TABLE wlm.configuration_lock ();
COMMENT ON TABLE wlm.configuration_lock IS 'empty: locked by whoever changes queues or rules';

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
	num_preempted       smallint NOT NULL DEFAULT 0,
	wasted_ms           real NOT NULL DEFAULT 0,
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
	load_beside         real,
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

CREATE TABLE wlm.rule_action (
	recorded_at   timestamptz NOT NULL,
	pid           integer NOT NULL,
	query_id      bigint NOT NULL,
	queue         name NOT NULL,
	rule          name NOT NULL,
	action        text NOT NULL,
	applied       boolean NOT NULL,
	metric        text NOT NULL,
	metric_value  double precision NOT NULL,
	database      name,
	role          name
);
CREATE INDEX rule_action_recorded_at ON wlm.rule_action (recorded_at);
COMMENT ON TABLE wlm.rule_action IS 'one row for each rule that a statement met: what was done, and why';

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
SELECT pg_catalog.pg_extension_config_dump('wlm.rule', '');
SELECT pg_catalog.pg_extension_config_dump('wlm.user_priority', '');
SELECT pg_catalog.pg_extension_config_dump('wlm.model', $$WHERE state = 'champion'$$);

--
-- Configuration: checks of the whole table, and word to the launcher
--

CREATE FUNCTION wlm.configuration_changed() RETURNS trigger
AS 'MODULE_PATHNAME', 'wlm_configuration_changed' LANGUAGE C;
COMMENT ON FUNCTION wlm.configuration_changed() IS 'trigger of wlm.queue, wlm.rule and wlm.user_priority: has the configuration read again after commit';

CREATE FUNCTION wlm.check_configuration() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	queues bigint;
	shares numeric;
	slot_shares numeric;
BEGIN
	-- One at a time: what is counted below must include what another session is about to commit.
	LOCK TABLE wlm.configuration_lock IN EXCLUSIVE MODE;
	SELECT count(*) FILTER (WHERE q.name <> 'default'), coalesce(sum(q.memory_share::numeric), 0),
		coalesce(sum(q.slot_share::numeric) FILTER (WHERE q.max_slots IS NULL), 0)
	INTO queues, shares, slot_shares
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
	IF slot_shares > 1.00001 THEN
		RAISE EXCEPTION 'guaranteed slot shares of all workload queues exceed the pool' USING
			ERRCODE = 'invalid_parameter_value',
			DETAIL = format('They would add up to %s; at most 1 can be guaranteed.', round(slot_shares, 3)),
			HINT = 'Lower slot_share of other queues first, or raise max_slot_share instead.';
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

CREATE FUNCTION wlm.check_queue_ranges(q wlm.queue) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kinds CONSTANT text[] := '{select,insert,update,delete,merge,other}';
	attribute text;
	wrong text;
BEGIN
	SELECT string_agg(format('"%s"', c), ', ') INTO wrong FROM unnest(q.commands) c WHERE c IS NULL OR c <> ALL (kinds);
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION 'invalid commands of workload queue "%": %', q.name, wrong USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Commands are select, insert, update, delete, merge and other (a WITH that writes).';
	END IF;
	IF cardinality(array_remove(q.client_addresses, 'local')) > 8 THEN
		RAISE EXCEPTION 'too many client addresses in the conditions of workload queue "%"', q.name USING
			ERRCODE = 'program_limit_exceeded',
			DETAIL = 'A queue can name up to 8 networks, and "local".',
			HINT = 'Give a wider network, or use a second queue.';
	END IF;
	FOREACH wrong IN ARRAY q.client_addresses LOOP
		BEGIN
			CONTINUE WHEN wrong = 'local' OR wrong::inet IS NOT NULL;
		EXCEPTION WHEN invalid_text_representation THEN
			NULL;
		END;
		RAISE EXCEPTION 'invalid client address "%" of workload queue "%"', wrong, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give addresses or networks such as 10.1.0.0/16 or 2001:db8::/32, or "local" for Unix sockets.';
	END LOOP;
	attribute := CASE
		WHEN q.min_predicted_time < interval '0' THEN 'min_predicted_time'
		WHEN q.max_predicted_time <= interval '0' THEN 'max_predicted_time'
		WHEN q.min_predicted_memory_kb < 0 THEN 'min_predicted_memory_kb'
		WHEN q.max_predicted_memory_kb <= 0 THEN 'max_predicted_memory_kb'
		WHEN q.min_cost < 0 OR q.min_cost = 'NaN' THEN 'min_cost'
		WHEN q.max_cost <= 0 OR q.max_cost = 'NaN' THEN 'max_cost' END;
	IF attribute IS NOT NULL THEN
		RAISE EXCEPTION 'invalid % % of workload queue "%"', attribute, to_jsonb(q) ->> attribute, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give a lower bound of at least 0 and an upper one over 0, or null for no restriction.';
	END IF;
	attribute := CASE
		WHEN q.min_predicted_time >= q.max_predicted_time THEN 'predicted_time'
		WHEN q.min_predicted_memory_kb >= q.max_predicted_memory_kb THEN 'predicted_memory_kb'
		WHEN q.min_cost >= q.max_cost THEN 'cost' END;
	IF attribute IS NOT NULL THEN
		RAISE EXCEPTION 'min_% of workload queue "%" is not below its max_%', attribute, q.name, attribute USING
			ERRCODE = 'invalid_parameter_value',
			DETAIL = 'A statement meets the condition if it is at least the one and under the other.',
			HINT = 'Lower min_' || attribute || ', or raise max_' || attribute || '.';
	END IF;
END
$$;
COMMENT ON FUNCTION wlm.check_queue_ranges(wlm.queue) IS 'part of wlm.check_queue(): commands, addresses and what is predicted';

CREATE FUNCTION wlm.check_queue(q wlm.queue) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	missing text;
BEGIN
	IF coalesce(q.name, '') = '' THEN
		RAISE EXCEPTION 'a workload queue needs a name' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF q.priority IS NULL OR NOT wlm.is_priority(q.priority) THEN
		RAISE EXCEPTION 'invalid priority "%" of workload queue "%"', q.priority, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Priorities are lowest, low, normal, high, highest and critical.';
	END IF;
	IF q.max_slots NOT BETWEEN 1 AND 10000 THEN
		RAISE EXCEPTION 'invalid max_slots % of workload queue "%"', q.max_slots, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give a number from 1 to 10000, or leave it null: then pg_wlm finds the number.';
	END IF;
	IF q.state IS NULL OR q.state NOT IN ('open', 'paused', 'draining') THEN
		RAISE EXCEPTION 'invalid state "%" of workload queue "%"', q.state, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'States are open, paused (statements wait) and draining (statements go to other queues).';
	END IF;
	IF q.slot_share IS NULL OR NOT q.slot_share BETWEEN 0 AND 1 THEN
		RAISE EXCEPTION 'invalid slot_share % of workload queue "%"', q.slot_share, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give the guaranteed part of the pool of slots as a fraction from 0 to 1.';
	END IF;
	IF q.max_slot_share IS NULL OR NOT (q.max_slot_share > 0 AND q.max_slot_share <= 1) THEN
		RAISE EXCEPTION 'invalid max_slot_share % of workload queue "%"', q.max_slot_share, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give the largest part of the pool of slots as a fraction over 0 and up to 1.';
	END IF;
	IF q.slot_share > q.max_slot_share THEN
		RAISE EXCEPTION 'slot_share % of workload queue "%" exceeds its max_slot_share %',
			q.slot_share, q.name, q.max_slot_share USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'What is guaranteed can be at most what is allowed.';
	END IF;
	IF q.max_slots IS NOT NULL AND (q.slot_share <> 0 OR q.max_slot_share <> 1) THEN
		RAISE EXCEPTION 'workload queue "%" has both max_slots and a share of the pool of slots', q.name USING
			ERRCODE = 'invalid_parameter_value',
			DETAIL = 'slot_share and max_slot_share are for queues without max_slots, which share a pool of slots.',
			HINT = 'Give back what is not wanted: reset => ''{max_slots}'' or reset => ''{slot_share,max_slot_share}'' of wlm.alter_queue().';
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
	IF q.max_execution_time <= interval '0' THEN
		RAISE EXCEPTION 'invalid max_execution_time % of workload queue "%"', q.max_execution_time, q.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give a positive interval, or null: then statements run as long as they take.';
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
	PERFORM wlm.check_queue_ranges(q);
	IF q.name = 'default' AND (cardinality(q.roles) + cardinality(q.databases) + cardinality(q.client_addresses)
	                           + cardinality(q.commands) + num_nonnulls(q.application_name, q.query_group,
	                           q.min_predicted_time, q.max_predicted_time, q.min_predicted_memory_kb,
	                           q.max_predicted_memory_kb, q.min_cost, q.max_cost) > 0) THEN
		RAISE EXCEPTION 'workload queue "default" cannot have conditions' USING
			ERRCODE = 'invalid_parameter_value',
			DETAIL = 'It takes what no other queue takes.',
			HINT = 'Create another queue with these conditions.';
	END IF;
	IF q.name = 'default' AND q.state = 'draining' THEN
		RAISE EXCEPTION 'workload queue "default" cannot drain' USING
			ERRCODE = 'invalid_parameter_value',
			DETAIL = 'There is no queue that would take its statements.',
			HINT = 'Pause it instead, or create another queue for them.';
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
		HINT = 'wlm.queue_state lists the queues; wlm.create_queue() makes one.';
END
$$;
COMMENT ON FUNCTION wlm.raise_unknown_queue(name) IS 'the error for a queue that does not exist, naming those that do';

CREATE FUNCTION wlm.create_queue(
	name                     name,
	priority                 text     DEFAULT 'normal',
	max_slots                integer  DEFAULT NULL,
	memory_share             real     DEFAULT 0,
	max_memory_share         real     DEFAULT 1,
	max_queue_length         integer  DEFAULT NULL,
	queue_timeout            interval DEFAULT NULL,
	roles                    name[]   DEFAULT '{}',
	databases                name[]   DEFAULT '{}',
	application_name         text     DEFAULT NULL,
	query_group              text     DEFAULT NULL,
	ordinal                  integer  DEFAULT NULL,
	slot_share               real     DEFAULT 0,
	max_slot_share           real     DEFAULT 1,
	max_execution_time       interval DEFAULT NULL,
	client_addresses         text[]   DEFAULT '{}',
	commands                 text[]   DEFAULT '{}',
	min_predicted_time       interval DEFAULT NULL,
	max_predicted_time       interval DEFAULT NULL,
	min_predicted_memory_kb  bigint   DEFAULT NULL,
	max_predicted_memory_kb  bigint   DEFAULT NULL,
	min_cost                 real     DEFAULT NULL,
	max_cost                 real     DEFAULT NULL,
	state                    text     DEFAULT 'open')
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	q wlm.queue;
BEGIN
	PERFORM wlm.require_configured_database('create_queue');
	q.name := create_queue.name;
	q.ordinal := coalesce(create_queue.ordinal, 0);
	q.priority := create_queue.priority;
	q.state := create_queue.state;
	q.max_slots := create_queue.max_slots;
	q.slot_share := create_queue.slot_share;
	q.max_slot_share := create_queue.max_slot_share;
	q.memory_share := create_queue.memory_share;
	q.max_memory_share := create_queue.max_memory_share;
	q.max_queue_length := create_queue.max_queue_length;
	q.queue_timeout := create_queue.queue_timeout;
	q.max_execution_time := create_queue.max_execution_time;
	q.roles := coalesce(create_queue.roles, '{}');
	q.databases := coalesce(create_queue.databases, '{}');
	q.application_name := create_queue.application_name;
	q.query_group := create_queue.query_group;
	q.client_addresses := coalesce(create_queue.client_addresses, '{}');
	q.commands := coalesce(create_queue.commands, '{}');
	q.min_predicted_time := create_queue.min_predicted_time;
	q.max_predicted_time := create_queue.max_predicted_time;
	q.min_predicted_memory_kb := create_queue.min_predicted_memory_kb;
	q.max_predicted_memory_kb := create_queue.max_predicted_memory_kb;
	q.min_cost := create_queue.min_cost;
	q.max_cost := create_queue.max_cost;
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
COMMENT ON FUNCTION wlm.create_queue IS 'creates a workload queue; conditions that are not given match everything';

CREATE FUNCTION wlm.alter_queue(
	name                     name,
	priority                 text     DEFAULT NULL,
	max_slots                integer  DEFAULT NULL,
	memory_share             real     DEFAULT NULL,
	max_memory_share         real     DEFAULT NULL,
	max_queue_length         integer  DEFAULT NULL,
	queue_timeout            interval DEFAULT NULL,
	roles                    name[]   DEFAULT NULL,
	databases                name[]   DEFAULT NULL,
	application_name         text     DEFAULT NULL,
	query_group              text     DEFAULT NULL,
	ordinal                  integer  DEFAULT NULL,
	reset                    text[]   DEFAULT '{}',
	slot_share               real     DEFAULT NULL,
	max_slot_share           real     DEFAULT NULL,
	max_execution_time       interval DEFAULT NULL,
	client_addresses         text[]   DEFAULT NULL,
	commands                 text[]   DEFAULT NULL,
	min_predicted_time       interval DEFAULT NULL,
	max_predicted_time       interval DEFAULT NULL,
	min_predicted_memory_kb  bigint   DEFAULT NULL,
	max_predicted_memory_kb  bigint   DEFAULT NULL,
	min_cost                 real     DEFAULT NULL,
	max_cost                 real     DEFAULT NULL,
	state                    text     DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	attributes CONSTANT text[] := '{priority,max_slots,memory_share,max_memory_share,max_queue_length,queue_timeout,'
		'roles,databases,application_name,query_group,state,slot_share,max_slot_share,max_execution_time,client_addresses,'
		'commands,min_predicted_time,max_predicted_time,min_predicted_memory_kb,max_predicted_memory_kb,min_cost,max_cost}';
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
	q.state := coalesce(alter_queue.state, CASE WHEN 'state' = ANY (forget) THEN 'open' ELSE q.state END);
	q.slot_share := coalesce(alter_queue.slot_share, CASE WHEN 'slot_share' = ANY (forget) THEN 0 ELSE q.slot_share END);
	q.max_slot_share := coalesce(alter_queue.max_slot_share,
		CASE WHEN 'max_slot_share' = ANY (forget) THEN 1 ELSE q.max_slot_share END);
	q.max_execution_time := coalesce(alter_queue.max_execution_time,
		CASE WHEN 'max_execution_time' = ANY (forget) THEN NULL ELSE q.max_execution_time END);
	q.client_addresses := coalesce(alter_queue.client_addresses,
		CASE WHEN 'client_addresses' = ANY (forget) THEN '{}' ELSE q.client_addresses END);
	q.commands := coalesce(alter_queue.commands, CASE WHEN 'commands' = ANY (forget) THEN '{}' ELSE q.commands END);
	q.min_predicted_time := coalesce(alter_queue.min_predicted_time,
		CASE WHEN 'min_predicted_time' = ANY (forget) THEN NULL ELSE q.min_predicted_time END);
	q.max_predicted_time := coalesce(alter_queue.max_predicted_time,
		CASE WHEN 'max_predicted_time' = ANY (forget) THEN NULL ELSE q.max_predicted_time END);
	q.min_predicted_memory_kb := coalesce(alter_queue.min_predicted_memory_kb,
		CASE WHEN 'min_predicted_memory_kb' = ANY (forget) THEN NULL ELSE q.min_predicted_memory_kb END);
	q.max_predicted_memory_kb := coalesce(alter_queue.max_predicted_memory_kb,
		CASE WHEN 'max_predicted_memory_kb' = ANY (forget) THEN NULL ELSE q.max_predicted_memory_kb END);
	q.min_cost := coalesce(alter_queue.min_cost, CASE WHEN 'min_cost' = ANY (forget) THEN NULL ELSE q.min_cost END);
	q.max_cost := coalesce(alter_queue.max_cost, CASE WHEN 'max_cost' = ANY (forget) THEN NULL ELSE q.max_cost END);
	q.ordinal := coalesce(alter_queue.ordinal, q.ordinal);
	PERFORM wlm.check_queue(q);

	UPDATE wlm.queue AS t SET
		ordinal = q.ordinal, priority = q.priority, max_slots = q.max_slots, memory_share = q.memory_share,
		max_memory_share = q.max_memory_share, max_queue_length = q.max_queue_length, queue_timeout = q.queue_timeout,
		roles = q.roles, databases = q.databases, application_name = q.application_name, query_group = q.query_group,
		state = q.state, slot_share = q.slot_share, max_slot_share = q.max_slot_share, max_execution_time = q.max_execution_time,
		client_addresses = q.client_addresses, commands = q.commands, min_predicted_time = q.min_predicted_time,
		max_predicted_time = q.max_predicted_time, min_predicted_memory_kb = q.min_predicted_memory_kb,
		max_predicted_memory_kb = q.max_predicted_memory_kb, min_cost = q.min_cost, max_cost = q.max_cost
	WHERE t.name = alter_queue.name;
END
$$;
COMMENT ON FUNCTION wlm.alter_queue IS 'changes those attributes of a workload queue that are given, and sets back to their defaults those that reset names';

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
-- Rules
--

CREATE FUNCTION wlm.check_rules() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	LOCK TABLE wlm.configuration_lock IN EXCLUSIVE MODE;
	IF (SELECT count(*) FROM wlm.rule r WHERE r.enabled) > 25 THEN
		RAISE EXCEPTION 'too many rules' USING
			ERRCODE = 'program_limit_exceeded',
			DETAIL = 'Up to 25 rules can be enabled.',
			HINT = 'Drop or disable rules that are not needed, or let one rule stand for all queues.';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION wlm.check_rules() IS 'trigger of wlm.rule: what only all rules together can violate';

-- Not the other way round: a restored dump may bring rules before queues.
CREATE FUNCTION wlm.check_rules_of_queues() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	rule_name name;
	missing name;
BEGIN
	LOCK TABLE wlm.configuration_lock IN EXCLUSIVE MODE;
	FOR rule_name, missing IN
		SELECT t.name, g.name
		FROM gone g JOIN wlm.rule t ON t.queue = g.name OR t.action = 'hop' AND t.action_value = g.name
		WHERE g.name <> 'default' AND NOT EXISTS (SELECT FROM wlm.queue q WHERE q.name = g.name)
		ORDER BY t.name LIMIT 1
	LOOP
		RAISE EXCEPTION 'workload queue "%" is named by rule "%"', missing, rule_name USING
			ERRCODE = 'dependent_objects_still_exist',
			HINT = format('Drop the rule first with wlm.drop_rule(%L), or change it with wlm.alter_rule().', rule_name);
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION wlm.check_rules_of_queues() IS 'trigger of wlm.queue: what a rule names stays';

CREATE TRIGGER check_rules_of_deleted AFTER DELETE ON wlm.queue REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION wlm.check_rules_of_queues();
CREATE TRIGGER check_rules_of_updated AFTER UPDATE ON wlm.queue REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION wlm.check_rules_of_queues();
CREATE TRIGGER check_rules AFTER INSERT OR UPDATE ON wlm.rule
	FOR EACH STATEMENT EXECUTE FUNCTION wlm.check_rules();
CREATE TRIGGER configuration_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wlm.rule
	FOR EACH STATEMENT EXECUTE FUNCTION wlm.configuration_changed();
CREATE TRIGGER configuration_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wlm.user_priority
	FOR EACH STATEMENT EXECUTE FUNCTION wlm.configuration_changed();

CREATE FUNCTION wlm.parse_predicates(predicates text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part text;
	found text[];
	unit text;
	factor numeric;
	parsed jsonb := '[]';
BEGIN
	IF predicates ~ '^\s*\[' THEN
		RETURN predicates::jsonb;
	END IF;
	FOREACH part IN ARRAY regexp_split_to_array(predicates, '\s+and\s+', 'i') LOOP
		found := regexp_match(part, '^\s*([a-z_]+)\s*([<>=]+)\s*([0-9]+\.?[0-9]*(?:e[+-]?[0-9]{1,2})?|\.[0-9]+)\s*([a-z]*)\s*$', 'i');
		IF found IS NULL THEN
			RAISE EXCEPTION 'invalid predicate "%"', trim(part) USING
				ERRCODE = 'invalid_parameter_value',
				DETAIL = 'A predicate is a metric, >, < or =, and a number with or without a unit; AND joins predicates.',
				HINT = 'For example: query_execution_time > 10 min AND scan_row_count > 1e9.';
		END IF;
		unit := lower(found[4]);
		factor := CASE
			WHEN unit = '' THEN 1
			WHEN lower(found[1]) ~ '_time$' THEN
				CASE unit WHEN 'ms' THEN 1 WHEN 's' THEN 1000 WHEN 'min' THEN 60000 WHEN 'h' THEN 3600000 WHEN 'd' THEN 86400000 END
			WHEN lower(found[1]) = 'query_memory_kb' THEN
				CASE unit WHEN 'kb' THEN 1 WHEN 'mb' THEN 1024 WHEN 'gb' THEN 1048576 WHEN 'tb' THEN 1073741824 END
			WHEN lower(found[1]) IN ('query_temp_blocks_to_disk', 'query_blocks_read') THEN
				CASE unit WHEN 'kb' THEN 0.125 WHEN 'mb' THEN 128 WHEN 'gb' THEN 131072 WHEN 'tb' THEN 134217728 END
			END;
		IF factor IS NULL THEN
			RAISE EXCEPTION 'invalid unit "%" of metric "%"', found[4], lower(found[1]) USING
				ERRCODE = 'invalid_parameter_value',
				DETAIL = 'Without a unit times are in ms, memory is in kB, and blocks and rows are counted.',
				HINT = 'Units of times are ms, s, min, h and d; those of memory and blocks kB, MB, GB and TB. Rows have none.';
		END IF;
		parsed := parsed || jsonb_build_array(jsonb_build_object('metric', lower(found[1]), 'operator', found[2],
			'value', trim_scale(found[3]::numeric * factor)));
	END LOOP;
	RETURN parsed;
END
$$;
COMMENT ON FUNCTION wlm.parse_predicates(text) IS 'predicates of a rule as wlm.rule has them, from text with units or from JSON';

-- Whether the queues exist is asked by those who create and change rules: a restored dump may bring rules before queues.
CREATE FUNCTION wlm.check_rule() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	metrics CONSTANT text[] := '{query_execution_time,query_queue_time,query_cpu_time,query_temp_blocks_to_disk,query_blocks_read,'
		'scan_row_count,join_row_count,nested_loop_join_row_count,return_row_count,query_memory_kb}';
	r wlm.rule := NEW;
	predicate jsonb;
BEGIN
	IF coalesce(r.name, '') = '' THEN
		RAISE EXCEPTION 'a rule needs a name' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF jsonb_typeof(r.predicates) IS DISTINCT FROM 'array' OR jsonb_array_length(r.predicates) NOT BETWEEN 1 AND 3 THEN
		RAISE EXCEPTION 'rule "%" must have one to three predicates', r.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'All of them must hold. For alternatives create a rule each.';
	END IF;
	FOR predicate IN SELECT jsonb_array_elements(r.predicates) LOOP
		IF jsonb_typeof(predicate) <> 'object' OR NOT predicate ?& '{metric,operator,value}' THEN
			RAISE EXCEPTION 'invalid predicate % of rule "%"', predicate, r.name USING
				ERRCODE = 'invalid_parameter_value',
				HINT = 'A predicate has "metric", "operator" and "value".';
		END IF;
		IF predicate ->> 'metric' IS NULL OR predicate ->> 'metric' <> ALL (metrics) THEN
			RAISE EXCEPTION 'invalid metric "%" of rule "%"', predicate ->> 'metric', r.name USING
				ERRCODE = 'invalid_parameter_value',
				HINT = format('Metrics are %s.', array_to_string(metrics, ', '));
		END IF;
		IF predicate ->> 'operator' IS NULL OR predicate ->> 'operator' NOT IN ('>', '<', '=') THEN
			RAISE EXCEPTION 'invalid operator "%" of rule "%"', predicate ->> 'operator', r.name USING
				ERRCODE = 'invalid_parameter_value',
				HINT = 'Operators are >, < and =.';
		END IF;
		IF (CASE WHEN jsonb_typeof(predicate -> 'value') = 'number'
		         THEN (predicate ->> 'value')::numeric NOT BETWEEN 0 AND 1e100 ELSE true END) THEN
			RAISE EXCEPTION 'invalid value % of rule "%"', predicate -> 'value', r.name USING
				ERRCODE = 'invalid_parameter_value',
				HINT = 'Give a number of at least 0.';
		END IF;
	END LOOP;

	IF r.action IS NULL OR r.action NOT IN ('log', 'change_priority', 'hop', 'abort') THEN
		RAISE EXCEPTION 'invalid action "%" of rule "%"', r.action, r.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Actions are log, change_priority, hop and abort.';
	END IF;
	IF r.action = 'change_priority' AND (r.action_value IS NULL
	   OR NOT wlm.is_priority(r.action_value)) THEN
		RAISE EXCEPTION 'invalid priority "%" of rule "%"', r.action_value, r.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Give the new priority as action_value: lowest, low, normal, high, highest or critical.';
	END IF;
	IF r.action IN ('log', 'abort') AND r.action_value IS NOT NULL THEN
		RAISE EXCEPTION 'action "%" of rule "%" takes no action_value', r.action, r.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Only change_priority and hop have one.';
	END IF;
	IF r.action = 'hop' AND r.action_value = r.queue THEN
		RAISE EXCEPTION 'rule "%" would hop to the queue that it watches', r.name USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Name another queue, or none: then the next queue that matches takes the statement.';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION wlm.check_rule() IS 'trigger of wlm.rule: raises an error with a hint for values that a rule cannot have';
CREATE TRIGGER check_rule BEFORE INSERT OR UPDATE ON wlm.rule FOR EACH ROW EXECUTE FUNCTION wlm.check_rule();

CREATE FUNCTION wlm.check_queues_of_rule(r wlm.rule) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	named name;
BEGIN
	FOREACH named IN ARRAY ARRAY[r.queue, CASE WHEN r.action = 'hop' THEN r.action_value END]::name[] LOOP
		IF named <> 'default' AND NOT EXISTS (SELECT FROM wlm.queue q WHERE q.name = named) THEN
			PERFORM wlm.raise_unknown_queue(named);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION wlm.check_queues_of_rule(wlm.rule) IS 'raises an error with a hint if a queue that a rule names does not exist';

CREATE FUNCTION wlm.raise_unknown_rule(name name) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known text;
BEGIN
	SELECT string_agg(format('"%s"', r.name), ', ' ORDER BY r.ordinal, r.name) INTO known FROM wlm.rule r;
	RAISE EXCEPTION 'rule "%" does not exist', raise_unknown_rule.name USING
		ERRCODE = 'undefined_object',
		DETAIL = CASE WHEN known IS NULL THEN 'There are no rules.' ELSE format('There are %s.', known) END,
		HINT = 'Table wlm.rule lists the rules; wlm.create_rule() makes one.';
END
$$;
COMMENT ON FUNCTION wlm.raise_unknown_rule(name) IS 'the error for a rule that does not exist, naming those that do';

CREATE FUNCTION wlm.create_rule(
	name          name,
	predicates    text,
	action        text     DEFAULT 'log',
	queue         name     DEFAULT NULL,
	action_value  text     DEFAULT NULL,
	ordinal       integer  DEFAULT NULL,
	enabled       boolean  DEFAULT true)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r wlm.rule;
BEGIN
	PERFORM wlm.require_configured_database('create_rule');
	-- A queue that somebody is about to drop is seen as gone.
	LOCK TABLE wlm.configuration_lock IN EXCLUSIVE MODE;
	r.name := create_rule.name;
	r.ordinal := coalesce(create_rule.ordinal, (SELECT coalesce(max(t.ordinal), 0) + 1 FROM wlm.rule t));
	r.queue := create_rule.queue;
	r.predicates := wlm.parse_predicates(create_rule.predicates);
	r.action := create_rule.action;
	r.action_value := create_rule.action_value;
	r.enabled := coalesce(create_rule.enabled, true);
	PERFORM wlm.check_queues_of_rule(r);
	INSERT INTO wlm.rule SELECT r.*;
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'rule "%" already exists', create_rule.name USING
		ERRCODE = 'duplicate_object',
		HINT = 'Use wlm.alter_rule() to change it.';
END
$$;
COMMENT ON FUNCTION wlm.create_rule IS 'creates a rule: what is done with running statements for which all its predicates hold';

CREATE FUNCTION wlm.alter_rule(
	name          name,
	predicates    text     DEFAULT NULL,
	action        text     DEFAULT NULL,
	queue         name     DEFAULT NULL,
	action_value  text     DEFAULT NULL,
	ordinal       integer  DEFAULT NULL,
	enabled       boolean  DEFAULT NULL,
	reset         text[]   DEFAULT '{}')
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	forget text[] := coalesce(alter_rule.reset, '{}');
	unknown text;
	r wlm.rule;
BEGIN
	PERFORM wlm.require_configured_database('alter_rule');
	LOCK TABLE wlm.configuration_lock IN EXCLUSIVE MODE;
	SELECT string_agg(format('"%s"', a), ', ') INTO unknown
	FROM unnest(forget) a WHERE a IS NULL OR a NOT IN ('queue', 'action_value');
	IF unknown IS NOT NULL THEN
		RAISE EXCEPTION 'unknown attributes to reset: %', unknown USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Of a rule queue and action_value can be set back to null.';
	END IF;
	SELECT * INTO r FROM wlm.rule t WHERE t.name = alter_rule.name FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM wlm.raise_unknown_rule(alter_rule.name);
	END IF;

	r.predicates := coalesce(wlm.parse_predicates(alter_rule.predicates), r.predicates);
	r.queue := coalesce(alter_rule.queue, CASE WHEN 'queue' <> ALL (forget) THEN r.queue END);
	-- what another action was told means nothing to this one
	r.action_value := coalesce(alter_rule.action_value,
		CASE WHEN 'action_value' <> ALL (forget) AND r.action = coalesce(alter_rule.action, r.action) THEN r.action_value END);
	r.action := coalesce(alter_rule.action, r.action);
	r.ordinal := coalesce(alter_rule.ordinal, r.ordinal);
	r.enabled := coalesce(alter_rule.enabled, r.enabled);
	PERFORM wlm.check_queues_of_rule(r);

	UPDATE wlm.rule AS t SET
		ordinal = r.ordinal, queue = r.queue, predicates = r.predicates, action = r.action, action_value = r.action_value,
		enabled = r.enabled
	WHERE t.name = alter_rule.name;
END
$$;
COMMENT ON FUNCTION wlm.alter_rule IS 'changes what is given of a rule; reset sets queue or action_value back to null';

CREATE FUNCTION wlm.drop_rule(name name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM wlm.require_configured_database('drop_rule');
	DELETE FROM wlm.rule t WHERE t.name = drop_rule.name;
	IF NOT FOUND THEN
		PERFORM wlm.raise_unknown_rule(drop_rule.name);
	END IF;
END
$$;
COMMENT ON FUNCTION wlm.drop_rule(name) IS 'drops a rule';

--
-- What is going on
--

CREATE FUNCTION wlm.activity(
	OUT pid integer, OUT query_id bigint, OUT database name, OUT role name, OUT queue name, OUT state text,
	OUT "position" integer, OUT priority text, OUT lane text, OUT forced boolean, OUT applied boolean,
	OUT predicted_ms double precision, OUT requested_kb bigint, OUT reserved_kb bigint, OUT work_mem_kb bigint,
	OUT granted_kb bigint, OUT grown_kb bigint, OUT used_kb bigint, OUT real_kb bigint, OUT workers_granted integer,
	OUT queue_time interval, OUT exec_time interval, OUT wait_reason text, OUT num_preempted integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_activity' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION wlm.activity() IS 'managed statements that run or wait; own ones only, unless the caller may read all statistics';

CREATE VIEW wlm.activity AS SELECT * FROM wlm.activity();
COMMENT ON VIEW wlm.activity IS 'managed statements that run or wait; own ones only, unless the reader may read all statistics';

CREATE FUNCTION wlm.queue_state(
	OUT queue name, OUT priority text, OUT state text, OUT slots integer, OUT automatic boolean,
	OUT guaranteed_slots integer, OUT max_slots integer, OUT slots_used integer,
	OUT num_running integer, OUT num_express integer, OUT num_returned integer, OUT num_queued integer,
	OUT num_executed bigint, OUT num_forced bigint, OUT num_timeouts bigint, OUT num_rejected bigint,
	OUT num_cancelled bigint, OUT num_evicted bigint, OUT num_preempted bigint, OUT memory_reserved_kb bigint,
	OUT max_memory_kb bigint, OUT total_queue_time interval, OUT total_wasted interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_queue_state' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION wlm.queue_state() IS 'limits in force, load and totals since the server was started, of each queue';

CREATE VIEW wlm.queue_state AS SELECT * FROM wlm.queue_state();
COMMENT ON VIEW wlm.queue_state IS 'limits in force, load and totals since the server was started, of each queue';

CREATE FUNCTION wlm.concurrency(
	OUT slots integer, OUT slots_used integer, OUT automatic boolean, OUT cpu double precision,
	OUT io_wait double precision, OUT io_stall double precision, OUT memory_stall double precision,
	OUT memory double precision, OUT superuser_slots_used integer, OUT superuser_slots integer,
	OUT changed_at timestamptz, OUT change_reason text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_concurrency' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION wlm.concurrency() IS 'one row: the slots that automatic queues share, and how full the machine is';

CREATE VIEW wlm.concurrency AS SELECT * FROM wlm.concurrency();
COMMENT ON VIEW wlm.concurrency IS 'one row: the slots that automatic queues share, and how full the machine is';

CREATE FUNCTION wlm.concurrency_changes(
	OUT changed_at timestamptz, OUT slots_before integer, OUT slots_after integer, OUT reason text,
	OUT resource text, OUT saturation double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_concurrency_changes' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 64;
COMMENT ON FUNCTION wlm.concurrency_changes() IS 'the latest changes of the slots that automatic queues share, oldest first, and why';

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
	OUT num_grown bigint, OUT num_growth_refused bigint, OUT num_stopped bigint,
	OUT num_preempted bigint, OUT num_rules_fired bigint, OUT express_correction double precision)
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

CREATE FUNCTION wlm.interference(
	OUT load double precision, OUT executions double precision, OUT slowdown double precision, OUT fitted double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_interference' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED ROWS 24;
COMMENT ON FUNCTION wlm.interference() IS 'how statements slow each other: execution time by what was predicted, by how much ran beside';

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

--
-- Control: of queues by their configuration, of single statements in shared memory, from any database
--

CREATE FUNCTION wlm.change_queue_state(function_name text, name name, state text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM wlm.require_configured_database(change_queue_state.function_name);
	UPDATE wlm.queue AS t SET state = change_queue_state.state WHERE t.name = change_queue_state.name;
	IF NOT FOUND THEN
		IF change_queue_state.name IS DISTINCT FROM 'default' THEN
			PERFORM wlm.raise_unknown_queue(change_queue_state.name);
		END IF;
		INSERT INTO wlm.queue (name, state) VALUES ('default', change_queue_state.state);
	END IF;
END
$$;
COMMENT ON FUNCTION wlm.change_queue_state(text, name, text) IS 'what pause_queue(), resume_queue() and drain_queue() do';

CREATE FUNCTION wlm.pause_queue(name name) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ SELECT wlm.change_queue_state('pause_queue', pause_queue.name, 'paused') $$;
COMMENT ON FUNCTION wlm.pause_queue(name) IS 'a workload queue starts no more statements: they wait; those that run go on';

CREATE FUNCTION wlm.resume_queue(name name) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ SELECT wlm.change_queue_state('resume_queue', resume_queue.name, 'open') $$;
COMMENT ON FUNCTION wlm.resume_queue(name) IS 'ends what pause_queue() or drain_queue() began';

CREATE FUNCTION wlm.drain_queue(name name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF drain_queue.name = 'default' THEN
		RAISE EXCEPTION 'workload queue "default" cannot be drained' USING
			ERRCODE = 'invalid_parameter_value',
			DETAIL = 'It takes what no other queue takes.',
			HINT = 'Use wlm.pause_queue(), or create a queue without conditions that takes everything.';
	END IF;
	PERFORM wlm.change_queue_state('drain_queue', drain_queue.name, 'draining');
END
$$;
COMMENT ON FUNCTION wlm.drain_queue(name) IS 'a workload queue runs what it has, and statements go to the next one that takes them';

CREATE FUNCTION wlm.check_user_priority() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
		RETURN coalesce(NEW, OLD);
	END IF;
	IF NEW.priority = 'critical' THEN
		RAISE EXCEPTION 'permission denied to give priority "critical"' USING
			ERRCODE = 'insufficient_privilege',
			DETAIL = 'Statements of this priority start before all others, whatever their queue has left.',
			HINT = 'Only superusers may. Use "highest".';
	END IF;
	IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname IN (OLD.role, NEW.role) AND r.rolsuper) THEN
		RAISE EXCEPTION 'permission denied to change the priority of a superuser' USING
			ERRCODE = 'insufficient_privilege',
			HINT = 'Only superusers may.';
	END IF;
	RETURN coalesce(NEW, OLD);
END
$$;
COMMENT ON FUNCTION wlm.check_user_priority() IS
	'trigger of wlm.user_priority: critical, and the priority of superusers, are for superusers';
CREATE TRIGGER check_user_priority BEFORE INSERT OR UPDATE OR DELETE ON wlm.user_priority
	FOR EACH ROW EXECUTE FUNCTION wlm.check_user_priority();

CREATE FUNCTION wlm.change_user_priority(role name, priority text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM wlm.require_configured_database('change_user_priority');
	IF NOT wlm.is_priority(change_user_priority.priority) THEN
		RAISE EXCEPTION 'invalid priority "%" of role "%"', change_user_priority.priority, change_user_priority.role USING
			ERRCODE = 'invalid_parameter_value',
			HINT = 'Priorities are lowest, low, normal, high, highest and critical; null gives back that of the queue.';
	END IF;
	IF change_user_priority.priority IS NULL THEN
		DELETE FROM wlm.user_priority t WHERE t.role = change_user_priority.role;
		RETURN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = change_user_priority.role) THEN
		RAISE EXCEPTION 'role "%" does not exist', change_user_priority.role USING
			ERRCODE = 'undefined_object',
			HINT = 'The priority is that of one role, the one that runs a statement, not of its members.';
	END IF;
	INSERT INTO wlm.user_priority AS t (role, priority) VALUES (change_user_priority.role, change_user_priority.priority)
	ON CONFLICT ON CONSTRAINT user_priority_pkey DO UPDATE SET priority = excluded.priority;
END
$$;
COMMENT ON FUNCTION wlm.change_user_priority(name, text) IS
	'priority of a role''s statements, those that wait or run included; null gives back that of their queues';

CREATE FUNCTION wlm.change_query_priority(pid integer, priority text) RETURNS boolean
AS 'MODULE_PATHNAME', 'wlm_change_query_priority' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION wlm.change_query_priority(integer, text) IS 'priority of the statements that a process waits with or runs now';

CREATE FUNCTION wlm.move_query(pid integer, queue name) RETURNS boolean
AS 'MODULE_PATHNAME', 'wlm_move_query' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION wlm.move_query(integer, name) IS 'moves the statements that a process waits with or runs now to another queue';

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

CREATE FUNCTION wlm.classify(
	sql text,
	OUT ordinal integer, OUT queue name, OUT matches boolean, OUT reason text, OUT chosen boolean, OUT priority text,
	OUT lane text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_classify' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 10 COST 1000;
COMMENT ON FUNCTION wlm.classify(text) IS 'which queue a statement goes to, and why not to the others; does not run it';

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
-- What if: the scheduler on a virtual clock. With the caller's rights: who may not read the history gets no answer from it.
--

CREATE FUNCTION wlm.simulate(
	policies text[] DEFAULT '{recorded,wlm,fifo,unlimited,clairvoyant}', slots integer DEFAULT NULL, memory text DEFAULT NULL,
	processors real DEFAULT NULL, queues jsonb DEFAULT NULL, settings jsonb DEFAULT NULL, trace text DEFAULT NULL,
	since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, load real DEFAULT NULL, per_queue boolean DEFAULT false,
	OUT policy text, OUT queue name, OUT queries bigint, OUT offered_load double precision, OUT queue_mean_ms double precision,
	OUT queue_p50_ms double precision, OUT queue_p90_ms double precision, OUT queue_p99_ms double precision,
	OUT queue_max_ms double precision, OUT never_waited double precision, OUT latency_mean_ms double precision,
	OUT latency_p50_ms double precision, OUT latency_p90_ms double precision, OUT latency_p99_ms double precision,
	OUT short_p95_ms double precision, OUT execution_mean_ms double precision, OUT mean_slowdown double precision,
	OUT throughput_per_s double precision, OUT makespan_ms double precision, OUT mean_running double precision,
	OUT peak_memory_kb bigint, OUT mean_memory_kb bigint, OUT over_memory double precision, OUT num_forced bigint,
	OUT num_express bigint, OUT num_evicted bigint, OUT num_preempted bigint, OUT num_rejected bigint,
	OUT num_timeouts bigint, OUT gap double precision, OUT calibration double precision,
	OUT calibration_error_ms double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_simulate' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 5 COST 1000
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION wlm.simulate(text[], integer, text, real, jsonb, jsonb, text, timestamptz, timestamptz, real, boolean)
	IS 'what recorded statements would have waited and taken under other policies or another configuration; changes nothing';

CREATE FUNCTION wlm.recommend(
	since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
	OUT rank integer, OUT subject text, OUT current text, OUT recommended text, OUT change text, OUT effect text,
	OUT latency_mean_before_ms double precision, OUT latency_mean_after_ms double precision,
	OUT queue_mean_before_ms double precision, OUT queue_mean_after_ms double precision,
	OUT queue_p90_before_ms double precision, OUT queue_p90_after_ms double precision,
	OUT short_p95_before_ms double precision, OUT short_p95_after_ms double precision,
	OUT peak_memory_before_kb bigint, OUT peak_memory_after_kb bigint, OUT evidence text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'wlm_recommend' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 5 COST 1000
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION wlm.recommend(timestamptz, timestamptz)
	IS 'changes of the configuration that would have helped the recorded statements by a margin, best first; changes nothing';

--
-- What the columns mean, in short; docs/reference/views.md says more
--

COMMENT ON COLUMN wlm.activity.pid IS 'process of the session';
COMMENT ON COLUMN wlm.activity.query_id IS 'as in pg_stat_statements; 0 if the server computes none (compute_query_id)';
COMMENT ON COLUMN wlm.activity.database IS 'of the session';
COMMENT ON COLUMN wlm.activity.role IS 'current role when the statement began';
COMMENT ON COLUMN wlm.activity.queue IS 'where it was routed';
COMMENT ON COLUMN wlm.activity.state
	IS 'classified (admitted, about to run), queued, running, returning (an open cursor that waits for its client), evicted';
COMMENT ON COLUMN wlm.activity.position IS 'place in the queue, 1 is next; null unless queued';
COMMENT ON COLUMN wlm.activity.priority IS 'priority in force';
COMMENT ON COLUMN wlm.activity.lane IS 'express, normal, superuser, or maintenance (commands that build indexes)';
COMMENT ON COLUMN wlm.activity.forced IS 'admitted although there was no room';
COMMENT ON COLUMN wlm.activity.applied IS 'the grant is in force (mode auto)';
COMMENT ON COLUMN wlm.activity.predicted_ms IS 'expected execution time (median); null without an opinion';
COMMENT ON COLUMN wlm.activity.requested_kb IS 'reservation that it wanted';
COMMENT ON COLUMN wlm.activity.reserved_kb IS 'reservation counted against the budget: grows with grown_kb, and falls as phases end';
COMMENT ON COLUMN wlm.activity.work_mem_kb IS 'largest work_mem in force for any of its operators';
COMMENT ON COLUMN wlm.activity.granted_kb IS 'most that all its operators in all processes may hold at the same time, growth included';
COMMENT ON COLUMN wlm.activity.grown_kb IS 'by how much its operators have grown beyond what they were granted at first';
COMMENT ON COLUMN wlm.activity.used_kb IS 'memory that its executor held when it last returned to its client (open cursors); null before';
COMMENT ON COLUMN wlm.activity.real_kb IS 'real memory of its processes when the memory guard last looked; null before';
COMMENT ON COLUMN wlm.activity.workers_granted IS 'parallel workers it may use: those planned or fewer';
COMMENT ON COLUMN wlm.activity.queue_time IS 'time waited';
COMMENT ON COLUMN wlm.activity.exec_time IS 'time since its admission';
COMMENT ON COLUMN wlm.activity.wait_reason IS 'slot, memory, passing, pressure, paused, pool or later; null unless queued';
COMMENT ON COLUMN wlm.activity.num_preempted IS 'how often it gave way to others';

COMMENT ON COLUMN wlm.queue_state.queue IS 'name of the queue';
COMMENT ON COLUMN wlm.queue_state.priority IS 'of statements that have none of their own';
COMMENT ON COLUMN wlm.queue_state.state IS 'open, paused (starts no statements) or draining (gets none)';
COMMENT ON COLUMN wlm.queue_state.slots IS 'limit in force; of an automatic queue the most that it may use now, of what the others leave';
COMMENT ON COLUMN wlm.queue_state.automatic IS 'it draws on the slots that all automatic queues share (wlm.concurrency)';
COMMENT ON COLUMN wlm.queue_state.guaranteed_slots
	IS 'automatic: how many of them others must leave to it while somebody waits here; else 0';
COMMENT ON COLUMN wlm.queue_state.max_slots IS 'the most that it can ever use';
COMMENT ON COLUMN wlm.queue_state.slots_used IS 'slots taken';
COMMENT ON COLUMN wlm.queue_state.num_running IS 'statements that run';
COMMENT ON COLUMN wlm.queue_state.num_express IS 'part of them in the express lane, without a slot';
COMMENT ON COLUMN wlm.queue_state.num_returned IS 'statements that gave their slot back while their client thinks';
COMMENT ON COLUMN wlm.queue_state.num_queued IS 'statements that wait';
COMMENT ON COLUMN wlm.queue_state.num_executed IS 'statements that ended';
COMMENT ON COLUMN wlm.queue_state.num_forced IS 'admitted over a limit';
COMMENT ON COLUMN wlm.queue_state.num_timeouts IS 'cancelled by a queue time-out';
COMMENT ON COLUMN wlm.queue_state.num_rejected IS 'rejected since the queue was full';
COMMENT ON COLUMN wlm.queue_state.num_cancelled IS 'left the queue by cancel, termination or error';
COMMENT ON COLUMN wlm.queue_state.num_evicted IS 'left the express lane by overrunning its cut-off';
COMMENT ON COLUMN wlm.queue_state.num_preempted IS 'gave way to a statement of higher priority and began again';
COMMENT ON COLUMN wlm.queue_state.memory_reserved_kb IS 'sum of the reservations of its statements';
COMMENT ON COLUMN wlm.queue_state.max_memory_kb IS 'most that the queue may reserve';
COMMENT ON COLUMN wlm.queue_state.total_queue_time IS 'sum of all waits';
COMMENT ON COLUMN wlm.queue_state.total_wasted IS 'sum of the execution times that were thrown away by giving way';

COMMENT ON COLUMN wlm.concurrency.slots IS 'limit in force of all automatic queues together';
COMMENT ON COLUMN wlm.concurrency.slots_used IS 'slots taken, those of queues with a number of their own included';
COMMENT ON COLUMN wlm.concurrency.automatic IS 'the limit follows the machine; else it is wlm.total_slots';
COMMENT ON COLUMN wlm.concurrency.cpu IS 'processors used and processes that wait for one, per two processors; 1 is full';
COMMENT ON COLUMN wlm.concurrency.io_wait IS 'processors idle for disks, or processes that wait for them; 1 is full';
COMMENT ON COLUMN wlm.concurrency.io_stall IS 'part of the time in which some process stood still for I/O (PSI), per 0.6; 1 is full';
COMMENT ON COLUMN wlm.concurrency.memory_stall IS 'part of the time in which some process stood still for memory (PSI), per 0.2; 1 is full';
COMMENT ON COLUMN wlm.concurrency.memory IS 'memory in use, per where growth stops (85 %); null while the memory guard is off';
COMMENT ON COLUMN wlm.concurrency.superuser_slots_used IS 'statements in the superusers'' lane';
COMMENT ON COLUMN wlm.concurrency.superuser_slots IS 'how many may be: wlm.superuser_slots';
COMMENT ON COLUMN wlm.concurrency.changed_at IS 'latest change of slots; null if there was none';
COMMENT ON COLUMN wlm.concurrency.change_reason IS 'why: start, configured, demand or saturated';

COMMENT ON COLUMN wlm.expert_accuracy.expert IS 'planner, recall, trees, graph, neighbours, or mixture of all';
COMMENT ON COLUMN wlm.expert_accuracy.target IS 'time, operator_memory or query_memory';
COMMENT ON COLUMN wlm.expert_accuracy.samples IS 'weight of the scores';
COMMENT ON COLUMN wlm.expert_accuracy.p50 IS 'median q-error: factor by which predictions miss, 1 is perfect';
COMMENT ON COLUMN wlm.expert_accuracy.p90 IS '90th percentile of the q-error';
COMMENT ON COLUMN wlm.expert_accuracy.p95 IS '95th percentile of the q-error';
COMMENT ON COLUMN wlm.expert_accuracy.coverage IS 'part of outcomes inside the 95 % interval';
COMMENT ON COLUMN wlm.expert_accuracy.share IS 'mean share in the mixture';
COMMENT ON COLUMN wlm.expert_accuracy.calibration IS 'factor on the width of the mixture''s 95 % intervals; null for single experts';

COMMENT ON COLUMN wlm.training.running IS 'a training runs now';
COMMENT ON COLUMN wlm.training.pid IS 'process of the server that runs it; null if none runs';
COMMENT ON COLUMN wlm.training.reason IS 'new statements, predictions have become worse or wlm.train(); null if there has been none';
COMMENT ON COLUMN wlm.training.phase IS 'what it does now; then done or failed';
COMMENT ON COLUMN wlm.training.progress IS 'of the phase, 0 to 1';
COMMENT ON COLUMN wlm.training.loss IS 'on samples that are kept apart, smaller is better; comparable only within one phase';
COMMENT ON COLUMN wlm.training.samples IS 'different plans that were collected';
COMMENT ON COLUMN wlm.training.started_at IS 'when it began';
COMMENT ON COLUMN wlm.training.finished_at IS 'when it ended; null while it runs';
COMMENT ON COLUMN wlm.training.problem IS 'why it failed, or that of the expert that failed; null if nothing did';

COMMENT ON COLUMN wlm.queue.name IS 'name of the queue';
COMMENT ON COLUMN wlm.queue.ordinal IS 'order in which conditions are tried';
COMMENT ON COLUMN wlm.queue.priority IS 'lowest, low, normal, high, highest or critical (which only statements of superusers get)';
COMMENT ON COLUMN wlm.queue.state IS 'open, paused (statements that come wait) or draining (routing passes it over)';
COMMENT ON COLUMN wlm.queue.max_slots IS 'statements that run at the same time; null: it draws on the pool of slots that such queues share';
COMMENT ON COLUMN wlm.queue.slot_share IS 'without max_slots: guaranteed part of the pool, 0 to 1; all queues together at most 1';
COMMENT ON COLUMN wlm.queue.max_slot_share IS 'without max_slots: largest part of the pool';
COMMENT ON COLUMN wlm.queue.memory_share IS 'guaranteed part of the memory budget, 0 to 1; all queues together at most 1';
COMMENT ON COLUMN wlm.queue.max_memory_share IS 'largest part of the budget';
COMMENT ON COLUMN wlm.queue.max_queue_length IS 'statements that may wait, further ones are rejected; null: no limit';
COMMENT ON COLUMN wlm.queue.queue_timeout IS 'cancels statements that wait longer; null: they are admitted after wlm.max_wait';
COMMENT ON COLUMN wlm.queue.max_execution_time IS 'cancels statements that run longer; null: no limit';
COMMENT ON COLUMN wlm.queue.roles IS 'condition: the current user is a member of one of these; empty: any';
COMMENT ON COLUMN wlm.queue.databases IS 'condition: the session is in one of these; empty: any';
COMMENT ON COLUMN wlm.queue.application_name IS 'condition: application_name matches this LIKE pattern';
COMMENT ON COLUMN wlm.queue.query_group IS 'condition: wlm.query_group equals this';
COMMENT ON COLUMN wlm.queue.client_addresses
	IS 'condition: the client is in one of these networks, or comes by Unix socket for local; empty: any';
COMMENT ON COLUMN wlm.queue.commands
	IS 'condition: one of select, insert, update, delete, merge and other (a WITH that writes); empty: any';
COMMENT ON COLUMN wlm.queue.min_predicted_time IS 'condition: the median predicted time is at least this';
COMMENT ON COLUMN wlm.queue.max_predicted_time IS 'condition: the median predicted time is below this';
COMMENT ON COLUMN wlm.queue.min_predicted_memory_kb IS 'condition: the median predicted memory of the whole statement is at least this';
COMMENT ON COLUMN wlm.queue.max_predicted_memory_kb IS 'condition: the median predicted memory of the whole statement is below this';
COMMENT ON COLUMN wlm.queue.min_cost IS 'condition: the planner''s cost is at least this';
COMMENT ON COLUMN wlm.queue.max_cost IS 'condition: the planner''s cost is below this';

COMMENT ON COLUMN wlm.rule.name IS 'name of the rule';
COMMENT ON COLUMN wlm.rule.ordinal IS 'of several rules with equally severe actions the first counts';
COMMENT ON COLUMN wlm.rule.queue IS 'statements of this queue; null: of every queue';
COMMENT ON COLUMN wlm.rule.predicates IS 'one to three objects with metric, operator (>, < or =) and value; all must hold';
COMMENT ON COLUMN wlm.rule.action IS 'log, change_priority, hop (to another queue) or abort; of several the severest is taken';
COMMENT ON COLUMN wlm.rule.action_value
	IS 'of change_priority: the new priority; of hop: the new queue, or null for the next one that matches';
COMMENT ON COLUMN wlm.rule.enabled IS 'it is in force';

COMMENT ON COLUMN wlm.user_priority.role IS 'role that runs the statements';
COMMENT ON COLUMN wlm.user_priority.priority IS 'as in wlm.queue';

COMMENT ON COLUMN wlm.history.id IS 'number of the row';
COMMENT ON COLUMN wlm.history.finished_at IS 'when it ended';
COMMENT ON COLUMN wlm.history.database IS 'of the session';
COMMENT ON COLUMN wlm.history.role IS 'current role when it began';
COMMENT ON COLUMN wlm.history.pid IS 'process of the session';
COMMENT ON COLUMN wlm.history.query_id IS 'as in pg_stat_statements; 0 if the server computed none';
COMMENT ON COLUMN wlm.history.template IS 'fingerprint of the plan without cardinalities';
COMMENT ON COLUMN wlm.history.fingerprint IS 'fingerprint of the plan: template and magnitudes of cardinalities; key of wlm.plan';
COMMENT ON COLUMN wlm.history.command IS 'SELECT, INSERT, ...';
COMMENT ON COLUMN wlm.history.queue IS 'its workload queue';
COMMENT ON COLUMN wlm.history.priority IS 'priority in force';
COMMENT ON COLUMN wlm.history.lane IS 'express, normal or superuser';
COMMENT ON COLUMN wlm.history.familiarity IS 'what was known: plan (this very plan), template (another with the same template) or none';
COMMENT ON COLUMN wlm.history.novelty
	IS 'distance to the nearest plan seen before: 0 is like one of them, more than 1 unlike all; null if not measured';
COMMENT ON COLUMN wlm.history.final_state IS 'completed, cancelled, failed, rejected or timed_out';
COMMENT ON COLUMN wlm.history.forced IS 'admitted over a limit';
COMMENT ON COLUMN wlm.history.evicted IS 'overran the express lane';
COMMENT ON COLUMN wlm.history.applied IS 'the grant was in force';
COMMENT ON COLUMN wlm.history.censored IS 'cut short: actual_ms and memory are lower bounds';
COMMENT ON COLUMN wlm.history.total_cost IS 'cost by the planner';
COMMENT ON COLUMN wlm.history.estimated_rows IS 'rows by the planner';
COMMENT ON COLUMN wlm.history.returned_rows IS 'rows returned or changed; null if not known';
COMMENT ON COLUMN wlm.history.queue_ms IS 'time waited in queues';
COMMENT ON COLUMN wlm.history.num_preempted IS 'how often it gave way, or was moved by a rule, and began again';
COMMENT ON COLUMN wlm.history.wasted_ms IS 'execution time of the attempts that were thrown away so';
COMMENT ON COLUMN wlm.history.predicted_ms IS 'predicted time, median';
COMMENT ON COLUMN wlm.history.predicted_low_ms IS 'lower end of the 95 % interval of predicted_ms';
COMMENT ON COLUMN wlm.history.predicted_high_ms IS 'upper end of the 95 % interval of predicted_ms';
COMMENT ON COLUMN wlm.history.actual_ms IS 'execution time without the wait; of the last attempt';
COMMENT ON COLUMN wlm.history.predicted_kb IS 'predicted memory of the whole statement, median';
COMMENT ON COLUMN wlm.history.predicted_high_kb IS 'upper end of the 95 % interval of predicted_kb';
COMMENT ON COLUMN wlm.history.reserved_kb IS 'memory that counted against the budget';
COMMENT ON COLUMN wlm.history.session_work_mem_kb IS 'the session''s own work_mem';
COMMENT ON COLUMN wlm.history.plan_work_mem_kb IS 'work_mem for which the plan was made; null if not known (a plan made earlier)';
COMMENT ON COLUMN wlm.history.granted_work_mem_kb IS 'largest work_mem in force for any of its operators';
COMMENT ON COLUMN wlm.history.lacking_kb IS 'predicted need of its operators beyond the session''s own limits, at the fullest moment';
COMMENT ON COLUMN wlm.history.coverage IS 'part of lacking_kb that was granted, 0 to 1';
COMMENT ON COLUMN wlm.history.grant_level IS 'the same as a level: own (nothing beyond the session''s own), some (up to a half), most, all';
COMMENT ON COLUMN wlm.history.grant_reason IS 'why this level: nothing lacks, predicted, proven, withdrawn or exploring';
COMMENT ON COLUMN wlm.history.peak_kb IS 'peak memory of all its processes, as far as it was observed';
COMMENT ON COLUMN wlm.history.temp_bytes IS 'written to temporary files';
COMMENT ON COLUMN wlm.history.workers_planned IS 'parallel workers planned';
COMMENT ON COLUMN wlm.history.workers_granted IS 'parallel workers it was to run with: those planned or fewer';
COMMENT ON COLUMN wlm.history.workers_launched IS 'parallel workers launched';
COMMENT ON COLUMN wlm.history.worker_reason IS 'why so many: as planned, scalability, load or withdrawn';
COMMENT ON COLUMN wlm.history.load_beside IS 'processors that other managed statements kept busy while it ran, on average; null if unknown';
COMMENT ON COLUMN wlm.history.model_version IS 'of the models that predicted';
COMMENT ON COLUMN wlm.history.experts IS 'what each expert said: medians in ms and kb, deviations of their logarithms, shares';

COMMENT ON COLUMN wlm.history_operator.history_id IS 'id of wlm.history';
COMMENT ON COLUMN wlm.history_operator.plan_node_id IS 'as EXPLAIN numbers nodes, from 0';
COMMENT ON COLUMN wlm.history_operator.operator IS 'as EXPLAIN calls it';
COMMENT ON COLUMN wlm.history_operator.memory_class IS 'which limit of PostgreSQL it obeys';
COMMENT ON COLUMN wlm.history_operator.slot IS 'position among the plan''s memory operators';
COMMENT ON COLUMN wlm.history_operator.processes IS 'processes that reported';
COMMENT ON COLUMN wlm.history_operator.estimated_rows IS 'rows by the planner';
COMMENT ON COLUMN wlm.history_operator.actual_rows IS 'counted on a sample (wlm.sample_rate); else null';
COMMENT ON COLUMN wlm.history_operator.formula_kb IS 'memory by PostgreSQL''s own arithmetic';
COMMENT ON COLUMN wlm.history_operator.predicted_kb IS 'need of one process, median of the mixture';
COMMENT ON COLUMN wlm.history_operator.predicted_high_kb IS 'upper end of the 95 % interval of predicted_kb';
COMMENT ON COLUMN wlm.history_operator.granted_kb IS 'limit of one process when it began';
COMMENT ON COLUMN wlm.history_operator.grown_kb IS 'limit at the end: more than granted_kb where it grew';
COMMENT ON COLUMN wlm.history_operator.peak_kb IS 'peak of the largest process';
COMMENT ON COLUMN wlm.history_operator.needed_kb IS 'what it would have needed to stay in memory';
COMMENT ON COLUMN wlm.history_operator.temp_kb
	IS 'written to temporary files by the largest process; 0 without a spill, null if not observed';
COMMENT ON COLUMN wlm.history_operator.spilled IS 'used temporary files';
COMMENT ON COLUMN wlm.history_operator.censored IS 'needed_kb is a lower bound';
COMMENT ON COLUMN wlm.history_operator.experts IS 'what each expert said';

COMMENT ON COLUMN wlm.plan.fingerprint IS 'as in wlm.history';
COMMENT ON COLUMN wlm.plan.template IS 'fingerprint without cardinalities';
COMMENT ON COLUMN wlm.plan.format IS 'version of the bytes in graph';
COMMENT ON COLUMN wlm.plan.graph IS 'operators, cardinalities, costs';
COMMENT ON COLUMN wlm.plan.total_cost IS 'cost by the planner';
COMMENT ON COLUMN wlm.plan.nodes IS 'number of plan nodes';
COMMENT ON COLUMN wlm.plan.executions IS 'statements seen with it';
COMMENT ON COLUMN wlm.plan.first_seen IS 'first time';
COMMENT ON COLUMN wlm.plan.last_seen IS 'latest time';

COMMENT ON COLUMN wlm.rule_action.recorded_at IS 'when the rule''s firing was noted, within a second of it';
COMMENT ON COLUMN wlm.rule_action.pid IS 'server process of the statement';
COMMENT ON COLUMN wlm.rule_action.query_id IS 'as in pg_stat_statements; 0 if compute_query_id is off';
COMMENT ON COLUMN wlm.rule_action.queue IS 'in which the statement was then; after a hop the row still names the queue it came from';
COMMENT ON COLUMN wlm.rule_action.rule IS 'name of the rule';
COMMENT ON COLUMN wlm.rule_action.action IS 'log, change_priority, hop or abort';
COMMENT ON COLUMN wlm.rule_action.applied IS 'the action was carried out; false also in mode observe';
COMMENT ON COLUMN wlm.rule_action.metric IS 'of the rule''s first condition';
COMMENT ON COLUMN wlm.rule_action.metric_value IS 'its value when the rule fired';
COMMENT ON COLUMN wlm.rule_action.database IS 'null if it has been dropped';
COMMENT ON COLUMN wlm.rule_action.role IS 'null if it has been dropped';

COMMENT ON COLUMN wlm.model.expert IS 'planner, recall, trees, graph or gate';
COMMENT ON COLUMN wlm.model.version IS 'counts up for each expert';
COMMENT ON COLUMN wlm.model.state IS 'champion (in use), challenger (not good enough to be published), retired or failed';
COMMENT ON COLUMN wlm.model.trained_at IS 'when it was trained or imported';
COMMENT ON COLUMN wlm.model.samples IS 'statements it learned from; 0 for an imported model';
COMMENT ON COLUMN wlm.model.learned_to IS 'end of the newest of them; later history is learned again after a restart';
COMMENT ON COLUMN wlm.model.metrics IS 'what it was judged by, by target, beside the champion''s';
COMMENT ON COLUMN wlm.model.error IS 'why it failed';
COMMENT ON COLUMN wlm.model.content IS 'the model; null where it is not kept';

--
-- Who may what: everybody predicts and sees his own, pg_monitor reads, wlm_admin configures
--

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA wlm FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA wlm FROM PUBLIC;
GRANT USAGE ON SCHEMA wlm TO PUBLIC;

GRANT EXECUTE ON FUNCTION wlm.predict(text), wlm.explain(text), wlm.classify(text), wlm.grant_curve(text),
	wlm.activity(), wlm.version(), wlm.cancel_queued(integer) TO PUBLIC;
GRANT SELECT ON wlm.activity TO PUBLIC;

GRANT EXECUTE ON FUNCTION wlm.status(), wlm.queue_state(), wlm.expert_accuracy(), wlm.training(),
	wlm.feature_importance(), wlm.plan_memory(bigint), wlm.grant_outcomes(), wlm.interference(),
	wlm.flush(interval) TO pg_monitor, wlm_admin;
GRANT EXECUTE ON FUNCTION
	wlm.simulate(text[], integer, text, real, jsonb, jsonb, text, timestamptz, timestamptz, real, boolean),
	wlm.recommend(timestamptz, timestamptz) TO pg_monitor, wlm_admin;
GRANT EXECUTE ON FUNCTION wlm.concurrency(), wlm.concurrency_changes() TO pg_monitor, wlm_admin;
-- Others' plans, by fingerprint: for those who may read them anyway.
GRANT EXECUTE ON FUNCTION wlm.neighbours(text) TO pg_read_all_stats, wlm_admin;
GRANT SELECT ON ALL TABLES IN SCHEMA wlm TO pg_monitor, wlm_admin;

GRANT UPDATE ON wlm.configuration_lock TO wlm_admin;
GRANT INSERT, UPDATE, DELETE ON wlm.queue, wlm.rule, wlm.user_priority TO wlm_admin;
GRANT EXECUTE ON FUNCTION
	wlm.create_queue, wlm.alter_queue, wlm.drop_queue(name), wlm.check_queue(wlm.queue), wlm.check_queue_ranges(wlm.queue),
	wlm.raise_unknown_queue(name),
	wlm.require_configured_database(text), wlm.check_configuration(), wlm.configuration_changed(),
	wlm.create_rule, wlm.alter_rule, wlm.drop_rule(name), wlm.parse_predicates(text), wlm.check_rule(),
	wlm.check_queues_of_rule(wlm.rule), wlm.check_user_priority(), wlm.is_priority(text), wlm.raise_unknown_rule(name), wlm.check_rules(), wlm.check_rules_of_queues(),
	wlm.train(text), wlm.evaluate(), wlm.rollback(text), wlm.export_model(text, integer), wlm.import_model(bytea),
	wlm.export_samples(integer), wlm.reset(text)
	TO wlm_admin;
GRANT EXECUTE ON FUNCTION wlm.change_queue_state(text, name, text), wlm.pause_queue(name), wlm.resume_queue(name),
	wlm.drain_queue(name), wlm.change_user_priority(name, text), wlm.change_query_priority(integer, text),
	wlm.move_query(integer, name) TO wlm_admin;

-- Fires the trigger: from this commit on the empty configuration of the new extension is in force.
DELETE FROM wlm.queue WHERE false;

-- What is missing for all of this to be of use: CREATE EXTENSION shows WARNINGs, but no NOTICEs.
DO $$
DECLARE
	it record;
BEGIN
	SELECT loaded, database INTO it FROM wlm.status();
	IF NOT it.loaded THEN
		RAISE WARNING 'pg_wlm is not loaded' USING
			HINT = 'Add pg_wlm to shared_preload_libraries and restart the server.';
	ELSIF it.database IS DISTINCT FROM current_database() THEN
		RAISE WARNING 'the workload manager keeps its tables in database "%"', it.database USING
			DETAIL = format('wlm.database names it. Tables of database "%s" are not used.', current_database()),
			HINT = 'Queues, rules and history are there. To have them here, change wlm.database and restart the server.';
	END IF;
END
$$;
