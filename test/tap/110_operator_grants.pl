# Limits of single operators: each finds its own when PostgreSQL reads work_mem for it, in leader and workers, on first
# execution, rescan and refill; work_mem is the session's again after whatever ends the statement; hash tables grow
# before they spill, if the pool has room; sorts and hash tables of finished phases are freed. Results are those of mode off.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use WlmTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pg_wlm'
wlm.database = 'postgres'
wlm.mode = auto
wlm.memory = '2GB'
wlm.max_work_mem = '200MB'
wlm.explore_rate = 0
wlm.sample_rate = 0
wlm.respect_user_work_mem = off
wlm.express_floor = -1
work_mem = '1MB'
max_parallel_workers_per_gather = 0
max_parallel_workers = 8
jit = off
autovacuum = off
CONF
$node->start;

sub last_line { return (split /\n/, $_[0])[-1]; }
sub sql { return $node->safe_psql('postgres', join('; ', @_)); }

sql(<<'SQL');
CREATE EXTENSION pg_wlm;
CREATE TABLE t AS SELECT i AS id, i % 1000 AS b, md5(i::text) AS c FROM generate_series(1, 150000) i;
CREATE TABLE u AS SELECT i AS id, i % 7 AS b, md5(i::text) AS c FROM generate_series(1, 100000) i;
CREATE TABLE few AS SELECT i AS id FROM generate_series(1, 4) i;
CREATE TABLE twice AS SELECT i % 75000 AS k FROM generate_series(1, 150000) i;
ALTER TABLE u SET (parallel_workers = 0);
CREATE INDEX ON t (b);
CREATE FUNCTION seen() RETURNS int LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
	$$BEGIN RETURN pg_size_bytes(current_setting('work_mem')) / 1024; END$$;
-- What the plan says, as one line for each operator that can spill.
CREATE FUNCTION operators(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, VERBOSE) ' || query LOOP
		IF line ~ 'Sort Method|Batches|Evictions|Heap Blocks' THEN
			RETURN NEXT trim(line);
		END IF;
	END LOOP;
END
$$;
CREATE FUNCTION spills(query text) RETURNS bool LANGUAGE sql AS
	$$SELECT bool_or(o ~ 'Disk|Batches: ([2-9]|1[0-9])|lossy') FROM operators(query) o$$;
CREATE PROCEDURE learn(query text) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..2 LOOP
		EXECUTE query;
		PERFORM wlm.flush();
	END LOOP;
END
$$;
VACUUM ANALYZE t, u, few, twice;
SQL

sub learn { my ($settings, $query) = @_; sql($settings, "CALL learn(\$q\$$query\$q\$)", 'SELECT 1'); }

