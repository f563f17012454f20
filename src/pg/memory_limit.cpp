/*
 * memory_limit.cpp
 *
 * Read once per configuration change, in the launcher or at server start.
 */
#include "pg/memory_limit.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace wlm {

namespace {

constexpr int kPathLength = 1024;

/* First number in the file, or -1: absent, unreadable, "max". */
int64_t ReadNumber(const char *path) noexcept
{
	char line[64] = "";
	FILE *file = std::fopen(path, "re");

	if (file == nullptr)
		return -1;
	const bool read = std::fgets(line, sizeof line, file) != nullptr;
	std::fclose(file);
	char *end = line;
	const long long value = std::strtoll(line, &end, 10);
	return read && end != line ? static_cast<int64_t>(value) : -1;
}

/* A group's limit is the least of its own and those of the groups above it. */
int64_t LeastOnPath(const char *root, const char *group, const char *file, int64_t least) noexcept
{
	char folder[kPathLength], path[kPathLength + 64];

	if (std::snprintf(folder, sizeof folder, "%s%s", root, group) >= static_cast<int>(sizeof folder))
		return least;
	const size_t root_length = std::strlen(root);
	for (;;) {
		std::snprintf(path, sizeof path, "%s/%s", folder, file);
		const int64_t bytes = ReadNumber(path);
		if (bytes > 0)
			least = std::min(least, bytes / 1024);
		char *slash = std::strrchr(folder, '/');
		if (slash == nullptr || static_cast<size_t>(slash - folder) < root_length)
			return least;
		*slash = '\0';
	}
}

}  // namespace

int64_t MemoryLimitKb() noexcept
{
	int64_t least = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * (sysconf(_SC_PAGESIZE) / 1024);
	char line[kPathLength];
	FILE *file = std::fopen("/proc/self/cgroup", "re");

	if (file == nullptr)
		return least;
	/* Lines are id:controllers:path; version 2 has id 0 and no controllers. */
	while (std::fgets(line, sizeof line, file) != nullptr) {
		line[std::strcspn(line, "\n")] = '\0';
		char *controllers = std::strchr(line, ':');
		char *group = controllers != nullptr ? std::strchr(controllers + 1, ':') : nullptr;
		if (group == nullptr)
			continue;
		*group++ = '\0';
		controllers++;
		if (controllers[0] == '\0') {
			least = LeastOnPath("/sys/fs/cgroup", group, "memory.max", least);
			least = LeastOnPath("/sys/fs/cgroup/unified", group, "memory.max", least);
		} else if (std::strstr(controllers, "memory") != nullptr) {
			least = LeastOnPath("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", least);
			/* In a container the path may be that of the host: its own mount is the root then. */
			least = LeastOnPath("/sys/fs/cgroup/memory", "", "memory.limit_in_bytes", least);
		}
	}
	std::fclose(file);
	return least;
}

}  // namespace wlm
