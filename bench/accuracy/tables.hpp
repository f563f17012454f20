/*
 * tables.hpp
 *
 * What Markdown and JSON have in common: the numbers of each section, and what
 * DESIGN.md promises of them.
 */
#pragma once

#include <span>
#include <string>
#include <vector>

#include "evaluation.hpp"

namespace wlm::accuracy {

using ScoreList = std::vector<const Score *>;

/* Scores of one target; `with_floor` = only where the noise floor is known, so that others can be held against it. */
ScoreList Select(const Section &section, Target target, bool with_floor = false);
ScoreList OfWorkload(const ScoreList &scores, std::span<const Recording> recordings, const std::string &workload);

/* printf into a std::string. */
[[gnu::format(printf, 1, 2)]] std::string Format(const char *format, ...);
/* Two to three digits after the point where they tell; "-" for what is not a number. */
std::string Number(double value);

/* "+1.0 % (-0.5 .. +2.5)" */
std::string Percent(const Comparison &comparison);

struct TargetRow {
	std::string what;
	std::string wanted;
	std::string measured;
	bool met;
};
/* What DESIGN.md, "How it is judged", wants of accuracy; only what could be measured. */
std::vector<TargetRow> TargetRows(const Evaluation &evaluation);

/* The mixture against its best expert, than which it may be kMostWorse percent worse, and against one plain XGBoost. */
inline constexpr double kMostWorse = 2;
struct ComparisonRow {
	const Section *section;
	Target target;
	Comparison best_p50, best_p90, flat_p50, flat_p90;
};
std::vector<ComparisonRow> ComparisonRows(const Evaluation &evaluation);

struct ScalabilitySummary {
	size_t plans = 0;
	double before_p50, before_p90, after_p50, after_p90; /* q-errors of the ratio of times */
	double ignored_p50, ignored_p90;                     /* as if workers changed nothing */
	double ideal_p50, ideal_p90;                         /* as if twice the processes took half the time */
	double observed_p10, observed_p50, observed_p90;     /* ratios of times */
	double covered;                                      /* by the interval after */
};
ScalabilitySummary Summarise(const std::vector<ScalabilityScore> &scores);

}  // namespace wlm::accuracy
