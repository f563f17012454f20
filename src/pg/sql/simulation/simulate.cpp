/*
 * simulate.cpp
 *
 * wlm.simulate(): the same queries under several schedulers, on a virtual clock.
 * One row for each, and one for each of its queues if asked for. Nothing of the running server is touched: the state machine
 * that is asked lives in memory of this process.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <cmath>

extern "C" {
#include "catalog/pg_type_d.h"
#include "utils/array.h"
#include "utils/timestamp.h"
}

#include "pg/query/classify.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/simulation/simulation.hpp"

namespace wlm {

namespace {

enum Argument : int {
	kPolicies = 0, kSlots, kMemory, kProcessors, kQueues, kSettings, kTraceFile, kSince, kUntil, kLoad, kPerQueue
};

/* In the order of Scheduler; what really happened has no scheduler here. */
constexpr const char *kPolicyNames[] = {"fifo", "unlimited", "wlm", "clairvoyant", "shortest_first", "recorded"};
constexpr int kRecorded = static_cast<int>(Scheduler::kNumSchedulers);
constexpr int kNumPolicies = kRecorded + 1;
static_assert(sizeof kPolicyNames / sizeof kPolicyNames[0] == kNumPolicies);

struct PolicyList {
	int policies[kNumPolicies];
	int count;

	bool Has(int policy) const
	{
		for (int i = 0; i < count; i++) {
			if (policies[i] == policy)
				return true;
		}
		return false;
	}
};

PolicyList ReadPolicies(ArrayType *array)
{
	PolicyList list = {};
	Datum *elements;
	bool *nulls;
	int num_elements;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &num_elements);
	for (int i = 0; i < num_elements; i++) {
		const char *name = nulls[i] ? "" : TextDatumGetCString(elements[i]);
		int policy = 0;

		while (policy < kNumPolicies && strcmp(kPolicyNames[policy], name) != 0)
			policy++;
		if (policy == kNumPolicies)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			                errmsg("policy \"%s\" cannot be simulated", name),
			                errhint("Policies are recorded, wlm, fifo, unlimited, shortest_first and clairvoyant.")));
		if (!list.Has(policy))
			list.policies[list.count++] = policy;
	}
	return list;
}

void RequirePositive(FunctionCallInfo fcinfo, Argument argument, const char *name, double most)
{
	if (PG_ARGISNULL(argument))
		return;
	const double value = static_cast<double>(PG_GETARG_FLOAT4(argument));
	if (!(value > 0 && value <= most))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("%s of wlm.simulate() must be over 0 and at most %g", name, most),
		                errhint("Leave it out for what there is.")));
}

/* Everything but the load, which needs the trace. */
void ReadWhatIf(FunctionCallInfo fcinfo, WhatIf *what_if)
{
	PresentConfiguration(what_if);
	RequirePositive(fcinfo, kProcessors, "processors", 4096);
	RequirePositive(fcinfo, kLoad, "load", 1000);
	if (!PG_ARGISNULL(kSlots)) {
		const int32 slots = PG_GETARG_INT32(kSlots);
		if (slots < 1 || slots > 10000)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			                errmsg("slots of wlm.simulate() must be from 1 to 10000"),
			                errhint("Leave it out for what is configured.")));
		what_if->fifo_slots = what_if->policy.total_slots = slots;
		what_if->changed = true;
	}
	if (!PG_ARGISNULL(kMemory))
		SetMemory(text_to_cstring(PG_GETARG_TEXT_PP(kMemory)), what_if);
	if (!PG_ARGISNULL(kQueues))
		ApplyQueueChanges(PG_GETARG_JSONB_P(kQueues), what_if);
	if (!PG_ARGISNULL(kSettings))
		ApplySettings(PG_GETARG_JSONB_P(kSettings), what_if);
	what_if->processors = PG_ARGISNULL(kProcessors) ? what_if->recorded_processors : static_cast<double>(PG_GETARG_FLOAT4(kProcessors));
	what_if->changed = what_if->changed || !PG_ARGISNULL(kProcessors) || !PG_ARGISNULL(kLoad);
}

