# A statement gives way to one of higher priority, waits, and begins again: with right answers for both, without a
# snapshot while it waits, and only as long as it has sent nothing. And what ends it meanwhile ends it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use WlmTest;

my $node = start_node('preemption', ['wlm.preemption = on', "wlm.database = 'postgres'", 'wlm.explore_rate = 0']);
my $admin = prepare_node($node);
my $low = session($node, name => 'low', queue => 'one');
my $high = session($node, name => 'high', queue => 'one');
$high->do("SET wlm.priority = 'high'");
my $urgent = 'SELECT costly(id) FROM numbers WHERE id = 1';

$admin->do($_) for (
	# neither volatile nor parallel unsafe, so that whoever calls it may give way; the cost makes it long by prediction
	q{CREATE FUNCTION nap(seconds float8) RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100000000
		AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END'},
	'CREATE TABLE news AS SELECT 1 AS x');

sub activity { my ($session, $column) = @_; return $admin->value("SELECT $column FROM wlm.activity WHERE pid = $session->{pid}"); }
sub last_of
{
	my ($session, $columns) = @_;
	$admin->do('SELECT wlm.flush()');
	return join('|', map { defined $_ ? $_ : '' } @{ $admin->do("SELECT $columns FROM wlm.history WHERE pid = $session->{pid}
		ORDER BY id DESC LIMIT 1")->{rows}[0] });
}

# Whether the statement was still there, waiting or begun again, when the urgent one, sent when it had run for a while,
# had its answer. There is one slot: else it has gone on to its end.
sub interrupt
{
	my ($sql, $ran) = @_;
	$low->send($sql);
	await_state($admin, $low, 'running');
	usleep($ran * 1e6);
	my $answer = $high->query($urgent);
	is($answer->{error}, '', 'the urgent statement runs');
	return $admin->value("SELECT count(*) FROM wlm.activity WHERE pid = $low->{pid}");
}

# ---- a server that knows its statements: who is predicted to end at once is not asked ----

my @teachers = map { session($node, name => "teacher $_") } 1 .. 3;
$teachers[0]->send('SELECT nap(3) + x FROM news');
$teachers[1]->send('SELECT nap(4)');
$teachers[2]->send('SELECT id, nap(0.03) FROM numbers');
is($_->finish->{error}, '', "$_->{name} is done") for @teachers;
eventually($admin, 'SELECT learner_pending_bytes FROM wlm.status()', 0, 'and it was learned from');

# ---- nobody of another priority was ever seen or configured: the first one that comes is given way to ----

my $since = time;
$low->send('SELECT nap(3) + x FROM news');
await_state($admin, $low, 'running');
usleep(300_000);
is($high->query($urgent)->{error}, '', 'the first of its priority runs');
cmp_ok(time - $since, '<', 2.5, 'before the other has ended');
is($low->finish->{error}, '', 'which ends as well');
is(last_of($low, 'num_preempted'), 1, 'it gave way');

eventually($admin, 'SELECT learner_pending_bytes FROM wlm.status()', 0, 'the urgent one is known as well');

# ---- it gives way, with one slot for both ----

$since = time;
$low->send('SELECT nap(3) + x FROM news');
await_state($admin, $low, 'running');
usleep(300_000);
my $holder = session($node, name => 'holder', queue => 'one');
$holder->do("SET wlm.priority = 'high'");
$admin->do('SELECT pg_advisory_lock(1)');
$holder->send('SELECT hold(1) FROM single');
await_state($admin, $holder, 'running');
is(activity($low, "concat_ws(' ', state, num_preempted, wait_reason)"), 'queued 1 slot', 'it waits, and its slot is the other\'s');
is(counter($admin, 'slots_used'), 1, 'one slot is in use');
is($admin->value("SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE pid = $low->{pid}"), 't', 'it holds no snapshot while it waits');
is($admin->value("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $low->{pid}"), 'Extension', 'it sleeps');
$admin->do('UPDATE news SET x = 10');
$admin->do('SELECT pg_advisory_unlock(1)');
is_deeply($holder->finish->{rows}, [ ['held'] ], 'the answer for whom it gave way');
my $answer = $low->finish;
my $took_ms = (time - $since) * 1000;
is($answer->{error}, '', 'it began again and ended well');
is_deeply($answer->{rows}, [ [11] ], 'one row, which sees what was committed meanwhile');
is(last_of($low, "final_state, num_preempted, wasted_ms > 0, actual_ms > 2900, queue_ms > 0,
		actual_ms + wasted_ms + queue_ms <= $took_ms, forced, censored"),
	'completed|1|t|t|t|t|f|f', 'its history: the time of the last attempt, and what was thrown away');
settled($admin, 'nothing is left over');

# ---- not twice at once ----

$low->send('SELECT nap(3)');
await_state($admin, $low, 'running');
usleep(300_000);
$high->do($urgent);
eventually($admin, "SELECT state FROM wlm.activity WHERE pid = $low->{pid}", 'running', 'it runs again');
$high->send($urgent);
await_state($admin, $high, 'queued');
is(activity($low, "concat_ws(' ', state, num_preempted)"), 'running 1', 'who has just begun again does not give way at once');
is($high->finish->{error}, '', 'the urgent statement runs later');
is($low->finish->{rows}[0][0], 1, 'right answer');
ok($low->{pid}, 'the session lives');

# ---- a transaction's snapshot stays ----

$admin->do('UPDATE news SET x = 20');
for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	$low->do("BEGIN ISOLATION LEVEL $level");
	is($low->value('SELECT x FROM news'), 20, "$level: its snapshot is taken");
	$admin->do('UPDATE news SET x = 30');
	is(interrupt('SELECT nap(3) + x FROM news', 0.3), 1, "$level: gives way");
	is_deeply($low->finish->{rows}, [ [21] ], "$level: sees what it saw");
	is($low->do('COMMIT')->{tag}, 'COMMIT', "$level: the transaction goes on");
	$admin->do('UPDATE news SET x = 20');
	is(last_of($low, 'num_preempted'), 1, "$level: it gave way");
}

# ---- never after the first row ----

is(interrupt('SELECT id, nap(0.03) FROM numbers', 0.5), 0, 'who has sent a row goes on to its end');
is(scalar @{ $low->finish->{rows} }, 100, 'with each row once');
is(last_of($low, 'num_preempted'), 0, 'it has not given way');

# ---- who must not ----

for my $case (
	[ 'SELECT nap(2) FROM single FOR UPDATE', 'row locks' ],
	[ 'SELECT nap(2) + random() * 0', 'a volatile function' ],
	[ 'WITH d AS (DELETE FROM news WHERE false RETURNING x) SELECT nap(2), count(*) FROM d', 'a modifying CTE' ],
	[ 'EXPLAIN (ANALYZE, COSTS off) SELECT nap(2)', 'EXPLAIN ANALYZE' ],
	[ 'COPY (SELECT nap(2)) TO STDOUT', 'COPY' ],
	[ 'CREATE TEMP TABLE kept AS SELECT nap(2)', 'CREATE TABLE AS' ])
{
	my ($sql, $name) = @$case;
	is(interrupt($sql, 0.2), 0, "$name: goes on");
	is($low->finish->{error}, '', "$name: ends well");
	is(last_of($low, 'num_preempted'), 0, "$name: has not given way");
}

# ---- what ends it while it waits ----

sub make_it_wait
{
	my ($sql) = @_;
	$admin->do('SELECT pg_advisory_lock(1)');
	$low->send($sql);
	await_state($admin, $low, 'running');
	usleep(200_000);
	$holder->send('SELECT hold(1) FROM single');
	await_state($admin, $holder, 'running');
	await_state($admin, $low, 'queued');
	return;
}
sub let_go { $admin->do('SELECT pg_advisory_unlock(1)'); return is($holder->finish->{error}, '', 'the other ends'); }

make_it_wait('SELECT nap(4)');
usleep(1_200_000);
$admin->do("SELECT pg_cancel_backend($low->{pid})");
is($low->finish->{error}, 'canceling statement due to user request', 'cancelled while it waits');
let_go();
is(last_of($low, 'final_state, num_preempted, queue_ms > 1000, actual_ms < queue_ms'), 'cancelled|1|t|t',
	'its history says so, and that it has waited, not executed');

$low->do("SET statement_timeout = '900ms'");
make_it_wait('SELECT nap(4)');
is($low->finish->{error}, 'canceling statement due to statement timeout', 'statement_timeout goes on over attempts and wait');
let_go();
$low->do('RESET statement_timeout');

make_it_wait('SELECT nap(4)');
$admin->do("SELECT wlm.cancel_queued($low->{pid})");
is($low->finish->{error}, 'canceling statement due to user request', 'removed by wlm.cancel_queued()');
let_go();

make_it_wait('SELECT nap(4)');
$admin->do("SELECT pg_terminate_backend($low->{pid})");
ok($low->finish->{sqlstate} eq '57P01', 'terminated');
let_go();
$low = session($node, name => 'low', queue => 'one');

$low->do('BEGIN');
make_it_wait('SELECT nap(4)');
$admin->do("SELECT pg_cancel_backend($low->{pid})");
is($low->finish->{sqlstate}, '57014', 'cancelled inside a transaction block');
is($low->query('SELECT 1')->{sqlstate}, '25P02', 'which is aborted then');
is($low->do('ROLLBACK')->{tag}, 'ROLLBACK', 'and ends');
let_go();

# ---- hop: it waits where it is moved to, and begins again there ----

my $other = session($node, name => 'other', queue => 'two');
$admin->do("SELECT wlm.create_queue('two', max_slots => 1, query_group => 'two');
	SELECT wlm.create_rule('away', 'query_execution_time > 400', 'hop', queue => 'one', action_value => 'two')");
eventually($admin, "SELECT count(*) FROM wlm.queue_state WHERE queue = 'two' AND slots = 1", 1, 'a second queue');
$admin->do('SELECT pg_advisory_lock(2)');
$other->send('SELECT hold(2) FROM single');
await_state($admin, $other, 'running');
$low->send('SELECT nap(4)');
await_state($admin, $low, 'running');
await_state($admin, $low, 'queued');
is(activity($low, "concat_ws(' ', queue, num_preempted)"), 'two 1', 'it waits in the other queue');
is(counter($admin, 'slots_used'), 0, 'its slot is free');
is($high->query($urgent)->{error}, '', 'for others');
$admin->do('SELECT pg_advisory_unlock(2)');
is($other->finish->{error}, '', 'who was there before ends');
is_deeply($low->finish->{rows}, [ [1] ], 'then it runs, and its answer is right');
is(last_of($low, 'queue, final_state, num_preempted, wasted_ms > 0'), 'two|completed|1|t', 'its history: moved, and begun again');
$admin->do("SELECT wlm.drop_rule('away')");

settled($admin, 'nothing is left over in the end');
is($admin->value('SELECT num_errors FROM wlm.status()'), 0, 'nothing went wrong unseen');
$node->stop;
done_testing();
