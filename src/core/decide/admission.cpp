/*
 * admission.cpp
 *
 * Whether there is room for a query, and who starts next.
 *
 * A query's turn has come when dispatch reaches it: its level is next, its
 * queue has a free slot, and its key is the smallest. If it does not fit, those
 * behind it are tried, at most kLookAhead per list, and it has been passed if
 * one of them starts. A query that has been passed too often, or whose turn
 * came too long ago, becomes a claimant: its queue starts nobody else, and if
 * it is the budget that lacks, nobody else takes memory from it anywhere
 * (except a small share for the express lane). Critical queries heed only the
 * claim to the budget. A claimant for the budget also
 * takes what is held back as guarantee of others, else it might never start.
 */
#include "core/decide/policy.hpp"

#include <algorithm>
#include <bit>

#include "core/decide/policy_constants.hpp"

namespace wlm {

/* One search for somebody to start. */
struct Policy::Scan {
	QueryHandle unfit[policy::kMaxUnfit];   /* whose turn had come: passed by the one that starts */
	int num_unfit;
	int num_behind_heads;
};

/* A query that wants more slots than its queue has is satisfied with all of them. */
int32_t Policy::SlotsNeeded(const Entry &entry) const noexcept
{
	return std::min(entry.slots, queues_[entry.queue].counters.slots);
}

bool Policy::SlotFree(const Entry &entry) const noexcept
{
	const QueueCounters &counters = queues_[entry.queue].counters;
	return counters.slots_used + SlotsNeeded(entry) <= counters.slots;
}

/* Of a queued query; follows the configuration while it waits. */
int64_t Policy::Wanted(const Entry &entry) const noexcept
{
	return std::min(entry.memory_kb, queues_[entry.queue].query_cap_kb);
}

bool Policy::ShareFits(const Entry &entry) const noexcept
{
	const QueueState &queue = queues_[entry.queue];
	const int64_t wanted = Wanted(entry);
	return wanted == 0 || queue.counters.reserved_kb + wanted <= queue.max_kb;
}

/*
 * A query inside its own queue's guarantee is not held back for the guarantees of others; nor is anybody as long as
 * nothing is reserved at all, else several who want more than they are guaranteed could block each other.
 */
bool Policy::BudgetFits(const Entry &entry, Lane lane, bool with_guarantees) const noexcept
{
	const QueueState &queue = queues_[entry.queue];
	const int64_t wanted = Wanted(entry);
	if (wanted == 0)
		return true;
	const int64_t limit = lane == Lane::kExpress ? budget_kb_ : normal_kb_;
	if (reserved_kb_ + wanted > limit)
		return false;
	if (!with_guarantees || reserved_kb_ == 0 || queue.counters.reserved_kb + wanted <= queue.guarantee_kb)
		return true;
	return reserved_kb_ + wanted + withheld_kb_ - queue.withheld_kb <= limit;
}

/* What a queued query waits for at this moment. */
WaitReason Policy::ReasonOf(QueryHandle handle) const noexcept
{
	const Entry &entry = entries()[handle];
	const QueueState &queue = queues_[entry.queue];
	if (entry.priority != Priority::kCritical) {
		if (!SlotFree(entry))
			return WaitReason::kSlot;
		if (queue.claimant != kNoQuery && queue.claimant != handle)
			return WaitReason::kPassing;
	}
	if (Wanted(entry) > 0 && claimant_ != kNoQuery && claimant_ != handle)
		return WaitReason::kPassing;
	return WaitReason::kMemory;
}

/* An idle guarantee is lent; it is withheld from others as long as its queue has anybody. */
void Policy::UpdateWithheld(int index) noexcept
{
	QueueState &queue = queues_[index];
	const QueueCounters &counters = queue.counters;
	const bool active = counters.num_running + counters.num_returned + counters.num_queued > 0;
	withheld_kb_ -= queue.withheld_kb;
	queue.withheld_kb = active ? std::max<int64_t>(0, queue.guarantee_kb - counters.reserved_kb) : 0;
	withheld_kb_ += queue.withheld_kb;
}

/*
 * Only what was forced may raise forced_kb_, everything that frees lowers it.
 * So it is exactly the part of reserved_kb_ over the budget, unless an ordinary
 * admission overcommits: that breaks the invariant and is found.
 */
void Policy::ChangeReserved(int index, int64_t change_kb, bool forced) noexcept
{
	reserved_kb_ += change_kb;
	queues_[index].counters.reserved_kb += change_kb;
	const int64_t excess = std::max<int64_t>(0, reserved_kb_ - budget_kb_);
	forced_kb_ = forced ? excess : std::min(forced_kb_, excess);
	UpdateWithheld(index);
}

/* The entry is in no list. `forced`: there was no room. */
void Policy::Start(QueryHandle handle, Lane lane, bool forced) noexcept
{
	Entry &entry = entries()[handle];
	QueueCounters &counters = queues_[entry.queue].counters;

	entry.memory_kb = Wanted(entry);
	entry.state = QueryState::kRunning;
	entry.lane = lane;
	entry.admitted_ms = clock_ms_;
	entry.since_ms = clock_ms_;
	counters.num_running++;
	if (lane == Lane::kExpress) {
		counters.num_express++;
		express_kb_ += entry.memory_kb;
	} else {
		entry.held = SlotsNeeded(entry);
		counters.slots_used += entry.held;
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
	bool forced = !SlotFree(entry);     /* in order, that is a critical one */
	if (over_limits)
		forced = forced || !ShareFits(entry) || !BudgetFits(entry, Lane::kNormal, true);
	Dequeue(handle);
	Start(handle, Lane::kNormal, forced);
	if (tell) {
		Append(untaken_, handle);
		entry.flags |= kUntakenFlag;
	}
}

void Policy::Claim(QueryHandle handle, bool budget) noexcept
{
	QueueState &queue = queues_[entries()[handle].queue];
	if (queue.claimant == kNoQuery)
		queue.claimant = handle;
	if (budget && claimant_ == kNoQuery && queue.claimant == handle)
		claimant_ = handle;
}

/* The turn of this query has come. True if it started; else it is added to those that are passed by the next that starts. */
bool Policy::TryStart(QueryHandle handle, Scan &scan) noexcept
{
	Entry &entry = entries()[handle];
	if (Wanted(entry) > 0 && claimant_ != kNoQuery && claimant_ != handle) {
		entry.reason = WaitReason::kPassing;
		return false;
	}

	const bool slot = entry.priority == Priority::kCritical || SlotFree(entry);
	const bool share = ShareFits(entry);
	bool fits = slot && share && BudgetFits(entry, Lane::kNormal, claimant_ != handle);
	if (!fits) {
		entry.reason = slot ? WaitReason::kMemory : WaitReason::kSlot;
		if (entry.since_ms == policy::kNever)
			entry.since_ms = clock_ms_;
		if (entry.passed >= kMaxPassed || clock_ms_ - entry.since_ms >= kMaxPassedMs) {
			Claim(handle, slot && !BudgetFits(entry, Lane::kNormal, true));
			fits = claimant_ == handle && slot && share && BudgetFits(entry, Lane::kNormal, false);
		}
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

/* Merges the wait lists of one level by key, as far as their queues have slots. */
bool Policy::StartFromLevel(int level, Scan &scan) noexcept
{
	const Entry *const table = entries();
	const bool critical = level == static_cast<int>(Priority::kCritical);
	QueryHandle cursor[kMaxQueues];
	uint8_t seen[kMaxQueues];
	uint64_t open = 0;

	for (uint64_t rest = levels_[level].queues; rest != 0; rest &= rest - 1) {
		const int index = std::countr_zero(rest);
		const QueueState &queue = queues_[index];
		cursor[index] = queue.waiting[level].head;
		seen[index] = 0;
		if (!critical && queue.counters.slots_used >= queue.counters.slots)
			continue;
		if (!critical && queue.claimant != kNoQuery) {
			if (static_cast<int>(table[queue.claimant].priority) != level)
				continue;
			cursor[index] = queue.claimant;
		}
		open |= uint64_t{1} << index;
	}

	while (open != 0) {
		int best = std::countr_zero(open);
		for (uint64_t rest = open & (open - 1); rest != 0; rest &= rest - 1) {
			const int index = std::countr_zero(rest);
			if (table[cursor[index]].key < table[cursor[best]].key)
				best = index;
		}
		const QueryHandle handle = cursor[best];
		if (TryStart(handle, scan))
			return true;
		cursor[best] = table[handle].next;
		if (cursor[best] == kNoQuery || ++seen[best] > policy::kLookAhead || scan.num_behind_heads >= policy::kMaxLookAhead ||
			(!critical && queues_[best].claimant == handle))
			open &= ~(uint64_t{1} << best);
		else
			scan.num_behind_heads++;
	}
	return false;
}

bool Policy::StartNext() noexcept
{
	Scan scan;
	scan.num_unfit = 0;
	scan.num_behind_heads = 0;

	if (claimant_ != kNoQuery) {
		const Entry &entry = entries()[claimant_];
		const bool slot = entry.priority == Priority::kCritical || SlotFree(entry);
		if (BudgetFits(entry, Lane::kNormal, false)) {
			if (slot && ShareFits(entry))
				return TryStart(claimant_, scan);
			claimant_ = kNoQuery;   /* it is something of its queue that lacks: keeping memory free would help nobody */
		}
	}

	if (claimant_ != kNoQuery && num_without_memory_ == 0)
		return false;   /* everyone waits for the claimant: the usual state of an overload, and cheap */

	int order[kNumPriorities];
	const int num_levels = OrderLevels(order);
	for (int i = 0; i < num_levels; i++) {
		if (StartFromLevel(order[i], scan))
			return true;
	}
	return false;
}

/* After every event that may have made room. */
void Policy::Dispatch() noexcept
{
	while (num_queued_ > 0 && StartNext()) {
	}
}

}  // namespace wlm
