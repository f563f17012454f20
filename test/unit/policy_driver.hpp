/*
 * policy_driver.hpp
 *
 * One run of the property test: random events against a Policy of random
 * configuration, each entered in the shadow's books, which are compared after
 * it. At the end everybody leaves.
 */
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "policy_random.hpp"
#include "policy_shadow.hpp"

namespace wlm::test {

class Driver : private Random {
  public:
	Driver(uint64_t seed, int32_t max_queries, bool crowd, Coverage *coverage)
		: Random(seed), max_queries_(max_queries), crowd_(crowd), coverage_(*coverage),
		  words_(Policy::BytesNeeded(max_queries) / 8),
		  policy_(Policy::Init(std::as_writable_bytes(std::span(words_)), max_queries, RandomConfig(crowd))),
		  shadow_(policy_, max_queries)
	{
		caller_ms_ = 1e6;
		shadow_.now = caller_ms_;
		policy_->Tick(caller_ms_, Saturation::Cpu(0.5));
	}

	/* Empty if all is well, else what went wrong. */
	const std::string &Run(uint64_t num_events)
	{
		for (uint64_t i = 0; i < num_events && shadow_.problem.empty(); i++) {
			MoveClock();
			policy_->Finish(kNoQuery, caller_ms_);      /* whatever the event: both have seen this reading of the clock */
			Event();
			Settle(Below(4) == 0);
			if (i % (crowd_ ? 64 : 4) == 0 && policy_->num_queued() > 0)
				shadow_.CheckNobodyWaitsForNothing();
		}
		Leave();
		coverage_.passing += shadow_.num_held_back;
		coverage_.grown += shadow_.num_grown;
		coverage_.growth_refused += shadow_.num_growth_refused;
		coverage_.stopped += shadow_.num_stopped;
		coverage_.alone += shadow_.num_alone;
		coverage_.pool_moves += shadow_.num_pool_moves;
		coverage_.loans += shadow_.num_loans;
		coverage_.guarded += shadow_.num_guarded;
		coverage_.asked += shadow_.num_asked;
		coverage_.later += shadow_.num_later;
		coverage_.order_checks += shadow_.num_checked_order;
		coverage_.untaken_deaths += shadow_.num_untaken_deaths;
		return shadow_.problem;
	}

  private:
	/* The caller's clock runs, stumbles and jumps; shadow_.now is the time that counts. */
	void MoveClock()
	{
		const uint64_t kind = Below(1000);
		double step = Skewed(crowd_ ? 20 : 200);
		if (kind == 0)
			step = Skewed(100000);
		else if (kind == 1)
			step = -2001 - Skewed(1e7);
		else if (kind < 20)
			step = -Skewed(1900);
		coverage_.jumps += kind < 2 ? 1 : 0;
		caller_ms_ += step;
		const double time = caller_ms_ + offset_ms_;
		if (time < shadow_.now - 2000)
			offset_ms_ = shadow_.now - caller_ms_;
		else
			shadow_.now = std::max(shadow_.now, time);
	}

	void Event()
	{
		coverage_.events++;
		const QueryHandle handle = static_cast<QueryHandle>(Below(static_cast<uint64_t>(max_queries_)));
		const uint64_t arrivals = crowd_ && policy_->num_queued() < 1000 ? 600 : 380;
		uint64_t kind = Below(1000);
		if (kind < arrivals)
			Arrive();
		else if ((kind = Below(855)) >= 725)
			GivingWay(Chance(0.3) ? handle : SomeoneRunning(handle));
		else if (kind < 240)
			Finish(Chance(0.2) ? handle : SomeoneRunning(handle));
		else if (kind < 270)
			Cancel(handle);
		else if (kind < 330)
			Deadline(handle);
		else if (kind < 345)
			Force(handle);
		else if (kind < 415)
			Pause(handle);
		else if (kind < 485)
			Resume(handle);
		else if (kind < 545)
			Reserve(handle);
		else if (kind < 590)
			Tick();
		else if (kind < 612)
			ObserveEnds();
		else if (kind < 615 && Chance(crowd_ ? 0.3 : 1))
			Configure();
		else if (kind < 620)
			Nonsense();
		else if (kind < 660)
			Grow(Chance(0.5) ? handle : SomeoneRunning(handle));
		else if (kind < 670 && Chance(crowd_ ? 0.1 : 0.7))
			Press();
		else if (kind < 690)
			ChangePriority(handle);
		else if (kind < 710)
			Move(handle);
		else if (kind < 725)
			Use();
	}

