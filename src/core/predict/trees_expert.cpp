/*
 * trees_expert.cpp
 *
 * See trees_model.hpp.
 */
#include "core/predict/trees_model.hpp"

namespace wlm {

void AskTrees(const ModelView &, const PlanGraph &graph, const PlanContext &, Forecast *forecast) noexcept
{
	ClearAnswer(&forecast->answers[kTreesExpert], graph.num_memory_nodes);
}

float PriceOfTrees(const ModelView &, const PlanGraph &) noexcept { return 0; }

}  // namespace wlm
