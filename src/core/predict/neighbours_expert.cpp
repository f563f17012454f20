/*
 * neighbours_expert.cpp
 *
 * See neighbour_store.hpp.
 */
#include "core/predict/neighbour_store.hpp"

namespace wlm {

void AskNeighbours(const ModelView &, const PlanGraph &graph, const PlanContext &, Forecast *forecast) noexcept
{
	ClearAnswer(&forecast->answers[kNeighboursExpert], graph.num_memory_nodes);
}

float PriceOfNeighbours(const ModelView &, const PlanGraph &) noexcept { return 0; }

}  // namespace wlm
