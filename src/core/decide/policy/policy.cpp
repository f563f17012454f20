/*
 * policy.cpp
 *
 * The events of the state machine. Every event advances the internal clock,
 * changes one entry and its accounts, and lets start whoever fits now.
 *
 *     entries.cpp      table and lists         room.hpp, .cpp   room and accounts of memory
 *     admission.cpp    order, passing          priorities.cpp   stride scheduling
 *     express.cpp      the express lane        growth.cpp       growth, pressure, maintenance
 *     slots.cpp        the pool of slots       configure.cpp    Init and Configure
 *     preempt.cpp      giving way              later.cpp        now or later
 *     control.cpp      what a user may change of a query, superusers' lane
 *     view.cpp         what others may see     invariants.cpp   CheckInvariants
 *
 * Handles that are out of range, free or in the wrong state are ignored.
 */
#include "core/decide/policy/policy.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/decide/policy/later.hpp"
#include "core/decide/policy/constants.hpp"
#include "core/decide/policy/room.hpp"

namespace wlm {

/*
 * The internal clock never goes back: small steps back (callers read the clock
 * before they take the lock) count as no time, large ones and absurd leaps are
 * taken for a clock that was set, and move the offset.
 */
double Policy::Advance(double now_ms) noexcept
{
	if (!std::isfinite(now_ms))
		return clock_ms_;
	if (started_ == 0) {
		started_ = 1;
		clock_ms_ = std::clamp(now_ms, -1e14, 1e14);
		offset_ms_ = clock_ms_ - now_ms;
		for (uint32_t i = 0; i < std::min<uint32_t>(num_slot_changes_, kMaxSlotChanges); i++)
			slot_changes_[i].at_ms = clock_ms_;     /* what was configured before there was a time */
		return clock_ms_;
	}
	double time = now_ms + offset_ms_;
	if (time < clock_ms_ - policy::kMaxSkewMs)
		time = clock_ms_;
	else
		time = std::min(time, clock_ms_ + policy::kMaxStepMs);
	if (time != now_ms + offset_ms_)
		offset_ms_ = time - now_ms;
	load_integral_ += total_load_ * std::max(0.0, time - clock_ms_);
	clock_ms_ = std::max(clock_ms_, time);
	return clock_ms_;
}

Decision Policy::Admitted(QueryHandle handle) const noexcept
{
	const Entry &entry = entries()[handle];
	Decision decision{};
	decision.verdict = Verdict::kAdmitted;
	decision.handle = handle;
	decision.lane = entry.lane;
	decision.forced = (entry.flags & kForcedFlag) != 0;
	decision.reserved_kb = entry.memory_kb;
	return decision;
}

Decision Policy::Arrive(const QueryRequest &request, double now_ms) noexcept
{
	Advance(now_ms);
	Decision decision{};
	decision.handle = kNoQuery;
	const QueryHandle handle = Allocate();
	if (handle == kNoQuery) {
		decision.verdict = Verdict::kTableFull;
		return decision;
	}

	Entry &entry = entries()[handle];
	const bool known_queue = request.queue >= 0 && request.queue < config_.num_queues && queues_[request.queue].in_use != 0;
	const bool known_priority = static_cast<int>(request.priority) < kNumPriorities;
	entry.queue = static_cast<uint8_t>(known_queue ? request.queue : 0);
	entry.priority = known_priority ? request.priority : Priority::kNormal;
	entry.slots = std::clamp(request.slots, 1, policy::kMaxSlots);
	entry.memory_kb = std::clamp<int64_t>(request.memory_kb, 0, policy::kMaxMemoryKb);
	entry.time_ms = request.time_ms > 0 ? request.time_ms : 0;
	entry.arrived_ms = clock_ms_;
	entry.queued_ms = clock_ms_;
	entry.load = WholeLoad(request.load);
	entry.timeout_ms = static_cast<float>(request.queue_timeout_ms >= 0 ? std::min(request.queue_timeout_ms, policy::kMaxStepMs) : -1);
	entry.since_ms = policy::kNever;
	entry.key = kWaitCredit * clock_ms_ + std::min(entry.time_ms > 0 ? entry.time_ms : kUnknownTimeMs, kMaxKeyTimeMs);
	if (request.may_wait)
		entry.flags |= kMayWaitFlag;

	if (request.maintenance) {
		entry.memory_kb = MaintenanceKb(entry);
		Start(handle, Lane::kMaintenance, false);
		return Admitted(handle);
	}
	if (ExpressFits(entry, request.time_upper_ms)) {
		Start(handle, Lane::kExpress, false);
		return Admitted(handle);
	}
	if (request.superuser_lane && SuperuserStarts(handle, request.may_wait)) {
		Dispatch();
		return Admitted(handle);
	}
	if (!request.may_wait) {
		const bool room = RoomNow(entry);
		Start(handle, Lane::kNormal, !room);
		Dispatch();     /* as in Grow() */
		return Admitted(handle);
	}

	/* Through the queue in any case: so nobody is overtaken who is entitled first. */
	Enqueue(handle);
	Dispatch();
	if (entry.state == QueryState::kRunning) {
		DropUntaken(handle);
		return Admitted(handle);
	}

	const int32_t max_length = config_.queues[entry.queue].max_queue_length;
	if (max_length >= 0 && (entry.flags & kSuperuserFlag) == 0 && queues_[entry.queue].counters.num_queued > max_length) {
		decision.verdict = Verdict::kQueueFull;
		queues_[entry.queue].counters.num_rejected++;
		Dequeue(handle);
		Free(handle);
		Dispatch();
		return decision;
	}

	entry.reason = ReasonOf(handle);
	LookForVictim(handle);
	decision.verdict = Verdict::kQueued;
	decision.handle = handle;
	decision.reason = entry.reason;
	decision.deadline_ms = DeadlineMs(handle);
	return decision;
}

/* Gives back what an admitted query holds and frees its entry. */
void Policy::Release(QueryHandle handle) noexcept
{
	Entry &entry = entries()[handle];
	const int queue = entry.queue;
	QueueCounters &counters = queues_[queue].counters;

	DropUntaken(handle);
	LeaveRunning(handle);
	EarnWaste(entry);
	num_holders_ -= HoldsMemory(entry) ? 1 : 0;
	if (entry.state == QueryState::kReturned)
		counters.num_returned--;
	else {
		counters.num_running--;
		GiveSlots(entry);
		counters.num_express -= entry.lane == Lane::kExpress ? 1 : 0;
		num_superusers_ -= entry.lane == Lane::kSuperuser ? 1 : 0;
	}
	if (entry.lane == Lane::kExpress)
		express_kb_ -= entry.memory_kb;
	const int64_t memory_kb = entry.memory_kb;
	Free(handle);
	ChangeReserved(queue, -memory_kb, false);
}

void Policy::Finish(QueryHandle handle, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle))
		return;
	if (entries()[handle].state == QueryState::kQueued) {
		Cancel(handle, now_ms);
		return;
	}
	queues_[entries()[handle].queue].counters.num_executed++;
	Release(handle);
	Dispatch();
}

