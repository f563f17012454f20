/*
 * room.cpp
 *
 * What a query waits for, and the accounts of memory. Whether there is room for
 * it: room.hpp.
 */
#include "core/decide/policy/room.hpp"

#include <algorithm>

#include "core/decide/policy/constants.hpp"

namespace wlm {

/* What a queued query waits for at this moment. */
WaitReason Policy::ReasonOf(QueryHandle handle) const noexcept
{
	const Entry &entry = entries()[handle];
	const QueueState &queue = queues_[entry.queue];
	if (Paused(entry))
		return WaitReason::kPaused;
	if (entry.priority != Priority::kCritical) {
		if (!SlotFree(entry))
			return SlotReasonOf(entry);
		if (queue.claimant != handle && Heeded(queue.claimant))
			return WaitReason::kPassing;
		if (queue.automatic != 0 && pool_claimant_ != handle && PoolHeeded())
			return WaitReason::kPassing;
	}
	if (Stopped(entry))
		return WaitReason::kPressure;
	if (Wanted(entry) > 0 && claimant_ != handle && Heeded(claimant_))
		return WaitReason::kPassing;
	if (ShareFits(entry) && !BudgetFits(entry, Lane::kNormal, true) && FitsIn(entry, normal_kb_, true))
		return WaitReason::kPressure;
	/* What the last search said; it looks again soon. */
	if (entry.reason == WaitReason::kLater && config_.now_or_later && interference_.known && ShareFits(entry) &&
		BudgetFits(entry, Lane::kNormal, true))
		return WaitReason::kLater;
	return WaitReason::kMemory;
}

/* Of a query without a slot. */
WaitReason Policy::SlotReasonOf(const Entry &entry) const noexcept
{
	const QueueState &queue = queues_[entry.queue];
	const int32_t wanted = SlotsNeeded(entry);
	const bool own_limit = queue.automatic == 0 ||
		(queue.counters.slots_used + wanted > queue.most_slots && automatic_used_ + wanted <= PoolRoom());
	return own_limit ? WaitReason::kSlot : WaitReason::kPool;
}

/*
 * Guarantees. Memory: idle, it is lent; it is withheld from others as long as its queue has anybody who runs or could start. Of that,
 * what nobody waits for who has a slot may still be lent against real use. Slots: withheld only while somebody waits in the queue, and
 * no more than those want. To be called after every change of what a queue holds or of who waits in it.
 */
void Policy::UpdateWithheld(int index) noexcept
{
	QueueState &queue = queues_[index];
	const QueueCounters &counters = queue.counters;
	const bool waiting = queue.paused == 0 && counters.num_queued > 0;
	const bool active = counters.num_running + counters.num_returned > 0 || waiting;
	const bool wanted = waiting && (queue.automatic != 0 || counters.slots_used < counters.slots);

	withheld_kb_ -= queue.withheld_kb;
	queue.withheld_kb = active ? std::max<int64_t>(0, queue.guarantee_kb - counters.reserved_kb) : 0;
	withheld_kb_ += queue.withheld_kb;
	lendable_kb_ -= queue.lendable_kb;
	queue.lendable_kb = wanted ? 0 : queue.withheld_kb;
	lendable_kb_ += queue.lendable_kb;

	withheld_slots_ -= queue.withheld_slots;
	const int64_t unused = std::max(0, queue.guaranteed_slots - counters.slots_used);
	queue.withheld_slots = waiting ? static_cast<int32_t>(std::min(unused, queue.waiting_slots)) : 0;
	withheld_slots_ += queue.withheld_slots;
}

/*
 * Only what was forced may raise forced_kb_, everything that frees lowers it.
 * So it is exactly the part of reserved_kb_ over the budget, unless an ordinary
 * admission overcommits: that breaks the invariant and is found.
 */
void Policy::ChangeReserved(int index, int64_t change_kb, bool forced) noexcept
{
	reserved_kb_ += change_kb;
	if (used_kb_ >= 0 && change_kb > 0)
		used_kb_ = std::min(used_kb_ + change_kb, policy::kMaxMemoryKb);
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
