# G10: a backend gives its memory back after a large managed query. G16: prepared generic plans are managed, query ids
# are taken where the server computes them, and other extensions' hooks work before and after ours.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pg_wlm'
wlm.database = 'postgres'
wlm.mode = auto
wlm.max_work_mem = '500MB'
wlm.memory = '2GB'
max_parallel_workers_per_gather = 0
jit = off
compute_query_id = on
CONF
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(<<'SQL');
CREATE EXTENSION pg_wlm;
CREATE TABLE t AS SELECT i AS id, i * 7919::bigint % 300000 AS k, i % 150000 AS g, repeat(chr(97 + i % 26), 90) AS pad FROM generate_series(1, 300000) i;
CREATE TABLE s AS SELECT i AS id, repeat(chr(97 + i % 26), 90) AS pad FROM generate_series(1, 20000) i;
ANALYZE t, s;
-- What the operating system sees of this process, kB.
CREATE FUNCTION anonymous() RETURNS int LANGUAGE sql AS $$
	SELECT substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'RssAnon:\s+(\d+)')::int
$$;
SQL

my %large = (
	sort => 'SELECT count(*) FROM (SELECT * FROM t ORDER BY pad, k OFFSET 0) s',
	'hash join' => 'SELECT count(a.pad), count(b.pad) FROM t a JOIN t b USING (id)',
	'hash aggregate' => 'SELECT count(*) FROM (SELECT pad || g, count(*) FROM t GROUP BY 1) s');
foreach my $name (sort keys %large)
{
	my @seen = split /\n/, sql(join ';', 'SET enable_sort = ' . ($name eq 'sort' ? 'on' : 'off'),
		'SET enable_mergejoin = off', 'SELECT anonymous()', 'SELECT wlm.flush()', $large{$name}, 'SELECT anonymous()', 'SELECT wlm.flush()',
		'SELECT peak_kb::int, temp_bytes FROM wlm.history WHERE pid = pg_backend_pid() ORDER BY id DESC LIMIT 1');
	@seen = grep { /\S/ } @seen;
	my ($before, $after) = @seen[0, 2];
	my ($peak, $temp) = split /\|/, $seen[-1];
	note("$name: $before -> $after kB, peak $peak kB");
	cmp_ok($peak, '>', 20000, "$name: it had taken much memory");
	cmp_ok($after - $before, '<', 12000, "$name: most of it is given back");
}
# What another query of the session still needs stays.
is(sql('BEGIN; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY pad, k; MOVE 5 FROM c; ' . $large{'hash join'} . '; FETCH 1 FROM c; COMMIT'),
	sql('SELECT count(*), count(*) FROM t; SET wlm.mode = off; SELECT id FROM t ORDER BY pad, k OFFSET 5 LIMIT 1'),
	'giving memory back leaves an open cursor alone');

# Generic plans do not pass the planner again, and are managed all the same.
sub last_rows
{
	my ($count, $columns) = @_;
	return sql("SELECT wlm.flush()") . sql("SELECT $columns FROM wlm.history ORDER BY id DESC LIMIT $count");
}
my $managed = sql('SELECT num_managed FROM wlm.status()');
sql('SET plan_cache_mode = force_generic_plan; PREPARE p(int) AS SELECT * FROM t WHERE k > $1 ORDER BY pad, k; '
	  . join('; ', ('EXECUTE p(1)') x 6) . '; SELECT 1');
is(sql('SELECT num_managed FROM wlm.status()') - $managed, 6, 'each execution of a generic plan is managed');
is(last_rows(6, 'applied AND granted_work_mem_kb > 4096 AND NOT censored AND query_id <> 0'),
	join("\n", ('t') x 6), 'with a grant and a query id');
is(sql('SELECT count(DISTINCT query_id), count(DISTINCT fingerprint) FROM (SELECT * FROM wlm.history ORDER BY id DESC LIMIT 6) h'),
	'1|1', 'which are the same each time');

# Without query ids.
$node->append_conf('postgresql.conf', 'compute_query_id = off');
$node->restart;
sql('SELECT count(*) FROM (SELECT * FROM s ORDER BY pad, id OFFSET 0) q');
is(last_rows(1, 'query_id, final_state, applied'), '0|completed|t', 'statements without query id are managed');
$node->append_conf('postgresql.conf', 'compute_query_id = on');

# Beside other extensions, loaded before and after.
foreach my $libraries ('pg_stat_statements, auto_explain, pg_wlm', 'pg_wlm, auto_explain, pg_stat_statements')
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$libraries'\n" . <<'CONF');
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_nested_statements = on
pg_stat_statements.track = all
CONF
	$node->restart;
	sql('CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset()');
	my $log = -s $node->logfile;
	my $query = 'SELECT id FROM s ORDER BY pad, id OFFSET 19998';
	my $expected = sql("SET wlm.mode = off; $query");
	is(sql($query), $expected, "$libraries: same answer");
	is(sql($query), $expected, "$libraries: same answer again");
	is(last_rows(1, 'applied, final_state, query_id <> 0, temp_bytes'), 't|completed|t|0', "$libraries: managed and observed");
	is(sql(q{SELECT calls, rows FROM pg_stat_statements WHERE query LIKE 'SELECT id FROM s ORDER%'}), '3|6', "$libraries: counted by pg_stat_statements");
	is(sql(q{SELECT count(*) FROM pg_stat_statements p JOIN wlm.history h ON h.query_id = p.queryid WHERE query LIKE 'SELECT id FROM s ORDER%'}) > 0, 1,
		"$libraries: history has the same query id");
	like(slurp_file($node->logfile, $log), qr/Query Text: \Q$query\E.*?Sort Method: quicksort  Memory/s, "$libraries: auto_explain sees the granted sort");
	my $plan = sql("EXPLAIN (FORMAT JSON) $query");
	is(sql("SELECT json_array_length(\$\$$plan\$\$), \$\$$plan\$\$::json #>> '{0,Workload Manager,Mode}'"), '1|auto', "$libraries: EXPLAIN shows the group");
	# An error inside of a function, caught, with all hooks around it.
	is(sql(q{DO $$ BEGIN BEGIN PERFORM 1 / (id - 5) FROM s ORDER BY pad, id; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$; SHOW work_mem}),
		'4MB', "$libraries: after an error work_mem is the session's");
	is(sql('SELECT num_active, num_queued, reserved_kb, num_errors FROM wlm.status()'), '0|0|0|0', "$libraries: nothing is left behind");
}

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|terminated by signal/, 'no crash');
done_testing();
