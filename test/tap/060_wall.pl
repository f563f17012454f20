# The wall between C++ and PostgreSQL: what throws, raises and unwinds 20,000 times in one backend neither crashes it
# nor makes it grow, and is an ordinary error each time. A module for tests (test/modules/wall) is built for that.
use strict;
use warnings;
use File::Basename;
use File::Path qw(make_path);
use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $makefile = abs_path(dirname(__FILE__) . '/../modules/wall/Makefile');
my $build = PostgreSQL::Test::Utils::tempdir;
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my ($out, $err);
# A make that runs us has flags that are not meant for this one.
delete local @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS VPATH)};
my $built = IPC::Run::run([ 'make', '-C', $build, '-f', $makefile, "PG_CONFIG=$pg_config" ], '>', \$out, '2>', \$err);
ok($built, 'the module builds') or BAIL_OUT("$out\n$err");

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

# Name, what it must say; undef is no error.
my %functions = (
	normal => undef,
	runtime_error => 'XX000 unexpected exception in pg_wlm: runtime error xxx',
	long_text => 'XX000 unexpected exception in pg_wlm: ' . 'y' x 255,
	bad_alloc => '53200 out of memory',
	int => 'XX000 unexpected exception in pg_wlm: unknown C++ exception',
	struct => 'XX000 unexpected exception in pg_wlm: unknown C++ exception',
	ereport => '22012 plain error 7',
	throw_in_try => 'XX000 unexpected exception in pg_wlm: runtime error xxx',
	throw_in_nested_try => 'XX000 unexpected exception in pg_wlm: unknown C++ exception',
	rethrown_as_exception => 'XX000 unexpected exception in pg_wlm: runtime error xxx',
	nested => 'XX000 unexpected exception in pg_wlm: runtime error xxx');
my $sql = join '', map { "CREATE FUNCTION wall_$_(int) RETURNS int AS '$build/wall' LANGUAGE C STRICT;\n" } sort keys %functions;
$sql .= "CREATE FUNCTION wall_too_much(int) RETURNS bigint AS '$build/wall' LANGUAGE C STRICT;\n";
$sql .= "CREATE FUNCTION wall_$_() RETURNS int AS '$build/wall' LANGUAGE C STRICT;\n" foreach qw(alive interrupts_held);
$sql .= "CREATE FUNCTION wall_length_error(int) RETURNS int AS '$build/wall' LANGUAGE C STRICT;\n";
$sql .= <<'SQL';
-- What a function says, or null.
CREATE FUNCTION message(name text, argument int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT %I(%s)', name, argument);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE PROCEDURE repeat_calls(names text[], times int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..times LOOP
		PERFORM message(names[1 + i % cardinality(names)], i);
		-- Sub-transaction ids would run out of memory otherwise.
		IF i % 500 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END
$$;
-- By contexts, and what the operating system sees of this process, kB.
CREATE FUNCTION memory(OUT contexts_kb bigint, OUT anonymous_kb bigint) LANGUAGE sql AS $$
	SELECT (SELECT sum(total_bytes)::bigint / 1024 FROM pg_backend_memory_contexts),
		substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'RssAnon:\s+(\d+)')::bigint
$$;
SQL
$node->safe_psql('postgres', $sql);

my @mixtures = ([ (sort keys %functions), 'length_error', 'too_much' ], map { [$_] } qw(runtime_error throw_in_nested_try ereport));
my $script = "SELECT pg_backend_pid();\n";
foreach my $name (sort keys %functions)
{
	$script .= "SELECT '$name ' || coalesce(message('wall_$name', 7), 'returned');\n";
}
# What the library says of itself is its own.
$script .= "SELECT '$_ ' || message('wall_$_', 7);\n" foreach qw(length_error too_much);
my $times = 20000;
foreach my $mixture (@mixtures)
{
	my $names = "'{" . join(',', map { "wall_$_" } @$mixture) . "}'";
	$script .= "CALL repeat_calls($names, 2000);\nSELECT 'before', * FROM memory();\n";
	$script .= "CALL repeat_calls($names, $times);\nSELECT 'after', * FROM memory();\n";
}
$script .= "SELECT 'alive', wall_alive();\nSELECT 'held', wall_interrupts_held();\nSELECT pg_backend_pid();\n";

my ($ret, $stdout, $stderr) = $node->psql('postgres', $script, timeout => 600, on_error_stop => 1);
is($ret, 0, 'the backend lives') or diag($stderr);
my @lines = split /\n/, $stdout;
is($lines[0], $lines[-1], 'it is one backend');
foreach my $name (sort keys %functions)
{
	my ($line) = grep { /^\Q$name\E / } @lines;
	is($line, "$name " . ($functions{$name} // 'returned'), "$name: message");
}
foreach my $name (qw(length_error too_much))
{
	like((grep { /^$name/ } @lines)[0], qr/^$name (53200 out of memory|XX000 unexpected exception in pg_wlm: \w)/, "$name: message");
}
is((grep { /^alive/ } @lines)[0], 'alive|0', 'every C++ object was destroyed');
is((grep { /^held/ } @lines)[0], 'held|0', 'no interrupt is held');

my @before = map { [ split /\|/ ] } grep { /^before/ } @lines;
my @after = map { [ split /\|/ ] } grep { /^after/ } @lines;
foreach my $i (0 .. $#mixtures)
{
	my $name = @{ $mixtures[$i] } == 1 ? $mixtures[$i][0] : 'mixture';
	note("$name: @{$before[$i]} -> @{$after[$i]}");
	# A leak of 100 bytes a call would be 2 MB.
	cmp_ok($after[$i][1] - $before[$i][1], '<', 500, "$name: memory contexts do not grow");
	cmp_ok($after[$i][2] - $before[$i][2], '<', 1500, "$name: the process does not grow");
}
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|was terminated by signal/, 'no crash');
done_testing();
