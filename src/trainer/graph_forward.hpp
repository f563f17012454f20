/*
 * graph_forward.hpp
 *
 * The network's predictions for many plans, by levels and, for comparison, by
 * one recursion per plan as one would write it down: for tests and benchmarks.
 */
#pragma once

#include <span>
#include <vector>

#include "trainer/graph_network.hpp"

namespace wlm::trainer {

/* ln(ms) of the given plans; the nodes are shown as they are (see GraphData::ClampAll). */
std::vector<float> ForwardByLevels(const float *parameters, const GraphData &data, std::span<const size_t> indices,
                                   size_t plans_per_batch);
std::vector<float> ForwardRecursively(const float *parameters, const GraphData &data, std::span<const size_t> indices);

/* Forwards and backwards, as training does, in batches of so many plans; returns a checksum of the gradients. */
float GradientsByLevels(const float *parameters, const GraphData &data, std::span<const size_t> indices,
                        size_t plans_per_batch);

}  // namespace wlm::trainer
