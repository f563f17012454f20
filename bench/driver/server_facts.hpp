// What only the server knows about a run: temporary files from its log, waiting times from pg_wlm's history, counters and settings.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "client_pool.hpp"
#include "connection.hpp"

namespace wlm::bench {

struct LogFacts {
	double temp_bytes = 0.0;  // all temporary files
	int crashes = 0;          // backends killed by a signal: the whole server starts again
};

// Reads the log from byte `offset` on and adds to each sample the temporary files that its backend and its parallel workers
// wrote. Needs log_temp_files = 0 and log_line_prefix = '%n %p %P|'.
LogFacts AddTempBytes(const std::string& log_file, size_t offset, RunResult& run);

// Adds the waiting times that pg_wlm recorded; returns the number of samples that have a record.
size_t AddQueueTimes(Connection& connection, RunResult& run);

bool HasWorkloadManager(Connection& connection);

// Temporary bytes of the database since its statistics began.
double DatabaseTempBytes(Connection& connection);

// retail.size, or nothing where there is none.
Sizes ReadSizes(Connection& connection);

// Version and the settings that matter, as text.
std::map<std::string, std::string> ReadSettings(Connection& connection);

}  // namespace wlm::bench
