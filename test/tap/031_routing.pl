# 031_routing.pl
#
# Where statements go that really run: by client address, kind of command, cost and prediction; what
# changes while they run; that the configuration survives dump and restore; and that nothing
# which was written into the tables by hand keeps the rest from being applied.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $node = start_node('routing', [ q{listen_addresses = '127.0.0.1'}, 'log_min_messages = warning' ]);
my $admin = prepare_node($node);
my $statement = 'SELECT costly(id) FROM numbers';
my $port = $node->port;
my $user = getpwuid($<);

sub in_force
{
	my ($name, $condition) = @_;
	return eventually($admin, "SELECT count(*) FROM wlm.queue_state WHERE queue = '$name'" . ($condition ? " AND $condition" : ''),
		1, "queue \"$name\" is in force");
}

# What psql answers over TCP or the socket.
sub over
{
	my ($host, $query) = @_;
	my ($out, $err) = run_command([ 'psql', '-XAt', '-d', "host=$host port=$port dbname=postgres user=$user", '-c', $query ]);
	diag($err) if $err;
	return $out;
}

sub queue_of { my ($sql) = @_; return "SELECT queue FROM wlm.classify(\$q\$$sql\$q\$) WHERE chosen"; }

# Client addresses
$admin->do(q{SELECT wlm.create_queue('local', client_addresses => '{local}', ordinal => 10)});
$admin->do(q{SELECT wlm.create_queue('remote', client_addresses => '{10.0.0.0/8,127.0.0.0/30}', ordinal => 11)});
in_force('remote');
is(over($node->host, queue_of($statement)), 'local', 'a client of a Unix socket');
is(over('127.0.0.1', queue_of($statement)), 'remote', 'a client of a network');
$admin->do(q{SELECT wlm.alter_queue('remote', client_addresses => '{10.0.0.0/8,127.0.0.4/30,::/0}', priority => 'low')});
in_force('remote', q{priority = 'low'});
is(over('127.0.0.1', queue_of($statement)), 'default', 'a client of none');
is(over('127.0.0.1', "SELECT reason FROM wlm.classify('$statement') WHERE queue = 'remote'"),
	'client address 127.0.0.1 is in none of its networks', 'and why');
is(over('127.0.0.1', "$statement LIMIT 1"), '1', 'it runs');
$admin->do(q{SELECT wlm.drop_queue('local')});
$admin->do(q{SELECT wlm.drop_queue('remote')});

# What runs is routed as classify() says, by command, cost and what is predicted.
$admin->do(q{SELECT wlm.create_queue('writes', commands => '{update}')});
$admin->do(q{SELECT wlm.create_queue('huge', min_cost => 1e9)});
$admin->do(q{SELECT wlm.create_queue('predicted', min_predicted_time => '0.001 ms', max_cost => 1e9)});
in_force('predicted');
my $session = session($node, name => 'routed');
my %expected = (
	'UPDATE numbers SET id = id WHERE costly(id) > 0' => 'writes',
	'SELECT count(costly(a.id)) FROM numbers a, numbers b, numbers c' => 'huge',
	$statement => 'predicted');
for my $sql (sort keys %expected)
{
	is($session->value(queue_of($sql)), $expected{$sql}, "classify() knows: $expected{$sql}");
	like(join("\n", map { $_->[0] } @{ $session->do("EXPLAIN $sql")->{rows} }), qr/Queue: $expected{$sql}\b/, 'so does EXPLAIN');
	next if $expected{$sql} eq 'huge'; # a million calls
	my $executed = counter($admin, 'num_executed', $expected{$sql});
	$session->do($sql);
	is(counter($admin, 'num_executed', $expected{$sql}), $executed + 1, 'and there it runs');
}
$admin->do("SELECT wlm.drop_queue('$_')") for qw(writes huge predicted);

