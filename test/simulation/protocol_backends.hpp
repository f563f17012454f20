/*
 * protocol_backends.hpp
 *
 * Backends as state machines that do what begin_query.cpp, managed_query.cpp, restart.cpp
 * and stop.cpp do, one section under the lock at a time; each may
 * die after any of them, and then does what before_shmem_exit() does.
 */
#pragma once

#include "protocol_waiting.hpp"

namespace wlm::test {

class Backends : public Waiting {
  public:
	using Waiting::Waiting;

  protected:
	/* Where it is as its fate sees it. */
	Step StepOf(const Session &session)
	{
		const bool marked = session.current.handle != kNoQuery && Slot(session.current.handle).admitted;
		switch (session.step) {
		case Step::kIdle:
			return session.cursors.empty() ? Step::kIdle : Step::kCursor;
		case Step::kQueued:
		case Step::kQueuedAgain:
			return marked ? Step::kMarked : session.step;
		case Step::kAdmitted:
			return Slot(session.current.handle).phase == SimPhase::kReturned ? Step::kTakenBack : Step::kAdmitted;
		case Step::kRunning:
			return Slot(session.current.handle).stop != SimStop::kNone ? Step::kAsked : Step::kRunning;
		default:
			return session.step;
		}
	}

	void Act(int i)
	{
		Session &session = At(i);
		LatchOf(i).sleeps = false;
		/* Unlikely steps are short, so that death must be more likely there. */
		const Step step = StepOf(session);
		const bool rare = step != Step::kIdle && step != Step::kQueued && step != Step::kRunning && step != Step::kCursor;
		if (!MustStart() && Chance(rare ? 0.03 : 0.002)) {
			Die(i);
			return;
		}
		switch (session.step) {
		case Step::kIdle:
			Idle(i);
			break;
		case Step::kQueued:
		case Step::kQueuedAgain:
			Awake(i);
			break;
		case Step::kAside:
			session.step = Step::kQueuedAgain;
			Wait(i);
			break;
		case Step::kAdmitted:
			Enter(i);
			break;
		case Step::kRunning:
			Run(i);
			break;
		case Step::kStopping:
			StandAside(i);
			break;
		case Step::kFailed:
			Release(i, session.current.handle, "rolls back");
			Rest(i);
			break;
		default:
			break;
		}
	}

	/* ReleaseAllAtExit(); a new backend comes in its place. */
	void Die(int i)
	{
		Session &session = At(i);
		coverage_.deaths[static_cast<size_t>(StepOf(session))]++;
		trace_.Note(now(), kStepNames[static_cast<size_t>(StepOf(session))], i, session.current.handle, -1);
		if (session.current.handle != kNoQuery)
			Release(i, session.current.handle, "dies");
		for (const Statement &cursor : session.cursors)
			Release(i, cursor.handle, "dies with a cursor");
		session.cursors.clear();
		LatchOf(i).is_set = false;
		Rest(i);
	}

	void Idle(int i)
	{
		Session &session = At(i);
		if (closing_ && session.cursors.empty()) {
			session.gone = true;
			LatchOf(i).next_at = std::numeric_limits<double>::infinity();
			return;
		}
		const uint64_t kind = closing_ ? 0 : Below(10);
		if (!session.cursors.empty() && kind < 3) {
			const QueryHandle handle = session.cursors.back().handle;
			session.cursors.pop_back();
			Release(i, handle, "closes a cursor");
			Next(i, Skewed(3000));
		} else if (!session.cursors.empty() && (kind < 8 || session.cursors.size() >= 7)) {
			session.current = session.cursors.back();
			session.cursors.pop_back();
			Enter(i);
		} else
			Arrive(i);
	}

