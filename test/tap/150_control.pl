# Control of queues and statements under load: pause and resume lose nobody, drain empties a queue and sends the rest to
# the next, statements that run are moved, roles get their priorities at once, and superusers are not locked out.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::Bin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use WlmTest;

my $node = start_node('control');
my $admin = prepare_node($node, slots => 2);

sub make_queue
{
	my ($name, %columns) = @_;
	my $arguments = join('', map { ", $_ => $columns{$_}" } sort keys %columns);
	$admin->do("SELECT wlm.create_queue('$name'$arguments)");
	return eventually($admin, "SELECT count(*) FROM wlm.queue_state WHERE queue = '$name'", 1, "queue \"$name\" is in force");
}

sub has_state
{
	my ($queue, $state) = @_;
	return eventually($admin, "SELECT state FROM wlm.queue_state WHERE queue = '$queue'", $state, "queue \"$queue\" is $state");
}

# What activity says of one session.
sub seen
{
	my ($session, $columns) = @_;
	return "SELECT string_agg(concat_ws(' ', $columns), ',') FROM wlm.activity WHERE pid = $session->{pid}";
}

sub finished
{
	my ($session, $name) = @_;
	my $answer = $session->finish;
	return is($answer->{error} || '', '', $name);
}

# Pause and resume under load: every statement ends, and all of them in their queue.
{
	my $before = counter($admin, 'num_executed');
	my @sessions = map { session($node, name => "load $_", queue => 'one') } 1 .. 20;
	my $rounds = 6;
	my $failed = 0;

	for my $round (1 .. $rounds)
	{
		$_->send('SELECT costly(x) FROM single') for @sessions;
		$admin->do("SELECT wlm.pause_queue('one')") if $round % 2;
		$admin->do("SELECT wlm.resume_queue('one')") unless $round % 2;
		if ($round % 2)
		{
			# those that had begun may have ended; whoever waits does so for the pause
			has_state('one', 'paused');
			$admin->do("SELECT wlm.resume_queue('one')");
		}
		for my $session (@sessions)
		{
			my $answer = $session->finish;
			$failed++ if $answer->{sqlstate} || ($answer->{rows}[0][0] || 0) != 1;
		}
	}
	is($failed, 0, 'no statement failed');
	is(counter($admin, 'num_executed') - $before, @sessions * $rounds, 'each was counted once');
	is(counter($admin, 'num_forced'), 0, 'none was forced');
	settled($admin, 'nothing is left of the load');
	$_->quit for @sessions;
	has_state('one', 'open');
}

# A paused queue keeps who waits, in order, and its slots free.
{
	$admin->do("SELECT wlm.pause_queue('one')");
	has_state('one', 'paused');
	my @waiters = map { session($node, name => "waiter $_", queue => 'one') } 1 .. 3;
	for my $waiter (@waiters)
	{
		$waiter->send('SELECT costly(x) FROM single');
		await_state($admin, $waiter, 'queued');
	}
	is($admin->value("SELECT string_agg(wait_reason || ' ' || position, ',' ORDER BY position) FROM wlm.activity"), 'paused 1,paused 2,paused 3',
		'they wait for the pause');
	is(counter($admin, 'slots_used'), 0, 'with all slots free');
	is($admin->value("SELECT wlm.cancel_queued($waiters[1]{pid})"), 't', 'one is cancelled');
	is($waiters[1]->finish->{sqlstate}, '57014', 'and told so');
	$admin->do("SELECT wlm.resume_queue('one')");
	finished($waiters[$_], "waiter $_ runs after all") for 0, 2;
	settled($admin, 'nothing is left of the pause');
	$_->quit for @waiters;
}