# The operators of the session's last statement but those that asked.
sub history
{
	my ($what, $where) = @_;
	return sql('SELECT wlm.flush()', "SELECT $what FROM wlm.history_operator
		WHERE history_id = (SELECT max(id) FROM wlm.history WHERE applied AND $where)") =~ s/^\s*//r;
}

# ---- each its own limit ----

my $no_merge = 'SET enable_mergejoin = off; SET enable_nestloop = off';
my $three = 'SELECT max(c), sum(n) FROM (SELECT c, n FROM (SELECT u.c, count(*) AS n FROM t JOIN u USING (id) GROUP BY u.c OFFSET 0) x'
	. ' ORDER BY n, c DESC OFFSET 0) y';
my $hashed = "$no_merge; SET cpu_operator_cost = 0.1"; # sorts are expensive: the groups are hashed
is(sql($hashed, 'SET wlm.mode = off', "SELECT spills(\$q\$$three\$q\$)"), 't', 'under work_mem three operators spill');
learn($hashed, $three);
my $plan = sql($hashed, "SELECT operators(\$q\$$three\$q\$)");
unlike($plan, qr/Disk|Batches: [2-9]/, 'with limits of their own none does');
like($plan, qr/quicksort.*Batches: 1 .*Batches: 1 /s, 'a sort, an aggregate and a hash table');
is(history("count(*) >= 3 AND count(DISTINCT granted_kb) >= 3 AND bool_and(granted_kb >= peak_kb) AND NOT bool_or(spilled)", 'true'), 't',
	'each was granted something else, and stayed below');
is(sql($hashed, "SELECT min(seen()), max(seen()) FROM ($three) z"), '1024|1024', 'what the statement calls sees the session\'s');
is(last_line(sql($hashed, $three, 'SHOW work_mem')), '1MB', 'work_mem afterwards');

# ---- workers ----

my $parallel = "$no_merge; SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 1;"
	. ' SET min_parallel_table_scan_size = 0; SET enable_parallel_hash = off';
foreach my $case (
	[ 'hash table', 'SELECT count(*), max(u.c) FROM t JOIN u USING (id)', qr/Batches: 1 / ],
	[ 'sort', 'SELECT count(*) FROM (SELECT c, count(*) FROM t GROUP BY c) x', qr/quicksort/, 'SET enable_hashagg = off' ],
	[ 'aggregate', 'SELECT k, count(*) FROM twice GROUP BY k', qr/Batches: 1 /, 'SET enable_sort = off' ])
{
	my ($name, $query, $expected, $more) = @$case;
	my $settings = $parallel . ($more ? "; $more" : '');
	is(sql($settings, 'SET wlm.mode = off', "SELECT spills(\$q\$$query\$q\$)"), 't', "workers, $name: under work_mem on disk");
	learn($settings, $query);
	$plan = sql($settings, "SELECT operators(\$q\$$query\$q\$)");
	like($plan, $expected, "workers, $name: in memory");
	unlike($plan, qr/Disk|Batches: [2-9]/, "workers, $name: in none on disk");
}

# ---- rescans, refills, the other operators ----

my %cases = (
	'rescanned sort' => [ '', 'SELECT count(*), min(c) FROM few, LATERAL (SELECT c FROM t WHERE t.id > few.id ORDER BY c, id OFFSET 0) s' ],
	'rescanned hash join' => [ $no_merge =~ s/; SET enable_nestloop = off//r,
		'SELECT count(*), min(m) FROM few, LATERAL (SELECT count(*), max(u.c) AS m FROM t JOIN u USING (id) WHERE u.b + few.id >= 0) s' ],
	'window' => [ '', 'SELECT sum(s) FROM (SELECT sum(id) OVER (PARTITION BY b / 500) AS s FROM t) x' ],
	'window over all' => [ '', 'SELECT count(*), sum(s) FROM (SELECT sum(id) OVER () AS s FROM t) x' ],
	'incremental sort' => [ 'SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off',
		'SELECT max(c) FROM (SELECT b, c FROM t ORDER BY b, c OFFSET 0) x' ],
	'cte' => [ '', 'WITH x AS MATERIALIZED (SELECT id, c FROM t) SELECT count(*), max(a.c) FROM x a JOIN x b USING (id)' ],
	'material' => [ 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_memoize = off',
		'SELECT count(*), max(c) FROM few, (SELECT c FROM t WHERE id % 2 = 0) x WHERE few.id + length(c) > 33' ],
	'bitmap' => [ 'SET enable_seqscan = off; SET enable_indexscan = off', 'SELECT count(*), max(c) FROM t WHERE b BETWEEN 1 AND 700' ],
	'memoize' => [ 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_seqscan = on',
		'SELECT count(*), max(x.c) FROM u, LATERAL (SELECT c FROM t WHERE t.b = u.b AND t.id < 5000 ORDER BY id LIMIT 3) x WHERE u.id < 3000' ],
	'grouping sets' => [ 'SET enable_sort = off', 'SELECT count(*), sum(n) FROM (SELECT c, b, count(*) AS n FROM t GROUP BY GROUPING SETS (c, b, ())) x' ],
	'mixed aggregate' => [ '', 'SELECT count(*), sum(n) FROM (SELECT c, id % 50000 AS k, count(*) AS n FROM t GROUP BY GROUPING SETS (c, id % 50000, ())) x' ],
	'ordered aggregate' => [ '', "SELECT length(string_agg(c, ',' ORDER BY id)) FROM (SELECT c, id FROM t ORDER BY c OFFSET 0) x" ],
	'set operation' => [ '', 'SELECT count(*) FROM (SELECT id, c FROM t INTERSECT SELECT id, c FROM u) x' ],
	'hashed sub-plan' => [ '', 'SELECT count(*) FROM t WHERE id NOT IN (SELECT id FROM u WHERE id < 3000)' ],
	'recursive union' => [ '', 'WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r, few WHERE n < 20000 AND few.id = 1) SELECT count(*), sum(n) FROM r' ],
	'merge join of sorts' => [ 'SET enable_hashjoin = off; SET enable_nestloop = off',
		'SELECT count(*), max(c), sum(r) FROM (SELECT c, row_number() OVER (ORDER BY x.b, c) AS r FROM (SELECT t.c, u.b FROM t JOIN u USING (c)) x) y' ],
	'hash joins below an aggregate below a sort' => [ $no_merge,
		'SELECT count(*), sum(r) FROM (SELECT row_number() OVER (ORDER BY n, c) AS r FROM (SELECT u.c, count(*) AS n FROM t JOIN u USING (id) JOIN t t2 USING (id) GROUP BY u.c) x) y' ]);

# Budgets from "everything" to "next to nothing", where limits are lower than needs and hash tables cannot grow. That they do
# not spill with what they need is tested in 114.
foreach my $name (sort keys %cases)
{
	my ($settings, $query) = @{ $cases{$name} };
	my $off = sql($settings, 'SET wlm.mode = off', $query);
	learn($settings, $query);
	is(sql($settings, $query), $off, "$name: same result with limits of its own");
	is(sql($settings, 'SET work_mem = \'64kB\'', $query), $off, "$name: and under the least work_mem");
	is(sql($settings, 'SET wlm.need_factor = 0.2', 'SET wlm.elastic = off', 'SET work_mem = \'64kB\'', $query), $off, "$name: and with less than it needs");
}
like(sql('SET enable_sort = off', 'SET wlm.need_factor = 0.1', 'SET wlm.elastic = off', "SET work_mem = '256kB'",
	"SELECT operators('SELECT c, count(*) FROM t GROUP BY c')"), qr/Batches: ([2-9]|1[0-9])/, 'an aggregate that reads batches back');

# ---- EXPLAIN ANALYZE counts as without pg_wlm ----

my $explain = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) $three";
sub counted { return join "\n", grep { /actual/ } split /\n/, sql($hashed, $_[0], $explain); }
is(counted('SELECT 1'), counted('SET wlm.mode = off'), 'EXPLAIN ANALYZE counts the same rows and loops');

