# What was learned survives a restart and a crash, models make a round trip, the configuration is dumped and restored,
# history is bounded, and neither a missing database nor a damaged model harms anything.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pg_wlm'
wlm.database = 'postgres'
wlm.flush_interval = 1
autovacuum = off
restart_after_crash = on
CONF
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub status { return sql("SET wlm.bypass = on; SELECT $_[0] FROM wlm.status()"); }

sub wait_until
{
	my ($query, $what) = @_;
	ok($node->poll_query_until('postgres', $query), $what);
	return;
}

# The recall expert's answer to a query that it has seen, as text; empty if it has none.
my $query = 'SELECT * FROM t ORDER BY pad, k';

sub recalled
{
	return sql(qq{SELECT round(log(estimate::numeric), 1) FROM wlm.predict('$query')
		WHERE expert = 'recall' AND target = 'operator_memory' AND plan_node_id IS NOT NULL AND estimate IS NOT NULL LIMIT 1});
}

sub run_query
{
	my ($times) = @_;
	sql(join(";\n", ("SELECT count(*) FROM ($query OFFSET 0) s", $query) x $times) . '; SELECT 1');
	return;
}

# Without the extension in its database nothing is stored and nothing disturbed.
sql(q{CREATE TABLE t AS SELECT i AS id, i * 7919 % 20000 AS k, repeat(chr(97 + i % 26), 100) AS pad FROM generate_series(1, 20000) i; ANALYZE t});
is(sql("SELECT count(*) FROM ($query OFFSET 0) s"), '20000', 'queries run before CREATE EXTENSION');

sql('CREATE EXTENSION pg_wlm');
run_query(2);
sql('SELECT wlm.flush()');
# What grants have taught: of templates by level, and of statements, which are told apart by database.
sub outcomes
{
	return sql('SELECT template, level, round(runs::numeric, 3), round(relative_time::numeric, 3), executions, flips FROM wlm.grant_outcomes() ORDER BY 1, 2');
}
sub trials { return sql('SELECT statement, trial, executions FROM wlm.plan_memory() ORDER BY 1'); }
sql("SET wlm.mode = auto; SET work_mem = '64kB'; SET wlm.respect_user_work_mem = off; SELECT count(*) FROM ($query OFFSET 0) s") for 1 .. 2;
sql('SELECT wlm.flush()');
my $taught = outcomes();
my $tried = trials();
like($taught, qr/\|all\|/, 'outcomes of grants are known');
like($tried, qr/\|/, 'statements are followed');

my $before = recalled();
like($before, qr/^\d/, 'the recall expert knows the query');
my $entries = status('recall_entries');

# Restart and crash.
$node->restart;
wait_until('SELECT history_replayed FROM wlm.status()', 'history is read after a restart');
is(recalled(), $before, 'the recall expert knows it after a restart');
is(outcomes(), $taught, 'outcomes of grants are known after a restart');
is(trials(), $tried, 'statements are followed after a restart');
cmp_ok(status('recall_entries'), '>=', 1, 'entries are back');
run_query(2);
sql('SELECT wlm.flush()');
my $rows = sql('SELECT count(*) FROM wlm.history');
# History is committed asynchronously; a commit that waits takes it along.
sql('CREATE TABLE waits ()');
run_query(1);
$node->stop('immediate');
$node->start;
wait_until('SELECT history_replayed FROM wlm.status()', 'history is read after a crash');
is(recalled(), $before, 'the recall expert knows it after a crash');
cmp_ok(sql('SELECT count(*) FROM wlm.history'), '>=', $rows, 'what was flushed is still there');
is(sql('SELECT count(*) FROM wlm.history_operator o WHERE NOT EXISTS (SELECT FROM wlm.history h WHERE h.id = o.history_id)'), '0',
	'no operator without its statement');
is(sql('SELECT count(*) FROM wlm.history h WHERE NOT EXISTS (SELECT FROM wlm.plan p WHERE p.fingerprint = h.fingerprint)'), '0',
	'no statement without its plan');

