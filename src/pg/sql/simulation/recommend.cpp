/*
 * recommend.cpp
 *
 * wlm.recommend(): the configuration in force and variants of it, each with one thing
 * changed, on the same history; and facts of the history that no simulation
 * knows. Only what helps by a margin is said, best first; nothing is changed.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <algorithm>
#include <cmath>

#include "pg/query/classify.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/simulation/advice.hpp"

namespace wlm {

namespace {

/* Of the newest statements: some dozens of runs over more would take minutes, and the newest say most about what comes. */
constexpr int64 kMostQueries = 50000;
constexpr int64 kLeastQueries = 100;
/* Where little goes on the simulated seconds cost more than the statements; and a week has all kinds of days. */
constexpr double kMostDays = 7;

/*
 * What is worth saying: a gain of 5 % over latency and queue time, all in all; nothing of it may
 * get worse by as much for it. Not measured: taken so that a variant which differs by chance is not said.
 */
constexpr double kLeastGain = 0.05;
constexpr double kMostLoss = 0.05;

/* Fewer that were forced cannot move the figures of all. */
constexpr int64 kLeastForced = 10;
constexpr double kManyForced = 0.01;
constexpr double kMostMaxWaitMs = 2147483647;   /* of the setting */

double GainOf(const SimulationResult &before, const SimulationResult &after)
{
	const double gains[] = {Gain(before.latency_ms.mean, after.latency_ms.mean), Gain(before.queue_ms.p90, after.queue_ms.p90),
	                        Gain(before.short_latency_ms.p95, after.short_latency_ms.p95)};

	if (gains[0] < -kMostLoss || gains[2] < -kMostLoss || Gain(before.latency_ms.p99, after.latency_ms.p99) < -kMostLoss)
		return 0;
	if (after.num_timeouts + after.num_rejected > before.num_timeouts + before.num_rejected)
		return 0;
	if (after.over_memory > before.over_memory + 0.01)
		return 0;
	return 0.5 * gains[0] + 0.25 * gains[1] + 0.25 * gains[2];
}

struct Trial {
	const Trace *trace;
	const SimulationMemory *memory;
	SimulationResult present;
	char *evidence;
	AdviceList *list;
};

/* Simulates a variant; the best one of each subject stays. */
void Try(Trial *trial, const char *subject, const char *current, const char *recommended, const char *change, const WhatIf &variant)
{
	SimulationResult result;

	RunSimulation(*trial->trace, Scheduler::kWlm, variant, *trial->memory, &result);
	const double gain = GainOf(trial->present, result);
	if (gain < kLeastGain)
		return;
	Advice *advice = AddAdvice(trial->list, subject);
	if (gain <= advice->gain)
		return;
	advice->gain = gain;
	advice->current = pstrdup(current);
	advice->recommended = pstrdup(recommended);
	advice->change = change == nullptr ? nullptr : pstrdup(change);
	advice->evidence = trial->evidence;
	advice->simulated = true;
	advice->before = trial->present;
	advice->after = result;
}

/* Leaves out what came more than a week before the last one. */
void KeepNewest(Trace *trace)
{
	const double oldest_ms = trace->num_queries == 0 ? 0 : trace->queries[trace->num_queries - 1].arrival_ms - kMostDays * 86400e3;
	int64 skipped = 0;

	while (skipped < trace->num_queries && trace->queries[skipped].arrival_ms < oldest_ms)
		skipped++;
	trace->queries += skipped;
	trace->execution_ms += skipped;
	trace->num_queries -= skipped;
	BeginAtZero(trace);
}

const char *Slots(int32 slots) { return slots > 0 ? psprintf("%d", slots) : "automatic"; }

void TryTotalSlots(Trial *trial, const WhatIf &present)
{
	const int32 now = present.policy.total_slots;
	const int32 processors = std::max(1, static_cast<int32>(std::lround(present.processors)));
	const int32 wanted[] = {now > 0 ? now / 2 : processors, now > 0 ? now * 2 : processors * 2, now > 0 ? 0 : processors * 4,
	                        processors * 8};

	for (const int32 slots : wanted) {
		WhatIf variant = present;
		if (slots == now || (now > 0 && now / 2 == 0 && slots == now / 2))
			continue;
		variant.policy.total_slots = slots;
		Try(trial, "wlm.total_slots", Slots(now), Slots(slots), psprintf("ALTER SYSTEM SET wlm.total_slots = %d", slots), variant);
	}
}

