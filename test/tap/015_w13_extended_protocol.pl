# 015_w13_extended_protocol.pl
#
# HAZARDS W13: plans are made without being run, and in the extended protocol ExecutorStart
# runs at Bind: neither may keep a slot. And W5 in that protocol and for COPY: who waits
# has no backend_xmin and sees what was committed meanwhile.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $node = start_node('extended');
my $admin = prepare_node($node);
my $client = session($node, name => 'client', queue => 'one');
my $other = session($node, name => 'other', queue => 'one');
my $statement = 'SELECT costly(id) FROM numbers';
my $used = q{SELECT slots_used FROM wlm.queue_state WHERE queue = 'one'};

# Planned, not run
$client->do("PREPARE p AS $statement");
$client->do("EXPLAIN $statement");
$client->parse('s', $statement);
$client->flush;
$client->finish('1');
is($admin->value($used), 0, 'PREPARE, EXPLAIN and Parse take no slot');
$admin->do(q{CREATE FUNCTION planned_only() RETURNS bigint LANGUAGE sql AS 'SELECT costly(id)::bigint FROM numbers WHERE false'});
$client->sync;
$client->finish;
$client->do('SELECT planned_only()');
settled($admin, 'nothing is left of plans');

# Bind, and then nothing
$client->bind('', 's');
$client->flush;
is($client->finish('2')->{sqlstate}, '', 'Bind');
eventually($admin, $used, 0, 'a slot taken at Bind is taken back');
ok($admin->value('SELECT num_slots_taken_back FROM wlm.status()') > 0, 'and counted');
my $started = $other->query($statement);
is($started->{sqlstate} || scalar @{ $started->{rows} }, 100, 'another runs in it');
$client->execute('');
$client->sync;
is(scalar @{ $client->finish->{rows} }, 100, 'Execute gets a slot again');
settled($admin, 'nothing is left of Bind and Execute');

# Bind, nothing, and then an end without Execute
$client->bind('', 's');
$client->sync;
is($client->finish->{sqlstate}, '', 'Bind and Sync');
settled($admin, 'nothing is left of Bind and Sync');
$client->do('BEGIN');
$client->bind('named', 's');
$client->sync;
$client->finish;
eventually($admin, $used, 0, 'a named portal in a transaction loses its slot');
$client->do('ROLLBACK');
settled($admin, 'nothing is left of a named portal');

# Portals that return in pieces
$client->do('BEGIN');
$client->bind('c', 's');
$client->execute('c', 10);
$client->flush;
is(scalar @{ $client->finish('s')->{rows} }, 10, 'ten rows of a hundred');
is($admin->value($used), 0, 'a suspended portal gives its slot back');
is(counter($admin, 'num_returned'), 1, 'and is seen as returned');
my $holder = hold_slot($admin, $node);
$client->execute('c', 0);
$client->flush;
is(scalar @{ $client->finish('C')->{rows} }, 90, 'it goes on although the slot is taken');
is(counter($admin, 'num_forced'), 1, 'over the limit');
is($admin->value($used), 1, 'a portal that has returned all it had has no slot');
$client->sync;
$client->finish;
$client->do('COMMIT');
$admin->do('SELECT pg_advisory_unlock(1)');
is($holder->finish->{rows}[0][0], 'held', 'who had the slot ends well');
settled($admin, 'nothing is left of portals');

# A pipeline
for (1 .. 5)
{
	$client->bind('', 's');
	$client->execute('');
}
$client->sync;
is(scalar @{ $client->finish->{rows} }, 500, 'five statements in a pipeline');
settled($admin, 'nothing is left of a pipeline');

# An error between Bind and Execute
$client->bind('', 's');
$client->parse('', 'SELECT no_such_column');
$client->sync;
is($client->finish->{sqlstate}, '42703', 'an error after Bind');
settled($admin, 'nothing is left of an error after Bind');

$admin->do('CREATE TABLE sink (id integer)');

# Waiting at Bind, by EXECUTE, COPY and EXPLAIN ANALYZE
my %ways = (
	'extended protocol' => sub { $client->bind('', 's'); $client->execute(''); $client->sync; },
	'extended protocol, in a transaction' => sub { $client->do('BEGIN'); $client->bind('', 's'); $client->execute(''); $client->sync; },
	'EXECUTE' => sub { $client->send('EXECUTE p'); },
	'EXECUTE in the extended protocol' =>
		sub { $client->parse('', 'EXECUTE p'); $client->bind('', ''); $client->execute(''); $client->sync; },
	'INSERT RETURNING in the extended protocol' => sub {
		$client->parse('', 'INSERT INTO sink SELECT costly(id) FROM numbers RETURNING id');
		$client->bind('', ''); $client->execute(''); $client->sync; },
	'modifying CTE in the extended protocol' => sub {
		$client->parse('', 'WITH i AS (INSERT INTO sink SELECT costly(id) FROM numbers RETURNING id) SELECT * FROM i');
		$client->bind('', ''); $client->execute(''); $client->sync; },
	'row locks in the extended protocol' => sub {
		$client->parse('', "$statement FOR SHARE"); $client->bind('', ''); $client->execute(''); $client->sync; },
	'COPY' => sub { $client->send("COPY ($statement) TO STDOUT"); },
	'DECLARE and FETCH' => sub { $client->send("BEGIN; DECLARE c CURSOR FOR $statement; FETCH ALL FROM c; COMMIT"); },
);
for my $way (sort keys %ways)
{
	$holder = hold_slot($admin, $node);
	my $expected = $admin->value('SELECT count(*) FROM numbers') + 5;
	$ways{$way}->();
	await_state($admin, $client, 'queued');
	is($admin->value("SELECT coalesce(backend_xmin::text, 'empty') FROM pg_stat_activity WHERE pid = $client->{pid}"),
		'empty', "$way: no backend_xmin while it waits");
	$admin->do('INSERT INTO numbers SELECT i FROM generate_series(1, 5) i');
	$admin->do('SELECT pg_advisory_unlock(1)');
	my $answer = $client->finish;
	is($answer->{sqlstate}, '', "$way: no error");
	is(@{ $answer->{rows} } + @{ $answer->{copied} }, $expected, "$way: sees what was committed meanwhile");
	$client->do('COMMIT');
	$holder->finish;
	settled($admin, "$way: nothing is left");
}

# EXPLAIN ANALYZE waits, too; plain EXPLAIN does not.
$holder = hold_slot($admin, $node);
is($client->query("EXPLAIN $statement")->{sqlstate}, '', 'EXPLAIN does not wait');
$client->send("EXPLAIN (ANALYZE, TIMING OFF) $statement");
await_state($admin, $client, 'queued');
is($admin->value("SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE pid = $client->{pid}"), 't', 'EXPLAIN ANALYZE: no backend_xmin');
$admin->do('SELECT pg_advisory_unlock(1)');
is($client->finish->{sqlstate}, '', 'EXPLAIN ANALYZE ends well');
$holder->finish;

# A driver that prepares everything and has it run by a generic plan
for (1 .. 12)
{
	$client->bind('', 's');
	$client->execute('');
	$client->sync;
	last if $client->finish->{sqlstate};
}
is($client->query('SELECT 1')->{sqlstate}, '', 'generic plans');
settled($admin, 'nothing is left at the end');
done_testing();
