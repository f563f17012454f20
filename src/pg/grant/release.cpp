/*
 * release.cpp
 *
 * Memory of finished phases. When a Sort, HashAgg or Hash has all its input, the sorts and
 * hash tables that this input came through will not be asked again, but PostgreSQL keeps them until
 * ExecutorEnd. Those that the grant counts on (Lifetimes::released) are freed here: down plain inputs
 * only, and only where nothing can run them again: no scrollable cursor, no inner side of a nested loop,
 * no sub-plan. What they had used is kept for observe.cpp. The query's reservation follows.
 *
 * What PostgreSQL still does with a freed node: ExecShutdownNode (a Hash without table is passed over) and
 * ExecEndNode (a Sort without tuplesort, a HashJoin without table, an Agg with an empty context, all as after a
 * rescan). EXPLAIN ANALYZE would miss them: instrumented queries release nothing.
 */
#include "pg/grant/wrappers.hpp"

extern "C" {
#include "executor/executor.h"
#include "executor/hashjoin.h"
#include "executor/nodeAgg.h"
#include "executor/nodeHash.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
}

#include <algorithm>

#include "core/learn/experience.hpp"
#include "pg/grant/nodes.hpp"

namespace wlm {

namespace {

/* A reservation that falls by less is not worth the lock. */
constexpr int64 kLeastReturnKb = 1024;
constexpr double kLeastReturnPart = 0.1;

/* Nobody calls it: its consumer is complete. Should that be wrong, an error is better than a wrong result. */
TupleTableSlot *RunReleased(PlanState *)
{
	elog(ERROR, "pg_wlm has freed this plan node's memory already");
}

bool IsReleasable(const NodeGrants *grants, const PlanState *state)
{
	const uint8 slot = SlotOfNode(grants, state);
	return slot != kNoSlot && grants->limits[slot].released;
}

/* Keeps what the operator has used; false if there is nothing to free. */
bool Remember(NodeGrants *grants, PlanState *state)
{
	NodeEntry *const entry = AddEntry(grants, state);

	if (entry == nullptr || entry->released)
		return false;
	const uint8 slot = SlotOfNode(grants, state);
	const double limit_kb = grants->query != nullptr && slot < grants->query->experience.num_operators
		? static_cast<double>(grants->query->experience.operators[slot].granted_kb) : 0;
	if (!ReadOperator(state, limit_kb, false, &entry->reading))
		entry->reading.flags = 0;
	entry->released = true;
	return true;
}

/* With one wrapper in between or none, the node is not to be called again. */
void Retire(PlanState *state)
{
	state->ExecProcNode = state->ExecProcNodeReal = RunReleased;
}

bool FreeSort(NodeGrants *grants, PlanState *state)
{
	SortState *const sort = As<SortState>(state);

	if (sort->tuplesortstate == nullptr || !sort->sort_Done || !Remember(grants, state))
		return false;
	ExecClearTuple(state->ps_ResultTupleSlot);
	tuplesort_end(static_cast<Tuplesortstate *>(sort->tuplesortstate));
	sort->tuplesortstate = nullptr;
	Retire(state);
	return true;
}

bool FreeHashJoin(NodeGrants *grants, PlanState *state)
{
	HashJoinState *const join = As<HashJoinState>(state);
	HashState *const hash = As<HashState>(innerPlanState(state));

	if (join->hj_HashTable == nullptr || join->hj_HashTable->parallel_state != nullptr || hash->hashtable != join->hj_HashTable ||
	    !Remember(grants, &hash->ps))
		return false;
	ExecClearTuple(state->ps_ResultTupleSlot);
	ExecClearTuple(join->hj_HashTupleSlot);
	hash->hashtable = nullptr;
	ExecHashTableDestroy(join->hj_HashTable);
	join->hj_HashTable = nullptr;
	Retire(state);
	return true;
}

bool FreeHashAgg(NodeGrants *grants, PlanState *state)
{
	AggState *const agg = As<AggState>(state);

	if (agg->aggstrategy != AGG_HASHED || !agg->table_filled || agg->hash_metacxt == nullptr || !Remember(grants, state))
		return false;
	ExecClearTuple(state->ps_ResultTupleSlot);
	ExecClearTuple(agg->ss.ss_ScanTupleSlot);
	for (int i = 0; i < agg->num_hashes; i++)
		ExecClearTuple(agg->perhash[i].hashslot);
	ReScanExprContext(agg->hashcontext);
	MemoryContextReset(agg->hash_metacxt);
#if PG_VERSION_NUM >= 180000
	MemoryContextReset(agg->hash_tablecxt);
#endif
	Retire(state);
	return true;
}

struct Releasing {
	NodeGrants *grants;
	SlotSet slots;       /* of which all nodes are free now */
};

void ReleaseBelow(Releasing *releasing, PlanState *state);

void ReleaseMembers(Releasing *releasing, PlanState **members, int count)
{
	for (int i = 0; i < count; i++)
		ReleaseBelow(releasing, members[i]);
}

void NoteFreed(Releasing *releasing, const PlanState *state)
{
	NodeGrants *const grants = releasing->grants;
	const uint8 slot = SlotOfNode(grants, state);

	if (grants->unreleased[slot] > 0 && --grants->unreleased[slot] == 0)
		releasing->slots |= SlotSet{1} << slot;
}

/* From a node that has been read to its end, or is not read on, to what it is fed by. */
void ReleaseBelow(Releasing *releasing, PlanState *state)
{
	if (state == nullptr)
		return;
	const NodeGrants *const grants = releasing->grants;
	switch (nodeTag(state)) {
		case T_SortState:
			if (IsReleasable(grants, state) && FreeSort(releasing->grants, state))
				NoteFreed(releasing, state);
			ReleaseBelow(releasing, outerPlanState(state));
			break;
		case T_AggState:
			if (IsReleasable(grants, state) && FreeHashAgg(releasing->grants, state))
				NoteFreed(releasing, state);
			ReleaseBelow(releasing, outerPlanState(state));
			break;
		case T_HashJoinState: {
			PlanState *const hash = innerPlanState(state);
			if (IsReleasable(grants, hash) && FreeHashJoin(releasing->grants, state))
				NoteFreed(releasing, hash);
			ReleaseBelow(releasing, outerPlanState(state));
			if (!hash->plan->parallel_aware)
				ReleaseBelow(releasing, outerPlanState(hash));
			break;
		}
		case T_MergeJoinState:
			ReleaseBelow(releasing, outerPlanState(state));
			ReleaseBelow(releasing, innerPlanState(state));
			break;
		case T_AppendState:
			ReleaseMembers(releasing, As<AppendState>(state)->appendplans, As<AppendState>(state)->as_nplans);
			break;
		case T_MergeAppendState:
			ReleaseMembers(releasing, As<MergeAppendState>(state)->mergeplans, As<MergeAppendState>(state)->ms_nplans);
			break;
		case T_SubqueryScanState: ReleaseBelow(releasing, As<SubqueryScanState>(state)->subplan); break;
		case T_NestLoopState:
		case T_ResultState:
		case T_ProjectSetState:
		case T_MaterialState:
		case T_IncrementalSortState:
		case T_GroupState:
		case T_WindowAggState:
		case T_UniqueState:
		case T_SetOpState:
		case T_LimitState:
		case T_GatherState:
		case T_GatherMergeState: ReleaseBelow(releasing, outerPlanState(state)); break;
		default: break;
	}
}

float UsedKb(NodeEntry *entry)
{
	PlanState *const state = entry->state;

	if (IsA(state, AggState))
		return static_cast<float>(AggBytes(As<AggState>(state))) / 1024.0f;
	if (IsA(state, HashJoinState)) {
		const HashJoinTableData *table = As<HashState>(innerPlanState(state))->hashtable;
		if (table == nullptr)
			return 0;
		const Size buckets = static_cast<Size>(table->nbuckets_optimal) * sizeof(HashJoinTuple);
		return static_cast<float>(std::max(table->spacePeak, table->spaceUsed + buckets)) / 1024.0f;
	}
	OperatorReading reading;
	return ReadOperator(state, entry->limit_kb, false, &reading) ? reading.peak_kb : 0;
}

/* The leader's own; what its workers use stays charged as predicted. */
void ChargeUse(NodeEntry *entry)
{
	NodeGrants *const grants = entry->grants;
	const uint8 slot = entry->slot;

	if (grants->query == nullptr || slot == kNoSlot || grants->unbuilt[slot] == 0)
		return;
	grants->used_kb[slot] += UsedKb(entry);
	if (--grants->unbuilt[slot] > 0)
		return;

	GrantLedger *const ledger = &grants->query->ledger;
	const double others = grants->others[slot];
	NoteBuilt(ledger, slot, grants->used_kb[slot] + static_cast<float>(others * static_cast<double>(ledger->charge_kb[slot])));
}

/* Down where enough is given back; up where an operator has used more than it was charged, which cannot be refused any more. */
void FollowReservation(NodeGrants *grants)
{
	const ManagedQuery *const query = grants->query;

	if (query == nullptr || query->handle == kNoQuery)
		return;
	const int64 wanted_kb = ReservationKb(query->ledger);
	const int64 returned_kb = grants->reserved_kb - wanted_kb;
	const bool less = returned_kb > kLeastReturnKb &&
		static_cast<double>(returned_kb) > kLeastReturnPart * static_cast<double>(grants->reserved_kb);
	const bool more = returned_kb < -kLeastReturnKb;
	if (!less && !more)
		return;
	{
		StateLock lock;
		/* the ledger knows nothing of what workers have grown by */
		const double grown_kb = pg_atomic_read_u32(&query_slots[query->handle].grown_kb);
		const double others_kb = std::max(grown_kb - static_cast<double>(query->ledger.grown_kb), 0.0);
		policy->Reserve(query->handle, wanted_kb + static_cast<int64>(others_kb), NowMs());
	}
	grants->reserved_kb = wanted_kb;
}

}  // namespace

void ExpectNode(NodeEntry *entry)
{
	NodeGrants *const grants = entry->grants;

	if (entry->slot == kNoSlot)
		return;
	grants->unbuilt[entry->slot]++;
	if (grants->limits[entry->slot].released)
		grants->unreleased[entry->slot]++;
}

bool FollowsPhase(const NodeEntry *entry)
{
	const NodeGrants *const grants = entry->grants;
	return (grants->query != nullptr && entry->slot != kNoSlot) || grants->may_release;
}

void InputComplete(NodeEntry *entry)
{
	NodeGrants *const grants = entry->grants;

	if (entry->built)
		return;
	entry->built = true;
	/* with other parameters it may come to hold all that was predicted: that stays charged */
	if (!entry->may_rescan || bms_is_empty(entry->state->plan->allParam))
		ChargeUse(entry);
	if (grants->may_release && !entry->may_rescan) {
		const float memory_kb = static_cast<float>(MemoryContextMemAllocated(grants->estate->es_query_cxt, true)) / 1024.0f;
		PlanState *const consumer = IsA(entry->state, HashJoinState) ? innerPlanState(entry->state) : entry->state;
		Releasing releasing = {grants, 0};

		grants->peak_kb = std::max(grants->peak_kb, memory_kb);
		ReleaseBelow(&releasing, outerPlanState(consumer));
		if (releasing.slots != 0 && grants->query != nullptr)
			NoteReleased(&grants->query->ledger, releasing.slots);
	}
	FollowReservation(grants);
}

bool ReadReleased(const PlanState *state, OperatorReading *reading)
{
	const NodeEntry *const entry = FindEntry(state);

	if (entry == nullptr || !entry->released || entry->reading.flags == 0)
		return false;
	*reading = entry->reading;
	return true;
}

float ReleasedPeakKb(const EState *estate)
{
	const NodeGrants *const grants = FindTable(estate);
	return grants != nullptr ? grants->peak_kb : 0;
}

}  // namespace wlm
