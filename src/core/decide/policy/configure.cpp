/*
 * configure.cpp
 *
 * The table is laid out, and limits change under load. Queues keep their
 * identity by name: one that moved to another index takes its queries and
 * counters along, those of one that is gone go to queue 0, running ones too
 * (their slots and memory count there until they end).
 */
#include "core/decide/policy/policy.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <type_traits>

#include "core/decide/policy/constants.hpp"

namespace wlm {

namespace {

/* Values that make no sense become harmless ones; the caller has reported them where they came from. */
void Sanitize(PolicyConfig &config) noexcept
{
	config.budget_kb = std::clamp<int64_t>(config.budget_kb, 0, policy::kMaxMemoryKb);
	config.max_wait_ms = config.max_wait_ms > 0 ? std::min(config.max_wait_ms, policy::kMaxStepMs) : 0;
	config.max_standstill_ms = config.max_standstill_ms > 0 ? std::min(config.max_standstill_ms, policy::kMaxStepMs) : 0;
	config.express_floor_ms = config.express_floor_ms > 0 ? std::min(config.express_floor_ms, policy::kMaxStepMs) : 0;
	config.processors = std::clamp(config.processors, 1, policy::kMaxProcessors);
	config.total_slots = std::clamp(config.total_slots, 0, policy::kMaxSlots);
	config.superuser_slots = std::clamp(config.superuser_slots, 0, policy::kMaxSlots);
	config.num_queues = std::clamp(config.num_queues, 1, kMaxQueues);
	config.express_share = config.express_floor_ms > 0 && config.express_share > 0 ? std::min(config.express_share, 0.5) : 0.0;
	config.queues[0].in_use = true;
	for (int i = 0; i < config.num_queues; i++) {
		QueueLimits &limits = config.queues[i];
		limits.name[kNameLength - 1] = '\0';
		limits.max_slots = std::clamp(limits.max_slots, 0, policy::kMaxSlots);
		limits.memory_share = limits.memory_share > 0 ? std::min(limits.memory_share, 1.0f) : 0.0f;
		if (!(limits.max_memory_share > 0 && limits.max_memory_share <= 1))
			limits.max_memory_share = 1;
		limits.max_memory_share = std::max(limits.max_memory_share, limits.memory_share);
		limits.slot_share = limits.slot_share > 0 ? std::min(limits.slot_share, 1.0f) : 0.0f;
		if (!(limits.max_slot_share > 0 && limits.max_slot_share <= 1))
			limits.max_slot_share = 1;
		limits.max_slot_share = std::max(limits.max_slot_share, limits.slot_share);
		if (limits.intake > Intake::kDraining)
			limits.intake = Intake::kOpen;
		if (!(limits.queue_timeout_ms > 0))
			limits.queue_timeout_ms = 0;
		if (!(limits.max_execution_ms > 0))
			limits.max_execution_ms = 0;
	}
	for (int i = config.num_queues; i < kMaxQueues; i++)
		config.queues[i] = QueueLimits{};
}

bool SameQueue(const PolicyConfig &before, int i, const PolicyConfig &after, int j) noexcept
{
	return after.queues[j].in_use && std::strcmp(before.queues[i].name, after.queues[j].name) == 0;
}

/* Where queue i of `before` is in `after`: the same index if the name is the same; 0 if it is gone. */
int NewIndex(const PolicyConfig &before, int i, const PolicyConfig &after) noexcept
{
	if (i == 0 || (i < after.num_queues && SameQueue(before, i, after, i)))
		return i;
	for (int j = 1; j < after.num_queues; j++) {
		if (SameQueue(before, i, after, j))
			return j;
	}
	return 0;
}

}  // namespace

size_t Policy::BytesNeeded(int32_t max_queries) noexcept
{
	static_assert(sizeof(Policy) % alignof(Entry) == 0);
	return sizeof(Policy) + static_cast<size_t>(std::max(max_queries, 0)) * sizeof(Entry);
}

Policy *Policy::Init(std::span<std::byte> memory, int32_t max_queries, const PolicyConfig &config) noexcept
{
	static_assert(std::is_trivially_copyable_v<Policy> && std::is_trivially_copyable_v<Entry>);
	static_assert(alignof(Policy) <= 8 && alignof(Entry) <= alignof(Policy));
	static_assert(sizeof(Entry) <= 136);
	static_assert(kMaxQueues <= 64);    /* sets of queues are 64-bit words, indices bytes */

	if (max_queries < 0 || memory.size() < BytesNeeded(max_queries) || reinterpret_cast<uintptr_t>(memory.data()) % 8 != 0)
		return nullptr;

	std::memset(memory.data(), 0, BytesNeeded(max_queries));
	Policy *const policy = ::new (static_cast<void *>(memory.data())) Policy;
	policy->num_bytes_ = BytesNeeded(max_queries);
	policy->max_queries_ = max_queries;
	policy->free_ = kNoQuery;
	policy->untaken_ = EntryList{kNoQuery, kNoQuery, 0};
	policy->claimant_ = kNoQuery;
	policy->pool_claimant_ = kNoQuery;
	policy->used_kb_ = -1;
	policy->time_weight_ = 1;
	policy->correction_ = 1;
	policy->InitPreemption();
	for (QueryHandle handle = max_queries - 1; handle >= 0; handle--) {
		Entry &entry = *::new (static_cast<void *>(policy->entries() + handle)) Entry{};
		entry.previous = kNoQuery;
		entry.partner = kNoQuery;
		entry.next = policy->free_;
		policy->free_ = handle;
	}
	policy->config_.num_queues = 1;
	for (QueueState &queue : policy->queues_) {
		queue.started_ms = policy::kNever;
		queue.let_in_ms = policy::kNever;
		queue.claimant = kNoQuery;
		for (EntryList &list : queue.waiting)
			list = EntryList{kNoQuery, kNoQuery, 0};
	}
	policy->Adopt(config);
	return policy;
}

/* Limits of one queue; counters are left alone. Guarantees that add up to more than everything are scaled down. */
void Policy::SetLimits(int index, double guarantee_scale) noexcept
{
	QueueState &queue = queues_[index];
	const QueueLimits &limits = config_.queues[index];
	const double budget = static_cast<double>(budget_kb_);

	queue.in_use = limits.in_use ? 1 : 0;
	queue.guarantee_kb = static_cast<int64_t>(budget * static_cast<double>(limits.memory_share) * guarantee_scale);
	queue.max_kb = static_cast<int64_t>(budget * static_cast<double>(limits.max_memory_share));
	queue.query_cap_kb = std::min(queue.max_kb, static_cast<int64_t>(budget * kMaxQueryShare));

	queue.automatic = limits.max_slots == 0 ? 1 : 0;
	queue.paused = limits.intake == Intake::kPaused ? 1 : 0;
	queue.counters.slots = limits.max_slots;
}

/* Rebuilds everything that depends on the configuration from the entries. Starts nobody. */
void Policy::Adopt(const PolicyConfig &config) noexcept
{
	int moved_to[kMaxQueues] = {};
	QueueState before[kMaxQueues];
	const int num_before = config_.num_queues;
	const bool was_automatic = config_.total_slots == 0;
	PolicyConfig after = config;

	Sanitize(after);
	std::memcpy(before, queues_, sizeof(before));
	for (int i = 0; i < num_before; i++)
		moved_to[i] = NewIndex(config_, i, after);

	/* Counters go with the name; of two queues that become one, the first gives them unless the place was taken. */
	for (QueueState &queue : queues_) {
		queue = QueueState{};
		queue.started_ms = policy::kNever;
		queue.let_in_ms = policy::kNever;
		queue.claimant = kNoQuery;
		for (EntryList &list : queue.waiting)
			list = EntryList{kNoQuery, kNoQuery, 0};
	}
	for (int i = num_before - 1; i >= 0; i--) {
		const int target = moved_to[i];
		const bool target_stays = target < num_before && before[target].in_use != 0 && moved_to[target] == target;
		if (before[i].in_use == 0 || (i != target && target_stays) || (i != 0 && target == 0))
			continue;
		QueueState &queue = queues_[target];
		queue.counters = before[i].counters;
		queue.started_ms = before[i].started_ms;
		queue.let_in_ms = before[i].let_in_ms;
		queue.counters.slots_used = 0;
		queue.counters.num_running = 0;
		queue.counters.num_express = 0;
		queue.counters.num_returned = 0;
		queue.counters.num_queued = 0;
		queue.counters.reserved_kb = 0;
	}

	config_ = after;
	budget_kb_ = config_.budget_kb;
	normal_kb_ = budget_kb_ - static_cast<int64_t>(static_cast<double>(budget_kb_) * config_.express_share);
	claimant_ = kNoQuery;
	pool_claimant_ = kNoQuery;
	num_queued_ = 0;
	num_without_memory_ = 0;
	num_lane_waiters_ = 0;
	withheld_kb_ = 0;
	lendable_kb_ = 0;
	withheld_slots_ = 0;
	automatic_used_ = 0;
	fixed_used_ = 0;
	double guarantees = 0;
	for (int i = 0; i < config_.num_queues; i++)
		guarantees += config_.queues[i].in_use ? static_cast<double>(config_.queues[i].memory_share) : 0;
	for (int i = 0; i < config_.num_queues; i++)
		SetLimits(i, guarantees > 1 ? 1 / guarantees : 1);

	for (QueryHandle handle = 0; handle < max_queries_; handle++) {
		Entry &entry = entries()[handle];
		if (entry.state != QueryState::kRunning && entry.state != QueryState::kReturned)
			continue;
		entry.queue = static_cast<uint8_t>(moved_to[entry.queue]);
		Count(entry, 1);
	}

	/* Waiting queries, list by list in their order, so that each finds its place near the tail. */
	for (Level &level : levels_)
		level.queues = 0;
	for (int i = 0; i < num_before; i++) {
		for (const EntryList &list : before[i].waiting) {
			for (QueryHandle handle = list.head; handle != kNoQuery;) {
				Entry &entry = entries()[handle];
				const QueryHandle next = entry.next;
				entry.queue = static_cast<uint8_t>(moved_to[i]);
				Enqueue(handle);
				handle = next;
			}
		}
	}

	/* A smaller budget does not take memory from those who have it: the excess is booked as forced. */
	forced_kb_ = std::max<int64_t>(0, reserved_kb_ - budget_kb_);
	ConfigurePool(was_automatic);
	UpdateCutoff();
}

void Policy::Configure(const PolicyConfig &config, double now_ms) noexcept
{
	Advance(now_ms);
	Adopt(config);
	Dispatch();
}

}  // namespace wlm
