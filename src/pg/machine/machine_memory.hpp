/*
 * machine_memory.hpp
 *
 * How much memory the machine, or the most pressed of the server's control groups,
 * has in use, and how much of the time processes stood still for want of it.
 */
#pragma once

#include "core/grant/memory_pressure.hpp"
#include "pg/machine/memory_groups.hpp"

namespace wlm {

class MachineMemory {
  public:
	/* `root`: where /proc and /sys are; must outlive this. Tests make their own. */
	explicit MachineMemory(const char *root = "") noexcept : root_(root) {}

	/* Some files of /proc and /sys: 20 to 200 us. */
	MemoryReading Read(double now_ms) noexcept;

  private:
	double Stalled(int group, double now_ms) noexcept;

	const char *root_;
	MemoryGroups groups_ = {};
	double groups_found_ms_ = -1;
	double previous_ms_ = -1;
	int64_t previous_stall_us_ = -1;
	int previous_group_ = -1;       /* whose stalls those are; -1 = the host's */
};

}  // namespace wlm
