/*
 * memory_groups.cpp
 *
 * What counts as used: memory.current (or usage_in_bytes) less the file pages, which the kernel
 * drops before it lets an allocation fail. Dirty ones too: they are written
 * first, which slows writers down but is no lack of memory. Shared memory and tmpfs are on the
 * anonymous lists, so shared_buffers and dynamic shared memory count.
 */
#include "pg/machine/memory_groups.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "pg/machine/small_files.hpp"

namespace wlm {

namespace {

constexpr int kFileBytes = 8192;   /* memory.stat has about 2 kB */

/* First number of a file of the group in kB, or -1: absent, unreadable, "max". */
int64_t ReadKb(const MemoryGroup &group, const char *name) noexcept
{
	char path[kGroupPathLength + 64], text[64];
	char *end = text;

	std::snprintf(path, sizeof path, "%s/%s", group.folder, name);
	if (ReadSmallFile(path, text, sizeof text) <= 0)
		return -1;
	const long long value = std::strtoll(text, &end, 10);
	return end == text || value < 0 ? -1 : static_cast<int64_t>(value / 1024);
}

/* The group and those above it, as far as they have the file. */
void AddPath(MemoryGroups *found, bool version_2, const char *root, const char *mount, const char *group) noexcept
{
	char folder[kGroupPathLength], path[kGroupPathLength + 64];

	if (std::snprintf(folder, sizeof folder, "%s%s%s", root, mount, std::strcmp(group, "/") == 0 ? "" : group) >=
	    static_cast<int>(sizeof folder))
		return;
	const size_t mount_length = std::strlen(root) + std::strlen(mount);
	while (found->count < kMaxMemoryGroups) {
		std::snprintf(path, sizeof path, "%s/%s", folder, version_2 ? "memory.max" : "memory.limit_in_bytes");
		if (access(path, R_OK) == 0) {
			MemoryGroup &added = found->groups[found->count++];
			added.version_2 = version_2;
			std::memcpy(added.folder, folder, sizeof folder);
		}
		char *slash = std::strrchr(folder, '/');
		if (slash == nullptr || static_cast<size_t>(slash - folder) < mount_length)
			return;
		*slash = '\0';
	}
}

void AddGroup(MemoryGroups *found, const char *root, const char *controllers, const char *group) noexcept
{
	if (controllers[0] == '\0') {
		AddPath(found, true, root, "/sys/fs/cgroup", group);
		AddPath(found, true, root, "/sys/fs/cgroup/unified", group);
	} else if (std::strstr(controllers, "memory") != nullptr) {
		const int before = found->count;
		AddPath(found, false, root, "/sys/fs/cgroup/memory", group);
		/* In a container the path may be that of the host: its own mount is the root then. */
		if (found->count == before)
			AddPath(found, false, root, "/sys/fs/cgroup/memory", "");
	}
}

}  // namespace

void FindMemoryGroups(MemoryGroups *found, const char *root) noexcept
{
	OwnGroups own(root);
	const char *controllers, *path;

	found->count = 0;
	while (own.Next(&controllers, &path))
		AddGroup(found, root, controllers, path);
}

int64_t GroupLimitKb(const MemoryGroup &group) noexcept
{
	if (!group.version_2)
		return ReadKb(group, "memory.limit_in_bytes");
	const int64_t most = ReadKb(group, "memory.max"), high = ReadKb(group, "memory.high");
	return most < 0 || high < 0 ? std::max(most, high) : std::min(most, high);
}

int64_t GroupUsedKb(const MemoryGroup &group) noexcept
{
	char path[kGroupPathLength + 64], text[kFileBytes];
	const int64_t used = ReadKb(group, group.version_2 ? "memory.current" : "memory.usage_in_bytes");

	if (used < 0)
		return -1;
	std::snprintf(path, sizeof path, "%s/memory.stat", group.folder);
	if (ReadSmallFile(path, text, sizeof text) <= 0)
		return -1; /* with page cache it would look like pressure */
	int64_t reclaimable = 0;
	if (group.version_2) {
		for (const char *key : {"inactive_file", "active_file", "slab_reclaimable"})
			reclaimable += std::max<int64_t>(NumberOfLine(text, key), 0);
	} else {
		for (const char *key : {"total_inactive_file", "total_active_file"})
			reclaimable += std::max<int64_t>(NumberOfLine(text, key), 0);
	}
	return std::max<int64_t>(used - reclaimable / 1024, 0);
}

}  // namespace wlm
