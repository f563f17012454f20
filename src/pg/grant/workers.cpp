/*
 * workers.cpp
 *
 * In PostgreSQL 15 to 18, ExecGather and ExecGatherMerge read num_workers from
 * ps.plan at the first call after start or rescan, and give it to
 * ExecInitParallelPlan; a rescan uses the parallel context made then. Gather
 * Merge sizes its arrays for the planned number in ExecInitGatherMerge, which is
 * enough for fewer. Hence the copies stay in place until the last run.
 */
#include "pg/grant/workers.hpp"

#include <algorithm>

extern "C" {
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "utils/memutils.h"
}

namespace wlm {

/* In es_query_cxt, like the state it belongs to. */
struct LimitedGather {
	LimitedGather *next;
	PlanState *state;
	Plan *planned;
	union {
		Plan plan;
		Gather gather;
		GatherMerge gather_merge;
	} copy;
};

namespace {

struct Walk {
	ManagedQuery *query;
	int most;
	int granted;      /* of all Gathers */
};

void Visit(PlanState *state, bool (*walker)(PlanState *, void *), void *context)
{
#if PG_VERSION_NUM >= 160000
	planstate_tree_walker(state, walker, context);
#else
	planstate_tree_walker(state, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker)), context);
#endif
}

/* Null for other nodes. */
int *WorkersOf(Plan *plan)
{
	switch (nodeTag(plan)) {
		case T_Gather:
			return &reinterpret_cast<Gather *>(plan)->num_workers;
		case T_GatherMerge:
			return &reinterpret_cast<GatherMerge *>(plan)->num_workers;
		default:
			return nullptr;
	}
}

/* debug_parallel_query (force_parallel_mode up to 15): somebody wants to see a worker run this. */
bool IsSingleCopy(const Plan *plan)
{
	return IsA(plan, Gather) && reinterpret_cast<const Gather *>(plan)->single_copy;
}

bool FindLargest(PlanState *state, void *context)
{
	int *largest = static_cast<int *>(context);
	const int *workers = WorkersOf(state->plan);

	if (workers != nullptr)
		*largest = std::max(*largest, *workers);
	Visit(state, FindLargest, context);
	return false;
}

/* Raises only for want of memory. */
void ShowCopy(ManagedQuery *query, PlanState *state, int workers)
{
	LimitedGather *limited = static_cast<LimitedGather *>(
		MemoryContextAlloc(query->query_desc->estate->es_query_cxt, sizeof(LimitedGather)));

	if (IsA(state->plan, Gather))
		limited->copy.gather = *reinterpret_cast<const Gather *>(state->plan);
	else
		limited->copy.gather_merge = *reinterpret_cast<const GatherMerge *>(state->plan);
	*WorkersOf(&limited->copy.plan) = workers;
	limited->state = state;
	limited->planned = state->plan;
	limited->next = query->limited_gathers;
	query->limited_gathers = limited;
	state->plan = &limited->copy.plan;
}

bool LimitNode(PlanState *state, void *context)
{
	Walk *walk = static_cast<Walk *>(context);
	const int *planned = WorkersOf(state->plan);

	if (planned != nullptr) {
		const int workers = IsSingleCopy(state->plan) ? *planned : std::min(*planned, std::max(walk->most, 0));
		if (workers < *planned)
			ShowCopy(walk->query, state, workers);
		walk->granted += workers;
	}
	Visit(state, LimitNode, context);
	return false;
}

}  // namespace

int PlannedWorkersOfLargestGather(const QueryDesc *query_desc)
{
	int largest = 0;

	if (query_desc->plannedstmt->parallelModeNeeded && query_desc->planstate != nullptr)
		FindLargest(query_desc->planstate, &largest);
	return largest;
}

void LimitWorkers(ManagedQuery *query, int most)
{
	const QueryDesc *query_desc = query->query_desc;
	Walk walk = {query, most, 0};

	if (!query_desc->plannedstmt->parallelModeNeeded || query_desc->planstate == nullptr)
		return;
	LimitNode(query_desc->planstate, &walk);
	query->experience.workers_granted = static_cast<int16_t>(std::min<int>(walk.granted, query->experience.workers_planned));
}

void ShowPlannedWorkers(ManagedQuery *query)
{
	for (LimitedGather *limited = query->limited_gathers; limited != nullptr; limited = limited->next)
		limited->state->plan = limited->planned;
	query->limited_gathers = nullptr;
}

}  // namespace wlm
