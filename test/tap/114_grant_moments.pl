# 114_grant_moments.pl
#
# The moments at which PostgreSQL reads work_mem, where EXPLAIN has no line for a spill: temporary blocks written and
# lossy pages say it. Each query spills without pg_wlm and does not under its operators' limits, in the leader, in
# parallel workers and when it is run again by a rescan. Nothing grows here (wlm.elastic = off): growth would hide a
# limit that is not found. Then: what is reserved follows what is used.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $node = start_node('moments', [
	"wlm.database = 'postgres'", "wlm.memory = '2GB'", "wlm.max_work_mem = '400MB'", 'wlm.elastic = off', 'wlm.explore_rate = 0',
	'wlm.sample_rate = 0', 'wlm.respect_user_work_mem = off', 'wlm.min_cost = 500', 'wlm.reduce_workers = off', 'wlm.plan_memory = off',
	"work_mem = '64kB'",
	'max_parallel_workers_per_gather = 0', 'max_parallel_workers = 8', 'parallel_setup_cost = 0', 'parallel_tuple_cost = 0',
	'min_parallel_table_scan_size = 0', 'min_parallel_index_scan_size = 0', 'jit = off', 'autovacuum = off' ]);
my $admin = prepare_node($node, slots => 100);
my $session = session($node, name => 'moments');