	QueryRequest NextRequest(bool open)
	{
		QueryRequest request{};
		request.queue = static_cast<int32_t>(Below(num_targets_));
		request.priority = static_cast<Priority>(Chance(0.02) ? 5 : Below(num_levels_));
		request.may_wait = !open && Chance(0.97);  /* MayWait(): else those who hold and wait could wait for each other */
		request.slots = Chance(0.85) ? 1 : static_cast<int32_t>(1 + Below(6));
		request.time_ms = Chance(0.1) ? 0 : Skewed(100000);
		request.time_upper_ms = Chance(0.3) ? 0 : request.time_ms * 2;
		const double budget = static_cast<double>(policy_->config().budget_kb);
		request.memory_kb = Chance(0.2) ? 0 : static_cast<int64_t>(Chance(0.15) ? budget * (0.2 + Skewed(0.3)) : Skewed(budget));
		request.queue_timeout_ms = Chance(0.8) ? -1 : Chance(0.5) ? 0 : 1 + Skewed(20000);
		request.maintenance = Chance(0.02);
		request.superuser_lane = Chance(0.02);
		request.load = Chance(0.3) ? 0 : static_cast<float>(Skewed(8));
		if (Chance(0.01))
			MakeAbsurd(request);
		return request;
	}

	/* Models and users may say anything. */
	void MakeAbsurd(QueryRequest &request)
	{
		const double numbers[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -1e300, 1e300, -0.0};
		coverage_.absurd++;
		request.queue = Chance(0.5) ? -5 : 1000;
		request.priority = static_cast<Priority>(Below(256));
		request.slots = Chance(0.5) ? std::numeric_limits<int32_t>::max() : -7;
		request.time_ms = numbers[Below(5)];
		request.time_upper_ms = numbers[Below(5)];
		request.queue_timeout_ms = numbers[Below(5)];
		request.load = static_cast<float>(numbers[Below(3)]);
		request.memory_kb = Chance(0.5) ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
	}

	/* Decide(). */
	void Arrive(int i)
	{
		Session &session = At(i);
		const QueryRequest request = NextRequest(!session.cursors.empty());
		const double arrived_ms = Clock();
		const Decision decision = policy_->Arrive(request, Reading());
		const QueryHandle handle = decision.handle;
		books_.num_arrived++;
		coverage_.arrivals++;
		if (handle == kNoQuery) {
			const bool full = decision.verdict == Verdict::kTableFull;
			(full ? books_.num_table_full : books_.num_rejected)++;
			(full ? coverage_.table_full : coverage_.rejected)++;
			if (full && policy_->num_active() != max_queries)
				books_.Complain("table full, but it is not");
			Unlock(full ? "finds the table full" : "is rejected", i, handle);
			Rest(i);
			Next(i, 500 + Skewed(20000));
			return;
		}
		if (handle < 0 || handle >= max_queries || books_.At(handle).state != QueryState::kFree) {
			books_.Complain("a handle was given twice");
			return;
		}
		const QueryView view = policy_->View(handle);
		Book &book = books_.At(handle);
		book = Book{};
		book.session = i;
		book.sequence = ++sequence_;
		book.arrived = books_.policy_now;
		book.time = std::min(request.time_ms > 0 ? request.time_ms : kUnknownTimeMs, kMaxKeyTimeMs);
		book.key = book.time + kWaitCredit * book.arrived;
		book.memory_kb = std::max<int64_t>(0, request.memory_kb);
		book.slots = view.slots;
		SimSlot &slot = Slot(handle);
		slot.session = i;
		slot.stop = SimStop::kNone;
		slot.cancel = false;
		slot.admitted = decision.verdict == Verdict::kAdmitted;
		const double rest_ms = Chance(0.05) ? 20000 + Skewed(300000) : 0.2 * std::min(book.time, 30000.0) + Skewed(5000);
		session.current = Statement{handle, rest_ms, Chance(0.6), false};
		if (decision.verdict == Verdict::kQueued) {
			if (!request.may_wait)
				books_.Complain("a query waits that may not");
			if (Clock() + policy_->config().max_wait_ms + 2e6 < decision.deadline_ms)
				books_.Complain("the deadline is too late");
			books_.Queue(handle);
			SetPhase(handle, SimPhase::kQueued);
			session.step = Step::kQueued;
		} else {
			/* In order only if it could have waited. */
			books_.Start(handle, request.may_wait);
			coverage_.express += decision.lane == Lane::kExpress ? 1 : 0;
			coverage_.superusers += decision.lane == Lane::kSuperuser ? 1 : 0;
			coverage_.maintenance += decision.lane == Lane::kMaintenance ? 1 : 0;
			if (decision.reserved_kb != view.reserved_kb)
				books_.Complain("another reservation than was told");
			SetPhase(handle, SimPhase::kAdmitted);
			session.step = Step::kAdmitted;
		}
		session.deadline_ms = decision.deadline_ms;
		session.checked_ms = arrived_ms;
		const bool waits = decision.verdict == Verdict::kQueued;
		Unlock(waits ? "arrives, waits" : "arrives, admitted", i, handle, static_cast<double>(request.slots));
		if (session.step == Step::kAdmitted)
			Next(i, Skewed(Chance(0.1) ? 6000 : 20));       /* between Bind and Execute */
		else if (Chance(0.01))
			ForceNow(i);
		else
			Wait(i);
	}

