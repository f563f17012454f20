/*
 * simulate.cpp
 *
 * Checks, the caller's memory cut into arrays, and the outcome put into
 * numbers. The schedulers are in run_*.cpp.
 */
#include "core/simulate/simulate.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/simulate/run.hpp"

namespace wlm {

namespace {

using simulate::Arrays;
using simulate::Run;

constexpr size_t kBytesPerQuery = 5 * sizeof(double) + 5 * sizeof(int32_t);
constexpr int64_t kMaxQueries = std::numeric_limits<int32_t>::max() / 2;
/*
 * The Policy's second costs in proportion to the size of its table, so it begins with a small one
 * and the run is repeated with a larger if that gets full.
 */
constexpr int32_t kFirstTable = 1024;
constexpr int32_t kTableGrowth = 8;

size_t ArrayBytes(size_t num_queries) noexcept { return (num_queries * kBytesPerQuery + 7) / 8 * 8; }

Arrays Cut(std::byte *memory, size_t count) noexcept
{
	const auto doubles = [&] {
		double *const array = reinterpret_cast<double *>(memory);
		memory += count * sizeof(double);
		return array;
	};
	const auto integers = [&] {
		int32_t *const array = reinterpret_cast<int32_t *>(memory);
		memory += count * sizeof(int32_t);
		return array;
	};
	Arrays arrays;
	arrays.keys = doubles();
	arrays.queue_ms = doubles();
	arrays.execution_ms = doubles();
	arrays.since_ms = doubles();
	arrays.scratch = doubles();
	arrays.places = integers();
	arrays.running = integers();
	arrays.waiting = integers();
	arrays.handles = integers();
	arrays.queries = integers();
	return arrays;
}

bool NotNegative(double value) noexcept { return value >= 0 && std::isfinite(value); }

bool Sound(std::span<const TraceQuery> trace) noexcept
{
	double before = -std::numeric_limits<double>::max();
	for (const TraceQuery &query : trace) {
		if (!std::isfinite(query.arrival_ms) || query.arrival_ms < before || !NotNegative(query.work_ms) || query.memory_kb < 0 ||
			query.predicted_kb < 0 || !NotNegative(query.predicted_ms) || !NotNegative(query.predicted_upper_ms))
			return false;
		before = query.arrival_ms;
	}
	return true;
}

bool Sound(const SimulationConfig &config) noexcept
{
	switch (config.scheduler) {
	case Scheduler::kFifo:
		if (config.fifo_slots < 1)
			return false;
		break;
	case Scheduler::kWlm:
		if (config.policy == nullptr)
			return false;
		break;
	case Scheduler::kUnlimited:
	case Scheduler::kClairvoyant:
	case Scheduler::kShortestFirst:
		break;
	default:
		return false;
	}
	return config.processors > 0 && std::isfinite(config.processors) && config.memory_kb >= 0;
}

/* The largest Policy that fits in so much memory. */
int32_t MostActive(size_t bytes, size_t num_queries) noexcept
{
	const size_t fixed = Policy::BytesNeeded(0);
	const size_t each = Policy::BytesNeeded(1) - fixed;
	return bytes < fixed ? 0 : static_cast<int32_t>(std::min(num_queries, (bytes - fixed) / each));
}

SimulationStatus RunAll(Run &run, std::span<std::byte> rest, SimulationResult *result) noexcept
{
	const SimulationConfig &config = run.config;
	switch (config.scheduler) {
	case Scheduler::kFifo:
		return simulate::RunInOrder(run, config.fifo_slots);
	case Scheduler::kUnlimited:
		return simulate::RunInOrder(run, std::max(1, run.num_queries()));
	case Scheduler::kClairvoyant:
		return simulate::RunClairvoyant(run, true);
	case Scheduler::kShortestFirst:
		return simulate::RunClairvoyant(run, false);
	default:
		break;
	}

	const int32_t most = MostActive(rest.size(), run.trace.size());
	for (int32_t active = std::min(kFirstTable, most);;) {
		Run attempt(run.trace, config, run.arrays);
		*result = SimulationResult{};
		const SimulationStatus status = simulate::RunPolicy(attempt, rest, active, result);
		if (status != SimulationStatus::kTooManyActive || active >= most) {
			run.machine = attempt.machine;
			return status;
		}
		active = most / kTableGrowth < active ? most : active * kTableGrowth;
	}
}

void Summarize(const Run &run, double short_ms, SimulationResult *result) noexcept
{
	const Arrays &arrays = run.arrays;
	const size_t count = run.trace.size();
	SimulationResult outcomes;
	DescribeOutcomes(run.trace, -1, {arrays.queue_ms, count}, {arrays.execution_ms, count}, short_ms, {arrays.scratch, count}, &outcomes);
	outcomes.num_forced = result->num_forced;
	outcomes.num_express = result->num_express;
	outcomes.num_evicted = result->num_evicted;
	outcomes.num_preempted = result->num_preempted;
	outcomes.num_rejected = result->num_rejected;
	outcomes.num_timeouts = result->num_timeouts;
	*result = outcomes;

	const simulate::Machine &machine = run.machine;
	const double span = count > 0 ? machine.now_ms() - run.trace[0].arrival_ms : 0;
	result->makespan_ms = span;
	result->peak_memory_kb = machine.peak_kb();
	if (span > 0) {
		result->throughput_per_s = 1000 * static_cast<double>(result->num_run) / span;
		result->mean_memory_kb = machine.memory_integral() / span;
		result->over_memory = machine.over_memory_ms() / span;
		result->mean_running = machine.running_integral() / span;
	}
}

}  // namespace

size_t SimulationBytes(int64_t num_queries, int32_t max_active) noexcept
{
	const int64_t count = std::clamp<int64_t>(num_queries, 0, kMaxQueries);
	const int64_t active = max_active > 0 ? std::min<int64_t>(max_active, count) : count;
	return ArrayBytes(static_cast<size_t>(count)) + Policy::BytesNeeded(static_cast<int32_t>(active));
}

SimulationStatus Simulate(std::span<const TraceQuery> trace, const SimulationConfig &config, std::span<std::byte> memory,
                          std::span<double> outcome_queue_ms, std::span<double> outcome_execution_ms, SimulationResult *result) noexcept
{
	*result = SimulationResult{};
	if (!Sound(config))
		return SimulationStatus::kBadConfig;
	if (static_cast<int64_t>(trace.size()) > kMaxQueries || !Sound(trace))
		return SimulationStatus::kBadTrace;
	const size_t array_bytes = ArrayBytes(trace.size());
	if (memory.size() < array_bytes || reinterpret_cast<uintptr_t>(memory.data()) % 8 != 0)
		return SimulationStatus::kTooLittleMemory;

	const Arrays arrays = Cut(memory.data(), trace.size());
	Run run(trace, config, arrays);
	const SimulationStatus status = RunAll(run, memory.subspan(array_bytes), result);
	if (status != SimulationStatus::kDone)
		return status;
	Summarize(run, config.short_ms, result);
	if (outcome_queue_ms.size() == trace.size() && !trace.empty())
		std::memcpy(outcome_queue_ms.data(), arrays.queue_ms, trace.size() * sizeof(double));
	if (outcome_execution_ms.size() == trace.size() && !trace.empty())
		std::memcpy(outcome_execution_ms.data(), arrays.execution_ms, trace.size() * sizeof(double));
	return status;
}

}  // namespace wlm