# Management is turned off for the server: nobody waits for it any longer.
{
	$admin->do("SELECT wlm.pause_queue('one')");
	has_state('one', 'paused');
	my @waiters = map { session($node, name => "left $_", queue => 'one') } 1 .. 3;
	for my $waiter (@waiters)
	{
		$waiter->send('SELECT costly(x) FROM single');
		await_state($admin, $waiter, 'queued');
	}
	$admin->do($_) for (q{ALTER SYSTEM SET wlm.mode = 'observe'}, 'SELECT pg_reload_conf()');
	finished($_, 'who waited runs at once') for @waiters;
	$admin->do($_) for ('ALTER SYSTEM RESET wlm.mode', 'SELECT pg_reload_conf()', "SELECT wlm.resume_queue('one')");
	settled($admin, 'and nothing is left');
	has_state('one', 'open');
	eventually($waiters[0], 'SHOW wlm.mode', 'auto', 'it is on again');
	$_->quit for @waiters;
}

# Drain: who is in the queue ends there, who comes goes to the next queue that takes him.
{
	make_queue('next', max_slots => 5, query_group => "'one'", ordinal => 100);
	my @holders = map { hold_slot($admin, $node, $_) } 1, 2;
	my $waiter = session($node, name => 'waiter', queue => 'one');
	$waiter->send('SELECT costly(x) FROM single');
	await_state($admin, $waiter, 'queued');
	$admin->do("SELECT wlm.drain_queue('one')");
	has_state('one', 'draining');

	my $late = session($node, name => 'late', queue => 'one');
	$late->send('SELECT hold(1) FROM single');
	await_state($admin, $late, 'running');
	is($admin->value(seen($late, 'queue')), 'next', 'a statement that comes later is in the next queue');
	is($admin->value(seen($waiter, 'queue, state')), 'one queued', 'who waits stays');
	$admin->do('SELECT pg_advisory_unlock(1)');
	finished($waiter, 'and runs');
	finished($late, 'and so does the other');
	$admin->do('SELECT pg_advisory_unlock(2)');
	$_->finish for @holders;
	eventually($admin, "SELECT num_running + num_returned + num_queued FROM wlm.queue_state WHERE queue = 'one'", 0, 'the queue is empty');
	$admin->do("SELECT wlm.resume_queue('one')");
	has_state('one', 'open');
	$admin->do("SELECT wlm.drop_queue('next')");
	settled($admin, 'nothing is left of the drain');
	$_->quit for @holders, $waiter, $late;
}

# A statement that runs is moved, with what it holds; history knows it where it ended.
make_queue('other', max_slots => 1);
{
	my $holder = hold_slot($admin, $node, 1);
	$admin->do("SELECT wlm.alter_queue('one', max_slots => 1)");
	eventually($admin, "SELECT slots FROM wlm.queue_state WHERE queue = 'one'", 1, 'one slot');
	my $waiter = session($node, name => 'waiter', queue => 'one');
	$waiter->send('SELECT costly(x) FROM single');
	await_state($admin, $waiter, 'queued');
	is($admin->value("SELECT wlm.move_query($holder->{pid}, 'other')"), 't', 'moved');
	is($admin->value("SELECT wlm.change_query_priority($holder->{pid}, 'low')"), 't', 'and lowered');
	finished($waiter, 'who waited for its slot runs');
	is($admin->value(seen($holder, 'queue, state, priority')), 'other running low', 'the other runs on');
	is($admin->value("SELECT string_agg(queue || ' ' || slots_used, ',' ORDER BY queue) FROM wlm.queue_state WHERE queue <> 'default'"),
		'one 0,other 1', 'its slot counts where it is');
	$admin->do('SELECT pg_advisory_unlock(1)');
	finished($holder, 'it ends');
	$admin->do('SELECT wlm.flush()');
	is($admin->value("SELECT queue || ' ' || priority FROM wlm.history WHERE pid = $holder->{pid}"), 'other low', 'history has it where it ended');
	settled($admin, 'nothing is left of the move');
	$_->quit for $holder, $waiter;
}

