# What one session can do to others: aborted transactions, open cursors, fetches that prove nothing, statements that never ran.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('sessions');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pg_wlm'
wlm.mode = auto
wlm.min_cost = 100
wlm.express_floor = -1
wlm.sample_rate = 0
max_parallel_workers_per_gather = 0
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_wlm;
CREATE TABLE t AS SELECT g AS id, md5(g::text) AS t FROM generate_series(1, 100000) g;
ANALYZE t;
CREATE FUNCTION fails() RETURNS bigint LANGUAGE plpgsql AS
$$ BEGIN RETURN (SELECT sum(1 / (id - 50000)) FROM t); END $$;
SELECT wlm.create_queue('one', max_slots => 1, query_group => 'one');
SELECT wlm.create_queue('closed', max_slots => 1, max_queue_length => 0, query_group => 'closed');
SQL
$node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM wlm.queue_state}) or die 'queues are not in force';

sub sql { return $node->safe_psql('postgres', $_[0]) }

# An aborted transaction keeps the memory of what a function was running, but no slot.
my $aborted = $node->background_psql('postgres', on_error_stop => 0);
$aborted->query($_) for (q{SET wlm.query_group = 'one'}, 'BEGIN', 'SELECT fails()');
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction (aborted)'}), '1', 'a session sits in an aborted transaction');
is(sql(q{SET wlm.query_group = 'one'; SET wlm.queue_timeout = '20s'; SELECT count(*) FROM t}), '100000', 'the slot is free for others');
is(sql(q{SELECT num_timeouts, num_queued FROM wlm.queue_state WHERE queue = 'one'}), '0|0', 'nobody had to be forced');
$aborted->quit;
$node->poll_query_until('postgres', 'SELECT num_active = 0 FROM wlm.status()') or die 'something is left';

# Fetches that do not go forward to the end are no evidence of how long the statement takes.
sql(q{BEGIN; DECLARE c SCROLL CURSOR FOR SELECT * FROM t ORDER BY t; FETCH 0 FROM c; CLOSE c; COMMIT});
sql(q{BEGIN; DECLARE c SCROLL CURSOR FOR SELECT * FROM t ORDER BY t; FETCH 5 FROM c; FETCH BACKWARD ALL FROM c; CLOSE c; COMMIT});
sql(q{BEGIN; DECLARE c SCROLL CURSOR FOR SELECT * FROM t ORDER BY t; MOVE ALL FROM c; CLOSE c; COMMIT});
sql('SELECT wlm.flush()');
is(sql('SELECT string_agg(censored::text, $$,$$ ORDER BY id) FROM (SELECT * FROM wlm.history ORDER BY id DESC LIMIT 3) h'), 'true,true,false',
	'only who has seen the last row has learned the time');

# One session's cursors cannot fill the table.
my $cursors = join "\n", map { "DECLARE c$_ CURSOR FOR SELECT * FROM t ORDER BY t;" } 1 .. 20;
is(sql("BEGIN; $cursors SELECT num_active <= 8, num_unmanaged_full >= 12 FROM wlm.status();"), 't|t', 'beyond eight they are unmanaged');
is(sql('SELECT num_active FROM wlm.status()'), '0', 'and all are given back');

# Statements that never ran are recorded as what they are.
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{SET wlm.query_group = 'closed'; BEGIN; DECLARE c CURSOR FOR SELECT id, pg_sleep(0) FROM t ORDER BY t;});
my ($code, $out, $err) = $node->psql('postgres', q{SET wlm.query_group = 'closed'; SELECT count(*) FROM t, pg_sleep(0)});
if ($code == 0)
{
	# The idle holder's slot had been taken back: keep it busy instead.
	$holder->query_safe('COMMIT');
	$holder->query_until(qr/started/, "\\echo started\nSELECT count(pg_sleep(0.0005)) FROM t;\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM wlm.activity WHERE queue = 'closed' AND state = 'running'}) or die 'no holder';
	($code, $out, $err) = $node->psql('postgres', q{SET wlm.query_group = 'closed'; SELECT count(*) FROM t, pg_sleep(0)});
}
like($err, qr/workload queue "closed" is full/, 'a full queue rejects');
sql(q{SELECT pg_terminate_backend(pid) FROM wlm.activity WHERE queue = 'closed'});
$node->poll_query_until('postgres', 'SELECT num_active = 0 FROM wlm.status()') or die 'something is left';
sql('SELECT wlm.flush()');
is(sql(q{SELECT count(*), max(actual_ms), max(reserved_kb) FROM wlm.history WHERE final_state = 'rejected'}), '1|0|0',
	'the rejected statement is in the history, with nothing granted');
eval { $holder->quit };

$node->stop;
done_testing();
