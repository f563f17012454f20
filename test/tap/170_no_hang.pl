# 170_no_hang.pl
#
# HAZARDS section 1 with every feature on at the same time: some forty sessions of every kind that has ever made a
# queue hang (cursors, nested statements, procedures with COMMIT, two-phase, utilities that span transactions, row
# locks, autocommit off, look-ups over a second connection, parallel plans), rules, preemption, now or later, while an
# administrator changes the configuration, pauses, drains, moves and cancels at random. Every answer
# must be right, everybody must come to an end, and nothing may be left.
#
# WLM_SEED=n repeats a run, WLM_SECONDS=n makes it longer.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IO::Select;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use WlmTest;

my $seed = $ENV{WLM_SEED} || int(time) % 100_000;
my $seconds = $ENV{WLM_SECONDS} || 30;
# What one statement may wait in queues at most: a few times max_wait, and wake-ups on a slow machine. What it waits for locks of those
# that run, and how long those run, is not pg_wlm's: on a machine that others use that takes any time.
my $patience = 6 * 3 + 20;
note("WLM_SEED=$seed");
srand($seed);

# Paused and drained queues, and what no lock graph shows, are bounded by max_wait alone.
my $node = start_node('no_hang', ["wlm.max_wait = '3s'", 'wlm.total_slots = 3', 'wlm.preemption = on', 'wlm.now_or_later = on',
	'max_prepared_transactions = 30', 'max_worker_processes = 24', 'min_parallel_table_scan_size = 0', 'parallel_setup_cost = 10',
	'parallel_tuple_cost = 0.001', 'max_parallel_workers_per_gather = 0', 'deadlock_timeout = 200ms', 'log_min_messages = warning',
	"wlm.memory = '64MB'"]);
my $admin = prepare_node($node, slots => 2);
my $control = session($node, name => 'control');
my $connection = sprintf('host=%s port=%d dbname=postgres', $node->host, $node->port);

