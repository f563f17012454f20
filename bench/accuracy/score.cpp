/*
 * score.cpp
 *
 * See score.hpp. The bootstrap (Efron 1979) draws plans with replacement, the
 * same ones for both sides, 1,000 times from a fixed seed.
 */
#include "score.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "core/hash.hpp"
#include "core/predict/expert.hpp"

namespace wlm::accuracy {

namespace {

constexpr int kResamples = 1000;
constexpr uint64_t kSeed = 20260101;
constexpr double kLeastAnswered = 0.9;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Pair {
	double first, second; /* ln of q-errors */
	uint32_t plan;
};

/* One side of the pairs in ascending order, so that a resample needs no sorting. */
std::vector<uint32_t> Order(const std::vector<Pair> &pairs, double Pair::*side)
{
	std::vector<uint32_t> order(pairs.size());
	std::iota(order.begin(), order.end(), 0u);
	std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return pairs[a].*side < pairs[b].*side; });
	return order;
}

double WeightedQuantile(const std::vector<Pair> &pairs, const std::vector<uint32_t> &order, double Pair::*side,
                        const std::vector<uint32_t> &weights, double total, double quantile)
{
	double sum = 0;
	for (const uint32_t i : order) {
		sum += weights[pairs[i].plan];
		if (sum >= quantile * total)
			return pairs[i].*side;
	}
	return pairs[order.back()].*side;
}

double Percent(double log_ratio) { return 100 * (std::exp(log_ratio) - 1); }

}  // namespace

const char *SystemName(int system)
{
	switch (system) {
		case kMixture: return "mixture";
		case kPostgres: return "PostgreSQL's estimate";
		case kFlat: return "one plain XGBoost";
		case kFloor: return "noise floor";
		default: return system >= 0 && system < kNumExperts ? kExperts[system].name : "unknown";
	}
}

double Quantile(std::vector<double> values, double part)
{
	if (values.empty())
		return kNan;
	const auto rank = static_cast<size_t>(std::ceil(part * static_cast<double>(values.size())));
	const size_t index = std::clamp<size_t>(rank, 1, values.size()) - 1;
	std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(index), values.end());
	return values[index];
}

Summary Summarise(std::span<const Score *const> scores, int system)
{
	std::vector<double> errors;
	std::vector<double> widths;
	size_t covered = 0;
	for (const Score *score : scores) {
		const Guess &guess = score->guesses[system];
		if (!std::isfinite(guess.mean))
			continue;
		errors.push_back(std::exp(std::fabs(static_cast<double>(guess.mean) - score->truth)));
		if (!std::isfinite(guess.low) || !std::isfinite(guess.high))
			continue;
		widths.push_back(std::exp(static_cast<double>(guess.high) - guess.low));
		covered += score->truth >= guess.low && score->truth <= guess.high;
	}
	Summary summary;
	summary.count = errors.size();
	summary.p50 = Quantile(errors, 0.5);
	summary.p90 = Quantile(errors, 0.9);
	summary.p95 = Quantile(errors, 0.95);
	summary.coverage = widths.empty() ? kNan : static_cast<double>(covered) / static_cast<double>(widths.size());
	summary.width = Quantile(widths, 0.5);
	return summary;
}

Comparison CompareWith(std::span<const Score *const> scores, int system, double quantile)
{
	Comparison comparison;
	std::vector<Pair> pairs;
	std::unordered_map<uint64_t, uint32_t> plans;
	for (const Score *score : scores) {
		const float mixture = score->guesses[kMixture].mean;
		const float other = score->guesses[system].mean;
		if (!std::isfinite(mixture) || !std::isfinite(other))
			continue;
		const auto plan = plans.emplace(score->plan, static_cast<uint32_t>(plans.size())).first->second;
		const double truth = score->truth;
		pairs.push_back({std::fabs(mixture - truth), std::fabs(other - truth), plan});
	}
	if (pairs.empty())
		return comparison;
	comparison.expert = system;
	comparison.count = pairs.size();
	std::vector<uint32_t> sizes(plans.size());
	for (const Pair &pair : pairs)
		sizes[pair.plan]++;
	const std::vector<uint32_t> by_mixture = Order(pairs, &Pair::first);
	const std::vector<uint32_t> by_other = Order(pairs, &Pair::second);
	std::vector<uint32_t> weights(plans.size(), 1);
	const auto difference = [&](double total) {
		return Percent(WeightedQuantile(pairs, by_mixture, &Pair::first, weights, total, quantile) -
		               WeightedQuantile(pairs, by_other, &Pair::second, weights, total, quantile));
	};
	comparison.difference = difference(static_cast<double>(pairs.size()));

	std::vector<double> differences;
	uint64_t state = kSeed;
	for (int resample = 0; resample < kResamples; resample++) {
		std::fill(weights.begin(), weights.end(), 0u);
		double total = 0;
		for (size_t i = 0; i < weights.size(); i++) {
			state = Mix(state);
			const size_t drawn = state % weights.size();
			weights[drawn]++;
			total += sizes[drawn];
		}
		differences.push_back(difference(total));
	}
	comparison.low = Quantile(differences, 0.025);
	comparison.high = Quantile(differences, 0.975);
	return comparison;
}

Comparison CompareWithBest(std::span<const Score *const> scores, double quantile)
{
	int best = -1;
	double least = std::numeric_limits<double>::infinity();
	for (int expert = 0; expert < kNumExperts; expert++) {
		std::vector<double> errors;
		for (const Score *score : scores)
			if (std::isfinite(score->guesses[expert].mean))
				errors.push_back(std::fabs(static_cast<double>(score->guesses[expert].mean) - score->truth));
		if (static_cast<double>(errors.size()) < kLeastAnswered * static_cast<double>(scores.size()) || errors.empty())
			continue;
		const double error = Quantile(errors, quantile);
		if (error < least) {
			least = error;
			best = expert;
		}
	}
	return best < 0 ? Comparison{} : CompareWith(scores, best, quantile);
}

}  // namespace wlm::accuracy
