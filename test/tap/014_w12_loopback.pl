# 014_w12_loopback.pl
#
# HAZARDS W12: one client through two connections. The outer statement has the slot and waits for
# an inner one that waits for a slot; no lock graph shows it. Bounded waiting is the only cure: by
# max_wait, or sooner, where nobody starts any more, by max_standstill.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $node = start_node('loopback', [q{wlm.max_wait = '700ms'}]);
my $admin = prepare_node($node);
my $connection = sprintf("host=%s port=%d dbname=postgres", $node->host, $node->port);
my $client = session($node, name => 'client', queue => 'one');

# Its inner statement has a higher priority than it was called with.
sub urgent_body
{
	return qq{\$\$
		BEGIN
			RETURN (SELECT n FROM dblink('$connection options=''-cwlm.query_group=one -cwlm.priority=highest''',
				'SELECT count(costly(id)) FROM numbers') AS t (n bigint));
		END \$\$};
}

# That it ends: by force, unless it gives way to its own inner statement.
sub check
{
	my ($name, $statement, $may_give_way) = @_;
	my $forced = counter($admin, 'num_forced');
	my $answer = $client->query($statement);
	is($answer->{sqlstate}, '', "$name: ends") or diag($answer->{error});
	is($answer->{rows}[0][0], 100, "$name: has its answer");
	ok($may_give_way || counter($admin, 'num_forced') > $forced, "$name: by admission over the limit");
	settled($admin, "$name: nothing is left");
	return;
}

SKIP:
{
	skip 'dblink is not installed', 20 unless $admin->value(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink'});
	$admin->do('CREATE EXTENSION dblink');
	$admin->do(qq{CREATE FUNCTION far() RETURNS bigint LANGUAGE plpgsql COST 10000000 AS \$\$
		BEGIN
			RETURN (SELECT n FROM dblink('$connection options=-cwlm.query_group=one', 'SELECT count(costly(id)) FROM numbers') AS t (n bigint));
		END \$\$});
	check('dblink', 'SELECT far() FROM single');

	# With preemption the inner one asks the outer to give way, who would throw away what it waits for.
	$admin->do($_) for ('ALTER SYSTEM SET wlm.preemption = on', 'SELECT pg_reload_conf()',
		'CREATE FUNCTION urgent_far() RETURNS bigint LANGUAGE plpgsql COST 10000000 AS ' . urgent_body(),
		'CREATE FUNCTION stable_far() RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000000000000 AS ' . urgent_body());
	eventually(session($node), 'SHOW wlm.preemption', 'on', 'preemption is on');
	$client->do(q{SET wlm.priority = 'low'});
	check('dblink with a higher priority', 'SELECT urgent_far() FROM single');
	is($admin->value('SELECT num_preempted FROM wlm.status()'), 0, 'whose function is volatile does not give way');
	# One that says that it changes nothing, and is long by its cost, may be interrupted; it comes to its end all the same.
	check('dblink in a stable function', 'SELECT stable_far() FROM single', 1);
	note($admin->value('SELECT num_preempted FROM wlm.status()') . ' times given way');
	$client->do('RESET wlm.priority');
	$admin->do($_) for ('ALTER SYSTEM RESET wlm.preemption', 'SELECT pg_reload_conf()');

	# Where nobody starts any more it need not last until max_wait.
	$admin->do($_) for (q{ALTER SYSTEM SET wlm.max_wait = '1h'}, q{ALTER SYSTEM SET wlm.max_standstill = '1s'}, 'SELECT pg_reload_conf()');
	eventually(session($node), 'SHOW wlm.max_standstill', '1s', 'a queue that stands still lets in');
	check('dblink behind a standstill', 'SELECT far() FROM single');
	$admin->do($_) for ('ALTER SYSTEM RESET wlm.max_wait', 'ALTER SYSTEM RESET wlm.max_standstill', 'SELECT pg_reload_conf()');
	eventually(session($node), 'SHOW wlm.max_wait', '700ms', 'max_wait is short again');
}

SKIP:
{
	skip 'postgres_fdw is not installed', 4
		unless $admin->value(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'});
	$admin->do($_) for (
		'CREATE EXTENSION postgres_fdw',
		'CREATE VIEW costly_numbers AS SELECT costly(id) AS id FROM numbers',
		sprintf(q{CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%d', dbname 'postgres',
			options '-c wlm.query_group=one', fdw_startup_cost '5000')}, $node->host, $node->port),
		'CREATE USER MAPPING FOR CURRENT_USER SERVER loopback',
		q{CREATE FOREIGN TABLE far_numbers (id integer) SERVER loopback OPTIONS (table_name 'costly_numbers')});
	check('postgres_fdw', 'SELECT count(id) FROM far_numbers');
}

# A streaming portal on one connection, look-ups on another, by the same client
my $look_up = session($node, name => 'look-up', queue => 'one');
my $rows = 0;
$client->do('BEGIN');
$client->parse('', 'SELECT costly(id) FROM numbers');
$client->bind('c', '');
for (1 .. 3)
{
	$client->execute('c', 5);
	$client->flush;
	my $answer = $client->finish('s');
	$rows += @{ $answer->{rows} };
	is($look_up->query('SELECT costly(x) FROM single')->{sqlstate}, '', 'a look-up between two pieces of a stream');
}
is($rows, 15, 'the stream goes on');
$client->sync;
$client->finish;
$client->do('COMMIT');
settled($admin, 'nothing is left at the end');
done_testing();