$admin->do($_) for (
	'CREATE TABLE wide AS SELECT i AS id, md5(i::text) AS pad FROM generate_series(1, 10000) i',
	'CREATE TABLE scratch AS SELECT i AS id FROM generate_series(1, 2000) i',
	'CREATE TABLE counters AS SELECT i AS id, 0 AS n FROM generate_series(1, 100) i',
	'CREATE TABLE done (who text)',
	'ALTER TABLE counters ADD PRIMARY KEY (id)',
	'ANALYZE wide, scratch, counters',
	q{CREATE FUNCTION nested() RETURNS bigint LANGUAGE plpgsql COST 10000000 AS $$
		DECLARE n bigint; r record;
		BEGIN
			n := 0;
			FOR r IN SELECT id FROM wide ORDER BY pad, id LIMIT 60 LOOP n := n + 1; END LOOP;
			SELECT n + count(costly(id)) INTO n FROM numbers;
			RETURN n;
		END$$},
	q{CREATE PROCEDURE steps(who text) LANGUAGE plpgsql AS $$
		BEGIN
			FOR i IN 1 .. 3 LOOP
				INSERT INTO done SELECT who FROM (SELECT pad FROM wide ORDER BY pad, id OFFSET 9999) s;
				COMMIT;
				PERFORM count(costly(id)) FROM numbers;
			END LOOP;
		END$$},
	# neither volatile nor parallel unsafe, so that whoever calls it may give way
	q{CREATE FUNCTION nap(seconds float8) RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100000000
		AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END'},
	'CREATE EXTENSION dblink',
	qq{CREATE FUNCTION far() RETURNS bigint LANGUAGE plpgsql COST 10000000 AS \$\$
		BEGIN
			RETURN (SELECT n FROM dblink('$connection options=-cwlm.query_group=two', 'SELECT count(costly(id)) FROM numbers') AS t (n bigint));
		END \$\$},
	q{SELECT wlm.create_queue('two', query_group => 'two', priority => 'low', slot_share => 0.3)},
	q{SELECT wlm.create_queue('high', query_group => 'high', priority => 'highest')},
	q{SELECT wlm.create_queue('lonely', query_group => 'lonely', max_slots => 1)},
	q{SELECT wlm.create_queue('left', query_group => 'left', max_slots => 1)},
	q{SELECT wlm.create_rule('away', 'query_execution_time > 200ms', 'hop', queue => 'left', action_value => 'two')},
	q{SELECT wlm.create_rule('watch', 'query_execution_time > 5ms', 'log')},
	q{SELECT wlm.create_rule('sink', 'query_execution_time > 300ms', 'change_priority', action_value => 'lowest')},
	q{SELECT wlm.create_rule('out', 'query_execution_time > 500ms AND query_cpu_time > 1ms', 'hop', queue => 'one', action_value => 'two')});

my $sort = 'SELECT count(*) FROM (SELECT pad FROM wide ORDER BY pad, id OFFSET 0) s';
my $rows = 'SELECT id FROM wide ORDER BY pad, id';
my $group = 'SELECT count(*) FROM (SELECT left(pad, 3) FROM wide GROUP BY 1) s';
my $join = 'SELECT count(*) FROM wide a JOIN wide b USING (pad)';
my $heavy = 'SELECT count(*) FROM wide a JOIN wide b ON a.id % 10 = b.id % 10';
my $long = 'SELECT nap(2.5) + x FROM single';
my $groups = $admin->value($group);
my $costly = 'SELECT count(costly(id)) FROM numbers';
my $is_single = sub { my ($expected) = @_; return sub { $_[0]->{rows}[0][0] == $expected } };
my $ends = sub { 1 };
my $has_rows = sub { my ($count) = @_; return sub { @{ $_[0]->{rows} } == $count } };

# Whom a lock makes wait is let in at once: so there must be times without any, else nobody would wait for a slot.
my $pause = ['SELECT pg_sleep(3)', $ends];

# What each kind of client does over and over: statements with what their answers must be.
my $mine = 0;
my %scripts = (
	plain => sub { ([$sort, $is_single->(10000)], [$group, $is_single->($groups)], [$join, $is_single->(10000)]) },
	rows => sub { ([$rows, $has_rows->(10000)]) },
	parallel => sub {
		(['SET max_parallel_workers_per_gather = 2', $ends], [$join, $is_single->(10000)], [$rows, $has_rows->(10000)],
			['RESET max_parallel_workers_per_gather', $ends]);
	},
	autocommit_off => sub {
		my $id = 1 + ++$mine % 90;
		(['BEGIN', $ends], ["UPDATE counters SET n = n + 1 WHERE id = $id", $ends], [$sort, $is_single->(10000)],
			[$costly, $is_single->(100)], ['COMMIT', $ends]);
	},
	repeatable => sub {
		(['BEGIN ISOLATION LEVEL REPEATABLE READ', $ends], [$sort, $is_single->(10000)], [$rows, $has_rows->(10000)], ['COMMIT', $ends]);
	},
	row_lock => sub {
		(['BEGIN', $ends], ['SELECT n FROM counters WHERE id = 100 FOR UPDATE', $has_rows->(1)], [$costly, $is_single->(100)],
			['UPDATE counters SET n = n + 1 WHERE id = 100', $ends], ['COMMIT', $ends], ['SELECT pg_sleep(0.3)', $ends]);
	},
	waits_for_row => sub { (['UPDATE counters SET n = n + costly(1) WHERE id = 100', $ends]) },
	cursor => sub {
		(['BEGIN', $ends], ["DECLARE c CURSOR FOR $rows", $ends], ['FETCH 10 FROM c', $has_rows->(10)], [$costly, $is_single->(100)],
			['FETCH 10 FROM c', $has_rows->(10)], ['COMMIT', $ends]);
	},
	held => sub {
		(["DECLARE h CURSOR WITH HOLD FOR $rows", $ends], ['FETCH 10 FROM h', $has_rows->(10)], [$sort, $is_single->(10000)], ['CLOSE h', $ends]);
	},
	nested => sub { (['SELECT nested() FROM single', $is_single->(160)]) },
	savepoint => sub {
		(['BEGIN', $ends], ['SAVEPOINT s', $ends], [$sort, $is_single->(10000)], ['ROLLBACK TO s', $ends], [$group, $is_single->($groups)],
			['COMMIT', $ends]);
	},
	procedure => sub { (["CALL steps('procedure')", $ends]) },
	two_phase => sub {
		my $name = 't' . ++$mine;
		(['BEGIN', $ends], ["INSERT INTO done VALUES ('$name')", $ends], [$costly, $is_single->(100)], ["PREPARE TRANSACTION '$name'", $ends],
			[$sort, $is_single->(10000)], ["COMMIT PREPARED '$name'", $ends]);
	},
	prepared => sub { (["PREPARE p AS $group", $ends], map({ ['EXECUTE p', $is_single->($groups)] } 1 .. 7), ['DEALLOCATE p', $ends]) },
	loopback => sub { (['SELECT far() FROM single', $is_single->(100)]) },
	copies => sub { (["COPY ($rows) TO STDOUT", sub { @{ $_[0]->{copied} } == 10000 }], ["CREATE TEMP TABLE t AS $rows", $ends], ['DROP TABLE t', $ends]) },
	vacuum_full => sub { (['VACUUM FULL scratch', $ends], $pause) },
	scratch => sub { (['SELECT count(costly(id)) FROM scratch WHERE id <= 100', $is_single->(100)]) },
	concurrently => sub {
		(['CREATE INDEX CONCURRENTLY IF NOT EXISTS wide_pad ON wide (pad)', $ends], ['DROP INDEX CONCURRENTLY IF EXISTS wide_pad', $ends], $pause);
	},
	# Long enough to be worth an interruption, two by their time and one by its work.
	long => sub { ([$long, $is_single->(2)]) },
	hops => sub { ([$long, $is_single->(2)]) },
	heavy => sub { ([$heavy, $is_single->(10_000_000)]) },
	urgent => sub { ([$costly, $is_single->(100)], ['SELECT pg_sleep(0.6)', $ends]) },
	alter => sub { (['ALTER TABLE wide ADD COLUMN IF NOT EXISTS extra integer', $ends], ['ALTER TABLE wide DROP COLUMN IF EXISTS extra', $ends], $pause) },
);
# One each: those that want locks that everybody's conflict with, and those that have their place. Chance alone would hardly
# ever make somebody give way: two have a slot between them, and each time that the urgent one comes, the other has to. So
# has, for a rule, the one in the queue that it is to leave.
my %places = (alter => {}, concurrently => {}, vacuum_full => {}, long => { queue => 'lonely', priority => 'low' },
	urgent => { queue => 'lonely', priority => 'highest' }, heavy => { queue => 'one', priority => 'low' },
	hops => { queue => 'left', priority => 'low' });
my @kinds = ((sort grep { !$places{$_} } keys %scripts) x 2, sort keys %places);
my @actors;

sub connect_actor
{
	my ($actor) = @_;
	$actor->{session} = session($node, name => $actor->{kind}, queue => $actor->{queue});
	$actor->{session}->do("SET wlm.priority = '$actor->{priority}'") if $actor->{priority};
	$actor->{steps} = [];
	delete $actor->{step};
	return;
}

# Sends the next statement; starts the script anew, unless there is to be an end. False at the end.
sub go_on
{
	my ($actor, $last) = @_;
	if (!@{ $actor->{steps} })
	{
		return 0 if $last;
		$actor->{steps} = [ $scripts{ $actor->{kind} }->() ];
	}
	$actor->{step} = shift @{ $actor->{steps} };
	$actor->{sent} = time;
	$actor->{session}->send($actor->{step}[0]);
	return 1;
}

my (%wrong, %count);
my ($answered, $longest, $slowest) = (0, 0, '');

# Errors that somebody asked for, and what follows from them in the same transaction or script.
sub is_expected
{
	my ($actor, $answer) = @_;
	return 1 if $answer->{sqlstate} eq '57014' && $actor->{cancelled};
	return 1 if $answer->{sqlstate} eq '40P01' && $actor->{kind} =~ /^(alter|concurrently|vacuum_full)$/;
	return 0;
}

sub take_answer
{
	my ($actor) = @_;
	my $answer = $actor->{session}->finish;
	my $took = time - $actor->{sent};

	($longest, $slowest) = ($took, "$actor->{kind}: $actor->{step}[0]") if $took > $longest;
	$answered++;
	$count{ $actor->{kind} }++;
	if ($answer->{closed} || $answer->{sqlstate} eq '57P01')
	{
		$wrong{"$actor->{kind}: lost its connection in $actor->{step}[0]"}++ unless $actor->{terminated};
		$actor->{terminated} = $actor->{cancelled} = 0;
		connect_actor($actor);
		return;
	}
	if ($answer->{sqlstate} ne '')
	{
		$wrong{"$actor->{kind}: $answer->{sqlstate} $answer->{error} in $actor->{step}[0]"}++
			unless $actor->{step}[2] || is_expected($actor, $answer);
		# whatever it was in: begin anew as a client would, without waiting for it here
		my @clean = ('ROLLBACK', 'CLOSE ALL', 'DEALLOCATE ALL', 'DROP TABLE IF EXISTS pg_temp.t');
		push @clean, 'DROP INDEX IF EXISTS wide_pad' if $actor->{kind} eq 'concurrently';
		push @clean, 'ALTER TABLE wide DROP COLUMN IF EXISTS extra' if $actor->{kind} eq 'alter';
		push @clean, "ROLLBACK PREPARED '$1'" if $actor->{step}[0] =~ /PREPARED '(\w+)'/;
		$actor->{steps} = [ map { [$_, $ends, 'clean'] } @clean ] unless $actor->{step}[2];
	}
	elsif (!$actor->{step}[1]->($answer))
	{
		$wrong{"$actor->{kind}: wrong answer to $actor->{step}[0]"}++;
	}
	$actor->{cancelled} = 0 if $answer->{sqlstate} eq '57014';
	return;
}

# Once for each statement that takes long: what everybody waits for, to see it in the log of a failed run.
sub tell_of_slow
{
	for my $actor (grep { !$_->{finished} && time - $_->{sent} > 15 && $_->{sent} != ($_->{told} || 0) } @actors)
	{
		$actor->{told} = $actor->{sent};
		note(sprintf('%s (%d) since %.0f s: %s', $actor->{kind}, $actor->{session}{pid}, time - $actor->{sent}, $actor->{step}[0]));
		note(join(' | ', map { defined $_ ? $_ : '' } @$_)) for @{ $admin->do(q{
			SELECT a.pid, a.application_name, a.state, wait_event_type, wait_event, pg_blocking_pids(a.pid), now() - query_start AS since,
				w.state AS managed, w.queue, w.priority, w.wait_reason, w.queue_time, left(a.query, 60)
			FROM pg_stat_activity a LEFT JOIN wlm.activity w USING (pid)
			WHERE backend_type = 'client backend' AND a.state <> 'idle' ORDER BY query_start LIMIT 25})->{rows} };
		note(join(' | ', @$_)) for @{ $admin->do(q{SELECT q.queue, q.state, q.slots, q.slots_used, q.num_queued FROM wlm.queue_state q})->{rows} };
	}
	return;
}

# For what they wait, seen now and then.
my (%reasons, $looked);
sub look_at_reasons
{
	return if time - ($looked || 0) < 0.5;
	$looked = time;
	$reasons{"$_->[0] $_->[1]"} += $_->[2] for @{ $admin->do(q{SELECT queue, wait_reason, count(*) FROM wlm.activity WHERE state = 'queued'
		GROUP BY 1, 2})->{rows} };
	return;
}

sub one_of { return $_[int(rand(@_))]; }

# What administrators do, at random. Those that a state of affairs forbids may fail, but with an error of their own.
sub administrate
{
	my $actor = one_of(@actors);
	my $pid = $actor->{session}{pid};
	my $queue = one_of('one', 'two', 'high', 'default');
	my $statement = one_of(
		"SELECT wlm.alter_queue('one', max_slots => " . (1 + int(rand(3))) . ')',
		q{SELECT wlm.alter_queue('one', reset => '{max_slots}')},
		"SELECT wlm.alter_queue('two', memory_share => " . rand(0.5) . ', max_memory_share => ' . (0.5 + rand(0.5)) . ')',
		"SELECT wlm.pause_queue('$queue')", "SELECT wlm.resume_queue('$queue')", "SELECT wlm.resume_queue('$queue')",
		"SELECT wlm.drain_queue('two')", "SELECT wlm.resume_queue('two')",
		"SELECT wlm.move_query($pid, '$queue')",
		"SELECT wlm.change_query_priority($pid, '" . one_of('lowest', 'low', 'normal', 'high', 'highest', 'critical') . q{')},
		q{SELECT wlm.create_queue('passing', query_group => 'two', ordinal => 0)}, q{SELECT wlm.drop_queue('passing')},
		q{SELECT wlm.create_rule('passing', 'query_queue_time > 200ms', 'change_priority', action_value => 'high')},
		q{SELECT wlm.drop_rule('passing')},
		'ALTER SYSTEM SET wlm.total_slots = ' . int(rand(5)), 'ALTER SYSTEM SET wlm.preemption = ' . one_of('on', 'off'),
		'ALTER SYSTEM SET wlm.now_or_later = ' . one_of('on', 'off'), q{ALTER SYSTEM SET wlm.memory = '} . one_of('32MB', '64MB', '1MB') . q{'},
		'SELECT pg_reload_conf()', "SELECT wlm.cancel_queued($pid)", "SELECT pg_cancel_backend($pid)", "SELECT pg_terminate_backend($pid)");

	$actor->{cancelled} = 1 if $statement =~ /cancel/;
	$actor->{terminated} = 1 if $statement =~ /terminate/;
	my $answer = $control->query($statement);
	$wrong{"control: $answer->{sqlstate} $answer->{error} in $statement"}++
		if $answer->{sqlstate} ne '' && $answer->{error} !~ /already exists|does not exist|too many/;
	return;
}

# Who is predicted to end at once is not asked to give way, so the server has to know the long ones.
my @teachers = map { session($node, name => "teacher $_") } 1 .. 4;
$teachers[$_]->send($_ % 2 ? $long : $heavy) for 0 .. $#teachers;
is($_->finish->{error}, '', "$_->{name} is done") for @teachers;
eventually($admin, 'SELECT learner_pending_bytes FROM wlm.status()', 0, 'and it was learned from');
$_->quit for @teachers;

# For a quarter of the time the administrator leaves everything open, or hardly anybody would ever run but over the limits.
my @calm = ('ALTER SYSTEM SET wlm.preemption = on', 'ALTER SYSTEM SET wlm.total_slots = 3', q{ALTER SYSTEM SET wlm.memory = '4GB'},
	'SELECT pg_reload_conf()', q{SELECT wlm.resume_queue(q) FROM unnest('{one,two,high,default}'::name[]) q});

for my $kind (@kinds)
{
	my $actor = { kind => $kind, queue => one_of('one', 'one', 'two', 'high'), %{ $places{$kind} || {} } };
	connect_actor($actor);
	push @actors, $actor;
}
go_on($_) for @actors;

# Until the time is up everybody goes on; then each comes to the end of his script.
my $until = time + $seconds;
my $give_up = $until + 3 * $WlmTest::patience;
my ($calm_from, $calm_until) = ($until - 0.7 * $seconds, $until - 0.45 * $seconds);
my $administrated = time;
my @busy = @actors;
while (@busy && time < $give_up)
{
	my $last = time >= $until;
	my %owner = map { (fileno($_->{session}{socket}) => $_) } @busy;
	my $select = IO::Select->new(map { $_->{session}{socket} } @busy);
	my %ready = map { (fileno($_) => 1) } $select->can_read(0.05);
	for my $actor (grep { $ready{ fileno($_->{session}{socket}) } || length $_->{session}{buffer} } @busy)
	{
		take_answer($actor);
		$actor->{finished} = !go_on($actor, $last);
	}
	@busy = grep { !$_->{finished} } @busy;
	tell_of_slow();
	look_at_reasons();
	if (time >= $calm_from && @calm)
	{
		$control->do($_) for splice @calm;
	}
	if (!$last && time - $administrated > 0.1 && (time < $calm_from || time > $calm_until))
	{
		administrate();
		$administrated = time;
	}
}
is(scalar(@busy), 0, 'everybody has come to an end')
	or diag(map { sprintf("%s (%d) since %.0f s in %s\n", $_->{kind}, $_->{session}{pid}, time - $_->{sent}, $_->{step}[0]) } @busy);
is(join("\n", map { "$wrong{$_} times $_" } sort keys %wrong), '', 'every answer is right, every error was asked for');
cmp_ok(scalar(grep { $count{$_} } keys %scripts), '==', scalar(keys %scripts), 'every kind of client has been answered');
note(sprintf('%d answers, the longest after %.1f s (%s); %s', $answered, $longest, $slowest, join(', ', map { "$_ $count{$_}" } sort keys %count)));

# Everything is as it was, and still works.
$control->do($_) for ('ALTER SYSTEM RESET ALL', 'SELECT pg_reload_conf()', q{SELECT wlm.resume_queue(q) FROM unnest('{one,two,high,default}'::name[]) q});
# whose session was ended between PREPARE and COMMIT
$admin->do("ROLLBACK PREPARED '$_->[0]'") for @{ $admin->do('SELECT gid FROM pg_prepared_xacts')->{rows} };
settled($admin, 'nothing is left');
note(join(', ', map { "$_: $reasons{$_}" } sort keys %reasons));
note($_->[0]) for @{ $admin->do(q{SELECT format('%s: %s executed, %s forced, %s preempted', queue, num_executed, num_forced,
	num_preempted) FROM wlm.queue_state UNION ALL SELECT format('%s let in for a lock', num_lock_forced) FROM wlm.status()})->{rows} };
$admin->do('SELECT wlm.flush()');
cmp_ok($admin->value('SELECT max(queue_ms) / 1000 FROM wlm.history'), '<', $patience, 'nobody waited in queues for much longer than max_wait');
my $happened = $admin->do(q{SELECT sum(num_preempted), (SELECT num_lock_forced FROM wlm.status()) FROM wlm.queue_state})->{rows}[0];
cmp_ok($happened->[0], '>', 0, 'some gave way and began again');
cmp_ok($happened->[1], '>', 0, 'some were let in for a lock');
for my $action ('log', 'change_priority', 'hop')
{
	cmp_ok($admin->value("SELECT count(*) FROM wlm.rule_action WHERE applied AND action = '$action'"), '>', 0, "rules were at work: $action");
}
my $after = session($node, name => 'after', queue => 'one');
is($after->value($sort), 10000, 'a statement runs as ever');
$node->stop;
my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|server process .* was terminated by signal|TRAP|leak|WARNING:.*(snapshot|buffer|cache reference|relcache)/, 'no complaint in the log');
done_testing();
