/*
 * graph_model.hpp
 *
 * The graph expert's model: a message-passing network over the PlanGraph.
 * Nodes are encoded, messages go from children to parents, a read-out at each
 * node says what the node takes of the time and what it needs of memory, one at
 * the root corrects the sum. Plain floats, used in place through Eigen::Map.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/predict/expert.hpp"

namespace wlm {

struct GraphModel;

size_t GraphModelBytes() noexcept;

/* Dimensions fit and every number is finite and not absurd. */
bool GraphModelIsSane(std::span<const std::byte> model) noexcept;

/* Checksum of the parameters: embeddings of two models can be compared only if it is equal. Never 0. */
uint32_t GraphModelVersion(const GraphModel &model) noexcept;

/* Expert::answer (fills the forecast's embeddings too) and Expert::price of this expert. */
void AskGraph(const ModelView &models, const PlanGraph &graph, const PlanContext &context, Forecast *forecast) noexcept;
float PriceOfGraph(const ModelView &models, const PlanGraph &graph) noexcept;

}  // namespace wlm
