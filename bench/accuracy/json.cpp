/*
 * json.cpp
 *
 * The report for programs: the same numbers. What is not a number is null.
 */
#include <cmath>

#include "report.hpp"
#include "tables.hpp"

namespace wlm::accuracy {

namespace {

std::string Quoted(const std::string &text)
{
	std::string quoted = "\"";
	for (const char c : text) {
		if (c == '"' || c == '\\')
			quoted += '\\';
		if (static_cast<unsigned char>(c) >= ' ')
			quoted += c;
		else
			quoted += c == '\n' ? "\\n" : " ";
	}
	return quoted + "\"";
}

std::string Value(double value) { return std::isfinite(value) ? Format("%.6g", value) : "null"; }

std::string SummaryJson(const Summary &summary)
{
	return Format("{\"answers\": %zu, \"p50\": %s, \"p90\": %s, \"p95\": %s, \"coverage\": %s, \"width\": %s}", summary.count,
	              Value(summary.p50).c_str(), Value(summary.p90).c_str(), Value(summary.p95).c_str(), Value(summary.coverage).c_str(),
	              Value(summary.width).c_str());
}

std::string ComparisonJson(const Comparison &comparison)
{
	if (comparison.expert < 0)
		return "null";
	return Format("{\"with\": %s, \"pairs\": %zu, \"percent_worse\": %s, \"low\": %s, \"high\": %s}",
	              Quoted(SystemName(comparison.expert)).c_str(), comparison.count,
	              Value(comparison.difference).c_str(), Value(comparison.low).c_str(), Value(comparison.high).c_str());
}

std::string TargetJson(const Section &section, Target target)
{
	const ScoreList scores = Select(section, target);
	const ScoreList with_floor = Select(section, target, true);
	std::string text = "{\"systems\": {";
	for (int system = 0; system < kNumSystems; system++)
		if (system != kFloor)
			text += Quoted(SystemName(system)) + ": " + SummaryJson(Summarise(scores, system)) + ", ";
	text += "\"noise floor\": " + SummaryJson(Summarise(with_floor, kFloor)) + ", ";
	text += "\"mixture where the noise floor is known\": " + SummaryJson(Summarise(with_floor, kMixture)) + "}, ";
	text += "\"against_best_p50\": " + ComparisonJson(CompareWithBest(scores, 0.5)) + ", ";
	text += "\"against_best_p90\": " + ComparisonJson(CompareWithBest(scores, 0.9)) + ", ";
	text += "\"against_flat_p50\": " + ComparisonJson(CompareWith(scores, kFlat, 0.5)) + ", ";
	return text + "\"against_flat_p90\": " + ComparisonJson(CompareWith(scores, kFlat, 0.9)) + "}";
}

template <class List, class Put>
std::string Array(const List &list, const Put &put)
{
	std::string text = "[";
	for (const auto &item : list)
		text += (text.size() > 1 ? ",\n  " : "\n  ") + put(item);
	return text + "\n ]";
}

}  // namespace

std::string Json(const ReportInput &input)
{
	const Evaluation &evaluation = *input.evaluation;
	std::string text = "{\n \"notes\": " + Quoted(input.notes) + ",\n \"recordings\": ";
	text += Array(input.recordings, [](const Recording &recording) {
		return Format("{\"workload\": %s, \"condition\": %s, \"executions\": %zu, \"plans\": %zu, \"templates\": %zu, \"damaged\": %zu}",
		              Quoted(recording.workload).c_str(), Quoted(recording.condition).c_str(), recording.samples.size(), recording.plans,
		              recording.templates, recording.damaged);
	});
	text += ",\n \"trainings\": " + Array(evaluation.trainings, Quoted);
	text += ",\n \"targets\": " + Array(TargetRows(evaluation), [](const TargetRow &row) {
		return "{\"what\": " + Quoted(row.what) + ", \"wanted\": " + Quoted(row.wanted) + ", \"measured\": " + Quoted(row.measured) +
			", \"met\": " + (row.met ? "true}" : "false}");
	});
	text += ",\n \"sections\": " + Array(evaluation.sections, [](const Section &section) {
		std::string item = "{\"key\": " + Quoted(section.key) + ", \"title\": " + Quoted(section.title);
		item += ", \"condition\": " + Quoted(section.condition);
		for (const Target target : {Target::kTime, Target::kOperatorMemory, Target::kQueryMemory})
			item += std::string(", ") + Quoted(TargetName(target)) + ": " + TargetJson(section, target);
		return item + "}";
	});
	const ScalabilitySummary scale = Summarise(evaluation.scalability);
	text += Format(",\n \"scalability\": {\"pairs\": %zu, \"before_p50\": %s, \"before_p90\": %s, \"after_p50\": %s, \"after_p90\": %s, "
	               "\"unchanged_p50\": %s, \"unchanged_p90\": %s, \"ideal_p50\": %s, \"ideal_p90\": %s, \"covered\": %s, "
	               "\"observed_p10\": %s, \"observed_p50\": %s, \"observed_p90\": %s}\n}\n",
	               scale.plans, Value(scale.before_p50).c_str(), Value(scale.before_p90).c_str(), Value(scale.after_p50).c_str(),
	               Value(scale.after_p90).c_str(), Value(scale.ignored_p50).c_str(), Value(scale.ignored_p90).c_str(),
	               Value(scale.ideal_p50).c_str(), Value(scale.ideal_p90).c_str(), Value(scale.covered).c_str(),
	               Value(scale.observed_p10).c_str(), Value(scale.observed_p50).c_str(), Value(scale.observed_p90).c_str());
	return text;
}

}  // namespace wlm::accuracy