	/* EnterQuery(): as the executor begins, or goes on with a cursor. */
	void Enter(int i)
	{
		Session &session = At(i);
		const QueryHandle handle = session.current.handle;
		if (!session.current.watched && session.current.restartable) {
			policy_->SetRestartable(handle, true);
			Unlock("can be restarted", i, handle);
		}
		session.current.watched = true;
		if (Slot(handle).phase == SimPhase::kReturned) {
			policy_->Resume(handle, Reading());
			books_.At(handle).state = QueryState::kRunning;
			books_.over_limits = true;
			coverage_.resumed++;
			SetPhase(handle, SimPhase::kRunning);
			Unlock("takes its slot again", i, handle);
		} else
			SetPhase(handle, SimPhase::kRunning);
		session.step = Step::kRunning;
		Next(i, Skewed(1000));
	}

	void Run(int i)
	{
		Session &session = At(i);
		Statement &current = session.current;
		SimSlot &slot = Slot(current.handle);
		if (slot.stop != SimStop::kNone) {      /* the timer's next look */
			if (current.restartable) {
				session.step = Step::kStopping;
				Next(i, Skewed(Chance(0.05) ? 5000 : 200));
				return;
			}
			slot.stop = SimStop::kNone;
		}
		const double stretch = Skewed(3000);
		if (closing_)
			current.rest_ms = std::min(current.rest_ms, 3000.0);
		current.rest_ms -= stretch;
		switch (current.rest_ms <= 0 ? 20 : Below(20)) {
		case 0:
		case 1:
			Grow(i);
			break;
		case 2:
			Reserve(i);
			break;
		case 3:
			current.restartable = false;
			policy_->SetRestartable(current.handle, false);
			slot.stop = SimStop::kNone;
			Unlock("sends its first row", i, current.handle);
			break;
		case 4:
			if (session.cursors.size() < 7) {
				Leave(i);
				return;
			}
			break;
		case 5:
			Fail(i);
			return;
		case 20:
			Release(i, current.handle, "ends");
			Rest(i);
			return;
		default:
			break;
		}
		Next(i, stretch);
	}

	void Grow(int i)
	{
		const QueryHandle handle = At(i).current.handle;
		const int64_t wanted_kb = Chance(0.01) ? -5 : static_cast<int64_t>(Skewed(static_cast<double>(policy_->config().budget_kb)));
		const int64_t least_kb = Chance(0.5) ? wanted_kb : wanted_kb / 4;
		const int64_t got_kb = policy_->Grow(handle, wanted_kb, least_kb, Reading());
		if (got_kb < 0 || got_kb > std::max<int64_t>(0, wanted_kb) || (got_kb > 0 && got_kb < least_kb))
			books_.Complain("grew by another amount than was asked for");
		if (got_kb > 0 && (policy_->reserved_kb() > policy_->config().budget_kb || books_.pressure != Pressure::kNone))
			books_.Complain("grew over the budget, or in spite of pressure");
		books_.At(handle).reserved_kb += got_kb;
		books_.over_limits = true;      /* who grows out of the express lane takes a slot */
		(got_kb > 0 ? coverage_.grown : coverage_.grow_refused)++;
		Unlock("wants to grow", i, handle, static_cast<double>(got_kb));
	}

