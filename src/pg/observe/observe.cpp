/*
 * observe.cpp
 *
 * The walk over a PlanState at its end, in the leader and in each parallel
 * worker, and how their readings become one.
 *
 * A worker writes to its leader's QuerySlot under the slot's spinlock: a
 * bounded loop over plain fields. It finds the slot by wlm.query_serial, which
 * PostgreSQL hands to workers, and trusts it only if the slot's pid is that of
 * its lock group's leader.
 */
#include "pg/observe/observe.hpp"

extern "C" {
#include "access/parallel.h"
#include "nodes/nodeFuncs.h"
#include "tcop/dest.h"
#include "utils/memutils.h"
}

#include <algorithm>

#include "core/hash.hpp"
#include "pg/grant/nodes.hpp"
#include "pg/observe/operators.hpp"
#include "pg/settings.hpp"

namespace wlm {

namespace {

/* Raises only where the executor itself would have: on a stack too deep. */
void WalkChildren(PlanState *state, bool (*walker)(PlanState *, void *), void *context)
{
#if PG_VERSION_NUM >= 160000
	planstate_tree_walker(state, walker, context);
#else
	planstate_tree_walker(state, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker)), context);
#endif
}

float ContextKb(const QueryDesc *query_desc)
{
	/* sorts, hash tables and aggregates allocate below the query's own context */
	return static_cast<float>(MemoryContextMemAllocated(query_desc->estate->es_query_cxt, true)) / 1024.0f;
}

/* Where memory was freed before the end, the contexts were larger once. */
float PeakContextKb(const QueryDesc *query_desc)
{
	return std::max(ContextKb(query_desc), ReleasedPeakKb(query_desc->estate));
}

bool IsLimit(const PlanState *state) { return IsA(state, LimitState); }

/* What was freed before the end was read then. */
bool ReadNode(const PlanState *state, double limit_kb, bool cut_short, OperatorReading *reading)
{
	return ReadReleased(state, reading) || ReadOperator(state, limit_kb, cut_short, reading);
}

/* ---- leader ---- */

/* An operator that spilled needed at least this much more than its limit. */
constexpr float kBeyondLimit = 1.15f;

/* Of one memory slot, over folded members and processes. */
struct SlotReading {
	uint8 flags;
	uint8 processes; /* at least: of folded members the one with the most workers counts */
	bool own;        /* this process is among them */
	float peak_kb;   /* largest process */
	float needed_kb;
	float temp_kb;   /* largest process */
	float total_kb; /* all processes, and all folded members: they live side by side */
	float grown_kb; /* by which the limit has grown, largest process */
	float rows;     /* negative = not counted */
};

struct LeaderWalk {
	const ManagedQuery *query;
	bool cut_short;
	int workers_launched; /* summed over Gathers, as workers_planned is */
	SlotReading slots[kMaxMemoryNodes];
};

/* The slot of a plan node, or null. */
SlotReading *SlotOf(LeaderWalk *walk, int32 plan_node_id)
{
	const ManagedQuery *query = walk->query;
	if (plan_node_id < 0 || plan_node_id > query->max_plan_node_id || plan_node_id >= kMaxPlanNodeIds)
		return nullptr;
	const uint8 slot = query->slot_of_plan_id[plan_node_id];
	return slot < query->experience.num_operators && slot < kMaxMemoryNodes ? &walk->slots[slot] : nullptr;
}

const OperatorExperience &OperatorOf(const LeaderWalk *walk, const SlotReading *slot)
{
	return walk->query->experience.operators[slot - walk->slots];
}

/* A hashed sub-plan's table counts for its root, unless that has memory of its own. */
bool Belongs(const OperatorExperience &op, bool hashed_subplan)
{
	return !hashed_subplan || op.memory == MemoryClass::kUnbounded;
}

