/*
 * control.cpp
 *
 * What somebody may change of a query that is there already: its priority and
 * its queue; and the lane that is reserved for superusers, so that they are not
 * locked out when everything is taken (HAZARDS.md, W10).
 *
 * Whoever moves or changes a waiting query keeps the time of its arrival, so the
 * bound on its wait stays; its claims are dropped, and come back at its next turn.
 */
#include "core/decide/policy/policy.hpp"

#include "core/decide/policy/constants.hpp"
#include "core/decide/policy/room.hpp"

namespace wlm {

/* What a running or returned query adds to its queue, or with sign -1 takes from it. */
void Policy::Count(const Entry &entry, int sign) noexcept
{
	QueueCounters &counters = queues_[entry.queue].counters;
	counters.reserved_kb += sign * entry.memory_kb;
	if (entry.state == QueryState::kReturned)
		counters.num_returned += sign;
	else {
		counters.num_running += sign;
		counters.num_express += entry.lane == Lane::kExpress ? sign : 0;
	}
	ChangeSlots(entry.queue, sign * entry.held);
}

bool Policy::ChangePriority(QueryHandle handle, Priority priority, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle) || priority >= Priority::kNumPriorities)
		return false;
	Entry &entry = entries()[handle];
	if (entry.priority == priority)
		return true;
	if (entry.state == QueryState::kQueued) {
		Unlink(handle);
		entry.priority = priority;
		Link(handle);
	} else {
		if ((entry.flags & kVictimFlag) != 0)
			Unask(handle);
		CountRestartable(entry, -1);
		entry.priority = priority;
		CountRestartable(entry, 1);
	}
	Dispatch();
	LookForVictim(handle);
	return true;
}

/* One that could start there at once does not add to its length: a queue of length 0 takes it. */
bool Policy::MayWaitIn(const Entry &entry, int32_t queue) const noexcept
{
	if (!IsFull(queue))
		return true;
	Entry there = entry;
	there.queue = static_cast<uint8_t>(queue);
	return queues_[queue].counters.num_queued == 0 && RoomNow(there);
}

MoveOutcome Policy::Move(QueryHandle handle, int32_t queue, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle) || queue < 0 || queue >= config_.num_queues || queues_[queue].in_use == 0)
		return MoveOutcome::kNone;
	Entry &entry = entries()[handle];
	if (entry.queue == queue)
		return MoveOutcome::kMoved;
	if (entry.state == QueryState::kQueued) {
		if (!MayWaitIn(entry, queue))
			return MoveOutcome::kQueueFull;
		Unlink(handle);
		entry.queue = static_cast<uint8_t>(queue);
		entry.since_ms = policy::kNever;    /* there its turn has not come yet */
		entry.passed = 0;
		Link(handle);
	} else {
		Count(entry, -1);
		entry.queue = static_cast<uint8_t>(queue);
		Count(entry, 1);
	}
	Dispatch();
	LookForVictim(handle);
	return MoveOutcome::kMoved;
}

/*
 * A superuser who would have to wait, or be forced, starts in his lane with what memory is free; if the lane is full he is critical
 * from now on, and what he waits for is also the lane. True if he runs.
 */
bool Policy::SuperuserStarts(QueryHandle handle, bool may_wait) noexcept
{
	Entry &entry = entries()[handle];
	if (may_wait) {     /* in order, if he can, else in the lane: so nobody is overtaken who is entitled first */
		entry.flags |= kSuperuserFlag;
		Enqueue(handle);
		Dispatch();
		if (entry.state == QueryState::kRunning) {
			DropUntaken(handle);
			return true;
		}
		Unlink(handle);
		entry.state = QueryState::kFree;
		entry.reason = WaitReason::kNone;
		entry.since_ms = policy::kNever;
		entry.passed = 0;
	} else if (RoomNow(entry)) {
		Start(handle, Lane::kNormal, false);
		return true;
	}
	if (may_wait || num_superusers_ >= config_.superuser_slots) {
		entry.priority = Priority::kCritical;
		return false;
	}
	entry.memory_kb = MaintenanceKb(entry);
	Start(handle, Lane::kSuperuser, false);
	return true;
}

/* Of those who wait and may, the one who came first, when there is room in the lane. Pauses and pressure do not concern it. */
bool Policy::StartSuperuser() noexcept
{
	QueryHandle first = kNoQuery;
	if (num_lane_waiters_ == 0 || num_superusers_ >= config_.superuser_slots)
		return false;
	for (QueryHandle handle = 0; handle < max_queries_; handle++) {
		const Entry &entry = entries()[handle];
		if (entry.state == QueryState::kQueued && (entry.flags & kSuperuserFlag) != 0 &&
			(first == kNoQuery || entry.arrived_ms < entries()[first].arrived_ms))
			first = handle;
	}
	Dequeue(first);
	Entry &entry = entries()[first];
	entry.state = QueryState::kFree;    /* it has nothing yet */
	entry.memory_kb = MaintenanceKb(entry);
	Start(first, Lane::kSuperuser, false);
	Tell(first);
	return true;
}

void Policy::SetUse(int64_t used_kb, double now_ms) noexcept
{
	Advance(now_ms);
	used_kb_ = used_kb < 0 ? -1 : std::min(used_kb, policy::kMaxMemoryKb);
	Dispatch();
}

}  // namespace wlm
