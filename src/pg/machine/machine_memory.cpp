/*
 * machine_memory.cpp
 *
 * The host's use is what /proc/meminfo does not call available. A group counts if its limit is below
 * the host's memory. Of host and groups the guard goes by the one that would be fullest
 * if memory grew for a moment as fast as it can: of a small and a large one, the small.
 */
#include "pg/machine/machine_memory.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "pg/machine/small_files.hpp"

namespace wlm {

namespace {

constexpr double kFindGroupsMs = 10000;   /* processes are seldom moved */

double ShareSoon(const MemoryReading &reading) noexcept
{
	const double soon_kb = static_cast<double>(reading.used_kb) + kFastestKbPerMs * kBusyPeriodMs[1];
	return reading.limit_kb > 0 ? soon_kb / static_cast<double>(reading.limit_kb) : -1;
}

MemoryReading ReadHost(const char *root) noexcept
{
	char path[kGroupPathLength], text[4096];
	MemoryReading host = {0, 0, 0};

	std::snprintf(path, sizeof path, "%s/proc/meminfo", root);
	if (ReadSmallFile(path, text, sizeof text) <= 0)
		return host;
	const int64_t total = NumberOfLine(text, "MemTotal"), available = NumberOfLine(text, "MemAvailable");
	if (total > 0 && available >= 0)
		host = {total, std::max<int64_t>(total - available, 0), 0};
	return host;
}

/* Microseconds in which every process was stalled, since boot or since the group is there; -1 = not told. */
int64_t FullStallUs(const char *root, const MemoryGroup *group) noexcept
{
	char path[kGroupPathLength + 64], text[512];

	if (group != nullptr && group->version_2)
		std::snprintf(path, sizeof path, "%s/memory.pressure", group->folder);
	else
		std::snprintf(path, sizeof path, "%s/proc/pressure/memory", root);
	if (ReadSmallFile(path, text, sizeof text) <= 0)
		return -1;
	const char *full = std::strstr(text, "full ");
	const char *total = full != nullptr ? std::strstr(full, "total=") : nullptr;
	return total != nullptr ? std::strtoll(total + strlen("total="), nullptr, 10) : -1;
}

}  // namespace

double MachineMemory::Stalled(int group, double now_ms) noexcept
{
	const int64_t total_us = FullStallUs(root_, group >= 0 ? &groups_.groups[group] : nullptr);
	const double elapsed_us = (now_ms - previous_ms_) * 1e3;
	double share = 0;

	if (total_us >= 0 && previous_stall_us_ >= 0 && group == previous_group_ && elapsed_us > 0)
		share = static_cast<double>(total_us - previous_stall_us_) / elapsed_us;
	previous_stall_us_ = total_us;
	previous_group_ = group;
	previous_ms_ = now_ms;
	return std::clamp(share, 0.0, 1.0);
}

MemoryReading MachineMemory::Read(double now_ms) noexcept
{
	const MemoryReading host = ReadHost(root_);
	MemoryReading most = host;
	int pressed = -1;

	if (groups_found_ms_ < 0 || now_ms - groups_found_ms_ >= kFindGroupsMs) {
		FindMemoryGroups(&groups_, root_);
		groups_found_ms_ = now_ms;
	}
	for (int i = 0; i < groups_.count; i++) {
		const int64_t limit = GroupLimitKb(groups_.groups[i]);
		if (limit <= 0 || (host.limit_kb > 0 && limit >= host.limit_kb))
			continue;
		const int64_t used = GroupUsedKb(groups_.groups[i]);
		const MemoryReading reading = {limit, used, 0};
		if (used >= 0 && ShareSoon(reading) > ShareSoon(most)) {
			most = reading;
			pressed = i;
		}
	}
	most.stalled = Stalled(pressed, now_ms);
	return most;
}

}  // namespace wlm
