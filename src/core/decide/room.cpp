/*
 * room.cpp
 *
 * What a query waits for, and the accounts of memory. Whether there is room for
 * it: room.hpp.
 */
#include "core/decide/room.hpp"

#include <algorithm>

namespace wlm {

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
	/* What the last search said; it looks again soon. */
	if (entry.reason == WaitReason::kLater && ShareFits(entry) && BudgetFits(entry, Lane::kNormal, true))
		return WaitReason::kLater;
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
