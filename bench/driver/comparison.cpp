// See comparison.hpp.
#include "comparison.hpp"

#include <algorithm>
#include <cmath>

#include "text.hpp"

namespace wlm::bench {

namespace {

// Differences below this are noise of one run on a busy machine, not losses.
constexpr double kLossRatio = 1.05;
constexpr double kTemplateLossRatio = 1.2;
constexpr double kTemplateLossSeconds = 0.005;
constexpr size_t kMaxTemplateLosses = 12;

void AddRow(Comparison& comparison, const std::string& key, const std::string& label, Unit unit, Better better, auto value) {
	Row row{key, label, unit, better, {}};
	for (const Metrics& metrics : comparison.metrics)
		row.values.push_back(static_cast<double>(value(metrics)));
	comparison.rows.push_back(std::move(row));
}

void AddRows(Comparison& c) {
	AddRow(c, "queries", "queries completed", Unit::kCount, Better::kHigher, [](const Metrics& m) { return m.queries; });
	AddRow(c, "errors", "queries failed", Unit::kCount, Better::kLower, [](const Metrics& m) { return m.errors; });
	AddRow(c, "crashes", "crashes of the server", Unit::kCount, Better::kLower, [](const Metrics& m) { return m.crashes; });
	AddRow(c, "throughput", "throughput", Unit::kPerSecond, Better::kHigher, [](const Metrics& m) { return m.throughput; });
	AddRow(c, "makespan_s", "makespan", Unit::kSeconds, Better::kLower, [](const Metrics& m) { return m.makespan; });
	for (size_t i = 0; i < kLengths; ++i) {
		const std::string name = LengthName(static_cast<Length>(i));
		const size_t count = c.metrics.front().lengths[i].queries;
		if (count == 0)
			continue;
		AddRow(c, name + "_p50_s", Text("%s queries (%zu), latency P50", name.c_str(), count), Unit::kMilliseconds, Better::kLower,
		       [i](const Metrics& m) { return m.lengths[i].p50; });
		AddRow(c, name + "_p95_s", "    P95", Unit::kMilliseconds, Better::kLower, [i](const Metrics& m) { return m.lengths[i].p95; });
		AddRow(c, name + "_p99_s", "    P99", Unit::kMilliseconds, Better::kLower, [i](const Metrics& m) { return m.lengths[i].p99; });
		AddRow(c, name + "_mean_s", "    mean", Unit::kMilliseconds, Better::kLower, [i](const Metrics& m) { return m.lengths[i].mean; });
	}
	AddRow(c, "queue_mean_s", "queue time mean", Unit::kMilliseconds, Better::kNeither, [](const Metrics& m) { return m.queue_mean; });
	AddRow(c, "queue_p50_s", "    P50", Unit::kMilliseconds, Better::kNeither, [](const Metrics& m) { return m.queue_p50; });
	AddRow(c, "queue_p90_s", "    P90", Unit::kMilliseconds, Better::kNeither, [](const Metrics& m) { return m.queue_p90; });
	AddRow(c, "queue_p95_s", "    P95", Unit::kMilliseconds, Better::kNeither, [](const Metrics& m) { return m.queue_p95; });
	AddRow(c, "queue_total_s", "    of all queries", Unit::kSeconds, Better::kNeither, [](const Metrics& m) { return m.queue_total; });
	AddRow(c, "never_waited", "queries that did not wait", Unit::kPart, Better::kNeither, [](const Metrics& m) { return m.never_waited; });
	AddRow(c, "execution_total_s", "execution time of all queries", Unit::kSeconds, Better::kLower,
	       [](const Metrics& m) { return m.execution_total; });
	AddRow(c, "cpu_server_s", "CPU time of the server", Unit::kSeconds, Better::kLower, [](const Metrics& m) { return m.cpu_server; });
	AddRow(c, "cpu_others_s", "    of other programs", Unit::kSeconds, Better::kNeither,
	       [](const Metrics& m) { return m.cpu_others; });
	AddRow(c, "temp_bytes", "temporary files", Unit::kBytes, Better::kLower, [](const Metrics& m) { return m.temp_bytes; });
	AddRow(c, "spilled_queries", "queries that spilled", Unit::kCount, Better::kLower, [](const Metrics& m) { return m.spilled; });
	AddRow(c, "spilled_time_s", "time in spilled queries", Unit::kSeconds, Better::kLower, [](const Metrics& m) { return m.spilled_time; });
	// More memory is the price, within the budget; the target judges it.
	AddRow(c, "memory_peak_bytes", "memory of all backends, peak", Unit::kBytes, Better::kNeither,
	       [](const Metrics& m) { return m.memory_peak; });
	AddRow(c, "memory_mean_bytes", "    mean", Unit::kBytes, Better::kNeither, [](const Metrics& m) { return m.memory_mean; });
	AddRow(c, "memory_idle_bytes", "    at the start", Unit::kBytes, Better::kNeither,
	       [](const Metrics& m) { return m.memory_idle; });
	AddRow(c, "memory_after_bytes", "    at the end, all sessions idle", Unit::kBytes, Better::kNeither,
	       [](const Metrics& m) { return m.memory_after; });
	if (std::any_of(c.metrics.begin(), c.metrics.end(), [](const Metrics& m) { return m.cgroup_peak > 0.0; }))
		AddRow(c, "cgroup_anonymous_peak_bytes", "    peak, shared pages counted once", Unit::kBytes, Better::kNeither,
		       [](const Metrics& m) { return m.cgroup_peak; });
	AddRow(c, "different_answers", "answers that differ", Unit::kCount, Better::kLower,
	       [](const Metrics& m) { return m.different_answers; });
}

Target RatioTarget(const std::string& what, double value, double base, double limit, Unit unit) {
	Target target{what, base > 0.0 ? value / base : (value > 0.0 ? HUGE_VAL : 0.0), limit, "", false};
	target.is_met = target.value <= limit;
	target.text = Text("%s against %s: %.2fx, at most %.2fx", FormatValue(value, unit).c_str(), FormatValue(base, unit).c_str(),
	                   target.value, limit);
	return target;
}

// Against a queue of connections, as a pooler in front of the server makes it.
void AddQueueTargets(Comparison& comparison) {
	const Metrics& base = comparison.metrics.front();
	const Metrics& last = comparison.metrics.back();
	const size_t shorts = static_cast<size_t>(Length::kShort);
	const auto best = std::min_element(comparison.metrics.begin(), comparison.metrics.end(), [=](const Metrics& a, const Metrics& b) {
		return a.lengths[shorts].p95 < b.lengths[shorts].p95;
	});
	const double gained = last.never_waited - base.never_waited;
	comparison.targets = {
		RatioTarget("mean queue time", last.queue_mean, base.queue_mean, 1.0 / 3.0, Unit::kMilliseconds),
		RatioTarget("P90 of queue time", last.queue_p90, base.queue_p90, 1.0 / 3.0, Unit::kMilliseconds),
		{"queries that did not wait", gained, 0.1,
		 Text("%.0f %% against %.0f %%, at least 10 points more", last.never_waited * 100.0, base.never_waited * 100.0), gained >= 0.1},
		RatioTarget("short queries' P95, against the best of all", last.lengths[shorts].p95, best->lengths[shorts].p95, 1.0,
		            Unit::kMilliseconds),
		RatioTarget("makespan", last.makespan, base.makespan, 1.1, Unit::kSeconds),
	};
}

void AddTargets(Comparison& comparison) {
	const Metrics& base = comparison.metrics.front();
	const Metrics& last = comparison.metrics.back();
	const size_t shorts = static_cast<size_t>(Length::kShort);
	comparison.targets = {
		RatioTarget("short queries' P95", last.lengths[shorts].p95, base.lengths[shorts].p95, 0.5, Unit::kMilliseconds),
		RatioTarget("temporary files", last.temp_bytes, base.temp_bytes, 0.5, Unit::kBytes),
		RatioTarget("makespan", last.makespan, base.makespan, 1.1, Unit::kSeconds),
	};
}

void AddCommonTargets(Comparison& comparison, double budget) {
	const Metrics& base = comparison.metrics.front();
	const Metrics& last = comparison.metrics.back();
	if (budget > 0.0)
		comparison.targets.push_back({"peak memory within the budget", last.JudgedMemory(), budget,
		                              Bytes(last.JudgedMemory()) + " of " + Bytes(budget), last.JudgedMemory() <= budget});
	comparison.targets.push_back({"same answers", static_cast<double>(last.different_answers), 0.0,
	                              Text("%zu of %zu compared differ", last.different_answers, last.compared_answers),
	                              last.different_answers == 0 && last.compared_answers > 0});
	comparison.targets.push_back({"no failed query", static_cast<double>(last.errors), static_cast<double>(base.errors),
	                              Text("%zu failed, %zu at first", last.errors, base.errors), last.errors <= base.errors});
}

void AddLosses(Comparison& comparison, const Costs& costs) {
	for (const Row& row : comparison.rows) {
		const double base = row.values.front();
		const double last = row.values.back();
		const bool is_lower = row.better == Better::kLower && last > base * kLossRatio;
		const bool is_higher = row.better == Better::kHigher && last * kLossRatio < base;
		if (is_lower || is_higher)
			comparison.losses.push_back(Text("%s: %s against %s", row.key.c_str(), FormatValue(last, row.unit).c_str(),
			                                 FormatValue(base, row.unit).c_str()));
	}

	struct Loss {
		double seconds;  // over all its runs
		std::string text;
	};
	std::vector<Loss> losses;
	const Metrics& base = comparison.metrics.front();
	for (const auto& [name, now] : comparison.metrics.back().templates) {
		const auto before = base.templates.find(name);
		if (before == base.templates.end())
			continue;
		const double difference = now.latency - before->second.latency;
		if (difference < kTemplateLossSeconds || now.latency < before->second.latency * kTemplateLossRatio)
			continue;
		losses.push_back({difference * static_cast<double>(now.queries),
		                  Text("%s (%s, %zu runs): mean latency %s against %s, execution alone %s against %s", name.c_str(),
		                       LengthName(LengthOf(costs.at(name))), now.queries, FormatValue(now.latency, Unit::kMilliseconds).c_str(),
		                       FormatValue(before->second.latency, Unit::kMilliseconds).c_str(),
		                       FormatValue(now.execution, Unit::kMilliseconds).c_str(),
		                       FormatValue(before->second.execution, Unit::kMilliseconds).c_str())});
	}
	std::sort(losses.begin(), losses.end(), [](const Loss& a, const Loss& b) { return a.seconds > b.seconds; });
	for (size_t i = 0; i < losses.size() && i < kMaxTemplateLosses; ++i)
		comparison.losses.push_back(losses[i].text);
	if (losses.size() > kMaxTemplateLosses)
		comparison.losses.push_back(Text("and %zu more templates", losses.size() - kMaxTemplateLosses));
}

}  // namespace

std::string FormatValue(double value, Unit unit) {
	switch (unit) {
		case Unit::kCount: return Text("%.0f", value);
		case Unit::kSeconds: return Text("%.1f s", value);
		case Unit::kMilliseconds: return value < 1.0 ? Text("%.*f ms", value < 0.1 ? 1 : 0, value * 1000.0) : Text("%.2f s", value);
		case Unit::kBytes: return Bytes(value);
		case Unit::kPart: return Text("%.1f %%", value * 100.0);
		case Unit::kPerSecond: return Text("%.2f /s", value);
	}
	return "";
}

Comparison CompareSystems(const std::vector<SystemRun>& runs, const Costs& costs, double budget) {
	Comparison comparison;
	for (const SystemRun& run : runs) {
		comparison.names.push_back(run.name);
		comparison.metrics.push_back(ComputeMetrics(run, runs.front(), costs));
	}
	AddRows(comparison);
	if (runs.size() > 1) {
		comparison.names.front().rfind("pool:", 0) == 0 ? AddQueueTargets(comparison) : AddTargets(comparison);
		AddCommonTargets(comparison, budget);
		AddLosses(comparison, costs);
	}
	return comparison;
}

}  // namespace wlm::bench
