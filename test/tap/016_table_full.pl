# HAZARDS, fail open: when more statements run than pg_wlm has room for, the others run unmanaged and are counted.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('full');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pg_wlm'
wlm.mode = auto
wlm.min_cost = 1
wlm.max_queries = 2
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_wlm');
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 10000) g; ANALYZE t');

my $cursors = join "\n", map { "DECLARE c$_ CURSOR FOR SELECT id FROM t ORDER BY id; FETCH 1 FROM c$_;" } 1 .. 5;
my $inside = $node->safe_psql('postgres', "BEGIN; $cursors SELECT count(*) FROM wlm.activity; FETCH ALL FROM c5;");
my @lines = split /\n/, $inside;
is(scalar(@lines), 5 + 1 + 9999, 'every cursor answers');
is($lines[5], '2', 'two of five statements are managed');
is($node->safe_psql('postgres', 'SELECT num_unmanaged_full >= 3, num_active FROM wlm.status()'), 't|0',
	'the others are counted, and nothing is left');
is($node->safe_psql('postgres', 'SELECT sum(id) FROM t'), '50005000', 'room again');
is($node->safe_psql('postgres', 'SELECT num_running + num_queued + num_returned FROM wlm.queue_state'), '0', 'all given back');

$node->stop;
done_testing();
