# Whatever gives way and begins again, the answers are those of a server without pg_wlm, other modules see one
# statement with its rows, and a thousand times leave nothing behind. Statements are made to begin again by
# wlm_test.give_way = 'times, milliseconds', which only a build with assertions knows.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use WlmTest;

my $node = start_node('restart', ['wlm.min_cost = 0', "wlm.database = 'postgres'", 'wlm.sample_rate = 0.5', 'max_worker_processes = 16',
	'wlm.min_work_mem = 64', 'max_parallel_workers = 8', "shared_preload_libraries = 'pg_stat_statements, pg_wlm, auto_explain'",
	'pg_stat_statements.track = all']);
my $admin = session($node, name => 'admin');
$admin->do($_) for (
	"SET wlm.mode = 'off'", 'CREATE EXTENSION pg_wlm', 'CREATE EXTENSION pg_stat_statements',
	q{CREATE TABLE fact AS SELECT i AS id, i * 7919 % 12000 AS k, i * 31 % 1009 AS g, i % 97 AS v, repeat(chr(97 + i % 26), 60) AS pad
		FROM generate_series(1, 12000) i},
	'CREATE TABLE dim AS SELECT i AS k, repeat(chr(97 + i % 26), 30) AS label FROM generate_series(0, 11999) i',
	'CREATE INDEX ON fact (g)',
	'CREATE TABLE part (id int, v int) PARTITION BY RANGE (id)',
	'CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (5000)',
	'CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (5000) TO (20000)',
	'INSERT INTO part SELECT i, i % 13 FROM generate_series(1, 12000) i',
	'CREATE TABLE empty (x int)',
	'ANALYZE',
	q{CREATE FUNCTION stable_count(n int) RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS
		'BEGIN RETURN (SELECT count(*) FROM fact WHERE g < n); END'},
	q{CREATE FUNCTION volatile_one() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'},
	q{CREATE FUNCTION volatile_add(a int, b int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN a + coalesce(b, 0); END'},
	'CREATE AGGREGATE volatile_sum(int) (SFUNC = volatile_add, STYPE = int, INITCOND = 0)',
	q{CREATE FUNCTION swallows(x int) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS
		$$BEGIN PERFORM pg_sleep(0.3); RETURN 'slept'; EXCEPTION WHEN query_canceled THEN RETURN 'cancelled'; END$$},
	q{CREATE FUNCTION converts(divisor int) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
		BEGIN
			PERFORM pg_sleep(0.3);
			RETURN 'slept ' || 1 / divisor;
		EXCEPTION WHEN query_canceled THEN
			RAISE EXCEPTION 'my own words';
		END$$},
	q{CREATE FUNCTION fetches(x int) RETURNS int LANGUAGE plpgsql STABLE AS $$
		DECLARE mine refcursor := 'mine'; row record; BEGIN FETCH mine INTO row; RETURN row.id; END$$},
	q{CREATE FUNCTION add(a int, b int) RETURNS int LANGUAGE sql STABLE AS 'SELECT a + coalesce(b, 0)'},
	'CREATE AGGREGATE sum_of(int) (SFUNC = add, STYPE = int, INITCOND = 0, PARALLEL = SAFE)',
	q{CREATE FUNCTION inside() RETURNS bigint LANGUAGE plpgsql AS $$
		DECLARE n bigint; BEGIN SELECT sum(id) INTO n FROM fact; RETURN n; END$$},
	'CREATE SEQUENCE s', 'CREATE DOMAIN positive AS int CHECK (value > 0)');

my $one = session($node, name => 'one');
$one->do("SET wlm_test.give_way = '1, 0'");
$one->do('SELECT sum(id) FROM fact');
$admin->do('SELECT wlm.flush()');
if ($admin->value("SELECT max(num_preempted) FROM wlm.history WHERE pid = $one->{pid}") != 1)
{
	$node->stop;
	plan skip_all => 'needs a build with assertions';
}

# How often the statements of `session` began again since the last question.
my $seen = 0;
sub restarts
{
	my ($session) = @_;
	$admin->do('SELECT wlm.flush()');
	my ($sum, $last) = @{ $admin->do("SELECT coalesce(sum(num_preempted), 0), coalesce(max(id), $seen) FROM wlm.history
		WHERE pid = $session->{pid} AND id > $seen")->{rows}[0] };
	$seen = $last;
	return $sum;
}
restarts($one);

# ---- the same answers ----

my @queries = (
	'SELECT count(*), sum(id) FROM fact',
	'SELECT id, pad FROM fact WHERE id < 20 ORDER BY id',
	'SELECT md5(string_agg(id::text, $$,$$)) FROM (SELECT id FROM fact ORDER BY pad, k) s',
	'SELECT count(label), sum(v) FROM fact JOIN dim USING (k)',
	'SELECT count(*), count(f.id), count(d.k) FROM fact f FULL JOIN dim d ON f.k = d.k + 3000',
	'SELECT g, count(*), sum(v) FROM fact GROUP BY g ORDER BY g LIMIT 30',
	'SELECT count(*), sum(n) FROM (SELECT pad || id, count(*) n FROM fact GROUP BY 1) s',
	'SELECT g % 2, id % 2, sum(v) FROM fact GROUP BY CUBE (g % 2, id % 2) ORDER BY 1, 2',
	'SELECT count(DISTINCT pad), count(DISTINCT id) FROM fact',
	'SELECT sum(r), sum(s) FROM (SELECT rank() OVER (PARTITION BY g ORDER BY v, id) r, sum(v) OVER (ORDER BY id) s FROM fact) w',
	'WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 2000) SELECT sum(n) FROM r',
	'WITH c AS MATERIALIZED (SELECT g, sum(v) s FROM fact GROUP BY g) SELECT count(*), max(a.s) FROM c a JOIN c b USING (g)',
	'SELECT v, (SELECT max(label) FROM dim WHERE dim.k = fact.k) FROM fact WHERE id < 10 ORDER BY id',
	'SELECT count(*) FROM fact WHERE k IN (SELECT k FROM dim WHERE label > $$m$$)',
	'SELECT tableoid::regclass, count(*), sum(v) FROM part GROUP BY 1 ORDER BY 1',
	'SELECT (SELECT count(*) FROM fact b WHERE b.g = a.g) FROM fact a WHERE a.id < 5 ORDER BY id',
	'SELECT stable_count(300), count(*) FROM fact',
	'SELECT * FROM generate_series(1, 5)', 'VALUES (1), (2)', 'SELECT x FROM empty', 'SELECT FROM empty',
	'SELECT id FROM fact WHERE id < 0', 'SELECT FROM fact WHERE id < 4',
	'SELECT count(*) FROM fact TABLESAMPLE bernoulli (50) REPEATABLE (7)',
	'SELECT count(*), current_date = now()::date FROM fact');
my %parallel = ('off' => 'SET max_parallel_workers_per_gather = 0',
	'on' => 'SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; '
		. 'SET min_parallel_table_scan_size = 0');

for my $parallel (sort keys %parallel)
{
	for my $trigger ('2, 0', '2, 2', '3, 7')
	{
		$one->do("SET wlm_test.give_way = '$trigger'");
		for my $set (split /; /, $parallel{$parallel}) { $_->do($set) for ($one, $admin); }
		for my $sql (@queries)
		{
			my $expected = $admin->do($sql)->{rows};
			is_deeply($one->do($sql)->{rows}, $expected, "parallel $parallel, $trigger: $sql");
		}
		my $restarts = restarts($one);
		ok($restarts >= ($trigger =~ /, 0/ ? 2 * @queries - 4 : 1), "parallel $parallel, $trigger: began again $restarts times");
	}
}
$one->do($_) for ('SET max_parallel_workers_per_gather = 0', "SET wlm_test.give_way = '2, 0'");

# ---- in all protocols and blocks ----

my $sums = $admin->do('SELECT g, sum(id) FROM fact GROUP BY g ORDER BY g')->{rows};
my $sql = 'SELECT g, sum(id) FROM fact GROUP BY g ORDER BY g';

$one->parse('', $sql);
$one->bind('', '');
$one->describe('');
$one->execute('');
$one->sync;
is_deeply($one->finish->{rows}, $sums, 'extended protocol');
is(restarts($one), 2, '... begins again');
$one->parse('named', $sql);
$one->sync;
$one->finish;
for (1 .. 7)
{
	$one->bind('p', 'named');
	$one->execute('p');
	$one->sync;
	is_deeply($one->finish->{rows}, $sums, "prepared statement, execution $_");
}
is(restarts($one), 14, '... begin again');
$one->bind('p', 'named');
$one->execute('p', 10);
$one->execute('p');
$one->sync;
is_deeply($one->finish->{rows}, $sums, 'in two parts');
is(restarts($one), 0, '... does not begin again');

$one->do('PREPARE q(int) AS SELECT count(*), sum(id) FROM fact WHERE g < $1');
my $part = $admin->do('SELECT count(*), sum(id) FROM fact WHERE g < 500')->{rows};
is_deeply($one->do('EXECUTE q(500)')->{rows}, $part, "EXECUTE $_") for (1 .. 7);
is(restarts($one), 14, '... begin again');

for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	$one->do("BEGIN ISOLATION LEVEL $level");
	is_deeply($one->do($sql)->{rows}, $sums, "$level: first statement of a block");
	$one->do('SAVEPOINT a');
	is_deeply($one->do($sql)->{rows}, $sums, "$level: below a savepoint");
	is($one->query('SELECT 1 / (sum(id) - sum(id)) FROM fact')->{sqlstate}, '22012', "$level: an error is raised");
	$one->do('ROLLBACK TO a');
	is_deeply($one->do($sql)->{rows}, $sums, "$level: after ROLLBACK TO");
	$one->do('RELEASE a');
	is($one->do('COMMIT')->{tag}, 'COMMIT', "$level: COMMIT");
	is(restarts($one), 8, "$level: all began again");
}
is($one->query('SELECT 1 / (id - 5) FROM fact WHERE id < 9 ORDER BY id')->{sqlstate}, '22012', 'an error after rows');
$one->do('CREATE TEMP TABLE mine AS SELECT i FROM generate_series(1, 1000) i');
is($one->value('SELECT sum(i) FROM mine'), 500500, 'a temporary table');
restarts($one);
$one->do('BEGIN');
$one->do('INSERT INTO mine VALUES (1)');
is($one->value('SELECT sum(i) FROM mine'), 500501, 'own changes are seen');
$one->do('ROLLBACK');
is(restarts($one), 0, '... by a statement that does not begin again: it has a transaction id');
is_deeply($one->query("$sql; SELECT 1")->{error}, '', 'several statements in one message');
restarts($one);

# ---- what must not begin again ----

my @never = (
	'SELECT volatile_one() FROM fact WHERE id < 3', 'SELECT count(volatile_one()) FROM fact', 'SELECT volatile_sum(v) FROM fact',
	'SELECT volatile_sum(v) OVER () FROM fact WHERE id < 3', 'SELECT count(*) FROM fact WHERE random() < 2',
	'SELECT count(*) FROM fact ORDER BY random()', 'SELECT nextval($$s$$) FROM fact WHERE id < 2',
	'SELECT count(*) FROM fact JOIN dim ON fact.k = dim.k AND random() < 2',
	'SELECT count(*) FROM (SELECT id FROM fact LIMIT (random() * 0 + 3)::int) l',
	'SELECT (SELECT max(volatile_one()) FROM dim WHERE dim.k = fact.k) FROM fact WHERE id < 3',
	'SELECT * FROM volatile_one()', 'SELECT sum_of(v) FROM fact WHERE id < 9', 'SELECT id::positive FROM fact WHERE id < 3',
	'SELECT id FROM fact WHERE id < 3 FOR UPDATE', 'SELECT id FROM fact WHERE id < 3 FOR KEY SHARE',
	'WITH d AS (DELETE FROM empty RETURNING x) SELECT count(*) FROM d',
	'EXPLAIN (ANALYZE, TIMING off, COSTS off) SELECT count(*) FROM fact', 'SELECT inside()',
	'COPY (SELECT sum(id) FROM fact) TO STDOUT', 'CREATE TEMP TABLE t1 AS SELECT sum(id) FROM fact', 'SELECT sum(id) INTO TEMP t2 FROM fact',
	'CREATE TABLE t3 AS SELECT 1', 'INSERT INTO empty SELECT 1', 'UPDATE empty SET x = 2 WHERE x = 1', 'DELETE FROM empty',
	'DO $$BEGIN PERFORM sum(id) FROM fact; END$$', 'DROP TABLE t3');
for my $statement (@never)
{
	is($one->query($statement)->{error}, '', $statement);
	is(restarts($one), 0, '... does not begin again');
}
# A stable function can still move what is its session's: PARALLEL SAFE would say that it does not.
$one->do('BEGIN');
$one->do('DECLARE mine CURSOR FOR SELECT id FROM fact ORDER BY id');
is_deeply($one->do('SELECT id, fetches(id) FROM fact WHERE id < 4 ORDER BY id')->{rows}, [ [ 1, 1 ], [ 2, 2 ], [ 3, 3 ] ],
	'a function that fetches from a cursor');
$one->do('COMMIT');
is(restarts($one), 0, '... does not begin again');

for my $cursor ('NO SCROLL CURSOR', 'SCROLL CURSOR', 'CURSOR')
{
	$one->do('BEGIN');
	$one->do("DECLARE c $cursor FOR $sql");
	is_deeply([ @{ $one->do('FETCH 2 FROM c')->{rows} }, @{ $one->do('FETCH ALL FROM c')->{rows} } ], $sums, $cursor);
	$one->do('COMMIT');
}
$one->do("DECLARE c CURSOR WITH HOLD FOR $sql");
is_deeply($one->do('FETCH ALL FROM c')->{rows}, $sums, 'WITH HOLD');
$one->do('CLOSE c');
is(restarts($one), 0, 'cursors do not begin again');

# A function that catches our cancel has gone another way than it would: then all is done again.
$one->do("SET wlm_test.give_way = '1, 50'");
is($one->value('SELECT swallows(1) FROM empty RIGHT JOIN (VALUES (1)) v(y) ON true'), 'slept',
	'a cancel that a function catches changes nothing');
is(restarts($one), 1, '... but that it begins again');
my $converts = 'SELECT converts(%d) FROM empty RIGHT JOIN (VALUES (1)) v(y) ON true';
is($one->value(sprintf $converts, 1), 'slept 1', 'nor does one of which a function makes another error');
is(restarts($one), 1, '... it begins again too');
is($one->query(sprintf $converts, 0)->{sqlstate}, '22012', 'an error that has nothing to do with it comes again');
is(restarts($one), 1, '... after it began again');
$one->send(sprintf $converts, 1);
usleep(150_000);
$admin->do("SELECT pg_cancel_backend($one->{pid})");
is($one->finish->{error}, 'my own words', 'who is cancelled by somebody else is told by the function');
restarts($one);

# ---- a thousand times ----

sub memory
{
	return $one->value(q{SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name NOT LIKE '%Cache%' AND name <> 'MessageContext'});
}
$one->do($_) for ('RESET wlm_test.give_way', 'BEGIN', 'SET max_parallel_workers_per_gather = 0', $sql,
	"SET wlm_test.give_way = '3, 0'", $sql, $sql);
my $before = memory();
$one->do("SET wlm_test.give_way = '1000, 0'");
is_deeply($one->do($sql)->{rows}, $sums, 'a thousand times from the beginning: right answer');
$one->do("SET wlm_test.give_way = '3, 0'");
my $after = memory();
cmp_ok($after - $before, '<=', 65536, "no memory is left behind ($before, $after)");
$one->do('COMMIT');
is(restarts($one) >= 1000 ? 1 : 0, 1, '... and it was a thousand times');
$one->do($_) for (split(/; /, $parallel{on}), "SET wlm_test.give_way = '40, 12'");
is($one->value('SELECT sum(length(a.pad || b.label)) FROM fact a JOIN dim b ON a.g = b.k % 1009'),
	$admin->value('SELECT sum(length(a.pad || b.label)) FROM fact a JOIN dim b ON a.g = b.k % 1009'), 'often with workers');
cmp_ok(restarts($one), '>', 0, '... it began again');
is($admin->value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'}), 0, 'no worker is left');
is($admin->value(q{SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND pid = } . $one->{pid}), 0, 'no lock is left');

# ---- other modules ----

$one->do($_) for ("SET wlm_test.give_way = '2, 0'", 'SET max_parallel_workers_per_gather = 0');
$admin->do('SELECT pg_stat_statements_reset()');
$one->do('SELECT stable_count(100), count(*) FROM fact');
is($admin->value(q{SELECT string_agg(concat_ws('|', toplevel, calls, rows), ' ' ORDER BY toplevel) FROM pg_stat_statements
	WHERE query ~ 'FROM fact'}), 'f|1|1 t|1|1', 'pg_stat_statements sees one execution, its rows, and what its functions ran');
cmp_ok(restarts($one), '>=', 2, '... of a statement that began again');

settled($admin, 'nothing is left over');
my $log = slurp_file($node->logfile);
unlike($log, qr/WARNING|leak|PANIC/, 'the log has no warning');
$node->stop;
done_testing();
