# 030_configuration.pl
#
# The configuration changes while statements run and wait: all or nothing, without loss. The
# extension is dropped under them, missing in other databases, names what does not exist any
# more, or leaves less memory than one statement wants.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $node = start_node('configuration');
my $admin = prepare_node($node);
my $statement = 'SELECT costly(id) FROM numbers';
my $queues = q{SELECT string_agg(format('%s %s', queue, slots), ', ' ORDER BY queue) FROM wlm.queue_state WHERE queue <> 'default'};

# All or nothing
$admin->do('BEGIN');
$admin->do(q{SELECT wlm.create_queue('two', max_slots => 2)});
$admin->do(q{SELECT wlm.alter_queue('one', max_slots => 5)});
is($admin->value($queues), 'one 1', 'not before commit');
$admin->do('ROLLBACK');
$admin->do('BEGIN');
$admin->do(q{SELECT wlm.create_queue('three', max_slots => 3, query_group => 'three')});
$admin->do(q{SELECT wlm.alter_queue('one', max_slots => 2)});
$admin->do('COMMIT');
eventually($admin, $queues, 'one 2, three 3', 'after commit, and nothing of what was rolled back');
$admin->do('BEGIN');
$admin->do('SAVEPOINT a');
$admin->do(q{SELECT wlm.drop_queue('three')});
$admin->do('ROLLBACK TO a');
$admin->do(q{SELECT wlm.alter_queue('one', max_slots => 1)});
$admin->do('COMMIT');
eventually($admin, $queues, 'one 1, three 3', 'a savepoint that was rolled back');

# Two-phase commit
$admin->do('BEGIN');
$admin->do(q{SELECT wlm.alter_queue('one', max_slots => 7)});
my $answer = $admin->query(q{PREPARE TRANSACTION 'configuration'});
isnt($answer->{sqlstate}, '', 'a transaction that changed the configuration cannot be prepared') or $admin->do(q{ROLLBACK PREPARED 'configuration'});
$admin->query('ROLLBACK');
is($admin->value($queues), 'one 1, three 3', 'and changed nothing');

# Under load
my @sessions = map { session($node, name => "load $_", queue => $_ % 2 ? 'one' : 'three') } 1 .. 20;
$_->send($statement) for @sessions;
my ($done, $errors) = (0, 0);
my @changes = (
	q{SELECT wlm.alter_queue('one', max_slots => 3)}, q{SELECT wlm.alter_queue('three', max_slots => 1)},
	q{SELECT wlm.drop_queue('three')}, q{SELECT wlm.alter_queue('one', reset => '{all}')},
	q{SELECT wlm.create_queue('three', max_slots => 1, query_group => 'three', ordinal => 0)},
	q{SELECT wlm.create_rule('logs', 'query_execution_time > 1 ms', 'log', 'three')},
	q{SELECT wlm.alter_queue('three', state => 'draining', min_predicted_time => '1 us', commands => '{select}', client_addresses => '{local}')},
	q{SELECT wlm.drop_rule('logs')},
	q{SELECT wlm.alter_queue('three', reset => '{state,min_predicted_time,commands,client_addresses}')},
	q{SELECT wlm.drop_queue('one')}, q{SELECT wlm.create_queue('one', max_slots => 1, query_group => 'one')});
for my $round (0 .. 3 * @changes - 1)
{
	$admin->do($changes[$round % @changes]);
	my $until = Time::HiRes::time() + 0.25;
	while (Time::HiRes::time() < $until)
	{
		for my $session (grep { $_->answers } @sessions)
		{
			my $result = $session->finish;
			$result->{sqlstate} ? $errors++ : $done++;
			diag($result->{error}) if $result->{sqlstate};
			$session->send($statement);
		}
	}
}
for my $result (map { $_->finish } @sessions) { $result->{sqlstate} ? $errors++ : $done++; }
is($errors, 0, 'no statement fails because the configuration changes');
ok($done > 20, "statements go on ($done)");
settled($admin, 'nothing is left of the load');
eventually($admin, $queues, 'one 1, three 1', 'the last configuration is in force');

# A queue is dropped while statements wait in it: they go on in "default".
my $holder = hold_slot($admin, $node);
$sessions[0]->send($statement);
await_state($admin, $sessions[0], 'queued');
$admin->do(q{SELECT wlm.drop_queue('one')});
is(@{ $sessions[0]->finish->{rows} }, 100, 'a statement whose queue is dropped goes on in "default"');
$admin->do('SELECT pg_advisory_unlock(1)');
is($holder->finish->{rows}[0][0], 'held', 'one that runs as well');
settled($admin, 'nothing is left of the dropped queue');
$admin->do(q{SELECT wlm.create_queue('one', max_slots => 1, query_group => 'one')});
eventually($admin, $queues, 'one 1, three 1', 'it can be created again');

