/*
 * machine_load.cpp
 *
 * What counts as full, 1:
 *   processors    twice as many processes as processors: what they used between two readings, and those that
 *                 stand in line at the second; one more than there are keeps them busy across I/O. Of a group with
 *                 a quota the same, where those that were throttled stand in line;
 *   I/O wait      processors idle for disks kFullIoWait of the time while kBlockedPerProcessor processes wait for
 *                 them: the smaller of both, since the first is high with one process and a slow disk, and the second
 *                 is the sample of a moment;
 *   stalls (PSI)  some process stopped kFullIoStall and kFullMemoryStall of the time, of the host or the own group.
 */
#include "pg/machine/machine_load.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "pg/machine/small_files.hpp"

namespace wlm {

namespace {

constexpr double kRunnablePerProcessor = 2.0;
constexpr double kFullIoWait = 0.5;
constexpr double kBlockedPerProcessor = 2.0;
constexpr double kFullIoStall = 0.6;
constexpr double kFullMemoryStall = 0.2;
constexpr double kUnknown = -1;

/* A machine with many processors has a long /proc/stat, but its first line says all, and what else is asked for ends it. */
constexpr size_t kStatBytes = 64 * 1024;

double Number(int64_t number) noexcept { return static_cast<double>(number); }

/* Of a file below `folder`; empty if there is none. */
bool ReadIn(const char *folder, const char *name, char *text, size_t size) noexcept
{
	char path[kLoadPathLength + 64];

	text[0] = '\0';
	if (folder[0] == '\0')
		return false;
	std::snprintf(path, sizeof path, "%s/%s", folder, name);
	return ReadSmallFile(path, text, size) > 0;
}

double StallIn(const char *folder, const char *name) noexcept
{
	char text[512];
	return ReadIn(folder, name, text, sizeof text) ? ParseStallUs(text) : kUnknown;
}

/* Processors that a group of either version may use; -1 = no limit. */
double Quota(const char *folder, bool version_2) noexcept
{
	char text[64];

	if (version_2)
		return ReadIn(folder, "cpu.max", text, sizeof text) ? ParseCpuMax(text) : kUnknown;
	const double quota = ReadIn(folder, "cpu.cfs_quota_us", text, sizeof text) ? std::strtod(text, nullptr) : kUnknown;
	const double period = ReadIn(folder, "cpu.cfs_period_us", text, sizeof text) ? std::strtod(text, nullptr) : 0;
	return quota > 0 && period > 0 ? quota / period : kUnknown;
}

/* Of the group and those above it, the one with the lowest quota below that of `groups`. */
void TakeLowestQuota(LoadGroups *groups, double *lowest, bool version_2, const char *mount, const char *path) noexcept
{
	char folder[kLoadPathLength];

	if (std::snprintf(folder, sizeof folder, "%s%s", mount, std::strcmp(path, "/") == 0 ? "" : path) >= static_cast<int>(sizeof folder))
		return;
	for (;;) {
		const double quota = Quota(folder, version_2);
		if (quota > 0 && (*lowest < 0 || quota < *lowest)) {
			*lowest = quota;
			groups->version_2 = version_2;
			std::memcpy(groups->limited, folder, sizeof folder);
		}
		char *slash = std::strrchr(folder, '/');
		if (slash == nullptr || static_cast<size_t>(slash - folder) < std::strlen(mount))
			return;
		*slash = '\0';
	}
}

/* Whether a list like "cpu,cpuacct" has `name`. */
bool HasController(const char *list, const char *name) noexcept
{
	const size_t length = std::strlen(name);

	for (const char *item = list; item != nullptr; item = std::strchr(item, ',')) {
		item += *item == ',' ? 1 : 0;
		if (std::strncmp(item, name, length) == 0 && (item[length] == '\0' || item[length] == ','))
			return true;
	}
	return false;
}

void AddGroup(LoadGroups *groups, double *lowest, const char *root, const char *controllers, const char *path) noexcept
{
	char mount[kLoadPathLength], probe[kLoadPathLength + 64];

	if (controllers[0] == '\0') {
		for (const char *where : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
			std::snprintf(mount, sizeof mount, "%s%s", root, where);
			TakeLowestQuota(groups, lowest, true, mount, path);
			std::snprintf(probe, sizeof probe, "%s%s/memory.pressure", mount, std::strcmp(path, "/") == 0 ? "" : path);
			if (groups->pressure[0] == '\0' && access(probe, R_OK) == 0)
				std::snprintf(groups->pressure, sizeof groups->pressure, "%.*s",
				              static_cast<int>(std::strlen(probe) - std::strlen("/memory.pressure")), probe);
		}
	} else if (HasController(controllers, "cpu")) {
		std::snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root);
		TakeLowestQuota(groups, lowest, false, mount, path);
		TakeLowestQuota(groups, lowest, false, mount, "/");
	}
}

/* Of version 1 the use is accounted by a controller of its own, which is usually mounted with the other. */
void FindUsage(LoadGroups *groups) noexcept
{
	char probe[kLoadPathLength + 64];

	std::memcpy(groups->usage, groups->limited, sizeof groups->usage);
	if (groups->version_2 || groups->limited[0] == '\0')
		return;
	std::snprintf(probe, sizeof probe, "%s/cpuacct.usage", groups->limited);
	char *cpu = std::strstr(groups->usage, "/cgroup/cpu");
	if (access(probe, R_OK) == 0 || cpu == nullptr)
		return;
	const size_t head = static_cast<size_t>(cpu - groups->usage);
	const char *tail = groups->limited + head + std::strlen("/cgroup/cpu");
	std::snprintf(probe, sizeof probe, "%.*s/cgroup/cpuacct%s", static_cast<int>(head), groups->limited, tail);
	std::snprintf(groups->usage, sizeof groups->usage, "%.*s", kLoadPathLength - 1, probe);
}

void ReadGroupUse(const LoadGroups &groups, LoadReading *reading) noexcept
{
	char text[2048];

	reading->quota = groups.limited[0] != '\0' ? Quota(groups.limited, groups.version_2) : kUnknown;
	if (reading->quota < 0)
		return;
	if (groups.version_2) {
		if (ReadIn(groups.limited, "cpu.stat", text, sizeof text)) {
			reading->group_us = Number(NumberOfLine(text, "usage_usec"));
			reading->throttled_us = Number(NumberOfLine(text, "throttled_usec"));
		}
		return;
	}
	if (ReadIn(groups.usage, "cpuacct.usage", text, sizeof text))
		reading->group_us = std::strtod(text, nullptr) / 1000;
	if (ReadIn(groups.limited, "cpu.stat", text, sizeof text)) {
		const int64_t throttled_ns = NumberOfLine(text, "throttled_time");
		reading->throttled_us = throttled_ns >= 0 ? Number(throttled_ns) / 1000 : kUnknown;
	}
}

/* By how much a counter has grown; -1 if it is not known or has begun anew. */
double Growth(double before, double after) noexcept
{
	return before >= 0 && after >= before ? after - before : kUnknown;
}

double HostCpu(const LoadReading &before, const LoadReading &after) noexcept
{
	const double ticks = Growth(before.ticks, after.ticks), busy = Growth(before.busy_ticks, after.busy_ticks);
	const double runnable = std::max(0.0, after.running - 1);

	if (!(after.processors > 0) || after.running < 0)
		return kUnknown;
	/* Without the times: those of the moment alone. */
	if (!(ticks > 0) || busy < 0)
		return runnable / (after.processors * kRunnablePerProcessor);
	const double in_line = std::max(0.0, runnable - after.processors);
	return (busy / ticks * after.processors + in_line) / (after.processors * kRunnablePerProcessor);
}

double GroupCpu(const LoadReading &before, const LoadReading &after, double elapsed_us) noexcept
{
	const double used = Growth(before.group_us, after.group_us), throttled = Growth(before.throttled_us, after.throttled_us);

	if (!(after.quota > 0) || used < 0)
		return kUnknown;
	return (used + std::max(throttled, 0.0)) / elapsed_us / (after.quota * kRunnablePerProcessor);
}

double IoWait(const LoadReading &before, const LoadReading &after) noexcept
{
	const double ticks = Growth(before.ticks, after.ticks), waiting = Growth(before.waiting_ticks, after.waiting_ticks);

	if (!(ticks > 0) || waiting < 0 || after.blocked < 0 || !(after.processors > 0))
		return kUnknown;
	return std::min(waiting / ticks / kFullIoWait, after.blocked / (after.processors * kBlockedPerProcessor));
}

double Stall(double before_us, double after_us, double elapsed_us, double full) noexcept
{
	const double stalled = Growth(before_us, after_us);
	return stalled < 0 ? kUnknown : stalled / elapsed_us / full;
}

}  // namespace

