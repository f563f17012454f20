# Index builds under the budget: what is reserved and seen, the setting inside and after, and what is left alone.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use WlmTest;

my $node = start_node('maintenance', [
	"wlm.memory = '64MB'", "wlm.max_work_mem = '24MB'", "maintenance_work_mem = '1MB'", "work_mem = '1MB'",
	'max_parallel_maintenance_workers = 0', 'autovacuum = off']);
my $admin = prepare_node($node);
my $session = session($node, name => 'builder');

# 100,000 rows of 4 + 33 bytes. seen() notes what it finds in force, stops() waits for lock 7. From 17 on maintenance has a
# search_path of its own.
$session->do($_) for (
	q{CREATE TABLE data AS SELECT i, md5(i::text) AS t, ARRAY[i % 100, i % 1000] AS list FROM generate_series(1, 100000) i},
	'ANALYZE data',
	'CREATE SEQUENCE last_seen MINVALUE 0',
	q{CREATE FUNCTION seen(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
		$$BEGIN IF x = 100 THEN PERFORM setval('public.last_seen', pg_size_bytes(current_setting('maintenance_work_mem')) / 1024); END IF;
		RETURN x; END$$},
	q{CREATE FUNCTION stops(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
		$$BEGIN IF x = 100 THEN PERFORM pg_advisory_xact_lock_shared(7); END IF; RETURN x; END$$},
	q{CREATE FUNCTION fails(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
		$$BEGIN IF x = 100 THEN RAISE EXCEPTION 'failed at %', current_setting('maintenance_work_mem'); END IF; RETURN x; END$$},
	q{CREATE FUNCTION sets(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
		$$BEGIN IF x = 100 THEN PERFORM set_config('maintenance_work_mem', '3MB', false); END IF; RETURN x; END$$});

sub in_force { return $session->value('SHOW maintenance_work_mem'); }

# What the function seen() found while `statement` ran, in kB; 0 = it was not called.
sub seen_while
{
	my ($statement) = @_;
	$session->do("SELECT setval('last_seen', 0)");
	$session->do($_) for ref $statement ? @$statement : $statement;
	return $session->value('SELECT last_value FROM last_seen');
}

# --- reserved, seen, restored ---
my $found = seen_while('CREATE INDEX seen_i ON data (seen(i), t)');
cmp_ok($found, '>', 6 * 1024, 'an index build has what it needs');
cmp_ok($found, '<=', 24 * 1024, 'and no more than wlm.max_work_mem');
is(in_force(), '1MB', 'the setting is as before');
$session->do('SET enable_seqscan = off');
is($session->value('SELECT count(*) FROM data WHERE seen(i) BETWEEN 100 AND 199'), 100, 'the index is right');
$session->do('RESET enable_seqscan');
# An index that exists knows the types of its expressions.
my $rebuilt = seen_while('REINDEX INDEX seen_i');
cmp_ok($rebuilt, '>', 6 * 1024, 'REINDEX INDEX');
cmp_ok($rebuilt, '<=', $found, 'needs no more');
is(seen_while('REINDEX TABLE data'), $rebuilt, 'REINDEX TABLE');
is(seen_while('REINDEX (VERBOSE) INDEX seen_i'), $rebuilt, 'REINDEX with options');
is(seen_while(['BEGIN', 'DROP INDEX seen_i', 'SAVEPOINT s', 'CREATE INDEX seen_i ON data (seen(i), t)', 'COMMIT']), $found,
	'in a transaction block');
is(in_force(), '1MB', 'and as before again');
settled($admin, 'nothing is left reserved');

$admin->do('SELECT pg_advisory_lock(7)');
$session->send('CREATE INDEX stops_i ON data (stops(i), t)');
eventually($admin, qq{SELECT lane || ' ' || state || ' ' || applied || ' ' || (reserved_kb > 6 * 1024 AND reserved_kb = granted_kb
	AND requested_kb = reserved_kb) FROM wlm.activity WHERE pid = $session->{pid}}, 'maintenance running true true',
	'wlm.activity shows the build');
is($admin->value("SELECT a.reserved_kb = s.reserved_kb FROM wlm.activity a, wlm.status() s"), 't', 'the budget counts it');

# --- ends by itself at an error, a cancel, a lost connection ---
$admin->do("SELECT pg_cancel_backend($session->{pid})");
is($session->finish->{sqlstate}, '57014', 'cancelled');
settled($admin, 'nothing is left after a cancel');
is(in_force(), '1MB', 'the setting after a cancel');
my $lost = session($node, name => 'lost');
$lost->send('CREATE INDEX stops_i ON data (stops(i), t)');
await_state($admin, $lost, 'running');
$admin->do("SELECT pg_terminate_backend($lost->{pid})");
$lost->finish;
settled($admin, 'nothing is left after FATAL');
$admin->do('SELECT pg_advisory_unlock(7)');

my $answer = $session->query('CREATE INDEX ON data (fails(i), t)');
like($answer->{error}, qr/^failed at [1-9][0-9]*kB$/, 'a build that fails had its memory');
is(in_force(), '1MB', 'the setting after an error');
$session->do('BEGIN');
$session->do('SAVEPOINT s');
$session->query('CREATE INDEX ON data (fails(i), t)');
$session->do('ROLLBACK TO s');
is(in_force(), '1MB', 'the setting after a savepoint was rolled back');
$session->do('COMMIT');
settled($admin, 'nothing is left after errors');

# --- what statements choose themselves ---
$session->do('CREATE INDEX sets_i ON data (sets(i), t)');
is(in_force(), '1MB', 'a function of an index has its own settings, as without pg_wlm');
$session->do('DROP INDEX sets_i');
$session->do("SET maintenance_work_mem = '2MB'");
is(seen_while('REINDEX INDEX seen_i'), 2048, q{the user's own SET wins});
$session->do('SET wlm.respect_user_work_mem = off');
is(seen_while('REINDEX INDEX seen_i'), $rebuilt, 'unless told otherwise');
is(in_force(), '2MB', 'and comes back');
$session->do('RESET wlm.respect_user_work_mem');
$session->do('RESET maintenance_work_mem');
for my $off ('wlm.manage_maintenance = off', 'wlm.bypass = on', 'wlm.mode = observe', 'wlm.mode = off')
{
	my $name = (split / /, $off)[0];
	$session->do("SET $off");
	is(seen_while('REINDEX INDEX seen_i'), 1024, "not with $off");
	$session->do("RESET $name");
}

# --- statements of several transactions are left alone ---
is(seen_while('REINDEX INDEX CONCURRENTLY seen_i'), 1024, 'REINDEX CONCURRENTLY');
is(seen_while('CREATE INDEX CONCURRENTLY seen_too ON data (seen(i), t)'), 1024, 'CREATE INDEX CONCURRENTLY');
$session->do('DROP INDEX seen_too');
$session->do($_) for (
	'CREATE TABLE parts (i integer, t text) PARTITION BY RANGE (i)',
	'CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (70001)',
	'CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (70001) TO (200000)',
	'INSERT INTO parts SELECT i, t FROM data', 'ANALYZE parts');
my $parts = seen_while('CREATE INDEX parts_seen ON parts (seen(i), t)');
cmp_ok($parts, '>', 4 * 1024, 'CREATE INDEX on a partitioned table');
cmp_ok($parts, '<', $found, 'gets what its largest partition needs');
is(seen_while('REINDEX TABLE parts'), 1024, 'REINDEX of a partitioned table');
is(seen_while('REINDEX INDEX parts_seen'), 1024, 'REINDEX of a partitioned index');
is($session->value('SELECT count(*) FROM parts WHERE seen(i) BETWEEN 69990 AND 70009'), 20, 'partitions are complete');

# --- the others ---
$session->do($_) for ('CREATE MATERIALIZED VIEW copy AS SELECT i, t FROM data', 'ANALYZE copy',
	'CREATE UNIQUE INDEX copy_i ON copy (i)', 'CREATE INDEX copy_seen ON copy (seen(i), t)',
	q{INSERT INTO data VALUES (100001, 'new')});
is(seen_while('REFRESH MATERIALIZED VIEW copy'), $rebuilt, 'REFRESH MATERIALIZED VIEW');
is($session->value('SELECT count(*) FROM copy'), 100001, 'is right');
$session->do('DELETE FROM data WHERE i > 100000');
is(seen_while('REFRESH MATERIALIZED VIEW CONCURRENTLY copy'), 0, 'CONCURRENTLY builds no index');
is($session->value('SELECT count(*) FROM copy'), 100000, 'and is right');
$session->do('CREATE TABLE fresh AS SELECT i FROM data');
cmp_ok(seen_while('CREATE INDEX ON fresh (seen(i))'), '>', 5 * 1024, 'a table without statistics');
$session->do('CREATE TABLE small AS SELECT i FROM generate_series(1, 200) i');
is(seen_while('CREATE INDEX ON small (seen(i))'), 1024, 'a small one needs no more');
is(seen_while('CREATE INDEX ON data USING hash (seen(i))'), 1024, 'nor does an access method that cannot use it');
$session->do('CREATE INDEX ON data USING gin (list)');
$session->do('ALTER TABLE data ADD CONSTRAINT key UNIQUE (i, t)');
is($session->query('ALTER TABLE data ADD PRIMARY KEY (missing)')->{sqlstate}, '42703', 'errors are those of PostgreSQL');
is($session->query('CREATE INDEX ON missing (i)')->{sqlstate}, '42P01', 'a missing table');
is($session->query('REINDEX TABLE nowhere.missing')->{sqlstate}, '3F000', 'a missing schema');

# --- parallel workers ---
# They are given what the leader has, and divide it; each says what it finds in force.
$session->do($_) for (
	q{CREATE FUNCTION says(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
		$$BEGIN IF x % 20000 = 0 THEN RAISE LOG 'process % builds with %', pg_backend_pid(),
			pg_size_bytes(current_setting('maintenance_work_mem')) / 1024; PERFORM pg_sleep(0.2); END IF; RETURN x; END$$},
	'CREATE TABLE several AS SELECT * FROM data', 'ALTER TABLE several SET (parallel_workers = 2)', 'ANALYZE several',
	'SET max_parallel_maintenance_workers = 2');
for my $case ([ 'SET wlm.manage_maintenance = off', 0 ], [ 'RESET wlm.manage_maintenance', 1 ])
{
	my ($setting, $managed) = @$case;
	my $log = -s $node->logfile;
	$session->do($setting);
	$session->send('CREATE INDEX several_i ON several (says(i), t)');
	eventually($admin, "SELECT count(*) FROM pg_stat_activity WHERE leader_pid = $session->{pid} AND backend_type = 'parallel worker'", 2,
		'a build has two workers');
	my $reserved = $admin->value("SELECT coalesce(sum(reserved_kb), 0) FROM wlm.activity WHERE pid = $session->{pid}");
	is($session->finish->{sqlstate}, '', 'and ends');
	my %found = slurp_file($node->logfile, $log) =~ /process (\d+) builds with (\d+)/g;
	cmp_ok(scalar keys %found, '>', 1, 'several processes have said what they have');
	is(join(',', grep { $_ ne ($managed ? $reserved : 1024) } values %found), '', $managed ? 'what is reserved' : 'maintenance_work_mem');
	cmp_ok($reserved, $managed ? '>' : '==', $managed ? 6 * 1024 : 0, $managed ? 'for all of them once' : 'nothing is reserved');
	$session->do('SET enable_seqscan = off');
	is($session->value('SELECT count(*) FROM several WHERE says(i) BETWEEN 101 AND 200'), 100, 'the index is right');
	$session->do('RESET enable_seqscan');
	$session->do('DROP INDEX several_i');
}
$session->do('RESET max_parallel_maintenance_workers');
settled($admin, 'nothing is left of it');

# --- a budget that is full ---
# Each of three builds may have 24 MB of the pool; what the third finds is less than it wants.
$session->do($_) for ('CREATE TABLE large AS SELECT i FROM generate_series(1, 400000) i', 'ANALYZE large');
$admin->do('SELECT pg_advisory_lock(7)');
my @builders = map { session($node, name => "builder $_") } 1 .. 3;
for my $builder (@builders)
{
	$builder->send('CREATE INDEX ON large (stops(i), seen(i))');
	await_state($admin, $builder, 'running');
}
is($admin->value('SELECT s.reserved_kb <= s.budget_kb AND s.forced_kb = 0 FROM wlm.status() s'), 't', 'the budget holds');
is($admin->value("SELECT min(reserved_kb) < max(reserved_kb) FROM wlm.activity WHERE lane = 'maintenance'"), 't',
	'who comes last gets what is left');
is(seen_while('REINDEX INDEX seen_i'), 1024, 'with nothing left, the setting of the session, at once');
is($admin->value("SELECT count(*) FROM wlm.activity WHERE state = 'queued'"), 0, 'nobody waits');
$admin->do('SELECT pg_advisory_unlock(7)');
is($_->finish->{sqlstate}, '', 'builds end') for @builders;
# --- while it waits for its table ---
$admin->do($_) for ('BEGIN', 'LOCK TABLE large IN ROW EXCLUSIVE MODE');
my $waiter = session($node, name => 'waiter');
$waiter->send('CREATE INDEX ON large (i)');
eventually($admin, "SELECT count(*) FROM wlm.activity WHERE lane = 'maintenance' AND reserved_kb = 0 AND granted_kb > 2048", 1,
	'what it has reserved is lent to others');
$admin->do('COMMIT');
is($waiter->finish->{sqlstate}, '', 'and it goes on');
settled($admin, 'nothing is left in the end');

done_testing();
