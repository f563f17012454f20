/*
 * markdown.cpp
 *
 * The report for people.
 */
#include <algorithm>
#include <set>

#include "report.hpp"
#include "tables.hpp"

namespace wlm::accuracy {

namespace {

constexpr int kOrder[] = {kPostgres,    kFlat,           kPlannerExpert,    kRecallExpert, kTreesExpert,
                          kGraphExpert, kNeighboursExpert, kMixture};

std::string Cells(const Summary &summary)
{
	return Format(" %zu | %s | %s | %s | %s | %s |", summary.count, Number(summary.p50).c_str(), Number(summary.p90).c_str(),
	              Number(summary.p95).c_str(), summary.coverage >= 0 ? Format("%.1f %%", 100 * summary.coverage).c_str() : "-",
	              Number(summary.width).c_str());
}

std::string SystemsTable(const ScoreList &scores, const ScoreList &with_floor)
{
	std::string text = "| | answers | P50 | P90 | P95 | covered | width |\n|---|---|---|---|---|---|---|\n";
	for (const int system : kOrder)
		text += Format("| %s |", SystemName(system)) + Cells(Summarise(scores, system)) + "\n";
	if (!with_floor.empty()) {
		text += "| noise floor (executed at least 3 times) |" + Cells(Summarise(with_floor, kFloor)) + "\n";
		text += "| mixture on the same |" + Cells(Summarise(with_floor, kMixture)) + "\n";
	}
	return text + "\n";
}

std::string WorkloadTable(const Section &section, std::span<const Recording> recordings)
{
	std::set<std::string> workloads;
	for (const Recording &recording : recordings)
		workloads.insert(recording.workload);
	const ScoreList times = Select(section, Target::kTime);
	const ScoreList memory = Select(section, Target::kOperatorMemory);
	std::string text =
		"| P50 / P90 | executions | time: mixture | PostgreSQL | plain XGBoost | memory: mixture | PostgreSQL | plain XGBoost |\n"
		"|---|---|---|---|---|---|---|---|\n";
	for (const std::string &workload : workloads) {
		const ScoreList own_times = OfWorkload(times, recordings, workload);
		const ScoreList own_memory = OfWorkload(memory, recordings, workload);
		if (own_times.empty() && own_memory.empty())
			continue;
		text += Format("| %s | %zu |", workload.c_str(), own_times.size());
		for (const ScoreList *scores : {&own_times, &own_memory}) {
			for (const int system : {kMixture, kPostgres, kFlat}) {
				const Summary summary = Summarise(*scores, system);
				text += " " + Number(summary.p50) + " / " + Number(summary.p90) + " |";
			}
		}
		text += "\n";
	}
	return text + "\n";
}

std::string SectionText(const Section &section, std::span<const Recording> recordings)
{
	static constexpr const char *kTitles[] = {"Time", "Memory per operator", "Memory of the whole query"};
	std::string text = "## " + section.title + ", " + section.condition + "\n\n";
	for (const Target target : {Target::kTime, Target::kOperatorMemory, Target::kQueryMemory}) {
		const ScoreList scores = Select(section, target);
		if (scores.empty())
			continue;
		text += Format("%s:\n\n", kTitles[static_cast<int>(target)]);
		text += SystemsTable(scores, Select(section, target, true));
	}
	return text + WorkloadTable(section, recordings);
}

std::string DataTable(std::span<const Recording> recordings)
{
	std::string text = "| recording | executions | plans | templates | damaged |\n|---|---|---|---|---|\n";
	for (const Recording &recording : recordings)
		text += Format("| %s, %s | %zu | %zu | %zu | %zu |\n", recording.workload.c_str(), recording.condition.c_str(),
		               recording.samples.size(), recording.plans, recording.templates, recording.damaged);
	return text + "\n";
}

std::string TargetsTable(const Evaluation &evaluation)
{
	std::string text = "| | target | measured | |\n|---|---|---|---|\n";
	for (const TargetRow &row : TargetRows(evaluation))
		text += "| " + row.what + " | " + row.wanted + " | " + row.measured + " | " + (row.met ? "met" : "**missed**") + " |\n";
	return text + "\n";
}

std::string ComparisonCell(const Comparison &comparison, double most, bool named)
{
	if (comparison.expert < 0)
		return " - |";
	const std::string text = Percent(comparison) + (named ? std::string(" ") + SystemName(comparison.expert) : "");
	return comparison.difference <= most ? " " + text + " |" : " **" + text + "** |";
}

std::string ComparisonsTable(const Evaluation &evaluation)
{
	std::string text = "How much worse the mixture's q-error is, with the 95 % interval of a paired bootstrap over plans;\n"
					   "bold where it is more than 2 % worse than its best expert, or worse than one plain XGBoost.\n\n"
					   "| | best expert, P50 | best expert, P90 | plain XGBoost, P50 | plain XGBoost, P90 |\n|---|---|---|---|---|\n";
	for (const ComparisonRow &row : ComparisonRows(evaluation)) {
		text += "| " + row.section->key + ", " + row.section->condition + ", " + TargetName(row.target) + " |";
		text += ComparisonCell(row.best_p50, kMostWorse, true) + ComparisonCell(row.best_p90, kMostWorse, true);
		text += ComparisonCell(row.flat_p50, 0, false) + ComparisonCell(row.flat_p90, 0, false) + "\n";
	}
	return text + "\n";
}

std::string ScalabilityText(const Evaluation &evaluation)
{
	if (evaluation.scalability.empty())
		return "## Scalability\n\nNo plan ran often enough with different numbers of processes.\n\n";
	const ScalabilitySummary summary = Summarise(evaluation.scalability);
	std::string text = "## Scalability: time with more processes by time with fewer\n\n";
	text += Format("%zu pairs; half of a plan's runs to learn from, the other half observed; q-error of the ratio.\n\n", summary.plans);
	text += "| | P50 | P90 |\n|---|---|---|\n";
	text += Format("| before the plan was seen | %s | %s |\n", Number(summary.before_p50).c_str(), Number(summary.before_p90).c_str());
	text += Format("| after | %s | %s |\n", Number(summary.after_p50).c_str(), Number(summary.after_p90).c_str());
	const std::string ignored = Number(summary.ignored_p50) + " | " + Number(summary.ignored_p90);
	text += "| as if workers changed nothing | " + ignored + " |\n";
	text += Format("| as if n processes took 1/n | %s | %s |\n\n", Number(summary.ideal_p50).c_str(), Number(summary.ideal_p90).c_str());
	text += Format("The 95 %% interval (after) covers %.1f %% of the observed ratios, ", 100 * summary.covered);
	text += Format("whose P10, P50 and P90 are %.2f, %.2f and %.2f.\n\n", summary.observed_p10, summary.observed_p50, summary.observed_p90);
	return text;
}

}  // namespace

std::string Markdown(const ReportInput &input)
{
	std::string text = "# Accuracy\n\n";
	std::string line;
	for (const char c : input.notes + "\n") {
		if (c != '\n') {
			line += c;
		} else if (!line.empty()) {
			text += "* " + line + "\n";
			line.clear();
		}
	}
	text += "\nErrors are q-errors, max(predicted / true, true / predicted). \"covered\" is the part of outcomes inside the\n"
			"95 % interval, \"width\" the median of its upper by its lower end. bench/accuracy/README.md says what each section asks.\n\n";
	text += DataTable(input.recordings);
	for (const std::string &training : input.evaluation->trainings)
		text += "* trained on " + training + "\n";
	text += "\n## Targets\n\n" + TargetsTable(*input.evaluation);
	text += "## The mixture against others\n\n" + ComparisonsTable(*input.evaluation);
	for (const Section &section : input.evaluation->sections)
		text += SectionText(section, input.recordings);
	return text + ScalabilityText(*input.evaluation);
}

}  // namespace wlm::accuracy
