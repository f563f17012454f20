/*
 * mixture.cpp
 *
 * Precision-weighted mixing: soft, no threshold, no expert is ever shut out.
 * Weights go with the square of the precision, because recall already holds the
 * planner's answer as its prior, and plain precision would count it twice.
 */
#include "core/predict/mixture.hpp"

#include <algorithm>
#include <cmath>

#include "core/learn/learner.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

constexpr float kLeastVariance = 1e-4f;

float Load(const Accuracy &accuracy, Target target) noexcept
{
	float value;
	__atomic_load(&accuracy.calibration[static_cast<int>(target)], &value, __ATOMIC_RELAXED);
	return value >= kLeastCalibration && value <= kMostCalibration ? value : 1.0f;
}

}  // namespace

Calibration CalibrationOf(const Accuracy *accuracy) noexcept
{
	if (accuracy == nullptr)
		return {1, 1, 1};
	return {Load(*accuracy, Target::kTime), Load(*accuracy, Target::kOperatorMemory),
	        Load(*accuracy, Target::kQueryMemory)};
}

Estimate Mix(const Estimate answers[kNumExperts], float calibration, float shares[kNumExperts]) noexcept
{
	double weights[kNumExperts];
	double total = 0;
	for (int i = 0; i < kNumExperts; i++) {
		weights[i] = 0;
		if (IsUsable(answers[i])) {
			const double precision = 1.0 / std::max(answers[i].Variance(), kLeastVariance);
			weights[i] = precision * precision * answers[i].support / (1.0 + answers[i].support);
		}
		total += weights[i];
	}

	Estimate mixed;
	std::fill_n(shares, static_cast<int>(kNumExperts), 0.0f);
	if (!(total > 0) || !std::isfinite(total))
		return mixed;
	for (int i = 0; i < kNumExperts; i++) {
		if (weights[i] <= 0)
			continue; /* what is not usable may be NaN */
		shares[i] = static_cast<float>(weights[i] / total);
		mixed.mean += shares[i] * answers[i].mean;
		mixed.data_variance += shares[i] * answers[i].data_variance;
		mixed.model_variance += shares[i] * answers[i].model_variance;
		mixed.support += shares[i] * answers[i].support;
	}
	for (int i = 0; i < kNumExperts; i++) {
		if (weights[i] <= 0)
			continue;
		const float distance = answers[i].mean - mixed.mean;
		mixed.model_variance += shares[i] * distance * distance;
	}
	mixed.data_variance *= calibration * calibration;
	mixed.model_variance *= calibration * calibration;
	return IsUsable(mixed) ? mixed : Estimate{};
}

void ShareAverage::Add(const float shares[kNumExperts]) noexcept
{
	float total = 0;
	for (int i = 0; i < kNumExperts; i++)
		total += shares[i];
	if (!(total > 0))
		return;
	for (int i = 0; i < kNumExperts; i++)
		sums[i] += shares[i];
	count++;
}

void ShareAverage::Get(const float fallback[kNumExperts], float shares[kNumExperts]) const noexcept
{
	for (int i = 0; i < kNumExperts; i++)
		shares[i] = count > 0 ? sums[i] / static_cast<float>(count) : fallback[i];
}

}  // namespace wlm
