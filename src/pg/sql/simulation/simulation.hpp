/*
 * simulation.hpp
 *
 * What wlm.simulate() and wlm.recommend() share: the trace, read from
 * wlm.history or from a file, the configuration to simulate, and the run
 * itself. Plain data in the current memory context; everything may raise.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
#include "utils/jsonb.h"
}

#include "core/decide/workload.hpp"
#include "core/simulate/simulate.hpp"

namespace wlm {

/* More queries than this are refused: about 300 bytes each. */
inline constexpr int64 kMaxTraceQueries = 2000000;

struct Trace {
	TraceQuery *queries;        /* by arrival; the first arrives at 0 */
	double *execution_ms;       /* as recorded, beside each */
	int64 num_queries;
	bool from_history;
	int64 num_unknown_queues;   /* queries of queues that do not exist any more: in `default` */
	int64 num_forced;           /* as recorded; history only, as the next */
	int64 num_express;
	int64 num_evicted;
	int64 num_preempted;
	int64 num_rejected;         /* these two are not among the queries: they never ran */
	int64 num_timeouts;
};

struct TracePeriod {
	bool has_since;
	bool has_until;
	TimestampTz since;
	TimestampTz until;
};

/*
 * Statements of wlm.history that ran and ended in the period [since, until): with the caller's privileges, past the workload manager.
 * What each would have taken alone rests on how many ran together on `processors`. Only the newest `most` if there are more and `most`
 * is under kMaxTraceQueries, else an error.
 */
void ReadHistoryTrace(const Workload &workload, const TracePeriod &period, double processors, int64 most, Trace *trace);

/* A CSV on the server, as docs/reference/simulation.md describes it. */
void ReadTraceFile(const Workload &workload, const char *path, Trace *trace);

/* Moves the clock of a trace that is sorted by arrival. */
void BeginAtZero(Trace *trace);

struct WhatIf {
	PolicyConfig policy;
	bool priority_of_queue[kMaxQueues]; /* its queries take the queue's priority, whatever they had */
	double processors;                  /* of the simulated machine */
	double recorded_processors;         /* of the one that the history is from */
	int64 memory_kb;                    /* before oversubscription */
	double oversubscription;
	double short_ms;                    /* 0 = the median of all works */
	double not_restartable;             /* part of the statements that could not give way: they have sent rows */
	int32 fifo_slots;
	bool changed;                       /* it is not the configuration in force */
};

/* The configuration in force. */
void PresentConfiguration(WhatIf *what_if);

/* Jsonb arguments of wlm.simulate(): raise errors with a hint for what is not known or not possible. */
void ApplyQueueChanges(Jsonb *changes, WhatIf *what_if);
void ApplySettings(Jsonb *changes, WhatIf *what_if);
void SetMemory(const char *text, WhatIf *what_if);

/* As simulate.hpp wants it. */
inline std::span<TraceQuery> QueriesOf(const Trace &trace) { return {trace.queries, static_cast<size_t>(trace.num_queries)}; }

/* Scratch for any number of runs over one trace. */
struct SimulationMemory {
	std::byte *bytes;
	size_t size;
	std::byte *learner;         /* of what a trace does not say; history has its predictions */
	size_t learner_size;
	double *queue_ms;           /* outcome of the last run, one for each query */
	double *execution_ms;
	double *values;             /* scratch: one for each query */
	int64_t *order;             /* scratch: two for each query */
};
void AllocateSimulation(const Trace &trace, SimulationMemory *memory);

/* Runs it; can be cancelled. */
void RunSimulation(const Trace &trace, Scheduler scheduler, const WhatIf &what_if, const SimulationMemory &memory,
                   SimulationResult *result);

/* The recorded run in the same figures. */
void DescribeRecorded(const Trace &trace, const WhatIf &what_if, const SimulationMemory &memory, SimulationResult *result);

/* Median of the works: what counts as short unless something else is asked for. */
double MedianWork(const Trace &trace, const SimulationMemory &memory);

/* Within Begin/End nothing is managed or learned from, and the session's setting comes back; an error ends it too. */
int BeginUnmanaged();
void EndUnmanaged(int level);

}  // namespace wlm
