-- Rules: what can be created, changed and dropped, and what the messages say
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
RESET client_min_messages;
\set SHOW_CONTEXT never

SELECT wlm.create_queue('slow', max_slots => 1);
SELECT wlm.create_queue('fast', priority => 'high');

-- text with units, stored as numbers in the metric's own unit
SELECT wlm.create_rule('long', 'query_execution_time > 10min AND scan_row_count > 1e9', 'abort');
SELECT wlm.create_rule('spill', 'Query_Temp_Blocks_To_Disk > 1 GB and query_memory_kb < 1.5 MB AND return_row_count = 0',
                       'hop', 'fast', 'slow', ordinal => -1);
SELECT wlm.create_rule('hot', 'query_cpu_time>90s', 'change_priority', action_value => 'low', enabled => false);
SELECT wlm.create_rule('other', '[{"metric": "join_row_count", "operator": "=", "value": 12.5}]', 'hop', 'default');
SELECT * FROM wlm.rule ORDER BY ordinal;
SELECT text, wlm.parse_predicates(text) -> 0 -> 'value' AS value
FROM unnest(ARRAY['query_queue_time > 7', 'query_queue_time > 7ms', 'query_queue_time > 1 H', 'query_queue_time > .5d', 'query_memory_kb > 3 TB',
	'query_blocks_read > 64kB', 'query_blocks_read > 2.50', 'return_row_count < 1e+3', 'return_row_count < 2.e2']) text;

-- only what is given changes
SELECT wlm.alter_rule('long', predicates => 'query_execution_time > 1h');
SELECT wlm.alter_rule('spill', action => 'log');
SELECT wlm.alter_rule('hot', queue => 'slow', action_value => 'lowest', enabled => true, ordinal => 7);
SELECT wlm.alter_rule('other', reset => '{queue}');
SELECT * FROM wlm.rule ORDER BY ordinal;

-- mistakes
SELECT wlm.create_rule('long', 'query_cpu_time > 1');
SELECT wlm.create_rule('', 'query_cpu_time > 1');
SELECT wlm.create_rule('x', NULL);
SELECT wlm.create_rule('x', '');
SELECT wlm.create_rule('x', '[]');
SELECT wlm.create_rule('x', 'query_cpu_time > 1 AND query_cpu_time > 1 AND query_cpu_time > 1 AND query_cpu_time > 1');
SELECT wlm.create_rule('x', 'query_cpu_time > 1 OR query_cpu_time < 1');
SELECT wlm.create_rule('x', 'query_cpu_time > -1');
SELECT wlm.create_rule('x', 'query_cpu_time >= 1');
SELECT wlm.create_rule('x', 'query_colour > 1');
SELECT wlm.create_rule('x', 'query_cpu_time > 1 GB');
SELECT wlm.create_rule('x', 'scan_row_count > 1 s');
SELECT wlm.create_rule('x', '[{"metric": "query_cpu_time", "operator": ">"}]');
SELECT wlm.create_rule('x', '[{"metric": "query_cpu_time", "operator": ">", "value": "1"}]');
SELECT wlm.create_rule('x', '[{"metric": "query_cpu_time", "operator": ">", "value": -1}]');
SELECT wlm.create_rule('x', '[{"metric": "query_cpu_time", "operator": ">", "value": null}]');
SELECT wlm.create_rule('x', '[7]');
SELECT wlm.create_rule('x', 'query_cpu_time > 1', 'kill');
SELECT wlm.create_rule('x', 'query_cpu_time > 1', 'abort', action_value => 'low');
SELECT wlm.create_rule('x', 'query_cpu_time > 1', 'change_priority');
SELECT wlm.create_rule('x', 'query_cpu_time > 1', 'change_priority', action_value => 'urgent');
SELECT wlm.create_rule('x', 'query_cpu_time > 1', queue => 'nowhere');
SELECT wlm.create_rule('x', 'query_cpu_time > 1', 'hop', action_value => 'nowhere');
SELECT wlm.create_rule('x', 'query_cpu_time > 1', 'hop', 'slow', 'slow');
SELECT wlm.alter_rule('nonexistent');
SELECT wlm.alter_rule('long', reset => '{action,name}');
SELECT wlm.alter_rule('long', action => 'change_priority');
SELECT wlm.drop_rule('nonexistent');
SELECT count(*) FROM wlm.rule;

-- the same by DML, but for queues that do not exist yet
INSERT INTO wlm.rule (name, predicates) VALUES ('x', '[]');
INSERT INTO wlm.rule (name, predicates) VALUES ('x', '[{"metric": "query_colour", "operator": ">", "value": 1}]');
INSERT INTO wlm.rule (name, predicates) VALUES ('x', '[{"metric": "query_cpu_time", "operator": "!", "value": 1}]');
INSERT INTO wlm.rule (name, predicates, action_value) VALUES ('x', wlm.parse_predicates('query_cpu_time > 1'), 'low');
UPDATE wlm.rule SET action = 'change_priority', action_value = 'urgent' WHERE name = 'long';
INSERT INTO wlm.rule (name, predicates, queue) VALUES ('x', wlm.parse_predicates('query_cpu_time > 1'), 'later') RETURNING name, queue;
DELETE FROM wlm.rule WHERE name = 'x';

-- as many as can be enabled
INSERT INTO wlm.rule (name, predicates) SELECT 'r' || i, wlm.parse_predicates('scan_row_count > 1') FROM generate_series(1, 22) i;
INSERT INTO wlm.rule (name, predicates, enabled) SELECT 'r' || i, wlm.parse_predicates('scan_row_count > 1'), false FROM generate_series(1, 22) i;
UPDATE wlm.rule SET enabled = true;
DELETE FROM wlm.rule WHERE name LIKE 'r%';

-- queues that rules name stay
SELECT wlm.drop_queue('slow');
SELECT wlm.create_rule('hops', 'query_cpu_time > 1', 'hop', action_value => 'fast');
SELECT wlm.drop_queue('fast');
UPDATE wlm.queue SET name = 'faster' WHERE name = 'fast';
DELETE FROM wlm.queue;
BEGIN;
SELECT wlm.drop_rule('hot');
SELECT wlm.drop_queue('slow');
ROLLBACK;

SELECT wlm.drop_rule(name) FROM wlm.rule;
SELECT wlm.drop_queue('slow');
SELECT wlm.drop_queue('fast');
SELECT * FROM wlm.rule;
