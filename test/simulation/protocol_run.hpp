/*
 * protocol_run.hpp
 *
 * One run: backends, a launcher that dies and comes back, an administrator and
 * an unreliable clock; afterwards everybody leaves, whether there is a launcher
 * or not. In patient runs nobody is forced by then: all start in their turn.
 */
#pragma once

#include <cstring>

#include "protocol_backends.hpp"

namespace wlm::test {

class ProtocolRun : public Backends {
  public:
	ProtocolRun(uint64_t seed, bool crowd, ProtocolCoverage *coverage) : Backends(seed, crowd, coverage), crowd_(crowd)
	{
		launcher_at_ = now() + kPollMs;
		admin_at_ = now() + 100;
		clock_at_ = now() + Skewed(100000);
	}

	/* Empty if all is well. */
	const std::string &Run(uint64_t num_events)
	{
		const uint64_t until = coverage_.events + num_events;
		while (coverage_.events < until && books_.problem.empty())
			Step();
		closing_ = true;
		admin_at_ = clock_at_ = std::numeric_limits<double>::infinity();
		if (Chance(0.5))
			KillLauncher(std::numeric_limits<double>::infinity());
		if (patient)
			OpenQueues();
		const double latest = now() + kLongestEndMs;
		while (books_.problem.empty() && !AllGone()) {
			if (now() > latest)
				books_.Complain("somebody never leaves");
			Step();
		}
		books_.CheckEmpty();
		coverage_.runs++;
		return books_.problem;
	}

  private:
	static constexpr double kLongestEndMs = 3600e3;     /* waits of five minutes, seven cursors; or one after the other */

	bool crowd_;
	double launcher_at_;
	int launcher_step_ = 0;
	double admin_at_;
	double clock_at_;

	bool AllGone() const
	{
		return std::all_of(sessions_.begin(), sessions_.end(), [](const Session &session) { return session.gone; });
	}

	void Step()
	{
		double at = std::min({launcher_at_, admin_at_, clock_at_});
		int next = -1;
		for (int i = 0; i < num_sessions; i++) {
			if (latches_[static_cast<size_t>(i)].next_at < at) {
				at = latches_[static_cast<size_t>(i)].next_at;
				next = i;
			}
		}
		books_.now = std::max(books_.now, at);
		if (next >= 0)
			Act(next);
		else if (at == launcher_at_)
			Launch();
		else if (at == admin_at_)
			Administer();
		else {
			JumpClock();
			clock_at_ = now() + Skewed(200000);
		}
	}

	/* Whoever waits then starts when others have left, without being forced. */
	void OpenQueues()
	{
		PolicyConfig config = policy_->config();
		for (QueueLimits &limits : config.queues) {
			limits.intake = Intake::kOpen;
			limits.queue_timeout_ms = 0;
		}
		coverage_.patient_runs++;
		Configure(config);
	}

	QueryHandle Somebody() { return static_cast<QueryHandle>(Below(static_cast<uint64_t>(max_queries))); }

	void KillLauncher(double for_ms)
	{
		trace_.Note(now(), "the launcher dies", -1, kNoQuery, for_ms);
		coverage_.launcher_deaths++;
		launcher_alive_ = false;
		books_.launcher_since = std::numeric_limits<double>::infinity();
		launcher_step_ = 0;
		launcher_at_ = now() + for_ms;
	}

	/* A round of the launcher, one section under the lock at a time; it may die between any two. */
	void Launch()
	{
		if (!launcher_alive_) {
			launcher_alive_ = true;
			books_.launcher_since = now();
			for (SimSlot &slot : slots_)
				slot.seen = 0;
			Configure(Chance(0.7) ? policy_->config() : NextConfig());       /* a reload while it was not there */
			launcher_at_ = now() + kPollMs;
			return;
		}
		if (Chance(0.002)) {
			KillLauncher(Skewed(120000));
			return;
		}
		const int step = launcher_step_++;
		launcher_at_ = now() + Skewed(2);
		switch (step) {
		case 0:
			coverage_.ticks++;
			books_.over_limits = true;
			policy_->Tick(Reading(), NextSaturation());
			Unlock(kTickName, -1, kNoQuery);
			break;
		case 1:
			TakeBackIdleSlots();
			break;
		case 2:
			if (Chance(0.05))
				ForceBlocker();
			break;
		case 3:
			Guard();
			break;
		case 4:
			LendWhileWaitingForLocks();
			break;
		case 5:
			for (const ObservedEnd &end : ends_)
				policy_->ObserveEnd(end);
			ends_.clear();
			if (Chance(0.05))
				policy_->ObserveEnd({std::numeric_limits<double>::quiet_NaN(), -1, Lane::kExpress, true});
			Unlock("learns", -1, kNoQuery);
			break;
		default:
			launcher_step_ = 0;
			launcher_at_ = now() + kPollMs;
			break;
		}
	}

	Saturation NextSaturation()
	{
		if (Chance(0.05))
			return Saturation::Cpu(Chance(0.5) ? -1 : std::numeric_limits<double>::quiet_NaN());
		return Saturation::Cpu(Chance(0.7) ? 0.3 + Skewed(0.8) : 1.2);
	}

