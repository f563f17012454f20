// From samples to the numbers that are compared.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "run_file.hpp"

namespace wlm::bench {

// By what a template takes alone under PostgreSQL's defaults: the same for every system.
enum class Length { kShort, kMedium, kLong };
constexpr int kLengths = 3;
constexpr double kShortBelowMs = 100.0;
constexpr double kMediumBelowMs = 1000.0;
// Below this the wait is that of threads and sockets.
constexpr double kNoticedWaitSeconds = 0.01;
const char* LengthName(Length length);
Length LengthOf(const Cost& cost);

// Exact: the smallest value that at least `part` of the values do not exceed. 0 of no values.
double Percentile(std::vector<double> values, double part);

struct LengthMetrics {
	size_t queries = 0;
	double p50 = 0.0;  // seconds of latency
	double p95 = 0.0;
	double p99 = 0.0;
	double mean = 0.0;
};

struct TemplateMetrics {
	size_t queries = 0;
	double latency = 0.0;  // mean, seconds
	double execution = 0.0;
	double temp_bytes = 0.0;
};

struct Metrics {
	size_t queries = 0;  // completed without error
	size_t errors = 0;
	double crashes = 0.0;  // restarts of the whole server
	double makespan = 0.0;    // seconds from the first moment to the last finish
	double throughput = 0.0;  // completed queries per second of makespan
	std::array<LengthMetrics, kLengths> lengths;
	double queue_mean = 0.0;  // seconds, waiting for a client and in pg_wlm
	double queue_p50 = 0.0;
	double queue_p90 = 0.0;
	double queue_p95 = 0.0;
	double queue_total = 0.0;
	double never_waited = 0.0;  // part of the queries that waited less than kNoticedWaitSeconds
	double execution_total = 0.0;
	double cpu_server = 0.0;    // seconds
	double cpu_others = 0.0;    // of programs that have nothing to do with the run
	double others_share = 0.0;  // of all CPU time that there was
	double temp_bytes = 0.0;
	size_t spilled = 0;  // queries that wrote temporary files
	double spilled_time = 0.0;
	double memory_peak = 0.0;
	double memory_mean = 0.0;
	double memory_idle = 0.0;   // before, few connections
	double memory_after = 0.0;  // at the end, all connections idle: what sessions keep
	double cgroup_after = 0.0;   // the same, shared pages counted once; 0 without a group
	double cgroup_peak = 0.0;  // 0 without a group

	// What the budget is held against: without double counting where the machine can tell.
	double JudgedMemory() const { return cgroup_peak > 0.0 ? cgroup_peak : memory_peak; }
	double JudgedIdleMemory() const { return cgroup_after > 0.0 ? cgroup_after : memory_after; }

	size_t compared_answers = 0;
	size_t different_answers = 0;  // to those of the first system
	std::map<std::string, TemplateMetrics> templates;
};

// `baseline` gives the answers to compare with.
Metrics ComputeMetrics(const SystemRun& run, const SystemRun& baseline, const Costs& costs);

}  // namespace wlm::bench
