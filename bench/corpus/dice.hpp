// Draws for the corpus on top of the driver's generator, whose numbers are the same on every machine.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "../driver/random.hpp"

namespace wlm::corpus {

class Dice {
  public:
	explicit Dice(uint64_t seed) : random_(seed) {}

	bool Chance(double probability) { return random_.Uniform() < probability; }
	double Real(double low, double high) { return low + (high - low) * random_.Uniform(); }

	// In [low, high].
	int Int(int low, int high) { return static_cast<int>(random_.Between(low, high)); }

	// Uniform in the logarithm: as often between 10 and 100 as between 100 and 1000. Both positive.
	double Log(double low, double high) { return low * std::pow(high / low, random_.Uniform()); }

	size_t Index(size_t count) { return static_cast<size_t>(random_.Between(0, static_cast<int64_t>(count) - 1)); }

	template <typename T>
	const T &Pick(const std::vector<T> &items)
	{
		return items[Index(items.size())];
	}

	// Index of a weight, with probability proportional to it.
	size_t Weighted(const std::vector<double> &weights)
	{
		double sum = 0.0;
		for (const double weight : weights)
			sum += weight;
		double left = random_.Uniform() * sum;
		for (size_t i = 0; i + 1 < weights.size(); ++i)
			if ((left -= weights[i]) < 0.0)
				return i;
		return weights.size() - 1;
	}

	template <typename T>
	void Shuffle(std::vector<T> &items)
	{
		random_.Shuffle(items);
	}

  private:
	bench::Random random_;
};

}  // namespace wlm::corpus
