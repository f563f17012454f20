# 131_rules_kept.pl
#
# A statement keeps the rules with which it began, whatever is configured while it runs; what rules and priorities of
# roles cannot give to whom; whom rules spare; and the time in queues of a statement that has waited twice.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $node = start_node('rules_kept', [ "wlm.memory = '1GB'", 'wlm.guard_limit = 20000000', 'max_parallel_workers_per_gather = 0', 'jit = off',
	'autovacuum = off' ]);
my $admin = prepare_node($node);

$admin->do($_) for (
	q{CREATE FUNCTION nap(seconds float8) RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100000000
		AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END'},
	q{SELECT wlm.create_queue('two', max_slots => 1, query_group => 'two')},
	q{SELECT wlm.create_queue('other', query_group => 'other')},
	'CREATE ROLE worker LOGIN', 'GRANT SELECT ON single TO worker');

# Changes a queue that nobody uses, and waits until that is in force, and with it all that was committed before.
my $marks = 0;
sub in_force
{
	my ($name) = @_;
	$marks++;
	$admin->do("SELECT wlm.alter_queue('other', max_queue_length => $marks, max_slots => $marks)");
	return eventually($admin, q{SELECT slots FROM wlm.queue_state WHERE queue = 'other'}, $marks, $name);
}

sub rule
{
	my ($name, $predicates, $action, $queue, $value) = @_;
	$admin->do('DELETE FROM wlm.rule');
	$admin->do("SELECT wlm.create_rule('$name', '$predicates', '$action'" . ($queue ? ", queue => '$queue'" : '')
		. ($value ? ", action_value => '$value'" : '') . ')');
	return in_force("rule $name");
}

sub recorded
{
	my ($session) = @_;
	$admin->do('SELECT wlm.flush()');
	my $value = $admin->value("SELECT string_agg(rule || ' ' || action || ' ' || applied, ', ' ORDER BY rule)
		FROM wlm.rule_action WHERE pid = $session->{pid}");
	$admin->do("DELETE FROM wlm.rule_action WHERE pid = $session->{pid}");
	return defined $value ? $value : '';
}

sub activity { my ($session, $column) = @_; return "SELECT $column FROM wlm.activity WHERE pid = $session->{pid}"; }
sub idle { my ($seconds) = @_; return "SELECT costly(x), pg_sleep($seconds) FROM single"; }

my $user = session($node, name => 'user');
my $one = session($node, name => 'one', queue => 'one');
my $worker = session($node, name => 'worker', user => 'worker', queue => 'one');

# Another queue is changed meanwhile, and another paused.
rule('slower', 'query_execution_time > 2500', 'change_priority', undef, 'low');
$user->send(idle(6));
await_state($admin, $user, 'running');
in_force('another queue is changed while it runs');
$admin->do(q{SELECT wlm.pause_queue('two')});
in_force('and one is paused');
eventually($admin, activity($user, 'priority'), 'low', 'change_priority after a change of configuration');
is($user->finish->{error}, '', 'it goes on');
is(recorded($user), 'slower change_priority true', 'recorded as applied');
$admin->do(q{SELECT wlm.resume_queue('two')});

# The rule itself is gone by then.
rule('away', 'query_execution_time > 2500', 'hop', 'one', 'two');
$one->send(idle(6));
await_state($admin, $one, 'running');
$admin->do(q{SELECT wlm.drop_rule('away')});
in_force('the rule is dropped while it runs');
eventually($admin, activity($one, 'queue'), 'two', 'hop by a rule that was dropped meanwhile');
is($one->finish->{error}, '', 'it goes on');
is(recorded($one), 'away hop true', 'recorded as applied');

# Where it leads is gone by then.
$admin->do(q{SELECT wlm.create_queue('gone', query_group => 'gone')});
rule('away', 'query_execution_time > 3500', 'hop', 'one', 'gone');
$one->send(idle(6));
await_state($admin, $one, 'running');
$admin->do(q{SELECT wlm.drop_rule('away')});
$admin->do(q{SELECT wlm.drop_queue('gone')});
in_force('the queue is dropped while it runs');
is($one->finish->{error}, '', 'it goes on');
is(recorded($one), 'away hop false', 'recorded as not applied');
is($admin->value("SELECT queue FROM wlm.history WHERE pid = $one->{pid} ORDER BY id DESC LIMIT 1"), 'one', 'it has stayed where it was');

# Critical is for superusers' statements, whoever made the rule, and whatever the queue has.
rule('urgent', 'query_execution_time > 300', 'change_priority', undef, 'critical');
for my $case ([ $worker, 'highest' ], [ $user, 'critical' ])
{
	my ($session, $priority) = @$case;
	$session->send(idle(3));
	eventually($admin, activity($session, 'priority'), $priority, "a rule makes $session->{name}'s statement $priority");
	is($session->finish->{error}, '', 'it goes on');
}
$admin->do('DELETE FROM wlm.rule');
$admin->do(q{SELECT wlm.alter_queue('one', priority => 'critical')});
$admin->do(q{SELECT wlm.change_user_priority('worker', 'low')});
in_force('a critical queue, and a role of low priority');
$worker->send(idle(8));
await_state($admin, $worker, 'running');
is($admin->value(activity($worker, 'priority')), 'low', 'which its statement has');
$admin->do(q{SELECT wlm.change_user_priority('worker')});
eventually($admin, activity($worker, 'priority'), 'highest', 'without it: that of the queue, as far as it is for him');
is($worker->finish->{error}, '', 'it goes on');
$admin->do(q{SELECT wlm.alter_queue('one', priority => 'normal')});
recorded($_) for $user, $worker;

# Superusers are not exempt, but where they have asked for their lane.
rule('long', 'query_execution_time > 300', 'abort');
is($user->query(idle(20))->{error}, 'canceling statement due to workload rule "long"', 'a rule ends a superuser\'s statement');
is(recorded($user), 'long abort true', 'recorded');
$user->do(q{SET wlm.query_group = 'superuser'});
is($user->query(idle(1.5))->{error}, '', 'but not where he has asked for his lane');
is(recorded($user), 'long abort false', 'recorded as not applied');
$worker->do(q{SET wlm.query_group = 'superuser'});
is($worker->query(idle(20))->{error}, 'canceling statement due to workload rule "long"', 'others cannot ask for it');
$user->do('RESET wlm.query_group');
recorded($worker);

# Who is moved while it runs waits again: all its waiting counts.
$admin->do('DELETE FROM wlm.rule');
$admin->do(q{SELECT wlm.create_rule('tired', 'query_queue_time > 4000', 'abort', queue => 'two')});
$admin->do(q{SELECT wlm.create_rule('away', 'query_execution_time > 400', 'hop', queue => 'one', action_value => 'two')});
in_force('two rules');
my $two = session($node, name => 'two', queue => 'two');
$admin->do('SELECT pg_advisory_lock(2)');
$two->send('SELECT hold(2) FROM single');
await_state($admin, $two, 'running');
$admin->do(q{UPDATE wlm.rule SET enabled = false WHERE name = 'away'});
in_force('who holds the slot is to stay');
my $holder = hold_slot($admin, $node);
$admin->do(q{UPDATE wlm.rule SET enabled = true WHERE name = 'away'});
in_force('others are moved');
$one->send('SELECT nap(20)');
await_state($admin, $one, 'queued');
eventually($admin, activity($one, q{queue_time > interval '2.5 s'}), 't', 'it waits');
$admin->do('SELECT pg_advisory_unlock(1)');
$holder->finish;
eventually($admin, activity($one, q{queue || ' ' || state}), 'two queued', 'it begins, is moved, and waits again');
my $answer = $one->finish;
is($answer->{error}, 'canceling statement due to workload rule "tired"', 'until it has waited too long');
my ($waited) = ($answer->{detail} || '') =~ /^query_queue_time was (\d+), over 4000\.$/;
cmp_ok($waited || 0, '>', 4000, 'the DETAIL has the numbers') or diag($answer->{detail});
$admin->do('SELECT wlm.flush()');
my $queue_ms = $admin->value("SELECT queue_ms FROM wlm.history WHERE pid = $one->{pid} ORDER BY id DESC LIMIT 1");
# the first took 2.5 s: it would be missing from what the rule saw
cmp_ok($queue_ms - ($waited || 0), '<', 2500, 'both waits count');
is(recorded($one), 'away hop true, tired abort true', 'recorded');
$admin->do('SELECT pg_advisory_unlock(2)');
is($two->finish->{error}, '', 'who was there before ends');

settled($admin, 'nothing is left behind');
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|terminated by signal/, 'no crash');
done_testing();
