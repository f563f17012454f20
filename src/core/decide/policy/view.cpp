/*
 * view.cpp
 *
 * What others may see of the state machine. Nothing here changes it. Times are
 * given on the caller's clock.
 */
#include "core/decide/policy/policy.hpp"

#include <algorithm>

#include "core/decide/policy/constants.hpp"
#include "core/decide/policy/room.hpp"

namespace wlm {

const PolicyConfig &Policy::config() const noexcept { return config_; }
int32_t Policy::max_queries() const noexcept { return max_queries_; }
int32_t Policy::num_active() const noexcept { return num_active_; }
int32_t Policy::num_queued() const noexcept { return num_queued_; }
int64_t Policy::reserved_kb() const noexcept { return reserved_kb_; }
int64_t Policy::forced_kb() const noexcept { return forced_kb_; }
int64_t Policy::free_kb() const noexcept { return std::max<int64_t>(0, budget_kb_ - unavailable_kb_ - reserved_kb_); }
int64_t Policy::unavailable_kb() const noexcept { return unavailable_kb_; }
Pressure Policy::pressure() const noexcept { return pressure_; }
uint64_t Policy::num_grown() const noexcept { return num_grown_; }
uint64_t Policy::num_growth_refused() const noexcept { return num_growth_refused_; }
int32_t Policy::pool_slots() const noexcept { return pool_slots_; }
int32_t Policy::pool_used() const noexcept { return automatic_used_ + fixed_used_; }
int32_t Policy::num_superusers() const noexcept { return num_superusers_; }
double Policy::express_cutoff_ms() const noexcept { return cutoff_ms_; }
double Policy::express_correction() const noexcept { return correction_; }

double Policy::DeadlineMs(QueryHandle handle) const noexcept
{
	if (!InUse(handle) || entries()[handle].state != QueryState::kQueued)
		return 0;
	const Entry &entry = entries()[handle];
	const double timeout = TimeoutMs(entry);
	const double wait = timeout > 0 ? std::min(timeout, config_.max_wait_ms) : config_.max_wait_ms;
	return entry.queued_ms - entry.waited_ms + wait - offset_ms_;
}

QueryView Policy::View(QueryHandle handle) const noexcept
{
	QueryView view{};
	if (!InUse(handle))
		return view;
	const Entry &entry = entries()[handle];
	view.state = entry.state;
	view.lane = entry.lane;
	view.priority = entry.priority;
	view.reason = entry.reason;
	view.forced = (entry.flags & kForcedFlag) != 0;
	view.evicted = (entry.flags & kEvictedFlag) != 0;
	view.may_wait = (entry.flags & kMayWaitFlag) != 0;
	view.queue = entry.queue;
	view.slots = entry.slots;
	view.num_preempted = entry.num_preempted;
	view.restartable = (entry.flags & kRestartableFlag) != 0;
	view.held = entry.held;
	view.arrived_ms = entry.arrived_ms - offset_ms_;
	view.time_ms = entry.time_ms;
	if (entry.state != QueryState::kQueued) {
		view.reserved_kb = entry.memory_kb;
		const double ran_ms = static_cast<double>(entry.ran_ms) + (entry.state == QueryState::kRunning ? clock_ms_ - entry.since_ms : 0);
		view.load_beside = ran_ms > 0 ? BesideNow(entry) / ran_ms : 0;
		view.admitted_ms = entry.admitted_ms - offset_ms_;
		return view;
	}
	view.reason = ReasonOf(handle);
	return view;
}

/* Counted as if higher priorities went first; stride scheduling lets some lower ones in between. */
void Policy::Positions(std::span<int32_t> positions) const noexcept
{
	std::fill(positions.begin(), positions.end(), 0);
	for (int index = 0; index < config_.num_queues; index++) {
		int32_t position = 0;
		for (int level = kNumPriorities - 1; level >= 0; level--) {
			for (QueryHandle handle = queues_[index].waiting[level].head; handle != kNoQuery; handle = entries()[handle].next) {
				position++;
				if (static_cast<size_t>(handle) < positions.size())
					positions[static_cast<size_t>(handle)] = position;
			}
		}
	}
}

bool Policy::IsFull(int32_t queue) const noexcept
{
	if (queue < 0 || queue >= config_.num_queues)
		return false;
	const int32_t most = config_.queues[queue].max_queue_length;
	return most >= 0 && queues_[queue].counters.num_queued >= most;
}

bool Policy::IsOverSlots(int32_t queue) const noexcept
{
	return queue >= 0 && queue < config_.num_queues && OverSlots(queues_[queue]);
}

QueueCounters Policy::Counters(int32_t queue) const noexcept
{
	if (queue < 0 || queue >= config_.num_queues)
		return QueueCounters{};
	QueueCounters counters = queues_[queue].counters;
	counters.guaranteed_slots = queues_[queue].guaranteed_slots;
	counters.most_slots = queues_[queue].automatic != 0 ? queues_[queue].most_slots : counters.slots;
	if (queues_[queue].automatic != 0)
		counters.slots = SlotsNow(queues_[queue]);
	return counters;
}

int Policy::SlotChanges(std::span<SlotChange, kMaxSlotChanges> changes) const noexcept
{
	const uint32_t count = std::min<uint32_t>(num_slot_changes_, kMaxSlotChanges);
	for (uint32_t i = 0; i < count; i++) {
		changes[i] = slot_changes_[(num_slot_changes_ - count + i) % kMaxSlotChanges];
		changes[i].at_ms -= offset_ms_;
	}
	return static_cast<int>(count);
}

}  // namespace wlm
