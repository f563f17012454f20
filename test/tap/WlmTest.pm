# WlmTest.pm
#
# What the TAP tests of waiting share: a node with a queue of few slots, sessions that
# send a statement and go on, and the question whether every counter is back at zero.
#
# A session is a socket that speaks the protocol itself: psql cannot stop between Bind
# and Execute, cannot lose its client, and is too slow to be started by the dozen.
package WlmTest;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(start_node prepare_node session eventually await_state settled counter hold_slot);

# Seconds that anything may take.
our $patience = 45;

# start_node(NAME, [SETTING...], init => [...]): everything is managed from the planner cost
# 1000 on, and nobody passes by in the express lane.
sub start_node
{
	my ($name, $settings, %parameters) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(@{ $parameters{init} || [] });
	$node->append_conf('postgresql.conf', join("\n",
		"shared_preload_libraries = 'pg_wlm'", 'wlm.mode = auto', 'wlm.express_floor = -1',
		'max_connections = 120', 'log_statement = none', 'log_min_messages = log', @{ $settings || [] }, ''));
	$node->start;
	return $node;
}

# The extension, queue "one" with `slots` slots, and functions that are expensive by declaration.
# Returns a session for questions, which are too cheap to be managed.
sub prepare_node
{
	my ($node, %parameters) = @_;
	my $admin = session($node, name => 'admin');
	my $slots = $parameters{slots} || 1;

	$admin->do($_) for (
		'CREATE EXTENSION pg_wlm',
		'CREATE TABLE single AS SELECT 1 AS x',
		'CREATE TABLE numbers AS SELECT i AS id FROM generate_series(1, 100) i',
		'ANALYZE single, numbers',
		q{CREATE FUNCTION costly(x integer) RETURNS integer LANGUAGE plpgsql COST 10000000 AS 'BEGIN RETURN x; END'},
		q{CREATE FUNCTION hold(key integer) RETURNS text LANGUAGE plpgsql COST 10000000
			AS $$BEGIN PERFORM pg_advisory_xact_lock_shared(key); RETURN 'held'; END$$},
		"SELECT wlm.create_queue('one', max_slots => $slots, query_group => 'one')");
	eventually($admin, "SELECT count(*) FROM wlm.queue_state WHERE queue = 'one' AND slots = $slots", 1, 'queue "one" is in force');
	return $admin;
}

sub session { return WlmTest::Session->new(@_); }

# eventually(SESSION, QUERY, EXPECTED, NAME): a test that polls.
sub eventually
{
	my ($session, $query, $expected, $name) = @_;
	my $deadline = time + $patience;
	my $value;

	do
	{
		$value = $session->value($query);
		$value = '' unless defined $value;
		return pass($name) if $value eq $expected;
		usleep(20_000);
	} while (time < $deadline);
	return is($value, $expected, $name);
}

# Waits until `session` has a statement in `state`, and ends the script if it never comes to that.
sub await_state
{
	my ($admin, $session, $state) = @_;
	my $deadline = time + $patience;
	my $seen = '';

	while (time < $deadline)
	{
		$seen = $admin->value("SELECT string_agg(state, ',') FROM wlm.activity WHERE pid = " . $session->{pid});
		$seen = '' unless defined $seen;
		return 1 if $seen eq $state;
		usleep(10_000);
	}
	die "session $session->{name} is not $state but '$seen'" . ($session->answers ? ': ' . $session->finish->{error} : '');
}

# One session that has the slot until $admin unlocks `key`.
sub hold_slot
{
	my ($admin, $node, $key) = @_;
	my $holder = session($node, name => 'holder', queue => 'one');

	$key = 1 unless defined $key;
	$admin->do("SELECT pg_advisory_lock($key)");
	$holder->send("SELECT hold($key) FROM single");
	await_state($admin, $holder, 'running');
	return $holder;
}

# Every counter that says what is going on now is zero.
sub settled
{
	my ($admin, $name) = @_;

	return eventually($admin, q{
		SELECT concat_ws(' ', (SELECT string_agg(format('%s: slots %s running %s express %s returned %s queued %s %s kB', queue,
				slots_used, num_running, num_express, num_returned, num_queued, memory_reserved_kb), '; ')
			FROM wlm.queue_state WHERE slots_used <> 0 OR num_running <> 0 OR num_express <> 0 OR num_returned <> 0
				OR num_queued <> 0 OR memory_reserved_kb <> 0),
			(SELECT format('active %s queued %s reserved %s forced %s errors %s', num_active, num_queued, reserved_kb,
				forced_kb, num_errors)
			FROM wlm.status() WHERE num_active <> 0 OR num_queued <> 0 OR reserved_kb <> 0 OR forced_kb <> 0 OR num_errors <> 0),
			(SELECT string_agg(state, ',') FROM wlm.activity))}, '', $name);
}

sub counter
{
	my ($admin, $column, $queue) = @_;
	$queue = 'one' unless defined $queue;
	return $admin->value("SELECT $column FROM wlm.queue_state WHERE queue = '$queue'");
}

package WlmTest::Session;

use strict;
use warnings;
use IO::Select;
use IO::Socket::UNIX;
use Time::HiRes qw(time);

