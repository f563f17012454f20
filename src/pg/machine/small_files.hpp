/*
 * small_files.hpp
 *
 * The small files of /proc and /sys in which Linux says how the machine does, read without
 * allocation. Where they are missing or hidden the answer is that nothing is known.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace wlm {

/* Up to size - 1 bytes and a terminating zero; the length, or -1. */
int ReadSmallFile(const char *path, char *buffer, size_t size) noexcept;

/* The number after `key` where that begins a line and a blank or colon ends it; -1 = not there. */
int64_t NumberOfLine(const char *text, const char *key) noexcept;

/* The control groups of this process, from /proc/self/cgroup. `root`: where /proc is; tests make their own. */
class OwnGroups {
public:
	explicit OwnGroups(const char *root) noexcept;

	/* Controllers of version 1, "" for version 2; the path below its mount, in a container perhaps that of the host. False at the end. */
	bool Next(const char **controllers, const char **path) noexcept;

private:
	char text_[8192];
	char *line_ = text_;
};

}  // namespace wlm
