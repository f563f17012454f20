/*
 * main.cpp
 *
 *     bench_simulate TRACE [--processors N] [--loads L,...] [--fifo-slots N] [--slots N] [--express-floor MS]
 *                          [--max-wait S] [--max-standstill S] [--short MS] [--memory KB] [--now-or-later]
 *                          [--recorded-under-load]
 *     bench_simulate --made-up poisson|bursts [--seed N] [...]
 *
 * Prints a table of schedulers and metrics for each load. See README.md.
 */
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/simulate/predict_trace.hpp"
#include "core/simulate/read_trace.hpp"
#include "core/simulate/simulate.hpp"
#include "hindsight.hpp"
#include "made_up.hpp"

namespace {

struct Options {
	const char *trace = nullptr;
	const char *made_up = nullptr;
	uint64_t seed = 1;
	double processors = 8;
	std::vector<double> loads = {0.8, 0.9, 0.95};
	int fifo_slots = 5;
	int slots = 0;                  /* automatic */
	double express_floor_ms = 200;
	double max_wait_s = 1800;
	double max_standstill_s = 300;
	double short_ms = 0;            /* the shortest quarter */
	long long memory_kb = 0;
	bool now_or_later = false;
	bool recorded_under_load = false;
};

int Usage()
{
	std::fprintf(stderr, "usage: bench_simulate TRACE [--processors N] [--loads L,...] [--fifo-slots N] [--slots N] [--express-floor MS]\n"
	                     "                      [--max-wait S] [--max-standstill S] [--short MS] [--memory KB] [--now-or-later]\n"
	                     "                      [--recorded-under-load]\n"
	                     "       bench_simulate --made-up poisson|bursts [--seed N] [...]\n");
	return 2;
}

bool ParseOptions(int argc, char **argv, Options *options)
{
	for (int i = 1; i < argc; i++) {
		const std::string name = argv[i];
		if (name.rfind("--", 0) != 0) {
			if (options->trace != nullptr)
				return false;
			options->trace = argv[i];
			continue;
		}
		if (name == "--now-or-later") {
			options->now_or_later = true;
			continue;
		}
		if (name == "--recorded-under-load") {
			options->recorded_under_load = true;
			continue;
		}
		if (++i == argc)
			return false;
		const char *const value = argv[i];
		if (name == "--processors")
			options->processors = std::atof(value);
		else if (name == "--fifo-slots")
			options->fifo_slots = std::atoi(value);
		else if (name == "--slots")
			options->slots = std::atoi(value);
		else if (name == "--express-floor")
			options->express_floor_ms = std::atof(value);
		else if (name == "--max-wait")
			options->max_wait_s = std::atof(value);
		else if (name == "--max-standstill")
			options->max_standstill_s = std::atof(value);
		else if (name == "--short")
			options->short_ms = std::atof(value);
		else if (name == "--memory")
			options->memory_kb = std::atoll(value);
		else if (name == "--seed")
			options->seed = std::strtoull(value, nullptr, 10);
		else if (name == "--made-up") {
			if (std::strcmp(value, "poisson") != 0 && std::strcmp(value, "bursts") != 0)
				return false;
			options->made_up = value;
		} else if (name == "--loads") {
			options->loads.clear();
			for (const char *at = value; *at != '\0'; at += *at == ',') {
				char *end;
				options->loads.push_back(std::strtod(at, &end));
				if (end == at || !(options->loads.back() > 0) || (*end != '\0' && *end != ','))
					return false;
				at = end;
			}
		} else
			return false;
	}
	return (options->trace != nullptr) != (options->made_up != nullptr) && options->processors > 0 && options->fifo_slots > 0 &&
		!options->loads.empty();
}

std::vector<wlm::TraceQuery> Load(const Options &options)
{
	if (options.made_up != nullptr)
		return wlm::bench::MakeUp(std::strcmp(options.made_up, "bursts") == 0, options.seed);
	std::ifstream file(options.trace, std::ios::binary);
	if (!file) {
		std::fprintf(stderr, "cannot read %s\n", options.trace);
		std::exit(1);
	}
	const std::string text{std::istreambuf_iterator<char>(file), {}};
	std::vector<wlm::RecordedQuery> rows(wlm::CountTraceRows(text));
	wlm::TraceError error;
	const int64_t count = wlm::ReadTrace(text, rows, &error);
	if (count < 0) {
		std::fprintf(stderr, "%s:%lld: %s\n", options.trace, static_cast<long long>(error.line), error.message);
		std::exit(1);
	}
	rows.resize(static_cast<size_t>(count));

	std::vector<wlm::TraceQuery> trace;
	for (const wlm::RecordedQuery &row : rows)
		trace.push_back(wlm::QueryFromRecorded(row, 0));
	if (options.recorded_under_load) {
		std::vector<wlm::RecordedRun> runs;
		for (const wlm::RecordedQuery &row : rows)
			runs.push_back({row.arrival_ms + std::max(0.0, wlm::RecordedQueueMs(row)), row.duration_ms});
		std::vector<double> work(runs.size());
		std::vector<int64_t> order(2 * runs.size());
		wlm::WorkFromRecorded(runs, options.processors, work, order);
		for (size_t i = 0; i < work.size(); i++)
			trace[i].work_ms = work[i];
	}
	return trace;
}

/* With ends as if every query had run alone: how good simple predictions can be here. Those of a simulation come later and are worse. */
void PrintPredictions(const std::vector<wlm::TraceQuery> &trace)
{
	std::vector<wlm::Observed> seen;
	for (const wlm::TraceQuery &query : trace)
		seen.push_back({query.arrival_ms, query.arrival_ms + query.work_ms, query.work_ms, query.keys});
	std::vector<uint64_t> words(wlm::PredictTraceBytes(static_cast<int64_t>(trace.size())) / 8 + 1);
	std::vector<wlm::Predicted> predicted(trace.size());
	wlm::PredictTrace(seen, wlm::kUpperTimeQuantile, std::as_writable_bytes(std::span(words)), predicted);

	std::vector<double> errors;
	double covered = 0;
	for (size_t i = 0; i < trace.size(); i++) {
		wlm::Predicted time = predicted[i];
		if (trace[i].predicted_ms > 0)
			time = {trace[i].predicted_ms, trace[i].predicted_upper_ms};
		if (!(time.median > 0))
			continue;
		const double work = std::max(1.0, trace[i].work_ms);
		errors.push_back(std::max(time.median / work, work / time.median));
		covered += trace[i].work_ms <= time.upper ? 1 : 0;
	}
	const double known = static_cast<double>(errors.size());
	const wlm::Distribution q_error = wlm::Describe(errors);
	std::printf("%zu queries. Predictions, if each ran alone: for %.1f %%, q-error P50 %.2f, P90 %.2f; "
	            "%.1f %% are at most their upper value.\n\n", trace.size(),
		100 * known / static_cast<double>(trace.size()), q_error.p50, q_error.p90, known > 0 ? 100 * covered / known : 0);
}

/* Where predictions come from: the past of the simulation, and, to see what they cost, the whole trace (hindsight.hpp) or the truth. */
enum class Known { kPast, kMeans, kMinutes, kTruth };

struct Line {
	const char *name;
	wlm::Scheduler scheduler;
	Known known = Known::kPast;
};

constexpr Line kLines[] = {
	{"FIFO", wlm::Scheduler::kFifo},
	{"unlimited", wlm::Scheduler::kUnlimited},
	{"pg_wlm", wlm::Scheduler::kWlm},
	{"pg_wlm, means in hindsight", wlm::Scheduler::kWlm, Known::kMeans},
	{"pg_wlm, five minutes in hindsight", wlm::Scheduler::kWlm, Known::kMinutes},
	{"pg_wlm, exact predictions", wlm::Scheduler::kWlm, Known::kTruth},
	{"shortest first", wlm::Scheduler::kShortestFirst},
	{"clairvoyant", wlm::Scheduler::kClairvoyant},
};

void Tell(Known known, std::vector<wlm::TraceQuery> *trace)
{
	if (known == Known::kTruth) {
		for (wlm::TraceQuery &query : *trace)
			query.predicted_ms = query.predicted_upper_ms = std::max(1.0, query.work_ms);
	} else if (known != Known::kPast)
		wlm::bench::TellInHindsight(known == Known::kMinutes, trace);
}

wlm::SimulationResult Simulate(const Options &options, std::vector<wlm::TraceQuery> trace, const Line &line, double short_ms)
{
	wlm::PolicyConfig policy{};
	policy.budget_kb = options.memory_kb > 0 ? options.memory_kb : int64_t{1} << 40;
	policy.max_wait_ms = 1000 * options.max_wait_s;
	policy.max_standstill_ms = 1000 * options.max_standstill_s;
	policy.express_floor_ms = options.express_floor_ms;
	policy.processors = std::max(1, static_cast<int>(options.processors));
	policy.tune_express = true;
	policy.now_or_later = options.now_or_later;
	policy.num_queues = 1;
	std::snprintf(policy.queues[0].name, sizeof(policy.queues[0].name), "default");
	policy.queues[0].priority = wlm::Priority::kNormal;
	policy.queues[0].max_slots = options.slots;
	policy.queues[0].max_slot_share = 1;
	policy.queues[0].max_memory_share = 1;
	policy.queues[0].max_queue_length = -1;
	policy.queues[0].in_use = true;

	wlm::SimulationConfig config{};
	config.scheduler = line.scheduler;
	config.fifo_slots = options.fifo_slots;
	config.processors = options.processors;
	config.memory_kb = options.memory_kb;
	config.short_ms = short_ms;
	config.policy = &policy;
	Tell(line.known, &trace);

	const int64_t count = static_cast<int64_t>(trace.size());
	std::vector<uint64_t> learned(wlm::TraceLearner::BytesNeeded(count) / 8 + 1);
	config.learner = wlm::TraceLearner::Init(std::as_writable_bytes(std::span(learned)), count);

	wlm::SimulationResult result;
	std::vector<uint64_t> words(wlm::SimulationBytes(count, 0) / 8 + 1);
	const wlm::SimulationStatus status = wlm::Simulate(trace, config, std::as_writable_bytes(std::span(words)), {}, {}, &result);
	if (status != wlm::SimulationStatus::kDone) {
		std::fprintf(stderr, "%s: the simulation ended with status %d\n", line.name, static_cast<int>(status));
		std::exit(1);
	}
	return result;
}

void PrintTable(const Options &options, const std::vector<wlm::TraceQuery> &recorded, double load)
{
	std::vector<wlm::TraceQuery> trace = recorded;
	const double factor = wlm::ScaleToLoad(trace, options.processors, load);
	std::vector<double> works;
	for (const wlm::TraceQuery &query : trace)
		works.push_back(query.work_ms);
	const wlm::Distribution work = wlm::Describe(works);
	const double short_ms = options.short_ms > 0 ? options.short_ms : works[works.size() / 4];

	std::printf("\n### Load %.2f of %g processors\n\nWork times %.4g: mean %.2f s, P50 %.2f s, P95 %.2f s; "
	            "short: under %.2f s. Times in seconds.\n", load,
		options.processors, factor, work.mean / 1e3, work.p50 / 1e3, work.p95 / 1e3, short_ms / 1e3);
	PrintPredictions(trace);
	std::printf("| scheduler | queue mean | P50 | P90 | P99 | max | never waited | latency mean | P50 | P95 | short P95 | slowdown mean | "
	            "max | running | forced |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
	for (const Line &line : kLines) {
		const wlm::SimulationResult r = Simulate(options, trace, line, short_ms);
		const bool fifo = line.scheduler == wlm::Scheduler::kFifo;
		const std::string name = fifo ? "FIFO, " + std::to_string(options.fifo_slots) + " slots" : line.name;
		std::printf("| %s | %.2f | %.2f | %.2f | %.1f | %.1f | %.1f %% | %.2f | %.2f | %.2f | %.2f | "
		            "%.2f | %.0f | %.2f | %lld |\n", name.c_str(),
			r.queue_ms.mean / 1e3, r.queue_ms.p50 / 1e3, r.queue_ms.p90 / 1e3, r.queue_ms.p99 / 1e3, r.queue_ms.max / 1e3,
			100 * r.never_waited, r.latency_ms.mean / 1e3, r.latency_ms.p50 / 1e3, r.latency_ms.p95 / 1e3, r.short_latency_ms.p95 / 1e3,
			r.mean_slowdown, r.max_slowdown, r.mean_running, static_cast<long long>(r.num_forced));
	}
}

}  // namespace

int main(int argc, char **argv)
{
	Options options;
	if (!ParseOptions(argc, argv, &options))
		return Usage();
	const std::vector<wlm::TraceQuery> trace = Load(options);
	if (trace.empty()) {
		std::fprintf(stderr, "%s has no queries\n", options.trace);
		return 1;
	}
	const auto start = std::chrono::steady_clock::now();
	for (const double load : options.loads)
		PrintTable(options, trace, load);
	const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
	const double simulated = static_cast<double>(trace.size() * options.loads.size() * std::size(kLines));
	std::printf("\n%.0f simulated queries a minute\n", 60 * simulated / seconds);
	return 0;
}