void AddOwn(LeaderWalk *walk, const OperatorReading &reading, bool hashed_subplan)
{
	SlotReading *slot = SlotOf(walk, reading.plan_node_id);
	if (slot == nullptr || !Belongs(OperatorOf(walk, slot), hashed_subplan))
		return;
	slot->flags |= reading.flags;
	slot->own = true;
	slot->peak_kb = std::max(slot->peak_kb, reading.peak_kb);
	slot->needed_kb = std::max(slot->needed_kb, reading.needed_kb);
	slot->temp_kb = std::max(slot->temp_kb, reading.temp_kb);
	slot->total_kb += reading.peak_kb;
	slot->grown_kb = std::max(slot->grown_kb, GrownKb(walk->query->query_desc->estate, reading.plan_node_id));
}

bool WalkLeader(PlanState *state, void *context)
{
	LeaderWalk *walk = static_cast<LeaderWalk *>(context);
	OperatorReading reading;
	SlotReading *slot = SlotOf(walk, state->plan->plan_node_id);

	if (slot != nullptr) {
		const double limit_kb = static_cast<double>(OperatorOf(walk, slot).granted_kb);
		if (ReadNode(state, limit_kb, walk->cut_short, &reading))
			AddOwn(walk, reading, false);
		if (walk->query->sampled && state->instrument != nullptr)
			slot->rows = std::max(slot->rows, 0.0f) +
				static_cast<float>(state->instrument->ntuples + state->instrument->tuplecount);
	}

	if (IsA(state, GatherState))
		walk->workers_launched += reinterpret_cast<GatherState *>(state)->nworkers_launched;
	else if (IsA(state, GatherMergeState))
		walk->workers_launched += reinterpret_cast<GatherMergeState *>(state)->nworkers_launched;

	ListCell *cell;
	foreach (cell, state->subPlan) {
		if (ReadHashedSubPlan(static_cast<SubPlanState *>(lfirst(cell)), &reading))
			AddOwn(walk, reading, true);
	}

	const bool cut_short = walk->cut_short;
	walk->cut_short = (cut_short || IsLimit(state)) && PassesCut(state);
	WalkChildren(state, WalkLeader, walk);
	walk->cut_short = cut_short;
	return false;
}

/* A parallel hash table is one for all, as long as it is in one batch; then each may hold another. */
void AddReport(SlotReading *slot, const WorkerReport &report, bool shared)
{
	slot->flags |= report.flags;
	slot->processes = std::max(slot->processes, report.processes);
	slot->peak_kb = std::max(slot->peak_kb, report.peak_kb);
	slot->needed_kb = std::max(slot->needed_kb, report.needed_kb);
	slot->temp_kb = std::max(slot->temp_kb, report.temp_kb);
	slot->grown_kb = std::max(slot->grown_kb, report.grown_kb);
	if (shared && (slot->flags & kSpilled) == 0)
		slot->total_kb = std::max(slot->total_kb, report.peak_kb);
	else
		slot->total_kb += report.total_peak_kb;
}

/* Workers have ended by now, but for those of a portal that was closed early: hence the lock. */
float AddWorkers(LeaderWalk *walk)
{
	const QueryHandle handle = walk->query->handle;
	if (query_slots == nullptr || policy == nullptr || handle < 0 || handle >= policy->max_queries())
		return 0;

	QuerySlot *query_slot = &query_slots[handle];
	SpinLockAcquire(&query_slot->mutex);
	const float memory_kb = query_slot->worker_memory_kb;
	const int num_reports = std::clamp(query_slot->num_reports, 0, kMaxMemoryNodes);
	for (int i = 0; i < num_reports; i++) {
		const WorkerReport &report = query_slot->reports[i];
		SlotReading *slot = SlotOf(walk, report.plan_node_id);
		if (slot != nullptr)
			AddReport(slot, report, OperatorOf(walk, slot).memory == MemoryClass::kParallelHash);
	}
	SpinLockRelease(&query_slot->mutex);
	return memory_kb;
}

