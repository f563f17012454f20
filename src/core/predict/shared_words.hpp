/*
 * shared_words.hpp
 *
 * Copying a struct that begins with a Sequence out of and into shared memory,
 * word by word with relaxed atomic accesses, so that a reader that overlaps
 * with the writer sees old or new words (and then discards the copy), never
 * undefined behaviour. One writer at a time.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/sequence.hpp"

namespace wlm {

inline constexpr int kSharedReadAttempts = 4; /* the writer is busy for less than a microsecond */

inline constexpr size_t kSequenceBytes = sizeof(Sequence); /* not copied: each side has its own */

namespace shared_words {

using Word [[gnu::may_alias]] = uint32_t;

inline void Load(const void *shared, void *local, size_t bytes) noexcept
{
	const Word *from = static_cast<const Word *>(shared);
	Word *to = static_cast<Word *>(local);
	for (size_t i = 0; i < bytes / sizeof(Word); i++)
		to[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
}

inline void Store(void *shared, const void *local, size_t bytes) noexcept
{
	Word *to = static_cast<Word *>(shared);
	const Word *from = static_cast<const Word *>(local);
	for (size_t i = 0; i < bytes / sizeof(Word); i++)
		__atomic_store_n(to + i, from[i], __ATOMIC_RELAXED);
}

}  // namespace shared_words

/* False if the writer was busy at every attempt. T::sequence of the copy is not set. */
template <class T>
bool ReadShared(const T &shared, T *copy) noexcept
{
	static_assert(offsetof(T, sequence) == 0 && sizeof(T) % sizeof(uint32_t) == 0);
	for (int i = 0; i < kSharedReadAttempts; i++) {
		const uint32_t before = shared.sequence.BeginRead();
		shared_words::Load(reinterpret_cast<const std::byte *>(&shared) + kSequenceBytes,
		                   reinterpret_cast<std::byte *>(copy) + kSequenceBytes, sizeof(T) - kSequenceBytes);
		if (shared.sequence.EndRead(before))
			return true;
	}
	return false;
}

/* The writer's copy; only the writer may call it. */
template <class T>
void ReadOwn(const T &shared, T *copy) noexcept
{
	shared_words::Load(reinterpret_cast<const std::byte *>(&shared) + kSequenceBytes,
	                   reinterpret_cast<std::byte *>(copy) + kSequenceBytes, sizeof(T) - kSequenceBytes);
}

template <class T>
void PublishShared(T *shared, const T &local) noexcept
{
	shared->sequence.BeginWrite();
	shared_words::Store(reinterpret_cast<std::byte *>(shared) + kSequenceBytes,
	                    reinterpret_cast<const std::byte *>(&local) + kSequenceBytes, sizeof(T) - kSequenceBytes);
	shared->sequence.EndWrite();
}

}  // namespace wlm
