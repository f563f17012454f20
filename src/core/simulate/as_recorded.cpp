/*
 * as_recorded.cpp
 *
 * The recorded run as figures: one sweep over starts and ends for what ran
 * together, distributions by Describe().
 */
#include "core/simulate/as_recorded.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace wlm {

namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr Distribution kNothing = {kUnknown, kUnknown, kUnknown, kUnknown, kUnknown, kUnknown};
constexpr double kAtOnceMs = 1.0;               /* a shorter wait is none */

struct Recorded {
	std::span<const TraceQuery> trace;
	std::span<const double> execution_ms;

	/* Event e: start of query e / 2 if even, its end if odd. */
	double At(int64_t event) const noexcept
	{
		const auto query = static_cast<size_t>(event / 2);
		const double start = trace[query].arrival_ms + std::max(trace[query].recorded_queue_ms, 0.0);
		return event % 2 == 0 ? start : start + execution_ms[query];
	}
};

/* Memory and queries that run together, over time. */
void Sweep(const Recorded &recorded, int64_t memory_kb, std::span<int64_t> order, SimulationResult *result) noexcept
{
	const size_t count = recorded.trace.size() * 2;
	std::iota(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), int64_t{0});
	/* Ends before starts of the same moment: who follows does not run beside. But not before its own start. */
	std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), [&recorded](int64_t a, int64_t b) {
		const double at_a = recorded.At(a), at_b = recorded.At(b);
		if (at_a != at_b)
			return at_a < at_b;
		if (a / 2 == b / 2)
			return a < b;
		return a % 2 != b % 2 ? a % 2 > b % 2 : a < b;
	});

	int64_t held_kb = 0;
	int64_t running = 0;
	double before = count > 0 ? recorded.At(order[0]) : 0;
	double kb_ms = 0, running_ms = 0, over_ms = 0;
	for (size_t i = 0; i < count; i++) {
		const double now = recorded.At(order[i]);
		const int64_t sign = order[i] % 2 == 0 ? 1 : -1;

		kb_ms += static_cast<double>(held_kb) * (now - before);
		running_ms += static_cast<double>(running) * (now - before);
		if (memory_kb > 0 && held_kb > memory_kb)
			over_ms += now - before;
		held_kb += sign * recorded.trace[static_cast<size_t>(order[i] / 2)].memory_kb;
		running += sign;
		result->peak_memory_kb = std::max(result->peak_memory_kb, held_kb);
		before = now;
	}
	result->makespan_ms = before - (recorded.trace.empty() ? 0 : recorded.trace[0].arrival_ms);
	if (result->makespan_ms > 0) {
		result->mean_memory_kb = kb_ms / result->makespan_ms;
		result->mean_running = running_ms / result->makespan_ms;
		result->over_memory = over_ms / result->makespan_ms;
		result->throughput_per_s = static_cast<double>(recorded.trace.size()) / result->makespan_ms * 1000;
	}
}

}  // namespace

void SummarizeRecorded(std::span<const TraceQuery> trace, std::span<const double> execution_ms, double short_ms, int64_t memory_kb,
                       std::span<double> values, std::span<int64_t> order, SimulationResult *result) noexcept
{
	bool waits_known = !trace.empty();
	int64_t at_once = 0;
	double slowdown = 0, execution = 0;

	*result = SimulationResult{};
	result->num_queries = result->num_run = static_cast<int64_t>(trace.size());
	result->queue_ms = result->latency_ms = result->short_latency_ms = kNothing;
	result->never_waited = result->mean_slowdown = result->mean_execution_ms = kUnknown;
	for (size_t i = 0; i < trace.size(); i++) {
		waits_known = waits_known && trace[i].recorded_queue_ms >= 0;
		at_once += trace[i].recorded_queue_ms < kAtOnceMs;
		execution += execution_ms[i];
		slowdown += std::max(trace[i].recorded_queue_ms + execution_ms[i], 1.0) / std::max(trace[i].work_ms, 1.0);
		result->num_short += trace[i].work_ms < short_ms;
	}
	if (!waits_known)
		return;
	Sweep({trace, execution_ms}, memory_kb, order, result);

	const double count = static_cast<double>(trace.size());
	result->never_waited = static_cast<double>(at_once) / count;
	result->mean_slowdown = slowdown / count;
	result->mean_execution_ms = execution / count;

	const auto describe = [&](auto wanted, auto value) noexcept {
		size_t num_values = 0;
		for (size_t i = 0; i < trace.size(); i++) {
			if (wanted(i))
				values[num_values++] = value(i);
		}
		return num_values == 0 ? kNothing : Describe(values.first(num_values));
	};
	const auto all = [](size_t) { return true; };
	const auto latency = [&](size_t i) { return trace[i].recorded_queue_ms + execution_ms[i]; };
	result->queue_ms = describe(all, [&](size_t i) { return trace[i].recorded_queue_ms; });
	result->latency_ms = describe(all, latency);
	result->short_latency_ms = describe([&](size_t i) { return trace[i].work_ms < short_ms; }, latency);
}

}  // namespace wlm
