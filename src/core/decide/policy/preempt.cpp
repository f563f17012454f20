/*
 * preempt.cpp
 *
 * Who gives way. A waiting query looks for a running one of lower priority that
 * can be restarted without anybody noticing, and whose slot and memory are all
 * that keeps it waiting: one victim must be enough, else work would be thrown
 * away for nobody. Lowest priority first, then who loses least.
 *
 * A request goes through three hands: asked here (in victims_), fetched by
 * TakeVictim(), answered by its owner with GiveWay(), Finish() or
 * SetRestartable(false). `partner` links waiter and victim, so each waiter has
 * one request at most, and one that starts otherwise takes back a request that
 * nobody has fetched. Whether somebody still needs it is decided when it is
 * answered. The victim waits again with the key and the arrival that it had,
 * but the queue time-out, an error, does not count for it any more.
 *
 * Who answers with GiveWay() or Requeue() has thrown its work away before: that is charged even if it goes on at once,
 * because nobody needs its slot any more.
 *
 * Bounds of what is thrown away: policy_constants.hpp. Cost: arrivals and ticks
 * read the table once, and only if a lower level has somebody who might give way.
 */
#include "core/decide/policy/policy.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/decide/policy/constants.hpp"
#include "core/decide/policy/room.hpp"

namespace wlm {

/* A waiting query and the best victim for it so far. */
struct Policy::Seeker {
	QueryHandle waiter;
	QueryHandle victim;
};

void Policy::InitPreemption() noexcept
{
	victims_ = EntryList{kNoQuery, kNoQuery, 0};
	random_ = policy::kRandomSeed;
	waste_credit_ms_ = policy::kWasteAllowanceMs;
	seek_after_ms_ = policy::kNever;
}

/* A fraction in [0, 1), the same sequence in every run: xorshift64* (Vigna 2016). */
double Policy::Draw() noexcept
{
	random_ ^= random_ >> 12;
	random_ ^= random_ << 25;
	random_ ^= random_ >> 27;
	return static_cast<double>((random_ * 0x2545f4914f6cdd1dULL) >> 11) * 0x1p-53;
}

/* Of those that are counted in restartable_. */
bool Policy::IsRestartable(const Entry &entry) const noexcept
{
	return entry.state == QueryState::kRunning && entry.lane == Lane::kNormal &&
		(entry.flags & (kRestartableFlag | kAskedFlag)) == kRestartableFlag;
}

/* With -1 before anything changes that IsRestartable() or the priority depends on, with 1 after it. */
void Policy::CountRestartable(const Entry &entry, int32_t change) noexcept
{
	if (IsRestartable(entry))
		restartable_[static_cast<int>(entry.priority)] += change;
}

/* A queued query that waits for what others hold. */
bool Policy::Lacks(QueryHandle handle) const noexcept
{
	const WaitReason reason = ReasonOf(handle);
	return reason == WaitReason::kSlot || reason == WaitReason::kPool || reason == WaitReason::kMemory;
}

bool Policy::MaySeek(QueryHandle handle) const noexcept
{
	const Entry &entry = entries()[handle];
	if (!config_.preemption || entry.state != QueryState::kQueued || entry.partner != kNoQuery)
		return false;
	for (int level = 0; level < static_cast<int>(entry.priority); level++) {
		if (restartable_[level] > 0)
			return Lacks(handle);
	}
	return false;
}

/* What a running query has executed, and would execute again. */
double Policy::LostMs(const Entry &entry) const noexcept
{
	return static_cast<double>(entry.ran_ms) + (entry.state == QueryState::kRunning ? clock_ms_ - entry.since_ms : 0);
}

/* Every bound but that of chance, for one that is restartable. In a paused queue it would not start again. */
bool Policy::MayGiveWay(const Entry &entry) const noexcept
{
	const double lost_ms = LostMs(entry);
	return (entry.flags & kMayWaitFlag) != 0 && (entry.flags & kUntakenFlag) == 0 &&
		config_.queues[entry.queue].intake != Intake::kPaused &&
		WaitedMs(entry) <= policy::kMaxWaitedPart * config_.max_wait_ms &&
		(entry.num_preempted == 0 || lost_ms >= policy::kMinRunMs) &&
		!(entry.time_ms > 0 && lost_ms >= policy::kNearlyDone * entry.time_ms) &&
		static_cast<double>(entry.wasted_ms) + lost_ms <= std::max(policy::kLeastWasteMs, entry.time_ms) &&
		lost_ms <= waste_credit_ms_;
}

/* Whether the waiter could start if this running query of the normal lane waited. The accounts are those without it meanwhile. */
bool Policy::FitsInPlaceOf(QueryHandle waiter, QueryHandle victim) noexcept
{
	const Entry &entry = entries()[waiter];
	Entry &given = entries()[victim];
	QueueCounters &counters = queues_[given.queue].counters;
	const int32_t held = given.held;
	const int32_t holder = HoldsMemory(given) ? 1 : 0;
	const int64_t memory_kb = given.memory_kb;
	if (held == 0 && memory_kb == 0)
		return false;

	ChangeSlots(given.queue, -held);
	counters.reserved_kb -= memory_kb;
	reserved_kb_ -= memory_kb;
	num_holders_ -= holder;
	UpdateWithheld(given.queue);
	const bool fits = (entry.priority == Priority::kCritical || SlotInTurn(waiter)) && !Stopped(entry) && ShareFits(entry) &&
		BudgetFits(entry, Lane::kNormal, claimant_ != waiter);
	ChangeSlots(given.queue, held);
	counters.reserved_kb += memory_kb;
	reserved_kb_ += memory_kb;
	num_holders_ += holder;
	UpdateWithheld(given.queue);
	return fits;
}

/* One pass: a victim that is better than that of a seeker takes its place, and the one it displaces is offered to the next. */
bool Policy::AskVictims(Seeker *seekers, int count) noexcept
{
	Entry *const table = entries();
	double pending_ms = 0;
	for (QueryHandle handle = 0; handle < max_queries_; handle++) {
		const Entry &entry = table[handle];
		if (entry.state != QueryState::kRunning)
			continue;
		if ((entry.flags & kAskedFlag) != 0)
			pending_ms += LostMs(entry);
		if (!IsRestartable(entry) || !MayGiveWay(entry))
			continue;
		if (entry.num_preempted > 0 && Draw() >= 1.0 / static_cast<double>(uint64_t{1} << std::min<int>(entry.num_preempted, 40)))
			continue;
		QueryHandle offered = handle;
		for (int i = 0; i < count && offered != kNoQuery; i++) {
			const Entry &offer = table[offered];
			if (offer.priority >= table[seekers[i].waiter].priority)
				continue;
			if (seekers[i].victim != kNoQuery) {
				const Entry &best = table[seekers[i].victim];
				if (offer.priority > best.priority || (offer.priority == best.priority && LostMs(offer) >= LostMs(best)))
					continue;
			}
			if (FitsInPlaceOf(seekers[i].waiter, offered))
				std::swap(offered, seekers[i].victim);
		}
	}

	bool asked = false;
	for (int i = 0; i < count; i++) {
		if (seekers[i].victim == kNoQuery)
			continue;
		Entry &victim = table[seekers[i].victim];
		pending_ms += LostMs(victim);
		if (pending_ms > waste_credit_ms_)
			break;
		CountRestartable(victim, -1);
		victim.flags |= kAskedFlag | kVictimFlag;
		victim.partner = seekers[i].waiter;
		victim.queued_ms = clock_ms_;
		table[seekers[i].waiter].partner = seekers[i].victim;
		Append(victims_, seekers[i].victim);
		asked = true;
	}
	return asked;
}

/* For one that has just begun to wait. */
void Policy::LookForVictim(QueryHandle waiter) noexcept
{
	if (!MaySeek(waiter) || clock_ms_ < seek_after_ms_)
		return;
	Seeker seeker{waiter, kNoQuery};
	if (!AskVictims(&seeker, 1))
		seek_after_ms_ = clock_ms_ + policy::kSeekPauseMs;
}

/* For those that wait: the first of each list, highest level first. Who was asked and does not answer is not waited for. */
void Policy::LookForVictims() noexcept
{
	Seeker seekers[policy::kMaxSeekers];
	int count = 0;
	if (!config_.preemption || num_queued_ == 0)
		return;
	for (int level = kNumPriorities - 1; level > 0; level--) {
		for (uint64_t rest = levels_[level].queues; rest != 0; rest &= rest - 1) {
			QueryHandle handle = queues_[std::countr_zero(rest)].waiting[level].head;
			for (int i = 0; i < policy::kLookAhead && handle != kNoQuery && count < policy::kMaxSeekers;
				i++, handle = entries()[handle].next) {
				const QueryHandle victim = entries()[handle].partner;
				if (victim != kNoQuery && clock_ms_ - entries()[victim].queued_ms > policy::kAnswerMs)
					Part(handle);
				if (MaySeek(handle))
					seekers[count++] = Seeker{handle, kNoQuery};
			}
		}
	}
	if (count > 0)
		AskVictims(seekers, count);
}

/* A request is answered or withdrawn: its victim may be asked again. */
void Policy::Unask(QueryHandle handle) noexcept
{
	Entry &entry = entries()[handle];
	if ((entry.flags & kAskedFlag) == 0)
		return;
	if ((entry.flags & kVictimFlag) != 0)
		Remove(victims_, handle);
	if (entry.partner != kNoQuery)
		entries()[entry.partner].partner = kNoQuery;
	entry.partner = kNoQuery;
	entry.flags &= static_cast<uint8_t>(~(kAskedFlag | kVictimFlag));
	CountRestartable(entry, 1);
}

/* Before a running query stops running. */
void Policy::LeaveRunning(QueryHandle handle) noexcept
{
	Unask(handle);
	CountRestartable(entries()[handle], -1);
	LeaveMachine(entries()[handle]);
}

/* A query that stops waiting. Who was asked for it and does not know yet goes on; who knows is told when it answers. */
void Policy::Part(QueryHandle waiter) noexcept
{
	const QueryHandle victim = entries()[waiter].partner;
	if (victim == kNoQuery)
		return;
	if ((entries()[victim].flags & kVictimFlag) != 0) {
		Unask(victim);
		return;
	}
	entries()[victim].partner = kNoQuery;
	entries()[waiter].partner = kNoQuery;
}

/* What a query has executed at its end lets others be restarted. */
void Policy::EarnWaste(const Entry &entry) noexcept
{
	waste_credit_ms_ = std::min(policy::kMostCreditMs, waste_credit_ms_ + policy::kWastePart * LostMs(entry));
}

void Policy::SetRestartable(QueryHandle handle, bool restartable) noexcept
{
	if (!InUse(handle))
		return;
	Entry &entry = entries()[handle];
	if (entry.state == QueryState::kRunning)
		Unask(handle);
	CountRestartable(entry, -1);
	entry.flags = static_cast<uint8_t>(restartable ? entry.flags | kRestartableFlag : entry.flags & ~kRestartableFlag);
	CountRestartable(entry, 1);
}

QueryHandle Policy::TakeVictim() noexcept
{
	const QueryHandle handle = victims_.head;
	if (handle != kNoQuery) {
		Remove(victims_, handle);
		entries()[handle].flags &= static_cast<uint8_t>(~kVictimFlag);
	}
	return handle;
}

/* Whom it was asked for, or the first of a list of a higher level. */
bool Policy::SomebodyNeeds(QueryHandle victim, QueryHandle asked_for) noexcept
{
	if (asked_for != kNoQuery && entries()[asked_for].priority > entries()[victim].priority && Lacks(asked_for) &&
		FitsInPlaceOf(asked_for, victim))
		return true;
	for (int level = kNumPriorities - 1; level > static_cast<int>(entries()[victim].priority); level--) {
		for (uint64_t rest = levels_[level].queues; rest != 0; rest &= rest - 1) {
			const QueryHandle head = queues_[std::countr_zero(rest)].waiting[level].head;
			if (Lacks(head) && FitsInPlaceOf(head, victim))
				return true;
		}
	}
	return false;
}

Preemption Policy::GiveWay(QueryHandle handle, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle) || entries()[handle].state != QueryState::kRunning)
		return Preemption::kRefused;
	Entry &entry = entries()[handle];
	const QueryHandle asked_for = entry.partner;
	Unask(handle);
	ThrowAway(entry);
	if (!config_.preemption || !MayBeginAgain(entry) || !SomebodyNeeds(handle, asked_for))
		return Preemption::kRefused;
	return BeginAgain(handle);
}

