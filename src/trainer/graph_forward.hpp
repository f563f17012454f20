/*
 * graph_forward.hpp
 *
 * The network's predictions and gradients for many plans, by levels and, for
 * comparison, by one recursion per plan as one would write it down: for tests
 * and benchmarks. Nodes are shown as they are (see GraphData::ClampAll).
 */
#pragma once

#include <span>
#include <vector>

#include "trainer/graph_network.hpp"

namespace wlm::trainer {

/* ln(ms) of the given plans. */
std::vector<float> ForwardByLevels(const float *parameters, const GraphData &data, std::span<const size_t> indices,
                                   size_t plans_per_batch);
std::vector<float> ForwardRecursively(const float *parameters, const GraphData &data, std::span<const size_t> indices);

/* The derivatives of the sum of all ln(ms) of plans and ln(kB) of operators by the parameters. */
std::vector<float> GradientsByLevels(const float *parameters, const GraphData &data, std::span<const size_t> indices,
                                     size_t plans_per_batch);
std::vector<float> GradientsRecursively(const float *parameters, const GraphData &data,
                                        std::span<const size_t> indices);

}  // namespace wlm::trainer
