# Whatever pg_wlm does, the answers are those of a server that runs without it: a script with queries of every kind
# is run with wlm.mode off, observe and auto, under a small and a large budget, managing everything or expensive
# statements only, and must print the same. It shows work_mem after each step that could have changed it (HAZARDS
# G4, G5, G6, G11, G12, G16).
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $data = <<'SQL';
CREATE EXTENSION pg_wlm;
CREATE TABLE fact (id int PRIMARY KEY, k int, g int, v numeric, pad text);
INSERT INTO fact SELECT i, i * 7919 % 12000, i * 31 % 1009, i % 97, repeat(chr(97 + i % 26), 60)
FROM generate_series(1, 12000) i;
CREATE TABLE dim (k int PRIMARY KEY, label text);
INSERT INTO dim SELECT i, repeat(chr(97 + i % 26), 30) FROM generate_series(0, 11999) i;
CREATE TABLE part (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (5000);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (5000) TO (20000);
INSERT INTO part SELECT i, i % 13 FROM generate_series(1, 12000) i;
CREATE TABLE child (id int, k int REFERENCES dim ON DELETE CASCADE, note text);
CREATE TABLE log (n int, what text);
VACUUM ANALYZE;

CREATE FUNCTION work_mem() RETURNS text LANGUAGE sql VOLATILE AS $$SELECT current_setting('work_mem')$$;
CREATE FUNCTION set_session(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN IF id = 77 THEN SET work_mem = '9MB'; END IF; RETURN id; END $$;
CREATE FUNCTION set_local(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN IF id = 77 THEN SET LOCAL work_mem = '9MB'; END IF; RETURN id; END $$;
CREATE FUNCTION set_config_session(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN IF id = 77 THEN PERFORM set_config('work_mem', '9MB', false); END IF; RETURN id; END $$;
CREATE FUNCTION set_both(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN IF id = 77 THEN SET work_mem = '7MB'; SET LOCAL work_mem = '9MB'; END IF; RETURN id; END $$;
CREATE FUNCTION set_clause(id int) RETURNS int LANGUAGE plpgsql SET work_mem = '9MB' AS $$ BEGIN RETURN id; END $$;
CREATE FUNCTION set_clause_and_session(id int) RETURNS int LANGUAGE plpgsql SET work_mem = '5MB' AS $$
BEGIN IF id = 77 THEN SET work_mem = '9MB'; END IF; RETURN id; END $$;
CREATE FUNCTION reset_it(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN IF id = 77 THEN RESET work_mem; END IF; RETURN id; END $$;
CREATE FUNCTION set_and_fail(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN IF id = 77 THEN SET work_mem = '9MB'; RAISE 'failed'; END IF; RETURN id; END $$;
CREATE FUNCTION set_and_catch(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF id = 77 THEN
		BEGIN
			SET work_mem = '9MB';
			RAISE 'failed';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END IF;
	RETURN id;
END $$;
CREATE FUNCTION set_in_block(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF id = 77 THEN
		BEGIN
			SET work_mem = '9MB';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END IF;
	RETURN id;
END $$;
CREATE FUNCTION set_and_restore(id int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE before text := current_setting('work_mem');
BEGIN
	IF id = 77 THEN
		PERFORM set_config('work_mem', '9MB', false);
		PERFORM set_config('work_mem', before, false);
	END IF;
	RETURN id;
END $$;
CREATE FUNCTION set_multiplier(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN IF id = 77 THEN SET hash_mem_multiplier = 3; END IF; RETURN id; END $$;
CREATE FUNCTION nested_sort(n int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE c bigint;
BEGIN SELECT count(*) INTO c FROM (SELECT pad FROM fact WHERE g < n ORDER BY pad, id OFFSET 0) s; RETURN c; END $$;
CREATE FUNCTION nested_sql(n int) RETURNS bigint LANGUAGE sql AS $$
SELECT count(*) FROM (SELECT pad FROM fact WHERE g < n ORDER BY pad, id OFFSET 0) s $$;
CREATE FUNCTION rows_of(n int) RETURNS SETOF fact LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY SELECT * FROM fact WHERE g < n ORDER BY pad, id; END $$;
CREATE FUNCTION on_child() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO log SELECT NEW.id, label FROM dim WHERE k = NEW.k; RETURN NULL; END $$;
CREATE TRIGGER on_child AFTER INSERT ON child FOR EACH ROW WHEN (NEW.id % 100 = 0) EXECUTE FUNCTION on_child();
CREATE FUNCTION on_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO log SELECT count(*), 'statement' FROM new_rows JOIN fact USING (k); RETURN NULL; END $$;
CREATE TRIGGER on_statement AFTER INSERT ON child REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION on_statement();
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$
DECLARE r record; n int := 0;
BEGIN
	FOR r IN SELECT id FROM fact ORDER BY pad, id LIMIT 3 LOOP
		n := n + r.id;
		COMMIT;
		PERFORM count(*) FROM fact a JOIN dim USING (k);
		ROLLBACK;
	END LOOP;
	RAISE NOTICE 'sum %', n;
END $$;
CREATE ROLE chooser SUPERUSER;
ALTER ROLE chooser SET work_mem = '700kB';
SQL

# Order matters in all of these, so each result has one order only.
my @queries = (
	'SELECT md5(string_agg(id::text, $$,$$)) FROM (SELECT id FROM fact ORDER BY pad, k) s',
	'SELECT count(label), sum(v) FROM fact JOIN dim USING (k)',
	'SELECT count(*), count(label) FROM fact LEFT JOIN dim ON dim.k = fact.k + 6000',
	'SELECT count(*), count(f.id), count(d.k) FROM fact f FULL JOIN dim d ON f.k = d.k + 3000',
	'SELECT count(*) FROM fact WHERE k IN (SELECT k FROM dim WHERE label > $$m$$)',
	'SELECT count(*) FROM fact f WHERE NOT EXISTS (SELECT FROM dim d WHERE d.k = f.k AND d.label < $$m$$)',
	'SELECT count(*) FROM fact WHERE k NOT IN (SELECT k + 6000 FROM dim)',
	'SELECT md5(string_agg(g || $$:$$ || n, $$,$$ ORDER BY g)) FROM (SELECT g, count(*) n FROM fact GROUP BY g) s',
	'SELECT count(*), sum(n) FROM (SELECT pad || id, count(*) n FROM fact GROUP BY 1 HAVING count(*) > 0) s',
	'SELECT g % 3, v, count(*) FROM fact WHERE v < 4 GROUP BY GROUPING SETS ((g % 3), (v), ()) ORDER BY 1, 2',
	'SELECT g % 2, id % 2, sum(v) FROM fact GROUP BY CUBE (g % 2, id % 2) ORDER BY 1, 2',
	'SELECT count(DISTINCT pad), count(DISTINCT id) FROM fact',
	'SELECT DISTINCT g % 7 FROM fact ORDER BY 1',
	'SELECT md5(string_agg(pad, $$,$$ ORDER BY pad, id)) FROM fact',
	'SELECT sum(r), sum(s) FROM (SELECT rank() OVER (PARTITION BY g ORDER BY v, id) r, sum(v) OVER (ORDER BY id) s FROM fact) w',
	'SELECT sum(t), min(l) FROM (SELECT ntile(7) OVER (ORDER BY pad, id) t, lag(id, 3) OVER (ORDER BY pad, id) l FROM fact) w',
	'WITH c AS MATERIALIZED (SELECT * FROM fact) SELECT count(*) FROM c a JOIN c b ON a.id = b.k',
	'WITH RECURSIVE r(n) AS (SELECT 1 UNION SELECT n + 1 FROM r WHERE n < 3000) SELECT sum(n), count(*) FROM r',
	'SELECT count(*) FROM (SELECT k FROM fact INTERSECT SELECT k + 5000 FROM dim) s',
	'SELECT count(*) FROM (SELECT k FROM fact EXCEPT ALL SELECT k + 5000 FROM dim) s',
	'SELECT count(*) FROM (SELECT k FROM fact UNION SELECT k + 5000 FROM dim) s',
	'SELECT d.k, f.id FROM dim d, LATERAL (SELECT id FROM fact WHERE g = d.k ORDER BY pad, id LIMIT 1) f WHERE d.k < 5 ORDER BY 1',
	'SELECT a.v, count(*) FROM part a JOIN part b USING (id) GROUP BY a.v ORDER BY 1',
	'SELECT sum(v) FROM (SELECT * FROM part ORDER BY v, id OFFSET 100 LIMIT 7000) s',
	'SELECT id FROM fact ORDER BY pad, id LIMIT 3',
	'SELECT id FROM fact ORDER BY g, id OFFSET 11990',
	'SELECT nested_sort(500), nested_sql(500), (SELECT count(*) FROM rows_of(500))',
	'SELECT sum(nested_sort(k % 3 + 1)), sum(nested_sql(k % 3)) FROM (SELECT k FROM dim ORDER BY label, k OFFSET 0) s WHERE k < 20',
	'SELECT count(*) FROM fact a, fact b WHERE a.id = b.k AND a.pad = b.pad',
	'SELECT (SELECT max(pad) FROM fact f WHERE f.k = d.k) FROM dim d WHERE d.k % 4000 = 1 ORDER BY 1',
	'SELECT count(*) FROM generate_series(1, 20000) a JOIN generate_series(1, 20000) b ON a = b + 10',
	'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id), mode() WITHIN GROUP (ORDER BY v) FROM fact',
	'SELECT md5(array_agg(k ORDER BY k)::text) FROM (SELECT k FROM fact TABLESAMPLE SYSTEM (100) REPEATABLE (1)) s',
	'INSERT INTO child SELECT id, k, pad FROM fact WHERE id < 3000 ORDER BY pad, id',
	'SELECT n, count(*), min(what) FROM log GROUP BY n ORDER BY n LIMIT 5',
	'WITH i AS (INSERT INTO child SELECT id, k, pad FROM fact WHERE id > 11900 RETURNING id) SELECT count(*), sum(id) FROM i',
	'UPDATE child SET note = label FROM dim WHERE dim.k = child.k AND label > $$k$$',
	'DELETE FROM child USING fact WHERE child.id = fact.id AND g < 200',
	'DELETE FROM dim WHERE k % 1000 = 1',
	'MERGE INTO child USING fact ON child.id = fact.id WHEN MATCHED AND g > 900 THEN DELETE '
	  . 'WHEN MATCHED THEN UPDATE SET note = $$merged$$ WHEN NOT MATCHED AND fact.id < 3100 THEN INSERT VALUES (fact.id, NULL, $$new$$)',
	'SELECT note, count(*) FROM child GROUP BY note ORDER BY note LIMIT 5',
	'CREATE TABLE made AS SELECT g, count(*) AS n FROM fact GROUP BY g ORDER BY g',
	'SELECT md5(string_agg(made::text, $$,$$)) FROM made',
	'CREATE MATERIALIZED VIEW seen AS SELECT label, count(*) AS n FROM dim JOIN fact USING (k) GROUP BY label',
	'REFRESH MATERIALIZED VIEW seen',
	'SELECT count(*), sum(n) FROM seen',
	'COPY (SELECT id FROM fact WHERE id < 4 ORDER BY pad DESC, id) TO STDOUT',
	'ALTER TABLE fact ADD FOREIGN KEY (id) REFERENCES fact (id)',
	'DROP TABLE made', 'DROP MATERIALIZED VIEW seen',
	'SELECT id / (id - 500) FROM fact ORDER BY pad, id LIMIT 1',
	'SELECT nested_sort(g / (id - 500)) FROM fact ORDER BY pad, id',
	'CALL commits()',
	'SHOW work_mem');

# What changes work_mem inside of a query that has got some.
my @script = map { "$_;" } @queries;
foreach my $function (qw(set_session set_local set_config_session set_both set_clause set_clause_and_session reset_it
	set_and_fail set_and_catch set_and_restore set_in_block set_multiplier))
{
	my $query = "SELECT count($function(id)) FROM (SELECT id FROM fact ORDER BY pad, id OFFSET 0) s";
	my $show = "SELECT name, setting FROM pg_settings WHERE name IN ('work_mem', 'hash_mem_multiplier') ORDER BY 1;";
	push @script, "\\echo $function",
	  "$query;", $show, 'RESET work_mem; RESET hash_mem_multiplier;',
	  'BEGIN;', "$query;", $show, 'COMMIT;', $show, 'RESET work_mem; RESET hash_mem_multiplier;',
	  'BEGIN;', "SET LOCAL work_mem = '6MB';", "$query;", $show, 'COMMIT;', $show, 'RESET work_mem; RESET hash_mem_multiplier;',
	  'BEGIN;', "$query;", $show, 'ROLLBACK;', $show,
	  'BEGIN;', 'SAVEPOINT s;', "$query;", $show, 'RELEASE s;', $show, 'COMMIT;', $show, 'RESET work_mem; RESET hash_mem_multiplier;',
	  'BEGIN;', 'SAVEPOINT s;', "$query;", $show, 'ROLLBACK TO s;', $show, 'COMMIT;', $show, 'RESET work_mem; RESET hash_mem_multiplier;',
	  'BEGIN;', "DECLARE c CURSOR FOR SELECT $function(id) FROM (SELECT id FROM fact WHERE id < 100 ORDER BY pad, id OFFSET 0) s;",
	  'MOVE 3 FROM c;', $show, 'MOVE 40 FROM c;', $show, 'MOVE ALL FROM c;', $show, 'CLOSE c;', $show, 'COMMIT;', $show,
	  'RESET work_mem; RESET hash_mem_multiplier;',
	  "DO \$\$ BEGIN PERFORM $function(id) FROM fact ORDER BY pad, id; RAISE NOTICE '%', current_setting('work_mem'); END \$\$;",
	  $show, 'RESET work_mem; RESET hash_mem_multiplier;';
}
push @script, '\echo prepared';
push @script, 'PREPARE p(int) AS SELECT md5(string_agg(id::text, $$,$$ ORDER BY pad, k)) FROM fact WHERE g < $1;';
push @script, map { "SET plan_cache_mode = $_; EXECUTE p(900); EXECUTE p(500); EXECUTE p(NULL);" } qw(auto force_generic_plan force_custom_plan);
push @script, 'BEGIN; DECLARE h CURSOR WITH HOLD FOR SELECT id FROM fact ORDER BY pad, k; FETCH 2 FROM h; COMMIT; '
  . 'FETCH 2 FROM h; CLOSE h; SHOW work_mem;';
my $script = join("\n", '\set VERBOSITY terse', '\pset format unaligned', @script, '');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pg_wlm'
wlm.database = 'original'
jit = off
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE original');
$node->safe_psql('original', $data);

my $databases = 0;

sub answers
{
	my (%settings) = @_;
	my $name = 'copy_' . ++$databases;
	my $user = delete $settings{user};

	# Connections of the worker would be in the way of copying its database.
	$node->poll_query_until('postgres', qq{
		SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'original' AND backend_type <> 'autovacuum worker'});
	for my $attempt (1 .. 20)
	{
		last if $node->psql('postgres', "CREATE DATABASE $name TEMPLATE original") == 0;
		sleep 1;
	}
	local $ENV{PGOPTIONS} = join(' ', map { "-c $_=$settings{$_}" } sort keys %settings);
	my ($out, $err) = ('', '');
	$node->psql($name, $script, stdout => \$out, stderr => \$err, on_error_stop => 0,
		extra_params => [ defined $user ? ('-U', $user) : () ]);
	$node->safe_psql('postgres', "DROP DATABASE $name WITH (FORCE)");
	return { out => $out, err => $err };
}

sub same
{
	my ($answers, $expected, $name) = @_;
	is($answers->{out}, $expected->{out}, "$name: same results");
	is($answers->{err}, $expected->{err}, "$name: same errors and notices");
	return;
}

sub configure
{
	my (%settings) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $_ = '$settings{$_}'") foreach sort keys %settings;
	$node->reload;
	foreach my $setting (sort keys %settings)
	{
		$node->poll_query_until('postgres', qq{
			SELECT setting::numeric = pg_size_bytes('$settings{$setting}') / CASE unit WHEN 'kB' THEN 1024 ELSE 1 END
			FROM pg_settings WHERE name = '$setting'});
	}
	return;
}

my $off = answers('wlm.mode' => 'off', work_mem => '512kB');
like($off->{out}, qr/set_multiplier\n/, 'the script ran to its end');
cmp_ok(() = $off->{err} =~ /^/mg, '<', 60, 'with few errors') or diag($off->{err});

same(answers('wlm.mode' => 'observe', work_mem => '512kB'), $off, 'observe');
same(answers('wlm.mode' => 'auto', work_mem => '512kB'), $off, 'auto, work_mem chosen');
my @raised = ('wlm.mode' => 'auto', 'wlm.respect_user_work_mem' => 'off', work_mem => '512kB');
same(answers(@raised), $off, 'auto');
configure('wlm.min_cost' => '0');
same(answers(@raised, 'wlm.sample_rate' => 1), $off, 'everything managed and sampled');
configure('wlm.memory' => '64MB');
same(answers(@raised), $off, 'everything managed, small budget');
$node->safe_psql('original', "SELECT wlm.flush()");
cmp_ok($node->safe_psql('original', 'SELECT count(*) FROM wlm.history WHERE applied AND granted_work_mem_kb > 512'),
	'>', 100, 'grants were given');
is($node->safe_psql('original', 'SELECT num_errors FROM wlm.status()'), 0, 'no error inside pg_wlm');
is($node->safe_psql('original', 'SET wlm.bypass = on; SELECT reserved_kb, num_active FROM wlm.status()'), '0|0',
	'nothing stays reserved');

my @parallel = (max_parallel_workers_per_gather => 2, min_parallel_table_scan_size => 0, parallel_setup_cost => 0,
	parallel_tuple_cost => 0, ($node->pg_version < 16 ? 'force_parallel_mode' : 'debug_parallel_query') => 'off');
$off = answers(@parallel, 'wlm.mode' => 'off', work_mem => '512kB');
same(answers(@parallel, @raised), $off, 'parallel');
$node->safe_psql('original', "SELECT wlm.flush()");
cmp_ok($node->safe_psql('original', 'SELECT count(*) FROM wlm.history WHERE applied AND workers_planned > 0'), '>', 20,
	'many plans were parallel');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|signal \d/, 'no crash');
done_testing();