	QueryHandle SomeoneRunning(QueryHandle from) const
	{
		for (QueryHandle i = 0; i < max_queries_; i++) {
			const QueryHandle handle = (from + i) % max_queries_;
			if (shadow_.queries[static_cast<size_t>(handle)].state == QueryState::kRunning)
				return handle;
		}
		return from;
	}

	void Arrive()
	{
		Request request;
		request.queue = static_cast<int32_t>(Below(7)) - (Chance(0.02) ? 1 : 0);
		request.priority = static_cast<Priority>(Chance(0.02) ? 5 : Below(5));
		request.slots = Chance(0.9) ? 1 : static_cast<int32_t>(Below(7));
		request.time_ms = Chance(0.1) ? 0 : Skewed(1e6);
		request.time_upper_ms = Chance(0.2) ? 0 : request.time_ms * 2;
		request.memory_kb = Chance(0.1) ? 0 : static_cast<int64_t>(Skewed(static_cast<double>(policy_->config().budget_kb)));
		request.may_wait = Chance(crowd_ ? 0.999 : 0.97);
		request.queue_timeout_ms = Chance(0.8) ? -1 : Chance(0.5) ? 0 : 1 + Skewed(20000);
		request.maintenance = Chance(0.03);
		request.superuser_lane = Chance(0.03);
		const int32_t superusers = policy_->num_superusers();
		const double cutoff = policy_->express_cutoff_ms();
		QueryRequest made = Make(request);
		made.load = Chance(0.3) ? 0 : static_cast<float>(Skewed(8));
		const Decision decision = policy_->Arrive(made, caller_ms_);

		const PolicyConfig &config = shadow_.config;
		const bool known = request.queue >= 0 && request.queue < config.num_queues && config.queues[request.queue].in_use;
		const int queue = known ? request.queue : 0;
		const int32_t most = config.queues[queue].max_queue_length;
		if (decision.verdict == Verdict::kTableFull) {
			coverage_.table_full++;
			for (const ShadowQuery &query : shadow_.queries) {
				if (query.state == QueryState::kFree)
					shadow_.Complain("table full, but it is not");
			}
			return;
		}
		if (decision.verdict == Verdict::kQueueFull) {
			coverage_.full++;
			shadow_.queues[queue].rejected++;
			if (most < 0 || shadow_.queues[queue].queued < most || !request.may_wait)
				shadow_.Complain("refused although the queue is not full");
			return;
		}
		if (decision.handle < 0 || decision.handle >= max_queries_ ||
			shadow_.At(decision.handle).state != QueryState::kFree) {
			shadow_.Complain("a handle was given twice");
			return;
		}
		ShadowQuery &query = shadow_.At(decision.handle);
		query = ShadowQuery{};
		query.queue = queue;
		query.priority = request.priority;
		query.wanted_slots = std::max(1, request.slots);
		query.wanted_kb = request.memory_kb;
		query.timeout = request.queue_timeout_ms;
		query.sequence = ++sequence_;
		query.arrived = shadow_.now;
		query.may_wait = request.may_wait;
		const bool lane_full = superusers >= config.superuser_slots;
		if (request.superuser_lane && decision.lane != Lane::kSuperuser)
			query.priority = policy_->View(decision.handle).priority;
		if (query.priority != request.priority && (query.priority != Priority::kCritical || !lane_full))
			shadow_.Complain("another priority than was wanted");
		if (request.superuser_lane && request.priority != Priority::kCritical &&
			(decision.verdict == Verdict::kQueued || decision.forced) && (!lane_full || query.priority != Priority::kCritical))
			shadow_.Complain("a superuser waits or is forced although his lane has room, or is not critical");
		query.time = std::min(request.time_ms > 0 ? request.time_ms : kUnknownTimeMs, kMaxKeyTimeMs);
		if (decision.verdict == Verdict::kQueued) {
			coverage_.queued++;
			shadow_.Queue(decision.handle);
			if (!request.may_wait)
				shadow_.Complain("a query waits that may not");
			if (most >= 0 && policy_->Counters(queue).num_queued > most && !request.superuser_lane)
				shadow_.Complain("the queue is longer than it may be");
			if (decision.deadline_ms > caller_ms_ + 2000 + config.max_wait_ms)
				shadow_.Complain("the deadline is too late");
			return;
		}
		coverage_.superusers += decision.lane == Lane::kSuperuser ? 1 : 0;
		if (decision.lane == Lane::kSuperuser && !request.superuser_lane)
			shadow_.Complain("in the lane of superusers without having asked for it");
		coverage_.maintenance += decision.lane == Lane::kMaintenance ? 1 : 0;
		if (request.maintenance != (decision.lane == Lane::kMaintenance))
			shadow_.Complain("maintenance in another lane, or another query in its lane");
		if (decision.lane == Lane::kExpress) {
			coverage_.express++;
			ShadowQuery in_lane = query;
			in_lane.express = true;
			if (!(request.time_upper_ms > 0 && request.time_upper_ms < cutoff) || decision.forced ||
				static_cast<double>(request.memory_kb) > 0.02 * static_cast<double>(config.budget_kb) ||
				(request.memory_kb > 0 && !shadow_.MemoryFits(in_lane, true)) ||
				(request.memory_kb > 0 && shadow_.pressure == Pressure::kNoAdmission &&
					shadow_.TooLargeForExpress(in_lane, shadow_.ExpressKb() + shadow_.Demand(in_lane))))
				shadow_.Complain("express for one that is not entitled to it");
		}
		/* If others were admitted by the same event (a claim came of age), the order between them is not visible. */
		both_ = policy_->CheckInvariants(nullptr, 0) && AnyUnknownStart();
		shadow_.Run(decision.handle, request.may_wait && decision.lane == Lane::kNormal, !both_);
		query.restartable = Chance(0.5);
		policy_->SetRestartable(decision.handle, query.restartable);
	}

