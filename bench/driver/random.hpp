// Random numbers that are the same on every machine: the standard fixes the engine's output but not its distributions', so the
// few needed here are made by hand.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

namespace wlm::bench {

class Random {
  public:
	explicit Random(uint64_t seed) : engine_(seed) {}

	// In [0, 1).
	double Uniform() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }

	// In [low, high]; skew above 1 prefers low values as the data do.
	int64_t Between(int64_t low, int64_t high, double skew = 1.0) {
		return low + static_cast<int64_t>(std::pow(Uniform(), skew) * static_cast<double>(high - low + 1));
	}

	template <typename T>
	void Shuffle(std::vector<T>& items) {
		for (size_t i = items.size(); i > 1; --i)
			std::swap(items[i - 1], items[static_cast<size_t>(Between(0, static_cast<int64_t>(i) - 1))]);
	}

  private:
	std::mt19937_64 engine_;
};

// FNV-1a, also for chained use.
inline uint64_t HashText(std::string_view text, uint64_t hash = 14695981039346656037ull) {
	for (const char c : text)
		hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
	return hash;
}

}  // namespace wlm::bench
