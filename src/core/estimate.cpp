/*
 * estimate.cpp
 *
 * The quantile function of the normal distribution, by Newton's method on
 * ln(cdf). That function is concave and increasing, so iterating from a start
 * that lies left of the root converges monotonically, also far in the tail.
 */
#include "core/estimate.hpp"

#include <cfloat>

namespace wlm {

namespace {

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kInverseSqrtTwoPi = 0.39894228040143267794;
constexpr int kMaxSteps = 40; /* about 6 are needed */

/* z <= 0 of a probability in (0, 0.5]. */
double LowerTail(double probability) noexcept
{
	/* cdf(-x) <= exp(-x^2 / 2) / 2 puts this start left of the root */
	double z = -std::sqrt(-2.0 * std::log(2.0 * probability));
	const double target = std::log(probability);
	for (int i = 0; i < kMaxSteps; i++) {
		const double cdf = 0.5 * std::erfc(-z * kSqrtHalf);
		const double density = kInverseSqrtTwoPi * std::exp(-0.5 * z * z);
		const double step = (target - std::log(cdf)) * cdf / density;
		z += step;
		if (std::fabs(step) < 1e-12)
			break;
	}
	return z;
}

}  // namespace

/* Values outside (0, 1) count as the nearest one inside, NaN as one half. */
float NormalQuantile(float probability) noexcept
{
	if (std::isnan(probability))
		return 0;
	double p = probability;
	if (p < FLT_MIN)
		p = FLT_MIN;
	if (p > 1.0 - FLT_EPSILON / 2)
		p = 1.0 - FLT_EPSILON / 2;
	return static_cast<float>(p <= 0.5 ? LowerTail(p) : -LowerTail(1.0 - p));
}

}  // namespace wlm
