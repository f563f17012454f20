/*
 * simulate_run.cpp
 *
 * One run of a trace through core/simulate, in memory of this process alone.
 */
#include "pg/sql/simulation/simulation.hpp"

#include <algorithm>
#include <cmath>

extern "C" {
#include "utils/memutils.h"
}

#include "core/simulate/as_recorded.hpp"

namespace wlm {

namespace {

constexpr uint64 kSeed = 1;     /* the same answer to the same question */

/* The simulator asks now and then. Only what certainly raises once it has returned: anything else would have it begin again. */
bool Interrupted() { return QueryCancelPending != 0 || ProcDiePending != 0; }

const char *Problem(SimulationStatus status)
{
	switch (status) {
	case SimulationStatus::kDone: return "none";
	case SimulationStatus::kBadTrace: return "the trace makes no sense";
	case SimulationStatus::kBadConfig: return "the configuration makes no sense";
	case SimulationStatus::kTooManyActive: return "too many statements at a time";
	case SimulationStatus::kTooLittleMemory: return "too little memory";
	case SimulationStatus::kInterrupted: return "interrupted";
	}
	return "unknown";
}

}  // namespace

void BeginAtZero(Trace *trace)
{
	if (trace->num_queries == 0)
		return;
	const double first = trace->queries[0].arrival_ms;
	for (int64 i = 0; i < trace->num_queries; i++)
		trace->queries[i].arrival_ms -= first;
}

void AllocateSimulation(const Trace &trace, SimulationMemory *memory)
{
	const auto count = static_cast<Size>(trace.num_queries);

	memory->size = SimulationBytes(trace.num_queries, 0);
	memory->bytes = static_cast<std::byte *>(MemoryContextAllocHuge(CurrentMemoryContext, memory->size));
	memory->learner_size = trace.from_history ? 0 : TraceLearner::BytesNeeded(trace.num_queries);
	if (memory->learner_size > 0)
		memory->learner = static_cast<std::byte *>(MemoryContextAllocHuge(CurrentMemoryContext, memory->learner_size));
	memory->queue_ms = static_cast<double *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * count));
	memory->execution_ms = static_cast<double *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * count));
	memory->values = static_cast<double *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * count));
	memory->order = static_cast<int64_t *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64_t) * 2 * count));
}

double MedianWork(const Trace &trace, const SimulationMemory &memory)
{
	if (trace.num_queries == 0)
		return 0;
	for (int64 i = 0; i < trace.num_queries; i++)
		memory.values[i] = trace.queries[i].work_ms;
	double *middle = memory.values + trace.num_queries / 2;
	std::nth_element(memory.values, middle, memory.values + trace.num_queries);
	return *middle;
}

void RunSimulation(const Trace &trace, Scheduler scheduler, const WhatIf &what_if, const SimulationMemory &memory,
                   SimulationResult *result)
{
	const auto count = static_cast<size_t>(trace.num_queries);
	PolicyConfig *policy_config = static_cast<PolicyConfig *>(palloc(sizeof(PolicyConfig)));
	SimulationConfig config = {};

	*policy_config = what_if.policy;
	policy_config->processors = std::max(1, static_cast<int32>(std::lround(what_if.processors)));
	config.scheduler = scheduler;
	config.fifo_slots = what_if.fifo_slots;
	config.processors = what_if.processors;
	config.memory_kb = what_if.memory_kb;
	config.short_ms = what_if.short_ms;
	config.policy = policy_config;
	config.seed = kSeed;
	config.not_restartable = what_if.not_restartable;
	config.interrupted = Interrupted;

	SimulationStatus status;
	do {
		CHECK_FOR_INTERRUPTS();
		config.learner = memory.learner_size > 0 ? TraceLearner::Init({memory.learner, memory.learner_size}, trace.num_queries) : nullptr;
		status = Simulate(QueriesOf(trace), config, {memory.bytes, memory.size}, {memory.queue_ms, count}, {memory.execution_ms, count},
		                  result);
	} while (status == SimulationStatus::kInterrupted);
	if (status != SimulationStatus::kDone)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not simulate: %s", Problem(status))));
	pfree(policy_config);
}

void DescribeRecorded(const Trace &trace, const WhatIf &what_if, const SimulationMemory &memory, SimulationResult *result)
{
	const auto count = static_cast<size_t>(trace.num_queries);

	SummarizeRecorded(QueriesOf(trace), {trace.execution_ms, count}, what_if.short_ms, what_if.memory_kb, {memory.values, count},
	                  {memory.order, 2 * count}, result);
	result->num_forced = trace.num_forced;
	result->num_express = trace.num_express;
	result->num_evicted = trace.num_evicted;
	result->num_preempted = trace.num_preempted;
	result->num_rejected = trace.num_rejected;
	result->num_timeouts = trace.num_timeouts;
}

}  // namespace wlm
