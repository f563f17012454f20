# 120_memory_guard.pl
#
# The memory guard, with wlm.guard_limit in place of a small machine: who is furthest over its grant is
# cancelled with a message that explains it, everybody else goes on with right results; nobody is
# cancelled who is within its grant; requests never hit another statement; other cancels keep their
# messages; memory of idle sessions is missing from the budget.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use WlmTest;

plan skip_all => 'needs /proc' unless -r '/proc/self/statm';

my $node = start_node('guard', [ "wlm.memory = '1GB'", 'wlm.guard_limit = 0', 'wlm.guard_action = cancel', 'wlm.elastic = off',
	'max_parallel_workers_per_gather = 0', 'jit = off', 'autovacuum = off' ]);
my $admin = session($node, name => 'admin');
my $ready = q{SELECT launcher_running AND history_replayed FROM wlm.status()};

$admin->do($_) for (
	'CREATE EXTENSION pg_wlm',
	q{CREATE TABLE t AS SELECT i AS id, repeat(md5(i::text), 12) AS pad FROM generate_series(1, 200000) i},
	'ANALYZE t');
eventually($admin, $ready, 't', 'the launcher has started');

sub status { my ($column) = @_; return $admin->value("SELECT $column FROM wlm.status()"); }

# Sets the limit (kB) and the action, and waits until the guard has seen it.
sub limit
{
	my ($kb, $action) = @_;
	$admin->do("ALTER SYSTEM SET wlm.guard_limit = $kb");
	$admin->do("ALTER SYSTEM SET wlm.guard_action = " . ($action || 'cancel'));
	$admin->do('SELECT pg_reload_conf()');
	return eventually($admin, 'SELECT coalesce(memory_limit_kb, 0) FROM wlm.status()', $kb, "the guard protects $kb kB");
}

sub logged { my ($from, $text) = @_; my @hits = slurp_file($node->logfile, $from) =~ /\Q$text\E/g; return scalar @hits; }

my $stopped = 'canceling statement due to memory pressure';
my $over = 'holds more memory than it was granted';
my $nobody = 'memory is about to run out, and no running statement is over its grant';

# About 100 MB in an array, and its state, which nothing can spill; held while it sleeps.
sub hog { my ($seconds) = @_; return "SELECT cardinality(a), pg_sleep($seconds) FROM (SELECT array_agg(pad || id) AS a FROM t) s"; }
# Within its grant.
my $sort = q{SELECT count(*), sum(hashtext(pad)) FROM (SELECT pad FROM t ORDER BY pad DESC, id OFFSET 0) s};
my $sorted = join('|', @{ $admin->do("SET wlm.mode = off; $sort; SET wlm.mode = auto")->{rows}[0] });

# Off, and on with room for all: nothing is done.
is(status('memory_limit_kb IS NULL AND memory_pressure IS NULL'), 't', 'guard_limit = 0: off');
limit(20_000_000);
eventually($admin, 'SELECT memory_used_kb BETWEEN 60000 AND 2000000 FROM wlm.status()', 't', 'the memory of the server is seen');
is(status('memory_pressure'), 'none', 'no pressure');
my $hog = session($node, name => 'hog');
my $neighbour = session($node, name => 'neighbour');
is($hog->value(hog(0)), 200000, 'with room for it a statement may be over its grant');
# the guard's last reading may be one of while it ran: with another limit comes another reading
limit(20_000_001);
my $used = status('memory_used_kb');

# What a statement holds is seen.
$hog->send(hog(3));
eventually($admin, "SELECT real_kb > 60000 AND real_kb > 4 * reserved_kb FROM wlm.activity WHERE pid = $hog->{pid}", 't',
	'wlm.activity shows what it holds');
is($hog->finish->{rows}[0][0], 200000, 'it ends by itself');

# Cancelled, with the numbers; a neighbour within its grant is not.
my $log = -s $node->logfile;
limit($used + 120_000);
$neighbour->send("$sort" =~ s/count\(\*\)/count(*), pg_sleep(3)/r);
await_state($admin, $neighbour, 'running');
$hog->send(hog(60));
my $answer = $hog->finish;
is($answer->{error}, $stopped, 'furthest over its grant: cancelled');
is($answer->{sqlstate}, '57014', 'with the SQLSTATE of a cancel');
like($answer->{detail} || '', qr/^The statement holds \d+ kB and was granted \d+ kB; \d+ kB of \d+ kB of memory are in use\.$/, 'the numbers');
my ($held, $granted) = ($answer->{detail} || '') =~ /holds (\d+) kB and was granted (\d+)/;
cmp_ok($held || 0, '>', 2 * ($granted || 0), 'which speak for themselves');
like($answer->{hint} || '', qr/Run it again/, 'what to do');
is($hog->value('SELECT count(*) FROM t'), 200000, 'the next statement of its session runs');
$answer = $neighbour->finish;
is("$answer->{rows}[0][0]|$answer->{rows}[0][2]", $sorted, 'the neighbour has the right result') or diag($answer->{error});
is(status('num_stopped'), 1, 'num_stopped');
eventually($admin, q{SELECT wlm.flush() IS NOT NULL AND EXISTS (SELECT FROM wlm.history WHERE final_state = 'cancelled')}, 't',
	'wlm.history: cancelled');
