/*
 * recorded.cpp
 *
 * From what was recorded to what is simulated, and from outcomes to numbers.
 */
#include <algorithm>
#include <cmath>

#include "core/simulate/simulate.hpp"

namespace wlm {

/* A sweep over starts (2i) and ends (2i + 1). work[i] is the virtual time of the start until the end is reached. */
void WorkFromRecorded(std::span<const RecordedRun> runs, double processors, std::span<double> work, std::span<int64_t> order) noexcept
{
	const auto time_of = [&](int64_t event) {
		const RecordedRun &run = runs[static_cast<size_t>(event / 2)];
		return event % 2 == 0 ? run.start_ms : run.start_ms + run.time_ms;
	};
	/* A run without duration must begin before it ends; else ends go first, which changes no integral. */
	const auto before = [&](int64_t a, int64_t b) {
		const double time_a = time_of(a), time_b = time_of(b);
		return time_a != time_b ? time_a < time_b : a < b;
	};

	order = order.first(2 * runs.size());
	for (size_t i = 0; i < order.size(); i++)
		order[i] = static_cast<int64_t>(i);
	std::sort(order.begin(), order.end(), before);

	double now = order.empty() ? 0 : time_of(order[0]);
	double virtual_ms = 0;
	int64_t running = 0;
	for (const int64_t event : order) {
		const double time = time_of(event);
		if (running > 0)
			virtual_ms += (time - now) * std::min(1.0, processors / static_cast<double>(running));
		else
			virtual_ms = 0;
		now = time;
		double &mine = work[static_cast<size_t>(event / 2)];
		if (event % 2 == 0) {
			mine = virtual_ms;
			running++;
		} else {
			mine = virtual_ms - mine;
			running--;
		}
	}
}

double LoadOf(std::span<const TraceQuery> trace, double processors) noexcept
{
	double work = 0;
	for (const TraceQuery &query : trace)
		work += query.work_ms;
	const double span = trace.empty() ? 0 : trace.back().arrival_ms - trace.front().arrival_ms;
	return span > 0 && processors > 0 ? work / (processors * span) : 0;
}

double ScaleToLoad(std::span<TraceQuery> trace, double processors, double load) noexcept
{
	const double now = LoadOf(trace, processors);
	if (!(now > 0) || !(load > 0))
		return 0;
	const double factor = load / now;
	for (TraceQuery &query : trace) {
		query.work_ms *= factor;
		query.predicted_ms *= factor;
		query.predicted_upper_ms *= factor;
	}
	return factor;
}

Distribution Describe(std::span<double> values) noexcept
{
	if (values.empty())
		return Distribution{};
	std::sort(values.begin(), values.end());
	const double count = static_cast<double>(values.size());
	double sum = 0;
	for (const double value : values)
		sum += value;
	const auto quantile = [&](double part) {
		const double rank = std::ceil(part * count - 1e-9);
		return values[static_cast<size_t>(std::clamp(rank, 1.0, count)) - 1];
	};
	return Distribution{sum / count, quantile(0.5), quantile(0.9), quantile(0.95), quantile(0.99), values.back()};
}

}  // namespace wlm
