# Functions and views with statements that really wait: cancel_queued() and its permissions, activity as
# different roles see it, EXPLAIN ANALYZE and EXPLAIN beside another extension's hook.
use strict;
use warnings FATAL => 'all';

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('surface');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_wlm'
wlm.mode = auto
wlm.min_cost = 100
wlm.express_floor = -1
max_parallel_workers_per_gather = 0
compute_query_id = on
});
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pg_wlm;
CREATE ROLE worker LOGIN;
CREATE ROLE other LOGIN;
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE admin LOGIN IN ROLE wlm_admin;
CREATE TABLE data AS SELECT generate_series(1, 20000) AS a;
ANALYZE data;
GRANT SELECT ON data TO PUBLIC;
SELECT wlm.alter_queue('default', max_slots => 1);
});
ok($node->poll_query_until('postgres', 'SELECT slots = 1 FROM wlm.queue_state'), 'one slot');

# A session of its own that runs commands, one after the other.
sub in_background
{
	my ($user, @commands) = @_;
	my ($in, $out, $err) = ('', '', '');
	my $handle = IPC::Run::start(
		[ 'psql', '-XAt', '-v', 'VERBOSITY=verbose', '-h', $node->host, '-p', $node->port, '-U', $user, '-d', 'postgres',
			map { ('-c', $_) } @commands ],
		'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	return { handle => $handle, out => \$out, err => \$err };
}

sub as_role
{
	my ($role, $query) = @_;
	return $node->psql('postgres', "SET ROLE $role;\n$query", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
}

my $slow = 'SELECT a, CASE WHEN a = 20000 THEN pg_sleep(600) END FROM data ORDER BY a DESC';
my $join = q{SELECT 'done', count(*) FROM data a JOIN data b USING (a)};
my $holder = in_background('worker', q{SET application_name = 'holder'}, $slow);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wlm.activity WHERE state = 'running'}), 'one runs');
my $waiter = in_background('worker', q{SET application_name = 'waiter'}, $join, q{SELECT 'second'});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wlm.activity WHERE state = 'queued'}), 'one waits');

is($node->safe_psql('postgres', q{
	SELECT queue, position, wait_reason, role, lane, forced, query_id <> 0, predicted_ms > 0, queue_time > '0 s'
	FROM wlm.activity WHERE state = 'queued'}), 'default|1|slot|worker|normal|f|t|t|t', 'activity of who waits');
is($node->safe_psql('postgres', 'SELECT num_running, num_queued, slots_used FROM wlm.queue_state'), '1|1|1', 'queue_state');
is((as_role('worker', 'SELECT count(*) FROM wlm.activity'))[1], '2', 'the owner sees his statements');
is((as_role('other', 'SELECT count(*) FROM wlm.activity'))[1], '0', 'others do not');
is((as_role('monitor', 'SELECT count(*) FROM wlm.activity'))[1], '2', 'pg_monitor does');
is((as_role('admin', 'SELECT count(*) FROM wlm.activity'))[1], '2', 'wlm_admin does');

my $waiting = q{(SELECT pid FROM pg_stat_activity WHERE application_name = 'waiter')};
my $running = q{(SELECT pid FROM pg_stat_activity WHERE application_name = 'holder')};
my ($status, $out, $err) = as_role('other', "SELECT wlm.cancel_queued($waiting)");
like($err, qr/42501: permission denied to cancel a queued statement/, 'others may not cancel');
like($err, qr/HINT/, 'and are told who may');
($status, $out, $err) = as_role('admin', "SELECT wlm.cancel_queued($running)");
is($out, 'f', 'a running statement is not cancelled');
like($err, qr/does not wait in a workload queue/, 'and the caller is told');
is((as_role('worker', "SELECT wlm.cancel_queued($waiting)"))[1], 't', 'its own role may cancel');
$waiter->{handle}->finish;
like(${ $waiter->{err} }, qr/57014: canceling statement due to user request/, 'the waiter got the error');
like(${ $waiter->{err} }, qr/wlm\.cancel_queued\(\)/, 'that says why');
is(${ $waiter->{out} }, "SET\nsecond\n", 'and its next statement ran');
is($node->safe_psql('postgres', 'SELECT num_running, num_queued, num_cancelled FROM wlm.queue_state'), '1|0|1', 'counted');

# a superuser's wait is not for wlm_admin
my $superuser = (split /\n/, $node->safe_psql('postgres', 'SELECT current_user'))[0];
$waiter = in_background($superuser, q{SET application_name = 'waiter'}, $slow);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wlm.activity WHERE state = 'queued'}), 'a superuser waits');
($status, $out, $err) = as_role('admin', "SELECT wlm.cancel_queued($waiting)");
like($err, qr/42501: permission denied to cancel a queued statement of a superuser/, 'wlm_admin may not cancel a superuser');
is($node->safe_psql('postgres', "SELECT wlm.cancel_queued($waiting)"), 't', 'a superuser may');
$waiter->{handle}->finish;

# EXPLAIN does not wait, EXPLAIN ANALYZE does, predict() and explain() do not
my $explained = $node->safe_psql('postgres', 'EXPLAIN SELECT a FROM data ORDER BY a');
like($explained, qr/Workload Manager:\n\s+Queue: default .* Mode: auto/, 'EXPLAIN shows the group at once');
like($node->safe_psql('postgres', q{SELECT wlm.explain('SELECT a FROM data ORDER BY a')}), qr/Queue: default/, 'so does explain()');
$waiter = in_background($superuser, q{SET application_name = 'waiter'}, 'EXPLAIN ANALYZE SELECT a FROM data ORDER BY a');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wlm.activity WHERE state = 'queued'}), 'EXPLAIN ANALYZE waits');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($running)");
$waiter->{handle}->finish;
$holder->{handle}->finish;
like(${ $waiter->{out} }, qr/(?=.*actual time)(?=.*Execution Time).*Workload Manager/s, 'and shows the group after it ran');
ok($node->poll_query_until('postgres', 'SELECT num_active = 0 AND reserved_kb = 0 FROM wlm.status()'), 'nothing is left');
is($node->safe_psql('postgres', 'SELECT num_errors FROM wlm.status()'), '0', 'no failure');

# DROP EXTENSION while a statement waits: it runs on
$holder = in_background('worker', q{SET application_name = 'holder'}, $slow);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wlm.activity WHERE state = 'running'}), 'one runs');
$waiter = in_background('worker', $join);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wlm.activity WHERE state = 'queued'}), 'one waits');
$node->safe_psql('postgres', 'DROP EXTENSION pg_wlm');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($running)");
$waiter->{handle}->finish;
$holder->{handle}->finish;
is(${ $waiter->{out} }, "done|20000\n", 'the waiter ran to its end');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_wlm');
ok($node->poll_query_until('postgres', 'SELECT num_active = 0 AND reserved_kb = 0 FROM wlm.status()'), 'nothing is left');

$node->stop;
done_testing();
