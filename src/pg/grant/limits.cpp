/*
 * limits.cpp
 *
 * At which moments PostgreSQL reads work_mem for a node, one handler each:
 *   Sort, Material       at the first call of each scan; over when their input is asked for its first row
 *   HashJoin             (the Hash's limit) when the table is created, inside the first call, perhaps
 *                        after one row of the outer side
 *   IncrementalSort      when each of its two sorts is created
 *   WindowAgg            at the start of each partition
 *   Agg                  ordered and DISTINCT aggregates, at the start of each group: they sort again what the Sort
 *                        below has sorted, and get its limit
 *   HashAgg              when it is initialised, and again for each batch that it reads back
 *   Memoize              when it is initialised
 *   BitmapHeapScan       (its BitmapIndexScans' limit) at the first call of each scan
 *   FunctionScan, TableFuncScan   at the first call of each scan
 *   RecursiveUnion       when a round ends; for its first two tables while it is initialised
 * What CTEs and recursive unions read while they are initialised: apply.cpp. Parallel Hash must find the same value in
 * all its participants, hashed sub-plans and SetOp cannot spill: the query's value for all of them.
 *
 * Handlers install what they need on their inputs when they open their window, not before: by then
 * Parallel Hash has put its own function into its nodes.
 */
#include "pg/grant/wrappers.hpp"

extern "C" {
#include "executor/executor.h"
#include "executor/hashjoin.h"
#include "executor/nodeAgg.h"
#include "executor/nodeHash.h"
#include "nodes/plannodes.h"
#include "utils/guc.h"
#include "utils/memutils.h"
}

#include <algorithm>

