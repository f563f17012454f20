/*
 * neighbour_search.cpp
 *
 * Exact search through all points, and the weighing of what was found.
 *
 * Weighing: the graph expert's error is taken for a smooth function of the
 * embedding, with mean 0 and variance s2, that is correlated by
 * exp(-d^2 / 2h^2) over a distance d. One example with error r, seen with noise v,
 * then says r with variance v + s2 (exp(d^2 / 2h^2) - 1); examples are combined by
 * precision, together with the prior's 0 of variance s2. So the correction
 * fades to nothing far from all examples, and its variance grows to s2. Where
 * neighbours disagree by more than their variances allow, the variance grows by
 * their reduced chi-square (Birge 1932). h is a multiple of the typical distance
 * between neighbours, chosen by what each would have predicted for new examples.
 */
#include "core/predict/neighbour_search.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "core/hash.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

constexpr float kBandwidths[kNumBandwidths] = {0.5f, 1, 2, 4, 8};
constexpr int kUsualBandwidth = 2;

/* Scatter between executions of one plan: the first says nothing of it. As recall has it. */
constexpr float kScatterPrior = 0.09f;
constexpr float kScatterFloor = 0.0016f;

constexpr float kLeastPrior = 0.01f; /* of s2 */
constexpr float kMostPrior = 9.0f;
/* Another plan is never quite the same, even where the embedding does not tell: part of s2. */
constexpr float kOtherPlan = 0.02f;
constexpr float kFarthest = 80.0f;   /* d^2 / 2h^2: exp() stays finite */
constexpr float kLeastSupport = 1e-4f;

using Lanes = Eigen::Array<float, 4, 1>;
using LanesView = Eigen::Map<const Lanes, Eigen::Unaligned>;

/* Squares of the distances of eight points; returns the least. */
float Distances(const PointBlock &block, const float *query, float *distances) noexcept
{
	Lanes low = Lanes::Zero();
	Lanes high = Lanes::Zero();
	for (int i = 0; i < kEmbeddingSize; i++) {
		const Lanes low_difference = LanesView(block.at[i]) - query[i];
		const Lanes high_difference = LanesView(block.at[i] + 4) - query[i];
		low += low_difference * low_difference;
		high += high_difference * high_difference;
	}
	Eigen::Map<Lanes, Eigen::Unaligned> first(distances);
	Eigen::Map<Lanes, Eigen::Unaligned> second(distances + 4);
	first = low;
	second = high;
	return low.min(high).minCoeff();
}

void Insert(float distance_square, uint32_t index, NearestFound *found) noexcept
{
	if (found->count < kNearest)
		found->count++;
	else if (!(distance_square < found->at[kNearest - 1].distance_square))
		return;
	int place = found->count - 1;
	for (; place > 0 && distance_square < found->at[place - 1].distance_square; place--)
		found->at[place] = found->at[place - 1];
	found->at[place] = {distance_square, index};
}

void FindInBlock(const PointBlock &block, const Embedding &query, uint32_t first, uint32_t used,
                 NearestFound *found) noexcept
{
	float distances[kLanes];
	const float least = Distances(block, query.at, distances);
	if (found->count == kNearest && least >= found->at[kNearest - 1].distance_square)
		return;
	for (uint32_t lane = 0; lane < used; lane++)
		Insert(distances[lane], first + lane, found);
}

int BestBandwidth(const Landscape &landscape) noexcept
{
	int best = kUsualBandwidth;
	for (int i = 0; i < kNumBandwidths; i++)
		if (landscape.loss[i] < landscape.loss[best])
			best = i;
	return best;
}

float ScatterOf(const Moments &residual) noexcept
{
	return std::max((residual.weight * residual.variance + kScatterPrior) / (residual.weight + 1), kScatterFloor);
}

}  // namespace

uint64_t OperatorKey(uint64_t plan_fingerprint, int memory_slot) noexcept
{
	const uint64_t key = Combine(plan_fingerprint, static_cast<uint64_t>(memory_slot) + 1);
	return key != 0 ? key : 1;
}

