# 174_thousand_waiters.pl
#
# HAZARDS W8 and "no hang, ever" at the size at which a server is lost: a thousand sessions that wait for two slots.
# While they do an administrator changes everything that can be changed; others are answered at once; who is cancelled,
# terminated or loses his client goes, and nobody else does; more statements than the tables hold run as if pg_wlm was
# off; and the launcher lets a thousand in at the same moment when somebody wants a lock that each of them holds.
# In the end each of them was served or was told why not, and the totals say the same.
use strict;
use warnings;
# A session is a socket here, and many systems allow a process 1,024 files until it asks for more. Before anything has
# been printed, and with the libraries as they were found.
BEGIN
{
	if (!$ENV{WLM_FILES_RAISED})
	{
		$ENV{WLM_FILES_RAISED} = 1;
		exec 'sh', '-c', 'ulimit -S -n 2048; exec "$@"', 'sh', $^X, map({ "-I$_" } @INC), $0, @ARGV or die "exec: $!";
	}
}

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use WlmTest;

my ($waiters, $spare) = (1000, 3);

# The table has room for the waiters, the two that hold the slots, and `spare` more. Nobody is let in for having waited long.
my $node = start_node('thousand', [ 'max_connections = ' . ($waiters + 40), 'wlm.max_queries = ' . ($waiters + 2 + $spare),
	'wlm.max_wait = 1h', 'autovacuum = off', 'shared_buffers = 16MB', 'log_min_messages = warning' ]);
my $admin = prepare_node($node, slots => 2);
my $began = time;

$admin->do($_) for (
	# not the table of the waiters, whom ALTER TABLE is to free without those that hold the slots
	'CREATE TABLE kept AS SELECT 1 AS x', 'ANALYZE kept',
	q{CREATE FUNCTION busy(ms float) RETURNS integer LANGUAGE plpgsql COST 10000000 AS 'BEGIN PERFORM pg_sleep(ms / 1000); RETURN 1; END'},
	q{SELECT wlm.create_queue('two', query_group => 'two', max_slots => 2)});
eventually($admin, q{SELECT count(*) FROM wlm.queue_state WHERE queue = 'two'}, 1, 'queue "two" is in force');

sub progress { return note(sprintf('%.1f s: %s', time - $began, $_[0])); }

my @sessions = map { session($node, name => "waiter $_", queue => 'one') } 1 .. $waiters;
my @holders = map { session($node, name => "holder $_", queue => 'one') } 1, 2;
my $control = session($node, name => 'control');
progress("$waiters sessions");

# The advisory lock in whose statements the slots are.
sub hold_slots
{
	$admin->do('SELECT pg_advisory_lock(1)');
	$_->send('SELECT hold(1) FROM kept') for @holders;
	await_state($admin, $_, 'running') for @holders;
	return;
}

sub give_slots
{
	$admin->do('SELECT pg_advisory_unlock(1)');
	is($_->finish->{error}, '', "$_->{name} ends") for @holders;
	return;
}

sub all_queued
{
	my ($count) = @_;
	return eventually($admin, q{SELECT sum(num_queued) FROM wlm.queue_state}, $count, "$count wait");
}

sub totals
{
	return @{ $admin->do(q{SELECT sum(num_executed), sum(num_cancelled), sum(num_timeouts), sum(num_forced)
		FROM wlm.queue_state})->{rows}[0] };
}

