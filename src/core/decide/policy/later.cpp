/*
 * later.cpp
 *
 * Now or later: a query for which there is room starts later all the same if
 * beside those that run it would cost more than its wait (interference.hpp).
 * Those behind it are tried meanwhile. It is asked anew whenever something
 * happens, at least at every tick, and held back at most its own predicted time
 * or kMaxLaterMs after its turn came, nor once it was passed too often.
 *
 * Not held back: critical queries, those whose time is unknown or so short that
 * a tick is no bound for it, anyone while nothing runs whose end can be foreseen.
 */
#include "core/decide/policy/later.hpp"

#include <algorithm>
#include <cmath>

#include "core/decide/policy/room.hpp"

namespace wlm {

void Policy::SetInterference(const Interference &interference) noexcept
{
	interference_ = interference;
	if (!std::isfinite(interference.slope) || !std::isfinite(interference.knee) || interference.slope < 0 || interference.knee < 0)
		interference_ = Interference{};
}

void Policy::GatherBeside(Beside &beside) const noexcept
{
	beside.gathered = true;
	int32_t rest = num_active_ - num_queued_;
	for (QueryHandle handle = 0; handle < max_queries_ && rest > 0 && beside.count < policy::kMaxBeside; handle++) {
		const Entry &entry = entries()[handle];
		if (entry.state == QueryState::kFree || entry.state == QueryState::kQueued)
			continue;
		rest--;
		if (entry.state != QueryState::kRunning || entry.lane != Lane::kNormal || entry.time_ms <= 0)
			continue;
		const double ran_ms = static_cast<double>(entry.ran_ms) + clock_ms_ - entry.since_ms;
		RunningQuery &running = beside.running[beside.count++];
		running.remaining_ms = std::max(entry.time_ms - ran_ms, policy::kLeastRemaining * entry.time_ms);
		running.load = LoadOf(entry.load);
	}
}

/* What the model learns from: how much ran beside whom. Of a query that begins to run, in any lane; since_ms says when. */
void Policy::EnterMachine(Entry &entry) noexcept
{
	total_load_ += LoadOf(entry.load);
	entry.load_mark = load_integral_;
}

/* Before its state or since_ms changes. */
void Policy::LeaveMachine(Entry &entry) noexcept
{
	if (entry.state != QueryState::kRunning)
		return;
	entry.beside = static_cast<float>(BesideNow(entry));
	total_load_ -= LoadOf(entry.load);
}

/* Processors x milliseconds of the others, all its stretches together. */
double Policy::BesideNow(const Entry &entry) const noexcept
{
	if (entry.state != QueryState::kRunning)
		return static_cast<double>(entry.beside);
	const double others = load_integral_ - entry.load_mark - LoadOf(entry.load) * (clock_ms_ - entry.since_ms);
	return static_cast<double>(entry.beside) + std::max(0.0, others);
}

/* Of a queued query that fits. */
bool Policy::StartsLater(const Entry &entry, Beside &beside) const noexcept
{
	if (!config_.now_or_later || !interference_.known || beside.ignored || entry.priority == Priority::kCritical ||
		entry.time_ms < policy::kLeastLaterMs || entry.passed >= kMaxPassed)
		return false;
	if (entry.since_ms != policy::kNever && clock_ms_ - entry.since_ms >= std::min(entry.time_ms, policy::kMaxLaterMs))
		return false;
	if (!beside.gathered)
		GatherBeside(beside);
	if (beside.count == 0)
		return false;
	if (beside.num_weighed++ >= policy::kMaxLaterTries)
		return true;
	const std::span running(beside.running, static_cast<size_t>(beside.count));
	return CostOfStartingNow(interference_, entry.time_ms, LoadOf(entry.load), running) > 0;
}

}  // namespace wlm