void ReadTrace(FunctionCallInfo fcinfo, const WhatIf &what_if, Trace *trace)
{
	const TracePeriod period = {.has_since = !PG_ARGISNULL(kSince), .has_until = !PG_ARGISNULL(kUntil),
	                            .since = PG_ARGISNULL(kSince) ? 0 : PG_GETARG_TIMESTAMPTZ(kSince),
	                            .until = PG_ARGISNULL(kUntil) ? 0 : PG_GETARG_TIMESTAMPTZ(kUntil)};

	if (!PG_ARGISNULL(kTraceFile)) {
		if (period.has_since || period.has_until)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			                errmsg("since and until of wlm.simulate() are for wlm.history, not for a trace"),
			                errhint("Leave them out, or leave trace out.")));
		ReadTraceFile(LocalWorkload(), text_to_cstring(PG_GETARG_TEXT_PP(kTraceFile)), trace);
	} else {
		RequireConfiguredDatabase("simulate()");
		ReadHistoryTrace(LocalWorkload(), period, what_if.recorded_processors, kMaxTraceQueries, trace);
	}
	if (trace->num_queries == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("there are no statements to simulate"),
		                trace->from_history
		                ? errhint("wlm.history has none of this period that ran. Give another with since and until, or run "
		                          "statements that cost at least wlm.min_cost and then SELECT wlm.flush().")
		                : errhint("The trace has no line after its first, which names the columns.")));
	if (trace->num_unknown_queues > 0)
		ereport(NOTICE, (errmsg(INT64_FORMAT " statements are of workload queues that do not exist", trace->num_unknown_queues),
		                 errdetail("They are simulated in queue \"default\".")));
	for (int64 i = 0; i < trace->num_queries; i++) {
		TraceQuery &query = trace->queries[i];
		if (what_if.priority_of_queue[query.queue])
			query.priority = what_if.policy.queues[query.queue].priority;
	}
}

struct Row {
	SimulationResult result;
	double load;
	double calibration;         /* simulated / recorded mean queue time; NaN = not known */
	double calibration_error_ms;/* mean of what a single query's queue time is off */
	SimulationResult *queues;   /* kMaxQueues, or null: not asked for */
};

/* The outcome in memory.queue_ms and execution_ms, by queues. */
void DescribeQueues(const Trace &trace, const WhatIf &what_if, const SimulationMemory &memory, Row *row)
{
	const auto count = static_cast<size_t>(trace.num_queries);

	row->queues = static_cast<SimulationResult *>(palloc0(sizeof(SimulationResult) * kMaxQueues));
	for (int queue = 0; queue < what_if.policy.num_queues; queue++) {
		CHECK_FOR_INTERRUPTS();
		DescribeOutcomes(QueriesOf(trace), queue, {memory.queue_ms, count}, {memory.execution_ms, count},
		                 what_if.short_ms, {memory.values, count}, &row->queues[queue]);
	}
}

/* The same of what was recorded, where it is known. */
void DescribeRecordedQueues(const Trace &trace, const WhatIf &what_if, const SimulationMemory &memory, Row *row)
{
	if (std::isnan(row->result.latency_ms.mean))
		return;
	for (int64 i = 0; i < trace.num_queries; i++) {
		memory.queue_ms[i] = trace.queries[i].recorded_queue_ms;
		memory.execution_ms[i] = trace.execution_ms[i];
	}
	DescribeQueues(trace, what_if, memory, row);
}

