# 013_w11_standby.pl
#
# HAZARDS W11 on a hot standby: predictions and admission go on there, and a wait does not stop
# replay: who waits with locks that replay needs is admitted.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use WlmTest;

my $primary = start_node('primary', ['max_wal_senders = 5', 'autovacuum = off'], init => [allows_streaming => 1]);
my $admin = prepare_node($primary);
$admin->do($_) for ('CREATE TABLE moving AS SELECT 1 AS id', 'CREATE TABLE given AS SELECT 1 AS id',
	# whoever calls it may give way on a primary; nothing is learned on a standby, so the cost makes it long
	q{CREATE FUNCTION nap(seconds float8) RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000000000000
		AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END'});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
# Replay waits for ever, so nobody else ends a wait that is in its way; it has no other reason to wait.
$standby->append_conf('postgresql.conf',
	"max_standby_streaming_delay = -1\nhot_standby_feedback = on\nwal_receiver_status_interval = 1s\n");
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));

my $there = session($standby, name => 'there');
eventually($there, 'SELECT launcher_running FROM wlm.status()', 't', 'the launcher runs on a standby');
ok($there->value(q{SELECT count(*) FROM wlm.predict('SELECT costly(id) FROM numbers')}) > 0, 'predictions are made');
is($there->query('SELECT wlm.flush()')->{sqlstate}, '55000', 'learning stops');

# The primary's queues hold there as well, and so do changes of them.
eventually($there, q{SELECT slots FROM wlm.queue_state WHERE queue = 'one'}, 1, 'the configuration is in force on a standby');
my $holder = hold_slot($there, $standby);
my $waiter = session($standby, name => 'waiter', queue => 'one');
$waiter->send('SELECT costly(x) FROM single');
await_state($there, $waiter, 'queued');
$admin->do(q{SELECT wlm.alter_queue('one', max_slots => 2)});
is($waiter->finish->{rows}[0][0], 1, 'a change on the primary takes effect on the standby');
$admin->do(q{SELECT wlm.alter_queue('one', max_slots => 1)});
$there->do('SELECT pg_advisory_unlock(1)');
is($holder->finish->{rows}[0][0], 'held', 'who had the slot ends well');
eventually($there, q{SELECT slots FROM wlm.queue_state WHERE queue = 'one'}, 1, 'and so does the next change');

# Slots of "default" are automatic, and grow while somebody waits: fill them until the statement waits.
$there->do('SELECT pg_advisory_lock(1)');
my @holders;
sub queue_up
{
	my ($waiter, $statement) = @_;
	while (@holders < 90)
	{
		$waiter->send($statement);
		until ($waiter->answers(0.02))
		{
			my $state = $there->value("SELECT state FROM wlm.activity WHERE pid = $waiter->{pid}");
			return pass('somebody waits') if defined $state && $state eq 'queued';
		}
		$waiter->finish;
		my $holder = session($standby, name => 'holder');
		$holder->send('SELECT hold(1) FROM single');
		push @holders, $holder;
	}
	return fail('nobody ever waits');
}

# A lost client, a cancel
my $statement = 'SELECT costly(id) FROM moving';
$waiter = session($standby, name => 'waiter');
queue_up($waiter, $statement);
is($there->value("SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE pid = $waiter->{pid}"), 't', 'no backend_xmin while it waits');
$waiter->vanish;
eventually($there, "SELECT count(*) FROM wlm.activity WHERE pid = $waiter->{pid}", 0, 'a lost client leaves the queue');
$waiter = session($standby, name => 'waiter');
queue_up($waiter, $statement);
$there->do("SELECT pg_cancel_backend($waiter->{pid})");
like($waiter->finish->{sqlstate}, qr/^(57014|)$/, 'a cancel ends a wait');

# Replay wants a lock that the waiter has. What runs keeps its row versions.
eventually($admin, 'SELECT backend_xmin IS NOT NULL FROM pg_stat_replication', 't', 'the primary knows of what runs');
queue_up($waiter, $statement);
$admin->do('ALTER TABLE moving ADD COLUMN added integer');
my $answer = $waiter->finish;
is($answer->{sqlstate}, '', 'replay ends the wait: the statement is admitted');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
eventually($there, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'moving'::regclass AND attname = 'added'}, 1, 'replay goes on');
queue_up($waiter, $statement);
$admin->do('DROP TABLE moving');
$answer = $waiter->finish;
is($answer->{sqlstate}, '', 'DROP TABLE on the primary as well');

$there->do('SELECT pg_advisory_unlock(1)');
is(join(' ', map { $_->finish->{sqlstate} } @holders), ' ' x $#holders, 'who ran meanwhile ends well');
settled($there, 'nothing is left');

# On a standby nobody is made to give way: the conflict with replay that his wait might become would end his session.
$there->do($_) for ('ALTER SYSTEM SET wlm.preemption = on', 'SELECT pg_reload_conf()');
eventually(session($standby), 'SHOW wlm.preemption', 'on', 'preemption is on');
$waiter = session($standby, name => 'waiter', queue => 'one');
my $urgent = session($standby, name => 'urgent', queue => 'one');
# statements are watched for their betters from the first of these on
$urgent->do($_) for (q{SET wlm.priority = 'high'}, 'SELECT costly(x) FROM single');
$waiter->send('SELECT nap(2) + id FROM given');
await_state($there, $waiter, 'running');
usleep(200_000);
$urgent->send('SELECT costly(x) FROM single');
await_state($there, $urgent, 'queued');
$admin->do('ALTER TABLE given ADD COLUMN added integer');
is_deeply($waiter->finish->{rows}, [ [2] ], 'who would give way elsewhere goes on to its end');
is($urgent->finish->{sqlstate}, '', 'and the urgent one runs then');
is($there->value('SELECT num_preempted FROM wlm.status()'), 0, 'nobody has given way');
eventually($there, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'given'::regclass AND attname = 'added'}, 1, 'replay goes on');
settled($there, 'nothing is left of that');

# Promotion with a runner: what was a standby manages, configures and records.
$there->do('SELECT pg_advisory_lock(1)');
$holders[0]->send('SELECT hold(1) FROM single');
await_state($there, $holders[0], 'running');
$standby->promote;
$there->do('SELECT pg_advisory_unlock(1)');
is($holders[0]->finish->{sqlstate}, '', 'who runs during promotion ends well');
eventually($there, q{SELECT count(*) FROM wlm.queue_state WHERE queue = 'one'}, 1, 'the configuration is in force after promotion');
$holder = hold_slot($there, $standby);
$waiter = session($standby, name => 'waiter', queue => 'one');
$waiter->send('SELECT costly(x) FROM single');
await_state($there, $waiter, 'queued');
$there->do('SELECT pg_advisory_unlock(1)');
is($waiter->finish->{rows}[0][0], 1, 'statements wait and run');
$holder->finish;
settled($there, 'nothing is left after promotion');
$there->do(q{SELECT wlm.flush('30 s')});
ok($there->value('SELECT count(*) FROM wlm.history') > 0, 'history is written after promotion');
settled($admin, 'nothing is left on the primary');
done_testing();