	/* Who may be restarted, who is asked, who answers; some are asked and never do. */
	void GivingWay(QueryHandle handle)
	{
		ShadowQuery &query = shadow_.At(handle);
		switch (Below(4)) {
		case 0:
			query.restartable = query.state != QueryState::kFree && Chance(0.8);
			policy_->SetRestartable(handle, query.restartable);
			return;
		case 2:
			if (Chance(0.1))
				Interfere();
			for (QueryHandle victim = policy_->TakeVictim(); victim != kNoQuery; victim = policy_->TakeVictim())
				shadow_.Asked(victim);
			return;
		default:
			break;
		}
		for (QueryHandle i = 0; i < max_queries_ && Chance(0.98); i++) {
			if (shadow_.queries[static_cast<size_t>(i)].asked)
				handle = i;
		}
		/* each answer costs what may be thrown away: of who was not asked little, but for now and then */
		const ShadowQuery &answers = shadow_.At(handle);
		if (answers.state == QueryState::kRunning && !answers.asked && shadow_.now - answers.run_since > 50 && !Chance(0.002))
			return;
		const bool was_running = shadow_.At(handle).state == QueryState::kRunning;
		const Preemption outcome = policy_->GiveWay(handle, caller_ms_);
		shadow_.GaveWay(handle, outcome);
		coverage_.refused += was_running && outcome == Preemption::kRefused ? 1 : 0;
		coverage_.gave_way += outcome != Preemption::kRefused ? 1 : 0;
		if (outcome != Preemption::kAdmitted)
			return;
		coverage_.went_on++;
		/* Others were started before it, so nothing can be said of the order. */
		both_ = true;
		shadow_.Run(handle, true, false);
	}

	void Interfere()
	{
		Interference interference{static_cast<float>(Skewed(3)), static_cast<float>(Skewed(8)), Chance(0.7)};
		shadow_.interference = interference.known;
		if (Chance(0.1)) {
			interference.slope = std::numeric_limits<float>::quiet_NaN();
			shadow_.interference = false;
		}
		policy_->SetInterference(interference);
		policy_->SetPressure(shadow_.pressure, shadow_.unavailable_kb, caller_ms_);     /* a search, now that it is known */
	}

	void ObserveEnds()
	{
		const bool dear = Chance(0.5);
		for (uint64_t i = Chance(0.1) ? 50 : 1; i > 0; i--)
			policy_->ObserveEnd({.time_ms = Skewed(dear ? 100000 : 1000), .queue_ms = Skewed(20000),
				.lane = static_cast<Lane>(Below(4)), .evicted = false});
		coverage_.corrected += policy_->express_correction() != 1 ? 1 : 0;
	}

	bool AnyUnknownStart() const
	{
		for (QueryHandle handle = 0; handle < max_queries_; handle++) {
			if (shadow_.queries[static_cast<size_t>(handle)].state == QueryState::kQueued &&
				policy_->View(handle).state == QueryState::kRunning)
				return true;
		}
		return false;
	}

