# Fingerprints are stored in tables: they must mean the same after a restart, and in another database with the same names.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('fingerprints');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_wlm'\nmax_parallel_workers_per_gather = 0\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE other');

my $schema = <<'SQL';
CREATE EXTENSION pg_wlm;
CREATE TABLE a AS SELECT g AS id, g % 10 AS k, g::text AS t FROM generate_series(1, 20000) g;
CREATE TABLE b AS SELECT * FROM a;
CREATE INDEX ON b (id);
ANALYZE a, b;
SQL
# In the other database nothing has the same OIDs.
$node->safe_psql('other', "CREATE TABLE before AS SELECT 1; $schema");
$node->safe_psql('postgres', $schema);

my @statements = (
	'SELECT * FROM a ORDER BY t',
	'SELECT a.k, count(*) FROM a JOIN b USING (id) WHERE b.k < 7 GROUP BY a.k',
	'SELECT *, rank() OVER (PARTITION BY k ORDER BY t) FROM a WHERE id IN (SELECT id FROM b WHERE k = 3)',
	'WITH c AS MATERIALIZED (SELECT k, max(t) AS t FROM b GROUP BY k) SELECT * FROM c x, c y WHERE x.t < y.t');

sub fingerprints
{
	my ($database) = @_;
	return map {
		my $explained = $node->safe_psql($database, "SELECT * FROM wlm.explain('$_')");
		$explained =~ /Template: (-?\d+)\s+Fingerprint: (-?\d+)/ ? "$1 $2" : "none in $explained";
	} @statements;
}

my @before = fingerprints('postgres');
like($_, qr/^-?\d+ -?\d+$/, 'has fingerprints') for @before;
my %distinct = map { $_ => 1 } @before;
is(scalar(keys %distinct), scalar(@statements), 'all differ');
is_deeply([ fingerprints('other') ], \@before, 'the same in another database');
$node->restart;
is_deeply([ fingerprints('postgres') ], \@before, 'the same after a restart');

$node->stop;
done_testing();