# ---- work_mem afterwards ----

my $sort = 'SELECT count(*) FROM (SELECT id, c FROM t ORDER BY c, id OFFSET 0) x';
my $fails = 'SELECT count(*) FROM (SELECT id, c, 1 / (id - 120000) FROM t ORDER BY c, 3 OFFSET 0) x';
learn('', $sort);
learn('', "SELECT count(*) FROM (SELECT id, c, 1 / (id + 120000) FROM t ORDER BY c, 3 OFFSET 0) x");
my ($status, $stdout) = $node->psql('postgres', "$fails;\nSHOW work_mem;", on_error_stop => 0);
is($stdout, '1MB', 'after an error in the middle');
($status, $stdout) = $node->psql('postgres', "BEGIN;\nSET LOCAL work_mem = '2MB';\nSAVEPOINT s;\n$fails;\nROLLBACK TO s;\nSHOW work_mem;\n$sort;\nSHOW work_mem;\nCOMMIT;\nSHOW work_mem;",
	on_error_stop => 0);
is($stdout, "2MB\n150000\n2MB\n1MB", 'after an error below a savepoint');
is(sql(<<"SQL"), "1MB\n1MB", 'after errors that a function catches');
DO \$\$
BEGIN
	FOR i IN 1..3 LOOP
		BEGIN
			PERFORM count(*) FROM (SELECT id, c, 1 / (id - 120000) FROM t ORDER BY c, 3 OFFSET 0) x;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
	IF current_setting('work_mem') <> '1MB' THEN
		RAISE 'left behind: %', current_setting('work_mem');
	END IF;
END
\$\$;
SHOW work_mem;
$sort \\gset
SHOW work_mem;
SQL

# A function inside that sets it: with SET, SET LOCAL, a SET clause, and back to what it read.
sql(<<'SQL');
CREATE FUNCTION sets(value text, local bool) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN set_config('work_mem', value, local); END$$;
CREATE FUNCTION sets_back() RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('work_mem', current_setting('work_mem'), false); RETURN 1; END$$;
CREATE FUNCTION own_clause() RETURNS int LANGUAGE plpgsql SET work_mem = '3MB' AS $$BEGIN RETURN seen(); END$$;
CREATE FUNCTION catches() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('work_mem', '7MB', true);
	RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
	RETURN seen();