# Names that are gone
$admin->do($_) for ('CREATE ROLE leaver', 'CREATE DATABASE leaving',
	q{SELECT wlm.create_queue('names', max_slots => 1, roles => '{leaver}', databases => '{leaving}', ordinal => 0)});
eventually($admin, $queues, 'names 1, one 1, three 1', 'a queue that names a role and a database');
$admin->do($_) for ('DROP ROLE leaver', 'DROP DATABASE leaving');
is(@{ $sessions[0]->do($statement)->{rows} }, 100, 'a queue whose role and database are gone matches nobody');
$admin->do(q{SELECT wlm.alter_queue('three', priority => 'low')});
eventually($admin, q{SELECT priority FROM wlm.queue_state WHERE queue = 'three'}, 'low', 'and does not keep others from being changed');
settled($admin, 'nothing is left of names');

# Less memory than one statement wants
for my $value ('wlm.memory = 8', 'wlm.guard_limit = 24')
{
	is($admin->query("ALTER SYSTEM SET $value")->{sqlstate}, '22023', "$value: GB without their unit");
}
$admin->do($_) for (q{ALTER SYSTEM SET wlm.memory = '100kB'}, 'SELECT pg_reload_conf()');
eventually($admin, 'SELECT budget_kb FROM wlm.status()', 100, 'a budget smaller than a grant');
$_->send('SELECT count(*) FROM (SELECT costly(a.id) FROM numbers a, numbers b ORDER BY a.id + b.id) s') for @sessions[0 .. 3];
is($_->finish->{rows}[0][0], 10000, 'a statement that wants more than there is runs') for @sessions[0 .. 3];
settled($admin, 'nothing is left of the small budget');
$admin->do($_) for ('ALTER SYSTEM RESET wlm.memory', 'SELECT pg_reload_conf()');

# Other databases
$admin->do('CREATE DATABASE other');
my $other = session($node, name => 'other', dbname => 'other', queue => 'one');
$other->do('CREATE TABLE numbers AS SELECT i AS id FROM generate_series(1, 2000000) i');
$other->do('ANALYZE numbers');
my $executed = counter($admin, 'num_executed');
is($other->value('SELECT count(*) FROM numbers'), 2000000, 'a database without the extension');
is(counter($admin, 'num_executed'), $executed + 1, 'is managed all the same');
is($other->query('SELECT * FROM wlm.activity')->{sqlstate}, '42P01', 'but has no functions');
$other->do('CREATE EXTENSION pg_wlm');
$answer = $other->query(q{SELECT wlm.create_queue('elsewhere')});
is($answer->{sqlstate}, '55000', 'the configuration is in wlm.database only');
like($answer->{hint} || '', qr/postgres/, 'and the message names it');
$answer = $other->query(q{INSERT INTO wlm.queue (name) VALUES ('elsewhere')});
is($admin->value($queues), 'names 1, one 1, three 1', 'tables elsewhere have no effect');
is($other->query('SELECT count(*) FROM wlm.activity')->{sqlstate}, '', 'what goes on can be seen from anywhere');
$other->do('DROP EXTENSION pg_wlm');
is($admin->value($queues), 'names 1, one 1, three 1', 'nor has dropping it there');

# DROP EXTENSION waits for who writes, and never in a circle: he locks what it locks first.
my $locker = session($node, name => 'locker');
$locker->do($_) for ('BEGIN', 'LOCK TABLE wlm.history IN SHARE MODE');
$sessions[1]->do($statement);
eventually($admin, q{SELECT count(*) > 0 FROM pg_locks e JOIN pg_locks h USING (pid) WHERE e.classid = 'pg_extension'::regclass AND e.granted
	AND h.relation = 'wlm.history'::regclass AND NOT h.granted}, 't', 'who stores history keeps the extension from being dropped');
$locker->do('ROLLBACK');

# DROP EXTENSION while statements run and wait
$holder = hold_slot($admin, $node);
$sessions[0]->send($statement);
await_state($admin, $sessions[0], 'queued');
$admin->do('DROP EXTENSION pg_wlm');
is(@{ $sessions[0]->finish->{rows} }, 100, 'DROP EXTENSION: who waits goes on');
$admin->do('SELECT pg_advisory_unlock(1)');
is($holder->finish->{rows}[0][0], 'held', 'DROP EXTENSION: who runs goes on');
is(@{ $sessions[1]->do($statement)->{rows} }, 100, 'DROP EXTENSION: statements go on');
$admin->do('CREATE EXTENSION pg_wlm');
eventually($admin, 'SELECT count(*) FROM wlm.queue_state', 1, 'only "default" is left after it was created again');
$admin->do(q{SELECT wlm.create_queue('one', max_slots => 1, query_group => 'one')});
eventually($admin, $queues, 'one 1', 'it is configured again');
settled($admin, 'nothing is left at the end');
$admin->do(q{SELECT wlm.flush('30 s')});
pass('history is written again');
done_testing();
