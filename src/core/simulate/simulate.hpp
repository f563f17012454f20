/*
 * simulate.hpp
 *
 * A trace of queries on a virtual clock: the same state machine that decides in
 * the server (core/decide), beside schedulers to compare it with. Event-driven;
 * no clock, no I/O; memory from the caller.
 *
 * The machine: queries that run share its processors equally, none faster than
 * alone: with n running and P processors each advances at min(1, P / n). So a
 * scheduler that starts too many makes all of them slow, and one that
 * starts too few leaves processors idle. What was recorded under load is first turned back
 * into what it would have taken alone, by the same arithmetic (WorkFromRecorded).
 * Memory is what each query needs while it runs; running together they may exceed
 * what the machine has only where a scheduler lets them, and that is counted.
 *
 * Units: milliseconds from the start of the trace; kB.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/decide/policy.hpp"

namespace wlm {

struct TraceQuery {
	double arrival_ms;          /* not decreasing */
	double work_ms;             /* alone */
	int64_t memory_kb;          /* needed while it runs */
	double predicted_ms;        /* as known when it arrives; 0 = unknown */
	double predicted_upper_ms;  /* 80 % quantile; 0 = unknown */
	int64_t predicted_kb;       /* reservation wanted */
	int32_t queue;              /* index in PolicyConfig::queues */
	Priority priority;
	int32_t slots;
	double recorded_queue_ms;   /* what it waited when it was recorded; negative = unknown */
};

enum class Scheduler : uint8_t {
	kFifo = 0,      /* fixed slots, in the order of arrival, memory as it comes: a pool of connections */
	kUnlimited,     /* everybody starts at once: PostgreSQL without a manager */
	kWlm,           /* core/decide with predictions as they were */
	kClairvoyant,   /* true durations and memory known: shortest remaining work first, as many as the machine runs at full speed */
	kNumSchedulers
};

struct SimulationConfig {
	Scheduler scheduler;
	int32_t fifo_slots;         /* of kFifo */
	double processors;          /* over 0 */
	int64_t memory_kb;          /* of the machine, for queries; 0 = not looked at (kWlm has PolicyConfig::budget_kb) */
	double short_ms;            /* queries whose work is under this are reported as short */
	const PolicyConfig *policy; /* of kWlm; processors and budget of its own */
	uint64_t seed;
};

struct Distribution {
	double mean, p50, p90, p95, p99, max;
};

struct SimulationResult {
	int64_t num_queries;
	Distribution queue_ms;
	Distribution latency_ms;    /* queue and execution */
	Distribution short_latency_ms;
	int64_t num_short;
	double never_waited;        /* part of queries with a queue time under 1 ms, 0..1 */
	double mean_execution_ms;
	double mean_slowdown;       /* latency / work, mean over queries */
	double makespan_ms;
	double throughput_per_s;
	int64_t peak_memory_kb;     /* of queries that run together */
	double mean_memory_kb;      /* over time */
	double over_memory;         /* part of the time in which they needed more than memory_kb, 0..1 */
	double mean_running;
	int64_t num_forced;
	int64_t num_express;
	int64_t num_evicted;
	int64_t num_preempted;
	int64_t num_rejected;
	int64_t num_timeouts;
};

/* For num_queries of a trace of which at most max_active are in the system at a time under kWlm; 0 = all. */
size_t SimulationBytes(int64_t num_queries, int32_t max_active) noexcept;

enum class SimulationStatus : uint8_t { kDone = 0, kBadTrace, kBadConfig, kTooManyActive, kTooLittleMemory };

/*
 * Runs the whole trace. `outcome_queue_ms` and `outcome_execution_ms` (empty, or one for each query) get what each query waited and ran.
 * `memory`: SimulationBytes(), aligned to 8. `interrupted` may be null; asked every few thousand events, true ends early with kBadTrace.
 */
SimulationStatus Simulate(std::span<const TraceQuery> trace, const SimulationConfig &config, std::span<std::byte> memory,
                          std::span<double> outcome_queue_ms, std::span<double> outcome_execution_ms, SimulationResult *result) noexcept;

struct RecordedRun {
	double start_ms;            /* of the execution, after the wait */
	double time_ms;             /* execution as recorded, among others */
};

/* work[i] = the integral over run i of min(1, processors / running): what it would have taken alone. `order` is scratch of 2 * runs.size(). */
void WorkFromRecorded(std::span<const RecordedRun> runs, double processors, std::span<double> work, std::span<int64_t> order) noexcept;

/* Of queue_ms of `recorded` and simulated queries with known recorded waits: for calibration. Sorts `values`. */
Distribution Describe(std::span<double> values) noexcept;

}  // namespace wlm
