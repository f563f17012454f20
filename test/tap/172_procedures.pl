# 172_procedures.pl
#
# HAZARDS W3 and W6: cursors of functions do not wait, although snapshots do not tell them from a statement of the client's: after a
# COMMIT in a procedure or DO block, in arguments of EXECUTE, and where a function is evaluated while EXPLAIN or others plan.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $node = start_node('procedures', ['wlm.max_wait = 1h']);
my $admin = prepare_node($node);
my $client = session($node, name => 'client', queue => 'one');
my $loop = 'FOR r IN SELECT costly(id) AS c FROM numbers ORDER BY id LOOP n := n + r.c; END LOOP';

$admin->do($_) for (
	'CREATE TABLE found (what text, n integer)',
	"CREATE PROCEDURE sums() LANGUAGE plpgsql AS \$\$ DECLARE r record; n integer := 0; BEGIN COMMIT; $loop;
		ROLLBACK; $loop; INSERT INTO found VALUES ('call', n); COMMIT; $loop; END \$\$",
	"CREATE FUNCTION folded(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE
		AS \$\$ DECLARE r record; n integer := 0; BEGIN $loop; RETURN n; END \$\$",
	'CREATE PROCEDURE outer_call() LANGUAGE plpgsql AS $$ BEGIN CALL sums(); END $$',
	q{CREATE PROCEDURE opens() LANGUAGE plpgsql AS $$ DECLARE c refcursor; n integer; BEGIN COMMIT;
		OPEN c FOR SELECT costly(id) FROM numbers ORDER BY id; FETCH c INTO n; CLOSE c; INSERT INTO found VALUES ('open', n); END $$});
$admin->do("SELECT wlm.pause_queue('one')");
eventually($admin, q{SELECT state FROM wlm.queue_state WHERE queue = 'one'}, 'paused', 'the queue is paused');
$client->do('PREPARE cheap(integer) AS SELECT $1');

for my $statement ('CALL sums()', 'CALL outer_call()', 'CALL opens()',
	'EXPLAIN SELECT folded(1)', 'EXECUTE cheap(folded(1))', 'CREATE TEMP TABLE copied AS SELECT folded(1)',
	'COPY (SELECT folded(1)) TO STDOUT', 'EXPLAIN ANALYZE EXECUTE cheap(folded(1))',
	"DO \$\$ DECLARE r record; n integer := 0; BEGIN COMMIT; $loop; INSERT INTO found VALUES ('do', n); END \$\$")
{
	my $short = substr($statement, 0, 36);
	$client->send($statement);
	if (!ok($client->answers(10), "\"$short\" ends while its queue is paused"))
	{
		$admin->do("SELECT wlm.cancel_queued($client->{pid})");
	}
	is($client->finish->{error}, '', "\"$short\" succeeds");
}
is($admin->value(q{SELECT string_agg(what || ' ' || n, ', ' ORDER BY what, n) FROM found}),
	'call 10100, call 10100, do 5050, open 1', 'with all rows');
settled($admin, 'nothing is left behind');

# An error in a procedure must not make the session's later statements a procedure's.
$client->send('CALL nowhere()');
is($client->finish->{sqlstate}, '42883', 'a procedure fails');
$client->send(q{DO 'BEGIN COMMIT; PERFORM 1 / 0; END'});
is($client->finish->{sqlstate}, '22012', 'a block fails');
$client->send('SELECT sum(costly(id)) FROM numbers');
await_state($admin, $client, 'queued');
pass('a statement of the client waits');
$admin->do("SELECT wlm.resume_queue('one')");
is($client->finish->{rows}[0][0], 5050, 'and runs when the queue is open again');
settled($admin, 'nothing is left at the end');

done_testing();
