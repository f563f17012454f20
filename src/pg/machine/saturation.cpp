/*
 * saturation.cpp
 *
 * A first reading of times tells nothing: it takes two. Where a resource is not known any
 * more (a group that is gone), the memory of it goes too.
 */
#include "pg/machine/saturation.hpp"

#include <algorithm>

namespace wlm {

namespace {

constexpr double kSmoothing = 0.4;
constexpr double kFindGroupsMs = 10000;   /* processes are seldom moved */

}  // namespace

SaturationMeter::SaturationMeter(const char *root) noexcept : root_(root)
{
	for (float &reading : smoothed_.of)
		reading = -1;
}

Saturation SaturationMeter::Measure(double memory, double now_ms) noexcept
{
	LoadReading reading;

	if (groups_found_ms_ < 0 || now_ms - groups_found_ms_ >= kFindGroupsMs) {
		FindLoadGroups(&groups_, root_);
		groups_found_ms_ = now_ms;
	}
	ReadLoad(groups_, &reading, root_);
	Saturation now = SaturationBetween(previous_, reading, previous_ms_ < 0 ? 0 : now_ms - previous_ms_);
	now.of[static_cast<int>(Resource::kMemory)] = static_cast<float>(memory);
	previous_ = reading;
	previous_ms_ = now_ms;

	for (int i = 0; i < kNumResources; i++) {
		const double value = static_cast<double>(now.of[i]), before = static_cast<double>(smoothed_.of[i]);
		if (!(value >= 0))
			smoothed_.of[i] = -1;
		else
			smoothed_.of[i] = static_cast<float>(std::max(before, 0.0) + kSmoothing * (value - std::max(before, 0.0)));
	}
	return smoothed_;
}

double Fullest(const Saturation &saturation) noexcept
{
	double fullest = 0;

	for (const float reading : saturation.of)
		fullest = std::max(fullest, static_cast<double>(reading));
	return fullest;
}

}  // namespace wlm
