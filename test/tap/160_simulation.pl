# wlm.simulate() on what a server really did: the configuration in force waits as its statements did (ratios, no absolute times);
# neither it nor wlm.recommend() is managed or learned from; both can be cancelled.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('simulation');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_wlm'
wlm.mode = auto
wlm.min_cost = 100
wlm.express_floor = -1
wlm.flush_interval = 1
max_parallel_workers_per_gather = 0
});
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pg_wlm;
SET wlm.bypass = on;
CREATE TABLE data AS SELECT generate_series(1, 20000) AS a;
ANALYZE data;
SELECT wlm.alter_queue('default', max_slots => 2);
});
ok($node->poll_query_until('postgres', 'SELECT slots = 2 AND NOT automatic FROM wlm.queue_state'), 'two slots');

# Statements that sleep take what they take however many run beside them: what is waited follows from slots alone.
$node->pgbench('-n -c 8 -j 1 -t 6', 0, [qr/processed: 48\/48/], [], 'sleeping statements',
	{ 'sleep.sql' => q{
SELECT max(CASE WHEN a = 20000 THEN 'x' || pg_sleep(0.2)::text END) FROM (SELECT a FROM data ORDER BY a DESC OFFSET 0) s;
} });
$node->safe_psql('postgres', 'SELECT wlm.flush()');
is($node->safe_psql('postgres', 'SELECT count(*) FROM wlm.history'), '48', 'all are in the history');

my $fifty = q{settings => '{"recorded_processors": 50}'};
is($node->safe_psql('postgres', qq{
	SELECT policy, queries, calibration BETWEEN 0.6 AND 1.6, calibration_error_ms < queue_max_ms / 2
	FROM wlm.simulate('{recorded,wlm}', $fifty)}), "recorded|48|t|t\nwlm|48|t|t", 'it waits as it did');
is($node->safe_psql('postgres', qq{
	SELECT a.queue_mean_ms < r.queue_mean_ms / 2, b.queue_mean_ms > r.queue_mean_ms * 1.5, u.queue_mean_ms
	FROM wlm.simulate('{recorded}', $fifty) r, wlm.simulate('{unlimited}', $fifty) u,
	     wlm.simulate('{wlm}', $fifty, queues => '{"default": {"max_slots": 6}}') a,
	     wlm.simulate('{wlm}', $fifty, queues => '{"default": {"max_slots": 1}}') b}), 't|t|0', 'and less with more slots');

# Not managed, not learned from.
$node->safe_psql('postgres', q{INSERT INTO wlm.history (finished_at, pid, query_id, template, fingerprint, command, queue, priority, lane, familiarity,
	final_state, forced, evicted, applied, censored, total_cost, estimated_rows, queue_ms, actual_ms, reserved_kb, session_work_mem_kb,
	granted_work_mem_kb, lacking_kb, coverage, grant_level, grant_reason, temp_bytes, workers_planned, workers_granted, workers_launched,
	worker_reason, model_version, experts)
SELECT now() - g * interval '1 s', 1, 1, 1, 1, 'SELECT', 'default', 'normal', 'normal', 'plan', 'completed', false, false, true, false, 1e6, 1, 0, 100,
	0, 4096, 4096, 0, 0, 'own', 'nothing lacks', 0, 0, 0, 0, 'as planned', 1, '{}' FROM generate_series(1, 20000) g; ANALYZE wlm.history});
my $managed = $node->safe_psql('postgres', 'SELECT num_managed FROM wlm.status()');
is($node->safe_psql('postgres', q{SELECT queries FROM wlm.simulate('{fifo}')}), '20048', 'the whole history');
$node->safe_psql('postgres', 'SELECT * FROM wlm.recommend()');
is($node->safe_psql('postgres', 'SELECT num_managed FROM wlm.status()'), $managed, 'neither is managed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM wlm.simulate('{fifo}'); SHOW wlm.bypass}), "1\noff", 'the session is as it was');

# Cancelled while it reads or simulates.
my $trace = $node->basedir . '/trace.csv';
$node->safe_psql('postgres', qq{
	COPY (SELECT g * 10 AS arrival_ms, 1 + g % 20 AS duration_ms, g % 7 AS template FROM generate_series(1, 300000) g) TO '$trace' WITH (FORMAT csv, HEADER)});
my ($status, $out, $err) = $node->psql('postgres', qq{SET statement_timeout = '20ms'; SELECT wlm.simulate(trace => '$trace')});
like($err, qr/canceling statement due to statement timeout/, 'a long simulation can be cancelled');
is($node->safe_psql('postgres', qq{SELECT policy, queries FROM wlm.simulate('{wlm,fifo}', processors => 2, trace => '$trace')}),
	"wlm|300000\nfifo|300000", 'and otherwise ends');
is($node->safe_psql('postgres', 'SELECT num_errors FROM wlm.status()'), '0', 'no failures');

$node->stop;
done_testing();
