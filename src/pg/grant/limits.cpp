/*
 * limits.cpp
 *
 * Which limit a node has, and what it needs to find it: a handler for its moments (moments.hpp), or, where it keeps
 * its limit in a field (HashAgg, Memoize), that field.
 */
#include "pg/grant/moments.hpp"

#include <algorithm>

extern "C" {
#include "executor/executor.h"
#include "executor/hashjoin.h"
#include "executor/nodeAgg.h"
#include "executor/nodeHash.h"
#include "nodes/plannodes.h"
#include "utils/guc.h"
#include "utils/memutils.h"
}

namespace wlm {

namespace {

/* The value that the plan node's slot says, else the query's. */
int32 LimitOf(const NodeGrants *grants, const PlanState *state)
{
	const uint8 slot = SlotOfNode(grants, state);
	/* as double: float rounds the largest setting up, beyond what an int holds */
	const double limit_kb = slot != kNoSlot ? static_cast<double>(grants->limits[slot].work_mem_kb) : 0;

	return limit_kb >= 64 ? static_cast<int32>(std::min(limit_kb, static_cast<double>(MAX_KILOBYTES))) : grants->base_kb;
}

/* The largest of the bitmaps below, which are all alive together. */
int32 BitmapLimit(const NodeGrants *grants, PlanState *state)
{
	PlanState **inputs = nullptr;
	int count = 0;

	if (IsA(state, BitmapIndexScanState))
		return LimitOf(grants, state);
	if (IsA(state, BitmapAndState)) {
		inputs = As<BitmapAndState>(state)->bitmapplans;
		count = As<BitmapAndState>(state)->nplans;
	} else if (IsA(state, BitmapOrState)) {
		inputs = As<BitmapOrState>(state)->bitmapplans;
		count = As<BitmapOrState>(state)->nplans;
	}
	int32 limit_kb = 0;
	for (int i = 0; i < count; i++)
		limit_kb = std::max(limit_kb, BitmapLimit(grants, inputs[i]));
	return limit_kb > 0 ? limit_kb : grants->base_kb;
}

/* As ExecInitAgg does, under another work_mem. */
void SetAggLimit(AggState *agg, int32 limit_kb)
{
	const int found = work_mem;
	double groups = 0;

	for (int i = 0; i < agg->num_hashes; i++)
		groups += static_cast<double>(agg->perhash[i].aggnode->numGroups);
	work_mem = limit_kb;
	hash_agg_set_limits(agg->hashentrysize, groups, 0, &agg->hash_mem_limit, &agg->hash_ngroups_limit,
	                    &agg->hash_planned_partitions);
	work_mem = found;

	/* its first bucket array was made for the limit before: where that leaves no room for groups, each batch would hold one */
	const Size least = 2 * AggBytes(agg);
	if (agg->hash_mem_limit < least) {
		agg->hash_mem_limit = least;
		agg->hash_ngroups_limit = std::max<uint64>(agg->hash_ngroups_limit, 1);
	}
}

void SetMemoizeLimit(MemoizeState *memoize, int32 limit_kb)
{
	const int found = work_mem;

	work_mem = limit_kb;
	memoize->mem_limit = get_hash_memory_limit();
	work_mem = found;
}

NodeEntry *AddNode(NodeGrants *grants, PlanState *state, int32 limit_kb, bool may_rescan)
{
	NodeEntry *const entry = AddEntry(grants, state);

	if (entry == nullptr)
		return nullptr;
	entry->limit_kb = limit_kb;
	entry->may_rescan = may_rescan;
	entry->slot = SlotOfNode(grants, state);
	if (limit_kb != grants->base_kb)
		grants->num_windows++;
	return entry;
}

/* Of nodes that call functions inside of their window: never less than these would find without it. */
int32 LimitAtLeastBase(const NodeGrants *grants, const PlanState *state) { return std::max(LimitOf(grants, state), grants->base_kb); }

/* A node whose only wish is a window. */
void AddWindow(NodeGrants *grants, PlanState *state, int32 limit_kb, bool may_rescan, NodeHandler handler)
{
	if (limit_kb == grants->base_kb)
		return;
	NodeEntry *const entry = AddNode(grants, state, limit_kb, may_rescan);
	if (entry != nullptr)
		SetNodeHandler(entry, handler);
}

void AttachHashJoin(NodeGrants *grants, PlanState *state, bool may_rescan)
{
	PlanState *const hash = innerPlanState(state);

	if (hash == nullptr || !IsA(hash, HashState) || hash->plan->parallel_aware)
		return;
	NodeEntry *const entry = AddNode(grants, state, LimitOf(grants, hash), may_rescan);
	if (entry == nullptr)
		return;
	entry->slot = SlotOfNode(grants, hash);
	AddEntry(grants, hash); /* where release.cpp leaves what it had used */
	ExpectNode(entry);
	if (entry->limit_kb != grants->base_kb || grants->elastic || FollowsPhase(entry))
		SetNodeHandler(entry, RunHashJoin);
}

bool SortsInGroups(const AggState *agg)
{
	for (int i = 0; i < agg->numtrans; i++)
		if (agg->pertrans[i].numSortCols > 0)
			return true;
	return false;
}

/* Down to the Sort that has sorted the same rows, if nothing in between makes more of them. */
const PlanState *SortBelow(PlanState *state)
{
	PlanState *input = outerPlanState(state);

	while (input != nullptr && !IsA(input, SortState)) {
		if (IsA(input, SubqueryScanState))
			input = As<SubqueryScanState>(input)->subplan;
		else if (IsA(input, ResultState) || IsA(input, UniqueState) || IsA(input, GroupState) || IsA(input, WindowAggState) ||
		         IsA(input, GatherMergeState))
			input = outerPlanState(input);
		else
			return nullptr;
	}
	return input;
}

void AttachAgg(NodeGrants *grants, PlanState *state, bool may_rescan)
{
	AggState *const agg = As<AggState>(state);

	if ((agg->aggstrategy != AGG_HASHED && agg->aggstrategy != AGG_MIXED) || agg->hash_metacxt == nullptr) {
		const PlanState *const sort = SortsInGroups(agg) ? SortBelow(state) : nullptr;
		if (sort != nullptr)
			AddWindow(grants, state, LimitAtLeastBase(grants, sort), may_rescan, RunByGroups);
		return;
	}
	const int32 limit_kb = LimitOf(grants, state);
	if (limit_kb != work_mem)
		SetAggLimit(agg, limit_kb);
	NodeEntry *const entry = AddNode(grants, state, limit_kb, may_rescan);
	if (entry == nullptr)
		return;
	ExpectNode(entry);
	if (limit_kb != grants->base_kb || grants->elastic || FollowsPhase(entry))
		SetNodeHandler(entry, RunHashAgg);
}

void AttachSort(NodeGrants *grants, PlanState *state, bool may_rescan)
{
	NodeEntry *const entry = AddNode(grants, state, LimitOf(grants, state), may_rescan);

	if (entry == nullptr)
		return;
	ExpectNode(entry);
	if (entry->limit_kb != grants->base_kb || FollowsPhase(entry))
		SetNodeHandler(entry, RunSort);
}

}  // namespace

int EntriesNeeded(const PlanState *state)
{
	switch (nodeTag(state)) {
		case T_HashJoinState: return 4;
		case T_RecursiveUnionState: return 3;
		case T_SortState:
		case T_MaterialState:
		case T_IncrementalSortState:
		case T_WindowAggState:
		case T_AggState: return 2;
		case T_BitmapHeapScanState:
		case T_FunctionScanState:
		case T_TableFuncScanState: return 1;
		default: return 0;
	}
}

void AttachNode(NodeGrants *grants, PlanState *state, bool may_rescan)
{
	switch (nodeTag(state)) {
		case T_SortState: AttachSort(grants, state, may_rescan); break;
		case T_HashJoinState: AttachHashJoin(grants, state, may_rescan); break;
		case T_AggState: AttachAgg(grants, state, may_rescan); break;
		case T_MemoizeState:
			if (LimitOf(grants, state) != work_mem)
				SetMemoizeLimit(As<MemoizeState>(state), LimitOf(grants, state));
			break;
		case T_MaterialState: AddWindow(grants, state, LimitOf(grants, state), may_rescan, RunMaterial); break;
		case T_IncrementalSortState:
			AddWindow(grants, state, LimitOf(grants, state), may_rescan, RunIncrementalSort);
			break;
		case T_WindowAggState: AddWindow(grants, state, LimitAtLeastBase(grants, state), may_rescan, RunByGroups); break;
		case T_RecursiveUnionState: AddWindow(grants, state, LimitOf(grants, state), may_rescan, RunRecursiveUnion); break;
		case T_BitmapHeapScanState:
			AddWindow(grants, state, BitmapLimit(grants, outerPlanState(state)), may_rescan, RunBitmapHeapScan);
			break;
		case T_FunctionScanState:
		case T_TableFuncScanState: AddWindow(grants, state, LimitAtLeastBase(grants, state), may_rescan, RunOnce); break;
		default: break;
	}
}

}  // namespace wlm
