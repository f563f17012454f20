/*
 * tables.cpp
 *
 * See tables.hpp.
 */
#include "tables.hpp"

#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace wlm::accuracy {

namespace {

const Section *Find(const Evaluation &evaluation, const std::string &key, const std::string &condition)
{
	for (const Section &section : evaluation.sections)
		if (section.key == key && section.condition == condition)
			return &section;
	return nullptr;
}

std::string Pair(double p50, double p90) { return Number(p50) + " / " + Number(p90); }

void AddSeen(const Section &section, std::vector<TargetRow> *rows)
{
	const ScoreList times = Select(section, Target::kTime, true);
	if (!times.empty()) {
		const Summary mixture = Summarise(times, kMixture);
		const Summary floor = Summarise(times, kFloor);
		rows->push_back({"time, templates seen, " + section.condition + ": P50 / P90",
		                 "1.1 x noise floor = " + Pair(1.1 * floor.p50, 1.1 * floor.p90), Pair(mixture.p50, mixture.p90),
		                 mixture.p50 <= 1.1 * floor.p50 && mixture.p90 <= 1.1 * floor.p90});
	}
	const ScoreList memory = Select(section, Target::kOperatorMemory);
	if (!memory.empty()) {
		const Summary mixture = Summarise(memory, kMixture);
		rows->push_back({"memory per operator, templates seen, " + section.condition + ": P50 / P90", "1.05 / 1.3",
		                 Pair(mixture.p50, mixture.p90), mixture.p50 <= 1.05 && mixture.p90 <= 1.3});
	}
}

void AddNeverSeen(const Section &section, std::vector<TargetRow> *rows)
{
	const Summary time = Summarise(Select(section, Target::kTime), kMixture);
	const Summary memory = Summarise(Select(section, Target::kOperatorMemory), kMixture);
	if (time.count > 0)
		rows->push_back({"time, templates never seen, " + section.condition + ": P50 / P90", "1.6 / 8", Pair(time.p50, time.p90),
		                 time.p50 <= 1.6 && time.p90 <= 8});
	if (memory.count > 0)
		rows->push_back({"memory per operator, templates never seen, " + section.condition + ": P50 / P90", "1.5 / 6",
		                 Pair(memory.p50, memory.p90), memory.p50 <= 1.5 && memory.p90 <= 6});
}

void AddCoverage(const Section &section, std::vector<TargetRow> *rows)
{
	for (const Target target : {Target::kTime, Target::kOperatorMemory}) {
		const Summary mixture = Summarise(Select(section, target), kMixture);
		if (mixture.count > 0)
			rows->push_back({Format("95 %% interval covers, %s, ", TargetName(target)) + section.key + ", " + section.condition,
			                 "93 .. 97 %", Format("%.1f %%", 100 * mixture.coverage),
			                 mixture.coverage >= 0.93 && mixture.coverage <= 0.97});
	}
}

double QError(float predicted, float observed) { return std::exp(std::fabs(static_cast<double>(predicted) - observed)); }

}  // namespace

std::string Percent(const Comparison &comparison)
{
	return Format("%+.1f %% (%+.1f .. %+.1f)", comparison.difference, comparison.low, comparison.high);
}

ScoreList Select(const Section &section, Target target, bool with_floor)
{
	ScoreList selected;
	for (const Score &score : section.scores)
		if (score.target == target && (!with_floor || std::isfinite(score.guesses[kFloor].mean)))
			selected.push_back(&score);
	return selected;
}

ScoreList OfWorkload(const ScoreList &scores, std::span<const Recording> recordings, const std::string &workload)
{
	ScoreList selected;
	for (const Score *score : scores)
		if (recordings[score->recording].workload == workload)
			selected.push_back(score);
	return selected;
}

std::string Format(const char *format, ...)
{
	char text[500];
	va_list arguments;
	va_start(arguments, format);
	std::vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return text;
}

std::string Number(double value)
{
	if (!std::isfinite(value))
		return "-";
	return Format(value < 1.095 ? "%.3f" : value < 100 ? "%.2f" : "%.0f", value);
}

std::vector<TargetRow> TargetRows(const Evaluation &evaluation)
{
	std::vector<TargetRow> rows;
	for (const char *condition : {"alone", "eight"}) {
		const Section *seen = Find(evaluation, "seen", condition);
		const Section *never_seen = Find(evaluation, "never_seen", condition);
		if (seen != nullptr)
			AddSeen(*seen, &rows);
		if (never_seen != nullptr)
			AddNeverSeen(*never_seen, &rows);
	}
	for (const Section &section : evaluation.sections)
		if (section.key == "seen" || section.key == "never_seen")
			AddCoverage(section, &rows);
	return rows;
}

std::vector<ComparisonRow> ComparisonRows(const Evaluation &evaluation)
{
	std::vector<ComparisonRow> rows;
	for (const Section &section : evaluation.sections) {
		for (const Target target : {Target::kTime, Target::kOperatorMemory}) {
			const ScoreList scores = Select(section, target);
			if (!scores.empty())
				rows.push_back({&section, target, CompareWithBest(scores, 0.5), CompareWithBest(scores, 0.9),
				                CompareWith(scores, kFlat, 0.5), CompareWith(scores, kFlat, 0.9)});
		}
	}
	return rows;
}

ScalabilitySummary Summarise(const std::vector<ScalabilityScore> &scores)
{
	std::vector<double> before, after, ignored, ideal, observed;
	size_t covered = 0;
	for (const ScalabilityScore &score : scores) {
		before.push_back(QError(score.before, score.observed));
		after.push_back(QError(score.after, score.observed));
		ignored.push_back(QError(0, score.observed));
		ideal.push_back(QError(score.ideal, score.observed));
		observed.push_back(std::exp(static_cast<double>(score.observed)));
		covered += score.observed >= score.after_low && score.observed <= score.after_high;
	}
	ScalabilitySummary summary{};
	summary.plans = scores.size();
	summary.before_p50 = Quantile(before, 0.5);
	summary.before_p90 = Quantile(before, 0.9);
	summary.after_p50 = Quantile(after, 0.5);
	summary.after_p90 = Quantile(after, 0.9);
	summary.ignored_p50 = Quantile(ignored, 0.5);
	summary.ignored_p90 = Quantile(ignored, 0.9);
	summary.ideal_p50 = Quantile(ideal, 0.5);
	summary.ideal_p90 = Quantile(ideal, 0.9);
	summary.observed_p10 = Quantile(observed, 0.1);
	summary.observed_p50 = Quantile(observed, 0.5);
	summary.observed_p90 = Quantile(observed, 0.9);
	summary.covered = scores.empty() ? 0 : static_cast<double>(covered) / static_cast<double>(scores.size());
	return summary;
}

}  // namespace wlm::accuracy
