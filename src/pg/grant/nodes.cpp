/*
 * nodes.cpp
 *
 * From a query's grant to its plan nodes: in the leader after ExecutorStart, in a parallel worker when
 * it begins to run. The walk knows of each node whether it may be executed again from its
 * start: what cannot be loses its wrapper after its first call, and may be freed early.
 *
 * The leader writes its limits to its slot before it starts workers, which read them there without
 * a lock: the slot belongs to the leader, and a worker to the query whose serial its settings carry.
 */
#include "pg/grant/nodes.hpp"

extern "C" {
#include "access/parallel.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "nodes/plannodes.h"
#include "tcop/dest.h"
#include "utils/memutils.h"
}

#include <algorithm>

#include "pg/grant/wrappers.hpp"
#include "pg/observe/observe.hpp"
#include "pg/query/classify.hpp"
#include "pg/settings.hpp"

namespace wlm {

namespace {

using Visit = void (*)(void *context, PlanState *state, bool may_rescan);

void Walk(PlanState *state, bool may_rescan, Visit visit, void *context);

void WalkMembers(PlanState **members, int count, bool may_rescan, Visit visit, void *context)
{
	for (int i = 0; i < count; i++)
		Walk(members[i], may_rescan, visit, context);
}

void WalkSubPlans(List *subplans, Visit visit, void *context)
{
	ListCell *cell;

	foreach (cell, subplans)
		Walk(static_cast<SubPlanState *>(lfirst(cell))->planstate, true, visit, context);
}

/* Who starts its input anew, with or without new parameters. */
bool RescansOuter(const PlanState *state)
{
	switch (nodeTag(state)) {
		case T_MemoizeState:
		case T_CustomScanState:
		case T_ForeignScanState: return true;
		default: return false;
	}
}

bool RescansInner(const PlanState *state)
{
	switch (nodeTag(state)) {
		case T_MergeJoinState:
		case T_HashJoinState: return false;
		default: return true;
	}
}

void Walk(PlanState *state, bool may_rescan, Visit visit, void *context)
{
	if (state == nullptr)
		return;
	visit(context, state, may_rescan);
	WalkSubPlans(state->initPlan, visit, context);
	WalkSubPlans(state->subPlan, visit, context);
	Walk(outerPlanState(state), may_rescan || RescansOuter(state), visit, context);
	Walk(innerPlanState(state), may_rescan || RescansInner(state), visit, context);
	switch (nodeTag(state)) {
		case T_AppendState: {
			const AppendState *append = reinterpret_cast<AppendState *>(state);
			WalkMembers(append->appendplans, append->as_nplans, may_rescan, visit, context);
			break;
		}
		case T_MergeAppendState: {
			const MergeAppendState *append = reinterpret_cast<MergeAppendState *>(state);
			WalkMembers(append->mergeplans, append->ms_nplans, may_rescan, visit, context);
			break;
		}
		case T_SubqueryScanState:
			Walk(reinterpret_cast<SubqueryScanState *>(state)->subplan, may_rescan, visit, context);
			break;
		case T_CustomScanState: {
			ListCell *cell;
			foreach (cell, reinterpret_cast<CustomScanState *>(state)->custom_ps)
				Walk(static_cast<PlanState *>(lfirst(cell)), true, visit, context);
			break;
		}
		default: break;
	}
}

bool instruments_later = false;

/* Backward and rewound scans run everything again. */
bool IsRewindable(const EState *estate)
{
	return (estate->es_top_eflags & (EXEC_FLAG_REWIND | EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK)) != 0;
}

NodeGrants *CreateFor(QueryDesc *query_desc)
{
	int num_entries = 0;

	Walk(query_desc->planstate, false,
	     [](void *context, PlanState *state, bool) { *static_cast<int *>(context) += EntriesNeeded(state); }, &num_entries);
	if (num_entries == 0)
		return nullptr;
	MemoryContext caller = MemoryContextSwitchTo(query_desc->estate->es_query_cxt);
	NodeGrants *const grants = CreateNodeTable(query_desc->estate, num_entries);
	MemoryContextSwitchTo(caller);
	return grants;
}

void AttachAll(NodeGrants *grants, QueryDesc *query_desc)
{
	MemoryContext caller = MemoryContextSwitchTo(query_desc->estate->es_query_cxt);
	Walk(query_desc->planstate, IsRewindable(query_desc->estate),
	     [](void *context, PlanState *state, bool may_rescan) { AttachNode(static_cast<NodeGrants *>(context), state, may_rescan); },
	     grants);
	MemoryContextSwitchTo(caller);
}

/* What workers have to know, where they look for it. */
void PublishLimits(const ManagedQuery *query, const NodeGrants *grants)
{
	QuerySlot *const slot = &query_slots[query->handle];

	slot->elastic = grants->elastic;
	memcpy(slot->node_limits.limits, grants->limits, sizeof grants->limits);
	for (NodeLimit &limit : slot->node_limits.limits)
		limit.released = limit.released && grants->may_release;
	if (grants->max_plan_node_id >= 0)
		memcpy(slot->node_limits.slot_of_plan_id, grants->slot_of_plan_id, static_cast<size_t>(grants->max_plan_node_id) + 1);
	slot->node_limits.max_plan_node_id = grants->max_plan_node_id;
}

void TakeGrant(const ManagedQuery *query, NodeGrants *grants)
{
	const Grant &grant = query->grant;

	grants->max_plan_node_id = std::min<int16>(query->max_plan_node_id, kMaxPlanNodeIds - 1);
	grants->slot_of_plan_id = query->slot_of_plan_id;
	for (int i = 0; i < grant.num_operators; i++) {
		const OperatorGrant &granted = grant.operators[i];
		if (granted.memory_slot < 0 || granted.memory_slot >= kMaxMemoryNodes)
			continue;
		NodeLimit *const limit = &grants->limits[granted.memory_slot];
		limit->work_mem_kb = grant.adjusts ? granted.work_mem_kb : 0;
		limit->released = query->may_release && granted.released;
		grants->may_release = grants->may_release || limit->released;
	}
}

/* Now that the nodes of each slot are counted. */
void ShareCharges(const ManagedQuery *query, NodeGrants *grants)
{
	for (int i = 0; i < query->grant.num_operators; i++) {
		const OperatorGrant &granted = query->grant.operators[i];
		if (granted.memory_slot < 0 || granted.memory_slot >= kMaxMemoryNodes)
			continue;
		const float own = static_cast<float>(grants->unbuilt[granted.memory_slot]);
		grants->others[granted.memory_slot] = granted.processes > own ? 1 - own / granted.processes : 0;
	}
}

}  // namespace

void PrepareNodeGrants(ManagedQuery *query, int instrumented)
{
	query->nodes = nullptr;
	/* who chose his work_mem is not given more by the way (HAZARDS G6) */
	query->elastic = query->applied && setting::elastic && MayChangeWorkMem();
	/* what is asked for by others is shown by them after the end: nothing may be missing then */
	query->may_release = query->applied && instrumented == 0;
}

void AttachNodeGrants(ManagedQuery *query)
{
	QueryDesc *const query_desc = query->query_desc;

	/* some module below has asked for instrumentation of its own */
	if (query_desc->instrument_options != (query->sampled ? INSTRUMENT_ROWS : 0)) {
		instruments_later |= query->may_release;
		query->may_release = false;
	}
	if (IsRewindable(query_desc->estate))
		query->may_release = false;
	if (!query->applied || query_desc->planstate == nullptr)
		return;
	NodeGrants *const grants = CreateFor(query_desc);
	if (grants == nullptr)
		return;

	grants->query = query;
	grants->handle = query->handle;
	grants->leader_pid = MyProcPid;
	grants->serial = query_slots[query->handle].serial;
	grants->base_kb = static_cast<int32>(query->grant.raises ? query->grant.work_mem_kb : query->session_work_mem_kb);
	grants->elastic = query->elastic;
	grants->reserved_kb = static_cast<int64>(query->experience.reserved_kb);
	TakeGrant(query, grants);
	AttachAll(grants, query_desc);
	ShareCharges(query, grants);
	if (query->experience.workers_planned > 0)
		PublishLimits(query, grants);
	query->nodes = grants;
}

bool InstrumentsLater() { return instruments_later; }

void AttachWorkerGrants(QueryDesc *query_desc)
{
	/* a query inside a function has plan node ids of its own */
	if (query_desc->dest == nullptr || query_desc->dest->mydest != DestTupleQueue || query_desc->planstate == nullptr ||
	    FindTable(query_desc->estate) != nullptr)
		return;
	const QuerySlot *const slot = LeaderSlot();
	if (slot == nullptr || !slot->applied)
		return;
	const bool limited = slot->node_limits.max_plan_node_id >= 0;
	if (!limited && !slot->elastic)
		return;
	NodeGrants *const grants = CreateFor(query_desc);
	if (grants == nullptr)
		return;

	grants->handle = setting::query_serial - 1;
	grants->leader_pid = slot->pid;
	grants->serial = slot->serial;
	grants->base_kb = work_mem;
	grants->elastic = slot->elastic;
	grants->max_plan_node_id = slot->node_limits.max_plan_node_id;
	grants->slot_of_plan_id = slot->node_limits.slot_of_plan_id;
	memcpy(grants->limits, slot->node_limits.limits, sizeof grants->limits);
	for (const NodeLimit &limit : grants->limits)
		grants->may_release = grants->may_release || limit.released;
	AttachAll(grants, query_desc);
	/* an error ends the worker: no GUC level is needed here */
	in_force_kb = work_mem;
}

bool NeedsWindows(const ManagedQuery *query)
{
	const NodeGrants *const grants = query->nodes;
	return grants != nullptr && (grants->num_windows > 0 || grants->elastic);
}

}  // namespace wlm
