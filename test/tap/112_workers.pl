# Fewer parallel workers than planned while the machine is busy: every kind of parallel plan must do without its workers,
# give the same answer, and have them back afterwards, also from a cached plan.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use WlmTest;

my $processors = grep { /^processor\s*:/ } split /\n/, slurp_file('/proc/cpuinfo');
plan skip_all => 'needs to keep all processors busy' if $processors < 1 || $processors > 16;

my $node = start_node('workers', [
	"work_mem = '1MB'", "wlm.memory = '256MB'", 'wlm.min_cost = 500', 'max_worker_processes = 20', 'max_parallel_workers = 8',
	'max_parallel_workers_per_gather = 2', 'parallel_setup_cost = 0', 'parallel_tuple_cost = 0', 'min_parallel_table_scan_size = 0',
	'autovacuum = off', 'jit = off', 'wlm.explore_rate = 0']);
my $admin = prepare_node($node, slots => 100);
my $session = session($node, name => 'parallel', queue => 'one');

$session->do($_) for (
	'CREATE TABLE data AS SELECT i, i % 1000 AS g, repeat(md5(i::text), 2) AS pad FROM generate_series(1, 60000) i',
	'CREATE TABLE part_1 AS SELECT * FROM data WHERE i <= 30000', 'CREATE TABLE part_2 AS SELECT * FROM data WHERE i > 30000',
	'ANALYZE data, part_1, part_2');