/* What the present configuration says of the recorded period, beside the record; `memory` has its outcome. */
void Calibrate(const Trace &trace, const SimulationMemory &memory, const SimulationResult &simulated, Row *row)
{
	double recorded = 0, error = 0;
	int64 count = 0;

	for (int64 i = 0; i < trace.num_queries; i++) {
		if (memory.execution_ms[i] < 0)
			continue;       /* would not have run at all */
		recorded += trace.queries[i].recorded_queue_ms;
		error += std::fabs(memory.queue_ms[i] - trace.queries[i].recorded_queue_ms);
		count++;
	}
	if (recorded <= 0)
		return;
	row->calibration = simulated.queue_ms.mean * static_cast<double>(count) / recorded;
	row->calibration_error_ms = error / static_cast<double>(count);
}

/* The configuration in force on the recorded period, where something else is to be simulated. Before the works are scaled. */
void CalibratePresent(const Trace &trace, const WhatIf &what_if, const SimulationMemory &memory, Row *row)
{
	SimulationResult simulated;
	WhatIf *present = static_cast<WhatIf *>(palloc(sizeof(WhatIf)));
	PresentConfiguration(present);
	present->processors = what_if.recorded_processors;
	present->short_ms = what_if.short_ms;
	RunSimulation(trace, Scheduler::kWlm, *present, memory, &simulated);
	Calibrate(trace, memory, simulated, row);
	pfree(present);
}

void PutDistribution(RowWriter *writer, const Distribution &distribution, bool with_max)
{
	writer->Number(distribution.mean);
	writer->Number(distribution.p50);
	writer->Number(distribution.p90);
	writer->Number(distribution.p99);
	if (with_max)
		writer->Number(distribution.max);
}

/* Columns from the queue time to the slowdown. */
void PutTimes(RowWriter *writer, const SimulationResult &result)
{
	PutDistribution(writer, result.queue_ms, true);
	writer->Number(result.never_waited);
	PutDistribution(writer, result.latency_ms, false);
	writer->Number(result.num_short > 0 ? result.short_latency_ms.p95 : NAN);
	writer->Number(result.mean_execution_ms);
	writer->Number(result.mean_slowdown);
}

/* Of the statements of one queue: what the whole has in common is null. */
void EmitQueueRow(ReturnSetInfo *set, int policy, const char *queue, const SimulationResult &result)
{
	RowWriter writer;

	writer.Text(kPolicyNames[policy]);
	writer.Name(queue);
	writer.Int8(result.num_queries);
	writer.Null();
	if (result.num_run > 0)
		PutTimes(&writer, result);
	while (writer.column < set->setDesc->natts)
		writer.Null();
	writer.Emit(set);
}

/* NaN makes everything that rests on queue times null; only a history knows what happened to its statements. */
void EmitRow(ReturnSetInfo *set, int policy, const Row &row, const Row *best, bool from_history)
{
	const SimulationResult &result = row.result;
	const bool recorded = policy == kRecorded;
	const bool known = !std::isnan(result.latency_ms.mean);
	RowWriter writer;
	const auto count = [&writer](bool is_known, int64 value) { is_known ? writer.Int8(value) : writer.Null(); };
	const auto number = [&writer, known](double value) { writer.Number(known ? value : NAN); };

	writer.Text(kPolicyNames[policy]);
	writer.Null();
	writer.Int8(result.num_queries);
	writer.Number(row.load > 0 ? row.load : NAN);
	PutTimes(&writer, result);
	number(result.throughput_per_s);
	number(result.makespan_ms);
	number(result.mean_running);
	count(known, result.peak_memory_kb);
	count(known, known ? static_cast<int64>(result.mean_memory_kb) : 0);
	number(result.over_memory);
	count(!recorded || from_history, result.num_forced);
	count(!recorded || from_history, result.num_express);
	count(!recorded || from_history, result.num_evicted);
	count(!recorded || from_history, result.num_preempted);
	count(!recorded || from_history, result.num_rejected);
	count(!recorded || from_history, result.num_timeouts);
	writer.Number(best != nullptr && best->result.latency_ms.mean > 0 ? result.latency_ms.mean / best->result.latency_ms.mean - 1 : NAN);
	writer.Number(row.calibration);
	writer.Number(row.calibration_error_ms);
	writer.Emit(set);
}