void ParseStat(const char *text, LoadReading *reading) noexcept
{
	double user, nice, system, idle, waiting, interrupt = 0, soft = 0, stolen = 0;

	const int count = std::sscanf(text, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle, &waiting, &interrupt, &soft,
	                              &stolen);
	if (count >= 5) {
		reading->busy_ticks = user + nice + system + interrupt + soft + stolen;
		reading->waiting_ticks = waiting;
		reading->ticks = reading->busy_ticks + idle + waiting;
	}
	reading->running = Number(NumberOfLine(text, "procs_running"));
	reading->blocked = Number(NumberOfLine(text, "procs_blocked"));
}

double ParseStallUs(const char *text) noexcept
{
	const char *some = std::strstr(text, "some ");
	const char *total = some != nullptr ? std::strstr(some, "total=") : nullptr;
	return total != nullptr ? std::strtod(total + std::strlen("total="), nullptr) : kUnknown;
}

double ParseCpuMax(const char *text) noexcept
{
	double quota, period;

	if (std::sscanf(text, "%lf %lf", &quota, &period) != 2 || !(quota > 0) || !(period > 0))
		return kUnknown; /* "max 100000" */
	return quota / period;
}

void FindLoadGroups(LoadGroups *groups, const char *root) noexcept
{
	OwnGroups own(root);
	const char *controllers, *path;
	double lowest = kUnknown;

	std::memset(groups, 0, sizeof *groups);
	while (own.Next(&controllers, &path))
		AddGroup(groups, &lowest, root, controllers, path);
	FindUsage(groups);
}

