/*
 * outcome_moments.hpp
 *
 * Folding and comparing OutcomeMoments. Times of one template are noisy and have
 * outliers (cold caches, neighbours on the machine), so a value counts at
 * most as a large deviation, and a variance from a few runs is not believed alone.
 */
#pragma once

#include <algorithm>
#include <cmath>

#include "core/grant/outcomes.hpp"

namespace wlm {

inline constexpr float kOutcomeDecay = 1 - 1 / 30.0f; /* about the last 30 count */
inline constexpr int kLeastRuns = 3;                  /* of what is compared */

/* Weight that this many outcomes have. */
inline float WeightOfRuns(int runs) noexcept
{
	return (1 - std::pow(kOutcomeDecay, static_cast<float>(runs))) / (1 - kOutcomeDecay);
}

/* At least this many runs, but for rounding. */
inline bool HasRuns(const OutcomeMoments &moments, int runs) noexcept { return moments.weight > WeightOfRuns(runs) - 0.01f; }

inline void FoldOutcome(OutcomeMoments *moments, float value) noexcept
{
	constexpr float kWarmUp = 0.5f;     /* the first of two runs that took this much more, in ln, paid for cold caches */
	constexpr float kLeastFreak = 0.7f; /* in ln */
	if (!(moments->weight > 0) || (moments->weight <= 1 && value < moments->mean - kWarmUp)) {
		*moments = {1, value, 0};
		return;
	}
	if (moments->weight > 2.5f) {
		const float most = std::max(kLeastFreak, 4 * std::sqrt(moments->variance));
		value = std::clamp(value, moments->mean - most, moments->mean + most);
	}
	const float old_weight = kOutcomeDecay * moments->weight;
	const float weight = old_weight + 1;
	const float delta = value - moments->mean;
	moments->mean += delta / weight;
	moments->variance = old_weight / weight * (moments->variance + delta * delta / weight);
	moments->weight = weight;
}

/* Of one outcome: believed to be about 10 % until runs tell. */
inline float OutcomeVariance(const OutcomeMoments &moments) noexcept
{
	constexpr float kPrior = 0.01f;
	constexpr float kPriorWeight = 2;
	return (moments.weight * moments.variance + kPriorWeight * kPrior) / std::max(moments.weight + kPriorWeight - 1, 1.0f);
}

/* By how much the first is slower, in ln, and the standard error of that (Welch: variances may differ). Both have runs. */
struct OutcomeDifference {
	float mean;
	float error;
};
inline OutcomeDifference Compare(const OutcomeMoments &first, const OutcomeMoments &second) noexcept
{
	return {first.mean - second.mean,
	        std::sqrt(OutcomeVariance(first) / first.weight + OutcomeVariance(second) / second.weight)};
}

}  // namespace wlm
