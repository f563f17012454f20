# 010_w07_leaks.pl
#
# HAZARDS W7: ExecutorEnd is not called after an error, and a statement can end at many
# points. After each way to end, no slot and no kilobyte is missing, and the next
# statement is admitted at once.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $node = start_node('leaks');
my $admin = prepare_node($node);

$admin->do($_) for (
	q{CREATE FUNCTION fail(x integer) RETURNS integer LANGUAGE plpgsql COST 10000000
		AS $$BEGIN RAISE EXCEPTION 'failed on purpose'; END$$},
	q{CREATE FUNCTION fail_stable(x integer) RETURNS integer LANGUAGE plpgsql STABLE COST 10000000
		AS $$BEGIN RAISE EXCEPTION 'failed on purpose'; END$$},
	q{CREATE FUNCTION exit_now(x integer) RETURNS integer LANGUAGE plpgsql COST 10000000
		AS $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN x; END$$},
	'CREATE TABLE secret AS SELECT 1 AS x', 'CREATE ROLE nobody', 'GRANT SELECT ON numbers TO nobody',
	q{CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$
		DECLARE r record;
		BEGIN
			FOR r IN SELECT costly(id) AS id FROM numbers LIMIT 3 LOOP COMMIT; END LOOP;
			FOR r IN SELECT costly(id) AS id FROM numbers LIMIT 3 LOOP ROLLBACK; END LOOP;
			BEGIN
				PERFORM fail(id) FROM numbers;
			EXCEPTION WHEN raise_exception THEN NULL;
			END;
			COMMIT;
		END$$},
	q{CREATE PROCEDURE catches() LANGUAGE plpgsql AS $$
		BEGIN
			FOR i IN 1 .. 20 LOOP
				BEGIN
					PERFORM costly(id), fail(id) FROM numbers;
				EXCEPTION WHEN raise_exception THEN NULL;
				END;
			END LOOP;
		END$$});

# Statements that end by themselves, one way or another: [name, SQLSTATE, statement...]
my @cases = (
	['success', '', 'SELECT costly(1) FROM numbers'],
	['no rows wanted', '', 'SELECT costly(id) FROM numbers LIMIT 0'],
	['error in ExecutorRun', 'P0001', 'SELECT fail(id) FROM numbers'],
	['division by zero after some rows', '22012', 'SELECT costly(id) / (50 - id) FROM numbers'],
	['permission denied in ExecutorStart', '42501', 'SET ROLE nobody', 'SELECT costly(x) FROM secret, numbers', 'RESET ROLE'],
	['error while an index condition is evaluated', 'P0001', 'SELECT costly(id) FROM numbers WHERE id = fail_stable(1)'],
	['trigger that fails in ExecutorFinish', '23503',
		'BEGIN', 'CREATE TABLE parent (id integer PRIMARY KEY)', 'CREATE TABLE child (id integer REFERENCES parent)',
		'COMMIT', 'INSERT INTO child SELECT costly(id) FROM numbers', 'DROP TABLE child, parent'],
	['rollback with an open cursor', '', 'BEGIN', 'DECLARE c CURSOR FOR SELECT costly(id) FROM numbers', 'FETCH 1 FROM c', 'ROLLBACK'],
	['commit with an open cursor', '', 'BEGIN', 'DECLARE c CURSOR FOR SELECT costly(id) FROM numbers', 'FETCH 1 FROM c', 'COMMIT'],
	['cursor never fetched from', '', 'BEGIN', 'DECLARE c CURSOR FOR SELECT costly(id) FROM numbers', 'ROLLBACK'],
	['savepoint rolled back under a cursor', '', 'BEGIN', 'SAVEPOINT a', 'DECLARE c CURSOR FOR SELECT costly(id) FROM numbers',
		'FETCH 1 FROM c', 'ROLLBACK TO a', 'COMMIT'],
	['savepoint rolled back after an error', 'P0001', 'BEGIN', 'SAVEPOINT a', 'SELECT fail(id) FROM numbers', 'ROLLBACK TO a',
		'SELECT costly(id) FROM numbers', 'COMMIT'],
	['holdable cursor', '', 'BEGIN', 'DECLARE c CURSOR WITH HOLD FOR SELECT costly(id) FROM numbers', 'COMMIT', 'FETCH 1 FROM c', 'CLOSE c'],
	['holdable cursor that fails at commit', 'P0001', 'BEGIN', 'DECLARE c CURSOR WITH HOLD FOR SELECT fail(id) FROM numbers', 'COMMIT'],
	['PREPARE TRANSACTION', '', 'BEGIN', 'INSERT INTO secret SELECT costly(id) FROM numbers', q{PREPARE TRANSACTION 'p'},
		q{ROLLBACK PREPARED 'p'}],
	['PREPARE TRANSACTION with an open cursor', '', 'BEGIN', 'DECLARE c CURSOR FOR SELECT costly(id) FROM numbers', 'FETCH 1 FROM c',
		q{PREPARE TRANSACTION 'p'}, q{COMMIT PREPARED 'p'}],
	['commits and rollbacks in a procedure', '', 'CALL commits()'],
	['exceptions caught in a procedure', '', 'CALL catches()'],
	['statement time-out while it runs', '57014', q{SET statement_timeout = '100ms'}, 'SELECT costly(1), pg_sleep(60) FROM single',
		'RESET statement_timeout'],
	['DISCARD ALL after a holdable cursor', '', 'BEGIN', 'DECLARE c CURSOR WITH HOLD FOR SELECT costly(id) FROM numbers', 'COMMIT', 'DISCARD ALL'],
);