Preemption Policy::Requeue(QueryHandle handle, double now_ms) noexcept
{
	Advance(now_ms);
	if (!InUse(handle) || entries()[handle].state != QueryState::kRunning)
		return Preemption::kRefused;
	Entry &entry = entries()[handle];
	Unask(handle);
	ThrowAway(entry);
	if (!MayBeginAgain(entry) || !OverSlots(queues_[entry.queue]))
		return Preemption::kRefused;
	return BeginAgain(handle);
}

bool Policy::MayBeginAgain(const Entry &entry) const noexcept
{
	return IsRestartable(entry) && (entry.flags & kMayWaitFlag) != 0 && (entry.flags & kUntakenFlag) == 0;
}

/* What a running query has executed is gone, whether it waits now or goes on. */
void Policy::ThrowAway(Entry &entry) noexcept
{
	QueueCounters &counters = queues_[entry.queue].counters;
	const double lost_ms = LostMs(entry);
	counters.num_preempted++;
	counters.total_wasted_ms += lost_ms;
	waste_credit_ms_ -= lost_ms;
	entry.wasted_ms += static_cast<float>(lost_ms);
	entry.num_preempted = static_cast<uint16_t>(std::min(entry.num_preempted + 1, 0xffff));
	LeaveMachine(entry);
	entry.ran_ms = 0;
	entry.beside = 0;
	entry.since_ms = clock_ms_;
	EnterMachine(entry);
}

/* From running to waiting, with the key and the arrival that it had. */
Preemption Policy::BeginAgain(QueryHandle handle) noexcept
{
	Entry &entry = entries()[handle];
	QueueCounters &counters = queues_[entry.queue].counters;
	const int64_t memory_kb = entry.memory_kb;

	LeaveRunning(handle);
	num_holders_ -= HoldsMemory(entry) ? 1 : 0;
	counters.num_running--;
	GiveSlots(entry);
	entry.memory_kb = entry.wish_kb;
	entry.beside = 0;
	entry.since_ms = policy::kNever;
	entry.queued_ms = clock_ms_;
	entry.passed = 0;
	entry.flags &= static_cast<uint8_t>(~kForcedFlag);
	Enqueue(handle);
	ChangeReserved(entry.queue, -memory_kb, false);

	/* Those of higher levels first, whatever the order of levels says: it is for them that work was thrown away. */
	StartAbove(static_cast<int>(entry.priority));
	Dispatch();
	if (entry.state == QueryState::kRunning) {
		DropUntaken(handle);
		return Preemption::kAdmitted;
	}
	entry.reason = ReasonOf(handle);
	return Preemption::kWaits;
}

}  // namespace wlm
