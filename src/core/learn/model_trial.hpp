/*
 * model_trial.hpp
 *
 * Champion or challenger: one learned expert's model against samples that
 * neither has been trained on. Each plan counts once. Used by the server before
 * it publishes what the trainer returned, whose own word it does not take.
 */
#pragma once

#include <span>

#include "core/learn/sample_pool.hpp"
#include "core/predict/expert.hpp"
#include "core/predict/target.hpp"

namespace wlm {

/* q-errors of one target; only whole labels count, and a plan that the expert says nothing of counts for nothing. */
struct TargetScore {
	int count;
	double p50;       /* at least 1; 0 if count is 0 */
	double p90;
	double coverage;  /* of the 95 % interval, before calibration */
};

struct ModelScore {
	TargetScore targets[kNumTargets];
};

/*
 * Asks `expert` with `models` about samples [from, size) of the pool. `errors` needs room for
 * (size - from) * kMaxMemoryNodes numbers or fewer: what does not fit is not judged. The scratch space
 * is the caller's because it is large.
 */
void ScoreModel(const SamplePool &pool, int from, ExpertId expert, const ModelView &models, std::span<float> errors,
                Sample *sample, Forecast *forecast, ModelScore *score) noexcept;

/*
 * Mean over targets of ln(P50) + ln(P90) of the challenger less the champion's: negative is better. Where one of
 * them never answered there is nothing to compare; *compared says how many targets there were.
 */
double CompareScores(const ModelScore &challenger, const ModelScore &champion, int *compared) noexcept;

}  // namespace wlm
