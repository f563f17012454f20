# 100_training.pl
#
# train() on a small workload: models of all experts, shown, published, used, rolled back,
# kept over a restart; and without the trainer program the rest goes on.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use WlmTraining;

my $node = training_node('training');
my $seen = 'SELECT v, sum(k) FROM middle GROUP BY v ORDER BY 2';
my $unseen = 'SELECT k, max(v) FROM middle WHERE id < 4000 GROUP BY k HAVING count(*) > 2 ORDER BY 2';
my $experts = q{string_agg(expert, ' ' ORDER BY expert)};

sub opinions
{
	my ($query) = @_;
	return sql($node, "SELECT $experts FROM wlm.predict('$query') WHERE target = 'time' AND expert <> 'mixture'");
}

# Nothing to learn from
is(sql($node, 'SELECT running, phase IS NULL, started_at IS NULL FROM wlm.training'), 'f|t|t', 'no training yet');
like(fails($node, q{SELECT wlm.train('trees')}), qr/55000: cannot train expert "trees": .*HINT/s, 'too little history');
is(sql($node, q{SELECT running, phase, problem <> '' FROM wlm.training()}), 'f|failed|t', 'training() says why');
like(fails($node, q{SELECT wlm.train('gate')}), qr/0A000: expert "gate" cannot be trained.*HINT/s, 'the gate learns by itself');

run_workload($node);
cmp_ok(sql($node, 'SELECT count(DISTINCT fingerprint) FROM wlm.history'), '>=', 60, 'a workload of many plans');

# All experts
my $version = sql($node, 'SELECT model_version FROM wlm.status()');
my $rows = sql($node, q{SELECT string_agg(expert || ':' || (state IN ('champion', 'challenger')) || ':' || coalesce(error, ''), ' ' ORDER BY expert)
	FROM wlm.train()});
is($rows, 'graph:true: planner:true: recall:true: trees:true:', 'train() has a row of each expert');
is(sql($node, q{SELECT running, reason, phase, progress, samples >= 60, finished_at >= started_at, problem IS NULL FROM wlm.training}),
	'f|wlm.train()|done|1|t|t|t', 'training() says that it is done');
is(sql($node, q{SELECT bool_and(metrics ?& '{statements,plans,judged,time}' AND (metrics ->> 'judged')::int >= 10)
	FROM wlm.model WHERE expert IN ('trees', 'graph') AND state <> 'retired'}), 't', 'metrics of trees and graph');
is(sql($node, q{SELECT count(*) FROM wlm.model WHERE (state = 'champion') <> (content IS NOT NULL) AND state <> 'retired'}), '0',
	'only champions have content');
cmp_ok(sql($node, 'SELECT model_version FROM wlm.status()'), '>=', $version, 'the version of the models counts up');
my $opinions = opinions($seen);
like($opinions, qr/\bgraph\b.*\btrees\b/, 'trees and graph answer') or diag(sql($node, 'SELECT expert, state, metrics FROM wlm.model'));
like(opinions($unseen), qr/\bgraph\b.*\btrees\b/, 'also about what was never seen');

# What they know
is(sql($node, q{SELECT count(*) > 0 AND bool_and(abs(s - 1) < 0.001) FROM (SELECT sum(importance) s FROM wlm.feature_importance() GROUP BY target) x}),
	't', 'importance of features adds up to 1');
is(sql($node, q{SELECT count(*) FROM wlm.feature_importance() WHERE feature IS NULL OR importance < 0 OR expert <> 'trees'}), '0', 'and is never negative');
is(sql($node, q{SELECT count(*), count(DISTINCT expert) FROM wlm.expert_accuracy}), '18|6', 'accuracy of all experts');