void TryMemory(Trial *trial, const WhatIf &present)
{
	WhatIf variant = present;

	variant.memory_kb *= 2;
	variant.policy.budget_kb *= 2;
	Try(trial, "wlm.memory", psprintf("%lld MB", static_cast<long long>(present.memory_kb / 1024)),
	    psprintf("%lld MB, if the machine has them", static_cast<long long>(variant.memory_kb / 1024)),
	    psprintf("ALTER SYSTEM SET wlm.memory = '%lldMB'", static_cast<long long>(variant.memory_kb / 1024)), variant);
}

void TrySettings(Trial *trial, const WhatIf &present)
{
	WhatIf variant = present;

	variant.policy.preemption = !present.policy.preemption;
	Try(trial, "wlm.preemption", present.policy.preemption ? "on" : "off", present.policy.preemption ? "off" : "on",
	    psprintf("ALTER SYSTEM SET wlm.preemption = %s", present.policy.preemption ? "off" : "on"), variant);

	const double floor_ms = present.policy.express_floor_ms;
	const double floors[] = {floor_ms < 0 ? 200 : floor_ms * 2.5, floor_ms < 0 ? 1000 : floor_ms / 2.5};
	for (const double wanted : floors) {
		variant = present;
		variant.policy.express_floor_ms = std::floor(wanted);
		if (wanted > 0)
			Try(trial, "wlm.express_floor", psprintf("%.0f ms", floor_ms), psprintf("%.0f ms", std::floor(wanted)),
			    psprintf("ALTER SYSTEM SET wlm.express_floor = %.0f", std::floor(wanted)), variant);
	}
}

/*
 * Where many started over the limits because they had waited for that long. In a burst that lets everybody in at a time, and the
 * short ones wait with all others for processors.
 */
void TryMaxWait(Trial *trial, const WhatIf &present)
{
	const double now_ms = present.policy.max_wait_ms;
	const int64 num_forced = trial->present.num_forced;
	char *const usual = trial->evidence;

	if (num_forced < kLeastForced || static_cast<double>(num_forced) < kManyForced * static_cast<double>(trial->trace->num_queries))
		return;
	trial->evidence = psprintf("%s, " INT64_FORMAT " of them started over the limits after waiting that long", usual, num_forced);
	for (const double factor : {2.0, 6.0}) {
		WhatIf variant = present;
		variant.policy.max_wait_ms = std::min(now_ms * factor, kMostMaxWaitMs);
		Try(trial, "wlm.max_wait", psprintf("%.0f s", now_ms / 1000), psprintf("%.0f s", variant.policy.max_wait_ms / 1000),
		    psprintf("ALTER SYSTEM SET wlm.max_wait = %.0f", variant.policy.max_wait_ms), variant);
	}
	trial->evidence = usual;
}

void TryPriority(Trial *trial, const WhatIf &present, int queue, int change)
{
	const QueueLimits &limits = present.policy.queues[queue];
	const int wanted = static_cast<int>(limits.priority) + change;
	TraceQuery *queries = trial->trace->queries;

	/* Critical is for superusers. */
	if (wanted < 0 || wanted > static_cast<int>(Priority::kHighest))
		return;
	/* Sessions that chose their own priority keep it. */
	const Priority before = limits.priority, after = static_cast<Priority>(wanted);
	WhatIf variant = present;
	variant.policy.queues[queue].priority = after;
	bool *moved = static_cast<bool *>(MemoryContextAllocHuge(CurrentMemoryContext, static_cast<Size>(trial->trace->num_queries)));
	for (int64 i = 0; i < trial->trace->num_queries; i++) {
		moved[i] = queries[i].queue == queue && queries[i].priority == before;
		if (moved[i])
			queries[i].priority = after;
	}
	Try(trial, psprintf("priority of queue \"%s\"", limits.name), PriorityName(before), PriorityName(after),
	    psprintf("SELECT wlm.alter_queue(%s, priority => '%s')", quote_literal_cstr(limits.name), PriorityName(after)), variant);
	for (int64 i = 0; i < trial->trace->num_queries; i++) {
		if (moved[i])
			queries[i].priority = before;
	}
	pfree(moved);
}

void TrySlots(Trial *trial, const WhatIf &present, int queue)
{
	const QueueLimits &limits = present.policy.queues[queue];
	const char *name = quote_literal_cstr(limits.name);
	const int32 now = limits.max_slots;

	if (now == 0)
		return;
	const int32 wanted[] = {now / 2, now * 2, 0};
	for (int i = 0; i < 3; i++) {
		WhatIf variant = present;
		if (wanted[i] == 0 && i < 2)
			continue;
		variant.policy.queues[queue].max_slots = wanted[i];
		Try(trial, psprintf("max_slots of queue \"%s\"", limits.name), Slots(now), Slots(wanted[i]),
		    wanted[i] > 0 ? psprintf("SELECT wlm.alter_queue(%s, max_slots => %d)", name, wanted[i])
		                  : psprintf("SELECT wlm.alter_queue(%s, reset => '{max_slots}')", name),
		    variant);
	}
}