/* Operators whose memory was freed early have not lived side by side with all others. */
float FullestMomentKb(const LeaderWalk &walk, const Lifetimes &lifetimes)
{
	float fullest_kb = 0;

	for (int moment = 0; moment < lifetimes.num_moments; moment++) {
		float kb = 0;
		for (int slot = 0; slot < kMaxMemoryNodes; slot++)
			if ((lifetimes.moments[moment] >> slot & 1) != 0)
				kb += walk.slots[slot].total_kb;
		fullest_kb = std::max(fullest_kb, kb);
	}
	return fullest_kb;
}

/* ---- worker ---- */

struct WorkerWalk {
	bool cut_short;
	int num_readings;
	OperatorReading readings[kMaxMemoryNodes];
};

/* Folded partitions have many ids and one slot in the leader; what does not fit is left out. */
void KeepReading(WorkerWalk *walk, const OperatorReading &reading)
{
	if (walk->num_readings < kMaxMemoryNodes)
		walk->readings[walk->num_readings++] = reading;
}

bool WalkWorker(PlanState *state, void *context)
{
	WorkerWalk *walk = static_cast<WorkerWalk *>(context);
	OperatorReading reading;

	if (ReadNode(state, 0, walk->cut_short, &reading))
		KeepReading(walk, reading);
	ListCell *cell;
	foreach (cell, state->subPlan) {
		if (ReadHashedSubPlan(static_cast<SubPlanState *>(lfirst(cell)), &reading))
			KeepReading(walk, reading);
	}

	const bool cut_short = walk->cut_short;
	walk->cut_short = (cut_short || IsLimit(state)) && PassesCut(state);
	WalkChildren(state, WalkWorker, walk);
	walk->cut_short = cut_short;
	return false;
}

/* Workers walk the same plan in the same order: the report mostly is where it was. */
WorkerReport *FindReport(QuerySlot *slot, int guess, int32 plan_node_id)
{
	if (guess < slot->num_reports && slot->reports[guess].plan_node_id == plan_node_id)
		return &slot->reports[guess];
	for (int i = 0; i < slot->num_reports; i++) {
		if (slot->reports[i].plan_node_id == plan_node_id)
			return &slot->reports[i];
	}
	if (slot->num_reports >= kMaxMemoryNodes)
		return nullptr;
	WorkerReport *report = &slot->reports[slot->num_reports++];
	*report = WorkerReport{};
	report->plan_node_id = plan_node_id;
	return report;
}

void Publish(QuerySlot *slot, const EState *estate, const WorkerWalk &walk, float memory_kb)
{
	float grown_kb[kMaxMemoryNodes];

	for (int i = 0; i < walk.num_readings; i++)
		grown_kb[i] = GrownKb(estate, walk.readings[i].plan_node_id);
	SpinLockAcquire(&slot->mutex);
	slot->worker_memory_kb += memory_kb;
	for (int i = 0; i < walk.num_readings; i++) {
		const OperatorReading &reading = walk.readings[i];
		WorkerReport *report = FindReport(slot, i, reading.plan_node_id);
		if (report == nullptr)
			continue;
		report->processes = static_cast<uint8>(std::min(255, report->processes + 1));
		report->flags |= reading.flags;
		report->peak_kb = std::max(report->peak_kb, reading.peak_kb);
		report->needed_kb = std::max(report->needed_kb, reading.needed_kb);
		report->temp_kb = std::max(report->temp_kb, reading.temp_kb);
		report->grown_kb = std::max(report->grown_kb, grown_kb[i]);
		report->total_peak_kb += reading.peak_kb;
	}
	SpinLockRelease(&slot->mutex);
}

uint64_t sample_state; /* of this process; 0 = not seeded */

}  // namespace

QuerySlot *LeaderSlot()
{
	if (query_slots == nullptr || policy == nullptr || !IsParallelWorker())
		return nullptr;
	const int handle = setting::query_serial - 1;
	const PGPROC *leader = MyProc->lockGroupLeader;
	if (handle < 0 || handle >= policy->max_queries() || leader == nullptr || leader == MyProc)
		return nullptr;
	QuerySlot *slot = &query_slots[handle];
	return slot->pid == leader->pid ? slot : nullptr;
}

