# 103_schedule.pl
#
# Training by itself: after enough statements and time, in a process of its own that can be
# ended, with the server too; never when it is switched off; one training at a time.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WlmTraining;

my $node = training_node('schedule', 'wlm.train_interval = -1', 'wlm.train_statements = 50');

sub configure
{
	my ($name, $value) = @_;
	sql($node, "ALTER SYSTEM SET $name = '$value'; SELECT pg_reload_conf()");
	ok($node->poll_query_until('postgres', "SELECT current_setting('$name') = '$value'"), "$name is $value");
	return;
}

# Switched off
run_workload($node);
sleep(2.5);
is(sql($node, 'SELECT started_at IS NULL FROM wlm.training'), 't', 'with wlm.train_interval = -1 it never starts');

# Switched on
configure('wlm.train_interval', '1s');
ok($node->poll_query_until('postgres', q{SELECT phase = 'done' FROM wlm.training}), 'models are trained without being asked for');
is(sql($node, q{SELECT reason IN ('new statements', 'predictions have become worse'), samples >= 60, problem IS NULL FROM wlm.training}), 't|t|t',
	'and training() says why');
is(sql($node, q{SELECT string_agg(DISTINCT expert, ' ' ORDER BY expert) FROM wlm.model WHERE state IN ('champion', 'challenger')}), 'graph trees',
	'rows of trees and graph');
my $started = sql($node, 'SELECT started_at FROM wlm.training');
sleep(2.5);
is(sql($node, 'SELECT started_at FROM wlm.training'), $started, 'without new statements there is nothing to train');

# While one training runs, another one does not start, and predictions and queries go on.
wrap_trainer($node);
set_fault($node, 'hang');
run_workload($node);
ok($node->poll_query_until('postgres', q{SELECT running AND phase ~ 'train' FROM wlm.training}), 'the next one starts');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity JOIN wlm.training USING (pid) WHERE backend_type = 'pg_wlm trainer'}),
	'in a process of its own') or diag(sql($node, q{SELECT backend_type FROM pg_stat_activity}));
like(fails($node, q{SELECT wlm.train('trees')}), qr/55000: cannot train expert "trees": another training is running/, 'train() of one expert says so');
is(sql($node, q{SELECT string_agg(expert, ' ' ORDER BY expert) FROM wlm.train()}), 'planner recall', 'train() of all trains the others');
ok(sql($node, 'SELECT running FROM wlm.training') eq 't', 'which does not disturb it');
sql($node, 'SELECT wlm.flush()');
pass('observations are stored meanwhile');
sql($node, 'SELECT pg_terminate_backend(pid) FROM wlm.training');
ok($node->poll_query_until('postgres', 'SELECT NOT running AND problem IS NOT NULL FROM wlm.training'), 'it can be ended');
ok($node->poll_query_until('postgres', 'SELECT launcher_running FROM wlm.status()'), 'without the launcher');

# The server stops although the trainer hangs.
run_workload($node);
ok($node->poll_query_until('postgres', q{SELECT running AND phase ~ 'train' FROM wlm.training}), 'the next one starts');
$node->stop('fast');
is(scalar(trainers($node)), 0, 'the server takes the trainer with it');
set_fault($node, 'none');
$node->start;
ok($node->poll_query_until('postgres', 'SELECT history_replayed FROM wlm.status()'), 'and starts again');
is(sql($node, 'SELECT num_errors FROM wlm.status()'), '0', 'no failure');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'no crash');
done_testing();
