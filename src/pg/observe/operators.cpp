/*
 * operators.cpp
 *
 * Where PostgreSQL keeps the truth, per operator:
 *   Sort, IncrementalSort   tuplesort's own statistics: memory, or disk once it spilled
 *   Hash                    HashJoinTable.spacePeak, batches and tuple counts
 *   HashAgg                 hash_mem_peak (all grouping sets), batches, disk
 *   Memoize                 mem_used, and mem_peak as soon as it had to evict
 *   hashed SubPlan, SetOp, RecursiveUnion   their table's memory context
 *
 * What spilled is reconstructed: how much the same rows would have taken in
 * memory. Where rows can be counted the result is an estimate (kSpilled), else
 * a lower bound (kCensored too). These operators fill completely inside one
 * ExecProcNode call, so at ExecutorEnd a table is whole or absent; only what
 * streams (Memoize, IncrementalSort) or drains batches can have been cut.
 */
#include "pg/observe/operators.hpp"

extern "C" {
#include "access/htup_details.h"
#include "executor/hashjoin.h"
#include "executor/nodeAgg.h"
#include "executor/nodeHash.h"
#include "nodes/plannodes.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
}

#include <algorithm>
#include <cmath>

#include "core/learn/experience.hpp"

namespace wlm {

namespace {

constexpr double kKb = 1024;

/* tuplesort.c: one SortTuple a row, in an array that doubles; a tape has each tuple's length before it. */
constexpr double kSortTuple = 24;
constexpr double kFirstSortArray = 1024;
constexpr double kTapeLength = sizeof(int);
constexpr double kChunkHeader = PG_VERSION_NUM >= 160000 ? 8 : 16;

/* Buffer of one batch file of a hash join (BufFile), outside of spacePeak. */
constexpr double kBatchFileBuffer = BLCKSZ + 128;
/* Chunks to look at for the average size of a tuple. */
constexpr int kSampledChunks = 32;
constexpr double kFirstHashBuckets = 1024;

double PowerOfTwo(double count) { return std::exp2(std::ceil(std::log2(std::max(count, 1.0)))); }

double SessionLimitKb(double multiplier) { return static_cast<double>(work_mem) * multiplier; }

bool Report(OperatorReading *reading, double peak_kb, double needed_kb, int flags, double temp_kb = 0)
{
	reading->peak_kb = static_cast<float>(peak_kb);
	reading->needed_kb = static_cast<float>(std::max(needed_kb, (flags & kSpilled) != 0 ? peak_kb : 0.0));
	reading->flags = static_cast<uint8>(flags | kObserved);
	reading->temp_kb = static_cast<float>(std::isfinite(temp_kb) ? temp_kb : 0);
	return std::isfinite(peak_kb) && std::isfinite(needed_kb);
}

/* Rows that this process's only scan of the node returned; negative if not counted or more than one. */
double RowsOfOnlyLoop(const PlanState *state)
{
	const Instrumentation *instrument = state->instrument;
	/* rows of workers have been added to the leader's by now */
	if (instrument == nullptr || state->worker_instrument != nullptr)
		return -1;
	const double loops = instrument->nloops + (instrument->tuplecount > 0 ? 1 : 0);
	return loops <= 1 ? instrument->ntuples + instrument->tuplecount : -1;
}

/*
 * What a sort of these tapes would take in memory. A row on tape is its minimal tuple without the
 * head that tuplesort leaves out; how many rows there are follows from the width. Datums by value
 * have no tuple at all.
 */
double SortNeededKb(const PlanState *state, double disk_kb, bool datum)
{
	const double width = std::max(state->plan->plan_width, 1);
	double on_tape = kTapeLength + std::max(width, static_cast<double>(sizeof(Datum)));
	double tuple = 0;

	if (!datum) {
		const double length = MAXALIGN(SizeofMinimalTupleHeader) + width;
		on_tape = kTapeLength + length - static_cast<double>(MINIMAL_TUPLE_DATA_OFFSET);
		tuple = kChunkHeader + MAXALIGN(static_cast<Size>(length));
	}
	const double rows = disk_kb * kKb / on_tape;
	const double array = std::max(PowerOfTwo(rows), kFirstSortArray) * kSortTuple;
	return (array + rows * tuple) / kKb;
}

bool FromTuplesort(const PlanState *state, const TuplesortInstrumentation &stats, double limit_kb, bool datum,
                   int flags, OperatorReading *reading)
{
	const double used_kb = static_cast<double>(stats.spaceUsed);
	if (stats.spaceType == SORT_SPACE_TYPE_MEMORY)
		return Report(reading, used_kb, used_kb, flags);

	/* a sort on tape had filled its memory, and merging fills it again */
	const double limit = limit_kb > 0 ? limit_kb : SessionLimitKb(1);
	return Report(reading, limit, SortNeededKb(state, used_kb, datum), flags | kSpilled, used_kb);
}

bool ReadSort(const SortState *sort, double limit_kb, OperatorReading *reading)
{
	if (!sort->sort_Done || sort->tuplesortstate == nullptr)
		return false;
	TuplesortInstrumentation stats;
	tuplesort_get_stats(static_cast<Tuplesortstate *>(sort->tuplesortstate), &stats);
	return FromTuplesort(&sort->ss.ps, stats, limit_kb, sort->datumSort, 0, reading);
}

/* One sort for small groups and one for large ones, both alive at once; each remembers its largest group. */
bool ReadIncrementalSort(const IncrementalSortState *sort, double limit_kb, bool cut_short, OperatorReading *reading)
{
	const int flags = cut_short && !sort->outerNodeDone && !sort->bounded ? kCensored : 0;
	double peak_kb = 0;
	double needed_kb = 0;
	double temp_kb = 0;
	int all_flags = 0;
	Tuplesortstate *const states[] = {sort->fullsort_state, sort->prefixsort_state};

	for (Tuplesortstate *state : states) {
		if (state == nullptr)
			continue;
		TuplesortInstrumentation stats;
		tuplesort_get_stats(state, &stats);
		if (!FromTuplesort(&sort->ss.ps, stats, limit_kb, false, flags, reading))
			return false;
		peak_kb += static_cast<double>(reading->peak_kb);
		needed_kb += static_cast<double>(reading->needed_kb);
		temp_kb += static_cast<double>(reading->temp_kb);
		all_flags |= reading->flags;
	}
	return all_flags != 0 && Report(reading, peak_kb, needed_kb, all_flags, temp_kb);
}

/* Average bytes of a tuple in the batch that is in memory now; 0 if there is none. */
double AverageTupleBytes(const HashJoinTableData *table)
{
	double bytes = 0;
	double tuples = 0;
	int chunks = 0;

	for (HashMemoryChunk chunk = table->chunks; chunk != nullptr && chunks < kSampledChunks;
	     chunk = chunk->next.unshared, chunks++) {
		bytes += static_cast<double>(chunk->used);
		tuples += chunk->ntuples;
	}
	return tuples > 0 ? bytes / tuples : 0;
}

bool ReadHash(const HashState *hash, OperatorReading *reading)
{
	const HashJoinTableData *table = hash->hashtable;
	const HashInstrumentation *instrument = hash->hinstrument;
	const bool parallel = hash->ps.plan->parallel_aware;
	double peak = 0;
	double batches = 1;

	/* tables before a rescan leave their numbers here, if rows are counted */
	if (instrument != nullptr) {
		peak = static_cast<double>(instrument->space_peak);
		batches = std::max(1, instrument->nbatch);
	}
	if (table != nullptr) {
		peak = std::max(peak, static_cast<double>(table->spacePeak));
		batches = std::max(batches, static_cast<double>(table->nbatch));
	}
	if (peak <= 0)
		return false;
	if (batches <= 1) {
		/* still attached: others may be adding to it */
		const bool unfinished = parallel && table != nullptr && table->parallel_state != nullptr;
		return Report(reading, peak / kKb, peak / kKb, unfinished ? kCensored : 0);
	}

	/* each batch but the first has a file for either side; Parallel Hash keeps one buffer a file open */
	const double files = parallel ? 2 * batches : 2 * (batches - 1);
	const double peak_kb = (peak + files * kBatchFileBuffer) / kKb;
	const double tuples = table != nullptr ? table->totalTuples : 0;
	if (tuples <= 0)
		return Report(reading, peak_kb, peak / kKb, kSpilled | kCensored);

	double tuple = parallel ? 0 : AverageTupleBytes(table);
	const bool measured = tuple > 0;
	if (!measured)
		tuple = HJTUPLE_OVERHEAD + MAXALIGN(SizeofMinimalTupleHeader) +
			MAXALIGN(static_cast<Size>(std::max(hash->ps.plan->plan_width, 1)));
	const double buckets = std::max(PowerOfTwo(tuples), kFirstHashBuckets) * sizeof(HashJoinTuple);
	/* all batches but one have been on disk */
	const double temp_kb = tuples * tuple * (1 - 1 / batches) / kKb;
	return Report(reading, peak_kb, (tuples * tuple + buckets) / kKb, measured ? kSpilled : kSpilled | kCensored,
	              temp_kb);
}

bool ReadHashAgg(const AggState *state, OperatorReading *reading)
{
	if ((state->aggstrategy != AGG_HASHED && state->aggstrategy != AGG_MIXED) || !state->table_filled ||
	    state->hash_mem_peak == 0)
		return false;

	const double peak_kb = static_cast<double>(state->hash_mem_peak) / kKb;
	if (!state->hash_ever_spilled && state->hash_batches_used <= 1 && state->hash_disk_used == 0)
		return Report(reading, peak_kb, peak_kb, 0);

	/* rows out are groups, where no HAVING and no other grouping set is in the way */
	const bool rows_are_groups = state->num_hashes == 1 && state->aggstrategy == AGG_HASHED &&
		state->ss.ps.qual == nullptr && state->hash_batches == NIL;
	const double groups = rows_are_groups ? RowsOfOnlyLoop(&state->ss.ps) : -1;
	const double batches = std::max(state->hash_batches_used, 2);
	const double temp_kb = static_cast<double>(state->hash_disk_used);
	if (groups > 0) {
		const double entry = std::max(state->hashentrysize, static_cast<double>(sizeof(TupleHashEntryData)));
		const double buckets = PowerOfTwo(groups / 0.9) * sizeof(TupleHashEntryData);
		/* the last batch measured the entries; too small a batch measures whole memory blocks */
		const double needed = (groups * (entry - sizeof(TupleHashEntryData)) + buckets) / kKb;
		return Report(reading, peak_kb, std::min(needed, batches * peak_kb), kSpilled, temp_kb);
	}
	/*
	 * Later batches are sized to fit and fill about half. A group is on disk at least once, so
	 * what is there bounds the groups beyond the first batch.
	 */
	const double beyond_kb = std::min((batches - 1) * peak_kb / 2, temp_kb);
	return Report(reading, peak_kb, peak_kb + beyond_kb, kSpilled | kCensored, temp_kb);
}

bool ReadMemoize(const MemoizeState *memoize, bool cut_short, OperatorReading *reading)
{
	const MemoizeInstrumentation &stats = memoize->stats;
	if (stats.cache_misses == 0)
		return false;

	/* mem_peak is set when memory has to be freed; a purge at rescan is no such case */
	const double used_kb = static_cast<double>(memoize->mem_used) / kKb;
	const double peak_kb = std::max(used_kb, static_cast<double>(stats.mem_peak) / kKb);
	if (stats.mem_peak == 0)
		return Report(reading, peak_kb, peak_kb, cut_short ? kCensored : 0);

	/* an entry that came back after its eviction counts twice: no more than twice the cache is claimed */
	const double misses = static_cast<double>(stats.cache_misses);
	const double kept = std::max(misses - static_cast<double>(stats.cache_evictions), 1.0);
	return Report(reading, peak_kb, peak_kb * std::min(misses / kept, 2.0), kSpilled | kCensored);
}

/* Entries in their context, the bucket array elsewhere. */
double GroupTableKb(const TupleHashTableData *table, MemoryContext context)
{
	double bytes = static_cast<double>(MemoryContextMemAllocated(context, true));
	if (table != nullptr && table->hashtab != nullptr)
		bytes += static_cast<double>(table->hashtab->size) * sizeof(TupleHashEntryData);
	return bytes / kKb;
}

}  // namespace

bool ReadOperator(const PlanState *state, double limit_kb, bool cut_short, OperatorReading *reading)
{
	reading->plan_node_id = state->plan->plan_node_id;
	switch (nodeTag(state)) {
		case T_SortState: return ReadSort(reinterpret_cast<const SortState *>(state), limit_kb, reading);
		case T_IncrementalSortState:
			return ReadIncrementalSort(reinterpret_cast<const IncrementalSortState *>(state), limit_kb, cut_short,
			                           reading);
		case T_HashState: return ReadHash(reinterpret_cast<const HashState *>(state), reading);
		case T_AggState: return ReadHashAgg(reinterpret_cast<const AggState *>(state), reading);
		case T_MemoizeState: return ReadMemoize(reinterpret_cast<const MemoizeState *>(state), cut_short, reading);
		case T_RecursiveUnionState: {
			const RecursiveUnionState *recursive = reinterpret_cast<const RecursiveUnionState *>(state);
			if (recursive->hashtable == nullptr || !recursive->recursing)
				return false;
			const double kb = GroupTableKb(recursive->hashtable, recursive->hashtable->tablecxt);
			return Report(reading, kb, kb, cut_short ? kCensored : 0);
		}
		case T_SetOpState: {
			const SetOpState *set_op = reinterpret_cast<const SetOpState *>(state);
			if (set_op->hashtable == nullptr || !set_op->table_filled)
				return false;
			const double kb = GroupTableKb(set_op->hashtable, set_op->hashtable->tablecxt);
			return Report(reading, kb, kb, 0);
		}
		default: return false;
	}
}

bool ReadHashedSubPlan(const SubPlanState *state, OperatorReading *reading)
{
	if (!state->subplan->useHashTable || state->hashtable == nullptr || state->planstate == nullptr)
		return false;
	reading->plan_node_id = state->planstate->plan->plan_node_id;
	/* hashtable and hashnulls share a context */
	const double kb = GroupTableKb(state->hashtable, state->hashtable->tablecxt);
	return Report(reading, kb, kb, 0);
}

bool PassesCut(const PlanState *state)
{
	switch (nodeTag(state)) {
		case T_SortState:
		case T_HashState:
		case T_SetOpState: return false;
		case T_AggState: return reinterpret_cast<const AggState *>(state)->aggstrategy == AGG_SORTED;
		default: return true;
	}
}

}  // namespace wlm
