// bench_driver pairs: is a template slower with one setting than with another? After some executions to learn from, each text runs with
// both sessions in turn, first one first and then the other, so that whatever else the machine does hits both alike.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "client_pool.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "options.hpp"
#include "server_facts.hpp"
#include "text.hpp"

namespace wlm::bench {

namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
	return std::chrono::duration<double>(Clock::now() - start).count();
}

// Quantiles of the normal distribution by bisection, and from them those of Student's t by Cornish and Fisher's expansion:
// good to 1 % from five degrees of freedom on.
double NormalQuantile(double part) {
	double low = -10.0;
	double high = 10.0;
	for (int step = 0; step < 60; ++step) {
		const double middle = 0.5 * (low + high);
		(0.5 * std::erfc(-middle / std::sqrt(2.0)) < part ? low : high) = middle;
	}
	return 0.5 * (low + high);
}

double StudentQuantile(double part, double freedom) {
	const double z = NormalQuantile(part);
	const double z3 = z * z * z;
	const double z5 = z3 * z * z;
	const double z7 = z5 * z * z;
	return z + (z3 + z) / (4.0 * freedom) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * freedom * freedom) +
	       (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * freedom * freedom * freedom);
}

struct Limits {
	double seconds = 4.0;  // for each template, when it has its least number of pairs
	int least = 6;
	int most = 40;
};

struct PairedTemplate {
	std::string name;
	std::vector<double> first;  // seconds, one for each pair
	std::vector<double> second;
	std::vector<double> control;  // the first session's settings once more, if asked for
	size_t differing = 0;         // answers
	std::string error;
};

// Of logarithms of ratios of pairs, as factors.
struct Ratio {
	double mean = 1.0;
	double low = 0.0;  // 95 % interval
	double high = HUGE_VAL;
	double sure = 0.0;  // lower bound that holds for all templates together with 95 %
};

Ratio RatioOf(const std::vector<double>& base, const std::vector<double>& values, size_t templates) {
	Ratio ratio;
	const double count = static_cast<double>(base.size());
	if (base.empty() || values.size() != base.size())
		return ratio;
	double mean = 0.0;
	for (size_t i = 0; i < base.size(); ++i)
		mean += std::log(values[i] / base[i]) / count;
	ratio.mean = std::exp(mean);
	if (base.size() < 3)
		return ratio;
	double squares = 0.0;
	for (size_t i = 0; i < base.size(); ++i)
		squares += std::pow(std::log(values[i] / base[i]) - mean, 2.0);
	const double error = std::sqrt(squares / (count - 1.0) / count);
	const double margin = StudentQuantile(0.975, count - 1.0) * error;
	ratio.low = std::exp(mean - margin);
	ratio.high = std::exp(mean + margin);
	ratio.sure = std::exp(mean - StudentQuantile(1.0 - 0.05 / static_cast<double>(templates), count - 1.0) * error);
	return ratio;
}

// ETL jobs are undone, so that both sessions find the same.
double Time(Connection& connection, const QueryTemplate& query_template, const std::string& sql, Outcome& outcome) {
	const bool undo = query_template.purpose == Purpose::kEtl;
	if (undo)
		connection.Ask("BEGIN");
	const auto start = Clock::now();
	outcome = connection.Execute(sql);
	const double seconds = SecondsSince(start);
	if (undo)
		connection.Ask("ROLLBACK");
	return seconds;
}

// Who runs at place `i` of a round. Whoever follows another finds warm caches, so everyone has every place as often as the others, and
// the others as neighbours as often.
size_t SessionInTurn(size_t round, size_t i, size_t sessions) {
	const size_t place = (i + round) % sessions;
	return round / sessions % 2 == 0 ? place : sessions - 1 - place;
}

PairedTemplate MeasurePairs(const QueryTemplate& query_template, std::vector<Connection*>& sessions, const Limits& limits, Random& random) {
	PairedTemplate result;
	result.name = query_template.name;
	Outcome outcomes[3];
	double seconds[3] = {};
	const auto start = Clock::now();
	for (int pair = -1; pair < limits.most && (pair < limits.least || SecondsSince(start) < limits.seconds); ++pair) {
		const std::string sql = query_template.Instantiate(random);
		for (size_t i = 0; i < sessions.size(); ++i) {
			const size_t session = SessionInTurn(static_cast<size_t>(pair + 1), i, sessions.size());
			seconds[session] = Time(*sessions[session], query_template, sql, outcomes[session]);
			if (!outcomes[session].error.empty()) {
				result.error = outcomes[session].error;
				return result;
			}
		}
		if (pair < 0)
			continue; // fills the sessions' caches
		result.first.push_back(seconds[0]);
		result.second.push_back(seconds[1]);
		if (sessions.size() > 2)
			result.control.push_back(seconds[2]);
		result.differing += outcomes[0].answer_hash != outcomes[1].answer_hash || outcomes[0].rows != outcomes[1].rows ? 1 : 0;
	}
	return result;
}

