/*
 * graph_split.hpp
 *
 * Which plans the graph trainer learns from, which it keeps apart to know when
 * to stop, and how much each counts.
 */
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/graph_data.hpp"

namespace wlm::trainer {

struct GraphSplit {
	std::vector<size_t> learn;
	std::vector<size_t> apart;
	bool by_template; /* false: too few templates, so plans of one template stand on both sides */
};

/*
 * About a sixth of the templates is kept apart, whole, by a hash of fingerprint and seed. If what is kept apart lacks
 * a term (time, operators' memory, query memory) that at least two templates have, one of them follows.
 */
GraphSplit SplitGraphs(const GraphData &data, uint64_t seed);

/*
 * Of the given plans, mean 1: durations that are rare count more, and plans of templates that have many count less,
 * both by the root of it. Times the samples' own weights.
 */
std::vector<float> BalancedWeights(const GraphData &data, const std::vector<size_t> &indices);

}  // namespace wlm::trainer
