/*
 * room.cpp
 *
 * Whether there is room for a query, what it waits for if not, and the accounts
 * of memory. Room is counted against two budgets: the configured one, which
 * only what is forced may exceed, and what real memory leaves of it. The second
 * does not hold for a query that would be the only one to run with memory in the
 * normal lane: so the server never stands still. Returned cursors, the express
 * lane and maintenance do not count as such: they might never leave a moment
 * without any.
 */
#include "core/decide/policy.hpp"

#include <algorithm>

namespace wlm {

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

/* The express lane has no exception from what is unavailable: who does not fit there may still start alone in the normal lane. */
bool Policy::BudgetFits(const Entry &entry, Lane lane, bool with_guarantees) const noexcept
{
	if (lane == Lane::kExpress)
		return FitsIn(entry, budget_kb_ - unavailable_kb_, with_guarantees);
	return FitsIn(entry, num_holders_ == 0 ? normal_kb_ : normal_kb_ - unavailable_kb_, with_guarantees);
}

/*
 * A query inside its own queue's guarantee is not held back for the guarantees of others; nor is anybody as long as
 * nothing is reserved at all, else several who want more than they are guaranteed could block each other.
 */
bool Policy::FitsIn(const Entry &entry, int64_t limit_kb, bool with_guarantees) const noexcept
{
	const QueueState &queue = queues_[entry.queue];
	const int64_t wanted = Wanted(entry);
	if (wanted == 0)
		return true;
	if (reserved_kb_ + wanted > limit_kb)
		return false;
	if (!with_guarantees || reserved_kb_ == 0 || queue.counters.reserved_kb + wanted <= queue.guarantee_kb)
		return true;
	return reserved_kb_ + wanted + withheld_kb_ - queue.withheld_kb <= limit_kb;
}

/* Of those that are counted in num_holders_. */
bool Policy::HoldsMemory(const Entry &entry) const noexcept
{
	return entry.state == QueryState::kRunning && entry.lane == Lane::kNormal && entry.memory_kb > 0;
}

bool Policy::MemoryStopped() const noexcept
{
	return pressure_ >= Pressure::kNoAdmission && num_holders_ > 0;
}

/* A queued query that pressure alone keeps from starting. */
bool Policy::Stopped(const Entry &entry) const noexcept
{
	return MemoryStopped() && entry.priority != Priority::kCritical && Wanted(entry) > 0;
}

/* Whether others must leave room for it; not while it could not use it. */
bool Policy::Heeded(QueryHandle claimant) const noexcept
{
	return claimant != kNoQuery && !Stopped(entries()[claimant]);
}

/* What a queued query waits for at this moment. */
WaitReason Policy::ReasonOf(QueryHandle handle) const noexcept
{
	const Entry &entry = entries()[handle];
	const QueueState &queue = queues_[entry.queue];
	if (entry.priority != Priority::kCritical) {
		if (!SlotFree(entry))
			return WaitReason::kSlot;
		if (queue.claimant != handle && Heeded(queue.claimant))
			return WaitReason::kPassing;
	}
	if (Stopped(entry))
		return WaitReason::kPressure;
	if (Wanted(entry) > 0 && claimant_ != handle && Heeded(claimant_))
		return WaitReason::kPassing;
	if (ShareFits(entry) && !BudgetFits(entry, Lane::kNormal, true) && FitsIn(entry, normal_kb_, true))
		return WaitReason::kPressure;
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

/* Of an admitted query. */
void Policy::ChangeMemory(Entry &entry, int64_t change_kb, bool forced) noexcept
{
	num_holders_ -= HoldsMemory(entry) ? 1 : 0;
	entry.memory_kb += change_kb;
	num_holders_ += HoldsMemory(entry) ? 1 : 0;
	if (entry.lane == Lane::kExpress)
		express_kb_ += change_kb;
	ChangeReserved(entry.queue, change_kb, forced);
}

}  // namespace wlm
