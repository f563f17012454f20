# The reference in docs/reference against the catalogue: every setting, view, table, column and
# function is there as it is, and nothing else; every message of the sources is in messages.md.
use strict;
use warnings FATAL => 'all';

use File::Find;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::RealBin/../..";

sub lines_of
{
	my ($path) = @_;
	open(my $file, '<', $path) or die "cannot read $path: $!";
	my @lines = <$file>;
	close($file);
	chomp @lines;
	return @lines;
}

# Cells of a table's row, without the marks of code; empty for anything else.
sub cells_of
{
	my ($line) = @_;
	return () unless $line =~ /^\| `/;
	$line =~ s/^\|\s*|\s*\|$//g;
	return map { s/`//gr } split /\s*\|\s*/, $line, -1;
}

my $node = PostgreSQL::Test::Cluster->new('documentation');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_wlm'\nwlm.database = 'documentation'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE documentation');
$node->safe_psql('documentation', 'CREATE EXTENSION pg_wlm');

# Rows of a query as lines with | between columns.
sub rows_of
{
	my ($query) = @_;
	return [ split /\n/, $node->safe_psql('documentation', $query) ];
}

# Settings. What depends on the running server (wlm.database, set above) is taken at its built-in value.
my @documented;
for my $line (lines_of("$root/docs/reference/settings.md"))
{
	my @cells = cells_of($line) or next;
	push @documented, join('|', @cells);
}
my $actual = rows_of(q{
	SELECT concat_ws('|', name, vartype, coalesce(unit, ''), boot_val,
	       CASE WHEN vartype IN ('integer', 'real') THEN min_val || ' .. ' || max_val
	            WHEN vartype = 'enum' THEN array_to_string(enumvals, ', ') ELSE '' END,
	       CASE context WHEN 'postmaster' THEN 'start' WHEN 'sighup' THEN 'reload' ELSE context END)
	FROM pg_settings WHERE name LIKE 'wlm.%' ORDER BY name COLLATE "C"});
is_deeply(\@documented, $actual, 'settings.md lists each setting as it is');

my $prose = join("\n", lines_of("$root/docs/reference/settings.md"));
for my $name (map { (split /\|/)[0] } @$actual)
{
	like($prose, qr/^\*.*\*\*`\Q$name\E`\*\*/m, "settings.md explains $name");
}

# Views and tables, in the order of their columns.
@documented = ();
my $relation;
for my $line (lines_of("$root/docs/reference/views.md"))
{
	$relation = $1 if $line =~ /^## `wlm\.(\w+)`/;
	my @cells = cells_of($line) or next;
	push @documented, "$relation|$cells[0]|$cells[1]";
	ok($cells[2] ne '', "views.md explains $relation.$cells[0]");
}
is_deeply(
	[ sort @documented ],
	[ sort @{ rows_of(q{
		SELECT relname || '|' || attname || '|' || format_type(atttypid, atttypmod)
		FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
		WHERE relnamespace = 'wlm'::regnamespace AND relkind IN ('r', 'v') AND attnum > 0 AND NOT attisdropped}) } ],
	'views.md lists each column as it is');
is_deeply(
	rows_of(q{
		SELECT attrelid::regclass || '.' || attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
		WHERE relnamespace = 'wlm'::regnamespace AND relkind IN ('r', 'v') AND attnum > 0 AND NOT attisdropped
			AND col_description(attrelid, attnum) IS NULL}),
	[], 'each column has a comment in pg_wlm--1.0.sql');

# Functions: input arguments with defaults, and the columns of their results.
my (%inputs, %outputs, $function, $signature);
for my $line (lines_of("$root/docs/reference/functions.md"))
{
	if ($line =~ /^##/)
	{
		$function = $line =~ /^### `wlm\.(\w+)`/ ? $1 : undef;
		next;
	}
	next unless defined $function;
	if ($line eq '```')
	{
		if (defined $signature)
		{
			$signature =~ s/\s+/ /g;
			$signature =~ s/\( /(/g;
			$inputs{$function} = $1 if $signature =~ /^ ?wlm\.\Q$function\E\((.*)\) ->/;
			$signature = undef;
		}
		elsif (!exists $inputs{$function})
		{
			$signature = '';
		}
		next;
	}
	$signature .= " $line" if defined $signature;
	my @cells = cells_of($line);
	push @{ $outputs{$function} }, "$cells[0] $cells[1]" if @cells;
}

my (%actual_inputs, %actual_outputs);
for my $row (@{ rows_of(q{
	SELECT proname || '|' || pg_get_function_arguments(oid) FROM pg_proc WHERE pronamespace = 'wlm'::regnamespace}) })
{
	my ($name, $arguments) = split /\|/, $row, 2;
	my @in;
	$arguments =~ s/::[a-z ]+(\[\])?(?=,|$)//g;
	for my $argument (split /, (?=(?:OUT )?"?[a-z_0-9]+"? )/, $arguments)
	{
		if ($argument =~ s/^OUT //) { push @{ $actual_outputs{$name} }, $argument =~ s/"//gr; }
		else { push @in, $argument; }
	}
	$actual_inputs{$name} = join(', ', @in);
}
is_deeply(\%inputs, \%actual_inputs, 'functions.md lists each function with its arguments');

my $functions = join(' ', lines_of("$root/docs/reference/functions.md"));
for my $name (sort keys %actual_outputs)
{
	if ($outputs{$name})
	{
		is_deeply($outputs{$name}, $actual_outputs{$name}, "functions.md lists the columns of $name()");
	}
	else
	{
		my $columns = join(', ', map { s/^(\S+)/`$1`/r } @{ $actual_outputs{$name} });
		like($functions, qr/\Q$columns\E/, "functions.md lists the columns of $name()");
	}
}

# Messages to users: what the sources raise is in messages.md. Internal failures are not.
my $messages = join("\n", lines_of("$root/docs/reference/messages.md"));
$messages =~ s/%-?\w*/%/g;
my $count = 0;
find({
	no_chdir => 1,
	wanted => sub {
		return unless /\.cpp$/ && -f;
		my $text = join("\n", lines_of($_));
		while ($text =~ /ereport\((ERROR|WARNING|LOG),(.*?)\);/gs)
		{
			my $call = $2;
			next if $call =~ /ERRCODE_(INTERNAL_ERROR|OUT_OF_MEMORY|E_R_I_E|DATATYPE_MISMATCH)/;
			next unless $call =~ /errmsg\(((?:\s*"(?:[^"\\]|\\.)*"|\s*INT64_FORMAT)+)/;
			my $literals = $1 =~ s/INT64_FORMAT/"%d"/gr;
			my $message = '';
			$message .= $1 while $literals =~ /"((?:[^"\\]|\\.)*)"/g;
			$message =~ s/\\"/"/g;
			$message =~ s/%(?:ll|z)?[a-z]|%\.\df/%/g;
			$count++;
			ok(index($messages, $message) >= 0, "messages.md explains: $message");
		}
	}
}, "$root/src/pg");
cmp_ok($count, '>', 20, 'messages were found');

for my $line (lines_of("$root/pg_wlm--1.0.sql"))
{
	next unless $line =~ /RAISE EXCEPTION '((?:[^']|'')*)'/;
	my $message = $1;
	ok(index($messages, $message =~ s/''/'/gr) >= 0, "messages.md explains: $message")
	  unless $message =~ /^(invalid (?!priority)|wlm\.%\(\))/;
}

$node->stop;
done_testing();
