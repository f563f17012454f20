// What is run and when. Built once from a seed, so every system gets the same texts at the same moments.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "query_template.hpp"

namespace wlm::bench {

// What one run of a template takes when it has the server to itself, with PostgreSQL's defaults.
struct Cost {
	double wall_ms = 0.0;
	double cpu_ms = 0.0;  // of the backend and its parallel workers
};
using Costs = std::map<std::string, Cost>;  // by name of the template

struct Arrival {
	double at_s = 0.0;  // since the start of the measurement
	size_t query_template = 0;
	std::string text;
};

struct Workload {
	double seconds = 100.0;  // during which queries arrive
	double load = 0.9;       // CPU time of all queries, each measured alone, over the CPU time that there is
	double rate = 0.0;       // queries per second; 0 takes `load`
	int cores = 1;
	uint64_t seed = 1;
};

struct Schedule {
	std::vector<Arrival> arrivals;  // by time
	double load = 0.0;              // as drawn
	double repeats = 0.0;           // part of queries whose exact text came earlier in the run
	double top_ten = 0.0;           // part of queries that have one of the ten most frequent texts
};

// Arrivals are a Poisson process given its count, ETL jobs are evenly spaced. The mix follows what is published about
// warehouses (Redset): most queries are short and most work is in the few others; six in ten queries repeat an earlier
// one exactly; the ten most frequent are a third of all.
Schedule BuildSchedule(const std::vector<QueryTemplate>& templates, const Costs& costs, const Workload& workload);

// Each template `times` times, in random order: for warming up.
std::vector<Arrival> BuildWarmUp(const std::vector<QueryTemplate>& templates, int times, uint64_t seed);

}  // namespace wlm::bench
