/*
 * recall_access.hpp
 *
 * What the store's writer, its readers and the blob share: where a fingerprint
 * may live, and how an entry gets in.
 */
#pragma once

#include "core/predict/recall_store.hpp"

namespace wlm {

inline constexpr uint32_t kRecallBucket = 8; /* candidates that a fingerprint may replace */
inline constexpr uint32_t kMostRecallEntries = 1u << 24;

/* The bucket's entries: [first, first + length). */
struct RecallBucket {
	uint32_t first;
	uint32_t length;
};

RecallBucket BucketOf(const RecallStore &store, uint64_t fingerprint) noexcept;

/* An empty entry for a fingerprint. */
void InitEntry(RecallEntry *entry, uint64_t fingerprint) noexcept;

/*
 * The writer's: the entry of this fingerprint, a free one, or the least recently used of the
 * bucket. `found` says whether it is the fingerprint's own.
 */
RecallEntry *PlaceFor(RecallStore *store, uint64_t fingerprint, bool *found) noexcept;

/* Puts an entry from a blob in place, unless the bucket is full of more recent ones. */
void InsertEntry(RecallStore *store, const RecallEntry &entry) noexcept;

}  // namespace wlm
