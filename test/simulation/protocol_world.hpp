/*
 * protocol_world.hpp
 *
 * What the processes share: the Policy, its slots, latches, the clock; and the
 * rule of src/pg/shared_state.cpp that whoever gives up state_lock marks whom
 * the policy has admitted, asks whom it wants to give way, and sets the latches
 * afterwards. Here wake-ups get lost, clocks jump and processes are late.
 *
 * Time is true time in ms. A process reads the common clock, which may have
 * jumped, a moment before it has the lock.
 */
#pragma once

#include <limits>
#include <span>

#include "protocol_books.hpp"
#include "unit/policy_random.hpp"

namespace wlm::test {

inline constexpr double kPollMs = 1000;

/* As in shared memory. */
enum class SimPhase : uint8_t { kFree = 0, kQueued, kAdmitted, kRunning, kIdle, kReturned };
enum class SimStop : uint8_t { kNone = 0, kGiveWay, kHop };
struct SimSlot {
	int session = -1;           /* latch; -1 = nobody */
	uint32_t changes = 0;       /* of the phase */
	uint32_t seen = 0;          /* by the launcher at its last tick */
	SimPhase phase = SimPhase::kFree;
	SimStop stop = SimStop::kNone;
	bool admitted = false;
	bool cancel = false;
};

/* What of a process the others see. */
struct Latch {
	double next_at = 0;         /* when it acts next */
	bool is_set = false;
	bool sleeps = false;
};

class World : protected Random {
  public:
	World(uint64_t seed, bool crowd, ProtocolCoverage *coverage)
		: Random(seed), patient(!crowd && seed % 8 == 3), num_sessions(static_cast<int>(crowd ? 150 : 1 + Below(48))),
		  max_queries(static_cast<int32_t>(Chance(0.2) ? 1 + Below(20) : static_cast<uint64_t>(num_sessions) * 3 / 2 + Below(10))),
		  coverage_(*coverage), words_(Policy::BytesNeeded(max_queries) / 8),
		  policy_(Policy::Init(std::as_writable_bytes(std::span(words_)), max_queries, NextConfig())), books_(policy_, coverage),
		  slots_(static_cast<size_t>(max_queries)), latches_(static_cast<size_t>(num_sessions))
	{
		books_.now = 1e6;
		policy_->Tick(Reading(), Saturation::Cpu(0.5));
	}

	const bool patient;         /* max_wait is no bound: whoever waits must start in his turn */
	const int num_sessions;
	const int32_t max_queries;  /* a table that is large enough, or not */

	const Trace &trace() const { return trace_; }

  protected:
	PolicyConfig NextConfig()
	{
		PolicyConfig config = RandomConfig(false);
		config.max_wait_ms = Chance(0.05) ? 0 : Chance(0.5) ? 200 + Skewed(30000) : 20000 + Skewed(300000);
		if (patient) {
			config.max_wait_ms = 1e9;
			config.max_standstill_ms = 0;
		}
		if (Chance(0.2)) {      /* everything is guaranteed to somebody */
			for (QueueLimits &limits : config.queues)
				limits.memory_share = limits.slot_share = 1.0f / static_cast<float>(config.num_queues);
		}
		return config;
	}

	double now() const { return books_.now; }
	SimSlot &Slot(QueryHandle handle) { return slots_[static_cast<size_t>(handle)]; }

	/* The process's own reading, which it compares with its deadlines. */
	double Clock() const { return now() + clock_offset_; }

	/* A reading for the policy: late, stray or no time at all. The books follow what the policy makes of it. */
	double Reading()
	{
		double reading = Clock() - Skewed(3);
		const uint64_t kind = Below(20000);
		if (kind == 0) {
			coverage_.not_a_time++;
			return Chance(0.5) ? std::numeric_limits<double>::quiet_NaN() : -std::numeric_limits<double>::infinity();
		}
		if (kind == 1) {
			coverage_.stray_readings++;
			reading += (Chance(0.5) ? 1 : -1) * Skewed(1e6);
		} else if (kind < 100) {
			coverage_.stalls++;
			reading -= Skewed(1500);
		}
		const double time = reading + policy_offset_;
		if (books_.policy_now == 0 || time < books_.policy_now - 2000)
			policy_offset_ = books_.policy_now == 0 ? 0 : books_.policy_now - reading;
		books_.policy_now = std::max(books_.policy_now, reading + policy_offset_);
		return reading;
	}

	void JumpClock()
	{
		const double by = Chance(0.5) ? Skewed(1900) : Skewed(100000);
		const bool forward = Chance(0.5);
		clock_offset_ += forward ? by : -by;
		(forward ? coverage_.jumps_forward : coverage_.jumps_back)++;
		if (!forward)
			books_.WentBack(by);
		trace_.Note(now(), "the clock jumps", -1, kNoQuery, forward ? by : -by);
	}

	void SetPhase(QueryHandle handle, SimPhase phase)
	{
		Slot(handle).phase = phase;
		Slot(handle).changes++;
	}

	void SetLatch(int session)
	{
		Latch &latch = latches_[static_cast<size_t>(session)];
		if (Chance(0.05)) {
			coverage_.lost_wakeups++;
			trace_.Note(now(), "a wake-up is lost", session, kNoQuery, 0);
			return;
		}
		latch.is_set = true;
		if (latch.sleeps)
			latch.next_at = std::min(latch.next_at, now() + 0.01 + Skewed(Chance(0.02) ? 1500 : 2));
	}

	/* The end of a section under state_lock: an event. */
	void Unlock(const char *what, int session, QueryHandle handle, double value = 0)
	{
		trace_.Note(now(), what, session, handle, value);
		const bool tick = what == kTickName;
		const bool dead = Chance(0.01);
		for (QueryHandle admitted = policy_->TakeAdmitted(); admitted != kNoQuery; admitted = policy_->TakeAdmitted()) {
			trace_.Note(now(), "  admitted", Slot(admitted).session, admitted, 0);
			if (Slot(admitted).admitted)
				books_.Complain("marked twice");
			books_.Told(admitted, tick);
			Slot(admitted).admitted = true;
			woken_.push_back(Slot(admitted).session);
			coverage_.orphan_waits += launcher_alive_ ? 0 : 1;
		}
		for (QueryHandle victim = policy_->TakeVictim(); victim != kNoQuery; victim = policy_->TakeVictim()) {
			trace_.Note(now(), "  asked to give way", Slot(victim).session, victim, 0);
			if (!policy_->config().preemption)
				books_.Complain("one was asked to give way although nobody may be");
			if (Slot(victim).session < 0 || books_.At(victim).state != QueryState::kRunning)
				books_.Complain("one that does not run was asked to give way");
			coverage_.asked++;
			if (Slot(victim).stop == SimStop::kNone)
				Slot(victim).stop = SimStop::kGiveWay;
		}
		for (const int waiter : woken_) {
			if (dead && waiter != session)
				coverage_.dead_wakers++;
			else if (waiter >= 0)
				SetLatch(waiter);
		}
		woken_.clear();
		coverage_.events++;
		books_.Check();
	}

	static constexpr const char *kTickName = "tick";

	ProtocolCoverage &coverage_;
	std::vector<uint64_t> words_;
	Policy *policy_;
	Books books_;
	Trace trace_;
	std::vector<SimSlot> slots_;
	std::vector<Latch> latches_;
	std::vector<int> woken_;
	double clock_offset_ = 0;
	double policy_offset_ = 0;
	bool launcher_alive_ = true;
	bool interference_known_ = false;

	void SeeWhetherLater() { books_.may_be_later = policy_->config().now_or_later && interference_known_; }
};

}  // namespace wlm::test
