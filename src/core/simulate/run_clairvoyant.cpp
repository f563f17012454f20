/*
 * run_clairvoyant.cpp
 *
 * Shortest remaining work first, with the true work: no more queries at a time
 * than have a processor each, so that none slows another. A query that is
 * shorter than what is left of a running one takes its place if that may be
 * suspended. Where memory is limited the next shortest that fits goes first;
 * a query larger than the machine runs alone.
 */
#include <algorithm>

#include "core/simulate/run.hpp"

namespace wlm::simulate {

namespace {

constexpr int kMaxAside = 64;   /* queries that do not fit and are looked over: bounds the cost of an event */

class Clairvoyant {
  public:
	Clairvoyant(Run &run, bool suspends) noexcept
		: run_(run), suspends_(suspends), most_(static_cast<int32_t>(std::clamp(run.config.processors, 1.0, 1e9)))
	{
	}

	void Wait(int32_t query, double remaining_ms) noexcept
	{
		run_.arrays.keys[query] = remaining_ms;
		run_.waiting.Push(query);
	}

	/* Starts whoever should run now. */
	void Fill() noexcept
	{
		int32_t aside[kMaxAside];
		int num_aside = 0;
		while (!run_.waiting.empty() && num_aside < kMaxAside) {
			const int32_t query = run_.waiting.top();
			const double remaining = run_.waiting.top_key();
			run_.waiting.Pop();
			if (MakeRoom(query, remaining)) {
				run_.Begin(query, remaining);
				continue;
			}
			aside[num_aside++] = query;     /* keeps its key */
			if (!suspends_ ? run_.machine.num_running() >= most_ : run_.config.memory_kb <= 0)
				break;
		}
		for (int i = 0; i < num_aside; i++)
			run_.waiting.Push(aside[i]);
	}

  private:
	bool Fits(int32_t running, int64_t used_kb, int32_t query) const noexcept
	{
		const int64_t wanted = run_.query(query).memory_kb;
		return running < most_ && (run_.config.memory_kb <= 0 || wanted == 0 || used_kb == 0 || used_kb + wanted <= run_.config.memory_kb);
	}

	/* The running one with most left; kNoQuery if none has more than this. */
	int32_t Longest(double over_ms) const noexcept
	{
		int32_t longest = kNoQuery;
		for (int32_t i = 0; i < run_.machine.num_running(); i++) {
			const int32_t other = run_.machine.running(i);
			const double remaining = run_.machine.RemainingMs(other);
			if (remaining > over_ms) {
				longest = other;
				over_ms = remaining;
			}
		}
		return longest;
	}

	/* Suspends longer ones, the longest first, if that makes room. */
	bool MakeRoom(int32_t query, double remaining_ms) noexcept
	{
		if (Fits(run_.machine.num_running(), run_.machine.used_kb(), query))
			return true;
		if (!suspends_)
			return false;
		int32_t running = run_.machine.num_running();
		int64_t used_kb = run_.machine.used_kb();
		for (int32_t i = 0; i < run_.machine.num_running(); i++) {
			const int32_t other = run_.machine.running(i);
			if (run_.machine.RemainingMs(other) > remaining_ms) {
				running--;
				used_kb -= run_.query(other).memory_kb;
			}
		}
		if (!Fits(running, used_kb, query))
			return false;
		while (!Fits(run_.machine.num_running(), run_.machine.used_kb(), query)) {
			const int32_t victim = Longest(remaining_ms);
			const double left = run_.machine.Stop(victim);
			run_.BookExecution(victim);
			Wait(victim, left);
		}
		return true;
	}

	Run &run_;
	bool suspends_;
	int32_t most_;
};

}  // namespace

SimulationStatus RunClairvoyant(Run &run, bool suspends) noexcept
{
	Clairvoyant scheduler(run, suspends);

	for (;;) {
		const double arrival = run.NextArrivalMs();
		const double end = run.machine.NextEndMs();
		if (arrival == kForever && end == kForever)
			return SimulationStatus::kDone;
		if (end <= arrival)
			run.TakeEnd();
		else {
			const int32_t query = run.TakeArrival();
			scheduler.Wait(query, run.query(query).work_ms);
		}
		scheduler.Fill();
		if (run.Interrupted())
			return SimulationStatus::kInterrupted;
	}
}

}  // namespace wlm::simulate