settled($admin, 'nothing is left behind');

# In a function: not by WHEN OTHERS, as any cancel; query_canceled catches it, and what follows runs.
my $block = q{DO $$ BEGIN BEGIN PERFORM cardinality(a), pg_sleep(60) FROM (SELECT array_agg(pad || id) AS a FROM t) s;
	EXCEPTION WHEN %s THEN RAISE NOTICE 'caught'; END; PERFORM count(*) FROM t; PERFORM pg_sleep(0.5); END $$};
is($hog->query(sprintf($block, 'others'))->{error}, $stopped, 'WHEN OTHERS does not catch it');
is($hog->query(sprintf($block, 'query_canceled'))->{error}, '', 'WHEN query_canceled does, and the function goes on');
is(status('num_stopped'), 3, 'both were stopped');

# In a savepoint, and with the extended protocol.
$hog->do('BEGIN; SAVEPOINT a');
is($hog->query(hog(60))->{error}, $stopped, 'in a savepoint');
is($hog->do('ROLLBACK TO a') && $hog->value('SELECT count(*) FROM t'), 200000, 'the transaction goes on');
$hog->do('COMMIT');
$hog->parse('', hog(60));
$hog->bind('', '');
$hog->execute('');
$hog->sync;
is($hog->finish->{error}, $stopped, 'in the extended protocol');
is($hog->value('SELECT 1'), 1, 'and on');

# Of a parallel statement, workers included.
$hog->do($_) for ('SET max_parallel_workers_per_gather = 2', 'SET parallel_setup_cost = 0', 'SET parallel_tuple_cost = 0',
	'SET min_parallel_table_scan_size = 0');
is($hog->query(q{SELECT cardinality(a), pg_sleep(60) FROM (SELECT array_agg(x) AS a FROM (SELECT pad || id AS x FROM t WHERE pad > '' OFFSET 0) q) s})->{error},
	$stopped, 'with parallel workers');
settled($admin, 'nothing is left behind');
$hog->do('RESET max_parallel_workers_per_gather');

# Other cancels keep their messages.
limit(20_000_000);
$hog->do(q{SET statement_timeout = '1500ms'});
like($hog->query(hog(60))->{error}, qr/due to statement timeout/, 'statement_timeout has its own message');
$hog->do('RESET statement_timeout');
$hog->send(hog(60));
await_state($admin, $hog, 'running');
usleep(300_000);
$admin->do("SELECT pg_cancel_backend($hog->{pid})");
is($hog->finish->{error}, 'canceling statement due to user request', 'pg_cancel_backend() too');
is($hog->value('SELECT 1'), 1, 'and on');

# Requests that come late do not hit what is next: statements that end at any moment while the guard asks them to.
limit($used + 30_000);
my %seen;
my $wrong = 0;
my $end = time + 12;
for my $round (1 .. 400)
{
	$answer = $hog->query(q{SELECT cardinality(array_agg(pad || id)) FROM t WHERE id < } . (60000 + 20000 * ($round % 8)));
	$seen{ $answer->{error} || 'completed' }++;
	foreach my $next ('SELECT 1', 'SELECT pg_sleep(0.02)', 'SELECT count(*) FROM pg_class')
	{
		$answer = $hog->query($next);
		$wrong++ if $answer->{error};
	}
	last if time > $end;
}
note(join(', ', map { "$_: $seen{$_}" } sort keys %seen));
is($wrong, 0, 'a late request does not hit the next statement');
is(join(',', grep { $_ ne 'completed' && $_ ne $stopped } keys %seen), '', 'each statement ends, or is stopped');
settled($admin, 'nothing is left behind');

# Log only: once for each statement, which goes on.
$log = -s $node->logfile;
my $before = status('num_stopped');
limit($used + 120_000, 'log');
is($hog->query(hog(2))->{rows}[0][0], 200000, 'action log: it goes on') for 1 .. 2;
is(logged($log, $over), 2, 'one message about each');
like(slurp_file($node->logfile, $log), qr/DETAIL:  It holds \d+ kB and was granted \d+ kB; \d+ kB of \d+ kB of memory are in use/, 'with the numbers');
is(status('num_stopped'), $before, 'nobody was stopped');