double Mean(const std::vector<double>& values) {
	double sum = 0.0;
	for (const double value : values)
		sum += value;
	return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

struct Names {
	std::string first;
	std::string second;
};

// Returns the report for programs; prints that for people.
std::string Report(const std::vector<PairedTemplate>& results, const Names& names) {
	std::string json = "{\"first\": " + JsonText(names.first) + ", \"second\": " + JsonText(names.second) + ", \"templates\": [";
	std::vector<std::string> slower;
	size_t faster = 0, failed = 0, differing = 0;
	double total_first = 0.0, total_second = 0.0;
	bool has_control = false;
	for (const PairedTemplate& result : results)
		has_control = has_control || !result.control.empty();
	std::printf("\n%-26s %6s %12s %12s %8s %17s%s\n", "", "pairs", names.first.c_str(), names.second.c_str(), "ratio", "95 % interval",
	            has_control ? "   control, 95 %" : "");
	for (const PairedTemplate& result : results) {
		const Ratio ratio = RatioOf(result.first, result.second, results.size());
		const Ratio control = RatioOf(result.first, result.control, results.size());
		json += Text("%s\n {\"template\": %s, \"pairs\": %zu, \"first_s\": %s, \"second_s\": %s, ", json.back() == '[' ? "" : ",",
		             JsonText(result.name).c_str(), result.first.size(), JsonNumber(Mean(result.first)).c_str(),
		             JsonNumber(Mean(result.second)).c_str());
		json += Text("\"ratio\": %s, \"low\": %s, \"high\": %s, ", JsonNumber(ratio.mean).c_str(), JsonNumber(ratio.low).c_str(),
		             JsonNumber(ratio.high).c_str());
		json += Text("\"slower\": %s, \"different_answers\": %zu, \"error\": %s}", ratio.sure > 1.0 ? "true" : "false", result.differing,
		             result.error.empty() ? "null" : JsonText(result.error).c_str());
		if (!result.error.empty()) {
			++failed;
			std::printf("%-26s failed: %s\n", result.name.c_str(), result.error.c_str());
			continue;
		}
		std::printf("%-26s %6zu %9.2f ms %9.2f ms %8.3f   %6.3f .. %6.3f", result.name.c_str(), result.first.size(),
		            1000.0 * Mean(result.first), 1000.0 * Mean(result.second), ratio.mean, ratio.low, ratio.high);
		if (has_control)
			std::printf("  %6.3f .. %6.3f", control.low, control.high);
		std::printf("%s\n", ratio.sure > 1.0 ? "  SLOWER" : ratio.high < 1.0 ? "  faster" : "");
		if (ratio.sure > 1.0)
			slower.push_back(result.name);
		faster += ratio.high < 1.0 ? 1 : 0;
		differing += result.differing;
		total_first += Mean(result.first);
		total_second += Mean(result.second);
	}
	std::printf("\nEach template once: %.3f s with %s, %.3f s with %s (%.3fx); %zu templates faster.\n", total_first, names.first.c_str(),
	            total_second, names.second.c_str(), total_first > 0.0 ? total_second / total_first : 0.0, faster);
	const bool is_met = slower.empty() && failed == 0 && differing == 0;
	std::printf("  %-8s no template slower by more than noise (95 %% for all together): %zu of %zu slower\n", is_met ? "met" : "NOT MET",
	            slower.size(), results.size());
	std::printf("  %-8s same answers: %zu differ; no failed query: %zu failed\n", differing + failed == 0 ? "met" : "NOT MET", differing,
	            failed);
	return json + Text("],\n \"slower\": %zu, \"faster\": %zu, \"total_ratio\": %s, \"met\": %s}\n", slower.size(), faster,
	                   JsonNumber(total_second / total_first).c_str(), is_met ? "true" : "false");
}

}  // namespace

int Pairs(int argc, char** argv) {
	const Options options(argc, argv, {"templates", "first", "second", "first-name", "second-name", "control", "warm-up", "warm-clients",
	                                   "template-seconds", "least", "most", "seed", "json"});
	Connection first("bench_driver first", 120, options.Get("first"));
	Connection second("bench_driver second", 120, options.Get("second"));
	Connection control("bench_driver control", 120, options.Get("first"));
	const std::vector<QueryTemplate> templates = ReadTemplates(options.Need("templates"), ReadSizes(first));
	const uint64_t seed = static_cast<uint64_t>(options.Count("seed", 1));
	Limits limits;
	limits.seconds = options.Number("template-seconds", limits.seconds);
	limits.least = std::max(3, options.Count("least", limits.least));
	limits.most = std::max(limits.least, options.Count("most", limits.most));

	// With the server's own settings, which are the second session's but for what --second adds.
	PoolOptions warm;
	warm.clients = std::max(1, options.Count("warm-clients", 1));
	warm.open_loop = false;
	const std::vector<Arrival> arrivals = BuildWarmUp(templates, options.Count("warm-up", 20), seed);
	const RunResult learned = RunClients(templates, arrivals, warm, [] {}, [&](const Progress& progress) {
		std::printf("   learning: %zu of %zu executions\n", progress.finished, arrivals.size());
	});
	for (const Sample& sample : learned.samples) {
		if (!sample.error.empty())
			throw std::runtime_error(sample.query_template + ": " + sample.error);
	}

	std::vector<Connection*> sessions = {&first, &second};
	if (options.Count("control", 0) > 0)
		sessions.push_back(&control);
	Random random(seed + 300);
	std::vector<PairedTemplate> results;
	auto last_report = Clock::now();
	for (const QueryTemplate& query_template : templates) {
		results.push_back(MeasurePairs(query_template, sessions, limits, random));
		if (SecondsSince(last_report) >= 3.0) {
			last_report = Clock::now();
			std::printf("   %zu of %zu templates compared\n", results.size(), templates.size());
		}
	}
	const std::string json = Report(results, {options.Get("first-name", "first"), options.Get("second-name", "second")});
	if (const std::string path = options.Get("json"); !path.empty())
		WriteFile(path, json);
	return 0;
}

}  // namespace wlm::bench
