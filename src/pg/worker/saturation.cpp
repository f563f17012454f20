/*
 * saturation.cpp
 *
 * Two readings of Linux, the larger of which counts:
 *   runnable processes per processor, full at kRunnablePerProcessor: one more
 *   than there are processors keeps them busy across I/O;
 *   pressure stall information (PSI), the part of the time in which somebody
 *   was stopped for want of memory or I/O, where the kernel has it.
 * Elsewhere the answer is 0: the automatic limit then only follows its bounds.
 */
#include "pg/worker/saturation.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace wlm {

namespace {

constexpr double kRunnablePerProcessor = 2.0;
constexpr double kFullStall[3] = {1e9 /* a busy CPU is told by runnable processes */, 0.6, 0.2};
constexpr double kSmoothing = 0.4;
constexpr const char *kPressureFiles[3] = {"/proc/pressure/cpu", "/proc/pressure/io", "/proc/pressure/memory"};

/* Those that run or could run now, this one not counted. */
double RunnableProcesses() noexcept
{
	FILE *file = std::fopen("/proc/loadavg", "re");
	double load[3];
	int runnable = 0, all = 0;

	if (file == nullptr)
		return 0;
	if (std::fscanf(file, "%lf %lf %lf %d/%d", &load[0], &load[1], &load[2], &runnable, &all) != 5)
		runnable = 1;
	std::fclose(file);
	return std::max(0, runnable - 1);
}

/* Microseconds since boot in which at least one task was stalled, or -1. */
double StallTotal(const char *path) noexcept
{
	FILE *file = std::fopen(path, "re");
	double averages[3], total = -1;

	if (file == nullptr)
		return -1;
	if (std::fscanf(file, "some avg10=%lf avg60=%lf avg300=%lf total=%lf", &averages[0], &averages[1], &averages[2], &total) != 4)
		total = -1;
	std::fclose(file);
	return total;
}

}  // namespace

double SaturationMeter::Measure(double now_ms) noexcept
{
	const double processors = static_cast<double>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
	double reading = RunnableProcesses() / (processors * kRunnablePerProcessor);
	const double elapsed_us = (now_ms - previous_ms) * 1e3;

	for (int i = 0; i < 3; i++) {
		const double total = StallTotal(kPressureFiles[i]);
		if (total >= 0 && previous_stall_us[i] >= 0 && elapsed_us > 0)
			reading = std::max(reading, (total - previous_stall_us[i]) / elapsed_us / kFullStall[i]);
		previous_stall_us[i] = total;
	}
	previous_ms = now_ms;
	smoothed += kSmoothing * (reading - smoothed);
	return smoothed;
}

}  // namespace wlm
