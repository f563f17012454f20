/*
 * elastic.cpp
 *
 * Hash tables that grow before they would split or spill. The input of a serial Hash and of a
 * hashed Agg is wrapped; with each row in hand, before it is inserted, the table's size is
 * compared with its limit, by the same formulas as PostgreSQL's, and where it comes too close more
 * is asked of the pool, in steps. What is refused is not asked for again: then the table spills, and
 * neither comes back from that (a Hash never to fewer batches, an Agg not before it has read its batches).
 *
 * A Sort cannot grow: its limit is inside of tuplesort. Nor can a Parallel Hash, which all its participants
 * size together; nor a Hash that was planned with several batches.
 */
#include "pg/grant/wrappers.hpp"

extern "C" {
#include "executor/hashjoin.h"
#include "executor/nodeAgg.h"
#include "utils/guc.h"
#include "utils/memutils.h"
}

#include <algorithm>

#include "pg/grant/nodes.hpp"
#include "pg/settings.hpp"

namespace wlm {

namespace {

constexpr Size kKb = 1024;
constexpr Size kLeastStep = 1024 * kKb;

/* Room for the row in hand; a larger one may still split the table. */
constexpr Size kNextTuple = 8 * kKb;

/* How often a table with few groups is looked at, whose states may grow. */
constexpr uint32 kRowsBetweenChecks = 1024;
constexpr double kMostGroupsBetweenChecks = 4096;

double MostBytes() { return static_cast<double>(setting::max_work_mem_kb) * hash_mem_multiplier * static_cast<double>(kKb); }

/* What more the node may have, in bytes; 0 = refused. `least`: with less it would spill all the same. */
Size AskForMore(NodeEntry *node, Size limit, Size least)
{
	/* a table before a rescan has paid for this already */
	const Size allowed = static_cast<Size>(node->allowed_kb) * kKb;
	if (allowed >= limit + least)
		return allowed - limit;

	const double most = MostBytes() - static_cast<double>(limit);
	if (most < static_cast<double>(least))
		return 0;
	const double step = std::min(most, static_cast<double>(std::max({limit / 2, kLeastStep, least})));

	NodeGrants *const grants = node->grants;
	QuerySlot *const query_slot = &query_slots[grants->handle];
	int64 granted_kb = 0;
	{
		StateLock lock;
		/* a worker may outlive its query's slot only by an error of the leader */
		if (query_slot->pid == grants->leader_pid && query_slot->serial == grants->serial)
			granted_kb = policy->Grow(grants->handle, static_cast<int64>(step) / 1024,
			                          static_cast<int64>((least + kKb - 1) / kKb), NowMs());
		if (granted_kb > 0)
			pg_atomic_fetch_add_u32(&query_slot->grown_kb, static_cast<uint32>(granted_kb));
	}
	if (granted_kb <= 0)
		return 0;
	grants->reserved_kb += granted_kb;
	node->grown_kb += static_cast<float>(granted_kb);
	if (node->slot != kNoSlot)
		grants->grown_kb[node->slot] = std::max(grants->grown_kb[node->slot], node->grown_kb);
	if (grants->query != nullptr && node->slot != kNoSlot)
		NoteGrown(&grants->query->ledger, node->slot, static_cast<float>(granted_kb));
	node->allowed_kb = static_cast<float>(limit / kKb) + static_cast<float>(granted_kb);
	return static_cast<Size>(granted_kb) * kKb;
}

/* After the next insert; the bucket array doubles when there are more tuples than buckets. */
Size HashNeeds(const HashJoinTableData *table)
{
	const Size buckets = static_cast<Size>(table->nbuckets_optimal) * sizeof(HashJoinTuple);
	const bool doubles = table->totalTuples > table->nbuckets_optimal;

	return table->spaceUsed + (doubles ? 2 * buckets : buckets) + kNextTuple;
}

void GrowHash(NodeEntry *entry, HashJoinTableData *table, Size needs)
{
	if (table->nbatch > 1) {
		entry->elastic = false;
		return;
	}
	const Size more = AskForMore(entry->parent, table->spaceAllowed, needs - table->spaceAllowed);
	if (more == 0) {
		entry->elastic = false;
		return;
	}
	table->spaceAllowed += more;
	table->spaceAllowedSkew = table->spaceAllowed * SKEW_HASH_MEM_PERCENT / 100;
}

/*
 * What the Agg may allocate at once: a block of its entries' context, and bucket arrays that double. simplehash doubles them
 * when they are full, but from a tenth on also where a chain is long.
 */
double NextAllocation(const AggState *agg, double entry_bytes, double groups_ahead)
{
	const double block = std::min(entry_bytes, static_cast<double>(work_mem) * static_cast<double>(kKb) / 16);
	double bytes = block + static_cast<double>(ALLOCSET_DEFAULT_INITSIZE);

	for (int i = 0; i < agg->num_hashes; i++) {
		const tuplehash_hash *table = agg->perhash[i].hashtable->hashtab;
		if (static_cast<double>(table->members) + groups_ahead >= 0.1 * static_cast<double>(table->size))
			bytes += static_cast<double>(table->size) * sizeof(TupleHashEntryData);
	}
	return bytes;
}

void CheckAgg(NodeEntry *entry, AggState *agg)
{
	if (agg->hash_ever_spilled) {
		entry->elastic = false;
		return;
	}
	const double groups = static_cast<double>(agg->hash_ngroups_current);
	const double total = static_cast<double>(AggBytes(agg));
	const double entries = std::max(total - static_cast<double>(MemoryContextMemAllocated(agg->hash_metacxt, true)), 0.0);
	const double per_group = std::max(groups > 0 ? entries / groups : agg->hashentrysize, 32.0) + sizeof(TupleHashEntryData);
	double needs = total + NextAllocation(agg, entries, 2);
	double limit = static_cast<double>(agg->hash_mem_limit);

	/* PostgreSQL's second limit follows from the planner's width; the rows say better */
	if (groups + 2 > static_cast<double>(agg->hash_ngroups_limit) && needs <= limit)
		agg->hash_ngroups_limit = std::max<uint64>(static_cast<uint64>(limit / per_group), agg->hash_ngroups_limit);
	if (groups + 2 > static_cast<double>(agg->hash_ngroups_limit))
		needs = std::max(needs, limit + per_group * 64);
	if (needs > limit) {
		const Size more = AskForMore(entry->parent, agg->hash_mem_limit, static_cast<Size>(needs - limit) + 1);
		if (more == 0) {
			entry->elastic = false;
			return;
		}
		agg->hash_mem_limit += more;
		limit = static_cast<double>(agg->hash_mem_limit);
		agg->hash_ngroups_limit = std::max<uint64>(static_cast<uint64>(limit / per_group), agg->hash_ngroups_limit + 64);
		/* what is spilled all the same is read back under the same limit */
		entry->parent->limit_kb =
			static_cast<int32>(std::min(limit / hash_mem_multiplier / static_cast<double>(kKb), static_cast<double>(MAX_KILOBYTES)));
	}

	const double room = std::max(limit - needs, 0.0) / (2 * per_group);
	double ahead = std::clamp(room, 1.0, kMostGroupsBetweenChecks);
	if (ahead > 1 && total + NextAllocation(agg, entries, ahead) > limit)
		ahead = 1;
	entry->next_groups = std::min(agg->hash_ngroups_current + static_cast<uint64>(ahead), agg->hash_ngroups_limit - 1);
	entry->rows_left = kRowsBetweenChecks;
}

}  // namespace

float GrownKb(const EState *estate, int32 plan_node_id)
{
	const NodeGrants *const grants = FindTable(estate);
	const uint8 slot = grants != nullptr ? SlotOfNode(grants, plan_node_id) : kNoSlot;
	return slot != kNoSlot ? grants->grown_kb[slot] : 0;
}

Size AggBytes(const AggState *agg)
{
	Size bytes = MemoryContextMemAllocated(agg->hash_metacxt, true) +
		MemoryContextMemAllocated(agg->hashcontext->ecxt_per_tuple_memory, true);
#if PG_VERSION_NUM >= 180000
	bytes += MemoryContextMemAllocated(agg->hash_tablecxt, true);
#endif
	return bytes;
}

TupleTableSlot *FeedHash(NodeEntry *entry, PlanState *state)
{
	NodeEntry *const join = entry->parent;

	CloseWindow(join); /* the table has been made */
	TupleTableSlot *const slot = CallNode(entry, state);
	if (TupIsNull(slot)) {
		SetChildHandler(entry, nullptr, nullptr);
		InputComplete(join);
	} else if (entry->elastic) {
		HashJoinTableData *const table = reinterpret_cast<HashState *>(innerPlanState(join->state))->hashtable;
		const Size needs = HashNeeds(table);
		if (unlikely(needs > table->spaceAllowed))
			GrowHash(entry, table, needs);
	}
	return slot;
}

TupleTableSlot *FeedAgg(NodeEntry *entry, PlanState *state)
{
	AggState *const agg = reinterpret_cast<AggState *>(entry->parent->state);
	TupleTableSlot *const slot = CallNode(entry, state);

	if (TupIsNull(slot)) {
		/* batches may be read back before the node returns its first row */
		if (agg->hash_ever_spilled)
			OpenWindow(entry->parent);
		SetChildHandler(entry, nullptr, nullptr);
	} else if (entry->elastic && (agg->hash_ngroups_current >= entry->next_groups || --entry->rows_left == 0)) {
		CheckAgg(entry, agg);
	}
	return slot;
}

}  // namespace wlm