	void Reserve(int i)
	{
		const QueryHandle handle = At(i).current.handle;
		Book &book = books_.At(handle);
		const double reserved = static_cast<double>(book.reserved_kb);
		const int64_t memory_kb = static_cast<int64_t>(Chance(0.8) ? Skewed(reserved) : Skewed(2 * reserved + 1000));
		policy_->Reserve(handle, memory_kb, Reading());
		books_.raised = memory_kb > book.reserved_kb;
		book.reserved_kb = memory_kb;
		coverage_.reserved++;
		Unlock("reserves", i, handle, static_cast<double>(memory_kb));
	}

	/* LeaveQuery(): a cursor has returned some rows, or a portal its last and lingers. */
	void Leave(int i)
	{
		Session &session = At(i);
		const QueryHandle handle = session.current.handle;
		if (Chance(0.6)) {
			policy_->Pause(handle, Reading());
			books_.At(handle).state = QueryState::kReturned;
			SetPhase(handle, SimPhase::kReturned);
			Slot(handle).stop = SimStop::kNone;
			Unlock("returns rows", i, handle);
		} else
			SetPhase(handle, SimPhase::kIdle);      /* keeps its slot until the launcher takes it */
		session.current.restartable = false;
		policy_->SetRestartable(handle, false);
		session.cursors.push_back(session.current);
		Rest(i);
	}

	/* NoteFailure(): what it holds in memory stays until ROLLBACK. */
	void Fail(int i)
	{
		const QueryHandle handle = At(i).current.handle;
		policy_->Pause(handle, Reading());
		books_.At(handle).state = QueryState::kReturned;
		SetPhase(handle, SimPhase::kReturned);
		Unlock("fails", i, handle);
		At(i).step = Step::kFailed;
		Next(i, Skewed(4000));
	}

	bool SomebodyAbove(Priority priority) const
	{
		for (QueryHandle handle = 0; handle < max_queries; handle++) {
			const QueryView view = policy_->View(handle);
			if (view.state == QueryState::kQueued && view.priority > priority)
				return true;
		}
		return false;
	}

	/* StandAside() in restart.cpp. */
	void StandAside(int i)
	{
		Session &session = At(i);
		const QueryHandle handle = session.current.handle;
		SimSlot &slot = Slot(handle);
		const bool hop = slot.stop == SimStop::kHop;
		Book &book = books_.At(handle);
		const bool needed = policy_->config().preemption && SomebodyAbove(policy_->View(handle).priority);
		const Preemption outcome = hop ? policy_->Requeue(handle, Reading()) : policy_->GiveWay(handle, Reading());
		slot.stop = SimStop::kNone;
		if (!hop && outcome != Preemption::kRefused && !needed)
			books_.Complain("gave way to nobody");
		if (outcome == Preemption::kWaits) {
			session.deadline_ms = policy_->DeadlineMs(handle);
			slot.admitted = slot.cancel = false;
			SetPhase(handle, SimPhase::kQueued);
			books_.Queue(handle);
			(hop ? coverage_.hops : coverage_.gave_way)++;
		} else if (outcome == Preemption::kAdmitted) {
			book.reserved_kb = 0;
			books_.Start(handle, false);
			coverage_.went_on++;
		} else {
			coverage_.refused++;
			if (Chance(0.2)) {      /* what its phases that have ended had given back */
				book.reserved_kb += static_cast<int64_t>(Skewed(1000));
				books_.raised = true;
				policy_->Reserve(handle, book.reserved_kb, Reading());
			}
		}
		Unlock(hop ? "hops" : "gives way", i, handle, static_cast<double>(outcome));
		session.checked_ms = Clock();
		session.step = outcome == Preemption::kWaits ? Step::kAside : Step::kRunning;
		Next(i, Skewed(100));
	}
};

}  // namespace wlm::test