void AnswerSimulation(FunctionCallInfo fcinfo)
{
	RequireSharedState();
	auto *what_if = static_cast<WhatIf *>(palloc(sizeof(WhatIf)));
	Trace trace;
	SimulationMemory memory;
	Row rows[kNumPolicies];

	if (PG_ARGISNULL(kPolicies))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
		                errmsg("policies of wlm.simulate() must not be null"),
		                errhint("Leave it out for all of them.")));
	const PolicyList policies = ReadPolicies(PG_GETARG_ARRAYTYPE_P(kPolicies));
	const bool per_queue = !PG_ARGISNULL(kPerQueue) && PG_GETARG_BOOL(kPerQueue);
	ReadWhatIf(fcinfo, what_if);
	ReturnSetInfo *set = BeginRows(fcinfo);
	ReadTrace(fcinfo, *what_if, &trace);
	AllocateSimulation(trace, &memory);
	const bool median_is_short = !(what_if->short_ms > 0);
	if (median_is_short)
		what_if->short_ms = MedianWork(trace, memory);
	for (Row &row : rows)
		row = {SimulationResult{}, NAN, NAN, NAN, nullptr};

	const int wlm_policy = static_cast<int>(Scheduler::kWlm);
	const bool calibrates = trace.from_history && policies.Has(kRecorded) && policies.Has(wlm_policy);
	if (policies.Has(kRecorded)) {
		DescribeRecorded(trace, *what_if, memory, &rows[kRecorded].result);
		rows[kRecorded].load =
			LoadOf(QueriesOf(trace), trace.from_history ? what_if->recorded_processors : what_if->processors);
		if (per_queue)
			DescribeRecordedQueues(trace, *what_if, memory, &rows[kRecorded]);
	}
	if (calibrates && what_if->changed)
		CalibratePresent(trace, *what_if, memory, &rows[kRecorded]);
	if (!PG_ARGISNULL(kLoad)) {
		ScaleToLoad(QueriesOf(trace), what_if->processors, static_cast<double>(PG_GETARG_FLOAT4(kLoad)));
		if (median_is_short)
			what_if->short_ms = MedianWork(trace, memory);
	}
	const double load = LoadOf(QueriesOf(trace), what_if->processors);
	for (int policy = 0; policy < kRecorded; policy++) {
		if (!policies.Has(policy))
			continue;
		RunSimulation(trace, static_cast<Scheduler>(policy), *what_if, memory, &rows[policy].result);
		rows[policy].load = load;
		if (per_queue)
			DescribeQueues(trace, *what_if, memory, &rows[policy]);
		if (policy == wlm_policy && calibrates && !what_if->changed) {
			Calibrate(trace, memory, rows[policy].result, &rows[policy]);
			rows[kRecorded].calibration = rows[policy].calibration;
			rows[kRecorded].calibration_error_ms = rows[policy].calibration_error_ms;
		}
	}

	const int best = static_cast<int>(Scheduler::kClairvoyant);
	for (int i = 0; i < policies.count; i++) {
		const int policy = policies.policies[i];
		/* What was recorded did not have this load. */
		const bool comparable = policies.Has(best) && (policy != kRecorded || PG_ARGISNULL(kLoad));
		EmitRow(set, policy, rows[policy], comparable ? &rows[best] : nullptr, trace.from_history);
		for (int queue = 0; queue < kMaxQueues && rows[policy].queues != nullptr; queue++) {
			if (rows[policy].queues[queue].num_queries > 0)
				EmitQueueRow(set, policy, what_if->policy.queues[queue].name, rows[policy].queues[queue]);
		}
	}
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_simulate)
{
	wlm::AnswerSimulation(fcinfo);
	return static_cast<Datum>(0);
}
