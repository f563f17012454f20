/*
 * run_policy.cpp
 *
 * The server's state machine over a trace: what backends and the worker tell
 * it there, it is told here. The worker's second is a virtual one; its reading
 * of the processors is that of pg/machine/machine_load.cpp, processors busy in the
 * last second and who stands in line at its end by twice the processors, smoothed.
 * What queries hold of memory is known to it, and how they slow each other (now or
 * later) as if it had learned that: each over the processors takes its share.
 * A backend that is asked to give way does so at once, and begins its work anew
 * when it starts again.
 */
#include <algorithm>
#include <cmath>

#include "core/hash.hpp"
#include "core/simulate/run.hpp"

namespace wlm::simulate {

namespace {

constexpr double kTickMs = 1000;
constexpr double kRunnablePerProcessor = 2.0;
constexpr double kSmoothing = 0.4;
constexpr double kRetryMs = 1.0;        /* a deadline that was too early */

class PolicyRun {
  public:
	PolicyRun(Run &run, Policy *policy, SimulationResult *result) noexcept
		: run_(run), policy_(policy), result_(result), next_tick_ms_(run.machine.now_ms() + kTickMs)
	{
		policy_->Tick(run.machine.now_ms(), Saturation::Cpu(0));
		policy_->SetInterference({.slope = static_cast<float>(1 / run.config.processors),
		                          .knee = static_cast<float>(std::max(0.0, run.config.processors - 1)),
		                          .known = true});
		if (run.config.learner != nullptr)
			run.config.learner->Forget();
	}

	SimulationStatus ToTheEnd() noexcept
	{
		for (;;) {
			const double arrival = run_.NextArrivalMs();
			const double end = run_.machine.NextEndMs();
			const double deadline = run_.waiting.empty() ? kForever : run_.waiting.top_key();
			/* Ticks while nobody is there change nothing. */
			const double tick = policy_->num_active() > 0 ? next_tick_ms_ : kForever;
			const double next = std::min(std::min(arrival, end), std::min(deadline, tick));
			if (next == kForever)
				return SimulationStatus::kDone;
			if (end == next)
				Finish();
			else if (arrival == next) {
				if (!Arrive())
					return SimulationStatus::kTooManyActive;
			} else if (deadline == next)
				Deadline(next);
			else
				Tick();
			StartAdmitted();
			AskVictims();
			if (run_.Interrupted())
				return SimulationStatus::kInterrupted;
		}
	}

  private:
	double now() const noexcept { return run_.machine.now_ms(); }
	int32_t &handle(int32_t query) noexcept { return run_.arrays.handles[query]; }

	void Finish() noexcept
	{
		const int32_t query = run_.TakeEnd();
		const QueryView view = policy_->View(handle(query));
		const double time_ms = now() - view.admitted_ms;    /* without what was thrown away */
		if (run_.config.learner != nullptr)
			run_.config.learner->Learn(run_.query(query).keys, time_ms, run_.arrays.scratch[query]);
		/* An evicted one began in the express lane. */
		policy_->ObserveEnd({.time_ms = time_ms,
		                     .queue_ms = run_.arrays.queue_ms[query],
		                     .lane = view.evicted ? Lane::kExpress : view.lane,
		                     .evicted = view.evicted});
		policy_->Finish(handle(query), now());
	}

	bool Arrive() noexcept
	{
		/* The worker's seconds go on while nobody is there. */
		if (policy_->num_active() == 0 && next_tick_ms_ <= run_.NextArrivalMs()) {
			const double skipped = std::floor((run_.NextArrivalMs() - next_tick_ms_) / kTickMs) + 1;
			next_tick_ms_ += skipped * kTickMs;
			saturation_ *= std::pow(1 - kSmoothing, skipped);
		}

		const int32_t i = run_.TakeArrival();
		const TraceQuery &query = run_.query(i);
		QueryRequest request{};
		request.queue = query.queue;
		request.priority = query.priority;
		request.may_wait = true;
		request.slots = query.slots;
		Predicted time{query.predicted_ms, query.predicted_upper_ms};
		if (run_.config.learner != nullptr && !(time.median > 0))
			time = run_.config.learner->Predict(query.keys, kUpperTimeQuantile);
		run_.arrays.scratch[i] = time.median;
		request.time_ms = time.median;
		request.time_upper_ms = time.upper;
		request.memory_kb = query.predicted_kb;
		const Decision decision = policy_->Arrive(request, now());
		if (decision.verdict == Verdict::kTableFull)
			return false;
		if (decision.verdict == Verdict::kQueueFull)
			return true;
		handle(i) = decision.handle;
		run_.arrays.queries[decision.handle] = i;
		policy_->SetRestartable(decision.handle, Restartable(i));
		if (decision.verdict == Verdict::kAdmitted) {
			result_->num_express += decision.lane == Lane::kExpress ? 1 : 0;
			run_.Begin(i, query.work_ms);
		} else
			Wait(i, decision.deadline_ms);
		return true;
	}