bool IsPoint(const Embedding &embedding) noexcept
{
	return std::all_of(std::begin(embedding.at), std::end(embedding.at),
	                   [](float x) { return std::fabs(x) <= kMostCoordinate; });
}

float TypicalDistance(const Landscape &landscape) noexcept { return std::exp(landscape.log_typical); }

void FindPlans(const NeighbourStore &store, const Embedding &query, NearestFound *found) noexcept
{
	const auto arrays = ArraysOf(store);
	found->count = 0;
	for (uint32_t first = 0; first < store.num_plans; first += kLanes)
		FindInBlock(arrays.plan_points[first / kLanes], query, first, std::min(kLanes, store.num_plans - first), found);
}

void FindOperators(const NeighbourStore &store, NodeKind kind, const Embedding &query, NearestFound *found) noexcept
{
	const auto arrays = ArraysOf(store);
	found->count = 0;
	for (uint32_t block = 0; block < store.num_operator_blocks; block++)
		if (arrays.kinds[block] == static_cast<uint8_t>(kind))
			FindInBlock(arrays.operator_points[block], query, block * kLanes, arrays.used[block], found);
}

Correction Weigh(const Landscape &landscape, const Estimate &prior, const Evidence *evidence, int count,
                 int bandwidth) noexcept
{
	const float width = TypicalDistance(landscape) *
		kBandwidths[bandwidth >= 0 && bandwidth < kNumBandwidths ? bandwidth : BestBandwidth(landscape)];
	const float inverse = 0.5f / (width * width);
	float decay[kNearest]; /* exp(-decay) is the correlation */
	float nearest = 0;
	float correlations = 0;
	float squares = 0;
	Correction correction{};
	for (int i = 0; i < count; i++) {
		const Moments &residual = evidence[i].residual;
		const float other = evidence[i].is_own ? 0 : kOtherPlan;
		decay[i] = std::min(evidence[i].distance_square * inverse + other, kFarthest);
		const float correlation = std::exp(-decay[i]);
		nearest = std::max(nearest, correlation);
		correlations += correlation;
		squares += correlation * residual.mean * residual.mean;
		correction.support += correlation * residual.weight;
	}

	/* s2: what the graph expert says of itself, what it got wrong elsewhere, what it got wrong here */
	float s2 = std::max(std::min(prior.Variance(), kMostPrior), landscape.residual_square);
	if (correlations > 0)
		s2 = std::max(s2, nearest * squares / correlations);
	s2 = std::clamp(s2, kLeastPrior, kMostPrior);

	float total = 1 / s2;
	float of_examples = 0;
	float weights_square = 0;
	float residuals = 0;
	correction.data_variance = prior.data_variance / s2;
	for (int i = 0; i < count; i++) {
		const Moments &residual = evidence[i].residual;
		const float scatter = ScatterOf(residual);
		const float weight = 1 / (scatter / residual.weight + s2 * std::expm1(decay[i]));
		correction.weights[i] = weight;
		of_examples += weight;
		weights_square += weight * weight;
		residuals += weight * residual.mean;
		correction.data_variance += weight * scatter;
	}
	total += of_examples;
	correction.shift = residuals / total;
	correction.data_variance /= total;
	correction.model_variance = 1 / total;
	if (correction.support < kLeastSupport || !(of_examples > 0)) {
		correction.support = 0;
		std::fill_n(correction.weights, kNearest, 0.0f);
		return correction;
	}

	const float middle = residuals / of_examples;
	float disagreement = 0;
	for (int i = 0; i < count; i++) {
		const float distance = evidence[i].residual.mean - middle;
		disagreement += correction.weights[i] * distance * distance;
		correction.weights[i] /= total;
	}
	const float others = std::max(of_examples * of_examples / weights_square - 1, 1.0f);
	correction.model_variance *= std::max(disagreement / others, 1.0f);
	return correction;
}

}  // namespace wlm
