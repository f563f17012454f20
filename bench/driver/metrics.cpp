// See metrics.hpp.
#include "metrics.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace wlm::bench {

const char* LengthName(Length length) {
	switch (length) {
		case Length::kShort: return "short";
		case Length::kMedium: return "medium";
		case Length::kLong: return "long";
	}
	return "";
}

Length LengthOf(const Cost& cost) {
	return cost.wall_ms < kShortBelowMs ? Length::kShort : cost.wall_ms < kMediumBelowMs ? Length::kMedium : Length::kLong;
}

double Percentile(std::vector<double> values, double part) {
	if (values.empty())
		return 0.0;
	const double rank = std::ceil(part * static_cast<double>(values.size())) - 1.0;
	const size_t index = std::min(values.size() - 1, static_cast<size_t>(std::max(0.0, rank)));
	std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(index), values.end());
	return values[index];
}

namespace {

// Only queries that return rows have an answer: 0 stands for the others.
void CompareAnswers(const SystemRun& run, const SystemRun& baseline, Metrics& metrics) {
	std::unordered_map<uint64_t, uint64_t> answers;
	for (const Sample& sample : baseline.samples) {
		if (sample.error.empty() && sample.answer_hash != 0)
			answers.emplace(sample.text_hash, sample.answer_hash);
	}
	for (const Sample& sample : run.samples) {
		const auto answer = answers.find(sample.text_hash);
		if (!sample.error.empty() || sample.answer_hash == 0 || answer == answers.end())
			continue;
		++metrics.compared_answers;
		metrics.different_answers += answer->second == sample.answer_hash ? 0 : 1;
	}
}

LengthMetrics Summarise(const std::vector<double>& latencies) {
	LengthMetrics summary;
	summary.queries = latencies.size();
	summary.p50 = Percentile(latencies, 0.50);
	summary.p95 = Percentile(latencies, 0.95);
	summary.p99 = Percentile(latencies, 0.99);
	for (const double latency : latencies)
		summary.mean += latency / static_cast<double>(latencies.size());
	return summary;
}

}  // namespace

Metrics ComputeMetrics(const SystemRun& run, const SystemRun& baseline, const Costs& costs) {
	Metrics metrics;
	std::array<std::vector<double>, kLengths> latencies;
	std::vector<double> queues;
	for (const Sample& sample : run.samples) {
		metrics.makespan = std::max(metrics.makespan, sample.finished);
		if (!sample.error.empty()) {
			++metrics.errors;
			continue;
		}
		++metrics.queries;
		latencies[static_cast<size_t>(LengthOf(costs.at(sample.query_template)))].push_back(sample.Latency());
		queues.push_back(sample.Queue());
		metrics.queue_total += sample.Queue();
		metrics.never_waited += sample.Queue() < kNoticedWaitSeconds ? 1.0 : 0.0;
		metrics.execution_total += sample.Execution();
		if (sample.temp_bytes > 0.0) {
			++metrics.spilled;
			metrics.spilled_time += sample.Execution();
		}
		TemplateMetrics& of_template = metrics.templates[sample.query_template];
		++of_template.queries;
		of_template.latency += sample.Latency();
		of_template.execution += sample.Execution();
		of_template.temp_bytes += sample.temp_bytes;
	}
	for (auto& [name, of_template] : metrics.templates) {
		of_template.latency /= static_cast<double>(of_template.queries);
		of_template.execution /= static_cast<double>(of_template.queries);
	}
	for (size_t length = 0; length < kLengths; ++length)
		metrics.lengths[length] = Summarise(latencies[length]);
	metrics.throughput = metrics.makespan > 0.0 ? static_cast<double>(metrics.queries) / metrics.makespan : 0.0;
	if (metrics.queries > 0) {
		metrics.never_waited /= static_cast<double>(metrics.queries);
		metrics.queue_mean = metrics.queue_total / static_cast<double>(metrics.queries);
	}
	metrics.queue_p50 = Percentile(queues, 0.50);
	metrics.queue_p90 = Percentile(queues, 0.90);
	metrics.queue_p95 = Percentile(queues, 0.95);
	metrics.cpu_server = run.Number("cpu_server");
	metrics.cpu_others = run.Number("cpu_others");
	const double capacity = run.Number("cores") * metrics.makespan;
	metrics.others_share = capacity > 0.0 ? metrics.cpu_others / capacity : 0.0;
	metrics.crashes = run.Number("crashes");
	metrics.temp_bytes = run.Number("temp_bytes");
	metrics.memory_peak = run.Number("memory_peak");
	metrics.memory_mean = run.Number("memory_mean");
	metrics.memory_after = run.Number("memory_after");
	metrics.memory_idle = run.Number("memory_idle");
	metrics.cgroup_peak = run.Number("cgroup_anonymous_peak");
	metrics.cgroup_after = run.Number("cgroup_anonymous_after");
	CompareAnswers(run, baseline, metrics);
	return metrics;
}

}  // namespace wlm::bench
