/*
 * regression.cpp
 *
 * See regression.hpp. All in double on the stack; the state is kept in float.
 */
#include "core/predict/regression.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

constexpr double kForgetting = 0.99654;       /* half of the weight is gone after 200 observations */
constexpr double kHuberLimit = 1.5;           /* standard deviations */
constexpr double kHuberSecondMoment = 0.7785; /* E[min(|z|, 1.5)^2] of a standard normal z */
constexpr double kNoisePatience = 4;          /* observations that the prior noise is worth */
constexpr double kNoiseMemory = 50;           /* observations; short, so that a jump soon stops being an outlier */
constexpr double kMostEvidence = 1e6;
constexpr double kMostWeight = 1e3;
constexpr double kLeastNoise = 1e-4;
constexpr double kMostNoise = 25;

using Vector = double[kMaxRegressors];

/* P x, and x' P x as the result. */
double Spread(const Regression &regression, const float x[kMaxRegressors], Vector gain) noexcept
{
	double spread = 0;
	for (int i = 0; i < kMaxRegressors; i++) {
		gain[i] = 0;
		for (int j = 0; j < kMaxRegressors; j++)
			gain[i] += static_cast<double>(regression.covariance[i][j]) * x[j];
		spread += gain[i] * x[i];
	}
	return std::max(spread, 0.0);
}

double Mean(const Regression &regression, const float x[kMaxRegressors]) noexcept
{
	double mean = 0;
	for (int i = 0; i < kMaxRegressors; i++)
		mean += static_cast<double>(regression.weights[i]) * x[i];
	return mean;
}

void ScaleCovariance(Regression *regression, float factor) noexcept
{
	for (auto &row : regression->covariance)
		for (float &covariance : row)
			covariance *= factor;
}

/* Scaling a row and its column keeps the matrix positive semidefinite. */
void BoundCovariance(Regression *regression, const RegressionPrior &prior) noexcept
{
	for (int i = 0; i < kMaxRegressors; i++) {
		const float limit = prior.variances[i];
		const float variance = regression->covariance[i][i];
		if (variance <= limit)
			continue;
		const float scale = std::sqrt(limit / variance);
		for (int j = 0; j < kMaxRegressors; j++) {
			regression->covariance[i][j] *= scale;
			regression->covariance[j][i] *= scale;
		}
		regression->covariance[i][i] = limit;
	}
}

}  // namespace

void InitRegression(Regression *regression, const RegressionPrior &prior) noexcept
{
	*regression = Regression{};
	for (int i = 0; i < kMaxRegressors; i++) {
		regression->weights[i] = prior.weights[i];
		regression->covariance[i][i] = prior.variances[i];
	}
	regression->noise_variance = prior.noise_variance;
}

Estimate PredictRegression(const Regression &regression, const float x[kMaxRegressors]) noexcept
{
	Vector gain;
	const double spread = Spread(regression, x, gain);
	Estimate estimate;
	estimate.mean = static_cast<float>(Mean(regression, x));
	estimate.data_variance = regression.noise_variance;
	estimate.model_variance = static_cast<float>(std::min<double>(spread, kMostVariance));
	estimate.support = 0.5f + regression.evidence;
	return estimate;
}

void LearnRegression(Regression *regression, const RegressionPrior &prior, const float x[kMaxRegressors], float y,
                     bool lower_bound) noexcept
{
	Vector gain;
	const double error = y - Mean(*regression, x);
	if (!std::isfinite(error) || (lower_bound && error <= 0))
		return;

	const double noise = regression->noise_variance;
	const double spread = Spread(*regression, x, gain);
	const double surprise = std::fabs(error) / std::sqrt(spread + noise);
	const double trust = surprise > kHuberLimit ? kHuberLimit / surprise : 1.0;
	const double innovation = spread + noise / trust;

	Regression next = *regression;
	for (int i = 0; i < kMaxRegressors; i++) {
		next.weights[i] = static_cast<float>(next.weights[i] + gain[i] * error / innovation);
		for (int j = 0; j < kMaxRegressors; j++)
			next.covariance[i][j] =
				static_cast<float>((next.covariance[i][j] - gain[i] * gain[j] / innovation) / kForgetting);
	}
	next.evidence = static_cast<float>(std::min(next.evidence * kForgetting + 1, kMostEvidence));
	const double second_moment = std::pow(std::min(surprise, kHuberLimit), 2) / kHuberSecondMoment;
	const double memory = std::min<double>(next.evidence, kNoiseMemory) + kNoisePatience;
	next.noise_variance =
		static_cast<float>(std::clamp(noise * (1 + (second_moment - 1) / memory), kLeastNoise, kMostNoise));
	/* outlier after outlier is a change: what was certain under less noise no longer is */
	if (surprise > kHuberLimit)
		ScaleCovariance(&next, next.noise_variance / static_cast<float>(noise));
	BoundCovariance(&next, prior);
	if (RegressionIsSane(next))
		*regression = next;
}

bool RegressionIsSane(const Regression &regression) noexcept
{
	for (int i = 0; i < kMaxRegressors; i++) {
		if (!(std::fabs(regression.weights[i]) <= kMostWeight))
			return false;
		const float variance = regression.covariance[i][i];
		if (!(variance >= 0 && variance <= kMostVariance))
			return false;
		for (int j = 0; j < kMaxRegressors; j++) {
			const float product = variance * regression.covariance[j][j];
			const float covariance = regression.covariance[i][j];
			/* rounding may leave a hair more than Cauchy and Schwarz allow */
			if (!(covariance * covariance <= product * 1.01f + 1e-9f))
				return false;
		}
	}
	return regression.noise_variance > 0 && regression.noise_variance <= kMostVariance && regression.evidence >= 0 &&
		regression.evidence <= kMostEvidence * 1.01;
}

}  // namespace wlm
