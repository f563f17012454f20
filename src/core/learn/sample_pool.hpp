/*
 * sample_pool.hpp
 *
 * A bounded selection of what was seen, for training: one sample per distinct
 * plan; when memory runs out, the fullest bucket of duration gives up its
 * oldest, so that the many short do not drown the few long, and the newest
 * stay. After ALGORITHMS.md, section 5.
 *
 * Encoded samples in a buffer of the caller; may be far smaller than what is
 * streamed through it. Used by the training worker and by pg_wlm_trainer.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/learn/sample.hpp"

namespace wlm {

inline constexpr int kDurationBuckets = 12; /* of ln(ms): one e-fold each from e^-1 on, the ends are open */

/* No role's samples weigh together more than this part of all, where others contribute too. */
inline constexpr float kMostRoleShare = 0.5f;

class SamplePool {
  public:
	static size_t BytesNeeded(size_t sample_bytes) noexcept; /* for so many bytes of samples and their index */
	/* nullptr if the span is too small or misaligned. */
	static SamplePool *Init(std::span<std::byte> memory) noexcept;

	/* Folds into the plan's sample, or adds one, or gives up an older one for it. */
	void Add(const Sample &sample) noexcept;

	int size() const noexcept;
	int64_t num_added() const noexcept;
	int64_t num_given_up() const noexcept;
	/* In the order of the last Sort...(); index in [0, size()). False only for a damaged pool. */
	bool Get(int index, Sample *sample) const noexcept;
	std::span<const std::byte> Encoded(int index) const noexcept;
	void Sort() noexcept;            /* by last_seen, oldest first */
	void SortByFirstSeen() noexcept; /* the newest kinds come last: nobody has been trained on them */
	/* Sets Sample::weight so that no role exceeds kMostRoleShare; call after the last Add. */
	void LimitRoles() noexcept;

  private:
	void NumberPlaces() noexcept;
	static constexpr uint32_t kNone = UINT32_MAX;
	/* Roles by hash: inside a bucket no group of them may crowd out the others. */
	static constexpr uint32_t kRoleGroups = 32;

	/* One sample: where it is, what eviction needs to know, and its links in chain and heap (entries' numbers). */
	struct Entry {
		uint64_t fingerprint;
		uint64_t role;
		int64_t first_seen;
		int64_t last_seen;
		uint64_t at;       /* of its block in the data */
		uint32_t bytes;    /* of the sample */
		uint32_t place;    /* in the order */
		uint32_t next;     /* in the chain of its hash, or of the free ones */
		uint32_t child;
		uint32_t sibling;
		uint32_t previous; /* left sibling, or the parent of a first child */
		uint32_t bucket;   /* of duration */
		uint32_t group;    /* of its role */
	};

	/* Stands before every sample; blocks follow each other without gaps, in multiples of 8 bytes. */
	struct Block {
		uint32_t entry; /* kNone = given up */
		uint32_t bytes; /* with this header */
	};

	struct Layout {
		uint64_t heads_at, order_at, entries_at, data_at, end; /* offsets from the pool */
		uint32_t num_heads, capacity;
	};
	static Layout LayoutFor(uint64_t sample_bytes) noexcept;

	template <class T>
	T *At(uint64_t offset) noexcept
	{
		return reinterpret_cast<T *>(reinterpret_cast<std::byte *>(this) + offset);
	}
	template <class T>
	const T *At(uint64_t offset) const noexcept
	{
		return reinterpret_cast<const T *>(reinterpret_cast<const std::byte *>(this) + offset);
	}
	Entry *entries() noexcept { return At<Entry>(layout_.entries_at); }
	const Entry *entries() const noexcept { return At<Entry>(layout_.entries_at); }
	uint32_t *order() noexcept { return At<uint32_t>(layout_.order_at); }
	const uint32_t *order() const noexcept { return At<uint32_t>(layout_.order_at); }
	Block *BlockAt(uint64_t at) noexcept { return At<Block>(layout_.data_at + at); }
	std::span<std::byte> Bytes(uint32_t entry) noexcept;

	uint32_t *Head(uint64_t fingerprint) noexcept;
	uint32_t Find(uint64_t fingerprint) noexcept;
	bool IsOlder(uint32_t a, uint32_t b) const noexcept;

	uint32_t Meld(uint32_t a, uint32_t b) noexcept;
	uint32_t MeldChildren(uint32_t entry) noexcept;
	void PutInHeap(uint32_t entry) noexcept;
	void TakeFromHeap(uint32_t entry) noexcept;

	void Describe(uint32_t entry, const Sample &sample) noexcept;
	void Insert(const Sample &sample) noexcept;
	void Remove(uint32_t entry) noexcept;
	bool MakeRoom(uint64_t block_bytes) noexcept;
	void GiveUpOne() noexcept;
	void Compact() noexcept;

	Layout layout_;
	uint64_t data_bytes_;
	uint64_t data_end_;  /* behind the last block */
	uint64_t data_live_; /* of it, in blocks of samples that are still here */
	int64_t num_added_;
	int64_t num_given_up_;
	uint32_t size_;
	uint32_t free_;      /* first of the chain of unused entries */
	uint32_t counts_[kDurationBuckets][kRoleGroups];
	uint32_t roots_[kDurationBuckets][kRoleGroups]; /* heaps, the oldest on top */
};

}  // namespace wlm