	void Wait(int32_t query, double deadline_ms) noexcept
	{
		run_.arrays.keys[query] = deadline_ms;
		run_.waiting.Push(query);
	}

	void StartWaiting(int32_t query) noexcept
	{
		run_.waiting.Remove(query);
		run_.Begin(query, run_.query(query).work_ms);
	}

	void StartAdmitted() noexcept
	{
		for (QueryHandle admitted = policy_->TakeAdmitted(); admitted != kNoQuery; admitted = policy_->TakeAdmitted())
			StartWaiting(run_.arrays.queries[admitted]);
	}

	bool Restartable(int32_t query) const noexcept
	{
		const uint64_t drawn = Combine(run_.config.seed, static_cast<uint64_t>(query));
		return static_cast<double>(drawn >> 11) * 0x1p-53 >= run_.config.not_restartable;
	}

	void AskVictims() noexcept
	{
		for (QueryHandle asked = policy_->TakeVictim(); asked != kNoQuery; asked = policy_->TakeVictim()) {
			const int32_t query = run_.arrays.queries[asked];
			const Preemption answer = policy_->GiveWay(asked, now());
			run_.machine.Stop(query);
			run_.BookExecution(query);
			if (answer == Preemption::kWaits)
				Wait(query, policy_->DeadlineMs(asked));
			else
				run_.Begin(query, run_.query(query).work_ms);
			StartAdmitted();
		}
	}

	void Deadline(double at_ms) noexcept
	{
		const int32_t query = run_.waiting.top();
		run_.machine.Advance(at_ms);
		switch (policy_->Deadline(handle(query), now())) {
		case DeadlineOutcome::kForced:
			StartWaiting(query);
			break;
		case DeadlineOutcome::kTimedOut:
			run_.waiting.Remove(query);
			run_.arrays.queue_ms[query] += now() - run_.arrays.since_ms[query];
			break;
		case DeadlineOutcome::kTooEarly:
			run_.waiting.Remove(query);
			Wait(query, std::max(policy_->DeadlineMs(handle(query)), now() + kRetryMs));
			break;
		}
	}

	void Tick() noexcept
	{
		run_.machine.Advance(next_tick_ms_);
		next_tick_ms_ += kTickMs;
		const double processors = run_.config.processors;
		const double busy = (run_.machine.busy_integral() - busy_before_) / kTickMs;
		const double in_line = std::max(0.0, run_.machine.num_running() - processors);
		const double reading = (std::min(busy, processors) + in_line) / (processors * kRunnablePerProcessor);
		busy_before_ = run_.machine.busy_integral();
		saturation_ += kSmoothing * (reading - saturation_);
		if (run_.machine.peak_kb() > 0)     /* else the trace does not say */
			policy_->SetUse(run_.machine.used_kb(), now());
		policy_->Tick(now(), Saturation::Cpu(saturation_));
	}

	simulate::Run &run_;
	Policy *policy_;
	SimulationResult *result_;
	double next_tick_ms_;
	double busy_before_ = 0;
	double saturation_ = 0;
};

}  // namespace

SimulationStatus RunPolicy(Run &run, std::span<std::byte> memory, int32_t max_active, SimulationResult *result) noexcept
{
	Policy *const policy = Policy::Init(memory, max_active, *run.config.policy);
	if (policy == nullptr)
		return SimulationStatus::kTooLittleMemory;
	PolicyRun policy_run(run, policy, result);
	const SimulationStatus status = policy_run.ToTheEnd();
	for (int32_t i = 0; i < policy->config().num_queues; i++) {
		const QueueCounters counters = policy->Counters(i);
		result->num_forced += static_cast<int64_t>(counters.num_forced);
		result->num_evicted += static_cast<int64_t>(counters.num_evicted);
		result->num_preempted += static_cast<int64_t>(counters.num_preempted);
		result->num_rejected += static_cast<int64_t>(counters.num_rejected);
		result->num_timeouts += static_cast<int64_t>(counters.num_timeouts);
	}
	return status;
}

}  // namespace wlm::simulate