# Publishing another model and going back
my $in_use = sql($node, q{SELECT md5(wlm.export_model('trees'))});
$version = sql($node, 'SELECT model_version FROM wlm.status()');
my $trees = sql($node, q{SELECT version FROM wlm.model WHERE expert = 'trees' AND state = 'champion'});
is(sql($node, q{SELECT expert, state, metrics FROM wlm.import_model(wlm.export_model('trees'))}), 'trees|champion|{"imported": true}', 'an import is a champion');
cmp_ok(sql($node, 'SELECT model_version FROM wlm.status()'), '>', $version, 'and is published');
$version = sql($node, 'SELECT model_version FROM wlm.status()');
is(sql($node, q{SELECT expert, state FROM wlm.rollback('trees')}), 'trees|champion', 'rollback() takes the one before');
cmp_ok(sql($node, 'SELECT model_version FROM wlm.status()'), '>', $version, 'and publishes it');
is(sql($node, q{SELECT md5(wlm.export_model('trees'))}), $in_use, 'which is the one that was in use');
is(sql($node, q{BEGIN; SELECT count(*) FROM wlm.train('trees'); ROLLBACK; SELECT md5(wlm.export_model('trees'))}), "1\n$in_use",
	'a training that is rolled back publishes nothing');

# Neighbours are the examples of the graph model in use
sql($node, q{SELECT count(*) FROM wlm.import_model(wlm.export_model('graph'))});
run_workload($node);
is(sql($node, "SELECT rank, same_plan, round(distance::numeric, 2), executions >= 1, mean_ms > 0 FROM wlm.neighbours('$seen') WHERE same_plan"),
	'1|t|0.00|t|t', 'a plan that was seen is its own nearest neighbour');
is(sql($node, "SELECT bool_and(fingerprint IN (SELECT fingerprint FROM wlm.plan)), count(*) > 1, sum(weight) <= 1.001, bool_and(distance >= 0)
	FROM wlm.neighbours('$unseen')"), 't|t|t|t', 'a plan that was not has neighbours');

# A restart
my $champions = q{SELECT string_agg(expert || version, ' ' ORDER BY expert) FROM wlm.model WHERE state = 'champion'};
my $answers = "SELECT string_agg(expert || ' ' || round(estimate::numeric, 3), ', ' ORDER BY expert)
	FROM wlm.predict('$unseen') WHERE target = 'time' AND expert IN ('trees', 'graph')";
my @before = map { sql($node, $_) } $champions, $answers;
my $neighbour = sql($node, "SELECT fingerprint FROM wlm.neighbours('$seen') WHERE rank = 1");
$node->restart;
ok($node->poll_query_until('postgres', 'SELECT history_replayed FROM wlm.status()'), 'history is read after a restart');
is(sql($node, $champions), $before[0], 'champions are the same after a restart');
is(sql($node, $answers), $before[1], 'and answer the same');
is(sql($node, "SELECT fingerprint FROM wlm.neighbours('$seen') WHERE rank = 1"), $neighbour, 'neighbours are back');
is(sql($node, 'SELECT running FROM wlm.training'), 'f', 'no training runs');

# Without the program
for my $trainer ('/nonexistent/pg_wlm_trainer', '/bin/false', '/')
{
	sql($node, "ALTER SYSTEM SET wlm.trainer = '$trainer'; SELECT pg_reload_conf()");
	ok($node->poll_query_until('postgres', "SELECT current_setting('wlm.trainer') = '$trainer'"), "wlm.trainer is $trainer");
	is(sql($node, q{SELECT string_agg(expert || ':' || (state = 'failed') || ':' || (error IS NOT NULL), ' ' ORDER BY expert) FROM wlm.train()}),
		'graph:true:true planner:false:false recall:false:false trees:true:true', 'planner and recall are trained all the same');
	like(sql($node, 'SELECT phase, problem FROM wlm.training'), qr/^failed\|.*(\Q$trainer\E|status 1)/, 'training() says what is wrong');
}

like(opinions($unseen), qr/\bgraph\b.*\btrees\b/, 'with the models that were in use');
is(sql($node, 'SELECT num_errors FROM wlm.status()'), '0', 'no failure');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'no crash');
done_testing();
