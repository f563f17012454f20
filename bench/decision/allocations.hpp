/*
 * allocations.hpp
 *
 * Counts what this program allocates, so that "a prediction allocates nothing"
 * is measured and not believed.
 */
#pragma once

#include <cstdint>

namespace wlm::bench {

/* Calls of malloc, calloc, realloc, aligned_alloc and operator new since the program began. */
int64_t Allocations();

}  // namespace wlm::bench
