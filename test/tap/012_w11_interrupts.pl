# 012_w11_interrupts.pl
#
# HAZARDS W11: a wait ends for everything that ends a statement: cancel, statement_timeout,
# lock_timeout not, time-out of the queue, a full queue, wlm.cancel_queued(), a lost client,
# shutdown. Messages say what to do. (Terminate: 010; standby conflicts: 013; postmaster
# death: 020.)
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $node = start_node('interrupts');
my $admin = prepare_node($node);
my $holder = hold_slot($admin, $node);
my $waiter = session($node, name => 'waiter', queue => 'one');
my $statement = 'SELECT costly(id) FROM numbers';

# Cancel by signal, inside and outside a transaction
for my $begin ('', 'BEGIN')
{
	$waiter->do($begin) if $begin;
	$waiter->send($statement);
	await_state($admin, $waiter, 'queued');
	$admin->do("SELECT pg_cancel_backend($waiter->{pid})");
	my $answer = $waiter->finish;
	is($answer->{sqlstate}, '57014', "pg_cancel_backend: SQLSTATE ($begin)");
	is($answer->{error}, 'canceling statement due to user request', "pg_cancel_backend: message ($begin)");
	is($waiter->query('SELECT 1')->{sqlstate}, $begin ? '25P02' : '', "the transaction is as after any error ($begin)");
	$waiter->do('ROLLBACK') if $begin;
}
# The same inside a savepoint: the transaction goes on.
$waiter->do($_) for ('BEGIN', 'SAVEPOINT a');
$waiter->send($statement);
await_state($admin, $waiter, 'queued');
$admin->do("SELECT pg_cancel_backend($waiter->{pid})");
is($waiter->finish->{sqlstate}, '57014', 'pg_cancel_backend in a savepoint');
is($waiter->do('ROLLBACK TO a') && $waiter->value('SELECT x FROM single'), 1, 'the transaction goes on');
$waiter->do('COMMIT');

$waiter->send($statement);
await_state($admin, $waiter, 'queued');
is($admin->value("SELECT wlm.cancel_queued($waiter->{pid})"), 't', 'cancel_queued() finds it');
is($waiter->finish->{sqlstate}, '57014', 'cancel_queued(): SQLSTATE');
is($admin->value("SELECT wlm.cancel_queued($waiter->{pid})"), 'f', 'cancel_queued() does not find what does not wait');
is($admin->value("SELECT wlm.cancel_queued($holder->{pid})"), 'f', 'cancel_queued() leaves alone what runs');
is($waiter->value('SELECT x FROM single'), 1, 'a late cancel does not hit the next statement');

$waiter->do(q{SET statement_timeout = '200ms'});
my $answer = $waiter->query($statement);
is($answer->{sqlstate}, '57014', 'statement_timeout: SQLSTATE');
like($answer->{error}, qr/statement timeout/, 'statement_timeout: message');
$waiter->do('RESET statement_timeout');

# The time-out of the queue, and the session's own
$admin->do(q{SELECT wlm.alter_queue('one', queue_timeout => '200 ms')});
$answer = {};
for (1 .. 100)
{
	$waiter->do(q{SET statement_timeout = '2s'});
	$answer = $waiter->query($statement);
	last if $answer->{error} =~ /workload/;
}
is($answer->{sqlstate}, '57014', 'time-out of the queue: SQLSTATE');
is($answer->{error}, 'canceling statement due to workload queue timeout', 'time-out of the queue: message');
like($answer->{detail} || '', qr/queue "one"/, 'time-out of the queue: detail');
ok($answer->{hint}, 'time-out of the queue: hint');
ok(counter($admin, 'num_timeouts') > 0, 'time-out of the queue: counted');
$waiter->do($_) for ('RESET statement_timeout', 'SET wlm.queue_timeout = 0');
$waiter->send($statement);
await_state($admin, $waiter, 'queued');
ok(!$waiter->answers(1), 'a session without time-out of its own waits on');
$admin->do("SELECT pg_cancel_backend($waiter->{pid})");
$waiter->finish;
$waiter->do('RESET wlm.queue_timeout');