/* It may have been admitted since its owner looked: then it ends like any other, but counts as cancelled. */
void Policy::Cancel(QueryHandle handle, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle))
		return;
	queues_[entries()[handle].queue].counters.num_cancelled++;
	if (entries()[handle].state == QueryState::kQueued) {
		Dequeue(handle);
		Free(handle);
	} else
		Release(handle);
	Dispatch();
}

/* It is an error, so not for one that ran already. */
double Policy::TimeoutMs(const Entry &entry) const noexcept
{
	if (entry.num_preempted > 0)
		return 0;
	return static_cast<double>(entry.timeout_ms >= 0 ? entry.timeout_ms : config_.queues[entry.queue].queue_timeout_ms);
}

DeadlineOutcome Policy::Deadline(QueryHandle handle, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle) || entries()[handle].state != QueryState::kQueued)
		return DeadlineOutcome::kTooEarly;

	const Entry &entry = entries()[handle];
	const double waited = WaitedMs(entry) + policy::kClockSlackMs;
	const double timeout = TimeoutMs(entry);
	DeadlineOutcome outcome = DeadlineOutcome::kTooEarly;
	if (timeout > 0 && waited >= timeout) {
		outcome = DeadlineOutcome::kTimedOut;
		queues_[entry.queue].counters.num_timeouts++;
		Dequeue(handle);
		Free(handle);
	} else if (waited >= config_.max_wait_ms) {
		outcome = DeadlineOutcome::kForced;
		StartQueued(handle, true, false);
	}
	Dispatch();
	return outcome;
}

