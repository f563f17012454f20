/*
 * slots.cpp
 *
 * The pool of slots that all automatic queues share. Its limit is configured,
 * or it follows the machine: up while somebody waits for a slot of it and
 * nothing is full, halved when something is over-full, a dead band between.
 * What fixed queues hold counts in what is used of it. Every change is kept
 * with its reason.
 */
#include "core/decide/policy/policy.hpp"

#include <algorithm>
#include <cmath>

#include "core/decide/policy/constants.hpp"
#include "core/decide/policy/room.hpp"

namespace wlm {

/* Of a query that begins to run in the normal lane. */
void Policy::TakeSlots(Entry &entry) noexcept
{
	entry.held = SlotsNeeded(entry);
	ChangeSlots(entry.queue, entry.held);
}

void Policy::GiveSlots(Entry &entry) noexcept
{
	ChangeSlots(entry.queue, -entry.held);
	entry.held = 0;
}

void Policy::ChangeSlots(int index, int32_t change) noexcept
{
	QueueState &queue = queues_[index];
	queue.counters.slots_used += change;
	(queue.automatic != 0 ? automatic_used_ : fixed_used_) += change;
	UpdateWithheld(index);
}

int32_t Policy::LeastSlots() const noexcept
{
	return std::max(2, config_.processors);
}

int32_t Policy::MostSlots() const noexcept
{
	return std::max(LeastSlots(), policy::kMostPerProcessor * config_.processors);
}

/* What an automatic queue may hold at this moment, its own included; perhaps less than it holds. */
int32_t Policy::SlotsNow(const QueueState &queue) const noexcept
{
	const int32_t left = PoolRoom() - (automatic_used_ - queue.counters.slots_used);
	const int32_t lent = left - (withheld_slots_ - queue.withheld_slots);
	const int32_t most = std::min({queue.most_slots, left, std::max(lent, queue.guaranteed_slots)});
	return std::max(automatic_used_ == 0 ? 1 : 0, most);
}

bool Policy::SomebodyWaitsForPool() const noexcept
{
	for (int index = 0; index < config_.num_queues; index++) {
		const QueueState &queue = queues_[index];
		if (queue.automatic == 0 || queue.paused != 0 || queue.counters.num_queued == 0)
			continue;
		for (int level = 0; level < static_cast<int>(Priority::kCritical); level++) {
			const EntryList &list = queue.waiting[level];
			if (list.head != kNoQuery && !SlotFree(entries()[list.head]))
				return true;
		}
	}
	return false;
}

int32_t Policy::GrownPool() const noexcept
{
	const bool careful = pool_slots_ <= ceiling_ && pool_slots_ >= static_cast<int32_t>(policy::kCarefulAbove * ceiling_);
	return std::min(pool_slots_ + (careful ? 1 : std::max(1, pool_slots_ / policy::kGrowthDivisor)), MostSlots());
}

/*
 * Once per tick. A second cut waits until the first has taken effect: until then the saturation is still that of the old limit.
 */
void Policy::MovePool(const Saturation &saturation) noexcept
{
	int fullest = -1;
	for (int i = 0; i < kNumResources; i++) {
		if (saturation.of[i] >= 0 && (fullest < 0 || saturation.of[i] > saturation.of[fullest]))
			fullest = i;
	}
	if (config_.total_slots > 0 || fullest < 0)
		return;

	const auto resource = static_cast<Resource>(fullest);
	const float reading = saturation.of[fullest];
	if (static_cast<double>(reading) > policy::kShrinkAbove) {
		if (automatic_used_ + fixed_used_ > pool_slots_)
			return;
		ceiling_ = pool_slots_;
		SetPool(std::max(pool_slots_ / 2, LeastSlots()), SlotReason::kSaturated, resource, reading);
	} else if (static_cast<double>(reading) < policy::kGrowBelow && SomebodyWaitsForPool())
		SetPool(GrownPool(), SlotReason::kDemand, resource, reading);
}

void Policy::SetPool(int32_t slots, SlotReason reason, Resource resource, float saturation) noexcept
{
	if (slots == pool_slots_)
		return;
	slot_changes_[num_slot_changes_ % kMaxSlotChanges] = SlotChange{clock_ms_, pool_slots_, slots, reason, resource, saturation};
	num_slot_changes_++;
	pool_slots_ = slots;
	ShareOutPool();
}

/* A limit that was learned stays, as far as the number of processors allows. */
void Policy::ConfigurePool(bool was_automatic) noexcept
{
	const bool automatic = config_.total_slots == 0;
	int32_t slots = config_.total_slots;
	if (automatic) {
		const bool learned = was_automatic && num_slot_changes_ > 0;
		slots = std::clamp(learned ? pool_slots_ : policy::kStartPerProcessor * config_.processors, LeastSlots(), MostSlots());
	}
	if (!automatic || !was_automatic)
		ceiling_ = 0;
	ceiling_ = std::min(ceiling_, MostSlots());
	SetPool(slots, num_slot_changes_ == 0 && automatic ? SlotReason::kStart : SlotReason::kConfigured, Resource::kCpu, -1);
	ShareOutPool();     /* shares may have changed although the pool has not */
}

/* Guarantees that add up to more than the pool are scaled down; but each is at least one slot, and so is each upper part. */
void Policy::ShareOutPool() noexcept
{
	double sum = 0;
	for (int i = 0; i < config_.num_queues; i++)
		sum += queues_[i].automatic != 0 && queues_[i].in_use != 0 ? static_cast<double>(config_.queues[i].slot_share) : 0;
	const double pool = pool_slots_;
	const auto part = [pool](double share) {
		return std::max(1, static_cast<int32_t>(std::floor(pool * share + policy::kShareRounding)));
	};
	for (int i = 0; i < config_.num_queues; i++) {
		QueueState &queue = queues_[i];
		const QueueLimits &limits = config_.queues[i];
		const bool automatic = queue.automatic != 0;
		const double share = static_cast<double>(limits.slot_share) / std::max(1.0, sum);
		queue.guaranteed_slots = automatic && share > 0 ? part(share) : 0;
		queue.most_slots = automatic ? std::max(queue.guaranteed_slots, part(static_cast<double>(limits.max_slot_share))) : 0;
		UpdateWithheld(i);
	}
}

}  // namespace wlm
