# 171_new_hazards.pl
#
# HAZARDS W1, W4, W5 and W11 for those that wait in new ways: in a paused queue, and for having given way. No time-out
# of the queue and no max_wait comes to their help here: whoever blocks somebody is let in, and what ends a statement
# ends theirs.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use WlmTest;

my $node = start_node('new_hazards', ['wlm.preemption = on', 'wlm.max_wait = 1h', 'deadlock_timeout = 200ms']);
my $admin = prepare_node($node);
my $waiter = session($node, name => 'waiter', queue => 'one');
my $holder = session($node, name => 'holder', queue => 'one');
my $other = session($node, name => 'other');
$holder->do("SET wlm.priority = 'high'");

$admin->do($_) for (
	# neither volatile nor parallel unsafe, so that whoever calls it may give way
	q{CREATE FUNCTION nap(seconds float8) RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100000000
		AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END'},
	'CREATE TABLE moving AS SELECT 1 AS id', 'CREATE TABLE seen AS SELECT 1 AS id', 'CREATE TABLE counted AS SELECT 1 AS id, 0 AS n');

sub activity { my ($session, $column) = @_; return $admin->value("SELECT $column FROM wlm.activity WHERE pid = $session->{pid}"); }
sub lock_forced { return $admin->value('SELECT num_lock_forced FROM wlm.status()'); }
sub last_of
{
	my ($session, $columns) = @_;
	$admin->do('SELECT wlm.flush()');
	return join('|', map { defined $_ ? $_ : '' } @{ $admin->do("SELECT $columns FROM wlm.history WHERE pid = $session->{pid}
		ORDER BY id DESC LIMIT 1")->{rows}[0] });
}

# What the two kinds of wait have in common: how one comes to it, what activity says then, and how the cause goes away.
my %waits = (
	paused => {
		begin => sub {
			my ($sql) = @_;
			$admin->do("SELECT wlm.pause_queue('one')");
			eventually($admin, q{SELECT state FROM wlm.queue_state WHERE queue = 'one'}, 'paused', 'the queue is paused');
			$waiter->send($sql);
			await_state($admin, $waiter, 'queued');
		},
		looks => 'paused 0',
		end => sub {
			$admin->do("SELECT wlm.resume_queue('one')");
			eventually($admin, q{SELECT state FROM wlm.queue_state WHERE queue = 'one'}, 'open', 'the queue is open');
		},
		still => sub { is($admin->value(q{SELECT state FROM wlm.queue_state WHERE queue = 'one'}), 'paused', 'the queue is paused all the while') },
	},
	preempted => {
		begin => sub {
			my ($sql) = @_;
			$admin->do('SELECT pg_advisory_lock(1)');
			$waiter->send($sql);
			await_state($admin, $waiter, 'running');
			usleep(200_000);
			$holder->send('SELECT hold(1) FROM single');
			await_state($admin, $holder, 'running');
			await_state($admin, $waiter, 'queued');
		},
		looks => 'slot 1',
		end => sub {
			$admin->do('SELECT pg_advisory_unlock(1)');
			is($holder->finish->{error}, '', 'for whom it gave way ends well');
		},
		still => sub { is(activity($holder, 'state'), 'running', 'the slot is taken all the while') },
	});

# A server that knows its statements: who is predicted to end at once is not asked to give way.
my @teachers = map { session($node, name => "teacher $_") } 1 .. 4;
$teachers[$_]->send($_ % 2 ? 'SELECT nap(2) + id FROM moving' : 'SELECT nap(3)') for 0 .. $#teachers;
is($_->finish->{error}, '', "$_->{name} is done") for @teachers;
$holder->do('SELECT costly(x) FROM single');
eventually($admin, 'SELECT learner_pending_bytes FROM wlm.status()', 0, 'and it was learned from');

for my $kind ('preempted', 'paused')
{
	my $wait = $waits{$kind};
	my $nap = 'SELECT nap(2) + id FROM moving';
	my $begin = sub {
		$wait->{begin}->(@_);
		is(activity($waiter, "concat_ws(' ', wait_reason, num_preempted)"), $wait->{looks}, "$kind: it waits");
	};

	# W4: it has a lock that ALTER TABLE wants, and others queue up behind that.
	my $forced = lock_forced();
	$begin->($nap);
	$other->send('ALTER TABLE moving ADD COLUMN added integer');
	is_deeply($waiter->finish->{rows}, [ [2] ], "$kind: who blocks ALTER TABLE is let in");
	is($other->finish->{error}, '', "$kind: ALTER TABLE goes on");
	is(lock_forced(), $forced + 1, "$kind: by the lock graph");
	$wait->{still}->();
	$wait->{end}->();
	is(last_of($waiter, 'final_state, forced'), 'completed|t', "$kind: history has it as let in over the limit");
	$admin->do('ALTER TABLE moving DROP COLUMN added');

	# W5: the lock is an earlier statement's of its transaction.
	$forced = lock_forced();
	$waiter->do('BEGIN');
	$waiter->do('SELECT id FROM seen');
	$begin->($nap);
	$other->send('TRUNCATE seen');
	is_deeply($waiter->finish->{rows}, [ [2] ], "$kind: who blocks by what its transaction read is let in");
	ok(!$other->answers(0.2), "$kind: its transaction goes on to hold the lock");
	$waiter->do('COMMIT');
	is($other->finish->{error}, '', "$kind: TRUNCATE goes on");
	is(lock_forced(), $forced + 1, "$kind: by the lock graph");
	$wait->{still}->();
	$wait->{end}->();
	settled($admin, "$kind: nothing is left of locks");

	# W11
	$nap = 'SELECT nap(3)';
	$begin->($nap);
	$admin->do("SELECT pg_cancel_backend($waiter->{pid})");
	is($waiter->finish->{error}, 'canceling statement due to user request', "$kind: cancelled");
	$wait->{still}->();
	$wait->{end}->();

	$waiter->do("SET statement_timeout = '1s'");
	$begin->($nap);
	is($waiter->finish->{error}, 'canceling statement due to statement timeout', "$kind: statement_timeout");
	$wait->{still}->();
	$wait->{end}->();
	$waiter->do('RESET statement_timeout');

	$begin->($nap);
	$admin->do("SELECT wlm.cancel_queued($waiter->{pid})");
	is($waiter->finish->{sqlstate}, '57014', "$kind: wlm.cancel_queued()");
	$wait->{still}->();
	$wait->{end}->();

	$begin->($nap);
	$admin->do("SELECT pg_terminate_backend($waiter->{pid})");
	is($waiter->finish->{sqlstate}, '57P01', "$kind: terminated");
	eventually($admin, "SELECT count(*) FROM wlm.activity WHERE pid = $waiter->{pid}", 0, "$kind: and gone");
	$wait->{still}->();
	$wait->{end}->();

	$waiter = session($node, name => 'waiter', queue => 'one');
	$begin->($nap);
	is($admin->value('SHOW client_connection_check_interval'), '0', 'the server does not look for lost clients');
	$waiter->vanish;
	eventually($admin, "SELECT count(*) FROM wlm.activity WHERE pid = $waiter->{pid}", 0, "$kind: a lost client leaves the queue");
	eventually($admin, "SELECT count(*) FROM pg_stat_activity WHERE pid = $waiter->{pid}", 0, "$kind: and its process ends");
	$wait->{still}->();
	$wait->{end}->();

	$waiter = session($node, name => 'waiter', queue => 'one');
	settled($admin, "$kind: nothing is left");
}

# W1: whose transaction has changed or locked rows, or holds what no plan of its shows, does not give way.
for my $before ('UPDATE counted SET n = n + 1', 'SELECT n FROM counted FOR UPDATE', 'SELECT pg_advisory_xact_lock(7)', 'LOCK TABLE counted IN SHARE MODE')
{
	my $preempted = $admin->value('SELECT num_preempted FROM wlm.status()');
	$waiter->do('BEGIN');
	$waiter->do($before);
	$waiter->send('SELECT nap(2)');
	await_state($admin, $waiter, 'running');
	usleep(200_000);
	$holder->send('SELECT costly(x) FROM single');
	# who wants what the transaction holds waits for its end, not for that of others
	$other->send($before =~ /advisory/ ? 'SELECT pg_advisory_xact_lock(7)' : 'UPDATE counted SET n = n + 1');
	is($waiter->finish->{rows}[0][0], 1, "$before: it goes on to its end");
	is($holder->finish->{error}, '', "$before: and the urgent one runs then");
	$waiter->do('COMMIT');
	is($other->finish->{error}, '', "$before: who waited for the lock has it");
	is($admin->value('SELECT num_preempted FROM wlm.status()'), $preempted, "$before: nobody gave way");
}
settled($admin, 'nothing is left in the end');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|was terminated by signal|TRAP|leak/, 'no complaint in the log');
done_testing();
