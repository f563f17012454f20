/*
 * graph_random.hpp
 *
 * Random numbers that are the same with every compiler and library, unlike
 * those of std::shuffle and the distributions of <random>.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/hash.hpp"

namespace wlm::trainer {

class Random {
  public:
	explicit Random(uint64_t seed) : state_(Mix(seed)) {}

	uint64_t Next() { return Mix(state_ += 0x9e3779b97f4a7c15u); }
	/* In [0, 1). */
	float Uniform() { return static_cast<float>(Next() >> 40) * 0x1p-24f; }
	/* In [0, limit); the bias is below limit / 2^32. */
	size_t Below(size_t limit) { return static_cast<size_t>(((Next() >> 32) * static_cast<uint64_t>(limit)) >> 32); }

	template <class T>
	void Shuffle(std::vector<T> *values)
	{
		for (size_t i = values->size(); i > 1; i--)
			std::swap((*values)[i - 1], (*values)[Below(i)]);
	}

  private:
	uint64_t state_;
};

}  // namespace wlm::trainer
