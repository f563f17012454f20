/*
 * saturation.hpp
 *
 * How full the machine is, as one number: 1 means that one more running query
 * would only slow the others down.
 */
#pragma once

namespace wlm {

struct SaturationMeter {
	double smoothed = 0;
	double previous_stall_us[3] = {-1, -1, -1}; /* PSI totals: cpu, io, memory */
	double previous_ms = 0;

	/* Reads /proc; at most a few hundred microseconds, once a second. */
	double Measure(double now_ms) noexcept;
};

}  // namespace wlm
