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
 * Reading a trace: read_trace.hpp. What was known when a query arrived: predict_trace.hpp.
 *
 * Units: milliseconds from the start of the trace; kB.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/decide/policy/policy.hpp"
#include "core/simulate/predict_trace.hpp"

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
	TraceKeys keys;             /* for SimulationConfig::learner */
};

enum class Scheduler : uint8_t {
	kFifo = 0,      /* fixed slots, one for each query, in the order of arrival, memory as it comes: a pool of connections */
	kUnlimited,     /* everybody starts at once: PostgreSQL without a manager */
	kWlm,           /* core/decide with predictions as they were */
	/*
	 * True durations and memory known, and queries can be suspended at no cost, which no server can: the shortest remaining
	 * work runs, as many queries as have a whole processor each, and as fit in memory. So mean latency is the least possible
	 * (on one processor; nearly so on several).
	 */
	kClairvoyant,
	kShortestFirst, /* the same without suspension: who has started runs to his end, as in queues with perfect predictions */
	kNumSchedulers
};

struct SimulationConfig {
	Scheduler scheduler;
	int32_t fifo_slots;         /* of kFifo */
	double processors;          /* over 0 */
	int64_t memory_kb;          /* of the machine, for queries; 0 = not looked at (kWlm has PolicyConfig::budget_kb) */
	double short_ms;            /* queries whose work is under this are reported as short */
	const PolicyConfig *policy; /* of kWlm; processors and budget of its own */
	uint64_t seed;              /* draws who cannot be restarted */
	double not_restartable;     /* kWlm with preemption: part of the queries that have sent rows when asked to give way, 0..1 */
	/*
	 * kWlm: may be null. Else the time of queries with predicted_ms 0 is predicted from executions that have ended in the simulation,
	 * those of all queries, as the server would know it. Begins with nothing; for all queries of the trace.
	 */
	TraceLearner *learner;
	bool (*interrupted)();      /* may be null; asked every few thousand events, true ends with kInterrupted */
};

struct Distribution {
	double mean, p50, p90, p95, p99, max;
};

/* Distributions and means over queries are of those that ran. */
struct SimulationResult {
	int64_t num_queries;        /* of the trace */
	int64_t num_run;            /* less those that were rejected or timed out */
	Distribution queue_ms;
	Distribution latency_ms;    /* queue and execution */
	Distribution short_latency_ms;
	int64_t num_short;
	double never_waited;        /* part of queries with a queue time under 1 ms, 0..1 */
	double mean_execution_ms;   /* with what was thrown away by preemption */
	double mean_slowdown;       /* latency / work, mean over queries; both at least 1 ms */
	double max_slowdown;
	double makespan_ms;         /* from the first arrival to the last end */
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

enum class SimulationStatus : uint8_t {
	kDone = 0,
	kBadTrace,          /* arrivals go back, or a number is negative or not one */
	kBadConfig,
	kTooManyActive,     /* more at a time than `memory` is for */
	kTooLittleMemory,
	kInterrupted
};

/*
 * Runs the whole trace. `outcome_queue_ms` and `outcome_execution_ms` (empty, or one for each query) get what each query waited and ran;
 * execution is negative for one that never ran. `memory`: SimulationBytes(), aligned to 8. Deterministic.
 */
SimulationStatus Simulate(std::span<const TraceQuery> trace, const SimulationConfig &config, std::span<std::byte> memory,
                          std::span<double> outcome_queue_ms, std::span<double> outcome_execution_ms, SimulationResult *result) noexcept;

/*
 * What was waited and ran, of the queries of one queue or of all (negative): num_queries to mean_slowdown, all others 0. Queries with a
 * negative execution did not run. `scratch`: one for each query.
 */
void DescribeOutcomes(std::span<const TraceQuery> trace, int32_t queue, std::span<const double> queue_ms,
                      std::span<const double> execution_ms, double short_ms, std::span<double> scratch, SimulationResult *result) noexcept;

struct RecordedRun {
	double start_ms;            /* of the execution, after the wait */
	double time_ms;             /* execution as recorded, among others; not negative */
};

/* work[i] = the integral over run i of min(1, processors / running): what it takes alone. `order`: 2 * runs.size() of scratch. */
void WorkFromRecorded(std::span<const RecordedRun> runs, double processors, std::span<double> work, std::span<int64_t> order) noexcept;

/* Sum of work by what `processors` could do from the first arrival to the last; 0 if that is no time. */
double LoadOf(std::span<const TraceQuery> trace, double processors) noexcept;

/* Multiplies work and predicted times so that LoadOf() is `load`; the factor, or 0 if that cannot be. */
double ScaleToLoad(std::span<TraceQuery> trace, double processors, double load) noexcept;

/* Mean and quantiles (nearest rank). Sorts `values`; zeros if there are none. */
Distribution Describe(std::span<double> values) noexcept;

}  // namespace wlm