$session->do($_) for (
	'CREATE TABLE t AS SELECT i AS id, i % 20 AS b, md5(i::text) AS c FROM generate_series(1, 60000) i',
	'CREATE INDEX ON t (b)', 'CREATE INDEX ON t (id)',
	'CREATE TABLE few AS SELECT i AS id FROM generate_series(1, 3) i',
	# a row or two on each page
	'CREATE TABLE spread AS SELECT i AS id, repeat(md5(i::text), 100) AS pad FROM generate_series(1, 12) i',
	'ALTER TABLE spread ALTER pad SET STORAGE PLAIN',
	'CREATE TABLE keys AS SELECT i AS id, i * 7919 % 300 + 1 AS k FROM generate_series(1, 16000) i',
	q{CREATE TABLE wide AS SELECT i AS id, i * 7919 % 1000 AS b, repeat('w', 900) AS pad FROM generate_series(1, 24000) i},
	'CREATE INDEX ON wide (b)', 'CREATE INDEX ON wide (id)',
	'ALTER TABLE t SET (parallel_workers = 2)', 'ALTER TABLE spread SET (parallel_workers = 2)',
	'ALTER TABLE keys SET (parallel_workers = 2)', 'ALTER TABLE wide SET (parallel_workers = 2)',
	'VACUUM ANALYZE t', 'VACUUM ANALYZE few', 'VACUUM ANALYZE spread', 'VACUUM ANALYZE keys', 'VACUUM ANALYZE wide',
	# What a plan that has run says of what did not fit: the largest number anywhere under one of these names.
	q{CREATE FUNCTION overflowed(plan jsonb) RETURNS numeric LANGUAGE sql AS $$
		SELECT coalesce(max((v #>> '{}')::numeric), 0)
		FROM unnest('{Temp Written Blocks,Lossy Heap Blocks,Rows Removed by Index Recheck,Cache Evictions}'::text[]) name,
			jsonb_path_query(plan, ('strict $.**."' || name || '"')::jsonpath) v $$},
	q{CREATE FUNCTION run_of(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
		DECLARE plan jsonb;
		BEGIN EXECUTE 'EXPLAIN (ANALYZE, VERBOSE, BUFFERS, TIMING OFF, FORMAT JSON) ' || query INTO plan; RETURN plan -> 0; END $$});

sub in_settings
{
	my ($settings, $do) = @_;
	my @settings = grep { length } split /;\s*/, $settings;
	$session->do("SET $_") for @settings;
	my $result = $do->();
	$session->do('RESET ' . (split / /)[0]) for @settings;
	return $result;
}

# "nodes of the plan|what did not fit|workers"
sub run_of
{
	my ($query) = @_;
	my $row = $session->do("SELECT overflowed(p),
		(SELECT string_agg(v #>> '{}', ',') FROM jsonb_path_query(p, 'strict \$.**.\"Node Type\"') v),
		(SELECT coalesce(sum((v #>> '{}')::int), 0) FROM jsonb_path_query(p, 'strict \$.**.\"Workers Launched\"') v)
		FROM (SELECT run_of(\$q\$$query\$q\$) AS p OFFSET 0) x")->{rows}[0];
	return { overflowed => $row->[0], nodes => $row->[1], workers => $row->[2] };
}

sub learn
{
	my ($query) = @_;
	for (1 .. 2)
	{
		$session->do($query);
		$session->do('SELECT wlm.flush()');
	}
	return;
}

sub answer { my ($query) = @_; return join ';', map { join ',', map { defined $_ ? $_ : '' } @$_ } @{ $session->do($query)->{rows} }; }

# One query: it spills in mode off, not in mode auto, and says the same. `node` must be in its plan.
sub check
{
	my ($name, $node_type, $settings, $query, $workers) = @_;

	return in_settings($settings, sub {
		my ($without, $expected) = in_settings('wlm.mode = off', sub { return [ run_of($query), answer($query) ]; })->@*;
		like($without->{nodes}, qr/\b$node_type\b/, "$name: in the plan");
		cmp_ok($without->{overflowed}, '>', 0, "$name: does not fit into work_mem");
		learn($query);
		my $with = run_of($query);
		is($with->{nodes}, $without->{nodes}, "$name: the same plan");
		is($with->{overflowed}, 0, "$name: fits into its own limit");
		is($with->{workers} > 0 ? 1 : 0, $workers ? 1 : 0, $workers ? "$name: in workers" : "$name: in the leader");
		is(answer($query), $expected, "$name: same result");
		return;
	});
}

# ---- in the leader, once and again ----

my $loop = 'enable_hashjoin = off; enable_mergejoin = off; enable_memoize = off';
my $ordered = 'enable_seqscan = off; enable_sort = off; enable_bitmapscan = off';
my $inner = 'SELECT count(*) AS n, max(c) AS m FROM';

check('material', 'Materialize', $loop,
	'SELECT count(*), max(x.c) FROM few LEFT JOIN (SELECT c FROM t WHERE id <= 30000) x ON few.id + length(x.c) > 33');
check('rescanned material', 'Materialize', $loop,
	"SELECT sum(n), max(m) FROM few, LATERAL ($inner spread s LEFT JOIN (SELECT c FROM t WHERE few.id > 0 OFFSET 0) x"
	. ' ON s.id + length(x.c) > 42) y');
check('bitmap', 'Bitmap Heap Scan', 'enable_seqscan = off; enable_indexscan = off',
	'SELECT count(*), max(pad) FROM wide WHERE b BETWEEN 1 AND 900');
check('rescanned bitmap', 'Bitmap Heap Scan', 'enable_seqscan = off; enable_indexscan = off',
	'SELECT sum(n) FROM few, LATERAL (SELECT count(*) AS n FROM wide WHERE b BETWEEN 1 AND 900 AND few.id > 0) y');
check('recursive union', 'Recursive Union', '',
	'WITH RECURSIVE r AS (SELECT id, c, 1 AS n FROM t WHERE id <= 2000 UNION ALL SELECT id, c, n + 1 FROM r WHERE n < 4)'
	. ' SELECT count(*), sum(n), max(c) FROM r');
check('material of a sub-plan', 'Materialize', '', 'SELECT count(*) FROM spread s WHERE s.id + 1000000 >= ALL (SELECT id FROM t)');
check('function', 'Function Scan', '', 'SELECT count(*), max(g) FROM generate_series(1, 100000) g');
check('cte', 'CTE Scan', '', 'WITH x AS MATERIALIZED (SELECT id, c FROM t) SELECT count(*), max(c) FROM x');
check('window', 'WindowAgg', $ordered, 'SELECT count(*), sum(s) FROM (SELECT sum(id) OVER (PARTITION BY b) AS s FROM t) x');
check('window over all', 'WindowAgg', '', 'SELECT count(*), sum(s) FROM (SELECT sum(id) OVER () AS s FROM t) x');
check('incremental sort', 'Incremental Sort', $ordered, 'SELECT max(c) FROM (SELECT b, c FROM t ORDER BY b, c OFFSET 0) x');
check('rescanned sort', 'Sort', '',
	"SELECT sum(n), max(m) FROM few, LATERAL ($inner (SELECT c FROM t WHERE few.id > 0 ORDER BY c OFFSET 0) x) y");
check('rescanned aggregate', 'Aggregate', 'enable_sort = off',
	"SELECT sum(n), max(m) FROM few, LATERAL ($inner (SELECT c, count(*) FROM t WHERE few.id > 0 GROUP BY c OFFSET 0) x) y");
check('rescanned hash join', 'Hash Join', 'enable_mergejoin = off',
	"SELECT sum(n), max(m) FROM few, LATERAL ($inner t JOIN (SELECT id, k FROM keys WHERE few.id > 0 OFFSET 0) x USING (id)) y");
check('memoize', 'Memoize', 'enable_hashjoin = off; enable_mergejoin = off; enable_material = off',
	'SELECT count(*), max(w.pad) FROM keys JOIN wide w ON w.id = keys.k');
check('ordered aggregate', 'Aggregate', '',
	"SELECT length(string_agg(c, ',' ORDER BY id)) FROM (SELECT c, id FROM t ORDER BY c OFFSET 0) x");

# ---- in parallel workers alone ----

my $workers = 'max_parallel_workers_per_gather = 2; parallel_leader_participation = off';
check('material in workers', 'Materialize', $workers, 'SELECT count(*) FROM spread s WHERE s.id + 1000000 >= ALL (SELECT id FROM t)', 1);
check('incremental sort in workers', 'Incremental Sort', "$workers; $ordered",
	'SELECT max(c) FROM (SELECT b, c FROM t ORDER BY b, c OFFSET 0) x', 1);
check('memoize in workers', 'Memoize', "$workers; enable_hashjoin = off; enable_mergejoin = off; enable_material = off",
	'SELECT count(*), max(w.pad) FROM keys JOIN wide w ON w.id = keys.k', 1);
check('bitmap in workers', 'Bitmap Heap Scan', "$workers; enable_seqscan = off; enable_indexscan = off",
	'SELECT count(*), max(pad) FROM wide WHERE b BETWEEN 1 AND 900', 1);

# ---- batches that an aggregate reads back ----

# With a third of what it needs: about as many batches as PostgreSQL makes under the same work_mem, not those of 64 kB.
my $groups = 'SELECT count(*), sum(n) FROM (SELECT c, count(*) AS n FROM t GROUP BY c OFFSET 0) x';
in_settings('enable_sort = off', sub {
	my $batches = sub {
		my ($query) = @_;
		my $row = $session->do("SELECT max((v #>> '{}')::int), (SELECT max((v #>> '{}')::int)
			FROM jsonb_path_query(p, 'strict \$.\"Workload Manager\".\"Operators\".**.\"Granted\"', '{}', true) v)
			FROM (SELECT run_of(\$q\$$query\$q\$) AS p OFFSET 0) x, jsonb_path_query(p, 'strict \$.**.\"HashAgg Batches\"') v
			GROUP BY p")->{rows}[0];
		return @$row;
	};
	learn($groups);
	my ($limited, $granted_kb) = in_settings('wlm.need_factor = 0.3', sub { return [ $batches->($groups) ]; })->@*;
	my ($plain) = in_settings('wlm.mode = off', sub { return [ $batches->($groups) ]; })->@*;
	my $work_mem_kb = int($granted_kb / 2);
	my ($same) = in_settings("wlm.mode = off; work_mem = '${work_mem_kb}kB'", sub { return [ $batches->($groups) ]; })->@*;
	note("$granted_kb kB granted: $limited batches; $same under the same work_mem, $plain under 64 kB");
	cmp_ok($limited, '>', 1, 'an aggregate that reads batches back');
	cmp_ok($limited, '<=', 2 * $same, 'does it under its limit');
	cmp_ok($limited, '<', $plain / 3, 'not under the work_mem of the session');
	return;
});

# ---- what is reserved follows what is used ----

$session->do(q{CREATE FUNCTION stops(x integer) RETURNS integer LANGUAGE plpgsql AS
	$$BEGIN IF x = 50000 THEN PERFORM pg_advisory_xact_lock_shared(7); END IF; RETURN x; END$$});
sub reserved { return $admin->do("SELECT requested_kb, reserved_kb FROM wlm.activity WHERE pid = $session->{pid}")->{rows}[0]; }

# What is reserved while a cursor's input is read, and when its first row is there.
sub phases
{
	my ($kind, $query) = @_;
	$admin->do('SELECT pg_advisory_lock(7)');
	$session->do("BEGIN; DECLARE c $kind CURSOR FOR $query");
	$session->send('FETCH 1 FROM c');
	eventually($admin, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", 1, "$kind cursor: reads its input");
	my $before = reserved();
	$admin->do('SELECT pg_advisory_unlock(7)');
	is(scalar @{ $session->finish->{rows} }, 1, "$kind cursor: the first row");
	my $after = reserved();
	$session->do('COMMIT');
	note("$kind cursor: requested $before->[0], reserved $before->[1], then $after->[1] kB");
	return { requested => $before->[0], before => $before->[1], after => $after->[1] };
}

my $sort = 'SELECT id, c FROM (SELECT stops(id) AS id, c FROM t OFFSET 0) x ORDER BY c, id';
my $sort_of_groups = 'SELECT c, count(*) FROM (SELECT stops(id) AS id, c FROM t OFFSET 0) x GROUP BY c ORDER BY 2, 1';
in_settings('enable_sort = off', sub { learn($_) for $sort, $sort_of_groups; return; });
in_settings('wlm.need_factor = 4', sub {
	for (1 .. 2)
	{
		my $phases = phases($_ == 1 ? 'NO SCROLL' : 'SCROLL', $sort);
		is($phases->{before}, $phases->{requested}, 'a sort: reserved is what was requested');
		cmp_ok($phases->{after}, '<', $phases->{requested} / 2, 'and when it is complete, what it uses');
		cmp_ok($phases->{after}, '>', 4000, 'all of it');
	}
	return;
});
my ($kept, $freed) = in_settings('enable_sort = off', sub { return [ map { phases($_, $sort_of_groups) } 'SCROLL', 'NO SCROLL' ]; })->@*;
cmp_ok($freed->{after}, '<', 0.7 * $kept->{after}, 'a sort over groups: given back when they have been read');
settled($admin, 'nothing is left reserved');

# ---- a level that made a template slower ----

my $slow = 'SELECT count(*), max(c) FROM (SELECT c, id FROM t ORDER BY c, id OFFSET 0) x WHERE id > 1';
learn($slow);
is(run_of($slow)->{overflowed}, 0, 'a sort is given all it needs');
$session->do('SELECT wlm.flush()');
my $template = $session->value(q{SELECT template FROM wlm.history
	WHERE grant_level = 'all' AND lacking_kb > 0 AND final_state = 'completed' ORDER BY id DESC LIMIT 1});
sub curve
{
	return $session->value("SELECT string_agg(level || CASE WHEN slower THEN ' slower' ELSE '' END || coalesce(' ' || reason, ''), ','
			ORDER BY memory_kb, level DESC)
		FROM wlm.grant_curve(\$q\$$slow\$q\$) WHERE level IN ('own', 'all')");
}
my $columns = $session->value(q{SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
	WHERE attrelid = 'wlm.history'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'id'});
# What had happened, as if: half of the executions with the session's own memory, and those took 0.6 of the time.
$session->do($_) for (
	"CREATE TEMP TABLE made AS SELECT h.*, i FROM (SELECT * FROM wlm.history WHERE template = $template AND grant_level = 'all'
		ORDER BY id DESC LIMIT 1) h, generate_series(1, 30) i",
	q{UPDATE made SET actual_ms = actual_ms * CASE WHEN i % 2 = 0 THEN 0.6 ELSE 1 END,
		grant_level = CASE WHEN i % 2 = 0 THEN 'own' ELSE 'all' END,
		coverage = i % 2, grant_reason = CASE WHEN i % 2 = 0 THEN 'exploring' ELSE 'predicted' END, applied = true, finished_at = now()},
	"INSERT INTO wlm.history ($columns) SELECT $columns FROM made ORDER BY i");
$_->quit for $session, $admin;
$node->restart;
$admin = session($node, name => 'admin');
$session = session($node, name => 'moments');
eventually($admin, 'SELECT history_replayed FROM wlm.status()', 't', 'history is learned again');
is($session->value("SELECT string_agg(level, ',') FROM wlm.grant_outcomes() WHERE template = $template AND slower"), 'all',
	'wlm.grant_outcomes(): slower');
is(curve(), 'own withdrawn,all slower', 'wlm.grant_curve(): withdrawn');
like(join("\n", map { $_->[0] } @{ $session->do("SELECT wlm.explain(\$q\$$slow\$q\$)")->{rows} }),
	qr/all: .*slower, withdrawn/, 'wlm.explain(): withdrawn');
cmp_ok(run_of($slow)->{overflowed}, '>', 0, 'the next execution has the session\'s own');
$session->do($slow);
$session->do('SELECT wlm.flush()');
is($session->value("SELECT grant_level || ' ' || grant_reason || ' ' || (granted_work_mem_kb = session_work_mem_kb) FROM wlm.history
	WHERE template = $template ORDER BY id DESC LIMIT 1"), 'own withdrawn true', 'wlm.history says so');
# Tried again, but seldom.
$admin->do($_) for ('ALTER SYSTEM SET wlm.explore_rate = 0.05', 'SELECT pg_reload_conf()');
eventually($session, 'SHOW wlm.explore_rate', '0.05', 'trials are on');
for (1 .. 12)
{
	$session->do($slow);
	$session->do('SELECT wlm.flush()');
}
my $tried = $session->value("SELECT count(*) FILTER (WHERE grant_reason = 'exploring')
	FROM (SELECT * FROM wlm.history WHERE template = $template ORDER BY id DESC LIMIT 12) x");
note("$tried of 12 executions were trials");
cmp_ok($tried, '<=', 4, 'trials are few');

# What a template has never had is tried, in a few of its first executions.
my $new = 'SELECT count(*), max(c) FROM (SELECT c, b FROM t ORDER BY c DESC, b OFFSET 0) x WHERE b > 1';
for (1 .. 14)
{
	$session->do($new);
	$session->do('SELECT wlm.flush()');
}
my $trials = $session->do(q{SELECT count(*) FILTER (WHERE grant_reason = 'exploring'),
		bool_and((grant_level = 'own') = (granted_kb = 64) AND (grant_level = 'own') = spilled)
			FILTER (WHERE grant_reason = 'exploring' OR n <= 2)
	FROM (SELECT h.grant_reason, h.grant_level, o.granted_kb, o.spilled, row_number() OVER (ORDER BY h.id) AS n
		FROM wlm.history h JOIN wlm.history_operator o ON o.history_id = h.id
		WHERE h.template = (SELECT template FROM wlm.history WHERE lacking_kb > 0 ORDER BY id DESC LIMIT 1)) x})->{rows}[0];
note("$trials->[0] of its first 14 executions were trials");
cmp_ok($trials->[0], '>', 0, 'another level is tried');
cmp_ok($trials->[0], '<=', 4, 'in few executions');
is($trials->[1], 't', 'with the memory and the spill of that level');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|terminated by signal/, 'no crash');
done_testing();