# A queue in which as many wait as may takes no other waiting statement: it keeps its place. Who runs may come.
{
	$admin->do("SELECT wlm.alter_queue('other', max_queue_length => 1)");
	my $holder = hold_slot($admin, $node, 1);
	my @waiters = map { session($node, name => "waiter $_", queue => 'one') } 1 .. 3;
	for my $waiter (@waiters)
	{
		$waiter->send('SELECT costly(x) FROM single');
		await_state($admin, $waiter, 'queued');
	}
	$admin->do("SELECT wlm.pause_queue('other')");
	has_state('other', 'paused');
	is($admin->value("SELECT wlm.move_query($waiters[2]{pid}, 'other')"), 't', 'the last is moved');
	my $answer = $admin->query("SELECT wlm.move_query($waiters[0]{pid}, 'other')");
	is($answer->{sqlstate}, '53300', 'the first is not');
	is($answer->{error}, 'workload queue "other" is full', 'as it is told');
	is($answer->{detail}, "1 statement waits in it, and its max_queue_length is 1; the statement of process $waiters[0]{pid} stays where it is.",
		'with the numbers');
	is($answer->{hint}, 'Try again later, or raise max_queue_length with wlm.alter_queue().', 'and what to do');
	is($admin->value(seen($waiters[0], 'queue, state, position')), 'one queued 1', 'it keeps its place');
	is($admin->value("SELECT wlm.move_query($holder->{pid}, 'other')"), 't', 'a statement that runs is moved');
	finished($waiters[$_ - 1], "waiter $_ runs") for 1, 2;
	$admin->do('SELECT pg_advisory_unlock(1)');
	finished($holder, 'the holder ends');
	$admin->do("SELECT wlm.resume_queue('other')");
	finished($waiters[2], 'and so does who waited there');
	$admin->do("SELECT wlm.alter_queue('other', reset => '{max_queue_length}')");
	settled($admin, 'nothing is left of the full queue');
	$_->quit for $holder, @waiters;
}

# The time-out is that of the queue in which a statement waits now.
{
	$admin->do("SELECT wlm.alter_queue('other', queue_timeout => '500 ms')");
	my $holder = hold_slot($admin, $node, 1);
	my $other = session($node, name => 'other');
	$other->do("SET wlm.query_group = 'one'");
	$other->send('SELECT hold(1) FROM single');
	await_state($admin, $other, 'queued');
	$admin->do("SELECT wlm.move_query($holder->{pid}, 'other')");
	await_state($admin, $other, 'running');
	my $waiter = session($node, name => 'waiter', queue => 'one');
	$waiter->send('SELECT costly(x) FROM single');
	await_state($admin, $waiter, 'queued');
	is($admin->value("SELECT wlm.move_query($waiter->{pid}, 'other')"), 't', 'a waiter is moved');
	my $answer = $waiter->finish;
	like($answer->{error} || '', qr/canceling statement due to workload queue timeout/, 'and has the time-out of that queue');
	$admin->do('SELECT pg_advisory_unlock(1)');
	$_->finish for $holder, $other;
	settled($admin, 'nothing is left of the time-out');
	$_->quit for $holder, $other, $waiter;
}

# Priorities of roles: at once for those that wait, but not against what a session has set.
{
	$admin->do($_) for ('CREATE ROLE worker LOGIN', 'GRANT SELECT ON single TO worker', 'GRANT SET ON PARAMETER wlm.priority TO worker');
	my $holder = hold_slot($admin, $node, 1);
	my @waiters = map { session($node, name => "worker $_", user => 'worker', queue => 'one') } 1, 2;
	$waiters[1]->do('SET wlm.priority = low');
	for my $waiter (@waiters)
	{
		$waiter->send('SELECT costly(x) FROM single');
		await_state($admin, $waiter, 'queued');
	}
	$admin->do("SELECT wlm.change_user_priority('worker', 'highest')");
	eventually($admin, seen($waiters[0], 'priority'), 'highest', 'who waits has the new priority');
	is($admin->value(seen($waiters[1], 'priority')), 'low', 'who has chosen his own keeps it');
	$admin->do("SELECT wlm.change_user_priority('worker')");
	eventually($admin, seen($waiters[0], 'priority'), 'normal', 'and gets back that of the queue');
	$admin->do("SELECT wlm.change_user_priority('worker', 'critical')");
	eventually($admin, seen($waiters[0], 'priority'), 'highest', 'critical is for superusers');
	$admin->do("SELECT wlm.change_user_priority('worker', 'low')");
	eventually($admin, seen($waiters[0], 'priority'), 'low', 'another one');
	$admin->do('SELECT pg_advisory_unlock(1)');
	$_->finish for $holder, @waiters;
	$waiters[0]->send('SELECT hold(1) FROM single');
	$waiters[0]->finish;
	$admin->do('SELECT wlm.flush()');
	is($admin->value("SELECT priority FROM wlm.history WHERE pid = $waiters[0]{pid} ORDER BY id DESC LIMIT 1"), 'low', 'and for what comes later');
	$admin->do("SELECT wlm.change_user_priority('worker')");
	settled($admin, 'nothing is left of the priorities');
	$_->quit for $holder, @waiters;
}

