/*
 * admission.cpp
 *
 * Who starts next.
 *
 * A query's turn has come when dispatch reaches it: its level is next, its
 * queue has a free slot, and its key is the smallest. If it does not fit, those
 * behind it are tried, at most kLookAhead per list, and it has been passed if
 * one of them starts. A query that has been passed too often, or whose turn
 * came too long ago, becomes a claimant: its queue starts nobody else, and if
 * it is the budget that lacks, nobody else takes memory from it anywhere
 * (except a small share for the express lane). Critical queries heed only the
 * claim to the budget. If it is the pool of slots that lacks, no other automatic
 * queue starts anybody. A claimant for the budget or the pool also
 * takes what is held back as guarantee of others, else it might never start.
 * A claim rests while pressure stops the claimant: whoever may start goes on.
 * Paused queues are passed over: nobody's turn comes there.
 */
#include "core/decide/policy/policy.hpp"

#include <algorithm>
#include <bit>

#include "core/decide/policy/later.hpp"
#include "core/decide/policy/constants.hpp"
#include "core/decide/policy/room.hpp"

namespace wlm {

/* One search for somebody to start. */
struct Policy::Scan {
	QueryHandle unfit[policy::kMaxUnfit];   /* whose turn had come: passed by the one that starts */
	int num_unfit;
	int num_behind_heads;
	Beside beside;

