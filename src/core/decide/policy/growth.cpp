/*
 * growth.cpp
 *
 * What is taken from the pool without waiting for it, and what real memory says
 * to that. A query that grows and maintenance that starts get only what is left
 * over: nothing that is withheld for others, nothing a starved query waits for,
 * never more than one query may have. So neither is ever forced.
 */
#include "core/decide/policy/policy.hpp"

#include <algorithm>

#include "core/decide/policy/constants.hpp"
#include "core/decide/policy/room.hpp"

namespace wlm {

/* Somebody starved waits for memory that a query of this queue could take. */
bool Policy::MemoryClaimed(const QueueState &queue) const noexcept
{
	return claimant_ != kNoQuery || (queue.claimant != kNoQuery && !ShareFits(entries()[queue.claimant]));
}

/* Left over for an admitted query or for maintenance; may be negative. limit_kb: of its lane. */
int64_t Policy::RoomKb(const Entry &entry, int64_t limit_kb) const noexcept
{
	const QueueState &queue = queues_[entry.queue];
	const int64_t have_kb = entry.state == QueryState::kFree ? 0 : entry.memory_kb;
	const int64_t all_kb = limit_kb - unavailable_kb_ - reserved_kb_;
	const int64_t own_kb = queue.guarantee_kb - queue.counters.reserved_kb;
	const int64_t lent_kb = all_kb - (withheld_kb_ - queue.withheld_kb);
	const int64_t budget_room_kb = std::min(all_kb, std::max(own_kb, lent_kb));
	return std::min({budget_room_kb, queue.max_kb - queue.counters.reserved_kb, queue.query_cap_kb - have_kb});
}

int64_t Policy::Grow(QueryHandle handle, int64_t wanted_kb, int64_t least_kb, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle) || entries()[handle].state == QueryState::kQueued || wanted_kb <= 0)
		return 0;
	Entry &entry = entries()[handle];
	const auto leaves_lane = [&](int64_t kb) {
		return entry.lane == Lane::kExpress &&
			static_cast<double>(entry.memory_kb + kb) > policy::kExpressQueryShare * static_cast<double>(budget_kb_);
	};
	const auto fits = [&](int64_t kb) {
		const bool express = entry.lane == Lane::kExpress && !leaves_lane(kb);
		return kb <= RoomKb(entry, express ? budget_kb_ : normal_kb_);
	};

	int64_t kb = std::min(wanted_kb, policy::kMaxMemoryKb);
	least_kb = std::clamp<int64_t>(least_kb, 1, kb);
	bool granted = false;
	if (pressure_ < Pressure::kNoGrowth && !MemoryClaimed(queues_[entry.queue])) {
		granted = fits(kb);
		while (!granted && kb > least_kb) {
			kb = std::max(kb / 2, least_kb);
			granted = fits(kb);
		}
	}
	if (!granted) {
		num_growth_refused_++;
		return 0;
	}
	const bool leaves = leaves_lane(kb);
	if (leaves)
		Evict(entry);
	ChangeMemory(entry, kb, false);
	num_grown_++;
	if (leaves)
		Dispatch();     /* a slot less may lend the guarantee of memory of those that waited for it */
	else
		DispatchIfStopped();
	return kb;
}

/* What a maintenance command that arrives may reserve of what it wants. */
int64_t Policy::MaintenanceKb(const Entry &entry) const noexcept
{
	if (pressure_ >= Pressure::kNoAdmission || MemoryClaimed(queues_[entry.queue]))
		return 0;
	return std::max<int64_t>(0, std::min(entry.memory_kb, RoomKb(entry, normal_kb_)));
}

void Policy::SetPressure(Pressure pressure, int64_t unavailable_kb, double now_ms) noexcept
{
	Advance(now_ms);
	pressure_ = std::min(pressure, Pressure::kNoAdmission);
	unavailable_kb_ = std::clamp<int64_t>(unavailable_kb, 0, policy::kMaxMemoryKb);
	Dispatch();
}

}  // namespace wlm