# new(NODE, name =>, dbname =>, user =>, queue =>)
sub new
{
	my ($class, $node, %parameters) = @_;
	my $path = $node->host . '/.s.PGSQL.' . $node->port;
	my $self = bless { name => $parameters{name} || 'session', buffer => '', pid => 0 }, $class;
	my %startup = (user => $parameters{user} || scalar getpwuid($<), database => $parameters{dbname} || 'postgres',
		application_name => $self->{name});

	$self->{socket} = IO::Socket::UNIX->new(Peer => $path) or die "cannot connect to $path: $!";
	my $body = pack('N', 196608) . join('', map { "$_\0$startup{$_}\0" } sort keys %startup) . "\0";
	$self->write(pack('N', length($body) + 4) . $body);
	my $answer = $self->finish;
	die "no session: $answer->{error}" if $answer->{sqlstate};
	$self->do("SET wlm.query_group = '$parameters{queue}'") if $parameters{queue};
	return $self;
}

sub write
{
	my ($self, $bytes) = @_;
	local $SIG{PIPE} = 'IGNORE';
	my $sent = 0;
	while ($sent < length $bytes)
	{
		my $n = $self->{socket}->syswrite($bytes, length($bytes) - $sent, $sent);
		return unless defined $n;
		$sent += $n;
	}
	return;
}

sub message
{
	my ($self, $type, $body) = @_;
	return $self->write($type . pack('N', length($body) + 4) . $body);
}

# The next message as (type, body), or nothing when the time is up; type '' when the server has closed.
sub next_message
{
	my ($self, $timeout) = @_;
	my $deadline = time + $timeout;

	for (;;)
	{
		if (length $self->{buffer} >= 5)
		{
			my ($type, $length) = unpack('aN', $self->{buffer});
			if (length $self->{buffer} >= $length + 1)
			{
				my $body = substr($self->{buffer}, 5, $length - 4);
				$self->{buffer} = substr($self->{buffer}, $length + 1);
				return ($type, $body);
			}
		}
		my $rest = $deadline - time;
		return if !IO::Select->new($self->{socket})->can_read($rest > 0 ? $rest : 0);
		my $n = $self->{socket}->sysread($self->{buffer}, 65536, length $self->{buffer});
		return ('', '') unless $n;
	}
}

sub collect
{
	my ($answer, $type, $body) = @_;
	if ($type eq 'D')
	{
		my $count = unpack('n', $body);
		my ($position, @row) = (2);
		for (1 .. $count)
		{
			my $length = unpack('l>', substr($body, $position, 4));
			push @row, $length < 0 ? undef : substr($body, $position + 4, $length);
			$position += 4 + ($length < 0 ? 0 : $length);
		}
		push @{ $answer->{rows} }, \@row;
	}
	elsif ($type eq 'd') { push @{ $answer->{copied} }, $body; }
	elsif ($type eq 'C') { $answer->{tag} = substr($body, 0, -1); }
	elsif ($type eq 'E')
	{
		my %field = map { (substr($_, 0, 1), substr($_, 1)) } grep { length } split /\0/, $body;
		@$answer{qw(sqlstate error detail hint)} = @field{qw(C M D H)};
	}
	return;
}

# Reads up to a message of type `stop`, or the next ReadyForQuery: { rows, tag, sqlstate, error, detail,
# hint, copied, closed }.
sub finish
{
	my ($self, $stop) = @_;
	my $answer = { rows => [], copied => [], tag => '', sqlstate => '', error => '' };
	my $deadline = time + $WlmTest::patience;

	for (;;)
	{
		my ($type, $body) = $self->next_message($deadline - time);
		if (!defined $type)
		{
			$answer->{sqlstate} = $answer->{error} = 'no answer in time';
			return $answer;
		}
		if ($type eq '')
		{
			$answer->{closed} = 1;
			return $answer;
		}
		$self->{pid} = unpack('N', $body) if $type eq 'K';
		collect($answer, $type, $body);
		return $answer if $type eq 'Z' || (defined $stop && $type eq $stop);
	}
}

# Whether an answer has begun to arrive.
sub answers
{
	my ($self, $seconds) = @_;
	return length $self->{buffer} > 0 || IO::Select->new($self->{socket})->can_read($seconds || 0) ? 1 : 0;
}

sub send { my ($self, $sql) = @_; return $self->message('Q', "$sql\0"); }

sub query
{
	my ($self, $sql) = @_;
	$self->send($sql);
	return $self->finish;
}

# For what must succeed.
sub do
{
	my ($self, $sql) = @_;
	my $answer = $self->query($sql);
	die "$self->{name}: $answer->{error} in: $sql" if $answer->{sqlstate} || $answer->{closed};
	return $answer;
}

sub value { my ($self, $sql) = @_; my $rows = $self->do($sql)->{rows}; return @$rows ? $rows->[0][0] : undef; }

# The extended protocol. Nothing is answered before flush() or sync().
sub parse { my ($self, $name, $sql) = @_; return $self->message('P', "$name\0$sql\0" . pack('n', 0)); }
sub bind { my ($self, $portal, $name) = @_; return $self->message('B', "$portal\0$name\0" . pack('nnn', 0, 0, 0)); }
sub describe { my ($self, $portal) = @_; return $self->message('D', "P$portal\0"); }
sub execute { my ($self, $portal, $rows) = @_; return $self->message('E', "$portal\0" . pack('N', $rows || 0)); }
sub close_portal { my ($self, $portal) = @_; return $self->message('C', "P$portal\0"); }
sub flush { my ($self) = @_; return $self->message('H', ''); }
sub sync { my ($self) = @_; return $self->message('S', ''); }

# The client is gone without a word.
sub vanish { my ($self) = @_; return close $self->{socket}; }

sub quit { my ($self) = @_; $self->message('X', ''); return close $self->{socket}; }

1;
