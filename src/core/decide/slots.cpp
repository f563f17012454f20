/*
 * slots.cpp
 *
 * Automatic slot limits: additive increase while somebody waits for a slot and
 * the machine is not full, halved when it is over-full, a dead band between.
 */
#include "core/decide/policy.hpp"

#include <algorithm>

#include "core/decide/policy_constants.hpp"
#include "core/decide/room.hpp"

namespace wlm {

int32_t Policy::LeastSlots() const noexcept
{
	return std::max(2, config_.processors);
}

int32_t Policy::MostSlots() const noexcept
{
	return std::max(LeastSlots(), policy::kMostPerProcessor * config_.processors);
}

bool Policy::SomebodyWaitsForSlot(const QueueState &queue) const noexcept
{
	for (int level = 0; level < static_cast<int>(Priority::kCritical); level++) {
		const EntryList &list = queue.waiting[level];
		if (list.head != kNoQuery && !SlotFree(entries()[list.head]))
			return true;
	}
	return false;
}

/*
 * The limit after this tick. A second cut waits until the first has taken
 * effect: until then the saturation is still that of the old limit.
 */
int32_t Policy::MoveLimit(const QueueState &queue, double saturation) const noexcept
{
	const int32_t limit = queue.counters.slots;
	if (saturation > policy::kShrinkAbove)
		return queue.counters.slots_used > limit ? limit : std::max(limit / 2, LeastSlots());
	if (saturation < policy::kGrowBelow && SomebodyWaitsForSlot(queue))
		return std::min(limit + 1, MostSlots());
	return limit;
}

}  // namespace wlm