# Memory has run out, and nobody is over his grant: nobody is cancelled. Growth and admissions are stopped.
limit(20_000_000);
eventually($admin, 'SELECT memory_pressure FROM wlm.status()', 'none', 'there is memory again, so the next message is a new one');
$log = -s $node->logfile;
$neighbour->send("$sort" =~ s/count\(\*\)/count(*), pg_sleep(6)/r);
await_state($admin, $neighbour, 'running');
limit(int($used * 0.9));
eventually($admin, 'SELECT memory_pressure FROM wlm.status()', 'action', 'memory has run out');
$hog->send($sort);
eventually($admin, "SELECT state || ' ' || wait_reason FROM wlm.activity WHERE pid = $hog->{pid}", 'queued pressure', 'what wants memory waits');
$answer = $neighbour->finish;
is("$answer->{rows}[0][0]|$answer->{rows}[0][2]", $sorted, 'within its grant: not cancelled');
is(join('|', @{ $hog->finish->{rows}[0] }), $sorted, 'who waited runs when no other does');
is(logged($log, $nobody), 1, 'one message that nobody is over his grant');
is(status('num_stopped'), $before, 'nobody was stopped');

# Growth: with room an aggregate whose groups are underestimated grows, under pressure it is refused.
limit(20_000_000);
$admin->do($_) for ('CREATE TABLE g AS SELECT i AS id, i % 10 AS a, i % 10 AS b, i % 10 AS c FROM generate_series(1, 600000) i', 'ANALYZE g');
my $underestimated = 'SELECT count(*) FROM (SELECT id, count(*) FROM g WHERE a < 2 AND b < 2 AND c < 2 GROUP BY id OFFSET 0) s';
$hog->do($_) for ('SET wlm.elastic = on', 'SET wlm.need_factor = 0.5', 'SET enable_sort = off');
my ($grown, $refused) = @{ $admin->do('SELECT num_grown, num_growth_refused FROM wlm.status()')->{rows}[0] };
is($hog->value($underestimated), 120000, 'with room');
is(status("num_grown > $grown AND num_growth_refused = $refused"), 't', 'it grows');
$grown = status('num_grown');
limit(int($used * 0.9));
eventually($admin, 'SELECT memory_pressure FROM wlm.status()', 'action', 'memory has run out');
is($hog->value($underestimated), 120000, 'under pressure the result is the same');
is(status("num_grown = $grown AND num_growth_refused > $refused"), 't', 'and growth is refused');
$hog->do($_) for ('SET wlm.elastic = off', 'RESET wlm.need_factor', 'RESET enable_sort');

# In mode observe it is only said.
$log = -s $node->logfile;
$before = status('num_stopped');
limit($used + 120_000);
$hog->do(q{SET wlm.mode = observe});
is($hog->value(hog(1)), 200000, 'mode observe: nobody is stopped');
$hog->do('SET wlm.mode = auto');
is(logged($log, $over), 1, 'it is only logged');
is(status('num_stopped'), $before, 'nobody was stopped');

# A cursor whose client thinks cannot be stopped, and is not what comes next in its session.
$log = -s $node->logfile;
limit($used + 60_000);
$hog->do('BEGIN; DECLARE c CURSOR FOR SELECT id, cardinality(a) FROM (SELECT array_agg(pad || id) AS a FROM t OFFSET 0) s, t ORDER BY id');
$answer = $hog->query('FETCH 1 FROM c');
if ($answer->{error})
{
	is($answer->{error}, $stopped, 'an open cursor: stopped while it ran');
}
else
{
	usleep(1_200_000);
	is($hog->query('SELECT pg_sleep(0.3)')->{error}, '', 'an open cursor: what comes next is not hit');
}
$hog->do('ROLLBACK');

# Idle sessions: what they keep is missing from the budget.
limit(20_000_000);
eventually($admin, 'SELECT unavailable_kb < 60000 FROM wlm.status()', 't', 'little is kept by idle sessions');
my $kept = status('unavailable_kb');
my $keeper = session($node, name => 'keeper');
$keeper->do(q{SELECT length(set_config('test.large', repeat('x', 100000000), false))});
eventually($admin, "SELECT unavailable_kb - $kept > 80000 FROM wlm.status()", 't', 'what an idle session keeps is unavailable');
$keeper->quit;
eventually($admin, "SELECT unavailable_kb - $kept < 40000 FROM wlm.status()", 't', 'until it is gone');

limit(0);
is(status('unavailable_kb'), 0, 'off again: the budget is whole');
# The machine's own memory.
$admin->do('ALTER SYSTEM SET wlm.guard_limit = -1');
$admin->do('SELECT pg_reload_conf()');
my ($total) = slurp_file('/proc/meminfo') =~ /MemTotal:\s+(\d+)/;
eventually($admin, "SELECT memory_limit_kb BETWEEN 1 AND $total AND memory_used_kb > 0 FROM wlm.status()", 't',
	'without guard_limit it is the memory of host or control group');
settled($admin, 'nothing is left behind at the end');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|terminated by signal/, 'no crash');
done_testing();
