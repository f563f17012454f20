# Planning with another work_mem than the session's: a trial that ends well and one that does not, what
# restores the session's own plans, what cached plans do, and that nothing of it is left behind.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use WlmTest;

my $node = start_node('plan_memory', [
	'compute_query_id = on', 'wlm.explore_rate = 0.0001', "work_mem = '64kB'", "wlm.memory = '512MB'",
	'wlm.min_cost = 1000', "wlm.database = 'postgres'",
	'max_parallel_workers_per_gather = 0', 'autovacuum = off', 'jit = off']);
my $admin = session($node, name => 'admin');
my $session = session($node, name => 'session');

plan skip_all => 'the server has no ICU collations'
	if !$admin->value(q{SELECT count(*) FROM pg_collation WHERE collname = 'und-x-icu'});

# Sorting long equal beginnings under ICU is much slower than hashing them. The rows of "ascending" are in order
# already, which only the sort notices: and it need not sort by the second column, for a LIMIT, at all.
$admin->do($_) for (
	'CREATE EXTENSION pg_wlm',
	q{CREATE TABLE names AS SELECT repeat('x', 40) || md5((i * 7919 % 20000)::text) AS w FROM generate_series(1, 160000) i},
	q{CREATE TABLE ascending AS SELECT i / 2 AS g, repeat(md5('a'), 3) AS pad FROM generate_series(1, 200000) i},
	'ANALYZE names, ascending',
	# While it is evaluated by the planner: which plan does the planner make in here?
	q{CREATE FUNCTION explained() RETURNS text LANGUAGE plpgsql AS $$DECLARE line text; BEGIN
		FOR line IN EXPLAIN (COSTS OFF) SELECT g, pad, count(*) FROM ascending GROUP BY 1, 2 ORDER BY 1 LIMIT 3 LOOP
			IF line LIKE '%HashAggregate%' THEN RETURN 'hash'; END IF;
		END LOOP; RETURN 'sort'; END$$},
	q{CREATE FUNCTION plan_inside() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN explained(); END$$});

my $better = q{SELECT w COLLATE "und-x-icu" AS w, count(*) FROM names WHERE plan_inside() = 'sort' AND 1 / 1 = 1
	GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3};
my $worse = 'SELECT g, pad, count(*) FROM ascending GROUP BY 1, 2 ORDER BY 1 LIMIT 2';

sub text_of { my ($who, $query) = @_; return join("\n", map { $_->[0] } @{ $who->do($query)->{rows} }); }

sub plan_of
{
	my ($who, $statement) = @_;
	return text_of($who, "EXPLAIN (COSTS OFF) $statement") =~ /HashAggregate/ ? 'hash' : 'sort';
}

sub query_id
{
	my ($statement) = @_;
	my ($id) = text_of($session, "EXPLAIN (VERBOSE) $statement") =~ /Query Identifier: (-?\d+)/;
	return $id;
}

my %id = map { ($_ => query_id($_)) } $better, $worse;

sub trial { my ($statement, $columns) = @_; return $admin->value("SELECT $columns FROM wlm.plan_memory($id{$statement})"); }

my (%executions, %answers);

sub learned
{
	my ($statement) = @_;
	for (1 .. 200)
	{
		return 1 if (trial($statement, 'executions') || 0) >= $executions{$statement};
		usleep(50_000);
	}
	return 0;
}

# Sends each statement once more, and waits until that is learned.
sub run
{
	my ($who, @statements) = @_;
	for my $statement (@statements)
	{
		my $answer = join ';', map { join ',', @$_ } @{ $who->do($statement)->{rows} };
		$answers{$statement}{$answer}++;
		$executions{$statement}++;
	}
	learned($_) or diag("sent $executions{$_}, learned " . trial($_, q{executions})) for @statements;
	return;
}

is(plan_of($session, $_), 'sort', 'the session has little memory') for $better, $worse;
my $prepared = session($node, name => 'prepared');
$prepared->do($_) for ("PREPARE old AS $better", 'EXECUTE old');
$executions{$better}++;
ok(learned($better), 'prepared statements are followed too');
is(plan_of($prepared, 'EXECUTE old'), 'sort', 'as a prepared statement');

# --- trials ---
run($session, $worse);
run($session, $better, $worse) for 1 .. 2;
is(trial($_, 'trial'), 'watching', 'a few executions prove nothing') for $better, $worse;
is($admin->value('SELECT count(*) FROM wlm.plan_memory() WHERE other_template IS NOT NULL'), 0, 'and nothing was tried');
my %tried;
for (1 .. 60)
{
	my @open = grep { trial($_, 'trial') =~ /watching|trying/ } $better, $worse;
	last if !@open;
	$tried{$_} ||= trial($_, 'trial') eq 'trying' for @open;
	run($session, @open);
}
ok($tried{$_}, 'a trial began') for $better, $worse;
is(trial($better, 'trial'), 'accepted', 'hashing was faster');
is(trial($worse, 'trial'), 'withdrawn', 'not having to sort was faster') or diag(trial($worse, 'p FROM wlm.plan_memory() p --'));
is(trial($_, 'own_template <> other_template AND session_work_mem_kb = 64 AND other_work_mem_kb > 96'), 't',
	'two plans were compared') for $better, $worse;