# HAZARDS W10: all slots taken and the queue paused; a superuser gets in, nobody else does.
{
	$admin->do("SELECT wlm.alter_queue('default', max_slots => 1)");
	eventually($admin, "SELECT slots FROM wlm.queue_state WHERE queue = 'default'", 1, 'one slot');
	$admin->do('SELECT pg_advisory_lock(1)');
	my $holder = session($node, name => 'holder');
	$holder->send('SELECT hold(1) FROM single');
	await_state($admin, $holder, 'running');
	$admin->do("SELECT wlm.pause_queue('default')");
	has_state('default', 'paused');
	my ($superuser, $without, $user) =
		(session($node, name => 'superuser'), session($node, name => 'without'), session($node, name => 'user', user => 'worker'));
	$_->do("SET wlm.query_group = 'superuser'") for $superuser, $user;
	$_->send('SELECT costly(x) FROM single') for $without, $user;
	await_state($admin, $_, 'queued') for $without, $user;
	is($superuser->value('SELECT costly(x) FROM single'), 1, 'a superuser in his lane does not wait');
	$superuser->send('SELECT hold(1) FROM single');
	await_state($admin, $superuser, 'running');
	is($admin->value(seen($superuser, 'lane, forced')), 'superuser f', 'it is his lane');
	is($admin->value('SELECT superuser_slots_used || \' of \' || superuser_slots FROM wlm.concurrency'), '1 of 3', 'and counts there');

	$admin->do('ALTER SYSTEM SET wlm.superuser_slots = 1');
	$admin->do('SELECT pg_reload_conf()');
	eventually($admin, 'SELECT superuser_slots FROM wlm.concurrency', 1, 'the lane is full');
	$admin->do("SELECT wlm.pause_queue('other')");
	has_state('other', 'paused');
	my $next = session($node, name => 'the next superuser');
	$next->do("SET wlm.query_group = 'superuser'");
	$next->send('SELECT costly(x) FROM single');
	await_state($admin, $next, 'queued');
	is($admin->value(seen($next, 'lane, priority')), 'normal critical', 'the next superuser waits, as critical');
	$admin->do('SELECT pg_advisory_unlock(1)');
	finished($_, "$_->{name} ends") for $holder, $superuser;
	finished($next, 'who waited gets the lane, though the queue is paused');
	$admin->do('SELECT wlm.flush()');
	is($admin->value("SELECT lane FROM wlm.history WHERE pid = $next->{pid}"), 'superuser', 'and history knows it');
	$admin->do('ALTER SYSTEM RESET wlm.superuser_slots');
	$admin->do('SELECT pg_reload_conf()');
	$admin->do("SELECT wlm.resume_queue('other')");
	has_state('other', 'open');

	$admin->do("SELECT wlm.resume_queue('default')");
	has_state('default', 'open');
	finished($_, "$_->{name} ends") for $without, $user;
	$admin->do("SELECT wlm.alter_queue('default', reset => '{all}')");
	settled($admin, 'nothing is left of the lane');
	$_->quit for $holder, $superuser, $without, $user, $next;
}

