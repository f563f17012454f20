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
	/* By last_seen, oldest first, after Sort(); index in [0, size()). False only for a damaged pool. */
	bool Get(int index, Sample *sample) const noexcept;
	std::span<const std::byte> Encoded(int index) const noexcept;
	void Sort() noexcept;
	/* Sets Sample::weight so that no role exceeds kMostRoleShare; call after the last Add. */
	void LimitRoles() noexcept;

  private:
	/* the implementer's */
};

}  // namespace wlm