is(trial($better, 'other_ms < own_ms'), 't', 'the times say so');
is(trial($worse, 'other_ms > own_ms'), 't', 'of the other too');

is(plan_of($session, $better), 'hash', 'what was accepted is planned so');
is(plan_of($session, $worse), 'sort', 'what was withdrawn is not');
is($session->value('SHOW work_mem'), '64kB', 'the setting is as it was');
is(scalar keys %{ $answers{$_} }, 1, 'the answer was always the same') for $better, $worse;
my $settled = trial($worse, 'other_runs');
run($session, $worse) for 1 .. 4;
is(trial($worse, 'trial'), 'withdrawn', 'withdrawn for good');
is(trial($worse, 'other_runs'), $settled, 'and not tried again');

$admin->do('SELECT wlm.flush()');
for ([ $better, 'accepted' ], [ $worse, 'withdrawn' ])
{
	my ($statement, $name) = @$_;
	is($admin->value("SELECT count(DISTINCT template) || ' ' || bool_and((plan_work_mem_kb = 64) = (template = m.own_template)) || ' '
		|| bool_and(plan_work_mem_kb IN (64, m.other_work_mem_kb))
		FROM wlm.history h, wlm.plan_memory(h.query_id) m WHERE h.query_id = $id{$statement}"), '2 true true',
		"wlm.history says for what the $name plans were made");
}

# --- who wants the session's own ---
for my $off ('wlm.plan_memory = off', 'wlm.bypass = on', 'wlm.mode = observe', 'wlm.mode = off', "work_mem = '64kB'", "work_mem = '80kB'")
{
	my $name = (split / /, $off)[0];
	$session->do("SET $off");
	is(plan_of($session, $better), 'sort', "not with $off");
	$session->do("RESET $name");
	is(plan_of($session, $better), 'hash', 'but after RESET');
}
$session->do($_) for ("SET work_mem = '64kB'", 'SET wlm.respect_user_work_mem = off');
is(plan_of($session, $better), 'hash', q{the user's choice, not respected});
$session->do($_) for ('RESET wlm.respect_user_work_mem', 'RESET work_mem');

# --- errors while planning ---
(my $fails = $better) =~ s{1 / 1 = 1}{1 / 0 = 1};
is(query_id("SELECT 1 WHERE 1 / 1 = 1"), query_id("SELECT 1 WHERE 1 / 2 = 1"), 'constants do not count');
is($session->query($fails)->{sqlstate}, '22012', 'the planner fails');
is($session->value('SHOW work_mem'), '64kB', 'and leaves the setting');
$session->do($_) for ('BEGIN', 'SAVEPOINT s');
is($session->query("EXPLAIN $fails")->{sqlstate}, '22012', 'in a transaction');
$session->do('ROLLBACK TO s');
is($session->value('SHOW work_mem'), '64kB', 'the same');
is(plan_of($session, $better), 'hash', 'and it goes on');
$session->do('COMMIT');

# --- cached plans ---
is(plan_of($prepared, 'EXECUTE old'), 'sort', 'a cached plan is what it was');
$prepared->do('EXECUTE old');
is(plan_of($prepared, 'EXECUTE old'), 'hash', 'until it is executed and looked at');
$prepared->do('SET wlm.plan_memory = off');
is(plan_of($prepared, 'EXECUTE old'), 'hash', 'so it is the other way round');
$prepared->do('EXECUTE old');
is(plan_of($prepared, 'EXECUTE old'), 'sort', 'back to the own plan');

# --- restart and reset ---
is($admin->value('SELECT count(*) >= 2 FROM wlm.plan_memory()'), 't', 'several statements are followed');
$_->quit for $prepared, $session, $admin;
$node->restart;
$admin = session($node, name => 'admin');
$session = session($node, name => 'session');
eventually($admin, 'SELECT history_replayed FROM wlm.status()', 't', 'history is learned again');
is(trial($better, 'trial'), 'accepted', 'what was accepted still is');
is(plan_of($session, $better), 'hash', 'and planned so');
$admin->do(q{SELECT wlm.reset('models')});
is($admin->value('SELECT count(*) FROM wlm.plan_memory()'), 0, 'reset() forgets');
is(plan_of($session, $better), 'sort', 'and plans as before');

done_testing();
