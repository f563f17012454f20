# 020_w07_crashes.pl
#
# HAZARDS W7 and W11: kill -9 of a waiting and of a running process, the end of the launcher and
# of the postmaster. Shared memory is made anew after a crash: every counter is zero, the
# configuration is read again, statements are admitted.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use WlmTest;

my $node = start_node('crashes', ['restart_after_crash = on']);
my $admin = prepare_node($node);

# A session as soon as the server takes any.
sub reconnect
{
	my $deadline = time + 60;
	while (time < $deadline)
	{
		my $session = eval { session($node, name => 'admin') };
		return $session if $session && !$session->query('SELECT 1')->{closed};
		usleep(50_000);
	}
	die 'the server does not come back';
}

sub works_again
{
	my ($name) = @_;
	eventually($admin, q{SELECT count(*) FROM wlm.queue_state WHERE queue = 'one' AND slots = 1}, 1, "$name: the configuration is back");
	settled($admin, "$name: nothing is left");
	my $holder = hold_slot($admin, $node);
	my $waiter = session($node, name => 'waiter', queue => 'one');
	$waiter->send('SELECT costly(x) FROM single');
	await_state($admin, $waiter, 'queued');
	$admin->do('SELECT pg_advisory_unlock(1)');
	is($holder->finish->{rows}[0][0], 'held', "$name: statements run");
	is($waiter->finish->{rows}[0][0], 1, "$name: and wait");
	settled($admin, "$name: and leave nothing");
	return;
}

# It has no database, so no statistics view knows it: a child of the postmaster with that title.
sub launcher
{
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	for my $line (split /\n/, `ps -eo pid=,ppid=,args=`)
	{
		return $1 if $line =~ /^\s*(\d+)\s+$postmaster\s.*pg_wlm launcher/;
	}
	return 0;
}

for my $victim ('waiting', 'running', 'returning')
{
	my $holder = hold_slot($admin, $node);
	my $waiter = session($node, name => 'waiter', queue => 'one');
	my $cursor = session($node, name => 'cursor', queue => 'one');
	$waiter->send('SELECT costly(x) FROM single');
	await_state($admin, $waiter, 'queued');
	$cursor->do($_) for ('BEGIN', 'CREATE TEMP TABLE t (x integer)', 'DECLARE c CURSOR FOR SELECT costly(id) FROM numbers', 'FETCH 1 FROM c');
	kill 'KILL', { waiting => $waiter, running => $holder, returning => $cursor }->{$victim}{pid};
	$admin->finish('never');
	$admin = reconnect();
	works_again("kill -9 of a $victim process");
}

# The launcher ends and is started again; who waits meanwhile waits on, and locks are looked after.
my $pid = launcher();
ok($pid, 'the launcher runs');
my $holder = hold_slot($admin, $node);
my $waiter = session($node, name => 'waiter', queue => 'one');
my $ddl = session($node, name => 'ddl');
$waiter->send('SELECT costly(id) FROM numbers');
await_state($admin, $waiter, 'queued');
kill 'TERM', $pid;
$ddl->send('ALTER TABLE numbers ADD COLUMN added integer');
is(@{ $waiter->finish->{rows} }, 100, 'who blocks DDL is admitted');
is($ddl->finish->{sqlstate}, '', 'DDL goes on');
for (1 .. 600)
{
	last if launcher() && launcher() != $pid;
	usleep(50_000);
}
ok(launcher() && launcher() != $pid, 'the launcher is started again');
eventually($admin, 'SELECT launcher_running FROM wlm.status()', 't', 'and says so');
$admin->do('SELECT pg_advisory_unlock(1)');
is($holder->finish->{rows}[0][0], 'held', 'who had the slot ends well');
works_again('the end of the launcher');

# Postmaster death: who waits and who returns ends by itself.
$holder = hold_slot($admin, $node, 2);
$waiter = session($node, name => 'waiter', queue => 'one');
$waiter->send('SELECT costly(x) FROM single');
await_state($admin, $waiter, 'queued');
$node->kill9;
ok($waiter->finish->{closed}, 'a waiter ends with the postmaster');
$_->vanish for ($holder, $admin);
my $gone = 0;
for (1 .. 1200)
{
	last if $gone = !grep { kill 0, $_->{pid} } ($waiter, $holder, $admin);
	usleep(50_000);
}
ok($gone, 'all processes end');
$node->start;
$admin = reconnect();
works_again('postmaster death');
eventually($admin, 'SELECT history_available FROM wlm.status()', 't', 'history is written again');
$admin->do(q{SELECT wlm.flush('30 s')});
is($admin->value('SELECT count(*) FROM wlm.history_operator o LEFT JOIN wlm.history h ON h.id = o.history_id WHERE h.id IS NULL'),
	0, 'history is consistent');
done_testing();
