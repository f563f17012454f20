/*
 * score.hpp
 *
 * Answers beside the truth, and numbers out of many of them. Everything in
 * natural logarithms; q-error = exp |answer - truth|.
 */
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/learn/learner.hpp"
#include "core/predict/target.hpp"

namespace wlm::accuracy {

/* Who answers: the experts by their ids, then these. */
inline constexpr int kMixture = kNumExperts;
inline constexpr int kPostgres = kNumExperts + 1; /* cost times one constant; the planner's arithmetic of memory */
inline constexpr int kFlat = kNumExperts + 2;     /* one plain XGBoost */
inline constexpr int kFloor = kNumExperts + 3;    /* the true median of what the plan did */
inline constexpr int kNumSystems = kNumExperts + 4;
const char *SystemName(int system);

struct Guess {
	float mean; /* NaN = no opinion */
	float low;  /* of the 95 % interval; NaN = none */
	float high;
};

struct Score {
	uint64_t plan;
	uint32_t index;       /* of the execution in its recording */
	uint16_t recording;
	uint16_t executions;  /* of this plan that were asked about before */
	Target target;
	Familiarity familiarity;
	float truth;
	Guess guesses[kNumSystems];
};

/* Counts only what a system answered; NaN where there is nothing. */
struct Summary {
	size_t count = 0;
	double p50, p90, p95; /* q-errors */
	double coverage;      /* share of truths inside the interval */
	double width;         /* median of upper by lower end */
};
Summary Summarise(std::span<const Score *const> scores, int system);

/* Of sorted values: the smallest that at least this part does not exceed. */
double Quantile(std::vector<double> values, double part);

/* How much worse the mixture is than an expert at a quantile of the q-error: (ratio - 1) in percent. */
struct Comparison {
	int expert = -1; /* -1 = there is none to compare with */
	size_t count = 0;
	double difference = 0;
	double low = 0;  /* 95 % interval: bootstrap over plans, because executions of one plan err together */
	double high = 0;
};

/* Against the best at this quantile of those experts that answered at least nine tenths of all; where both answered. */
Comparison CompareWithBest(std::span<const Score *const> scores, double quantile);
Comparison CompareWith(std::span<const Score *const> scores, int system, double quantile);

}  // namespace wlm::accuracy
