/*
 * trees_model.hpp
 *
 * The trees expert's model: ensembles of boosted regression trees as one block
 * of plain numbers, walked in place (shared memory, blob, file). Written by the
 * trainer from what XGBoost has learned; nothing here knows XGBoost.
 *
 * Time is learned as in T3 (SIGMOD 2025): the time per tuple of each pipeline,
 * times its tuples, summed. Memory and temporary files per operator, the memory
 * of the whole query per plan. All in natural logarithms.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/predict/expert.hpp"

namespace wlm {

struct TreesModel;

/* Bytes of the model, at most as many as it stands in; 0 if even its head does not fit. */
size_t TreesModelBytes(std::span<const std::byte> model) noexcept;

/* Counts, offsets, features, child indices (always forward: a walk ends) and numbers are what they must be. */
bool TreesModelIsSane(std::span<const std::byte> model) noexcept;

/* Which features matter: total gain per target, as XGBoost counts it, summing to 1 per target. */
enum class TreesTarget : uint8_t { kTime = 0, kOperatorMemory, kOperatorTemp, kQueryMemory, kNumTreesTargets };
const char *TreesTargetName(TreesTarget target) noexcept;
int NumTreesFeatures(TreesTarget target) noexcept;
const char *TreesFeatureName(TreesTarget target, int feature) noexcept;
float TreesFeatureImportance(const TreesModel &model, TreesTarget target, int feature) noexcept;

/* Expert::answer and Expert::price of this expert. */
void AskTrees(const ModelView &models, const PlanGraph &graph, const PlanContext &context, Forecast *forecast) noexcept;
float PriceOfTrees(const ModelView &models, const PlanGraph &graph) noexcept;

}  // namespace wlm
