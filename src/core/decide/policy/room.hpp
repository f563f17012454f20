/*
 * room.hpp
 *
 * Whether there is room for a query; inline, since a dispatch asks it for every
 * query it looks at. Only for the files of the Policy.
 *
 * Room is counted against two budgets: the configured one, which only what is
 * forced may exceed, and what real memory leaves of it. The second does not
 * hold for a query that would be the only one to run with memory in the normal
 * lane: so the server never stands still. Returned cursors, the express lane
 * and maintenance do not count as such: they might never leave a moment without
 * any.
 */
#pragma once

#include <algorithm>

#include "core/decide/policy/policy.hpp"

namespace wlm {

/* All its waits, the present one included; what it ran between them does not count. */
inline double Policy::WaitedMs(const Entry &entry) const noexcept
{
	return entry.waited_ms + (entry.state == QueryState::kQueued ? clock_ms_ - entry.queued_ms : 0);
}

/* What automatic queues may hold together: what fixed ones leave of the pool. */
inline int32_t Policy::PoolRoom() const noexcept
{
	return std::max(1, pool_slots_ - fixed_used_);
}

/* A query that wants more slots than its queue could ever get now is satisfied with all of them. */
inline int32_t Policy::SlotsNeeded(const Entry &entry) const noexcept
{
	const QueueState &queue = queues_[entry.queue];
	return std::min(entry.slots, queue.automatic != 0 ? std::min(queue.most_slots, PoolRoom()) : queue.counters.slots);
}

/* One may always start, whatever fixed queues hold or others are guaranteed: while none of an automatic queue runs there is room for it. */
inline bool Policy::PoolFits(const QueueState &queue, int32_t wanted, bool with_guarantees) const noexcept
{
	if (automatic_used_ == 0)
		return true;
	const int32_t used = queue.counters.slots_used + wanted;
	if (used > queue.most_slots || automatic_used_ + wanted > PoolRoom())
		return false;
	if (!with_guarantees || used <= queue.guaranteed_slots)
		return true;
	return automatic_used_ + wanted + withheld_slots_ - queue.withheld_slots <= PoolRoom();
}

inline bool Policy::SlotFree(const Entry &entry) const noexcept
{
	const QueueState &queue = queues_[entry.queue];
	const int32_t wanted = SlotsNeeded(entry);
	if (queue.automatic != 0)
		return PoolFits(queue, wanted, true);
	return queue.counters.slots_used + wanted <= queue.counters.slots;
}

/* Queries were moved to it, or limits lowered: more of its slots are taken than it may use. */
inline bool Policy::OverSlots(const QueueState &queue) const noexcept
{
	if (queue.automatic != 0)
		return queue.counters.slots_used > queue.most_slots || automatic_used_ > PoolRoom();
	return queue.counters.slots_used > queue.counters.slots;
}

inline bool Policy::Paused(const Entry &entry) const noexcept
{
	return queues_[entry.queue].paused != 0;
}

/* Of a queued query; follows the configuration while it waits. */
inline int64_t Policy::Wanted(const Entry &entry) const noexcept
{
	return std::min(entry.memory_kb, queues_[entry.queue].query_cap_kb);
}

inline bool Policy::ShareFits(const Entry &entry) const noexcept
{
	const QueueState &queue = queues_[entry.queue];
	const int64_t wanted = Wanted(entry);
	return wanted == 0 || queue.counters.reserved_kb + wanted <= queue.max_kb;
}

/* The express lane has no exception from what is unavailable: who does not fit there may still start alone in the normal lane. */
inline bool Policy::BudgetFits(const Entry &entry, Lane lane, bool with_guarantees) const noexcept
{
	if (lane == Lane::kExpress)
		return FitsIn(entry, budget_kb_ - unavailable_kb_, with_guarantees);
	return FitsIn(entry, num_holders_ == 0 ? normal_kb_ : normal_kb_ - unavailable_kb_, with_guarantees);
}

/*
 * A query inside its own queue's guarantee is not held back for the guarantees of others; nor is anybody as long as
 * nothing is reserved at all, else several who want more than they are guaranteed could block each other.
 */
inline bool Policy::FitsIn(const Entry &entry, int64_t limit_kb, bool with_guarantees) const noexcept
{
	const QueueState &queue = queues_[entry.queue];
	const int64_t wanted = Wanted(entry);
	if (wanted == 0)
		return true;
	if (reserved_kb_ + wanted > limit_kb)
		return false;
	if (!with_guarantees || reserved_kb_ == 0 || queue.counters.reserved_kb + wanted <= queue.guarantee_kb)
		return true;
	return reserved_kb_ + wanted + withheld_kb_ - queue.withheld_kb <= limit_kb || LoanFits(queue, wanted, limit_kb);
}

/*
 * A loan: guarantees that nobody waits for need not be kept free of reservations as long as they are free of real use, which is known
 * and leaves room for them and for this query. Those that somebody waits for stay withheld.
 */
inline bool Policy::LoanFits(const QueueState &queue, int64_t wanted, int64_t limit_kb) const noexcept
{
	if (used_kb_ < 0 || pressure_ != Pressure::kNone)
		return false;
	const int64_t withheld_kb = withheld_kb_ - queue.withheld_kb;
	const int64_t lendable_kb = lendable_kb_ - queue.lendable_kb;
	return lendable_kb > 0 && reserved_kb_ + wanted + withheld_kb - lendable_kb <= limit_kb && used_kb_ + wanted + withheld_kb <= limit_kb;
}

/* Of those that are counted in num_holders_. */
inline bool Policy::HoldsMemory(const Entry &entry) const noexcept
{
	return entry.state == QueryState::kRunning && entry.lane == Lane::kNormal && entry.memory_kb > 0;
}

inline bool Policy::MemoryStopped() const noexcept
{
	return pressure_ >= Pressure::kNoAdmission && num_holders_ > 0;
}

/* A queued query that pressure alone keeps from starting. */
inline bool Policy::Stopped(const Entry &entry) const noexcept
{
	return MemoryStopped() && entry.priority != Priority::kCritical && Wanted(entry) > 0;
}

/* Whether others must leave room for it; not while it could not use it. */
inline bool Policy::Heeded(QueryHandle claimant) const noexcept
{
	return claimant != kNoQuery && !Stopped(entries()[claimant]);
}

/*
 * A claim to the pool rests also while it is the claim of another to the budget that keeps its owner from starting, else they could wait
 * for each other; and while it is memory alone that its owner lacks.
 */
inline bool Policy::PoolHeeded() const noexcept
{
	if (!Heeded(pool_claimant_))
		return false;
	if (claimant_ == pool_claimant_) {
		const Entry &entry = entries()[claimant_];
		return BudgetFits(entry, Lane::kNormal, false) || !PoolFits(queues_[entry.queue], SlotsNeeded(entry), false);
	}
	return claimant_ == kNoQuery || Wanted(entries()[pool_claimant_]) == 0 || !Heeded(claimant_);
}

/* Whether it could start in the normal lane, disregarding those that wait. */
inline bool Policy::RoomNow(const Entry &entry) const noexcept
{
	return SlotFree(entry) && !Paused(entry) && !Stopped(entry) && ShareFits(entry) && BudgetFits(entry, Lane::kNormal, true);
}

}  // namespace wlm