	void Finish(QueryHandle handle)
	{
		policy_->Finish(handle, caller_ms_);
		ShadowQuery &query = shadow_.At(handle);
		if (query.state == QueryState::kFree)
			return;
		(query.state == QueryState::kQueued ? shadow_.queues[query.queue].cancelled : shadow_.queues[query.queue].executed)++;
		shadow_.End(handle);
	}

	void Cancel(QueryHandle handle)
	{
		policy_->Cancel(handle, caller_ms_);
		if (shadow_.At(handle).state == QueryState::kFree)
			return;
		shadow_.queues[shadow_.At(handle).queue].cancelled++;
		shadow_.End(handle);
	}

	void Deadline(QueryHandle handle)
	{
		const ShadowQuery query = shadow_.At(handle);
		const DeadlineOutcome outcome = policy_->Deadline(handle, caller_ms_);
		const double waited = shadow_.Waited(query);
		const double timeout = shadow_.TimeoutOf(query);
		DeadlineOutcome due = DeadlineOutcome::kTooEarly;
		if (query.state == QueryState::kQueued && timeout > 0 && waited >= timeout)
			due = DeadlineOutcome::kTimedOut;
		else if (query.state == QueryState::kQueued && waited >= shadow_.config.max_wait_ms)
			due = DeadlineOutcome::kForced;
		const bool close = std::fabs(waited - timeout) < 0.1 || std::fabs(waited - shadow_.config.max_wait_ms) < 0.1;
		if (outcome != due && !(close && query.state == QueryState::kQueued))
			shadow_.Complain("a deadline had another outcome than was due: " + std::to_string(static_cast<int>(outcome)) +
							 " for " + std::to_string(static_cast<int>(due)) + " after " + std::to_string(waited) + " ms");
		if (outcome == DeadlineOutcome::kForced) {
			coverage_.forced++;
			shadow_.Run(handle, false, true);
		} else if (outcome == DeadlineOutcome::kTimedOut) {
			coverage_.timed_out++;
			shadow_.queues[query.queue].timeouts++;
			shadow_.End(handle);
		}
	}

	void Force(QueryHandle handle)
	{
		out_of_order_ = shadow_.At(handle).state == QueryState::kQueued ? 1 : 0;
		policy_->Force(handle, caller_ms_);
	}

	void Pause(QueryHandle handle)
	{
		policy_->Pause(handle, caller_ms_);
		ShadowQuery &query = shadow_.At(handle);
		if (query.state != QueryState::kRunning)
			return;
		query.state = QueryState::kReturned;
		query.ran += shadow_.now - query.run_since;
		shadow_.queues[query.queue].running--;
		shadow_.queues[query.queue].returned++;
		shadow_.GiveSlots(query);
	}

	void Resume(QueryHandle handle)
	{
		policy_->Resume(handle, caller_ms_);
		ShadowQuery &query = shadow_.At(handle);
		if (query.state != QueryState::kReturned)
			return;
		query.state = QueryState::kRunning;
		query.run_since = shadow_.now;
		shadow_.queues[query.queue].returned--;
		shadow_.queues[query.queue].running++;
		if (shadow_.InNormalLane(query) && !shadow_.SlotFree(query))
			shadow_.queues[query.queue].forced++;
		shadow_.TakeSlots(handle, true);
	}

	void Reserve(QueryHandle handle)
	{
		const ShadowQuery &query = shadow_.At(handle);
		const double reserved = static_cast<double>(query.reserved_kb);
		const int64_t memory_kb = static_cast<int64_t>(Chance(0.95) ? reserved - Skewed(reserved) : Skewed(2 * reserved + 1000));
		policy_->Reserve(handle, memory_kb, caller_ms_);
		if (query.state == QueryState::kRunning || query.state == QueryState::kReturned)
			shadow_.AddReserved(handle, memory_kb - query.reserved_kb);
	}

	void Grow(QueryHandle handle)
	{
		const double budget = static_cast<double>(policy_->config().budget_kb);
		const int64_t wanted_kb = static_cast<int64_t>(Skewed(budget)) - (Chance(0.02) ? 2 : 0);
		const double some_kb = Skewed(static_cast<double>(std::max<int64_t>(0, wanted_kb)));
		const int64_t least_kb = Chance(0.3) ? wanted_kb : static_cast<int64_t>(some_kb);
		const int64_t got_kb = policy_->Grow(handle, wanted_kb, least_kb, caller_ms_);
		shadow_.Grown(handle, wanted_kb, least_kb, got_kb);
	}