# A full queue
$admin->do(q{SELECT wlm.alter_queue('one', max_queue_length => 0, reset => '{queue_timeout}')});
$waiter->do(q{SET statement_timeout = '2s'});
for (1 .. 30)
{
	$answer = $waiter->query($statement);
	last if $answer->{sqlstate} ne '57014';
}
$waiter->do('RESET statement_timeout');
is($answer->{sqlstate}, '53300', 'a full queue: SQLSTATE');
is($answer->{error}, 'workload queue "one" is full', 'a full queue: message');
ok($answer->{detail} && $answer->{hint}, 'a full queue: detail and hint');
is(counter($admin, 'num_queued'), 0, 'a full queue: nothing waits');
$admin->do(q{SELECT wlm.alter_queue('one', reset => '{max_queue_length}')});
# until then it is answered with the error
my $state = "SELECT state FROM wlm.activity WHERE pid = $waiter->{pid}";
$waiter->send($statement);
for (1 .. 3000)
{
	last if ($admin->value($state) || '') eq 'queued';
	next unless $waiter->answers(0.01);
	$waiter->finish;
	$waiter->send($statement);
}
is($admin->value($state), 'queued', 'a full queue: not any more');

# A client that is gone, while client_connection_check_interval is 0
is($admin->value('SHOW client_connection_check_interval'), '0', 'the server does not look for lost clients');
$waiter->vanish;
eventually($admin, q{SELECT num_queued FROM wlm.queue_state WHERE queue = 'one'}, 0, 'a lost client leaves the queue');
eventually($admin, "SELECT count(*) FROM pg_stat_activity WHERE pid = $waiter->{pid}", 0, 'its process ends');

# max_wait: admitted over the limit instead of an error
$admin->do($_) for (q{ALTER SYSTEM SET wlm.max_wait = '300ms'}, 'SELECT pg_reload_conf()');
my $forced = session($node, name => 'forced', queue => 'one');
is($forced->query($statement)->{sqlstate}, '', 'max_wait ends a wait without an error');
is(counter($admin, 'num_forced'), 1, 'max_wait: counted as forced');
# also for who waits already
$admin->do($_) for ('ALTER SYSTEM RESET wlm.max_wait', 'SELECT pg_reload_conf()');
eventually(session($node), 'SHOW wlm.max_wait', '5min', 'max_wait is back');
for (1 .. 100)
{
	$forced->send($statement);
	last unless $forced->answers(4);
	$forced->finish;
}
await_state($admin, $forced, 'queued');
$admin->do($_) for (q{ALTER SYSTEM SET wlm.max_wait = '100ms'}, 'SELECT pg_reload_conf()');
is($forced->finish->{sqlstate}, '', 'a shorter max_wait holds for those who wait already');
$admin->do($_) for ('ALTER SYSTEM RESET wlm.max_wait', 'SELECT pg_reload_conf()');

$admin->do('SELECT pg_advisory_unlock(1)');
is($holder->finish->{rows}[0][0], 'held', 'who ran meanwhile ends well');
settled($admin, 'nothing is left');

# Shutdown with a waiter and a runner
$holder = hold_slot($admin, $node);
my $last = session($node, name => 'last', queue => 'one');
$last->send($statement);
await_state($admin, $last, 'queued') for 1 .. 1;
$node->stop('fast');
is($last->finish->{sqlstate}, '57P01', 'a fast shutdown ends the wait');
$node->start;
$admin = session($node);
settled($admin, 'nothing is left after a restart');
eventually($admin, q{SELECT slots FROM wlm.queue_state WHERE queue = 'one'}, 1, 'the queue is there after a restart');
done_testing();
