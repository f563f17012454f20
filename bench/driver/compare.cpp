// bench_driver compare: the report for people on standard output, the same for programs with --json.
#include <algorithm>
#include <cstdio>
#include <set>

#include "commands.hpp"
#include "comparison.hpp"
#include "options.hpp"
#include "text.hpp"

namespace wlm::bench {

namespace {

// "0.42x": how the last system stands to the first.
std::string Ratio(const Row& row) {
	const double base = row.values.front();
	return base > 0.0 && row.unit != Unit::kCount ? Text("%.2fx", row.values.back() / base) : "";
}

void PrintTable(const Comparison& comparison) {
	constexpr int kLabel = 38;
	int column = 14;
	for (const std::string& name : comparison.names)
		column = std::max(column, static_cast<int>(name.size()) + 2);
	std::printf("\n%-*s", kLabel, "");
	for (const std::string& name : comparison.names)
		std::printf("%*s", column, name.c_str());
	std::printf("%10s\n", comparison.names.size() > 1 ? "ratio" : "");
	for (const Row& row : comparison.rows) {
		std::printf("%-*s", kLabel, row.label.c_str());
		for (const double value : row.values)
			std::printf("%*s", column, FormatValue(value, row.unit).c_str());
		std::printf("%10s\n", comparison.names.size() > 1 ? Ratio(row).c_str() : "");
	}
}

// The errors that occurred, each text once.
void PrintErrors(const std::vector<SystemRun>& runs) {
	for (const SystemRun& run : runs) {
		std::map<std::string, int> errors;
		for (const Sample& sample : run.samples) {
			if (!sample.error.empty())
				++errors[sample.query_template + ": " + sample.error];
		}
		for (const auto& [text, count] : errors)
			std::printf("%s failed %d times: %s\n", run.name.c_str(), count, text.c_str());
	}
}

// A system that runs few queries at a time gets less of a machine that it has to share than one that runs many.
void PrintDisturbance(const Comparison& comparison) {
	for (size_t i = 0; i < comparison.names.size(); ++i) {
		if (comparison.metrics[i].others_share > 0.05)
			std::printf("\nWARNING: other programs took %.0f %% of the processors while %s ran. Measure on an idle machine.\n",
			            100.0 * comparison.metrics[i].others_share, comparison.names[i].c_str());
	}
}

void PrintJudgement(const Comparison& comparison) {
	if (comparison.names.size() < 2)
		return;
	const std::string& last = comparison.names.back();
	std::printf("\nTargets for %s against %s\n", last.c_str(), comparison.names.front().c_str());
	for (const Target& target : comparison.targets)
		std::printf("  %-8s %s: %s\n", target.is_met ? "met" : "NOT MET", target.what.c_str(), target.text.c_str());
	std::printf("\nWhere %s loses\n", last.c_str());
	for (const std::string& loss : comparison.losses)
		std::printf("  %s\n", loss.c_str());
	if (comparison.losses.empty())
		std::printf("  nowhere in this run: no number is more than 5 %% worse, no template more than 20 %%\n");
}

std::string JsonSystem(const Comparison& comparison, size_t index, const SystemRun& run, const Costs& costs) {
	std::string json = "{\"metrics\": {";
	for (size_t i = 0; i < comparison.rows.size(); ++i)
		json += (i > 0 ? ", " : "") + JsonText(comparison.rows[i].key) + ": " + JsonNumber(comparison.rows[i].values[index]);
	json += "},\n   \"facts\": " + JsonFacts(run.facts) + ",\n   \"templates\": {";
	bool is_first = true;
	for (const auto& [name, metrics] : comparison.metrics[index].templates) {
		json += Text("%s\n    %s: {\"length\": \"%s\", \"runs\": %zu, ", is_first ? "" : ",", JsonText(name).c_str(),
		             LengthName(LengthOf(costs.at(name))), metrics.queries);
		json += Text("\"mean_latency_s\": %.6f, \"mean_execution_s\": %.6f, \"temp_bytes\": %.0f}", metrics.latency,
		             metrics.execution, metrics.temp_bytes);
		is_first = false;
	}
	return json + "}}";
}

std::string ToJson(const Comparison& comparison, const std::vector<SystemRun>& runs, const Costs& costs, const Facts& notes) {
	std::string json = "{\n \"environment\": " + JsonFacts(notes) + ",\n \"systems\": {";
	for (size_t i = 0; i < runs.size(); ++i)
		json += (i > 0 ? ",\n  " : "\n  ") + JsonText(runs[i].name) + ": " + JsonSystem(comparison, i, runs[i], costs);
	json += "},\n \"targets\": [";
	for (size_t i = 0; i < comparison.targets.size(); ++i) {
		const Target& target = comparison.targets[i];
		json += Text("%s\n  {\"target\": %s, \"value\": %s, \"limit\": %s, \"met\": %s}", i > 0 ? "," : "", JsonText(target.what).c_str(),
		             JsonNumber(target.value).c_str(), JsonNumber(target.limit).c_str(), target.is_met ? "true" : "false");
	}
	json += "],\n \"losses\": [";
	for (size_t i = 0; i < comparison.losses.size(); ++i)
		json += (i > 0 ? ",\n  " : "\n  ") + JsonText(comparison.losses[i]);
	return json + "]\n}\n";
}

}  // namespace

int Compare(int argc, char** argv) {
	const Options options(argc, argv, {"in", "systems", "costs", "budget", "notes", "json"});
	const Costs costs = ReadCosts(options.Need("costs"));
	std::vector<SystemRun> runs;
	for (const std::string& name : Split(options.Need("systems"), ','))
		runs.push_back(ReadRun(options.Need("in"), name));
	const Comparison comparison = CompareSystems(runs, costs, options.Number("budget", 0.0));
	PrintTable(comparison);
	std::printf("\nshort: under %.0f ms alone under the defaults; medium: under %.0f ms; long: the rest.\n", kShortBelowMs,
	            kMediumBelowMs);
	std::printf("Latency counts from the moment a query was due, whether or not a client was free.\n");
	PrintErrors(runs);
	PrintDisturbance(comparison);
	PrintJudgement(comparison);
	if (const std::string path = options.Get("json"); !path.empty())
		WriteFile(path, ToJson(comparison, runs, costs, ReadNotes(options.Get("notes"))));
	return 0;
}

}  // namespace wlm::bench
