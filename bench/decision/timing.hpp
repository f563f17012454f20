/*
 * timing.hpp
 *
 * Nanoseconds of short calls: each call is timed by itself, subjects and plans
 * take turns, so that whatever else the machine does hits all alike; what
 * reading the clock takes is subtracted.
 */
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace wlm::bench {

class Timings {
  public:
	template <class Call>
	void Time(const Call &call)
	{
		const auto start = std::chrono::steady_clock::now();
		call();
		const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
		nanoseconds_.push_back(elapsed.count());
	}
	/* Room, so that measuring does not allocate. */
	void Reserve(size_t count) { nanoseconds_.reserve(count); }
	double Quantile(double quantile, double overhead) const { return std::max(QuantileOf(nanoseconds_, quantile) - overhead, 0.0); }
	/* Over plans, each with its median over rounds: what interrupts a call says nothing of the plan. */
	double QuantileOverPlans(size_t plans, double quantile, double overhead) const
	{
		std::vector<double> medians;
		for (size_t plan = 0; plan < plans; plan++) {
			std::vector<double> rounds;
			for (size_t i = plan; i < nanoseconds_.size(); i += plans)
				rounds.push_back(nanoseconds_[i]);
			medians.push_back(QuantileOf(std::move(rounds), 0.5));
		}
		return std::max(QuantileOf(std::move(medians), quantile) - overhead, 0.0);
	}

  private:
	static double QuantileOf(std::vector<double> values, double quantile)
	{
		std::sort(values.begin(), values.end());
		return values[static_cast<size_t>(quantile * static_cast<double>(values.size() - 1))];
	}

	std::vector<double> nanoseconds_;
};

}  // namespace wlm::bench