void ReadLoad(const LoadGroups &groups, LoadReading *reading, const char *root) noexcept
{
	static char text[kStatBytes];   /* too large for a stack; one reader in each process */
	char folder[kLoadPathLength];

	*reading = LoadReading{};
	const long online = sysconf(_SC_NPROCESSORS_ONLN);
	reading->processors = online > 0 ? static_cast<double>(online) : kUnknown;
	std::snprintf(folder, sizeof folder, "%s/proc", root);
	if (ReadIn(folder, "stat", text, sizeof text))
		ParseStat(text, reading);
	reading->io_stall_us = StallIn(folder, "pressure/io");
	reading->memory_stall_us = StallIn(folder, "pressure/memory");
	reading->group_io_stall_us = StallIn(groups.pressure, "io.pressure");
	reading->group_memory_stall_us = StallIn(groups.pressure, "memory.pressure");
	ReadGroupUse(groups, reading);
}

Saturation SaturationBetween(const LoadReading &before, const LoadReading &after, double elapsed_ms) noexcept
{
	const double elapsed_us = elapsed_ms * 1000;
	Saturation saturation;

	for (float &reading : saturation.of)
		reading = static_cast<float>(kUnknown);
	const auto set = [&saturation](Resource resource, double reading) {
		saturation.of[static_cast<int>(resource)] = static_cast<float>(reading);
	};
	if (!(elapsed_us > 0))
		return saturation;
	set(Resource::kCpu, std::max(HostCpu(before, after), GroupCpu(before, after, elapsed_us)));
	set(Resource::kIoWait, IoWait(before, after));
	set(Resource::kIoStall, std::max(Stall(before.io_stall_us, after.io_stall_us, elapsed_us, kFullIoStall),
	                                 Stall(before.group_io_stall_us, after.group_io_stall_us, elapsed_us, kFullIoStall)));
	set(Resource::kMemoryStall, std::max(Stall(before.memory_stall_us, after.memory_stall_us, elapsed_us, kFullMemoryStall),
	                                     Stall(before.group_memory_stall_us, after.group_memory_stall_us, elapsed_us, kFullMemoryStall)));
	return saturation;
}

}  // namespace wlm
