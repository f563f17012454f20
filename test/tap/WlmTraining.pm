# WlmTraining.pm
#
# What the TAP tests of training share: a node, a small workload of many different
# plans, and a look at the processes that the server has started.
package WlmTraining;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(training_node sql fails run_workload wrap_trainer set_fault trainers zombies_of);

# training_node(NAME, SETTING...): everything but trifles is managed; with tables and the extension.
sub training_node
{
	my ($name, @settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'pg_wlm'", 'wlm.min_cost = 10',
		'wlm.flush_interval = 1', 'wlm.train_timeout = 30', 'wlm.train_memory = 256MB', 'max_parallel_workers_per_gather = 0',
		'jit = off', 'autovacuum = off', @settings, ''));
	$node->start;
	$node->safe_psql('postgres', q{
		CREATE EXTENSION pg_wlm;
		CREATE TABLE small AS SELECT i AS id, i % 50 AS k, i * 7919 % 1009 AS v, repeat('s', 40) AS pad FROM generate_series(1, 1000) i;
		CREATE TABLE middle AS SELECT i AS id, i % 200 AS k, i * 7919 % 5003 AS v, repeat('m', 60) AS pad FROM generate_series(1, 6000) i;
		CREATE TABLE large AS SELECT i AS id, i % 900 AS k, i * 7919 % 20011 AS v, repeat('l', 80) AS pad FROM generate_series(1, 20000) i;
		CREATE INDEX ON large (id);
		ANALYZE small, middle, large;
	});
	return $node;
}

# What is asked here is nothing to learn from.
sub sql { my ($node, $query) = @_; return $node->safe_psql('postgres', "SET wlm.bypass = on; $query"); }

# The message of a statement that fails, with its SQLSTATE, DETAIL and HINT; empty if it does not.
sub fails
{
	my ($node, $query, $database) = @_;
	my ($status, $out, $err) = $node->psql($database || 'postgres', $query, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $status == 0 ? '' : $err;
}

my @shapes = (
	'SELECT count(*) FROM %1$s', 'SELECT count(*) FROM %1$s WHERE v < 100', 'SELECT sum(v), max(pad) FROM %1$s WHERE k = 3 OR v > 500',
	'SELECT k, count(*) FROM %1$s GROUP BY k', 'SELECT v, sum(k) FROM %1$s GROUP BY v ORDER BY 2', 'SELECT DISTINCT v, k FROM %1$s',
	'SELECT * FROM %1$s ORDER BY v, id OFFSET 500', 'SELECT id FROM %1$s ORDER BY pad, k LIMIT 10',
	'SELECT count(*) FROM %1$s a JOIN %1$s b USING (id)', 'SELECT count(*) FROM %1$s a JOIN small b ON a.v = b.id',
	'SELECT a.k, count(*) FROM %1$s a JOIN middle b ON a.id = b.id GROUP BY a.k ORDER BY 1',
	'SELECT count(*) FROM %1$s a LEFT JOIN small b USING (id) WHERE b.id IS NULL', 'SELECT id, rank() OVER (PARTITION BY k ORDER BY v) FROM %1$s',
	'SELECT sum(v) OVER (ORDER BY id) FROM %1$s', 'SELECT v FROM %1$s UNION SELECT k FROM small', 'SELECT id FROM %1$s EXCEPT SELECT v FROM middle',
	'SELECT count(*) FROM %1$s WHERE v IN (SELECT v FROM small WHERE k < 10)', 'SELECT k, v, count(*) FROM %1$s GROUP BY ROLLUP (k, v)',
	'WITH x AS MATERIALIZED (SELECT k, avg(v) a FROM %1$s GROUP BY k) SELECT count(*) FROM x a JOIN x b USING (k)',
	'SELECT k, string_agg(pad, $$,$$ ORDER BY v) FROM %1$s WHERE k < 20 GROUP BY k', 'SELECT count(*) FROM %1$s a, small b WHERE a.k = b.k AND a.v < 50',
	'SELECT count(DISTINCT v) FROM %1$s', 'SELECT * FROM (SELECT * FROM %1$s ORDER BY v LIMIT 400) s ORDER BY id', 'SELECT pad FROM %1$s GROUP BY pad',
);

# More than 60 different plans, each as often as is asked for, learned and stored.
sub run_workload
{
	my ($node, $times) = @_;
	my @statements = map { my $shape = $_; map { sprintf($shape, $_) } qw(small middle large) } @shapes;

	$node->safe_psql('postgres', join(";\n", (@statements) x ($times || 1), 'SELECT wlm.flush()'));
	return;
}

# Has `node` start its trainer through a script that the file "fault" tells what to do: the name of a fault that the trainer
# itself knows, or a command of the shell after "sh:". The script's folder is part of the trainer's command line.
sub wrap_trainer
{
	my ($node) = @_;
	my $folder = $node->basedir;
	my $trainer = sql($node, 'SHOW wlm.trainer');

	$trainer = $node->config_data('--bindir') . "/$trainer" unless $trainer =~ m{^/};
	symlink($trainer, "$folder/pg_wlm_trainer") or die "symlink: $!";
	append_to_file("$folder/wrapper", <<"SCRIPT");
#!/bin/sh
fault=\$(cat $folder/fault)
case \$fault in
	sh:*) eval "\${fault#sh:}" ;;
	none) exec $folder/pg_wlm_trainer "\$@" ;;
	*) PG_WLM_TRAINER_FAULT=\$fault exec $folder/pg_wlm_trainer "\$@" ;;
esac
SCRIPT
	chmod(0755, "$folder/wrapper") or die "chmod: $!";
	set_fault($node, 'none');
	$node->append_conf('postgresql.conf', "wlm.trainer = '$folder/wrapper'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('wlm.trainer') ~ 'wrapper'") or die 'no reload';
	return;
}

sub set_fault
{
	my ($node, $fault) = @_;
	my $file = $node->basedir . '/fault';

	unlink($file);
	append_to_file($file, "$fault\n");
	return;
}

# Process ids of this node's trainers, of wrap_trainer().
sub trainers
{
	my ($node) = @_;
	my $folder = $node->basedir;
	my @found;

	for my $process (grep { /^\d+$/ } map { s{.*/}{}r } glob('/proc/[0-9]*'))
	{
		open(my $file, '<', "/proc/$process/cmdline") or next;
		my $line = do { local $/; <$file> };
		push @found, $process if defined $line && $line =~ m{\Q$folder\E/(pg_wlm_trainer|wrapper)\0};
	}
	return @found;
}

# How many ended children a process has not asked after.
sub zombies_of
{
	my ($parent) = @_;
	my $count = 0;

	for my $file (glob('/proc/[0-9]*/stat'))
	{
		open(my $stat, '<', $file) or next;
		my $line = <$stat>;
		$count++ if defined $line && $line =~ /^\d+ \(.*\) Z (\d+) / && $1 == $parent;
	}
	return $count;
}

1;
