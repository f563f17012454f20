# 121_memory_guard_joins.pl
#
# Hash tables that the memory guard must see: a Parallel Hash, whose memory is not in any process but in dynamic shared
# memory, and a skewed one, which cannot split and so grows past its limit, whatever was granted.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

plan skip_all => 'needs /proc' unless -r '/proc/self/statm';

my $node = start_node('guard_joins', [
	"wlm.memory = '1GB'", "wlm.max_work_mem = '400MB'", 'wlm.guard_limit = 20000000', 'wlm.guard_action = log',
	'wlm.elastic = off', 'wlm.reduce_workers = off', 'wlm.explore_rate = 0', "work_mem = '4MB'", 'max_parallel_workers_per_gather = 0',
	'max_parallel_workers = 8', 'parallel_setup_cost = 0', 'parallel_tuple_cost = 0', 'min_parallel_table_scan_size = 0',
	'enable_mergejoin = off', 'enable_nestloop = off', 'jit = off', 'autovacuum = off' ]);
my $admin = prepare_node($node, slots => 100);
my $session = session($node, name => 'joins');

# 150,000 rows of more than 400 bytes make a hash table of 65 MB; what is probed with is larger.
$session->do($_) for (
	q{CREATE TABLE large AS SELECT i AS id, repeat(md5(i::text), 12) AS pad FROM generate_series(1, 150000) i},
	q{CREATE TABLE probe AS SELECT i AS id, repeat(md5(i::text), 13) AS pad FROM generate_series(0, 180000) i},
	'ALTER TABLE large SET (parallel_workers = 2)', 'ALTER TABLE probe SET (parallel_workers = 2)',
	'VACUUM ANALYZE large', 'VACUUM ANALYZE probe',
	# declared harmless, so that the planner leaves joins as they are
	q{CREATE FUNCTION sleeps(x integer, seconds float) RETURNS integer LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
		$$BEGIN IF x = 77 THEN PERFORM pg_sleep(seconds); END IF; RETURN x; END$$});

my $view = "FROM wlm.activity WHERE pid = $session->{pid}";

# kB that the processes of the session have to themselves.
sub anonymous_kb
{
	my $kb = 0;
	for my $row (@{ $admin->do("SELECT pid FROM pg_stat_activity WHERE $session->{pid} IN (pid, leader_pid)")->{rows} })
	{
		my ($size, $resident, $shared) = split / /, slurp_file("/proc/$row->[0]/statm");
		$kb += 4 * ($resident - $shared);
	}
	return $kb;
}

# ---- a Parallel Hash ----

my $join = 'SELECT count(sleeps(p.id, %s)), max(l.pad), max(p.pad) FROM probe p JOIN large l USING (id)';
$session->do('SET max_parallel_workers_per_gather = 2');
$session->do($_) for (sprintf($join, 0), 'SELECT wlm.flush()', sprintf($join, 0), 'SELECT wlm.flush()');
my $plan = join "\n", map { $_->[0] } @{ $session->do('EXPLAIN (ANALYZE) ' . sprintf($join, 0))->{rows} };
like($plan, qr/Parallel Hash .*Batches: 1 /s, 'a parallel hash join in one batch');
$session->do('SELECT wlm.flush()');
my $table_kb = $admin->value(q{SELECT peak_kb FROM wlm.history_operator WHERE memory_class = 'parallel hash'
	ORDER BY history_id DESC LIMIT 1});
cmp_ok($table_kb, '>', 50_000, 'of some size');
$session->send(sprintf($join, 15));
eventually($admin, "SELECT real_kb > 0.75 * $table_kb $view", 't', 'wlm.activity: what it really holds includes the table');
my $anonymous_kb = anonymous_kb();
my ($real_kb, $granted_kb) = @{ $admin->do("SELECT real_kb, granted_kb $view")->{rows}[0] };
note("table $table_kb kB, real $real_kb kB, granted $granted_kb kB, of its processes alone $anonymous_kb kB");
cmp_ok($anonymous_kb, '<', $table_kb / 2, 'which its processes alone do not hold');
cmp_ok($real_kb, '<', 1.5 * $table_kb + 30_000, 'once, not in each process');
is($session->finish->{sqlstate}, '', 'it ends');

# Whoever sleeps above is the leader or a worker. Here nobody but the leader is there: no worker came.
$session->do('SET max_parallel_workers = 0');
$session->send(sprintf($join, 15));
eventually($admin, "SELECT real_kb > 0.75 * $table_kb $view", 't', 'also when the leader is alone with it');
is($session->finish->{sqlstate}, '', 'it ends, too');
$session->do('RESET max_parallel_workers');

# ---- a table that cannot split ----

# All rows have one key, which the planner cannot see; nor that those of the other side differ, so that also from 16 on, where
# it may choose, it hashes the smaller one. The one row that finds them all
# sleeps while they are in memory. The limit is the user's own choice.
$session->do($_) for ('SET max_parallel_workers_per_gather = 0', q{SET work_mem = '4MB'});
my $skewed = 'SELECT count(*), max(p.pad) FROM probe p WHERE NOT EXISTS (SELECT FROM large l WHERE l.id / 1000000 = p.id * 1
	AND sleeps(l.id, %s) + p.id + length(l.pad) < 0)';
$plan = join "\n", map { $_->[0] } @{ $session->do('EXPLAIN ' . sprintf($skewed, 0))->{rows} };
like($plan, qr/Hash Anti Join/, 'an anti join');
$session->send(sprintf($skewed, 6));
eventually($admin, "SELECT real_kb > 2 * granted_kb AND real_kb > 2 * reserved_kb AND real_kb > 50000 $view", 't',
	'a skewed table grows past what was granted, and is seen');
my $log = -s $node->logfile;
my $used = $admin->value('SELECT memory_used_kb FROM wlm.status()');
$admin->do($_) for ('ALTER SYSTEM SET wlm.guard_limit = ' . int($used * 1.01), 'SELECT pg_reload_conf()');
is($session->finish->{rows}[0][0], 180_001, 'action log: it goes on to its end');
my $over = 'holds more memory than it was granted';
like(slurp_file($node->logfile, $log), qr/statement of process $session->{pid} $over/, 'and is reported');

$admin->do($_) for (q{ALTER SYSTEM SET wlm.guard_action = cancel}, 'SELECT pg_reload_conf()');
eventually($admin, 'SHOW wlm.guard_action', 'cancel', 'action cancel');
my $answer = $session->query(sprintf($skewed, 20));
is($answer->{error}, 'canceling statement due to memory pressure', 'is cancelled');
like($answer->{detail} || '', qr/^The statement holds \d+ kB and was granted \d+ kB/, 'with the numbers');
my ($held, $granted) = ($answer->{detail} || '') =~ /holds (\d+) kB and was granted (\d+)/;
cmp_ok($held || 0, '>', 2 * ($granted || 0), 'which say why');
$admin->do($_) for ('ALTER SYSTEM SET wlm.guard_limit = 20000000', 'SELECT pg_reload_conf()');
eventually($admin, 'SELECT memory_pressure FROM wlm.status()', 'none', 'no pressure any more');
is($session->query(sprintf($skewed, 0))->{rows}[0][0], 180_001, 'with room it ends');
settled($admin, 'nothing is left behind');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|terminated by signal/, 'no crash');
done_testing();