# The pool of slots, and why it is what it is.
{
	$admin->do('ALTER SYSTEM SET wlm.total_slots = 7');
	$admin->do('SELECT pg_reload_conf()');
	eventually($admin, "SELECT slots || ' ' || automatic FROM wlm.concurrency", '7 false', 'the pool is as configured');
	is($admin->value('SELECT reason || \' \' || slots_after FROM wlm.concurrency_changes() ORDER BY changed_at DESC LIMIT 1'), 'configured 7',
		'the change has its reason');
	is($admin->value('SELECT count(*) FROM wlm.concurrency_changes() WHERE changed_at > now() OR changed_at < now() - interval \'1 hour\''), 0,
		'and its time');
	is($admin->value('SELECT bool_and(reading BETWEEN 0 AND 1000) FROM wlm.concurrency, unnest(ARRAY[cpu, io_wait, io_stall, memory_stall, memory]) reading
		WHERE reading IS NOT NULL'), 't', 'readings make sense');
	$admin->do('ALTER SYSTEM RESET wlm.total_slots');
	$admin->do('SELECT pg_reload_conf()');
	eventually($admin, 'SELECT automatic FROM wlm.concurrency', 't', 'and automatic again');
}

# Who may: members of wlm_admin, but not to superusers' statements; from any database.
{
	my $superuser = hold_slot($admin, $node, 1);
	$admin->do($_) for ('CREATE ROLE operator LOGIN IN ROLE wlm_admin', 'CREATE ROLE other LOGIN', 'CREATE DATABASE elsewhere');
	my $operator = session($node, name => 'operator', user => 'operator');
	my $other = session($node, name => 'other', user => 'other');
	my $worker = session($node, name => 'worker', user => 'worker', queue => 'one');
	my %denied = (
		"SELECT wlm.change_query_priority($superuser->{pid}, 'low')" => qr/permission denied to change a statement of a superuser/,
		"SELECT wlm.move_query($superuser->{pid}, 'other')" => qr/permission denied to change a statement of a superuser/,
		"SELECT wlm.change_query_priority($worker->{pid}, 'critical')" => qr/permission denied to give priority "critical"/,
		"SELECT wlm.change_user_priority('worker', 'critical')" => qr/permission denied to give priority "critical"/,
		"SELECT wlm.change_user_priority((SELECT rolname FROM pg_roles WHERE oid = 10), 'low')"
			=> qr/permission denied to change the priority of a superuser/);
	for my $sql (sort keys %denied)
	{
		my $answer = $operator->query($sql);
		is($answer->{sqlstate}, '42501', "wlm_admin may not: $sql");
		like($answer->{error}, $denied{$sql}, 'and is told why');
		is($other->query($sql)->{sqlstate}, '42501', 'nor may others');
	}
	$worker->send('SELECT costly(x) FROM single');
	await_state($admin, $worker, 'queued');
	is($operator->value("SELECT wlm.change_query_priority($worker->{pid}, 'high')"), 't', 'he may change what others wait with');
	my (undef, undef, $warning) = $node->psql('elsewhere', 'CREATE EXTENSION pg_wlm');
	like($warning, qr/WARNING:  the workload manager keeps its tables in database "postgres"/, 'CREATE EXTENSION elsewhere says where the tables are');
	is($node->safe_psql('elsewhere', "SELECT wlm.change_query_priority($worker->{pid}, 'lowest'), wlm.move_query($worker->{pid}, 'other')"), 't|t',
		'also from another database');
	my ($status, $out, $err) = $node->psql('elsewhere', q{SELECT wlm.pause_queue('one')});
	like($err, qr/wlm\.pause_queue\(\) must be called in database "postgres"/, 'but the configuration is in its own');
	($status, $out, $err) = $node->psql('elsewhere', qq{SELECT wlm.move_query($worker->{pid}, 'nowhere')});
	like($err, qr/workload queue "nowhere" does not exist.*There are "default", "one", "other"\./s, 'where queues are known as well');
	finished($worker, 'it ran in the other queue');
	is($operator->query("SELECT wlm.move_query($worker->{pid}, 'other')")->{rows}[0][0], 'f', 'it is gone');
	$admin->do('SELECT pg_advisory_unlock(1)');
	$superuser->finish;
	settled($admin, 'nothing is left');
}

is($admin->value('SELECT num_errors FROM wlm.status()'), 0, 'no failure');
$node->stop;
done_testing();
