/*
 * outcomes.cpp
 *
 * What queries waited and ran, as figures: of all, or of those of one queue.
 */
#include <algorithm>

#include "core/simulate/simulate.hpp"

namespace wlm {

void DescribeOutcomes(std::span<const TraceQuery> trace, int32_t queue, std::span<const double> queue_ms,
                      std::span<const double> execution_ms, double short_ms, std::span<double> scratch, SimulationResult *result) noexcept
{
	double execution = 0;
	double slowdown = 0;
	int64_t never_waited = 0;
	size_t num = 0;
	size_t num_short = 0;

	const auto ran = [&](size_t i) noexcept { return (queue < 0 || trace[i].queue == queue) && execution_ms[i] >= 0; };
	*result = SimulationResult{};
	/* Three times over the queries: there is one array of scratch. */
	for (size_t i = 0; i < trace.size(); i++) {
		result->num_queries += queue < 0 || trace[i].queue == queue;
		if (!ran(i))
			continue;
		const double latency = queue_ms[i] + execution_ms[i];
		const double stretch = std::max(1.0, latency) / std::max(1.0, trace[i].work_ms);
		execution += execution_ms[i];
		slowdown += stretch;
		result->max_slowdown = std::max(result->max_slowdown, stretch);
		never_waited += queue_ms[i] < 1 ? 1 : 0;
		scratch[num++] = latency;
	}
	result->num_run = static_cast<int64_t>(num);
	result->latency_ms = Describe(scratch.first(num));
	if (num > 0) {
		result->never_waited = static_cast<double>(never_waited) / static_cast<double>(num);
		result->mean_execution_ms = execution / static_cast<double>(num);
		result->mean_slowdown = slowdown / static_cast<double>(num);
	}
	num = 0;
	for (size_t i = 0; i < trace.size(); i++) {
		if (ran(i))
			scratch[num++] = queue_ms[i];
	}
	result->queue_ms = Describe(scratch.first(num));
	for (size_t i = 0; i < trace.size(); i++) {
		if (ran(i) && trace[i].work_ms < short_ms)
			scratch[num_short++] = queue_ms[i] + execution_ms[i];
	}
	result->num_short = static_cast<int64_t>(num_short);
	result->short_latency_ms = Describe(scratch.first(num_short));
}

}  // namespace wlm
