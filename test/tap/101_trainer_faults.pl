# 101_trainer_faults.pl
#
# Whatever the trainer does (crash, hang, write rubbish, take all memory, not start), it costs a
# failed row that says why. The server does not notice, and nothing of the trainer stays behind.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use WlmTest;
use WlmTraining;

my $node = training_node('faults');
run_workload($node);
wrap_trainer($node);
my $postmaster = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/ ? $1 : 0;
my $models = q{SELECT concat_ws(' ', (SELECT model_version FROM wlm.status()),
	(SELECT string_agg(expert || version || state || coalesce(md5(content), ''), ' ' ORDER BY expert, version) FROM wlm.model WHERE content IS NOT NULL))};
is(sql($node, q{SELECT count(*) FROM wlm.train() WHERE error IS NULL}), '4', 'the trainer works');
sql($node, q{SELECT wlm.flush()});
my $before = sql($node, $models);

sub await
{
	my ($condition, $name) = @_;
	for (1 .. 900)
	{
		return pass($name) if $condition->();
		usleep(50_000);
	}
	return fail($name);
}

# A hanging trainer is ended when its time is up. That takes half a minute: meanwhile the others.
my $patient = training_node('patient', 'wlm.train_timeout = 5');
run_workload($patient);
wrap_trainer($patient);
set_fault($patient, 'hang');
my $hanging = session($patient, name => 'hanging');
$hanging->send(q{SELECT state, error FROM wlm.train('trees')});

# What it does, and what its row says.
my @faults = (
	[ 'crash', qr/terminated by signal 11/ ],
	[ 'garbage', qr/no such model/ ],
	[ 'error', qr/PG_WLM_TRAINER_FAULT is set/ ],
	[ 'truncate', qr/no such model/ ],
	[ 'oom', qr/memory|signal 9/ ],
	[ 'sh:exit 3', qr/ended with status 3/ ],
	[ 'sh:exit 0', qr/no such model/ ],
	[ 'sh:kill -9 $$', qr/terminated by signal 9/ ],
	[ 'sh:cat >/dev/null; exec head -c 200000000 /dev/zero', qr/more than its models can be/ ],
	[ 'sh:cat >/dev/null; head -c 3000000 /dev/urandom >&2', qr/no such model/ ],
	[ 'sh:cat >/dev/null; echo "failed trees: because" >&2; exit 1', qr/because/ ],
	[ 'sh:cat >/dev/null; echo "progress trees nan 1e999" >&2; printf "wlmmodel"; exit 0', qr/no such model/ ],
);
for my $case (@faults)
{
	my ($fault, $reason) = @$case;

	set_fault($node, $fault);
	like(sql($node, q{SELECT state, error FROM wlm.train('trees')}), qr/^failed\|.*$reason/, "a failed row: $fault");
	is(sql($node, $models), $before, 'models are what they were');
	like(sql($node, q{SELECT running, pid IS NULL, finished_at >= started_at, progress BETWEEN 0 AND 1, phase, problem FROM wlm.training}),
		qr/^f\|t\|t\|t\|failed\|.*$reason/, 'training() has ended, and says why');
	is(scalar(trainers($node)), 0, 'no process stays behind');
}
is(sql($node, q{SELECT count(*) FROM wlm.model WHERE state = 'failed' AND content IS NOT NULL}), '0', 'failed rows have no content');
is(sql($node, 'SELECT count(*) FROM large WHERE v < 10000'), '9993', 'queries go on');
is(sql($node, q{SELECT count(*) FROM wlm.predict('SELECT * FROM large ORDER BY v') WHERE target = 'time' AND expert = 'trees'}), '1',
	'and predictions with the model in use');
set_fault($node, 'crash');
is(sql($node, q{SELECT string_agg(expert || ' ' || (state = 'failed'), ', ' ORDER BY expert) FROM wlm.train()}),
	'graph true, planner false, recall false, trees true', 'the experts that need no trainer are trained');
$before = sql($node, $models);

# Who waits for it can be cancelled at any time.
set_fault($node, 'hang');
my $session = session($node, name => 'trainee');
my $rows = sql($node, 'SELECT count(*) FROM wlm.model');
for my $way ('pg_cancel_backend', 'statement_timeout', 'pg_terminate_backend')
{
	$session->do(q{SET statement_timeout = '3s'}) if $way eq 'statement_timeout';
	$session->send(q{SELECT * FROM wlm.train('graph')});
	await(sub { trainers($node) == 1 }, "$way: the trainer hangs");
	is(sql($node, 'SELECT running, pid FROM wlm.training'), "t|$session->{pid}", 'training() shows it');
	sql($node, "SELECT $way($session->{pid})") if $way =~ /^pg/;
	my $answer = $session->finish;
	is($answer->{sqlstate} || $answer->{closed}, $way eq 'pg_terminate_backend' ? '57P01' : '57014', 'and it ends with an error');
	await(sub { trainers($node) == 0 }, 'nothing runs any more');
	is(zombies_of($session->{pid}), 0, 'and nothing is left to be reaped');
	await(sub { sql($node, 'SELECT running, phase, problem IS NOT NULL FROM wlm.training') eq 'f|failed|t' }, 'training() has ended');
	$session->do('RESET statement_timeout') if $way eq 'statement_timeout';
}
is(sql($node, 'SELECT count(*) FROM wlm.model'), $rows, 'rows of what was cancelled are rolled back');
is(sql($node, $models), $before, 'models are what they were');

set_fault($node, 'none');
is(sql($node, q{SELECT error IS NULL FROM wlm.train('trees')}), 't', 'training works again');
is(sql($node, 'SELECT num_errors FROM wlm.status()'), '0', 'no failure inside');
like(slurp_file($node->data_dir . '/postmaster.pid'), qr/^$postmaster\n/, 'the same server all the time');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|all server processes terminated/, 'whose processes did not crash');

# The one that had to be waited for
my $answer = $hanging->finish;
is($answer->{sqlstate}, '', 'a trainer that hangs does not fail train()') or diag($answer->{error});
like(join('|', map { $_ // '' } @{ $answer->{rows}[0] || [] }), qr/^failed\|.*did not end in time/, 'and leaves a failed row');
is(scalar(trainers($patient)), 0, 'it was ended');
is(zombies_of($hanging->{pid}), 0, 'and reaped');
$patient->stop;
done_testing();