# A server process killed: all start again, by themselves.
{
	my ($in, $out) = ("SELECT pg_backend_pid();\n", '');
	my $timer = IPC::Run::timeout(120);
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \my $err, $timer);
	$session->pump until $out =~ /^(\d+)\n/;
	kill 'KILL', $1;
	$in .= "SELECT 1;\n";
	eval { $session->finish };
}
ok($node->poll_query_until('postgres', 'SELECT 1', '1'), 'the server is back after kill -9');
wait_until('SELECT history_replayed AND launcher_running FROM wlm.status()', 'and pg_wlm too');
is(status('num_active || $$ $$ || num_queued || $$ $$ || reserved_kb'), '0 0 0', 'counters are at zero');

# Models: train, evaluate, roll back.
run_query(30);
sql('SELECT wlm.flush()');
is(sql(q{SELECT string_agg(expert || ' ' || (state IN ('champion', 'challenger')), ', ' ORDER BY expert) FROM wlm.train()}),
	'planner true, recall true', 'train() makes a model of each expert') or diag(sql('SELECT * FROM wlm.model'));
cmp_ok(sql(q{SELECT count(*) FROM wlm.evaluate() WHERE samples > 0 AND p50 >= 1 AND p90 >= p50}), '>=', 2, 'evaluate() has figures');
my $trained = sql(q{SELECT count(*) FROM wlm.model WHERE state = 'champion'});
cmp_ok($trained, '>=', 1, 'there is a champion');
my $expert = sql(q{SELECT expert FROM wlm.model WHERE state = 'champion' ORDER BY expert DESC LIMIT 1});
my $version = sql("SELECT version FROM wlm.model WHERE expert = '$expert' AND state = 'champion'");
my $model_version = status('model_version');
is(sql("SELECT state, version < $version FROM wlm.rollback('$expert')"), 'champion|t', 'rollback() takes the version before');
cmp_ok(status('model_version'), '>', $model_version, 'and publishes it');
is(sql("SELECT state FROM wlm.model WHERE expert = '$expert' AND version = $version"), 'retired', 'the other one is retired');
is(recalled(), $before, 'predictions go on');
my ($ret, $out, $err) = $node->psql('postgres', "SELECT wlm.rollback('$expert'); SELECT wlm.rollback('$expert')");
like($err, qr/no earlier model of expert "$expert"/, 'there is an end to going back');
$node->restart;
wait_until('SELECT history_replayed FROM wlm.status()', 'a champion is read after a restart');
is(recalled(), $before, 'and answers');
is(sql('SELECT num_errors FROM wlm.status()'), '0', 'without errors');

# Damaged, empty, foreign and absent contents.
my $log = -s $node->logfile;
foreach my $content ("'\\x00'", 'overlay(content placing decode($$ffffffff$$, $$hex$$) from length(content) / 2)', "'\\x'", 'NULL',
	'substring(content FROM 1 FOR length(content) - 7)', 'content || content')
{
	sql(q{DELETE FROM wlm.model; SELECT count(*) FROM wlm.train()});
	my $damaged = sql("WITH d AS (UPDATE wlm.model SET content = $content WHERE state = 'champion' RETURNING 1) SELECT count(*) FROM d");
	cmp_ok($damaged, '>=', 1, "a champion is damaged: $content");
	$node->restart;
	wait_until('SELECT history_replayed FROM wlm.status()', 'the server starts and history is read');
	is(sql("SELECT count(*) FROM ($query OFFSET 0) s"), '20000', 'queries run');
	like(recalled(), qr/^\d/, 'the recall expert learned from history instead');
}
like(slurp_file($node->logfile, $log), qr/(WARNING|LOG):  .*(model|expert)/, 'a damaged model is logged');
unlike(slurp_file($node->logfile, $log), qr/PANIC|TRAP|terminated by signal/, 'without a crash');
sql('DELETE FROM wlm.model');

# Retention: the smallest bound is 1,000 rows. The worker looks once a minute, if there is something to write.
$node->append_conf('postgresql.conf', "wlm.history_rows = 1000\nwlm.history_days = 5\nwlm.min_cost = 0");
$node->reload;
wait_until(q{SELECT count(*) = 2 FROM pg_settings WHERE name ~ '^wlm.history_' AND setting IN ('1000', '5')}, 'bounds are in force');
sql(join(";\n", map { "SELECT $_ AS n, count(*) FROM t WHERE k < $_" } 1 .. 1300) . ';SELECT 1');
sql('SELECT wlm.flush()');
# These are newer than what goes by number.
sql("UPDATE wlm.history SET finished_at = now() - interval '20 days' WHERE id > (SELECT max(id) - 100 FROM wlm.history)");
wait_until(q{SELECT count(*) <= 1100 FROM wlm.history, (SELECT wlm.flush()) f}, 'history is bounded by rows');
wait_until("SELECT count(*) = 0 FROM wlm.history, (SELECT wlm.flush()) f WHERE finished_at < now() - interval '5 days'",
	'history is bounded by days');