	/* Mostly there is none, else it is hard to get anywhere else. */
	void Press()
	{
		const double budget = static_cast<double>(policy_->config().budget_kb);
		const auto pressure = static_cast<Pressure>(Chance(0.5) ? 0 : 1 + Below(2));
		const int64_t unavailable_kb = Chance(0.6) ? 0 : static_cast<int64_t>(Skewed(1.2 * budget));
		policy_->SetPressure(pressure, unavailable_kb, caller_ms_);
		shadow_.pressure = pressure;
		shadow_.unavailable_kb = unavailable_kb;
	}

	void Tick()
	{
		ticked_ = true;
		out_of_order_ = 0;
		for (const ShadowQuery &query : shadow_.queries) {
			if (query.state == QueryState::kQueued && shadow_.Waited(query) + 0.01 >= shadow_.config.max_wait_ms)
				out_of_order_++;
		}
		double saturation = std::uniform_real_distribution<double>(0, 1.4)(random_);
		if (Chance(0.1))
			saturation = Chance(0.5) ? -1 : std::numeric_limits<double>::quiet_NaN();
		policy_->Tick(caller_ms_, Saturation::Cpu(saturation));
		const int64_t let_in = shadow_.LetIn();
		coverage_.let_in += static_cast<uint64_t>(let_in);
		out_of_order_ += let_in;
		shadow_.Evict();
		shadow_.PoolMoved(saturation);
	}

	void ChangePriority(QueryHandle handle)
	{
		const auto priority = static_cast<Priority>(Chance(0.02) ? 6 : Chance(0.05) ? 5 : Below(5));
		const bool done = policy_->ChangePriority(handle, priority, caller_ms_);
		const ShadowQuery &query = shadow_.At(handle);
		if (done != (query.state != QueryState::kFree && priority < Priority::kNumPriorities))
			shadow_.Complain("a change of priority had another outcome than was due");
		if (!done)
			return;
		coverage_.moved++;
		shadow_.Moved(handle, query.queue, priority);
	}

	void Move(QueryHandle handle)
	{
		const int32_t queue = static_cast<int32_t>(Below(8)) - 1;
		const MoveOutcome outcome = policy_->Move(handle, queue, caller_ms_);
		const ShadowQuery &query = shadow_.At(handle);
		const bool known = queue >= 0 && queue < shadow_.config.num_queues && shadow_.config.queues[queue].in_use;
		if ((outcome != MoveOutcome::kNone) != (query.state != QueryState::kFree && known))
			shadow_.Complain("a move had another outcome than was due");
		if (outcome == MoveOutcome::kNone)
			return;
		const int32_t most = shadow_.config.queues[queue].max_queue_length;
		const bool full = query.state == QueryState::kQueued && query.queue != queue && most >= 0 && shadow_.queues[queue].queued >= most;
		const bool there = shadow_.queues[queue].queued == 0;   /* it might start at once */
		if (outcome == MoveOutcome::kQueueFull ? !full : full && !there)
			shadow_.Complain("moved to a full queue, or not moved to one that is not");
		if (outcome == MoveOutcome::kQueueFull) {
			coverage_.move_refused++;
			return;
		}
		coverage_.moved++;
		shadow_.Moved(handle, queue, query.priority);
	}

	/* Unknown, or some part of what is reserved, or more than it. */
	void Use()
	{
		const int64_t used_kb = Chance(0.2) ? -1 : static_cast<int64_t>(Skewed(1.2 * static_cast<double>(shadow_.reserved_kb())));
		policy_->SetUse(used_kb, caller_ms_);
		shadow_.used_kb = used_kb;
	}

	void Configure()
	{
		coverage_.configured++;
		PolicyConfig config = RandomConfig(crowd_);
		if (Chance(0.7)) {      /* the same queues with other limits, and no leap of the budget */
			config.num_queues = shadow_.config.num_queues;
			for (int i = 0; i < kMaxQueues; i++) {
				const QueueLimits &old = shadow_.config.queues[i];
				std::snprintf(config.queues[i].name, sizeof(config.queues[i].name), "%s", old.name);
				config.queues[i].in_use = old.in_use;
			}
			config.budget_kb = static_cast<int64_t>(static_cast<double>(shadow_.config.budget_kb) * (0.7 + Skewed(3)));
		}
		policy_->Configure(config, caller_ms_);
		shadow_.Configured();
	}