# What has become of the totals of all queues: [executed, cancelled, timed out, forced].
my @before;
sub totals_are
{
	my ($expected, $name) = @_;
	my @now = totals();
	return is_deeply([ map { $now[$_] - $before[$_] } 0 .. $#now ], $expected, $name);
}

sub configured
{
	my ($change, $query, $value) = @_;
	$control->do($change);
	return eventually($control, $query, $value, $change);
}

sub queue_is
{
	my ($queue, $column, $value, $change) = @_;
	return configured($change, "SELECT $column FROM wlm.queue_state WHERE queue = '$queue'", $value);
}

# How each statement is to end: with its row unless it is said otherwise.
my %ends = (
	row => sub { $_[0]->{sqlstate} eq '' && @{ $_[0]->{rows} } == 1 && $_[0]->{rows}[0][0] == 1 },
	removed => sub { $_[0]->{sqlstate} eq '57014' && ($_[0]->{detail} || '') =~ /removed by wlm\.cancel_queued/ },
	cancelled => sub {
		$_[0]->{sqlstate} eq '57014' && $_[0]->{error} eq 'canceling statement due to user request' && !defined $_[0]->{detail};
	},
	terminated => sub { $_[0]->{sqlstate} eq '57P01' },
	'timed out' => sub { $_[0]->{sqlstate} eq '57014' && $_[0]->{error} =~ /workload queue timeout/ });

sub answers_are_right
{
	my ($fate, $name) = @_;
	my %wrong;
	for my $session (grep { ($fate->{$_} || '') !~ /vanished|served/ } @sessions)
	{
		my $expected = $fate->{$session} || 'row';
		my $answer = $session->finish;
		$wrong{"$expected expected, not " . ($answer->{error} || 'a row')}++ unless $ends{$expected}->($answer);
	}
	return is(join("\n", map { "$wrong{$_} times: $_" } sort keys %wrong), '', $name);
}

sub count_of
{
	my ($fate, @kinds) = @_;
	my %wanted = map { ($_ => 1) } @kinds;
	return scalar grep { $wanted{$_} } values %$fate;
}

sub pids_of { return join(',', map { $_->{pid} } @_); }

# For how many of them a function says true.
sub number_of
{
	my ($pids, $call) = @_;
	return $control->value("SELECT count(*) FILTER (WHERE $call) FROM unnest('{$pids}'::integer[]) pid");
}

# 1. All of them wait, and others notice nothing.
hold_slots();
@before = totals();
$_->send('SELECT busy(10) FROM single') for @sessions;
all_queued($waiters);
progress('all wait');

my $visitor = session($node, name => 'visitor');
$visitor->do(q{SET statement_timeout = '20s'});
is($visitor->value('SELECT count(*) FROM numbers'), 100, 'a cheap statement of a new session');
ok($visitor->value(q{SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, generate_series(1, 100)}) > 10_000,
	'a look at the catalogue');
my $asked = time;
is_deeply($visitor->do(q{SELECT count(*), count(DISTINCT pid), count(DISTINCT position), min(position), max(position), min(wait_reason),
	max(wait_reason) FROM wlm.activity WHERE state = 'queued'})->{rows}[0], [ $waiters, $waiters, $waiters, 1, $waiters, 'slot', 'slot' ],
	'wlm.activity has them all, in order');
is_deeply($visitor->do(q{SELECT num_queued, slots_used, num_running FROM wlm.queue_state WHERE queue = 'one'})->{rows}[0],
	[ $waiters, 2, 2 ], 'and so has wlm.queue_state');
note(sprintf('both views in %.0f ms', 1000 * (time - $asked)));
totals_are([ 0, 0, 0, 0 ], 'nobody has moved meanwhile');

# 2. Nobody who comes when the tables are full waits, or fails.
my @late = map { session($node, name => "late $_", queue => 'one') } 1 .. $spare + 5;
for my $session (@late[0 .. $spare - 1])
{
	$session->send('SELECT busy(1) FROM single');
	await_state($admin, $session, 'queued');
}
my $full = $admin->value('SELECT num_unmanaged_full FROM wlm.status()');
is($_->value('SELECT costly(x) FROM single'), 1, "$_->{name} finds the tables full and runs") for @late[$spare .. $#late];
is($admin->value('SELECT num_unmanaged_full FROM wlm.status()') - $full, 5, 'each is counted');
is($admin->value(q{SELECT count(*) FROM wlm.activity WHERE state = 'queued'}), $waiters + $spare, 'and has disturbed nobody');
is($admin->value("SELECT wlm.cancel_queued($_->{pid})"), 't', "$_->{name} makes room") for @late[0 .. $spare - 1];
is($_->finish->{sqlstate}, '57014', "$_->{name} is told so") for @late[0 .. $spare - 1];
$_->quit for @late;
progress('full tables');

# 3. While they wait: slots, pauses, priorities, queues, the server's configuration, and some who go.
my %fate = ($sessions[400] => 'served');
queue_is('one', 'state', 'paused', q{SELECT wlm.pause_queue('one')});
queue_is('two', 'state', 'paused', q{SELECT wlm.pause_queue('two')});
queue_is('one', 'slots', 50, q{SELECT wlm.alter_queue('one', max_slots => 50)});
is($control->value(q{SELECT count(*) FROM wlm.activity WHERE state = 'queued' AND wait_reason = 'paused'}), $waiters,
	'a paused queue starts nobody for its slots');
queue_is('one', 'slots', 1, q{SELECT wlm.alter_queue('one', max_slots => 1)});
queue_is('one', 'state', 'open', q{SELECT wlm.resume_queue('one')});
is(counter($control, 'num_queued'), $waiters, 'nor does an open one without a slot');
queue_is('one', 'slots', 2, q{SELECT wlm.alter_queue('one', max_slots => 2)});

my ($moved, $raised, $lowered) = map { pids_of(@sessions[$_ .. $_ + 99]) } 100, 200, 300;
is(number_of($moved, q{wlm.move_query(pid, 'two')}), 100, 'a hundred are moved');
is(number_of($raised, q{wlm.change_query_priority(pid, 'highest')}), 100, 'a hundred are raised');
is(number_of($lowered, q{wlm.change_query_priority(pid, 'lowest')}), 100, 'a hundred are lowered');
is_deeply($control->do(q{SELECT queue, priority, count(*) FROM wlm.activity WHERE state = 'queued' GROUP BY 1, 2 ORDER BY 1, 2})->{rows},
	[ [ 'one', 'highest', 100 ], [ 'one', 'lowest', 100 ], [ 'one', 'normal', 700 ], [ 'two', 'normal', 100 ] ],
	'all are where they belong');
is($control->value("SELECT max(position) FROM wlm.activity WHERE pid = ANY ('{$raised}')"), 100, 'the raised go first');
is($control->value("SELECT wlm.change_query_priority($sessions[400]{pid}, 'critical')"), 't', 'one is made critical');
ok($ends{row}->($sessions[400]->finish), 'and does not wait for a slot');

configured('ALTER SYSTEM SET wlm.max_wait = 3000000', 'SELECT 1', 1);
$control->do('SELECT pg_reload_conf()');
eventually($control, 'SHOW wlm.max_wait', '50min', 'the configuration is read again');
my $third = q{SELECT count(*) FROM wlm.queue_state WHERE queue = 'three'};
configured(q{SELECT wlm.create_queue('three', query_group => 'three')}, $third, 1);
configured(q{SELECT wlm.drop_queue('three')}, $third, 0);
configured(q{SELECT wlm.create_rule('patient', 'query_queue_time > 1h', 'log')}, q{SELECT count(*) FROM wlm.rule}, 1);

sub condemn
{
	my ($kind, $function, @condemned) = @_;
	$fate{$_} = $kind for @condemned;
	return is(number_of(pids_of(@condemned), "$function(pid)"), @condemned, "$kind: " . @condemned);
}
# in the middle of the queue, at its ends, and in the other one
condemn('removed', 'wlm.cancel_queued', @sessions[0 .. 9, 150 .. 169, 500 .. 519]);
condemn('cancelled', 'pg_cancel_backend', @sessions[170 .. 179, 520 .. 529]);
condemn('terminated', 'pg_terminate_backend', @sessions[180 .. 189, 530 .. 549]);
for my $session (@sessions[190 .. 194, 990 .. 999])
{
	$session->vanish;
	$fate{$session} = 'vanished';
}
my $gone = count_of(\%fate, 'removed', 'cancelled', 'terminated', 'vanished');
all_queued($waiters - $gone - 1);
totals_are([ 1, $gone + $spare, 0, 1 ], 'exactly those have left, and the critical one was forced');
progress("$gone of them are gone");

# 4. They run, and nothing stays as it is.
sub one_of { return $_[int(rand(@_))]; }
srand(1);
queue_is('two', 'state', 'open', q{SELECT wlm.resume_queue('two')});
give_slots();
my $removed = 0;
my $deadline = time + $WlmTest::patience;
while ($control->value('SELECT sum(num_queued) FROM wlm.queue_state') > 0 && time < $deadline)
{
	my $session = one_of(grep { !$fate{$_} } @sessions);
	$control->do($_) for one_of(
		[ q{SELECT wlm.alter_queue('one', max_slots => } . (1 + int(rand(8))) . ')' ],
		[ q{SELECT wlm.alter_queue('two', max_slots => } . (1 + int(rand(4))) . ')' ],
		[ q{SELECT wlm.pause_queue('one')}, q{SELECT wlm.resume_queue('one')} ],
		[ q{SELECT wlm.drain_queue('two')}, q{SELECT wlm.resume_queue('two')} ],
		[ "SELECT wlm.move_query($session->{pid}, '" . one_of('one', 'two') . q{')} ], [ 'SELECT pg_reload_conf()' ],
		[ "SELECT wlm.change_query_priority($session->{pid}, '" . one_of('lowest', 'high', 'highest') . q{')} ])->@*;
	my $other = one_of(grep { !$fate{$_} } @sessions);
	if ($control->value("SELECT wlm.cancel_queued($other->{pid})") eq 't')
	{
		$fate{$other} = 'removed';
		$removed++;
	}
	usleep(10_000);
}
all_queued(0);
progress("the queue is empty, $removed more were removed");
answers_are_right(\%fate, 'everybody has had his answer');
$gone = count_of(\%fate, 'removed', 'cancelled', 'terminated', 'vanished');
settled($admin, 'nothing is left');
# One who was removed in the moment in which he got his slot has left the queue by it: he counts as executed.
{
	my @now = totals();
	my ($executed, $cancelled, $timeouts, $forced) = map { $now[$_] - $before[$_] } 0 .. $#now;
	is($executed + $cancelled, $waiters + 2 + $spare, 'the totals say the same');
	cmp_ok($cancelled, '<=', $gone + $spare, 'of those who were removed');
	cmp_ok($cancelled, '>=', $gone + $spare - $removed, 'and of those who were before there were slots');
	is_deeply([ $timeouts, $forced ], [ 0, 1 ], 'and nobody else was forced');
}
is($admin->value('SELECT num_unmanaged_full FROM wlm.status()') - $full, 5, 'the tables were not full again');

@sessions = grep { !$fate{$_} || $fate{$_} !~ /terminated|vanished/ } @sessions;
push @sessions, map { session($node, name => "new $_", queue => 'one') } 1 .. $waiters - @sessions;
$control->do($_) for (q{SELECT wlm.drop_rule('patient')}, q{SELECT wlm.resume_queue('one')}, q{SELECT wlm.resume_queue('two')});
queue_is('one', 'slots', 2, q{SELECT wlm.alter_queue('one', max_slots => 2)});

# 5. Time-outs at the instants of grants: each is served or timed out.
queue_is('one', 'slots', 4, q{SELECT wlm.alter_queue('one', max_slots => 4, queue_timeout => '500ms')});
@before = totals();
$_->send('SELECT busy(2) FROM single') for @sessions;
my %outcome;
for my $session (@sessions)
{
	my $answer = $session->finish;
	$outcome{ $ends{row}->($answer) ? 'row' : $ends{'timed out'}->($answer) ? 'timed out' : $answer->{error} }++;
}
progress(join(', ', map { "$outcome{$_} $_" } sort keys %outcome));
is(($outcome{row} || 0) + ($outcome{'timed out'} || 0), $waiters, 'time-outs and grants: no other end');
settled($admin, 'nothing is left of time-outs');
totals_are([ $outcome{row} || 0, 0, $outcome{'timed out'} || 0, 0 ], 'and they are counted so');

# 6. ALTER TABLE wants the table that a thousand hold: they are let in, it goes on.
queue_is('one', 'slots', 2, q{SELECT wlm.alter_queue('one', max_slots => 2, reset => '{queue_timeout}')});
hold_slots();
@before = totals();
my $forced = $admin->value('SELECT num_lock_forced FROM wlm.status()');
$_->send('SELECT costly(x) FROM single') for @sessions;
all_queued($waiters);
progress('all wait again');
$visitor->do('RESET statement_timeout');
is($visitor->do('ALTER TABLE single ADD COLUMN added integer')->{tag}, 'ALTER TABLE', 'who alters the table of a thousand waiters gets it');
progress('altered');
answers_are_right({}, 'everybody was let in');
is($admin->value('SELECT num_lock_forced FROM wlm.status()') - $forced, $waiters, 'for the lock');
give_slots();
settled($admin, 'nothing is left in the end');
totals_are([ $waiters + 2, 0, 0, $waiters ], 'and each was let in once');

$node->stop('fast');
progress('stopped');
unlike(slurp_file($node->logfile), qr/PANIC|FATAL:(?!.*(administrator command|connection to client))|was terminated by signal|TRAP|leak/,
	'no complaint in the log');
done_testing();
