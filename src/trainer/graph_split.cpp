/*
 * graph_split.cpp
 *
 * See graph_split.hpp.
 */
#include "trainer/graph_split.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "core/hash.hpp"
#include "core/learn/sample_pool.hpp"
#include "trainer/graph_loss.hpp"

namespace wlm::trainer {

namespace {

constexpr uint64_t kPartApart = 6; /* one in so many */
constexpr size_t kFewTemplates = 6;
constexpr float kLeastBalance = 0.3f;
constexpr float kMostBalance = 4;

struct Template {
	std::vector<size_t> plans;
	bool apart;
	std::array<bool, kNumGraphTerms> has;
};

bool HasTerm(const GraphData &data, const GraphPlan &plan, GraphTerm term)
{
	if (term == GraphTerm::kTime)
		return plan.time.is_known;
	if (term == GraphTerm::kQueryMemory)
		return plan.query_memory.is_known;
	for (int i = 0; i < plan.num_operators; i++)
		if (data.op(plan, i).need.is_known)
			return true;
	return false;
}

/* By hash, so that the order neither of samples nor of fingerprints matters. */
std::map<uint64_t, Template> TemplatesOf(const GraphData &data, uint64_t seed)
{
	std::map<uint64_t, Template> templates;
	for (size_t i = 0; i < data.size(); i++) {
		const GraphPlan &plan = data.plan(i);
		const uint64_t hash = Combine(seed, plan.template_fingerprint);
		Template *into = &templates[hash];
		into->plans.push_back(i);
		into->apart = hash % kPartApart == 0;
		for (size_t term = 0; term < kNumGraphTerms; term++)
			into->has[term] = into->has[term] || HasTerm(data, plan, static_cast<GraphTerm>(term));
	}
	return templates;
}

/* Makes sure that both sides can speak about the term. */
void ShareTerm(size_t term, std::map<uint64_t, Template> *templates)
{
	std::array<int, 2> count = {0, 0};
	for (const auto &[hash, each] : *templates)
		count[each.apart] += each.has[term];
	if (count[0] + count[1] < 2 || (count[0] > 0 && count[1] > 0))
		return;
	const bool full_side = count[1] > 0;
	for (auto &[hash, each] : *templates) {
		if (each.has[term] && each.apart == full_side) {
			each.apart = !full_side;
			return;
		}
	}
}

size_t BucketOf(const GraphPlan &plan)
{
	const float log_ms = plan.time.is_known ? plan.time.value : plan.time.has_bound ? plan.time.bound : 0;
	return static_cast<size_t>(std::clamp(static_cast<int>(std::floor(log_ms)) + 2, 0, kDurationBuckets - 1));
}

}  // namespace

GraphSplit SplitGraphs(const GraphData &data, uint64_t seed)
{
	std::map<uint64_t, Template> templates = TemplatesOf(data, seed);
	GraphSplit split;
	split.by_template = templates.size() >= kFewTemplates;
	for (size_t term = 0; term < kNumGraphTerms; term++)
		ShareTerm(term, &templates);
	for (size_t i = 0; split.by_template && i < data.size(); i++) {
		const bool apart = templates[Combine(seed, data.plan(i).template_fingerprint)].apart;
		(apart ? split.apart : split.learn).push_back(i);
	}
	for (size_t i = 0; !split.by_template && i < data.size(); i++)
		(i % kPartApart == 0 ? split.apart : split.learn).push_back(i);
	return split;
}

std::vector<float> BalancedWeights(const GraphData &data, const std::vector<size_t> &indices)
{
	std::array<float, kDurationBuckets> counts = {};
	std::map<uint64_t, float> plans_of_template;
	for (const size_t index : indices) {
		counts[BucketOf(data.plan(index))]++;
		plans_of_template[data.plan(index).template_fingerprint]++;
	}
	const auto used = static_cast<float>(std::count_if(counts.begin(), counts.end(), [](float n) { return n > 0; }));
	const float even = static_cast<float>(indices.size()) / std::max(used, 1.0f);

	std::vector<float> weights;
	float sum = 0;
	for (const size_t index : indices) {
		const GraphPlan &plan = data.plan(index);
		const float balance = std::sqrt(even / counts[BucketOf(plan)]);
		const float crowd = std::sqrt(plans_of_template[plan.template_fingerprint]);
		weights.push_back(plan.weight * std::clamp(balance, kLeastBalance, kMostBalance) / crowd);
		sum += weights.back();
	}
	for (float &weight : weights)
		weight *= static_cast<float>(weights.size()) / sum;
	return weights;
}

}  // namespace wlm::trainer
