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

#include "core/decide/policy.hpp"

namespace wlm {

/* All its waits, the present one included; what it ran between them does not count. */
inline double Policy::WaitedMs(const Entry &entry) const noexcept
{
	return entry.waited_ms + (entry.state == QueryState::kQueued ? clock_ms_ - entry.queued_ms : 0);
}

/* A query that wants more slots than its queue has is satisfied with all of them. */
inline int32_t Policy::SlotsNeeded(const Entry &entry) const noexcept
{
	return std::min(entry.slots, queues_[entry.queue].counters.slots);
}

inline bool Policy::SlotFree(const Entry &entry) const noexcept
{
	const QueueCounters &counters = queues_[entry.queue].counters;
	return counters.slots_used + SlotsNeeded(entry) <= counters.slots;
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
	return reserved_kb_ + wanted + withheld_kb_ - queue.withheld_kb <= limit_kb;
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

}  // namespace wlm
