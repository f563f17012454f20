// bench_driver memory: the systems of bench/memory/run under each budget, with the targets and with where pg_wlm loses.
//
// --plan is a table: part, budget in MB (0: of no budget), kind, name of the run. A part is a way of running, in a control group or
// without one. Kinds: "static", a work_mem for all; "query", pg_wlm with one grant per query; "operator", one per operator.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "commands.hpp"
#include "comparison.hpp"
#include "options.hpp"
#include "text.hpp"

namespace wlm::bench {

namespace {

constexpr double kMegabyte = 1024.0 * 1024.0;
// One run is one sample: less than this is noise in a makespan that arrivals determine.
constexpr double kMakespanNoise = 1.02;
constexpr double kLossRatio = 1.05;
// A static value that spills less than this part of its execution time leaves nothing to halve.
constexpr double kNoSpill = 0.01;

struct Entry {
	std::string part;
	int budget_mb = 0;
	std::string kind;
	SystemRun run;
	Metrics metrics;
};

struct Column {
	const char* key;
	const char* head;
	Unit unit;
	Better better;
	double (*value)(const Metrics&);
};

const Column kColumns[] = {
	{"memory_peak_bytes", "peak", Unit::kBytes, Better::kNeither, [](const Metrics& m) { return m.JudgedMemory(); }},
	{"temp_bytes", "temp files", Unit::kBytes, Better::kLower, [](const Metrics& m) { return m.temp_bytes; }},
	{"spilled_queries", "spilled", Unit::kCount, Better::kLower, [](const Metrics& m) { return static_cast<double>(m.spilled); }},
	{"spilled_time_s", "time in them", Unit::kSeconds, Better::kLower, [](const Metrics& m) { return m.spilled_time; }},
	{"execution_total_s", "in all", Unit::kSeconds, Better::kLower, [](const Metrics& m) { return m.execution_total; }},
	{"makespan_s", "makespan", Unit::kSeconds, Better::kLower, [](const Metrics& m) { return m.makespan; }},
	{"throughput", "throughput", Unit::kPerSecond, Better::kHigher, [](const Metrics& m) { return m.throughput; }},
	{"short_p95_s", "short P95", Unit::kMilliseconds, Better::kLower, [](const Metrics& m) { return m.lengths[0].p95; }},
	{"medium_p95_s", "medium P95", Unit::kMilliseconds, Better::kLower, [](const Metrics& m) { return m.lengths[1].p95; }},
	{"long_p95_s", "long P95", Unit::kMilliseconds, Better::kLower, [](const Metrics& m) { return m.lengths[2].p95; }},
	{"cpu_server_s", "CPU", Unit::kSeconds, Better::kLower, [](const Metrics& m) { return m.cpu_server; }},
	{"errors", "failed", Unit::kCount, Better::kLower, [](const Metrics& m) { return static_cast<double>(m.errors); }},
	{"crashes", "crashes", Unit::kCount, Better::kLower, [](const Metrics& m) { return m.crashes; }},
	{"different_answers", "differ", Unit::kCount, Better::kLower,
	 [](const Metrics& m) { return static_cast<double>(m.different_answers); }},
};

// One budget of one part, judged.
struct Judgement {
	std::string part;
	int budget_mb = 0;
	double limit = 0.0;               // bytes: the budget and what sessions keep
	double idle = 0.0;                // bytes: what sessions keep
	std::vector<const Entry*> shown;  // static values first
	const Entry* fitting = nullptr;   // the largest static value whose peak fits
	const Entry* best = nullptr;      // of those that fit, the one with the least time in spilled queries; of none, the smallest
	const Entry* query = nullptr;     // pg_wlm
	const Entry* grants = nullptr;    // pg_wlm per operator
	std::vector<Target> targets;
	std::vector<std::string> losses;
};

std::vector<Entry> ReadEntries(const std::string& folder, const std::string& plan, const Costs& costs) {
	std::vector<Entry> entries;
	for (const std::string& line : Split(ReadFile(plan), '\n')) {
		const std::vector<std::string> fields = Split(line, '\t');
		if (fields.size() != 4)
			continue;
		entries.push_back({fields[0], std::atoi(fields[1].c_str()), fields[2], ReadRun(folder, fields[3]), {}});
	}
	if (entries.empty())
		throw std::runtime_error(plan + " names no run");
	for (Entry& entry : entries)
		entry.metrics = ComputeMetrics(entry.run, entries.front().run, costs);
	return entries;
}

// As the table calls it: "static 64MB", "pg_wlm".
std::string Label(const Entry& entry) {
	if (entry.kind == "static")
		return "work_mem " + entry.run.facts.at("setting.work_mem");
	return entry.kind == "query" ? "pg_wlm, per query" : "pg_wlm, per operator";
}

// Adds static values (all of the part) and both kinds of pg_wlm, and finds those that count.
void Choose(const std::vector<Entry>& entries, Judgement& judgement) {
	for (const Entry& entry : entries) {
		if (entry.part != judgement.part || (entry.kind != "static" && entry.budget_mb != judgement.budget_mb))
			continue;
		judgement.shown.push_back(&entry);
		if (entry.kind == "operator")
			judgement.grants = &entry;
		else if (entry.kind == "query")
			judgement.query = &entry;
	}
	// Whoever takes more than the budget is compared with static values that may take as much.
	const double peak = judgement.grants != nullptr ? judgement.grants->metrics.JudgedMemory() : 0.0;
	const double allowed = std::max(judgement.limit, peak);
	for (const Entry* entry : judgement.shown) {
		const Metrics& metrics = entry->metrics;
		if (entry->kind != "static" || metrics.JudgedMemory() > allowed || metrics.crashes > 0.0 || metrics.errors > 0)
			continue;
		judgement.fitting = entry;  // they come in ascending order
		if (judgement.best == nullptr || metrics.spilled_time <= judgement.best->metrics.spilled_time)
			judgement.best = entry;
	}
	// Generous to the smallest: it took more memory than is allowed.
	if (judgement.best == nullptr && judgement.shown.front()->kind == "static")
		judgement.best = judgement.shown.front();
}

void AddTargets(Judgement& judgement) {
	const Metrics& now = judgement.grants->metrics;
	judgement.targets.push_back({"peak memory within budget and sessions", now.JudgedMemory(), judgement.limit,
	                             Bytes(now.JudgedMemory()) + " of " + Bytes(judgement.limit), now.JudgedMemory() <= judgement.limit});
	judgement.targets.push_back({"same answers, no failed query", static_cast<double>(now.different_answers + now.errors), 0.0,
	                             Text("%zu of %zu differ, %zu failed", now.different_answers, now.compared_answers, now.errors),
	                             now.different_answers + now.errors == 0 && now.compared_answers > 0});
	if (judgement.best == nullptr)
		return;
	const Metrics& base = judgement.best->metrics;
	const std::string name = Label(*judgement.best);
	const auto ratio = [](double value, double against) { return against > 0.0 ? value / against : value > 0.0 ? HUGE_VAL : 0.0; };

	Target spilled{"time in spilled queries, at most half of " + name, ratio(now.spilled_time, base.spilled_time), 0.5, "", false};
	spilled.is_met = spilled.value <= spilled.limit;
	spilled.text = Text("%.1f s against %.1f s: %.2fx", now.spilled_time, base.spilled_time, spilled.value);
	if (base.spilled_time <= kNoSpill * base.execution_total && now.spilled_time <= kNoSpill * now.execution_total) {
		spilled.is_met = true;
		spilled.text += " (both under 1 % of the execution time: nothing to halve)";
	}
	judgement.targets.push_back(spilled);

	Target makespan{"makespan, not above " + name, ratio(now.makespan, base.makespan), kMakespanNoise, "", false};
	makespan.is_met = makespan.value <= makespan.limit;
	makespan.text = Text("%.1f s against %.1f s: %.2fx (2 %% is noise)", now.makespan, base.makespan, makespan.value);
	judgement.targets.push_back(makespan);
}

void AddLosses(const Entry* against, Judgement& judgement) {
	if (against == nullptr)
		return;
	for (const Column& column : kColumns) {
		const double base = column.value(against->metrics);
		const double now = column.value(judgement.grants->metrics);
		const bool is_lost = (column.better == Better::kLower && now > base * kLossRatio) ||
		                     (column.better == Better::kHigher && now * kLossRatio < base);
		if (is_lost)
			judgement.losses.push_back(Text("%s: %s against %s of %s", column.key, FormatValue(now, column.unit).c_str(),
			                                FormatValue(base, column.unit).c_str(), Label(*against).c_str()));
	}
}

// What sessions keep while nothing runs, after a run with the smallest static value.
double IdleMemory(const std::vector<Entry>& entries, const std::string& part) {
	for (const Entry& entry : entries) {
		if (entry.part == part && entry.kind == "static")
			return entry.metrics.JudgedIdleMemory();
	}
	return 0.0;
}

std::vector<Judgement> Judge(const std::vector<Entry>& entries) {
	std::vector<Judgement> judgements;
	for (const Entry& entry : entries) {
		if (entry.kind != "operator")
			continue;
		Judgement judgement;
		judgement.part = entry.part;
		judgement.budget_mb = entry.budget_mb;
		judgement.idle = IdleMemory(entries, entry.part);
		judgement.limit = entry.budget_mb * kMegabyte + judgement.idle;
		Choose(entries, judgement);
		AddTargets(judgement);
		AddLosses(judgement.best, judgement);
		AddLosses(judgement.query, judgement);
		judgements.push_back(std::move(judgement));
	}
	return judgements;
}

void Print(const Judgement& judgement) {
	std::printf("\n== %s, wlm.memory = %d MB; with the %s that sessions keep when idle: %s\n\n", judgement.part.c_str(),
	            judgement.budget_mb, Bytes(judgement.idle).c_str(), Bytes(judgement.limit).c_str());
	std::printf("%-22s %5s", "", "fits");
	for (const Column& column : kColumns)
		std::printf(" %12s", column.head);
	std::printf("\n");
	for (const Entry* entry : judgement.shown) {
		const bool fits = entry->metrics.JudgedMemory() <= judgement.limit && entry->metrics.crashes == 0.0;
		std::printf("%-22s %5s", Label(*entry).c_str(), fits ? "yes" : "no");
		for (const Column& column : kColumns)
			std::printf(" %12s", FormatValue(column.value(entry->metrics), column.unit).c_str());
		std::printf("\n");
	}
	if (judgement.fitting == nullptr)
		std::printf("\nNo static value fits; compared with the smallest.\n");
	else
		std::printf("\nThe largest static value that fits: %s; the one of those with the least time in spilled queries: %s.\n",
		            Label(*judgement.fitting).c_str(), Label(*judgement.best).c_str());
	for (const Target& target : judgement.targets)
		std::printf("  %-8s %s: %s\n", target.is_met ? "met" : "NOT MET", target.what.c_str(), target.text.c_str());
	std::printf("  pg_wlm per operator loses by more than 5 %%%s\n", judgement.losses.empty() ? ": nowhere" : "");
	for (const std::string& loss : judgement.losses)
		std::printf("    %s\n", loss.c_str());
}

void PrintSummary(const std::vector<Judgement>& judgements) {
	size_t met = 0, all = 0;
	for (const Judgement& judgement : judgements) {
		all += judgement.targets.size();
		for (const Target& target : judgement.targets)
			met += target.is_met ? 1 : 0;
	}
	std::printf("\n%zu of %zu targets met. One run is one sample; makespans within 2 %% are equal.\n", met, all);
}

// The errors that occurred, and whether somebody else used the machine.
void PrintDoubts(const std::vector<Entry>& entries) {
	for (const Entry& entry : entries) {
		std::map<std::string, int> errors;
		for (const Sample& sample : entry.run.samples) {
			if (!sample.error.empty())
				++errors[sample.query_template + ": " + sample.error];
		}
		for (const auto& [text, count] : errors)
			std::printf("%s failed %d times: %s\n", entry.run.name.c_str(), count, text.c_str());
		if (entry.metrics.others_share > 0.05)
			std::printf("WARNING: other programs took %.0f %% of the processors while %s ran.\n", 100.0 * entry.metrics.others_share,
			            entry.run.name.c_str());
	}
}

std::string Json(const Judgement& judgement) {
	std::string json = Text("{\"part\": %s, \"wlm_memory_mb\": %d, \"limit_bytes\": %.0f, \"idle_bytes\": %.0f,\n",
	                        JsonText(judgement.part).c_str(), judgement.budget_mb, judgement.limit, judgement.idle);
	json += "   \"largest_static_that_fits\": " + (judgement.fitting != nullptr ? JsonText(Label(*judgement.fitting)) : "null");
	json += ", \"compared_with\": " + (judgement.best != nullptr ? JsonText(Label(*judgement.best)) : "null");
	json += ",\n   \"systems\": {";
	for (size_t i = 0; i < judgement.shown.size(); ++i) {
		json += Text("%s\n    %s: {", i > 0 ? "," : "", JsonText(Label(*judgement.shown[i])).c_str());
		for (const Column& column : kColumns)
			json += (json.back() == '{' ? "" : ", ") + JsonText(column.key) + ": " + JsonNumber(column.value(judgement.shown[i]->metrics));
		json += "}";
	}
	json += "},\n   \"targets\": [";
	for (size_t i = 0; i < judgement.targets.size(); ++i) {
		const Target& target = judgement.targets[i];
		json += Text("%s\n    {\"target\": %s, \"value\": %s, \"limit\": %s, \"met\": %s}", i > 0 ? "," : "", JsonText(target.what).c_str(),
		             JsonNumber(target.value).c_str(), JsonNumber(target.limit).c_str(), target.is_met ? "true" : "false");
	}
	json += "],\n   \"losses\": [";
	for (size_t i = 0; i < judgement.losses.size(); ++i)
		json += (i > 0 ? ", " : "") + JsonText(judgement.losses[i]);
	return json + "]}";
}

}  // namespace

int MemoryReport(int argc, char** argv) {
	const Options options(argc, argv, {"in", "plan", "costs", "notes", "json"});
	const std::vector<Entry> entries = ReadEntries(options.Need("in"), options.Need("plan"), ReadCosts(options.Need("costs")));
	const std::vector<Judgement> judgements = Judge(entries);
	for (const Judgement& judgement : judgements)
		Print(judgement);
	std::printf("\n");
	PrintDoubts(entries);
	PrintSummary(judgements);
	if (const std::string path = options.Get("json"); !path.empty()) {
		std::string json = "{\n \"environment\": " + JsonFacts(ReadNotes(options.Get("notes"))) + ",\n \"budgets\": [";
		for (const Judgement& judgement : judgements)
			json += (json.back() == '[' ? "\n  " : ",\n  ") + Json(judgement);
		WriteFile(path, json + "]\n}\n");
	}
	return 0;
}

}  // namespace wlm::bench
