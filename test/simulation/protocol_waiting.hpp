/*
 * protocol_waiting.hpp
 *
 * What a backend does while it waits (queueing.cpp), and how its statement ends
 * wherever it is (ReleaseQuery() in managed_query.cpp).
 */
#pragma once

#include "protocol_world.hpp"

namespace wlm::test {

struct Statement {
	QueryHandle handle = kNoQuery;
	double rest_ms = 0;         /* of its execution */
	bool restartable = false;
	bool watched = false;       /* has run before */
};

struct Session {
	Step step = Step::kIdle;
	Statement current;
	std::vector<Statement> cursors;
	double deadline_ms = 0;     /* on its clock, as the next */
	double checked_ms = 0;
	bool gone = false;
};

class Waiting : public World {
  public:
	Waiting(uint64_t seed, bool crowd, ProtocolCoverage *coverage)
		: World(seed, crowd, coverage), sessions_(static_cast<size_t>(num_sessions)), haste_(Chance(0.5) ? 1 : 0.2),
		  num_levels_(1 + Below(5)), num_targets_(1 + Below(7))
	{
		for (int i = 0; i < num_sessions; i++)
			Next(i, Skewed(5000));
	}

  protected:
	std::vector<Session> sessions_;
	double haste_;              /* below 1: more statements than can be served */
	uint64_t num_levels_;       /* priorities and queues that are asked for */
	uint64_t num_targets_;
	uint64_t sequence_ = 0;
	bool closing_ = false;
	std::vector<ObservedEnd> ends_;     /* for the launcher */

	Session &At(int session) { return sessions_[static_cast<size_t>(session)]; }
	Latch &LatchOf(int session) { return latches_[static_cast<size_t>(session)]; }

	void Next(int session, double in_ms)
	{
		LatchOf(session).sleeps = false;
		LatchOf(session).next_at = now() + 0.001 + in_ms;
	}

	/* Nothing else may end its wait. */
	bool MustStart() const { return closing_ && patient; }

	void Rest(int i)
	{
		At(i).step = Step::kIdle;
		At(i).current = Statement{};
		Next(i, haste_ * Skewed(8000));
	}

	/* ReleaseQuery(). */
	void Release(int i, QueryHandle handle, const char *what)
	{
		const QueryView view = policy_->View(handle);
		if (view.state == QueryState::kQueued) {
			policy_->Cancel(handle, Reading());
			books_.num_cancelled++;
			coverage_.cancelled++;
		} else {
			policy_->Finish(handle, Reading());
			books_.num_executed++;
			coverage_.executed++;
			ends_.push_back({.time_ms = Skewed(20000), .queue_ms = Skewed(5000), .lane = view.lane, .evicted = view.evicted});
		}
		Free(handle);
		Unlock(what, i, handle);
	}

	void Free(QueryHandle handle)
	{
		books_.At(handle) = Book{};
		Slot(handle).session = -1;
		SetPhase(handle, SimPhase::kFree);
	}

	/* It holds locks that others wait for. */
	void ForceNow(int i)
	{
		coverage_.forced_itself++;
		policy_->Force(At(i).current.handle, Reading());
		NotInOrder(At(i).current.handle);
		Unlock("forces itself", i, At(i).current.handle);
		Admitted(i);
	}

	void NotInOrder(QueryHandle forced)
	{
		books_.At(forced).moved = true;
	}

	/* The head of the loop in WaitLoop(), and Sleep(). */
	void Wait(int i)
	{
		Session &session = At(i);
		if (Slot(session.current.handle).admitted) {
			Admitted(i);
			return;
		}
		Latch &latch = LatchOf(i);
		const double until = std::min(session.deadline_ms, session.checked_ms + kPollMs);
		const double rest = latch.is_set ? 0 : std::clamp(until - Clock(), 1.0, kPollMs) + 1 + (Chance(0.005) ? Skewed(1500) : 0);
		latch.next_at = now() + 0.001 + rest;
		latch.sleeps = true;
		if (Chance(0.001)) {    /* SIGSTOP, swapped out */
			coverage_.frozen++;
			latch.sleeps = false;
			latch.next_at = now() + Skewed(100000);
			books_.At(session.current.handle).frozen_until = latch.next_at;
			trace_.Note(now(), "freezes", i, session.current.handle, latch.next_at);
		}
	}

	/* The rest of the loop. */
	void Awake(int i)
	{
		Session &session = At(i);
		const QueryHandle handle = session.current.handle;
		const bool woken = LatchOf(i).is_set;
		LatchOf(i).is_set = false;
		if (Chance(0.002) && !MustStart()) {    /* CHECK_FOR_INTERRUPTS() */
			Release(i, handle, "is cancelled while it waits");
			Rest(i);
			return;
		}
		const double now_ms = Clock();
		SimSlot &slot = Slot(handle);
		if (slot.cancel) {
			Release(i, handle, "is removed from its queue");
			Rest(i);
			return;
		}
		if (slot.admitted)
			(woken ? coverage_.woken : coverage_.polled)++;
		if (now_ms >= session.deadline_ms && !CheckDeadline(i, now_ms))
			return;
		if (now_ms - session.checked_ms >= kPollMs) {
			const double deadline_ms = policy_->DeadlineMs(handle);
			session.deadline_ms = deadline_ms > 0 ? deadline_ms : session.deadline_ms;
			session.checked_ms = now_ms;
		}
		Wait(i);
	}

	/* False if that was the end of its wait. */
	bool CheckDeadline(int i, double now_ms)
	{
		Session &session = At(i);
		const QueryHandle handle = session.current.handle;
		const DeadlineOutcome outcome = policy_->Deadline(handle, Reading());
		const bool waits = books_.At(handle).state == QueryState::kQueued;
		if (outcome != DeadlineOutcome::kTooEarly && !waits)
			books_.Complain("a deadline of one that was admitted already");
		if (outcome == DeadlineOutcome::kTimedOut) {
			books_.num_timed_out++;
			coverage_.timed_out++;
			Free(handle);
			Unlock("has timed out", i, handle);
			Rest(i);
			return false;
		}
		if (outcome == DeadlineOutcome::kForced) {
			coverage_.forced_by_deadline++;
			coverage_.orphan_waits += launcher_alive_ ? 0 : 1;
			books_.Start(handle, false);
			Unlock("is forced at its deadline", i, handle);
			Admitted(i);
			return false;
		}
		session.deadline_ms = now_ms + kPollMs;
		Unlock("asks too early", i, handle);
		return true;
	}

	/* It knows. */
	void Admitted(int i)
	{
		Session &session = At(i);
		const QueryHandle handle = session.current.handle;
		if (books_.At(handle).state != QueryState::kRunning)
			books_.Complain("a process goes on that was not admitted");
		Book &book = books_.At(handle);
		book.unaware = false;
		if (now() - std::max(book.told_at, book.frozen_until) > kNoticeSlackMs)
			books_.Complain("a process learned too late that it was admitted");
		SetPhase(handle, session.current.watched ? SimPhase::kRunning : SimPhase::kAdmitted);
		session.step = session.current.watched ? Step::kRunning : Step::kAdmitted;
		Next(i, Skewed(Chance(0.1) ? 6000 : 20));
	}
};

}  // namespace wlm::test