# Name, settings, statement, and what its plan must contain.
my @cases = (
	[ 'Gather', [], 'SELECT count(*), sum(g) FROM data WHERE length(pad) > 10', qr/Parallel Seq Scan/ ],
	[ 'Gather Merge', ['SET enable_hashagg = off'], 'SELECT g, count(*) FROM data GROUP BY g ORDER BY g LIMIT 5', qr/Gather Merge/ ],
	[ 'Parallel Hash', ['SET enable_mergejoin = off', 'SET enable_nestloop = off'],
		'SELECT count(*), max(a.pad) FROM data a JOIN data b USING (i)', qr/Parallel Hash Join/ ],
	# of work_mem, three processes together have room for this, one has not
	[ 'large Parallel Hash', ['SET enable_mergejoin = off', 'SET enable_nestloop = off'],
		'SELECT count(*), max(a.pad), max(b.pad) FROM data a JOIN data b USING (i)', qr/Parallel Hash Join/ ],
	[ 'Parallel Append', [], 'SELECT count(*), sum(i) FROM (SELECT * FROM part_1 UNION ALL SELECT * FROM part_2) s WHERE length(pad) > 10',
		qr/Parallel Append/ ],
	[ 'a rescan', ['SET enable_material = off'], 'SELECT x, n FROM (SELECT count(*) AS n FROM data WHERE g > 10) s
		RIGHT JOIN (VALUES (1), (2), (3)) v (x) ON true ORDER BY x', qr/Nested Loop.*Gather [^\n]*loops=3/s ],
	[ 'an idle leader', ['SET parallel_leader_participation = off'], 'SELECT count(*), min(pad) FROM data', qr/Parallel Seq Scan/ ],
	[ 'CREATE TABLE AS', [], 'CREATE TABLE copy AS SELECT g, count(*) AS n FROM data WHERE length(pad) > 10 GROUP BY g', undef ]);

# Plan, its answer and the workers that were launched.
sub look
{
	my ($case) = @_;
	my ($name, $settings, $statement, $plan) = @$case;
	my $set = sub { my ($undo) = @_; for (@$settings) { my ($key) = /^SET (\w+)/; $session->do($undo ? "RESET $key" : $_); } };
	my $answer;

	$set->(0);
	my $explained = join "\n", map { $_->[0] } @{ $session->do("EXPLAIN (ANALYZE, TIMING OFF) $statement")->{rows} };
	if (defined $plan)
	{
		$answer = join ';', map { join ',', @$_ } @{ $session->do($statement)->{rows} };
	}
	else
	{
		$session->do('DROP TABLE copy');
		$session->do($statement);
		$answer = $session->value('SELECT sum(n) || $$ $$ || count(*) FROM copy');
		$session->do('DROP TABLE copy');
	}
	$set->(1);
	my $planned = 0;
	my $launched = 0;
	$planned += $1 while $explained =~ /Workers Planned: (\d+)/g;
	$launched += $1 while $explained =~ /Workers Launched: (\d+)/g;
	my ($batches) = $explained =~ /Hash .*?Batches: (\d+)/s;
	$admin->do('SELECT wlm.flush()');
	return { plan => $explained, answer => $answer, planned => $planned, launched => $launched, batches => $batches };
}

my %before;
for my $case (@cases)
{
	my ($name, undef, undef, $plan) = @$case;
	my $result = $before{$name} = look($case);
	like($result->{plan}, $plan, "$name: the plan") if defined $plan;
	cmp_ok($result->{planned}, '>', 0, "$name: workers are planned");
	cmp_ok($result->{launched}, '>', 0, "$name: and launched") or diag($result->{plan});
}
# hash_mem_multiplier is 2
my ($each_kb) = $before{ $cases[3][0] }{plan} =~ /Work Mem: (\d+) kB/;
my ($table_kb) = $before{ $cases[3][0] }{plan} =~ /Hash .*?Memory Usage: (\d+)kB/s;
cmp_ok(2 * $each_kb, '<', $table_kb, "$cases[3][0]: nor into one process's part of what three are given");
$session->do('SET wlm.mode = off');
$session->do('SET max_parallel_workers_per_gather = 0');
cmp_ok((look($cases[3]))->{batches}, '>', 1, "$cases[3][0]: without workers it does not fit into work_mem");
$session->do('RESET max_parallel_workers_per_gather');
$session->do('RESET wlm.mode');
$session->do("PREPARE cached AS $cases[0][2]");
like(join("\n", map { $_->[0] } @{ $session->do('EXPLAIN (ANALYZE) EXECUTE cached')->{rows} }), qr/Workers Launched: [12]/,
	'a cached plan');

# --- all processors are busy, and others run ---
my @busy;
for (1 .. 4 * $processors)
{
	my $pid = fork();
	die "cannot fork: $!" if !defined $pid;
	if (!$pid)
	{
		1 while getppid() != 1;
		POSIX::_exit(0);
	}
	push @busy, $pid;
}
END { my $status = $?; kill 'KILL', @busy if @busy; $? = $status; }
my @others = map { session($node, name => "other $_", queue => 'one') } 1 .. 2 * $processors + 1;
$admin->do('SELECT pg_advisory_lock(1)');
for my $other (@others)
{
	$other->send('SELECT hold(1) FROM single');
	await_state($admin, $other, 'running');
}
eventually($admin, 'SELECT saturation >= 1 FROM wlm.status()', 't', 'the machine is busy');

for my $case (@cases)
{
	my $name = $case->[0];
	my $result = look($case);
	is($result->{answer}, $before{$name}{answer}, "$name: the same answer with fewer workers");
	is($result->{launched}, 0, "$name: none is launched");
	is($result->{planned}, $before{$name}{planned}, "$name: EXPLAIN shows the plan as it was made");
	is($result->{batches}, 1, "$name: one process is given room for the whole table") if defined $result->{batches};
}
my $cached = join "\n", map { $_->[0] } @{ $session->do('EXPLAIN (ANALYZE) EXECUTE cached')->{rows} };
like($cached, qr/Workers Planned: 2\n\s+Workers Launched: 0/, 'the cached plan with none');
is(join(',', @{ $session->do('EXECUTE cached')->{rows}[0] }), $before{Gather}{answer}, 'its answer');

# A cursor that is read in two parts, and one that goes back, runs with what it began with.
$session->do($_) for ('BEGIN', "DECLARE c SCROLL CURSOR FOR SELECT g, count(*) FROM data GROUP BY g ORDER BY g");
is(scalar @{ $session->do('FETCH 600 FROM c')->{rows} }, 600, 'a cursor');
is(scalar @{ $session->do('FETCH ALL FROM c')->{rows} }, 400, 'the rest of it');
is(scalar @{ $session->do('FETCH BACKWARD 10 FROM c')->{rows} }, 10, 'and back');
$session->do('COMMIT');

$session->do('SET wlm.reduce_workers = off');
cmp_ok(look($cases[0])->{launched}, '>', 0, 'not with wlm.reduce_workers = off');
$session->do('RESET wlm.reduce_workers');
$session->do('SET wlm.mode = observe');
cmp_ok(look($cases[0])->{launched}, '>', 0, 'nor in mode observe');
$session->do('RESET wlm.mode');

# --- and idle again ---
kill 'KILL', @busy;
waitpid $_, 0 for @busy;
@busy = ();
$admin->do('SELECT pg_advisory_unlock(1)');
is($_->finish->{sqlstate}, '', 'the others end') for @others;
# what the launcher reads of the machine is smoothed: it takes a few seconds to see that
my $again;
for (1 .. 10 * $WlmTest::patience)
{
	$again = join("\n", map { $_->[0] } @{ $session->do('EXPLAIN (ANALYZE) EXECUTE cached')->{rows} });
	last if $again =~ /Workers Launched: [12]/;
	usleep(100_000);
}
like($again, qr/Workers Launched: [12]/, 'the cached plan has its workers back');
$admin->do('SELECT wlm.flush()');
is($admin->value("SELECT count(*) > 0 AND bool_and(workers_granted = 0 AND workers_launched = 0) FROM wlm.history
	WHERE worker_reason = 'load' AND applied"), 't', 'wlm.history says why');
is($admin->value('SELECT count(*) FROM wlm.history WHERE workers_granted > workers_planned'), 0, 'never more than planned');
settled($admin, 'nothing is left');

done_testing();
