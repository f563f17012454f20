# A server without pg_wlm in shared_preload_libraries, and a database that is not wlm.database: functions
# say what to do, tables can be prepared, hooks are silent.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('not_loaded');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->start;

my ($status, $out, $err);

sub refuses
{
	my ($database, $query, $expected, $name) = @_;
	($status, $out, $err) = $node->psql($database, "\\set VERBOSITY verbose\n$query");
	isnt($status, 0, "$name: refused");
	like($err, $expected, "$name: says why");
	like($err, qr/HINT/, "$name: says what to do");
}

($status, $out, $err) = $node->psql('postgres', 'CREATE EXTENSION pg_wlm');
is($status, 0, 'CREATE EXTENSION');
like($err, qr/^[^\n]*WARNING:  pg_wlm is not loaded\nHINT:  Add pg_wlm to shared_preload_libraries/, 'which says what is missing');
is($node->safe_psql('postgres', 'SELECT loaded, mode IS NULL, num_errors IS NULL FROM wlm.status()'),
	'f|t|t', 'status() answers');
is($node->safe_psql('postgres', 'SELECT wlm.version() IS NOT NULL'), 't', 'version() answers');
for my $call (
	'wlm.predict($$SELECT 1$$)', 'wlm.explain($$SELECT 1$$)', 'wlm.activity()', 'wlm.queue_state()',
	'wlm.expert_accuracy()', 'wlm.cancel_queued(1)', 'wlm.flush()', 'wlm.train()', 'wlm.evaluate()',
	'wlm.rollback($$planner$$)', 'wlm.reset()', 'wlm.simulate()', 'wlm.recommend()')
{
	refuses('postgres', "SELECT $call", qr/55000: pg_wlm is not loaded/, $call);
}

# the configuration can be prepared
$node->safe_psql('postgres', q{SELECT wlm.create_queue('reports', max_slots => 2)});
is($node->safe_psql('postgres', 'SELECT name, max_slots FROM wlm.queue'), 'reports|2', 'queues can be created');
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT generate_series(1, 100000) AS a; ANALYZE t');
unlike($node->safe_psql('postgres', 'EXPLAIN SELECT * FROM t ORDER BY a'), qr/Workload Manager/, 'EXPLAIN is as ever');

# also when a function of ours has loaded the library into the session
is($node->safe_psql('postgres', 'LOAD $$pg_wlm$$; SELECT count(*) FROM (SELECT * FROM t ORDER BY a OFFSET 0) s'),
	'100000', 'LOAD does no harm');

# dump and restore keep the configuration
$node->safe_psql('postgres', 'CREATE DATABASE restored');
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-p', $node->port, '-h', $node->host, 'postgres' ], 'pg_dump');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-p', $node->port, '-h', $node->host, 'restored' ],
	'restored');
is($node->safe_psql('restored', 'SELECT name, max_slots FROM wlm.queue'), 'reports|2', 'queues survive dump and restore');

# now loaded: the prepared queue is used; elsewhere the functions refuse
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_wlm'\nwlm.database = 'postgres'\n");
$node->restart;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wlm.queue_state WHERE queue = 'reports' AND slots = 2}),
	'prepared queue is in use');
is($node->safe_psql('restored', 'SELECT loaded FROM wlm.status()'), 't', 'status() elsewhere');
is($node->safe_psql('restored', 'SELECT count(*) > 0 FROM wlm.predict($$SELECT 1$$)'), 't', 'predict() elsewhere');
for my $call (
	q{wlm.create_queue('x')}, q{wlm.alter_queue('reports', max_slots => 1)}, q{wlm.drop_queue('reports')},
	'wlm.train()', 'wlm.evaluate()', q{wlm.rollback('planner')}, q{wlm.reset('all')},
	'wlm.simulate()', 'wlm.recommend()')
{
	refuses('restored', "SELECT $call", qr/55000: wlm\.\w+\(\) must be called in database "postgres"/, "$call elsewhere");
}

$node->safe_psql('postgres', 'DROP EXTENSION pg_wlm');
# the worker that flush() starts sees that the tables are gone
refuses('restored', 'SELECT wlm.flush()', qr/55000: there are no tables to store observations in/, 'flush() without tables');
ok($node->poll_query_until('restored', q{SELECT count(*) = 1 FROM wlm.queue_state}), 'without the tables there is only "default"');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_wlm');
is($node->safe_psql('postgres', q{SELECT wlm.flush()}), '', 'flush() after CREATE EXTENSION');

$node->stop;
done_testing();
