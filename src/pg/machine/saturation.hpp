/*
 * saturation.hpp
 *
 * How full the machine is, resource by resource: 1 means that one more running
 * query would only slow the others down. Smoothed over some seconds; negative
 * where nothing is known, as everywhere but on Linux.
 */
#pragma once

#include "core/decide/policy/policy.hpp"
#include "pg/machine/machine_load.hpp"

namespace wlm {

class SaturationMeter {
  public:
	/* `root`: where /proc and /sys are; must outlive this. Tests make their own. */
	explicit SaturationMeter(const char *root = "") noexcept;

	/*
	 * Reads some files of /proc and /sys; at most a few hundred microseconds, once a second. `memory`: how near memory is to
	 * where the memory guard stops growth, 1 = there; negative = it does not know.
	 */
	Saturation Measure(double memory, double now_ms) noexcept;

  private:
	const char *root_;
	LoadGroups groups_ = {};
	double groups_found_ms_ = -1;
	LoadReading previous_;
	double previous_ms_ = -1;
	Saturation smoothed_;
};

/* The fullest resource's reading; 0 if none is known. */
double Fullest(const Saturation &saturation) noexcept;

}  // namespace wlm
