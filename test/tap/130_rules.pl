# 130_rules.pl
#
# Rules while statements wait, run and end, and the execution time limit of a queue: each metric fires, with
# parallel workers; abort hits its own statement and never the next; log changes nothing; priorities and
# queues change while a statement waits or runs; what was done is in wlm.rule_action, once for each statement.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use WlmTest;

my $node = start_node('rules', [ "wlm.memory = '1GB'", 'wlm.guard_limit = 20000000', 'max_parallel_workers_per_gather = 0', 'jit = off',
	'autovacuum = off', "shared_buffers = '16MB'", 'max_worker_processes = 16', 'max_parallel_workers = 8', "effective_cache_size = '16MB'" ]);
my $admin = prepare_node($node);

$admin->do($_) for (
	q{CREATE TABLE t AS SELECT i AS id, i % 100 AS a, repeat(md5(i::text), 12) AS pad FROM generate_series(1, 100000) i},
	q{CREATE TABLE s AS SELECT i AS id FROM generate_series(1, 100000) i},
	q{CREATE INDEX ON s (id)},
	'VACUUM ANALYZE t', 'VACUUM ANALYZE s',
	q{SELECT wlm.create_queue('two', max_slots => 1, query_group => 'two')});

# Fires the reading of the configuration and waits until it is in force.
sub in_force
{
	my ($name) = @_;
	return eventually($admin, 'SELECT count(*) FROM wlm.queue_state WHERE queue = \'mark' . mark() . q{'}, 1, $name);
}

my $marks = 0;
sub mark
{
	$admin->do("SELECT wlm.drop_queue('mark$marks')") if $marks > 0;
	$marks++;
	$admin->do("SELECT wlm.create_queue('mark$marks', query_group => 'nobody')");
	return $marks;
}

# rules([NAME, PREDICATES, ACTION, QUEUE, VALUE]...): these and no others.
sub rules
{
	my (@rules) = @_;
	$admin->do('DELETE FROM wlm.rule');
	for my $rule (@rules)
	{
		my ($name, $predicates, $action, $queue, $value) = @$rule;
		$admin->do("SELECT wlm.create_rule('$name', '$predicates', '$action'" . ($queue ? ", queue => '$queue'" : '')
			. ($value ? ", action_value => '$value'" : '') . ')');
	}
	return in_force(@rules == 1 ? "rule $rules[0][0]" : scalar(@rules) . ' rules');
}

# What was recorded of a session's statements: "rule action applied", in the order of names.
sub recorded
{
	my ($session, $columns) = @_;
	$columns = q{rule || ' ' || action || ' ' || applied} unless defined $columns;
	$admin->do('SELECT wlm.flush()');
	my $value = $admin->value("SELECT string_agg($columns, ', ' ORDER BY rule) FROM wlm.rule_action WHERE pid = $session->{pid}");
	$admin->do("DELETE FROM wlm.rule_action WHERE pid = $session->{pid}");
	return defined $value ? $value : '';
}

sub stopped { return $admin->value('SELECT num_stopped FROM wlm.status()'); }

my $user = session($node, name => 'user');
my $aborted = sub { return qq{canceling statement due to workload rule "$_[0]"} };
# Runs for `seconds`, and is managed.
sub idle { my ($seconds) = @_; return "SELECT costly(x), pg_sleep($seconds) FROM single"; }

# Nothing is recorded, and nothing happens, without rules.
$user->do(idle(0.5));
is(recorded($user), '', 'without rules nothing is recorded');

# Each metric, by a rule that ends the statement.
my $join = 'SELECT count(*), pg_sleep(60) FROM t t1 JOIN s ON s.id = t1.id';
my %case = (
	query_execution_time => [ 'query_execution_time > 700', idle(60) ],
	query_cpu_time => [ 'query_cpu_time > 500', 'SELECT sum(hashtext(repeat(t1.pad, 5))) FROM t t1, generate_series(1, 10000)' ],
	query_temp_blocks_to_disk => [ 'query_temp_blocks_to_disk > 100', q{SET work_mem = '64kB'},
		'SELECT pg_sleep(60) FROM (SELECT pad FROM t ORDER BY pad DESC OFFSET 99999) s' ],
	query_blocks_read => [ 'query_blocks_read > 1000', 'SELECT count(pad), pg_sleep(60) FROM t' ],
	scan_row_count => [ 'scan_row_count > 150000', $join ],
	join_row_count => [ 'join_row_count > 99000', 'SET enable_nestloop = off', $join ],
	nested_loop_join_row_count => [ 'nested_loop_join_row_count > 99000', 'SET enable_hashjoin = off', 'SET enable_mergejoin = off', $join ],
	return_row_count => [ 'return_row_count > 50', 'SELECT id, pg_sleep(0.02) FROM t' ],
	query_memory_kb => [ 'query_memory_kb > 30000', 'SELECT cardinality(a), pg_sleep(60) FROM (SELECT array_agg(pad || id) AS a FROM t) s' ],
);
for my $metric (sort keys %case)
{
	my ($predicate, @statements) = @{ $case{$metric} };
	my ($threshold) = $predicate =~ /(\d+)$/;
	my $statement = pop @statements;
	rules([ 'r', $predicate, 'abort' ]);
	$user->do($_) for ('DISCARD ALL', @statements);
	my $before = stopped();
	my $started = time;
	my $answer = $user->query($statement);
	is($answer->{error}, $aborted->('r'), "$metric ends the statement");
	is($answer->{sqlstate}, '57014', 'as a cancel');
	my ($value) = ($answer->{detail} || '') =~ /^\Q$metric\E was ([\d.]+), over $threshold\.$/;
	cmp_ok($value || 0, '>', $threshold, 'the DETAIL has the numbers') or diag($answer->{detail});
	like($answer->{hint} || '', qr/wlm\.rule/, 'the HINT says where the rule is');
	is(stopped(), $before + 1, 'num_stopped');
	is($user->value('SELECT count(*) FROM single'), 1, 'the session goes on');
	is(recorded($user, q{concat_ws(' ', rule, action, applied, metric, metric_value > }
		. "$threshold, queue, database, role = current_user)"), "r abort t $metric t default postgres t", 'wlm.rule_action');
}
$user->do('DISCARD ALL');

# Parallel workers: rows, CPU time and blocks of all processes count.
my @parallel = ('SET wlm.reduce_workers = off', 'SET max_parallel_workers_per_gather = 2', 'SET parallel_setup_cost = 0', 'SET parallel_tuple_cost = 0',
	'SET min_parallel_table_scan_size = 0', 'SET parallel_leader_participation = off');
$user->do($_) for @parallel;
for my $case (
	[ 'scan_row_count > 30000', q{SELECT count(*) FROM t WHERE id % 40000 <> 39999 OR pg_sleep(30) IS NOT NULL} ],
	[ 'query_cpu_time > 600', 'SELECT sum(hashtext(repeat(t.pad, 50))) FROM t, generate_series(1, 1000)' ])
{
	rules([ 'r', $case->[0], 'abort' ]);
	my $answer = $user->query($case->[1]);
	is($answer->{error}, $aborted->('r'), "parallel workers: $case->[0]") or diag(join("\n", map { $_->[0] } @{ $user->query("EXPLAIN $case->[1]")->{rows} }));
}
recorded($user);
rules([ 'rows', 'scan_row_count > 99999', 'log' ], [ 'more', 'scan_row_count > 100001', 'log' ], [ 'blocks', 'query_blocks_read > 100000', 'log' ]);
is($user->value('SELECT count(*) FROM t'), 100000, 'a parallel statement that ends');
is(recorded($user), 'rows log true', 'is counted once: rows of workers, and none twice');
is($user->do('EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) SELECT count(*) FROM t')->{tag}, 'EXPLAIN', 'the same with instrumentation');
is(recorded($user), 'rows log true', 'is counted once too');
$user->do('DISCARD ALL');

# Abort never hits what comes next: requests that come late, again and again.
rules([ 'late', 'query_execution_time > 60', 'abort' ]);
my ($wrong, $end) = (0, time + 25);
my %seen;
for my $round (1 .. 500)
{
	my $answer = $user->query('SELECT costly(x), pg_sleep(' . (0.2 + ($round % 40) / 200) . ') FROM single');
	$seen{ $answer->{error} || 'completed' }++;
	for my $next ('SELECT 1', 'SELECT pg_sleep(0.01)', 'SELECT costly(x) FROM single', 'SELECT count(*) FROM pg_class')
	{
		$answer = $user->query($next);
		$wrong++ if $answer->{error};
	}
	last if time > $end;
}
note(join(', ', map { "$_: $seen{$_}" } sort keys %seen));
is($wrong, 0, 'a late abort does not hit the next statement');
is(join(',', grep { $_ ne 'completed' && $_ ne $aborted->('late') } keys %seen), '', 'each statement ends, or is aborted');
is(scalar(grep { $_ eq 'completed' } keys %seen) && $seen{ $aborted->('late') } ? 1 : 0, 1, 'both were seen');
$admin->do('SELECT wlm.flush()'); # a statement of its own: what it writes is younger than its snapshot
is($admin->value('SELECT count(*) FROM wlm.rule_action WHERE applied'), $seen{ $aborted->('late') } || 0, 'each abort is recorded as applied');
recorded($user);
settled($admin, 'nothing is left behind');

# Log: results are the same.
rules([ 'seen', 'query_execution_time > 100; query_cpu_time < 100000' =~ s/;/ AND/r, 'log' ]);
is($user->value(q{SELECT sum(costly(id)) FROM s WHERE id <= 1000 AND pg_sleep(0.0005) IS NOT NULL}), 500500, 'log changes nothing');
is(recorded($user), 'seen log true', 'but is recorded once');

# Of several the severest acts, and all are recorded.
rules([ 'a', 'query_execution_time > 300', 'log' ], [ 'b', 'query_execution_time > 300', 'change_priority', undef, 'high' ],
	[ 'c', 'query_execution_time > 300', 'abort' ], [ 'd', 'query_execution_time > 300', 'hop', undef, 'two' ]);
is($user->query(idle(30))->{error}, $aborted->('c'), 'the severest acts');
is(recorded($user, q{rule || ' ' || applied}), 'a true, b false, c true, d false', 'all are recorded');

# While it runs: another priority.
rules([ 'slower', 'query_execution_time > 300', 'change_priority', undef, 'low' ]);
$user->send(idle(3));
eventually($admin, "SELECT priority FROM wlm.activity WHERE pid = $user->{pid}", 'low', 'change_priority while it runs');
is($user->finish->{error}, '', 'it goes on');
is(recorded($user), 'slower change_priority true', 'recorded');
is($admin->value('SELECT priority FROM wlm.history ORDER BY id DESC LIMIT 1'), 'low', 'wlm.history has what it ended with');

# While it runs: another queue, whose slots it takes; the old one has room again.
rules([ 'away', 'query_execution_time > 300', 'hop', 'one', 'two' ]);
my $one = session($node, name => 'one', queue => 'one');
my $next = session($node, name => 'next', queue => 'one');
$one->send(idle(4));
await_state($admin, $one, 'running');
$next->send(idle(0.1));
is($next->finish->{error}, '', 'who waited in the old queue runs');
is($admin->value("SELECT queue || ' ' || state FROM wlm.activity WHERE pid = $one->{pid}"), 'two running', 'while it runs in the new one');
is(counter($admin, 'slots_used', 'two') . counter($admin, 'slots_used', 'one'), '10', 'where its slot counts');
is($one->finish->{error}, '', 'and goes on');
is(recorded($one), 'away hop true', 'recorded');
settled($admin, 'nothing is left behind');

# Priorities and queues while it waits.
rules([ 'urgent', 'query_queue_time > 500', 'change_priority', 'one', 'highest' ]);
my $holder = hold_slot($admin, $node);
$next->send(idle(0));
eventually($admin, "SELECT priority || ' ' || state FROM wlm.activity WHERE pid = $next->{pid}", 'highest queued', 'change_priority while it waits');
$admin->do('SELECT pg_advisory_unlock(1)');
is($next->finish->{error} . $holder->finish->{error}, '', 'both end');
is(recorded($next), 'urgent change_priority true', 'recorded');
rules([ 'away', 'query_queue_time > 500', 'hop', 'one', 'two' ]);
$holder = hold_slot($admin, $node);
is($next->query(idle(0))->{error}, '', 'hop while it waits: it runs in the other queue');
is(recorded($next), 'away hop true', 'recorded');
$admin->do("SELECT wlm.alter_queue('two', max_queue_length => 0, state => 'paused')");
eventually($admin, "SELECT state FROM wlm.queue_state WHERE queue = 'two'", 'paused', 'nobody may wait in the other queue');
$next->send(idle(0));
usleep(2_500_000);
is($admin->value("SELECT queue || ' ' || state FROM wlm.activity WHERE pid = $next->{pid}"), 'one queued', 'a hop to a full queue leaves it where it waits');
$admin->do('SELECT pg_advisory_unlock(1)');
is($next->finish->{error} . $holder->finish->{error}, '', 'both end');
is(recorded($next), 'away hop false', 'recorded as not applied');
$admin->do("SELECT wlm.alter_queue('two', reset => '{max_queue_length,state}')");
eventually($admin, "SELECT state FROM wlm.queue_state WHERE queue = 'two'", 'open', 'the other queue is open again');
$holder = hold_slot($admin, $node);
rules([ 'tired', 'query_queue_time > 500', 'abort' ]);
my $answer = $next->query(idle(0));
is($answer->{error} . ' ' . $answer->{sqlstate}, $aborted->('tired') . ' 57014', 'abort while it waits');
like($answer->{detail} || '', qr/^query_queue_time was \d+, over 500\.$/, 'with the numbers');
is(recorded($next), 'tired abort true', 'recorded');
$admin->do('SELECT pg_advisory_unlock(1)');
is($holder->finish->{error}, '', 'who held the slot has not waited');
settled($admin, 'nothing is left behind');

# The execution time limit is that of the queue where the statement is.
rules();
$admin->do(q{SELECT wlm.alter_queue('two', max_execution_time => '700 ms')});
in_force('max_execution_time');
my $two = session($node, name => 'two', queue => 'two');
my $limited = 'canceling statement due to workload queue execution time limit';
$answer = $two->query(idle(30));
is($answer->{error} . ' ' . $answer->{sqlstate}, "$limited 57014", 'the execution time limit');
like($answer->{detail} || '', qr/^The statement ran for \d+ ms; queue "two" allows 700 ms\.$/, 'with the numbers');
like($answer->{hint} || '', qr/max_execution_time/, 'and what to do');
is($two->query(idle(0.1))->{error} . $next->query(idle(1.2))->{error}, '', 'shorter ones, and those of other queues, end');
rules([ 'away', 'query_execution_time > 300', 'hop', 'one', 'two' ]);
is($next->query(idle(30))->{error}, $limited, 'who hops gets the limit of the new queue');

# A subtransaction whose rollback takes longer than a tick of the timer: the error says all the same why it was raised.
$two->do(q{CREATE FUNCTION undo_much() RETURNS void LANGUAGE plpgsql COST 1000000 AS $$
BEGIN
	FOR i IN 1 .. 400 LOOP
		EXECUTE format('CREATE TEMP TABLE much%s (a text, b text, c text UNIQUE)', i);
	END LOOP;
	PERFORM pg_sleep(30);
EXCEPTION WHEN division_by_zero THEN
	NULL;
END $$});
is($two->query('SELECT undo_much() FROM numbers LIMIT 1')->{error}, $limited, 'also after a long rollback');
$two->do('BEGIN; DECLARE c CURSOR FOR SELECT costly(id), pg_sleep(0.02) FROM numbers');
$two->do('FETCH 5 FROM c');
usleep(1_500_000);
is($two->query('FETCH 5 FROM c')->{error}, '', 'between fetches of a cursor no time passes');
is($two->query('FETCH ALL FROM c')->{error}, $limited, 'while it runs it does');
$two->do('ROLLBACK');
$admin->do(q{SELECT wlm.alter_queue('two', reset => '{max_execution_time}')});

# Cursors: rows and time over all fetches; nothing else that the session does.
rules([ 'rows', 'return_row_count > 60', 'abort' ]);
$user->do('BEGIN; DECLARE c CURSOR FOR SELECT costly(id), pg_sleep(0.02) FROM numbers');
$user->do('FETCH 40 FROM c');
is($user->query('SELECT count(*), pg_sleep(0.5) FROM generate_series(1, 1000)')->{error}, '', 'another statement beside a cursor');
is($user->query('FETCH 60 FROM c')->{error}, $aborted->('rows'), 'a cursor: rows of all fetches');
$user->do('ROLLBACK');

# Functions, and blocks that catch errors.
rules([ 'long', 'query_execution_time > 300', 'abort' ]);
my $block = q{DO $$ BEGIN BEGIN PERFORM costly(x), pg_sleep(30) FROM single; EXCEPTION WHEN %s THEN RAISE NOTICE 'caught'; END; PERFORM pg_sleep(0.5); END $$};
is($user->query(sprintf($block, 'others'))->{error}, $aborted->('long'), 'WHEN OTHERS does not catch it');
is($user->query(sprintf($block, 'query_canceled'))->{error}, '', 'WHEN query_canceled does, and the function goes on');
$user->do(q{CREATE FUNCTION inner_sleep() RETURNS integer LANGUAGE plpgsql COST 10000000 AS 'BEGIN PERFORM costly(x), pg_sleep(30) FROM single; RETURN 1; END'});
is($user->query('SELECT inner_sleep() FROM single')->{error}, $aborted->('long'), 'what a function runs counts for its caller');
$user->do('BEGIN; SAVEPOINT a');
is($user->query(idle(30))->{error}, $aborted->('long'), 'in a savepoint');
is($user->do('ROLLBACK TO a') && $user->value('SELECT count(*) FROM single'), 1, 'the transaction goes on');
$user->do('COMMIT');
$user->parse('', idle(30));
$user->bind('', '');
$user->execute('');
$user->sync;
is($user->finish->{error}, $aborted->('long'), 'in the extended protocol');
recorded($user);

# Other cancels keep their messages.
$user->do(q{SET statement_timeout = '200ms'});
is($user->query(idle(30))->{error}, 'canceling statement due to statement timeout', 'statement_timeout comes first');
$user->do('RESET statement_timeout');

# In mode observe rules are recorded, and only log is applied.
rules([ 'long', 'query_execution_time > 300', 'abort' ], [ 'seen', 'query_execution_time > 300', 'log' ]);
$user->do('SET wlm.mode = observe');
is($user->query(idle(1))->{error}, '', 'mode observe: nothing is aborted');
is(recorded($user), 'long abort false, seen log true', 'what would have been done is recorded');
$user->do('SET wlm.mode = auto');

# A short statement is judged at its end.
rules([ 'short', 'return_row_count > 99', 'abort' ]);
is($user->query('SELECT costly(id) FROM numbers')->{error}, '', 'a statement that ends before anybody looks');
is(recorded($user), 'short abort false', 'is recorded');

# A statement keeps the rules with which it began; what they did is recorded under their names.
rules([ 'old', 'query_execution_time > 2500', 'abort' ]);
$user->send(idle(30));
await_state($admin, $user, 'running');
rules([ 'new', 'query_execution_time > 100', 'log' ]);
is($user->finish->{error}, $aborted->('old'), 'a rule that is gone by now');
is(recorded($user), 'old abort true', 'is recorded');

# As many as there can be.
rules(map { [ "r$_", 'query_execution_time > ' . (10 * $_), 'log' ] } 1 .. 25);
is($user->query(idle(0.8))->{error}, '', '25 rules');
is(recorded($user, 'metric'), join(', ', ('query_execution_time') x 25), 'each fires once');
like($admin->query(q{SELECT wlm.create_rule('r26', 'query_execution_time > 1', 'log')})->{error}, qr/too many rules/, 'there can be no more');

# Without the launcher abort works, and is recorded at the end.
rules([ 'long', 'query_execution_time > 1500', 'abort' ]);
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
my ($launcher) = map { /^\s*(\d+)\s+$postmaster\s.*pg_wlm launcher/ ? $1 : () } `ps -eo pid,ppid,args`;
$user->send(idle(30));
await_state($admin, $user, 'running');
kill 'STOP', $launcher;
is($user->finish->{error}, $aborted->('long'), 'without the launcher abort works');
kill 'CONT', $launcher;
is(recorded($user), 'long abort true', 'and is recorded');

# wlm.history_rows bounds the table; reset() empties it.
$admin->do(q{SELECT wlm.reset('history')});
is($admin->value('SELECT count(*) FROM wlm.rule_action'), 0, 'reset() empties wlm.rule_action');

# reset() sets all counters of status() back; what fires next is acted on all the same.
cmp_ok($admin->value('SELECT least(num_stopped, num_rules_fired) FROM wlm.status()'), '>', 0, 'something was counted');
$admin->do('SELECT wlm.reset()');
is($admin->value(q{SELECT num_stopped || ' ' || num_preempted || ' ' || num_rules_fired FROM wlm.status()}), '0 0 0', 'and is forgotten');
rules([ 'first', 'query_execution_time > 100', 'log' ]);
$user->query(idle(1.5));
is(recorded($user), 'first log true', 'the first rule after that is recorded');
settled($admin, 'nothing is left behind at the end');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|terminated by signal/, 'no crash');
done_testing();
