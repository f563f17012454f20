// The clients: one thread and one connection each. Open loop: a query is due at its moment whether or not a client is free, and its latency
// counts from that moment, so a system that falls behind cannot hide it (no coordinated omission). Clients are added while queries
// find none free, as connection pools do, up to a limit.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "query_template.hpp"
#include "schedule.hpp"

namespace wlm::bench {

// One execution. Times are in seconds since the start of the run, on a monotonic clock.
struct Sample {
	std::string query_template;
	uint64_t text_hash = 0;
	double due = 0.0;
	double sent = 0.0;
	double finished = 0.0;
	int pid = 0;
	int64_t rows = 0;
	uint64_t answer_hash = 0;
	double temp_bytes = 0.0;    // from the server's log
	double server_queue = 0.0;  // seconds that pg_wlm let it wait
	std::string error;

	double Latency() const { return finished - due; }
	double Queue() const { return sent - due + server_queue; }
	double Execution() const { return finished - sent - server_queue; }
};

struct Progress {
	double elapsed = 0.0;
	size_t due = 0;
	size_t finished = 0;
	size_t running = 0;
	size_t waiting = 0;  // for a client
	size_t errors = 0;
};

struct PoolOptions {
	int clients = 1;      // at the start
	int max_clients = 1;  // later
	int statement_timeout_s = 120;
	double drain_limit_s = 120.0;  // after the last arrival; what still runs then is cancelled
	bool open_loop = true;         // false: arrivals have no moment, clients take the next as soon as they are free
};

struct RunResult {
	std::vector<Sample> samples;
	double start_epoch = 0.0;  // wall clock at second 0
};

// Connects, calls `on_ready`, runs everything, calls `on_progress` about every three seconds and once more when all is done and
// the sessions are idle, disconnects.
RunResult RunClients(const std::vector<QueryTemplate>& templates, const std::vector<Arrival>& arrivals, const PoolOptions& options,
                     const std::function<void()>& on_ready, const std::function<void(const Progress&)>& on_progress);

}  // namespace wlm::bench
