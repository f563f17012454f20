/*
 * graph_loss.hpp
 *
 * What the graph trainer makes small: pseudo-Huber loss (width one e-fold) on
 * the means of time, of operators' memory and of the query's memory; Gaussian
 * negative log-likelihood on the variances, with the residual as given and cut
 * at kMostResidual. A lower bound counts only where the prediction is below it.
 */
#pragma once

#include <array>
#include <span>

#include "trainer/graph_network.hpp"

namespace wlm::trainer {

enum class GraphTerm : uint8_t { kTime = 0, kMemory, kQueryMemory, kNumTerms };
inline constexpr size_t kNumGraphTerms = static_cast<size_t>(GraphTerm::kNumTerms);

inline constexpr float kMostResidual = 4; /* natural logarithm */

/* Of one term; `squares` also for GraphTrust. */
struct GraphTermScore {
	double loss = 0; /* weighted sum of losses */
	double weight = 0;
	double squares = 0;  /* unweighted sum of squared residuals, each cut at kMostResidual, of known outcomes */
	double variance = 0; /* unweighted sum of predicted data variances, of the same */
	double known = 0;
};

struct GraphScore {
	std::array<GraphTermScore, kNumGraphTerms> terms;
	std::array<GraphTermScore, kNumMemoryClasses> memory_classes; /* without losses */

	/* Mean losses of the terms, weighted as in training; terms without any label count nothing. */
	double Loss() const;
};

/*
 * Adds the batch's losses to `score` (may be null) and, unless `by_outputs` is null, sets it to the derivatives of
 * the batch's loss. `weights`: one per plan of `indices`.
 */
void GraphLoss(const GraphData &data, std::span<const size_t> indices, std::span<const float> weights,
               const GraphOutputs<float> &outputs, GraphOutputs<float> *by_outputs, GraphScore *score);

}  // namespace wlm::trainer