END
$$;
SQL
my %places = (
	'above a sort' => 'SELECT count(*), max(%s) FROM (SELECT id, c FROM t ORDER BY c, id OFFSET 0) x WHERE id = 77777',
	'below a sort' => 'SELECT count(*) FROM (SELECT id, c, CASE WHEN id = 77777 THEN %s END AS f FROM t ORDER BY c, 3 OFFSET 0) x',
	'in a window' => 'SELECT count(*) FROM (SELECT sum(CASE WHEN id = 77777 THEN length((%s)::text) END) OVER (PARTITION BY b / 300) FROM t) x');
foreach my $place (sort keys %places)
{
	learn('', sprintf($places{$place}, 'seen()'));
	my $run = sub { my ($function, @more) = @_; return last_line(sql(sprintf($places{$place}, $function), @more, 'SHOW work_mem')); };
	is($run->("sets('5MB', false)"), '5MB', "$place: SET stays");
	is($run->('sets_back()'), '1MB', "$place: set to what it read");
	is($run->('own_clause()'), '1MB', "$place: a function's own clause");
	is($run->('catches()'), '1MB', "$place: set in a sub-transaction that failed");
	is(last_line(sql('BEGIN', sprintf($places{$place}, "sets('5MB', true)"), 'SHOW work_mem', 'COMMIT')), '5MB', "$place: SET LOCAL, in its transaction");
	is(last_line(sql('BEGIN', sprintf($places{$place}, "sets('5MB', true)"), 'COMMIT', 'SHOW work_mem')), '1MB', "$place: and after it");
}

# ---- cursors ----

is(sql(<<'SQL'), sql(<<'SQL2'), 'interleaved cursors, one of them failing in a savepoint');
BEGIN;
DECLARE a NO SCROLL CURSOR FOR SELECT id FROM t ORDER BY c, id;
DECLARE b CURSOR FOR SELECT b, count(*) FROM t JOIN u USING (id, b) GROUP BY b ORDER BY b;
FETCH 3 FROM a;
SHOW work_mem;
FETCH 2 FROM b;
SAVEPOINT s;
DECLARE f CURSOR FOR SELECT id, 1 / (id - 50000) FROM t ORDER BY c, 2;
DO $$BEGIN PERFORM count(*) FROM (SELECT id, c, 1 / (id - 120000) FROM t ORDER BY c, 3 OFFSET 0) x; EXCEPTION WHEN division_by_zero THEN NULL; END$$;
ROLLBACK TO s;
FETCH 2 FROM a;
FETCH 2 FROM b;
CLOSE a;
FETCH 1 FROM b;
SHOW work_mem;
COMMIT;
SHOW work_mem;
SQL
SET wlm.mode = off;
BEGIN;
DECLARE a NO SCROLL CURSOR FOR SELECT id FROM t ORDER BY c, id;
DECLARE b CURSOR FOR SELECT b, count(*) FROM t JOIN u USING (id, b) GROUP BY b ORDER BY b;
FETCH 3 FROM a;
SHOW work_mem;
FETCH 2 FROM b;
FETCH 2 FROM a;
FETCH 2 FROM b;
FETCH 1 FROM b;
SHOW work_mem;
COMMIT;
SHOW work_mem;
SQL2

