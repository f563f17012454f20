# 011_w08_many_waiters.pl
#
# HAZARDS W8: many waiters behind few slots. Each is admitted once, no slot is used twice,
# nobody starves among short and long, small and large, and limits of a queue that are reached
# at the instant of a grant lose nobody.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $waiters = 80;
my $node = start_node('waiters');
my $admin = prepare_node($node, slots => 2);
my @sessions = map { session($node, name => "waiter $_", queue => 'one') } 1 .. $waiters;

# Says how many slots are in use while it runs.
$admin->do($_) for (
	q{CREATE FUNCTION busy(ms float) RETURNS bigint LANGUAGE plpgsql COST 10000000 AS $$
		DECLARE n bigint;
		BEGIN
			SELECT slots_used INTO n FROM wlm.queue_state WHERE queue = 'one';
			PERFORM pg_sleep(ms / 1000);
			RETURN n;
		END$$});

# 1. A herd behind one statement.
$admin->do('SELECT pg_advisory_lock(1)');
$_->send('SELECT hold(1) FROM single') for @sessions[0 .. 1];
await_state($admin, $_, 'running') for @sessions[0 .. 1];
$_->send('SELECT busy(2) FROM single') for @sessions[2 .. $#sessions];
eventually($admin, q{SELECT num_queued FROM wlm.queue_state WHERE queue = 'one'}, $waiters - 2, 'all others wait');
is($admin->value(q{SELECT count(DISTINCT position) FROM wlm.activity WHERE state = 'queued'}), $waiters - 2, 'each has a place');
$admin->do('SELECT pg_advisory_unlock(1)');
my @answers = map { $_->finish } @sessions;
is(scalar(grep { $_->{sqlstate} eq '' && @{ $_->{rows} } == 1 } @answers), $waiters, 'everybody is answered');
is(scalar(grep { $_->{rows}[0][0] > 2 } @answers[2 .. $#answers]), 0, 'never more than two at a time');
is(counter($admin, 'num_executed'), $waiters, 'each was admitted once');
is(counter($admin, 'num_forced'), 0, 'nobody was forced');
settled($admin, 'nothing is left of the herd');

# 2. A stream of short statements does not starve the one that is taken for long, nor the reverse.
$admin->do($_) for (
	'CREATE TABLE wide AS SELECT i AS id, repeat(md5(i::text), 4) AS pad FROM generate_series(1, 20000) i', 'ANALYZE wide');
my $large = 'SELECT count(*) FROM (SELECT a.pad FROM wide a, (SELECT busy(1)) b ORDER BY a.pad, a.id) s';
$sessions[$_]->send('SELECT busy(5) FROM single') for 1 .. 20;
$sessions[0]->send($large);
my ($rounds, $large_done) = (0, 0);
while (!$large_done && $rounds < 2000)
{
	for my $i (1 .. 20)
	{
		next unless $sessions[$i]->answers;
		$sessions[$i]->finish;
		$sessions[$i]->send('SELECT busy(5) FROM single');
		$rounds++;
	}
	$large_done = $sessions[0]->answers(0.001);
}
ok($large_done, 'a stream of short statements does not starve a long one') or diag("$rounds short ones passed");
$_->finish for @sessions[0 .. 20];
$sessions[$_]->send($large) for 1 .. 10;
my $short = $sessions[0]->query('SELECT busy(1) FROM single');
is($short->{sqlstate}, '', 'long ones do not starve a short one');
$_->finish for @sessions[1 .. 10];
settled($admin, 'nothing is left of short and long');

# 3. Limits of the queue under load: time-outs at the instant of grants, a full queue, cancels.
$admin->do(q{SELECT wlm.alter_queue('one', queue_timeout => '30ms', max_queue_length => 30)});
eventually($admin, 'SELECT count(*) FROM wlm.status() s WHERE s.configuration_generation >= 3', 1, 'limits are in force');
my ($timed_out, $rejected, $done, $cancelled, $other) = (0, 0, 0, 0, 0);
for my $round (1 .. 4)
{
	$_->send('SELECT busy(6) FROM single') for @sessions;
	$admin->query("SELECT pg_cancel_backend($_->{pid})") for @sessions[70 .. 79];
	for my $answer (map { $_->finish } @sessions)
	{
		if ($answer->{sqlstate} eq '') { $done++; }
		elsif ($answer->{sqlstate} eq '53300') { $rejected++; }
		elsif ($answer->{error} =~ /workload queue timeout/) { $timed_out++; }
		elsif ($answer->{sqlstate} eq '57014') { $cancelled++; }
		else { $other++; diag($answer->{error}); }
	}
}
note("$done done, $timed_out timed out, $rejected rejected, $cancelled cancelled");
is($other, 0, 'no other error');
ok($done > 0, 'some were admitted');
ok($timed_out + $rejected > 0, 'some were not');
is(counter($admin, 'num_timeouts'), $timed_out, 'time-outs are counted');
is(counter($admin, 'num_rejected'), $rejected, 'rejections are counted');
settled($admin, 'nothing is left of the crowd');
is(counter($admin, 'num_forced'), 0, 'still nobody was forced');

# 4. A paused queue: everybody waits with all slots free, and is admitted once when it goes on.
my $paused = q{SELECT state FROM wlm.queue_state WHERE queue = 'one'};
$admin->do(q{SELECT wlm.alter_queue('one', reset => '{queue_timeout,max_queue_length}')});
for my $priority ('normal', 'low', 'high')
{
	$_->do("SET wlm.priority = '$priority'") for @sessions[0 .. $#sessions / 2];
	my $before = counter($admin, 'num_executed');
	$admin->do(q{SELECT wlm.pause_queue('one')});
	eventually($admin, $paused, 'paused', 'the queue is paused');
	$_->send('SELECT busy(1) FROM single') for @sessions;
	eventually($admin, q{SELECT count(*) FROM wlm.activity WHERE state = 'queued' AND wait_reason = 'paused'}, $waiters, 'all wait for the pause');
	is($admin->value(q{SELECT count(DISTINCT position) FROM wlm.activity WHERE state = 'queued'}), $waiters, 'each has a place');
	is(counter($admin, 'slots_used'), 0, 'with all slots free');
	$admin->do(q{SELECT wlm.resume_queue('one')});
	@answers = map { $_->finish } @sessions;
	is(scalar(grep { $_->{sqlstate} eq '' && @{ $_->{rows} } == 1 } @answers), $waiters, 'everybody is answered');
	is(scalar(grep { $_->{rows}[0][0] > 2 } @answers), 0, 'never more than two at a time');
	is(counter($admin, 'num_executed') - $before, $waiters, 'each was admitted once');
	settled($admin, 'nothing is left of the pause');
}
is(counter($admin, 'num_forced'), 0, 'nor was anybody forced by it');
$_->do('RESET wlm.priority') for @sessions;

# 5. Priorities: among waiters the higher goes first.
$admin->do(q{SELECT wlm.alter_queue('one', max_slots => 1, reset => '{queue_timeout,max_queue_length}')});
eventually($admin, q{SELECT slots FROM wlm.queue_state WHERE queue = 'one'}, 1, 'one slot is left');
my $holder = hold_slot($admin, $node);
$admin->do('CREATE SEQUENCE place');
$admin->do(q{CREATE FUNCTION take_place() RETURNS bigint LANGUAGE plpgsql COST 10000000
	AS $$BEGIN RETURN nextval('place'); END$$});
my @order = ('lowest', 'low', 'normal', 'high', 'highest');
for my $i (0 .. $#order)
{
	$sessions[$i]->do("SET wlm.priority = $order[$i]");
	$sessions[$i]->send('SELECT take_place() FROM single');
	await_state($admin, $sessions[$i], 'queued');
}
$admin->do('SELECT pg_advisory_unlock(1)');
$holder->finish;
my %place = map { ($order[$_] => $sessions[$_]->finish->{rows}[0][0]) } 0 .. $#order;
ok($place{highest} < $place{lowest}, 'the highest priority goes before the lowest');
settled($admin, 'nothing is left at the end');
done_testing();