for my $case (@cases)
{
	my ($name, $sqlstate, @statements) = @$case;
	my $session = session($node, name => 'victim', queue => 'one');
	my $seen = '';

	for my $statement (@statements)
	{
		my $answer = $session->query($statement);
		$seen ||= $answer->{sqlstate};
	}
	is($seen, $sqlstate, "$name: ends as expected");
	settled($admin, "$name: nothing is left");
	$session->quit;
}

# Sessions that end in the middle, at each stage: [stage, what ends it]
my %ends = (
	'pg_cancel_backend' => sub { $admin->do("SELECT pg_cancel_backend($_[0]{pid})"); return '57014' },
	'pg_terminate_backend' => sub { $admin->do("SELECT pg_terminate_backend($_[0]{pid})"); return '57P01' },
	'lost client' => sub { $_[0]->vanish; return '' },
);
for my $how (sort keys %ends)
{
	my $holder = hold_slot($admin, $node);
	my $waiter = session($node, name => 'waiter', queue => 'one');
	$waiter->send('SELECT costly(id) FROM numbers');
	await_state($admin, $waiter, 'queued');
	my $sqlstate = $ends{$how}->($waiter);
	is($waiter->finish->{sqlstate}, $sqlstate, "$how while queued: ends as expected") if $sqlstate;
	eventually($admin, 'SELECT num_queued FROM wlm.queue_state WHERE queue = ' . q{'one'}, 0, "$how while queued: left the queue");
	is(counter($admin, 'num_running'), 1, "$how while queued: the running one goes on");
	$admin->do('SELECT pg_advisory_unlock(1)');
	is($holder->finish->{rows}[0][0], 'held', "$how while queued: the running one ends well");
	settled($admin, "$how while queued: nothing is left");

	next if $how eq 'lost client';
	$holder = hold_slot($admin, $node);
	$sqlstate = $ends{$how}->($holder);
	is($holder->finish->{sqlstate}, $sqlstate, "$how while running: ends as expected");
	$admin->do('SELECT pg_advisory_unlock(1)');
	settled($admin, "$how while running: nothing is left");

	my $cursor = session($node, name => 'cursor', queue => 'one');
	$cursor->do($_) for ('BEGIN', 'DECLARE c CURSOR FOR SELECT costly(id) FROM numbers', 'FETCH 1 FROM c');
	is(counter($admin, 'num_returned'), 1, "$how while returning: the cursor is seen");
	next if $how eq 'pg_cancel_backend';
	$ends{$how}->($cursor);
	settled($admin, "$how while returning: nothing is left");
}

my $suicide = session($node, name => 'suicide', queue => 'one');
is($suicide->query('SELECT exit_now(x) FROM single')->{sqlstate}, '57P01', 'a statement that terminates its own session');
my $cursor = session($node, name => 'cursor', queue => 'one');
$cursor->do($_) for ('BEGIN', 'DECLARE c CURSOR FOR SELECT costly(id) FROM numbers', 'FETCH 1 FROM c');
$cursor->vanish;
settled($admin, 'nothing is left of terminated and lost sessions');

is(session($node, queue => 'one')->value('SELECT costly(x) FROM single'), 1, 'the slot is free');
settled($admin, 'nothing is left at the end');
is(counter($admin, 'num_forced'), 0, 'nobody was forced') or diag(counter($admin, 'num_forced'));
done_testing();
