/*
 * invariants.cpp
 *
 * Recomputes every account from the entries and compares. Trusts nothing that
 * it has not checked before: no index is followed and no loop is entered that a
 * damaged byte could lead out of the table, so it may be run on a damaged copy.
 */
#include "core/decide/policy/policy.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/decide/policy/later.hpp"
#include "core/decide/policy/constants.hpp"
#include "core/decide/policy/room.hpp"

namespace wlm {

struct Policy::Recount {
	QueueCounters queues[kMaxQueues];
	int32_t num_waiting[kMaxQueues][kNumPriorities];
	int64_t reserved_kb;
	int64_t express_kb;
	int32_t num_active;
	int32_t num_queued;
	int32_t num_untaken;
	int32_t num_without_memory;
	int32_t num_holders;
	double total_load;
	int32_t num_victims;
	int32_t restartable[kNumPriorities];
	int32_t num_superusers;
	int32_t num_lane_waiters;
	int64_t waiting_slots[kMaxQueues];
};

namespace {

/* Not read as bool: a damaged byte is no value of that type. */
bool IsSwitch(const bool &flag) noexcept
{
	unsigned char byte;
	std::memcpy(&byte, &flag, sizeof byte);
	return byte <= 1;
}

}  // namespace

/* Sizes, limits, clock: what the other checks build on. */
const char *Policy::CheckFixed() const noexcept
{
	if (max_queries_ < 0 || num_bytes_ != BytesNeeded(max_queries_))
		return "the size of the table changed";
	if (config_.num_queues < 1 || config_.num_queues > kMaxQueues || queues_[0].in_use != 1)
		return "the number of queues is out of range";
	if (!IsSwitch(config_.preemption) || !IsSwitch(config_.tune_express) || !IsSwitch(config_.now_or_later) ||
		!IsSwitch(interference_.known))
		return "a switch is neither on nor off";
	if (!std::isfinite(clock_ms_) || !std::isfinite(offset_ms_) || started_ > 1)
		return "the clock is not a number";
	if (!(config_.max_wait_ms >= 0 && config_.max_wait_ms <= policy::kMaxStepMs))
		return "the longest wait is out of range";
	if (!(config_.max_standstill_ms >= 0 && config_.max_standstill_ms <= policy::kMaxStepMs))
		return "the longest standstill is out of range";
	if (config_.budget_kb != budget_kb_ || budget_kb_ < 0 || budget_kb_ > policy::kMaxMemoryKb)
		return "the budget is not that of the configuration";
	if (pressure_ > Pressure::kNoAdmission || unavailable_kb_ < 0 || unavailable_kb_ > policy::kMaxMemoryKb)
		return "the pressure is out of range";
	if (!(correction_ >= 1 / policy::kMaxCorrection && correction_ <= policy::kMaxCorrection) || !(let_in_ms_ >= 0) || !(kept_out_ms_ >= 0))
		return "the correction of the cut-off is out of its span";
	if (!config_.tune_express && (correction_ != 1 || let_in_ms_ > 0 || kept_out_ms_ > 0))
		return "the cut-off is corrected, but should not be";
	if (!std::isfinite(cutoff_ms_) || cutoff_ms_ < correction_ * std::max(0.0, config_.express_floor_ms) * (1 - 1e-9) ||
		cutoff_ms_ > correction_ * policy::kCutoffSpan * std::max(0.0, config_.express_floor_ms) * (1 + 1e-9))
		return "the cut-off is out of its span";
	if (!(waste_credit_ms_ <= policy::kMostCreditMs) || !std::isfinite(waste_credit_ms_) || random_ == 0 ||
		!(seek_after_ms_ <= clock_ms_ + policy::kSeekPauseMs))
		return "what may be thrown away is out of range";
	if (!(interference_.slope >= 0) || !(interference_.knee >= 0))
		return "the interference is not a number";
	if (claimant_ < kNoQuery || claimant_ >= max_queries_)
		return "the claimant is out of range";

	double total = 0;
	for (const float weight : times_) {
		if (!(weight >= 0))
			return "the histogram of times has a negative weight";
		total += static_cast<double>(weight);
	}
	if (!(std::fabs(total - time_total_) <= 1e-3 * (1 + total)) || !(time_weight_ >= 1))
		return "the histogram of times does not add up";

	for (int i = 0; i < config_.num_queues; i++) {
		const QueueState &queue = queues_[i];
		if (queue.in_use > 1 || queue.automatic > 1)
			return "a flag of a queue is neither 0 nor 1";
		if (queue.counters.slots != config_.queues[i].max_slots || (queue.automatic != 0) != (config_.queues[i].max_slots == 0))
			return "a fixed slot limit is not that of the configuration";
		if (queue.paused != (config_.queues[i].intake == Intake::kPaused ? 1 : 0))
			return "a queue is paused, or not, against the configuration";
		if (queue.guarantee_kb < 0 || queue.guarantee_kb > queue.max_kb || queue.max_kb > budget_kb_ || queue.max_kb < 0)
			return "the share of a queue is out of range";
		if (queue.query_cap_kb != std::min(queue.max_kb, static_cast<int64_t>(static_cast<double>(budget_kb_) * kMaxQueryShare)))
			return "the cap of a single query is wrong";
	}
	return CheckPool();
}

/* The limit of the pool and the parts of it. */
const char *Policy::CheckPool() const noexcept
{
	if (config_.total_slots > 0 ? pool_slots_ != config_.total_slots : pool_slots_ < LeastSlots() || pool_slots_ > MostSlots())
		return "the limit of the pool is out of its span";
	if (ceiling_ < 0 || ceiling_ > MostSlots())
		return "the limit at which the machine was full is out of its span";
	if (pool_claimant_ < kNoQuery || pool_claimant_ >= max_queries_)
		return "the claimant of the pool is out of range";
	if (num_slot_changes_ == 0 || slot_changes_[(num_slot_changes_ - 1) % kMaxSlotChanges].after != pool_slots_)
		return "the last change of the pool is not the last one kept";
	if (used_kb_ < -1 || used_kb_ > policy::kMaxMemoryKb)
		return "the memory in use is out of range";
	int64_t guaranteed = 0;
	int num_guaranteed = 0;
	for (int i = 0; i < config_.num_queues; i++) {
		const QueueState &queue = queues_[i];
		if (queue.automatic == 0) {
			if (queue.guaranteed_slots != 0 || queue.most_slots != 0 || queue.withheld_slots != 0)
				return "a queue with slots of its own has a part of the pool";
			continue;
		}
		if (queue.most_slots < 1 || queue.most_slots > pool_slots_ || queue.guaranteed_slots < 0 ||
			queue.guaranteed_slots > queue.most_slots || (queue.guaranteed_slots > 0) != (config_.queues[i].slot_share > 0))
			return "the part of a queue in the pool is out of range";
		guaranteed += queue.in_use != 0 ? queue.guaranteed_slots : 0;
		num_guaranteed += queue.in_use != 0 && queue.guaranteed_slots > 0 ? 1 : 0;
	}
	if (guaranteed > std::max<int64_t>(pool_slots_, 0) + num_guaranteed)
		return "more of the pool is guaranteed than there is";
	return nullptr;
}

/* Who was asked, by whom. */
const char *Policy::CheckGivingWay(QueryHandle handle) const noexcept
{
	const Entry &entry = entries()[handle];
	const bool queued = entry.state == QueryState::kQueued;
	const bool asked = (entry.flags & kAskedFlag) != 0;
	if (entry.partner < kNoQuery || entry.partner >= max_queries_ || entry.wish_kb < 0 || entry.wish_kb > policy::kMaxMemoryKb)
		return "a partner is out of the table, or a wish out of range";
	if (asked && (entry.state != QueryState::kRunning || entry.lane != Lane::kNormal || (entry.flags & kRestartableFlag) == 0))
		return "a query was asked to give way that cannot";
	if (!asked && ((entry.flags & kVictimFlag) != 0 || (!queued && entry.partner != kNoQuery)))
		return "a query is a victim, but was not asked";
	if (entry.partner != kNoQuery &&
		(entries()[entry.partner].partner != handle || (entries()[entry.partner].state == QueryState::kQueued) == queued))
		return "waiter and victim do not know each other";
	if (!(entry.beside >= 0) || !(entry.load_mark <= load_integral_) ||
		(queued && entry.num_preempted == 0 && (entry.beside > 0 || entry.load_mark < 0 || entry.load_mark > 0)))
		return "the load beside a query is out of range";
	if (!(entry.queued_ms >= entry.arrived_ms) || !(entry.queued_ms <= clock_ms_) || !(entry.waited_ms >= 0) ||
		!(entry.wasted_ms >= 0) || !(entry.load >= 0))
		return "a time of an entry is negative, or its load";
	return nullptr;
}

/* Each entry by itself, and what they add up to. */
const char *Policy::CheckEntries(Recount &recount) const noexcept
{
	for (QueryHandle handle = 0; handle < max_queries_; handle++) {
		const Entry &entry = entries()[handle];
		if (entry.state > QueryState::kReturned || entry.lane > Lane::kSuperuser || entry.priority >= Priority::kNumPriorities ||
			entry.reason > WaitReason::kLater)
			return "an entry has an unknown state";
		if (entry.previous < kNoQuery || entry.previous >= max_queries_ || entry.next < kNoQuery || entry.next >= max_queries_)
			return "a link leads out of the table";
		if (entry.state == QueryState::kFree)
			continue;

		if (entry.queue >= config_.num_queues || queues_[entry.queue].in_use == 0)
			return "a query is in a queue that does not exist";
		if (entry.memory_kb < 0 || entry.memory_kb > policy::kMaxMemoryKb || entry.slots < 1 || entry.slots > policy::kMaxSlots ||
			entry.held < 0 || entry.held > entry.slots || entry.passed < 0)
			return "a number of an entry is out of range";
		if (!(entry.arrived_ms <= clock_ms_) || !(entry.admitted_ms <= clock_ms_) || !(entry.since_ms <= clock_ms_) ||
			!(entry.ran_ms >= 0) || !(entry.time_ms >= 0))
			return "a time of an entry is in the future";

		if (const char *const problem = CheckGivingWay(handle); problem != nullptr)
			return problem;
		recount.num_victims += (entry.flags & kVictimFlag) != 0 ? 1 : 0;
		recount.restartable[static_cast<int>(entry.priority)] += IsRestartable(entry) ? 1 : 0;
		const bool untaken = (entry.flags & kUntakenFlag) != 0;
		const bool holds_slots = entry.state == QueryState::kRunning && entry.lane == Lane::kNormal;
		QueueCounters &counters = recount.queues[entry.queue];
		recount.num_active++;
		if (holds_slots != (entry.held > 0))
			return "slots are held by a query that should hold none, or none by one that should";
		if (entry.state == QueryState::kQueued) {
			const double time = std::min(entry.time_ms > 0 ? entry.time_ms : kUnknownTimeMs, kMaxKeyTimeMs);
			const double key = kWaitCredit * entry.arrived_ms + time;
			if (untaken || entry.lane != Lane::kNormal || !(std::fabs(entry.key - key) <= 1e-9 * (1 + std::fabs(key))))
				return "a waiting query has a wrong key, lane or flag";
			recount.num_queued++;
			recount.num_without_memory += Wanted(entry) == 0 ? 1 : 0;
			recount.num_lane_waiters += (entry.flags & kSuperuserFlag) != 0 ? 1 : 0;
			counters.num_queued++;
			recount.waiting_slots[entry.queue] += entry.slots;
			recount.num_waiting[entry.queue][static_cast<int>(entry.priority)]++;
			continue;
		}
		recount.num_untaken += untaken ? 1 : 0;
		recount.num_holders += HoldsMemory(entry) ? 1 : 0;
		recount.total_load += entry.state == QueryState::kRunning ? LoadOf(entry.load) : 0;
		recount.reserved_kb += entry.memory_kb;
		counters.reserved_kb += entry.memory_kb;
		counters.slots_used += entry.held;
		if ((entry.lane == Lane::kMaintenance && untaken) ||
			((entry.lane == Lane::kMaintenance || entry.lane == Lane::kSuperuser) && (entry.flags & kForcedFlag) != 0))
			return "one in a lane without slots was forced, or maintenance has waited";
		if (entry.lane == Lane::kExpress)
			recount.express_kb += entry.memory_kb;
		if (entry.state == QueryState::kReturned)
			counters.num_returned++;
		else {
			counters.num_running++;
			counters.num_express += entry.lane == Lane::kExpress ? 1 : 0;
			recount.num_superusers += entry.lane == Lane::kSuperuser ? 1 : 0;
		}
	}
	return nullptr;
}

/* Links and order; an entry per step, so a cycle is noticed by its length. Runs after CheckEntries(). */
const char *Policy::CheckLists() const noexcept
{
	const Entry *const table = entries();
	auto outside = [this](QueryHandle handle) { return handle < kNoQuery || handle >= max_queries_; };

	int32_t count = 0;
	if (outside(free_))
		return "the free list leads out of the table";
	for (QueryHandle handle = free_; handle != kNoQuery; handle = table[handle].next) {
		if (table[handle].state != QueryState::kFree || ++count > max_queries_)
			return "the free list holds a query that is in use";
	}
	if (count != max_queries_ - num_active_)
		return "a free entry was lost";

	for (int i = 0; i < kMaxQueues; i++) {
		for (int level = 0; level < kNumPriorities; level++) {
			const EntryList &list = queues_[i].waiting[level];
			if (outside(list.head) || outside(list.tail))
				return "a wait list leads out of the table";
			count = 0;
			QueryHandle previous = kNoQuery;
			for (QueryHandle handle = list.head; handle != kNoQuery; previous = handle, handle = table[handle].next) {
				const Entry &entry = table[handle];
				if (++count > list.length || entry.state != QueryState::kQueued || entry.queue != i ||
					static_cast<int>(entry.priority) != level || entry.previous != previous)
					return "a wait list is broken";
				if (previous != kNoQuery && table[previous].key > entry.key)
					return "a wait list is out of order";
			}
			if (previous != list.tail || count != list.length)
				return "a wait list has a wrong tail or length";
			if (((levels_[level].queues >> i) & 1) != (count > 0 ? 1u : 0u))
				return "a level does not know which queues wait";
		}
	}

	count = 0;
	QueryHandle previous = kNoQuery;
	if (outside(victims_.head) || outside(victims_.tail))
		return "the list of victims leads out of the table";
	for (QueryHandle handle = victims_.head; handle != kNoQuery; previous = handle, handle = table[handle].next) {
		if (++count > victims_.length || (table[handle].flags & kVictimFlag) == 0 || table[handle].previous != previous)
			return "the list of victims is broken";
	}
	if (previous != victims_.tail || count != victims_.length)
		return "the list of victims has a wrong tail or length";

	count = 0;
	previous = kNoQuery;
	if (outside(untaken_.head) || outside(untaken_.tail))
		return "the list of admitted queries leads out of the table";
	for (QueryHandle handle = untaken_.head; handle != kNoQuery; previous = handle, handle = table[handle].next) {
		if (++count > untaken_.length || (table[handle].flags & kUntakenFlag) == 0 || table[handle].previous != previous)
			return "the list of admitted queries is broken";
	}
	if (previous != untaken_.tail || count != untaken_.length)
		return "the list of admitted queries has a wrong tail or length";
	return nullptr;
}

const char *Policy::CheckQueues(const Recount &recount) const noexcept
{
	if (recount.num_active != num_active_ || recount.num_queued != num_queued_ ||
		recount.num_without_memory != num_without_memory_ || recount.num_untaken != untaken_.length)
		return "the number of queries is wrong";
	if (recount.num_victims != victims_.length)
		return "a query that is to give way is in no list";
	for (int level = 0; level < kNumPriorities; level++) {
		if (recount.restartable[level] != restartable_[level])
			return "the number of queries that can be restarted is wrong";
	}
	if (recount.total_load != total_load_ || !std::isfinite(load_integral_))
		return "the load of those that run does not add up";
	if (recount.num_holders != num_holders_)
		return "the number of queries that run with memory is wrong";
	if (recount.num_superusers != num_superusers_)
		return "the number of superusers in their lane is wrong";
	if (recount.num_lane_waiters != num_lane_waiters_)
		return "the number of those who wait for the lane of superusers is wrong";
	if (num_lane_waiters_ > 0 && num_superusers_ < config_.superuser_slots)
		return "a superuser waits although his lane has room";
	if (recount.reserved_kb != reserved_kb_ || recount.express_kb != express_kb_)
		return "reservations do not add up";
	if (forced_kb_ != std::max<int64_t>(0, reserved_kb_ - budget_kb_))
		return "more is reserved than the budget and what was forced";

	int64_t withheld_kb = 0, lendable_kb = 0;
	int32_t withheld_slots = 0, automatic_used = 0, fixed_used = 0;
	for (int i = 0; i < config_.num_queues; i++) {
		const QueueState &queue = queues_[i];
		const QueueCounters &have = queue.counters;
		const QueueCounters &counted = recount.queues[i];
		if (have.slots_used != counted.slots_used)
			return "slots do not add up";
		if (have.num_running != counted.num_running || have.num_express != counted.num_express ||
			have.num_returned != counted.num_returned || have.num_queued != counted.num_queued)
			return "the queries of a queue do not add up";
		if (have.reserved_kb != counted.reserved_kb)
			return "the reservations of a queue do not add up";
		if (!(have.total_queue_ms >= 0) || !(have.total_wasted_ms >= 0))
			return "the queue time of a queue, or what it wasted, is negative";
		for (int level = 0; level < kNumPriorities; level++) {
			if (queue.waiting[level].length != recount.num_waiting[i][level])
				return "a waiting query is in no list";
		}
		(queue.automatic != 0 ? automatic_used : fixed_used) += counted.slots_used;
		if (queue.waiting_slots != recount.waiting_slots[i])
			return "the slots that a queue waits for do not add up";
		const bool waiting = queue.paused == 0 && have.num_queued > 0;
		const int64_t unused_slots = std::max(0, queue.guaranteed_slots - have.slots_used);
		if (queue.withheld_slots != (waiting ? std::min(unused_slots, queue.waiting_slots) : 0))
			return "the withheld slots of a queue are wrong";
		withheld_slots += queue.withheld_slots;
		const bool active = have.num_running + have.num_returned > 0 || waiting;
		if (queue.withheld_kb != (active ? std::max<int64_t>(0, queue.guarantee_kb - have.reserved_kb) : 0))
			return "the withheld guarantee of a queue is wrong";
		withheld_kb += queue.withheld_kb;
		if (queue.lendable_kb != (waiting && (queue.automatic != 0 || have.slots_used < have.slots) ? 0 : queue.withheld_kb))
			return "the lendable guarantee of a queue is wrong";
		lendable_kb += queue.lendable_kb;
		if (queue.claimant != kNoQuery &&
			(queue.claimant < 0 || queue.claimant >= max_queries_ || entries()[queue.claimant].state != QueryState::kQueued ||
				entries()[queue.claimant].queue != i))
			return "the claimant of a queue does not wait in it";
	}
	if (withheld_kb != withheld_kb_ || lendable_kb != lendable_kb_ || withheld_slots != withheld_slots_)
		return "withheld guarantees do not add up";
	if (automatic_used != automatic_used_ || fixed_used != fixed_used_)
		return "what is used of the pool does not add up";
	if (pool_claimant_ != kNoQuery &&
		(entries()[pool_claimant_].state != QueryState::kQueued ||
			queues_[entries()[pool_claimant_].queue].claimant != pool_claimant_ || queues_[entries()[pool_claimant_].queue].automatic == 0))
		return "the claimant of the pool does not claim its queue";
	if (claimant_ != kNoQuery &&
		(entries()[claimant_].state != QueryState::kQueued ||
			queues_[entries()[claimant_].queue].claimant != claimant_))
		return "the claimant of the budget does not claim its queue";
	for (const Level &level : levels_) {
		if (level.queues != 0 && level.pass + policy::kMaxLag < virtual_time_)
			return "a level has saved up too much";
	}
	return nullptr;
}

bool Policy::CheckInvariants(char *why, size_t size) const noexcept
{
	Recount recount{};
	const char *problem = CheckFixed();
	if (problem == nullptr)
		problem = CheckEntries(recount);
	if (problem == nullptr)
		problem = CheckLists();
	if (problem == nullptr)
		problem = CheckQueues(recount);
	if (why != nullptr && size > 0)
		std::snprintf(why, size, "%s", problem == nullptr ? "" : problem);
	return problem == nullptr;
}

}  // namespace wlm
