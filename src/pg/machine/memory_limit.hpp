/*
 * memory_limit.hpp
 *
 * How much memory this machine, container or service may use.
 */
#pragma once

#include <cstdint>

namespace wlm {

/* kB: the least of physical memory and the limits of the process's cgroups (v1 or v2). Reads /proc and /sys. */
int64_t MemoryLimitKb() noexcept;

}  // namespace wlm
