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
	q{CREATE FUNCTION nap(seconds float8) RETURNS integer LANGUAGE plpgsql STABLE COST 100000000
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
sub idle { my ($seconds) = $admin->value("SELECT queue_ms / 1000 FROM wlm.history WHERE pid = $one->{pid} ORDER BY id DESC LIMIT 1");
cmp_ok($seconds, '<', 6, 'both waits count');
is(recorded($one), 'away hop true, tired abort true', 'recorded');
$admin->do('SELECT pg_advisory_unlock(2)');
is($two->finish->{error}, '', 'who was there before ends');

settled($admin, 'nothing is left behind');
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|terminated by signal/, 'no crash');
done_testing();
