/*
 * memory_limit.cpp
 *
 * Read once per configuration change, in the launcher or at server start.
 */
#include "pg/machine/memory_limit.hpp"

#include <unistd.h>

#include <algorithm>

#include "pg/machine/memory_groups.hpp"

namespace wlm {

int64_t MemoryLimitKb() noexcept
{
	int64_t least = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * (sysconf(_SC_PAGESIZE) / 1024);
	MemoryGroups found;

	FindMemoryGroups(&found);
	for (int i = 0; i < found.count; i++) {
		const int64_t limit = GroupLimitKb(found.groups[i]);
		if (limit > 0)
			least = std::min(least, limit);
	}
	return least;
}

}  // namespace wlm