# A user's priority
$admin->do(q{INSERT INTO wlm.user_priority VALUES (current_user, 'high')});
$admin->do(q{SELECT wlm.alter_queue('one', priority => 'low')});
in_force('one', q{priority = 'low'});
my $holder = hold_slot($admin, $node);
is($admin->value("SELECT priority FROM wlm.activity WHERE pid = $holder->{pid}"), 'high', 'a user has his own priority');

# Changes under a running statement: it keeps its queue, the next one goes elsewhere.
$admin->do(q{SELECT wlm.alter_queue('one', query_group => 'two')});
$admin->do(q{SELECT wlm.create_queue('three', query_group => 'one')});
$admin->do(q{DELETE FROM wlm.user_priority});
in_force('three');
is($admin->value("SELECT queue FROM wlm.activity WHERE pid = $holder->{pid}"), 'one', 'a running statement stays where it is');
eventually($admin, "SELECT priority FROM wlm.activity WHERE pid = $holder->{pid}", 'low', 'its priority follows that of its user');
$session->do(q{SET wlm.query_group = 'one'});
is($session->value(queue_of($statement)), 'three', 'the next one does not');
is(@{ $session->do($statement)->{rows} }, 100, 'and has not to wait');
$admin->do('SELECT pg_advisory_unlock(1)');
is($holder->finish->{rows}[0][0], 'held', 'the running one ends');
settled($admin, 'nothing is left');

# A rule of a queue is part of the configuration: not before commit, not in a prepared transaction
$admin->do('BEGIN');
$admin->do(q{SELECT wlm.create_rule('prepared', 'query_cpu_time > 1 h')});
isnt($admin->query(q{PREPARE TRANSACTION 'rule'})->{sqlstate}, '', 'a transaction that changed rules cannot be prepared');
$admin->query('ROLLBACK');

# Dump and restore
$admin->do($_) for (
	q{SELECT wlm.alter_queue('one', query_group => 'one', slot_share => 0.25, client_addresses => '{10.0.0.0/8,local}',
		commands => '{select,merge}', min_predicted_time => '1 s', max_predicted_memory_kb => 1000, max_cost => 1e9, state => 'paused', reset => '{max_slots}')},
	q{SELECT wlm.create_rule('long', 'query_execution_time > 10 min AND query_memory_kb > 1 GB', 'hop', 'three', 'one')},
	q{SELECT wlm.create_rule('off', 'scan_row_count > 1e9', 'abort', enabled => false)},
	q{INSERT INTO wlm.user_priority VALUES ('dumped', 'lowest')});
my $tables = q{SELECT coalesce((SELECT string_agg(q::text, E'\n' ORDER BY name) FROM wlm.queue q), '') || E'\n' ||
	coalesce((SELECT string_agg(r::text, E'\n' ORDER BY name) FROM wlm.rule r), '') || E'\n' ||
	coalesce((SELECT string_agg(p::text, E'\n' ORDER BY role) FROM wlm.user_priority p), '')};