void ObserveLeader(ManagedQuery *query)
{
	const QueryDesc *query_desc = query->query_desc;
	if (query_desc == nullptr || query_desc->planstate == nullptr || query_desc->estate == nullptr)
		return;

	LeaderWalk walk;
	walk.query = query;
	walk.cut_short = !query->ran_to_end;
	walk.workers_launched = 0;
	for (SlotReading &slot : walk.slots)
		slot = SlotReading{0, 0, false, 0, 0, 0, 0, 0, -1};
	WalkLeader(query_desc->planstate, &walk);

	const float worker_memory_kb = AddWorkers(&walk);
	float sum_of_peaks_kb = 0;
	float shared_kb = 0;
	Experience *experience = &query->experience;
	experience->workers_launched = static_cast<int16_t>(std::min(walk.workers_launched, 1024));
	const int num_operators = std::clamp<int>(experience->num_operators, 0, kMaxMemoryNodes);
	for (int i = 0; i < num_operators; i++) {
		const SlotReading &slot = walk.slots[i];
		OperatorExperience *op = &experience->operators[i];
		op->actual_rows = slot.rows;
		if ((slot.flags & kObserved) == 0)
			continue;
		op->flags = slot.flags;
		op->processes = static_cast<uint8>(std::min(255, slot.processes + (slot.own ? 1 : 0)));
		op->peak_kb = slot.peak_kb;
		op->needed_kb = slot.needed_kb;
		op->temp_kb = slot.temp_kb;
		op->grown_kb = std::max(op->grown_kb, op->granted_kb + slot.grown_kb);
		/* whatever was reconstructed: the limit in force was not enough */
		if ((slot.flags & kSpilled) != 0)
			op->needed_kb = std::max(op->needed_kb, op->grown_kb * kBeyondLimit);
		sum_of_peaks_kb += slot.total_kb;
		if (op->memory == MemoryClass::kParallelHash)
			shared_kb += slot.total_kb;
	}
	/* contexts hold everything that is alive now, but not what lies in dynamic shared memory */
	const float contexts_kb = PeakContextKb(query_desc) + worker_memory_kb + shared_kb;
	const float operators_kb = ReleasedPeakKb(query_desc->estate) > 0 ? FullestMomentKb(walk, query->grant.lifetimes) : sum_of_peaks_kb;
	experience->query_memory_kb = std::max({experience->query_memory_kb, operators_kb, contexts_kb});
}

void ObserveWorker(QueryDesc *query_desc)
{
	/* a query inside a function has plan node ids of its own, which mean nothing to the leader */
	if (query_desc->dest == nullptr || query_desc->dest->mydest != DestTupleQueue)
		return;
	QuerySlot *slot = LeaderSlot();
	if (slot == nullptr || query_desc->planstate == nullptr || query_desc->estate == nullptr)
		return;

	WorkerWalk walk;
	walk.cut_short = false;
	walk.num_readings = 0;
	WalkWorker(query_desc->planstate, &walk);
	Publish(slot, query_desc->estate, walk, PeakContextKb(query_desc));
}

ObservedEnd EndOf(const Experience &experience)
{
	return {.time_ms = static_cast<double>(experience.time_ms), .queue_ms = static_cast<double>(experience.queue_ms),
	        .lane = experience.evicted ? Lane::kExpress : static_cast<Lane>(experience.lane), .evicted = experience.evicted};
}

bool DecideSample()
{
	if (!(setting::sample_rate > 0))
		return false;
	if (sample_state == 0)
		sample_state = Mix(static_cast<uint64_t>(MyProcPid)) | 1;
	/* xorshift64 (Marsaglia 2003); the upper 53 bits are a fraction */
	sample_state ^= sample_state << 13;
	sample_state ^= sample_state >> 7;
	sample_state ^= sample_state << 17;
	return static_cast<double>(sample_state >> 11) * 0x1p-53 < setting::sample_rate;
}

}  // namespace wlm