cmp_ok(sql('SELECT count(*) FROM wlm.history'), '>=', 800, 'and no further');
is(sql('SELECT count(*) FROM wlm.history_operator o WHERE NOT EXISTS (SELECT FROM wlm.history h WHERE h.id = o.history_id)'), '0',
	'operators go with their statements');

# Dump and restore.
sql(q{SELECT wlm.create_queue('reports', priority => 'low', max_slots => 3, memory_share => 0.25, roles => '{pg_monitor}');
	SELECT wlm.alter_queue('default', max_slots => 7)});
sql('SELECT count(*) FROM wlm.train()');
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'pg_dump');
unlike(slurp_file($dump), qr/COPY wlm\.(history|history_operator|plan) /, 'history is not dumped');
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init;
$restored->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_wlm'");
$restored->start;
$restored->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $restored->connstr('postgres'), '-f', $dump ], 'restore');
is($restored->safe_psql('postgres', 'SELECT name, priority, max_slots, memory_share, roles FROM wlm.queue ORDER BY ordinal'),
	sql('SELECT name, priority, max_slots, memory_share, roles FROM wlm.queue ORDER BY ordinal'), 'queues are restored');
is($restored->safe_psql('postgres', 'SELECT count(*) FROM wlm.history'), '0', 'history is not');
ok($restored->poll_query_until('postgres', q{SELECT slots = 3 AND priority = 'low' FROM wlm.queue_state WHERE queue = 'reports'}),
	'restored queues are in force');
$restored->safe_psql('postgres', q{SELECT wlm.create_queue('another')});
is($restored->safe_psql('postgres', 'SELECT count(*) FROM wlm.queue'), '3', 'queues can be added after a restore');
$restored->restart;
ok($restored->poll_query_until('postgres', 'SELECT history_replayed FROM wlm.status()'), 'restored models are read');
is($restored->safe_psql('postgres', 'SELECT num_errors FROM wlm.status()'), '0', 'without errors');
$restored->stop;

# Without the extension, and without its database.
sql('DROP EXTENSION pg_wlm');
is(sql('SELECT count(*) FROM (SELECT * FROM t ORDER BY pad, k OFFSET 0) s'), '20000', 'queries run after DROP EXTENSION');
sql('CREATE EXTENSION pg_wlm; SELECT wlm.flush()');
is(sql('SELECT count(*) FROM wlm.queue'), '0', 'the extension can be created again');
# The recall expert still knows the query, the new tables do not.
sql("$query; SELECT wlm.flush()") foreach 1 .. 3;
is(sql('SELECT count(*) FROM wlm.plan WHERE fingerprint = (SELECT fingerprint FROM wlm.history ORDER BY total_cost DESC LIMIT 1)'), '1',
	'a plan whose row is gone is stored again');
$node->append_conf('postgresql.conf', "wlm.database = 'nowhere'");
$log = -s $node->logfile;
$node->restart;
is(sql("SELECT count(*) FROM ($query OFFSET 0) s"), '20000', 'queries run without wlm.database');
wait_until('SELECT worker_problem IS NOT NULL FROM wlm.status()', 'status() has the problem');
like(status('worker_problem'), qr/database "nowhere"/, 'and names it');
($ret, $out, $err) = $node->psql('postgres', 'SELECT wlm.flush()');
like($err, qr/ERROR:  .*\n(DETAIL|HINT)/, 'flush() says why it cannot');
($ret, $out, $err) = $node->psql('postgres', q{SELECT wlm.create_queue('x')});
like($err, qr/must be called in database "nowhere"/, 'configuration says where to go');
my $fatal = () = slurp_file($node->logfile, $log) =~ /database "nowhere" does not exist/g;
cmp_ok($fatal, '<', 10, 'the log is not flooded');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'no panic');
done_testing();
