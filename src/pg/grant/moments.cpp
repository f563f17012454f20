/*
 * moments.cpp
 *
 * Handlers install what they need on their inputs when they open their window, not before: by then
 * Parallel Hash has put its own function into its nodes.
 */
#include "pg/grant/moments.hpp"

extern "C" {
#include "executor/executor.h"
#include "executor/hashjoin.h"
#include "executor/nodeAgg.h"
#include "nodes/plannodes.h"
}

namespace wlm {

namespace {

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

/* One call of the node with its own limit; With a `handler`, `input` gets the session's by it. */
TupleTableSlot *RunInWindow(NodeEntry *entry, PlanState *state, PlanState *input = nullptr, NodeHandler handler = nullptr)
{
	OpenWindow(entry);
	if (handler != nullptr && entry->open)
		WatchInput(entry, input, handler);
	TupleTableSlot *const slot = entry->real(state);
	CloseWindow(entry);
	return slot;
}

bool HasParameters(const PlanState *state) { return !bms_is_empty(state->plan->allParam); }

}  // namespace

/* ---- nodes ---- */

TupleTableSlot *RunSort(NodeEntry *entry, PlanState *state)
{
	SortState *const sort = As<SortState>(state);

	if (sort->sort_Done)
		return entry->real(state);

	PlanState *const input = outerPlanState(state);
	TupleTableSlot *const slot = RunInWindow(entry, state, input, FirstRow);
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
	TupleTableSlot *const slot = RunInWindow(entry, state, input, FirstRow);
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

	TupleTableSlot *const slot = RunInWindow(entry, state, input, OutsideOfWindow);
	/* both are kept, even by a rescan */
	if (sort->fullsort_state != nullptr && sort->prefixsort_state != nullptr) {
		LeaveInput(entry, input, OutsideOfWindow);
		SetNodeHandler(entry, nullptr);
	}
	return slot;
}

TupleTableSlot *RunByGroups(NodeEntry *entry, PlanState *state)
{
	return RunInWindow(entry, state, outerPlanState(state), OutsideOfWindow);
}

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
	TupleTableSlot *const slot = RunInWindow(entry, state);
	if (!entry->may_rescan)
		SetNodeHandler(entry, nullptr);
	return slot;
}

TupleTableSlot *RunOnce(NodeEntry *entry, PlanState *state)
{
	TupleTableSlot *const slot = RunInWindow(entry, state);
	if (!entry->may_rescan || !HasParameters(state))
		SetNodeHandler(entry, nullptr);
	return slot;
}

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

}  // namespace wlm
