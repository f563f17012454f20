/*
 * estimate.hpp
 *
 * One answer to "how much?": a normal distribution over the natural logarithm
 * of a positive quantity (milliseconds, kB), or over the logit of a fraction.
 *
 * The variance has two parts, as in Stage (arXiv 2403.02286): what stays
 * random however much we learn (data), and what we do not know yet (model).
 * No opinion is support == 0; nothing else of the struct counts then.
 * Intervals are taken from LogAt() and At() alone: they know that tails may be skewed.
 */
#pragma once

#include <cmath>

namespace wlm {

struct Estimate {
	float mean = 0;            /* natural log (or logit) of the quantity */
	float data_variance = 0;   /* of the logarithm; irreducible scatter */
	float model_variance = 0;  /* of the logarithm; shrinks with evidence */
	float support = 0;         /* weight of evidence, in observations; 0 = no opinion */
	float upward = 1;          /* deviations above the middle are this much wider: calibration is two-sided apart */

	bool HasOpinion() const noexcept { return support > 0; }
	float Variance() const noexcept { return data_variance + model_variance; }
	float Deviation() const noexcept { return std::sqrt(Variance()); }

	/* The logarithm, and the quantity itself, at z standard deviations from the middle (0 = median). */
	float LogAt(float z) const noexcept { return mean + z * Deviation() * (z > 0 ? upward : 1.0f); }
	float At(float z) const noexcept { return std::exp(LogAt(z)); }
};

/* z of the standard normal distribution for a probability in (0, 1). */
float NormalQuantile(float probability) noexcept;

}  // namespace wlm
