/*
 * sequence.hpp
 *
 * A sequence counter for plain data in shared memory that has one writer at a
 * time and many readers: odd while it is written, raised by two per change.
 * Readers copy and check; they never wait and never block the writer.
 */
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

namespace wlm {

struct Sequence {
	std::atomic<uint32_t> value;

	void BeginWrite() noexcept
	{
		value.store(value.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
		std::atomic_thread_fence(std::memory_order_release);
	}
	void EndWrite() noexcept
	{
		value.store(value.load(std::memory_order_relaxed) + 1, std::memory_order_release);
	}
	uint32_t BeginRead() const noexcept { return value.load(std::memory_order_acquire); }

	/* True when the copy made since BeginRead() returned `before` is whole. */
	bool EndRead(uint32_t before) const noexcept
	{
		std::atomic_thread_fence(std::memory_order_acquire);
		return (before & 1) == 0 && value.load(std::memory_order_relaxed) == before;
	}
};

static_assert(std::atomic<uint32_t>::is_always_lock_free);

}  // namespace wlm
