/*
 * allocations.cpp
 *
 * The C library's allocators, wrapped; operator new calls them. glibc only: it
 * offers its own under other names.
 */
#include "allocations.hpp"

#include <atomic>
#include <cstddef>

extern "C" {
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
}

namespace {

constinit std::atomic<int64_t> allocations{0};

void Count() { allocations.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

extern "C" {

void *malloc(size_t size)
{
	Count();
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	Count();
	return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	Count();
	return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	Count();
	return __libc_memalign(alignment, size);
}

}  // extern "C"

namespace wlm::bench {

int64_t Allocations() { return allocations.load(std::memory_order_relaxed); }

}  // namespace wlm::bench