my $before = $admin->value($tables);
my $dump = $PostgreSQL::Test::Utils::tmp_check . '/routing.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'dump');
$admin->do('CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('restored') ], 'restore');
is($node->safe_psql('restored', $tables), $before, 'queues, rules and priorities are as they were');
like($before, qr/long.*\n.*off/s, 'which was not nothing');
# the order in which a restore brings tables is not ours: rules may come before their queues
$admin->do('BEGIN');
$admin->do(q{CREATE TEMP TABLE queues AS TABLE wlm.queue});
$admin->do(q{DELETE FROM wlm.rule});
$admin->do(q{DELETE FROM wlm.queue});
is($admin->query(q{INSERT INTO wlm.rule (name, queue, predicates, action) VALUES ('early', 'one', '[{"metric": "query_cpu_time", "operator": ">", "value": 1}]', 'log')})->{sqlstate}, '',
	'a rule can be restored before its queue');
is($admin->query(q{INSERT INTO wlm.queue SELECT * FROM queues})->{sqlstate}, '', 'and the queue after it');
$admin->do('ROLLBACK');

# What was written by hand and makes no sense becomes harmless, and the rest is applied.
$admin->do($_) for (
	q{ALTER TABLE wlm.queue DROP CONSTRAINT queue_state_check, DROP CONSTRAINT queue_commands_check, DROP CONSTRAINT queue_slot_share_check},
	q{ALTER TABLE wlm.rule DROP CONSTRAINT rule_action_check, DROP CONSTRAINT rule_predicates_check, DISABLE TRIGGER check_rule},
	q{ALTER TABLE wlm.user_priority DROP CONSTRAINT user_priority_priority_check},
	q{ALTER TABLE wlm.queue DROP CONSTRAINT queue_check, DISABLE TRIGGER check_configuration});
my $offset = -s $node->logfile;
$admin->do($_) for (
	q{INSERT INTO wlm.queue (name, state, slot_share, commands, client_addresses, ordinal)
		VALUES ('nonsense', 'ajar', 7, '{explode}', '{here,10.0.0.0/99}', -5)},
	q{INSERT INTO wlm.rule (name, queue, predicates, action, action_value) VALUES
		('nowhere', 'gone', '[{"metric": "query_cpu_time", "operator": ">", "value": 1}]', 'log', NULL),
		('hops to nowhere', NULL, '[{"metric": "query_cpu_time", "operator": ">", "value": 1}]', 'hop', 'gone'),
		('explodes', NULL, '[{"metric": "query_cpu_time", "operator": ">", "value": 1}]', 'explode', NULL),
		('no priority', NULL, '[{"metric": "query_cpu_time", "operator": ">", "value": 1}]', 'change_priority', 'urgent'),
		('empty', NULL, '[]', 'abort', NULL), ('no list', NULL, '"x"', 'abort', NULL), ('numbers', NULL, '[1, [2]]', 'abort', NULL),
		('overflow', NULL, '[{"metric": "query_cpu_time", "operator": ">", "value": 1e400}]', 'abort', NULL),
		('text', NULL, '[{"metric": "query_cpu_time", "operator": ">", "value": "1x"}]', 'abort', NULL),
		('metric', NULL, '[{"metric": "colour", "operator": ">", "value": 1}]', 'abort', NULL),
		('operator', NULL, '[{"metric": "query_cpu_time", "operator": "><", "value": 1}]', 'abort', NULL),
		('four', NULL, (SELECT jsonb_agg(p) FROM jsonb_array_elements('[{"metric": "query_cpu_time", "operator": ">", "value": 1}]') p,
			generate_series(1, 4)), 'abort', NULL)},
	q{INSERT INTO wlm.user_priority VALUES ('nobody', 'urgent')},
	q{INSERT INTO wlm.user_priority SELECT 'role ' || i, 'low' FROM generate_series(1, 70) i},
	q{SELECT wlm.alter_queue('three', priority => 'highest')});
in_force('three', q{priority = 'highest'});
in_force('nonsense');
is($session->value(queue_of($statement)), 'three', 'a queue of nonsense takes nobody');
is(@{ $session->do($statement)->{rows} }, 100, 'and others work');
my $log = slurp_file($node->logfile, $offset);
like($log, qr/WARNING:.*$_/, "warned: $_") for (
	map { qr/rule "$_" is ignored/ } ('nowhere', 'hops to nowhere', 'explodes', 'no priority', 'empty', 'no list', 'numbers', 'overflow', 'text',
		'metric', 'operator', 'four')), qr/unknown state "ajar"/, qr/unknown command "explode"/, qr/invalid client address "here"/,
	qr/invalid client address "10.0.0.0\/99"/, qr/role "nobody" has an unknown priority/, qr/priorities of more than 64 roles/;
unlike($log, qr/rule "(?:long|off)" is ignored/, 'rules that make sense are not');
is($admin->value('SELECT num_errors FROM wlm.status()'), 0, 'no failure');
settled($admin, 'nothing is left at the end');
done_testing();