/* Those that a twentieth of the statements go to: less would not move what all see. Priorities only where there are several. */
void TryQueues(Trial *trial, const WhatIf &present)
{
	int64 in_queue[kMaxQueues] = {};
	int num_queues = 0;

	for (int64 i = 0; i < trial->trace->num_queries; i++)
		in_queue[trial->trace->queries[i].queue]++;
	for (const int64 count : in_queue)
		num_queues += count > 0;
	for (int queue = 0; queue < present.policy.num_queues; queue++) {
		if (in_queue[queue] < trial->trace->num_queries / 20)
			continue;
		TrySlots(trial, present, queue);
		if (num_queues > 1) {
			TryPriority(trial, present, queue, 1);
			TryPriority(trial, present, queue, -1);
		}
	}
}

/* Not manage, as recorded, beside managing as configured. */
void AdviseMode(Trial *trial, const WhatIf &present, const HistoryFacts &facts)
{
	SimulationResult recorded;
	const Mode mode = static_cast<Mode>(setting::mode);

	if (mode == Mode::kAuto || facts.applied_share > 0.5)
		return;
	DescribeRecorded(*trial->trace, present, *trial->memory, &recorded);
	const double gain = GainOf(recorded, trial->present);
	const bool over = recorded.over_memory > 0.01 && trial->present.over_memory < recorded.over_memory / 2;
	if (gain < kLeastGain && !over && facts.spilled_share < kMuchSpilling)
		return;
	Advice *advice = AddAdvice(trial->list, "wlm.mode");
	advice->gain = std::max({gain, over ? recorded.over_memory : 0, facts.spilled_share / 2});
	advice->current = mode == Mode::kObserve ? "observe" : "off";
	advice->recommended = "auto";
	advice->change = "ALTER SYSTEM SET wlm.mode = 'auto'";
	advice->evidence = psprintf("%s; they needed more than wlm.memory for %.0f %% of the time, and %.0f %% of all execution time was in "
	                            "statements that spilled", trial->evidence, 100 * recorded.over_memory, 100 * facts.spilled_share);
	advice->simulated = true;
	advice->before = recorded;
	advice->after = trial->present;
}

void AnswerRecommendation(FunctionCallInfo fcinfo)
{
	RequireSharedState();
	RequireConfiguredDatabase("recommend()");
	const TracePeriod period = {.has_since = !PG_ARGISNULL(0), .has_until = !PG_ARGISNULL(1),
	                            .since = PG_ARGISNULL(0) ? 0 : PG_GETARG_TIMESTAMPTZ(0),
	                            .until = PG_ARGISNULL(1) ? 0 : PG_GETARG_TIMESTAMPTZ(1)};
	auto *present = static_cast<WhatIf *>(palloc(sizeof(WhatIf)));
	auto *facts = static_cast<HistoryFacts *>(palloc(sizeof(HistoryFacts)));
	auto *list = static_cast<AdviceList *>(palloc0(sizeof(AdviceList)));
	Trace trace;
	SimulationMemory memory;
	ReturnSetInfo *set = BeginRows(fcinfo);

	PresentConfiguration(present);
	ReadHistoryTrace(LocalWorkload(), period, present->recorded_processors, kMostQueries, &trace);
	KeepNewest(&trace);
	if (trace.num_queries < kLeastQueries)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("too little history to recommend anything"),
		                errdetail("wlm.history has " INT64_FORMAT " statements of this period that ran; " INT64_FORMAT " are needed.",
		                          trace.num_queries, kLeastQueries),
		                errhint("Give a longer period, or run more statements that cost at least wlm.min_cost, "
		                        "then SELECT wlm.flush().")));
	AllocateSimulation(trace, &memory);
	present->short_ms = MedianWork(trace, memory);
	ReadFacts(period, facts);

	Trial trial = {&trace, &memory, {}, nullptr, list};
	trial.evidence = psprintf(INT64_FORMAT " statements simulated, offered load %.2f", trace.num_queries,
	                          LoadOf(QueriesOf(trace), present->processors));
	RunSimulation(trace, Scheduler::kWlm, *present, memory, &trial.present);
	AdviseMode(&trial, *present, *facts);
	TryTotalSlots(&trial, *present);
	TryMemory(&trial, *present);
	TrySettings(&trial, *present);
	TryMaxWait(&trial, *present);
	TryQueues(&trial, *present);
	AdviseFromFacts(*present, *facts, list);
	RankAdvice(list);
	EmitAdvice(set, *list);
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_recommend)
{
	wlm::AnswerRecommendation(fcinfo);
	return static_cast<Datum>(0);
}
