/*
 * mixture.hpp
 *
 * One distribution out of several experts' answers, for Predict() and
 * PredictAgain().
 */
#pragma once

#include "core/predict/forecast.hpp"

namespace wlm {

struct Accuracy;

inline constexpr float kLeastCalibration = 0.1f;
inline constexpr float kMostCalibration = 20.0f;

/* What Accuracy says the deviations are to be multiplied with; 1 where it is absent or absurd. */
struct Calibration {
	float time;
	float operator_memory;
	float query_memory;
};
Calibration CalibrationOf(const Accuracy *accuracy) noexcept;

/* Shares sum to 1, or are all 0 when nobody has an opinion. */
Estimate Mix(const Estimate answers[kNumExperts], float calibration, float shares[kNumExperts]) noexcept;

/* Averages shares over operators; falls back to those of the query's memory when there is none. */
struct ShareAverage {
	float sums[kNumExperts];
	int count;

	void Add(const float shares[kNumExperts]) noexcept;
	void Get(const float fallback[kNumExperts], float shares[kNumExperts]) const noexcept;
};

}  // namespace wlm