namespace wlm {

namespace {

template <typename State>
State *As(PlanState *state) { return reinterpret_cast<State *>(state); }

/* ---- roles of inputs ---- */

/* The moment is over: the parent has read its limit. */
TupleTableSlot *FirstRow(NodeEntry *entry, PlanState *state)
{
	CloseWindow(entry->parent);
	SetChildHandler(entry, nullptr, nullptr);
	return CallNode(entry, state);
}

/* The parent may read its limit again later in the same call. */
TupleTableSlot *OutsideOfWindow(NodeEntry *entry, PlanState *state)
{
	NodeEntry *const parent = entry->parent;
	const bool open = parent->open;

	CloseWindow(parent);
	TupleTableSlot *const slot = CallNode(entry, state);
	if (open)
		OpenWindow(parent);
	return slot;
}

NodeEntry *WatchInput(NodeEntry *parent, PlanState *input, NodeHandler handler)
{
	NodeEntry *const entry = input != nullptr ? AddEntry(parent->grants, input) : nullptr;

	if (entry != nullptr)
		SetChildHandler(entry, parent, handler);
	else
		CloseWindow(parent); /* better no limit of its own than one that its input finds */
	return entry;
}

/* The input of what can grow, or frees what is below when it is complete. */
void WatchFeed(NodeEntry *parent, PlanState *input, NodeHandler handler)
{
	NodeEntry *const entry = WatchInput(parent, input, handler);

	if (entry == nullptr)
		return;
	entry->elastic = parent->grants->elastic;
	entry->next_groups = 0;
	entry->rows_left = 1;
}

void LeaveInput(NodeEntry *parent, PlanState *input, NodeHandler handler)
{
	NodeEntry *const entry = input != nullptr ? FindEntry(input) : nullptr;

	if (entry != nullptr && entry->parent == parent && entry->as_child == handler)
		SetChildHandler(entry, nullptr, nullptr);
}

bool IsWatched(const NodeEntry *parent, const PlanState *input)
{
	const NodeEntry *const entry = FindEntry(input);

	return entry != nullptr && entry->parent == parent && entry->as_child != nullptr;
}

bool HasParameters(const PlanState *state) { return !bms_is_empty(state->plan->allParam); }

/* ---- nodes ---- */

TupleTableSlot *RunSort(NodeEntry *entry, PlanState *state)
{
	SortState *const sort = As<SortState>(state);

	if (sort->sort_Done)
		return entry->real(state);

	PlanState *const input = outerPlanState(state);
	OpenWindow(entry);
	if (entry->open)
		WatchInput(entry, input, FirstRow);
	TupleTableSlot *const slot = entry->real(state);
	CloseWindow(entry);
	InputComplete(entry);
	if (!entry->may_rescan || (sort->randomAccess && !sort->bounded && !HasParameters(input)))
		SetNodeHandler(entry, nullptr);
	return slot;
}

TupleTableSlot *RunMaterial(NodeEntry *entry, PlanState *state)
{
	MaterialState *const material = As<MaterialState>(state);

	if (material->tuplestorestate != nullptr || material->eflags == 0)
		return entry->real(state);

	PlanState *const input = outerPlanState(state);
	OpenWindow(entry);
	if (entry->open)
		WatchInput(entry, input, FirstRow);
	TupleTableSlot *const slot = entry->real(state);
	CloseWindow(entry);
	if (!entry->may_rescan || ((material->eflags & EXEC_FLAG_REWIND) != 0 && !HasParameters(input)))
		SetNodeHandler(entry, nullptr);
	return slot;
}

TupleTableSlot *RunHashJoin(NodeEntry *entry, PlanState *state)
{
	HashJoinState *const join = As<HashJoinState>(state);

	if (join->hj_HashTable != nullptr)
		return entry->real(state);

	PlanState *const outer = outerPlanState(state);
	PlanState *const input = outerPlanState(innerPlanState(state));
	OpenWindow(entry);
	if (entry->open)
		WatchInput(entry, outer, OutsideOfWindow);
	if (WatchesRows(entry->grants))
		WatchFeed(entry, input, FeedHash);
	else if (entry->open)
		WatchInput(entry, input, FirstRow);
	TupleTableSlot *const slot = entry->real(state);
	CloseWindow(entry);
	LeaveInput(entry, outer, OutsideOfWindow);
	if (join->hj_HashTable != nullptr)
		InputComplete(entry);
	/* a table in several batches is built anew by each rescan */
	if (!entry->may_rescan ||
	    (join->hj_HashTable != nullptr && join->hj_HashTable->nbatch == 1 && !HasParameters(innerPlanState(state))))
		SetNodeHandler(entry, nullptr);
	return slot;
}

TupleTableSlot *RunIncrementalSort(NodeEntry *entry, PlanState *state)
{
	IncrementalSortState *const sort = As<IncrementalSortState>(state);
	PlanState *const input = outerPlanState(state);

	OpenWindow(entry);
	if (entry->open)
		WatchInput(entry, input, OutsideOfWindow);
	TupleTableSlot *const slot = entry->real(state);
	CloseWindow(entry);
	/* both are kept, even by a rescan */
	if (sort->fullsort_state != nullptr && sort->prefixsort_state != nullptr) {
		LeaveInput(entry, input, OutsideOfWindow);
		SetNodeHandler(entry, nullptr);
	}
	return slot;
}

/* WindowAgg, and Agg with aggregates that sort. */
TupleTableSlot *RunByGroups(NodeEntry *entry, PlanState *state)
{
	OpenWindow(entry);
	if (entry->open)
		WatchInput(entry, outerPlanState(state), OutsideOfWindow);
	TupleTableSlot *const slot = entry->real(state);
	CloseWindow(entry);
	return slot;
}

/* Each round but the first makes a table for what it will find. */
TupleTableSlot *RunRecursiveUnion(NodeEntry *entry, PlanState *state)
{
	OpenWindow(entry);
	if (entry->open)
		WatchInput(entry, outerPlanState(state), OutsideOfWindow);
	if (entry->open)
		WatchInput(entry, innerPlanState(state), OutsideOfWindow);
	TupleTableSlot *const slot = entry->real(state);
	CloseWindow(entry);
	return slot;
}

TupleTableSlot *RunBitmapHeapScan(NodeEntry *entry, PlanState *state)
{
	if (As<BitmapHeapScanState>(state)->initialized)
		return entry->real(state);
	OpenWindow(entry);
	TupleTableSlot *const slot = entry->real(state);
	CloseWindow(entry);
	if (!entry->may_rescan)
		SetNodeHandler(entry, nullptr);
	return slot;
}

TupleTableSlot *RunOnce(NodeEntry *entry, PlanState *state)
{
	OpenWindow(entry);
	TupleTableSlot *const slot = entry->real(state);
	CloseWindow(entry);
	if (!entry->may_rescan || !HasParameters(state))
		SetNodeHandler(entry, nullptr);
	return slot;
}

/* The table is filled under the fields that SetAggLimit() has set; reading a batch back looks at work_mem. */
TupleTableSlot *RunHashAgg(NodeEntry *entry, PlanState *state)
{
	AggState *const agg = As<AggState>(state);

	if (agg->hash_batches != NIL)
		OpenWindow(entry);
	else if (!agg->table_filled && WatchesRows(entry->grants) && (!entry->built || agg->aggstrategy == AGG_HASHED) &&
	         !IsWatched(entry, outerPlanState(state)))
		WatchFeed(entry, outerPlanState(state), FeedAgg);
	TupleTableSlot *const slot = entry->real(state);
	CloseWindow(entry); /* FeedAgg opens it as well, at the end of the input */
	if (!agg->table_filled)
		return slot;
	InputComplete(entry);
	if (!agg->hash_ever_spilled && !entry->may_rescan)
		SetNodeHandler(entry, nullptr);
	return slot;
}

/* ---- attaching ---- */

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
