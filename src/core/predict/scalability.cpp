/*
 * scalability.cpp
 *
 * See scalability.hpp.
 */
#include "core/predict/scalability.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

constexpr double kLeastFraction = 0.02;
constexpr double kMostLogit = 12;      /* beyond, the fraction is 0 or 1 for every purpose */
constexpr double kLeastSpread = 0.01;  /* variance of x below which a slope is noise */
constexpr double kLeastScatter = 0.0016; /* variance of ln(time): runs of one plan never agree better than that */
constexpr float kCurveScatter = 0.09f; /* of the logit, whatever the fit says: the curve is a simplification */
constexpr double kCommonFraction = 0.8;

double Fraction(double logit) noexcept { return 1 / (1 + std::exp(-std::clamp(logit, -kMostLogit, kMostLogit))); }

double Logit(double fraction) noexcept
{
	fraction = std::clamp(fraction, kLeastFraction, 1 - kLeastFraction);
	return std::log(fraction / (1 - fraction));
}

double Amdahl(double fraction, double processes) noexcept { return (1 - fraction) + fraction / processes; }

/* On the logit's scale what one standard deviation makes, to the side where it makes more. */
double LogitDeviation(double fraction, double deviation) noexcept
{
	const double middle = Logit(fraction);
	return std::max(Logit(fraction + deviation) - middle, middle - Logit(fraction - deviation));
}

}  // namespace

RelativeTime RelativeTimeWith(const Estimate &parallel_fraction, float processes, float z) noexcept
{
	const double w = processes >= 1 && std::isfinite(processes) ? processes : 1;
	if (!IsUsable(parallel_fraction))
		return {1, 1 / w, 1};
	const double spread = std::isfinite(z) ? std::fabs(z) * parallel_fraction.Deviation() : 0;
	const double mean = parallel_fraction.mean;
	/* the more of it is parallel, the shorter */
	return {Amdahl(Fraction(mean), w), Amdahl(Fraction(mean + spread), w), Amdahl(Fraction(mean - spread), w)};
}

float ScalabilityWeight(float x) noexcept
{
	const double expected = Amdahl(kCommonFraction, 1 / std::clamp<double>(x, 1e-3, 1));
	return static_cast<float>(1 / (expected * expected));
}

Estimate FitParallelFraction(const ScalabilitySums &sums, float runs, float log_variance) noexcept
{
	const double weight = sums.weight;
	if (!(weight > 1) || !(runs > 1))
		return Estimate{};
	const double determinant = weight * sums.xx - static_cast<double>(sums.x) * sums.x;
	const double spread = determinant / (weight * weight);
	if (!(spread > kLeastSpread))
		return Estimate{};
	const double slope = (weight * sums.xy - static_cast<double>(sums.x) * sums.y) / determinant;
	const double level = (sums.y - slope * sums.x) / weight;
	const double whole = level + slope; /* time with one process */
	if (!(whole > 0))
		return Estimate{};
	const double fraction = slope / whole;

	/* scatter of one run: what the number of processes does not explain */
	const double mean = sums.y / weight;
	const double explained = slope * slope * spread / (mean * mean);
	const double scatter = std::max(log_variance - explained, kLeastScatter);
	/*
	 * Variance of slope / (level + slope) to first order: its gradient through the fit's covariance gives the sum of
	 * the squared line once, the scatter in the weighted sums (about the same for all runs) gives it again.
	 */
	const double squares = level * level * weight + 2 * level * slope * sums.x + slope * slope * sums.xx;
	const double relative = squares / (whole * whole);
	const double variance = scatter * relative * relative / (runs * determinant);
	const double deviation = LogitDeviation(fraction, std::sqrt(std::max(variance, 0.0)));

	Estimate estimate;
	estimate.mean = static_cast<float>(Logit(fraction));
	estimate.data_variance = kCurveScatter;
	estimate.model_variance = std::min(static_cast<float>(deviation * deviation), kMostVariance);
	estimate.support = runs;
	return IsUsable(estimate) ? estimate : Estimate{};
}

}  // namespace wlm
