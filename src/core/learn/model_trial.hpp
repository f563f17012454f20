/*
 * model_trial.hpp
 *
 * Champion or challenger: one learned expert's models against plans that
 * neither has been trained on. Used by the server before it publishes what the
 * trainer returned, whose own word it does not take.
 *
 * Each plan counts once for each target, with the mean error of its labels:
 * operators of one plan err together.
 */
#pragma once

#include <span>

#include "core/learn/sample_pool.hpp"
#include "core/predict/expert.hpp"
#include "core/predict/target.hpp"

namespace wlm {

/*
 * |ln(predicted / actual)| of `expert` with `models` for each of the samples [from, size) of the pool; NaN where the
 * sample has no whole label of the target or the expert says nothing of it. `errors` has room for them all. The scratch
 * space is the caller's because it is large.
 */
void CollectErrors(const SamplePool &pool, int from, ExpertId expert, const ModelView &models, Target target,
                   std::span<float> errors, Sample *sample, Forecast *forecast) noexcept;

/* Quantiles of q-errors, at least 1; 0 if count is 0. Sorts `errors`. */
struct TargetScore {
	int count;
	double p50;
	double p90;
};
TargetScore Summarise(std::span<float> errors) noexcept;

/*
 * How much smaller the challenger's errors are, plan by plan: sums over targets. Better means by more than 1 % and by
 * more than chance would make it in one of twenty comparisons, and that it answers where the champion did.
 */
struct Comparison {
	double gain = 0;      /* sum over targets of the mean of champion's less challenger's error */
	double variance = 0;  /* of that sum, as if targets were independent */
	int targets = 0;      /* on which both answered for enough plans */
	int answered = 0;     /* labels that the champion answered */
	int unanswered = 0;   /* of these, those that the challenger did not */

	/* Errors of the same samples, in the same order. */
	void Add(std::span<const float> challenger, std::span<const float> champion) noexcept;
	bool IsBetter() const noexcept;
};

}  // namespace wlm