void Policy::Force(QueryHandle handle, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle) || entries()[handle].state != QueryState::kQueued)
		return;
	StartQueued(handle, true, true);
	Dispatch();
}

void Policy::Pause(QueryHandle handle, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle) || entries()[handle].state != QueryState::kRunning)
		return;
	Entry &entry = entries()[handle];
	QueueCounters &counters = queues_[entry.queue].counters;
	LeaveRunning(handle);
	num_holders_ -= HoldsMemory(entry) ? 1 : 0;
	entry.state = QueryState::kReturned;
	entry.ran_ms += static_cast<float>(clock_ms_ - entry.since_ms);
	counters.num_running--;
	counters.num_returned++;
	counters.num_express -= entry.lane == Lane::kExpress ? 1 : 0;
	num_superusers_ -= entry.lane == Lane::kSuperuser ? 1 : 0;
	GiveSlots(entry);
	Dispatch();
}

void Policy::Resume(QueryHandle handle, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle) || entries()[handle].state != QueryState::kReturned)
		return;
	Entry &entry = entries()[handle];
	QueueCounters &counters = queues_[entry.queue].counters;
	entry.state = QueryState::kRunning;
	entry.since_ms = clock_ms_;
	num_holders_ += HoldsMemory(entry) ? 1 : 0;
	CountRestartable(entry, 1);
	EnterMachine(entry);
	counters.num_returned--;
	counters.num_running++;
	counters.num_express += entry.lane == Lane::kExpress ? 1 : 0;
	num_superusers_ += entry.lane == Lane::kSuperuser ? 1 : 0;
	if (entry.lane != Lane::kNormal)
		return;
	if (!SlotFree(entry)) {
		entry.flags |= kForcedFlag;
		counters.num_forced++;
	}
	TakeSlots(entry);
	Dispatch();     /* as in Grow() */
}

/* Admitted queries only. What is known to be used cannot be refused: over the budget it is booked as forced. */
void Policy::Reserve(QueryHandle handle, int64_t memory_kb, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle) || entries()[handle].state == QueryState::kQueued)
		return;
	Entry &entry = entries()[handle];
	memory_kb = std::clamp<int64_t>(memory_kb, 0, policy::kMaxMemoryKb);
	const int64_t change_kb = memory_kb - entry.memory_kb;
	ChangeMemory(entry, change_kb, change_kb > 0);
	Dispatch();
}

void Policy::Tick(double now_ms, const Saturation &saturation) noexcept
{
	Advance(now_ms);
	EvictOverrun();
	MovePool(saturation);
	LetIn();
	Dispatch();
	LookForVictims();
}

/* Nobody started here in his turn for that long, although he might; whom a standstill lets in, he does not end it. */
bool Policy::StandsStill(const QueueState &queue) const noexcept
{
	const double most = config_.max_standstill_ms;
	return most > 0 && queue.paused == 0 && clock_ms_ - queue.started_ms + policy::kClockSlackMs >= most &&
		clock_ms_ - queue.let_in_ms + policy::kClockSlackMs >= policy::kLetInPart * most;
}

/* Over the limits: everyone who has waited for max_wait, and of queues that stand still the one who has waited longest. */
void Policy::LetIn() noexcept
{
	QueryHandle longest[kMaxQueues] = {};
	uint64_t still = 0;     /* queues: those that stand still and have somebody who has waited long enough */

	for (QueryHandle handle = 0; num_queued_ > 0 && handle < max_queries_; handle++) {
		const Entry &entry = entries()[handle];
		if (entry.state != QueryState::kQueued)
			continue;
		const double waited = WaitedMs(entry) + policy::kClockSlackMs;
		if (waited >= config_.max_wait_ms)
			StartQueued(handle, true, true);
		else if (waited >= config_.max_standstill_ms && StandsStill(queues_[entry.queue])) {
			const uint64_t bit = uint64_t{1} << entry.queue;
			if ((still & bit) == 0 || WaitedMs(entries()[longest[entry.queue]]) < WaitedMs(entry))
				longest[entry.queue] = handle;
			still |= bit;
		}
	}
	for (; still != 0; still &= still - 1) {
		const int index = std::countr_zero(still);
		StartQueued(longest[index], true, true);
		queues_[index].let_in_ms = clock_ms_;
		queues_[index].counters.num_let_in++;
	}
}

}  // namespace wlm