	void Nonsense()
	{
		const QueryHandle handle = Chance(0.5) ? max_queries_ + static_cast<QueryHandle>(Below(100)) : -1;
		const double time = Chance(0.5) ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
		policy_->Finish(handle, time);
		policy_->Cancel(handle, -time);
		policy_->Pause(handle, time);
		policy_->ObserveEnd({.time_ms = time, .queue_ms = 0, .lane = Lane::kNormal, .evicted = false});
		policy_->SetRestartable(handle, true);
		if (policy_->GiveWay(handle, time) != Preemption::kRefused)
			shadow_.Complain("nobody gave way");
		policy_->ObserveEnd({.time_ms = -5, .queue_ms = 0, .lane = Lane::kNormal, .evicted = false});
	}

	/* After an event: who was admitted by it? Then compare. `late`: the owners look only after the next event. */
	void Settle(bool late)
	{
		if (late) {
			for (QueryHandle handle = 0; handle < max_queries_; handle++) {
				ShadowQuery &query = shadow_.At(handle);
				if (query.state == QueryState::kQueued && policy_->View(handle).state == QueryState::kRunning) {
					shadow_.Run(handle, false, false);
					query.untaken = true;
				}
			}
		} else {
			for (QueryHandle handle = policy_->TakeAdmitted(); handle != kNoQuery; handle = policy_->TakeAdmitted()) {
				ShadowQuery &query = shadow_.At(handle);
				if (query.untaken) {
					query.untaken = false;
					continue;
				}
				if (query.state != QueryState::kQueued) {
					shadow_.Complain("admitted twice, or without having waited");
					break;
				}
				const bool in_order = out_of_order_ == 0;
				out_of_order_ -= in_order ? 0 : 1;
				coverage_.forced += in_order ? 0 : 1;
				shadow_.Run(handle, in_order, !both_);
			}
			for (const ShadowQuery &query : shadow_.queries) {
				if (query.untaken)
					shadow_.Complain("an admission got lost");
			}
		}
		shadow_.CheckBooks();
		if (ticked_)
			shadow_.CheckWaits();
		for (int i = 0; i < shadow_.config.num_queues; i++)
			coverage_.paused += shadow_.Paused(i) && shadow_.queues[i].queued > 0 ? 1 : 0;
		coverage_.most_waiting = std::max<int64_t>(coverage_.most_waiting, policy_->num_queued());
		coverage_.over_budget += policy_->forced_kb() > 0 ? 1 : 0;
		ticked_ = false;
		both_ = false;
		out_of_order_ = 0;
	}

	/* Every wait ends: whatever the state, when the running ones leave, the others start; then all accounts are zero. */
	void Leave()
	{
		PolicyConfig config = shadow_.config;
		for (QueueLimits &limits : config.queues)
			limits.intake = Intake::kOpen;
		policy_->Configure(config, caller_ms_);
		shadow_.Configured();
		Settle(false);
		for (int round = 0; policy_->num_active() > 0 && shadow_.problem.empty(); round++) {
			if (round > max_queries_ + 100)
				shadow_.Complain("those who wait never start");
			caller_ms_ += 1;
			shadow_.now = std::max(shadow_.now, caller_ms_ + offset_ms_);
			for (QueryHandle handle = 0; handle < max_queries_ && shadow_.problem.empty(); handle++) {
				if (shadow_.At(handle).state == QueryState::kRunning || shadow_.At(handle).state == QueryState::kReturned) {
					Finish(handle);
					Settle(false);
				}
			}
		}
		for (int i = 0; i < policy_->config().num_queues; i++) {
			coverage_.evicted += policy_->Counters(i).num_evicted;
			if (policy_->Counters(i).slots_used != 0)
				shadow_.Complain("a slot was lost");
		}
		if (policy_->reserved_kb() != 0 || policy_->forced_kb() != 0)
			shadow_.Complain("memory was lost");
	}

	int32_t max_queries_;
	bool crowd_;
	Coverage &coverage_;
	std::vector<uint64_t> words_;
	Policy *policy_;
	Shadow shadow_;
	double caller_ms_ = 0;
	double offset_ms_ = 0;
	uint64_t sequence_ = 0;
	int64_t out_of_order_ = 0;  /* the first so many admissions of this event were forced */
	bool both_ = false;
	bool ticked_ = false;
};

}  // namespace wlm::test