	/* All but the arrays. */
	void Clear() noexcept
	{
		num_unfit = 0;
		num_behind_heads = 0;
		beside.count = 0;
		beside.num_weighed = 0;
		beside.gathered = false;
		beside.ignored = false;
	}
};

/* The entry is in no list. `forced`: there was no room. */
void Policy::Start(QueryHandle handle, Lane lane, bool forced) noexcept
{
	Entry &entry = entries()[handle];
	QueueCounters &counters = queues_[entry.queue].counters;

	entry.wish_kb = entry.memory_kb;
	entry.memory_kb = Wanted(entry);
	entry.state = QueryState::kRunning;
	entry.lane = lane;
	entry.admitted_ms = clock_ms_;
	entry.since_ms = clock_ms_;
	counters.num_running++;
	num_holders_ += HoldsMemory(entry) ? 1 : 0;
	CountRestartable(entry, 1);
	EnterMachine(entry);
	if (lane == Lane::kExpress) {
		counters.num_express++;
		express_kb_ += entry.memory_kb;
	} else if (lane == Lane::kNormal) {
		TakeSlots(entry);
	} else if (lane == Lane::kSuperuser) {
		num_superusers_++;
	}
	if (forced) {
		entry.flags |= kForcedFlag;
		counters.num_forced++;
	}
	ChangeReserved(entry.queue, entry.memory_kb, forced);
}

/* `over_limits`: whether or not there is room. `tell`: its owner learns it from TakeAdmitted(). */
void Policy::StartQueued(QueryHandle handle, bool over_limits, bool tell) noexcept
{
	Entry &entry = entries()[handle];
	bool forced = !SlotInTurn(handle);  /* in order, that is a critical one */
	if (over_limits)
		forced = !SlotFree(entry) || Paused(entry) || Stopped(entry) || !ShareFits(entry) || !BudgetFits(entry, Lane::kNormal, true);
	else if (!forced)
		queues_[entry.queue].started_ms = clock_ms_;
	Dequeue(handle);
	Start(handle, Lane::kNormal, forced);
	if (tell)
		Tell(handle);
}

void Policy::Claim(QueryHandle handle, bool budget, bool pool) noexcept
{
	QueueState &queue = queues_[entries()[handle].queue];
	if (queue.claimant == kNoQuery)
		queue.claimant = handle;
	if (budget && claimant_ == kNoQuery && queue.claimant == handle)
		claimant_ = handle;
	if (pool && pool_claimant_ == kNoQuery && queue.claimant == handle)
		pool_claimant_ = handle;
}

/* A slot for one whose turn has come; a claimant of the pool has it before those it is guaranteed to. */
bool Policy::SlotInTurn(QueryHandle handle) const noexcept
{
	const Entry &entry = entries()[handle];
	return SlotFree(entry) || (pool_claimant_ == handle && PoolFits(queues_[entry.queue], SlotsNeeded(entry), false));
}

/* The turn of this query has come. True if it started; else it is added to those that are passed by the next that starts. */
bool Policy::TryStart(QueryHandle handle, Scan &scan) noexcept
{
	Entry &entry = entries()[handle];
	if (Stopped(entry)) {
		entry.reason = WaitReason::kPressure;
		return false;
	}
	if (Wanted(entry) > 0 && claimant_ != handle && Heeded(claimant_)) {
		entry.reason = WaitReason::kPassing;
		return false;
	}

	const bool critical = entry.priority == Priority::kCritical;
	if (!critical && queues_[entry.queue].automatic != 0 && pool_claimant_ != handle && PoolHeeded()) {
		entry.reason = WaitReason::kPassing;
		return false;
	}
	bool slot = critical || SlotInTurn(handle);
	const bool share = ShareFits(entry);
	bool fits = slot && share && BudgetFits(entry, Lane::kNormal, claimant_ != handle);
	if (!fits) {
		entry.reason = slot ? WaitReason::kMemory : SlotReasonOf(entry);
		if (entry.since_ms == policy::kNever)
			entry.since_ms = clock_ms_;
		if (entry.passed >= kMaxPassed || clock_ms_ - entry.since_ms >= kMaxPassedMs) {
			Claim(handle, slot && !BudgetFits(entry, Lane::kNormal, true), !slot && entry.reason == WaitReason::kPool);
			slot = critical || SlotInTurn(handle);
			fits = slot && share && BudgetFits(entry, Lane::kNormal, claimant_ != handle);
		}
	}
	if (fits && claimant_ != handle && pool_claimant_ != handle && StartsLater(entry, scan.beside)) {
		fits = false;
		entry.reason = WaitReason::kLater;
		if (entry.since_ms == policy::kNever)
			entry.since_ms = clock_ms_;
	}
	if (!fits) {
		if (scan.num_unfit < policy::kMaxUnfit)
			scan.unfit[scan.num_unfit++] = handle;
		return false;
	}

	for (int i = 0; i < scan.num_unfit; i++)
		entries()[scan.unfit[i]].passed++;
	ChargeLevel(static_cast<int>(entry.priority));
	StartQueued(handle, false, true);
	return true;
}

/* This query or the first behind it that pressure does not stop: not bounded, else those that want no memory would wait for it too. */
QueryHandle Policy::FirstNotStopped(QueryHandle handle) const noexcept
{
	while (handle != kNoQuery && Stopped(entries()[handle]))
		handle = entries()[handle].next;
	return handle;
}

/* Merges the wait lists of one level by key, as far as their queues have slots. */
bool Policy::StartFromLevel(int level, Scan &scan) noexcept
{
	const Entry *const table = entries();
	const bool critical = level == static_cast<int>(Priority::kCritical);
	const bool stopped = !critical && MemoryStopped();
	const bool pool_claimed = PoolHeeded();
	struct Candidate {
		double key;
		int queue;
	};
	const auto comes_later = [](const Candidate &one, const Candidate &other) {
		return one.key != other.key ? one.key > other.key : one.queue > other.queue;
	};
	QueryHandle cursor[kMaxQueues];
	uint8_t seen[kMaxQueues];
	Candidate heap[kMaxQueues];         /* of the queues that are still looked at, the smallest key on top */
	int num_open = 0;

	if (stopped && num_without_memory_ == 0)
		return false;
	for (uint64_t rest = levels_[level].queues; rest != 0; rest &= rest - 1) {
		const int index = std::countr_zero(rest);
		const QueueState &queue = queues_[index];
		seen[index] = 0;
		if (queue.paused != 0)
			continue;
		if (!critical && queue.automatic == 0 && queue.counters.slots_used >= queue.counters.slots)
			continue;
		if (!critical && queue.automatic != 0) {
			if (!PoolFits(queue, 1, false) || (pool_claimed && table[pool_claimant_].queue != index))
				continue;
			/* Its turn comes, and may lead to a claim, although what is left is guaranteed to others; nobody behind it fits either. */
			if (!PoolFits(queue, 1, true))
				seen[index] = policy::kLookAhead;
		}
		if (!critical && Heeded(queue.claimant)) {
			if (static_cast<int>(table[queue.claimant].priority) != level)
				continue;
			cursor[index] = queue.claimant;
		} else
			cursor[index] = stopped ? FirstNotStopped(queue.waiting[level].head) : queue.waiting[level].head;
		if (cursor[index] != kNoQuery)
			heap[num_open++] = Candidate{table[cursor[index]].key, index};
	}

	std::make_heap(heap, heap + num_open, comes_later);
	while (num_open > 0) {
		std::pop_heap(heap, heap + num_open, comes_later);
		const int best = heap[num_open - 1].queue;
		const QueryHandle handle = cursor[best];
		if (TryStart(handle, scan))
			return true;
		cursor[best] = stopped ? FirstNotStopped(table[handle].next) : table[handle].next;
		if (cursor[best] == kNoQuery || ++seen[best] > policy::kLookAhead || scan.num_behind_heads >= policy::kMaxLookAhead ||
			(!critical && queues_[best].claimant == handle))
			num_open--;
		else {
			scan.num_behind_heads++;
			heap[num_open - 1].key = table[cursor[best]].key;
			std::push_heap(heap, heap + num_open, comes_later);
		}
	}
	return false;
}

bool Policy::StartNext() noexcept
{
	Scan scan;
	scan.Clear();
	if (Heeded(claimant_)) {
		const Entry &entry = entries()[claimant_];
		if (BudgetFits(entry, Lane::kNormal, false)) {
			const bool slot = entry.priority == Priority::kCritical || SlotInTurn(claimant_);
			if (slot && ShareFits(entry)) {
				if (TryStart(claimant_, scan))
					return true;
			} else if (slot || claimant_ != pool_claimant_)
				claimant_ = kNoQuery;   /* it is something of its queue that lacks: keeping memory free would help nobody */
		}
	}
	if (PoolHeeded() && pool_claimant_ != claimant_) {
		const Entry &entry = entries()[pool_claimant_];
		const int32_t wanted = SlotsNeeded(entry);
		if (PoolFits(queues_[entry.queue], wanted, false)) {
			if (TryStart(pool_claimant_, scan))
				return true;
			if (pool_claimant_ != claimant_)
				pool_claimant_ = kNoQuery;  /* as above; but it may have claimed the memory that it lacks */
		} else if (SlotReasonOf(entry) != WaitReason::kPool)
			pool_claimant_ = kNoQuery;
	}

	if (Heeded(claimant_) && num_without_memory_ == 0)
		return false;   /* everyone waits for the claimant: the usual state of an overload, and cheap */

	int order[kNumPriorities];
	const int num_levels = OrderLevels(order);
	for (int i = 0; i < num_levels; i++) {
		if (StartFromLevel(order[i], scan))
			return true;
	}
	return false;
}

/* One query of a level above this, for which another has given way. */
void Policy::StartAbove(int level) noexcept
{
	Scan scan;
	scan.Clear();
	scan.beside.ignored = true;
	for (int above = kNumPriorities - 1; above > level; above--) {
		if (levels_[above].queues != 0 && StartFromLevel(above, scan))
			return;
	}
}

/* After every event that may have made room. */
void Policy::Dispatch() noexcept
{
	do {
		while (num_queued_ > 0 && StartNext()) {
		}
	} while (StartSuperuser());     /* his claims are gone: others may go on */
}

/* After an event that made no room: it may have stopped a claimant, whose claim rests then, and others go on. */
void Policy::DispatchIfStopped() noexcept
{
	if (MemoryStopped())
		Dispatch();
}

}  // namespace wlm