# A cursor that rewinds runs its plan again: nothing of it may have been freed.
is(last_line(sql('BEGIN', "DECLARE s SCROLL CURSOR FOR SELECT r FROM (SELECT row_number() OVER (ORDER BY x.q, x.c) AS r FROM
	(SELECT c, row_number() OVER (ORDER BY c DESC) AS q FROM t) x) y ORDER BY r", 'MOVE ALL IN s', 'MOVE ABSOLUTE 0 IN s', 'FETCH 2 FROM s', 'COMMIT')),
	'2', 'a cursor that scrolls');

# ---- EvalPlanQual: the plan is run again for one row, in states of its own ----

my ($first, $second, $admin) = map { session($node, name => $_) } qw(first second admin);
$first->do('BEGIN');
$first->do('UPDATE few SET id = id WHERE id = 2');
$second->send('UPDATE few SET id = few.id + 100 FROM (SELECT u.id, u.c FROM t JOIN u USING (id) ORDER BY u.c OFFSET 0) x WHERE x.id = few.id AND few.id = 2');
eventually($admin, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 1, 'an update waits for a row');
$first->do('COMMIT');
eventually($admin, 'SELECT count(*) FROM few WHERE id > 100', 1, 'and finds it after the recheck');
$_->quit for ($first, $second, $admin);

# ---- growth ----

# The planner takes one row in 200 for what are all: one batch is planned.
my $join = 'SELECT count(*), max(x.c) FROM t JOIN (SELECT id, c FROM u WHERE b * 0 = 0) x USING (id)';
my $groups = 'SELECT count(*), sum(n) FROM (SELECT id + b AS k, count(*) AS n FROM t WHERE b * 0 = 0 GROUP BY 1) x';
foreach my $case ([ 'hash join', $no_merge, $join ], [ 'aggregate', 'SET enable_sort = off', $groups ])
{
	my ($name, $settings, $query) = @$case;
	my $off = sql($settings, 'SET wlm.mode = off', $query);
	my $small = "$settings; SET wlm.need_factor = 0.1; SET work_mem = '256kB'";
	is(sql($small, 'SET wlm.elastic = off', "SELECT spills(\$q\$$query\$q\$)"), 't', "$name: spills without growth");
	my $grown = sql($small, "SELECT operators(\$q\$$query\$q\$)");
	like($grown, qr/Batches: 1 /, "$name: grows instead");
	unlike($grown, qr/Disk|Batches: [2-9]/, "$name: to the end");
	is(sql($small, $query), $off, "$name: same result");
	is(history('max(grown_kb) > 2 * max(granted_kb) AND max(grown_kb) >= max(peak_kb) AND NOT bool_or(spilled)', 'true'), 't', "$name: in wlm.history_operator");
}
my $workers_small = "$parallel; SET wlm.need_factor = 0.1; SET work_mem = '256kB'";
# What was learned above would be enough; forgotten, the planner's estimate is not.
foreach my $case ([ 'off', 't' ], [ 'on', 'f' ])
{
	sql('SELECT wlm.flush()', "SELECT wlm.reset('models')");
	is(sql($workers_small, "SET wlm.elastic = $case->[0]", "SELECT spills(\$q\$$join\$q\$)"), $case->[1],
		"hash tables of workers, wlm.elastic = $case->[0]");
}
sql("ALTER SYSTEM SET wlm.memory = '2MB'", 'SELECT pg_reload_conf()');
$node->poll_query_until('postgres', 'SHOW wlm.memory', '2MB');
foreach my $case ([ 'hash join', $no_merge, $join ], [ 'aggregate', 'SET enable_sort = off', $groups ])
{
	my ($name, $settings, $query) = @$case;
	my $small = "$settings; SET wlm.need_factor = 0.1; SET work_mem = '256kB'";
	is(sql($small, "SELECT spills(\$q\$$query\$q\$)"), 't', "$name: an empty pool refuses");
	is(sql($small, $query), sql($settings, 'SET wlm.mode = off', $query), "$name: and the result is the same");
}
sql('ALTER SYSTEM RESET wlm.memory', 'SELECT pg_reload_conf()');
$node->poll_query_until('postgres', 'SHOW wlm.memory', '2GB');

# ---- memory of finished phases ----

# Tuplesorts alive while the last row is returned.
sql(<<'SQL');
CREATE FUNCTION sorts_alive() RETURNS int LANGUAGE sql VOLATILE AS
	$$SELECT sum(total_bytes)::int / 1024 FROM pg_backend_memory_contexts WHERE name ~ 'Sort|HashTable|HashAgg|ExecutorState'$$;
SQL
my $deep = 'SELECT max(CASE WHEN r = 150000 THEN sorts_alive() END) FROM (SELECT row_number() OVER (ORDER BY q, c) AS r FROM
	(SELECT c, row_number() OVER (ORDER BY p, c DESC) AS q FROM (SELECT c, row_number() OVER (ORDER BY b, id) AS p FROM t) x) y) z';
learn('', $deep);
my $kept = sql('SET wlm.grant_scope = query', $deep);
my $freed = sql($deep);
note("three sorts below each other: $kept kB alive at the end, $freed kB when finished ones are freed");
cmp_ok($freed, '<', 0.6 * $kept, 'finished sorts are freed');
is(sql('SELECT num_reserved_kb FROM (SELECT sum(memory_reserved_kb) AS num_reserved_kb FROM wlm.queue_state) x') <= 2048 ? 1 : 0, 1, 'no reservation is left');

$node->stop;
done_testing();
