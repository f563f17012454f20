/*
 * memory_groups.hpp
 *
 * The control groups (cgroups, version 1 or 2) that limit this process's memory: its own
 * and those above it. Where they are hidden the answer is that nothing is known. No allocation.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace wlm {

inline constexpr int kMaxMemoryGroups = 16;   /* deeper nesting is cut at the top */
inline constexpr int kGroupPathLength = 512;

struct MemoryGroup {
	bool version_2;
	char folder[kGroupPathLength];
};

struct MemoryGroups {
	int count;
	MemoryGroup groups[kMaxMemoryGroups];
};

/* Those of this process that exist, its own first. `root`: where /proc and /sys are; tests make their own. */
void FindMemoryGroups(MemoryGroups *found, const char *root = "") noexcept;

/* kB; -1 = no limit. Version 2: the lower of memory.max and memory.high, above which processes are slowed down to nothing. */
int64_t GroupLimitKb(const MemoryGroup &group) noexcept;

/* kB that could not be reclaimed: without page cache. -1 = unknown. */
int64_t GroupUsedKb(const MemoryGroup &group) noexcept;

}  // namespace wlm