	void TakeBackIdleSlots()
	{
		for (QueryHandle handle = 0; handle < max_queries; handle++) {
			SimSlot &slot = Slot(handle);
			const bool unchanged = slot.seen == slot.changes;
			slot.seen = slot.changes;
			if ((slot.phase != SimPhase::kAdmitted && slot.phase != SimPhase::kIdle) || !unchanged)
				continue;
			SetPhase(handle, SimPhase::kReturned);
			policy_->Pause(handle, Reading());
			books_.At(handle).state = QueryState::kReturned;
			coverage_.taken_back++;
		}
		Unlock("takes slots back", -1, kNoQuery);
	}

	/* Lock-aware admission. */
	void ForceBlocker()
	{
		const QueryHandle handle = Somebody();
		if (books_.At(handle).state == QueryState::kQueued) {
			coverage_.forced_by_launcher++;
			NotInOrder(handle);
		}
		policy_->Force(handle, Reading());
		Unlock("forces a blocker", -1, handle);
	}

	/* What an index build has reserved, while it waits for its table. */
	void LendWhileWaitingForLocks()
	{
		for (QueryHandle handle = 0; handle < max_queries; handle++) {
			const QueryView view = policy_->View(handle);
			Book &book = books_.At(handle);
			if (view.state != QueryState::kRunning || view.lane != Lane::kMaintenance || Chance(0.5))
				continue;
			if (view.reserved_kb > 0) {
				policy_->Reserve(handle, 0, Reading());
				book.reserved_kb = 0;
				coverage_.lent++;
			} else
				book.reserved_kb += policy_->Grow(handle, book.memory_kb, book.memory_kb, Reading());
		}
		Unlock("lends", -1, kNoQuery);
	}

	void Guard()
	{
		const double budget = static_cast<double>(policy_->config().budget_kb);
		if (Chance(0.1)) {
			books_.pressure = static_cast<Pressure>(Chance(0.6) ? 0 : 1 + Below(2));
			books_.unavailable_kb = Chance(0.6) ? 0 : static_cast<int64_t>(Skewed(1.2 * budget));
			policy_->SetPressure(books_.pressure, books_.unavailable_kb, Reading());
			Unlock("sees pressure", -1, kNoQuery, static_cast<double>(books_.pressure));
		}
		if (Chance(0.02)) {
			interference_known_ = Chance(0.6);
			policy_->SetInterference({static_cast<float>(Skewed(3)), static_cast<float>(Skewed(8)), interference_known_});
			SeeWhetherLater();
			policy_->SetPressure(books_.pressure, books_.unavailable_kb, Reading());
			Unlock("learned interference", -1, kNoQuery);
		}
		policy_->SetUse(Chance(0.2) ? -1 : static_cast<int64_t>(Skewed(1.2 * static_cast<double>(policy_->reserved_kb()))), Reading());
		Unlock("sees use", -1, kNoQuery);
	}

	void Administer()
	{
		admin_at_ = now() + Skewed(crowd_ ? 300 : 3000);
		const QueryHandle handle = Somebody();
		Book &book = books_.At(handle);
		switch (Below(20)) {
		case 0:
			Configure(NextConfig());
			break;
		case 1:
		case 2:
		case 3:
			ChangePriority(handle);
			break;
		case 4:
		case 5:
		case 6:
		case 7:
			Move(handle, Chance(0.3));
			break;
		case 8:
		case 9:
		case 10:
			if (book.state == QueryState::kQueued && Slot(handle).phase == SimPhase::kQueued) {
				coverage_.cancel_requests++;
				Slot(handle).cancel = true;
				trace_.Note(now(), "asks to cancel", -1, handle, 0);
				SetLatch(book.session);
			}
			break;
		default:
			break;
		}
	}

	void Configure(const PolicyConfig &next)
	{
		const PolicyConfig config = next;
		coverage_.configured++;
		books_.WillDrop(config);
		books_.Configured(std::memcmp(config.queues, policy_->config().queues, sizeof(config.queues)) == 0 &&
						  config.budget_kb == policy_->config().budget_kb);
		policy_->Configure(config, Reading());
		SeeWhetherLater();
		Unlock("configures", -1, kNoQuery);
	}

	void ChangePriority(QueryHandle handle)
	{
		const bool done = policy_->ChangePriority(handle, static_cast<Priority>(Below(7)), Reading());
		if (done) {
			coverage_.priorities++;
			books_.At(handle).moved = true;
		}
		Unlock("changes a priority", -1, handle, done ? 1 : 0);
	}

	/* By an administrator, or by a rule, which then has it begin again if it can. */
	void Move(QueryHandle handle, bool hop)
	{
		const bool done = policy_->Move(handle, static_cast<int32_t>(Below(8)) - 1, Reading()) == MoveOutcome::kMoved;
		if (done) {
			coverage_.moved++;
			books_.over_limits = true;
			books_.At(handle).moved = true;
			books_.At(handle).later_since = 0;      /* there its turn has not come yet */
			if (hop && Slot(handle).phase == SimPhase::kRunning && Slot(handle).stop == SimStop::kNone)
				Slot(handle).stop = SimStop::kHop;
		}
		Unlock("moves", -1, handle, done ? 1 : 0);
	}
};

}  // namespace wlm::test
