/*
 * memory_groups.cpp
 *
 * What counts as used: memory.current (or usage_in_bytes) less the file pages, which the kernel
 * drops before it lets an allocation fail. Dirty ones too: they are written
 * first, which slows writers down but is no lack of memory. Shared memory and tmpfs are on the
 * anonymous lists, so shared_buffers and dynamic shared memory count.
 */
#include "pg/machine/memory_groups.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

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

/* A line is id:controllers:path; version 2 has id 0 and no controllers. */
void AddLine(MemoryGroups *found, const char *root, char *line) noexcept
{
	char *controllers = std::strchr(line, ':');
	char *group = controllers != nullptr ? std::strchr(controllers + 1, ':') : nullptr;

	if (group == nullptr)
		return;
	*group++ = '\0';
	controllers++;
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

int ReadSmallFile(const char *path, char *buffer, size_t size) noexcept
{
	const int file = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	if (file < 0)
		return -1;
	while (length < size - 1) {
		const ssize_t bytes = read(file, buffer + length, size - 1 - length);
		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes <= 0)
			break;
		length += static_cast<size_t>(bytes);
	}
	close(file);
	buffer[length] = '\0';
	return static_cast<int>(length);
}

int64_t NumberOfLine(const char *text, const char *key) noexcept
{
	const size_t length = std::strlen(key);

	for (const char *line = text; line != nullptr && *line != '\0';) {
		if (std::strncmp(line, key, length) == 0 && (line[length] == ' ' || line[length] == ':'))
			return std::strtoll(line + length + 1, nullptr, 10);
		line = std::strchr(line, '\n');
		if (line != nullptr)
			line++;
	}
	return -1;
}

void FindMemoryGroups(MemoryGroups *found, const char *root) noexcept
{
	char path[kGroupPathLength], text[kFileBytes];

	found->count = 0;
	std::snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
	if (ReadSmallFile(path, text, sizeof text) <= 0)
		return;
	for (char *line = text; *line != '\0';) {
		char *end = line + std::strcspn(line, "\n");
		char *next = *end == '\0' ? end : end + 1;
		*end = '\0';
		AddLine(found, root, line);
		line = next;
	}
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
