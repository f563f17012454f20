/*
 * graph_expert.cpp
 *
 * See graph_model.hpp.
 */
#include "core/predict/graph_model.hpp"

namespace wlm {

void AskGraph(const ModelView &, const PlanGraph &graph, const PlanContext &, Forecast *forecast) noexcept
{
	ClearAnswer(&forecast->answers[kGraphExpert], graph.num_memory_nodes);
}

float PriceOfGraph(const ModelView &, const PlanGraph &) noexcept { return 0; }

}  // namespace wlm
