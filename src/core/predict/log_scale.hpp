/*
 * log_scale.hpp
 *
 * The only doors between quantities and their logarithms. Whatever a float
 * holds, what comes out is finite and inside the range of real queries.
 */
#pragma once

#include <algorithm>
#include <cmath>

#include "core/estimate.hpp"

namespace wlm {

inline constexpr float kLeastLogMs = -9.2f; /* 0.1 us */
inline constexpr float kMostLogMs = 23.0f;  /* about 100 days */
inline constexpr float kLeastLogKb = -7.0f; /* 1 byte */
inline constexpr float kMostLogKb = 30.0f;  /* 10 PB */
inline constexpr float kMostVariance = 100.0f;

/* True for what can be learned from: positive and finite. */
inline bool IsQuantity(double value) noexcept { return value > 0 && std::isfinite(value); }

inline float LogWithin(double value, float least, float most) noexcept
{
	if (!(value > 0))
		return least;
	return std::clamp(static_cast<float>(std::log(value)), least, most);
}

inline float LogMs(double ms) noexcept { return LogWithin(ms, kLeastLogMs, kMostLogMs); }
inline float LogKb(double kb) noexcept { return LogWithin(kb, kLeastLogKb, kMostLogKb); }

inline bool IsFinite(const Estimate &estimate) noexcept
{
	return std::isfinite(estimate.mean) && std::isfinite(estimate.data_variance) &&
		std::isfinite(estimate.model_variance) && std::isfinite(estimate.support);
}

/* An opinion that may be used: finite, variances not negative. */
inline bool IsUsable(const Estimate &estimate) noexcept
{
	return estimate.support > 0 && IsFinite(estimate) && estimate.data_variance >= 0 && estimate.model_variance >= 0;
}

}  // namespace wlm
