/*
 * restore_graph.hpp
 *
 * From the nodes of a plan that were stored (wlm.plan, samples of the trainer)
 * back to a graph that experts may be asked about.
 */
#pragma once

#include <span>

#include "core/plan/plan_graph.hpp"

namespace wlm {

/* What stored quantities are cut to: above every real plan, and its products stay finite in double. */
inline constexpr float kMostStored = 1e30f;

/*
 * Trusts nothing: false, and *graph holds nothing of use, if the nodes are no plan in preorder with one root,
 * if an enum is out of range, a number is NaN, or more operators have a memory limit than a graph can hold.
 * Infinite numbers become kMostStored, negative ones zero. What FinishGraph() sets is set anew.
 *
 * Lost: which ids folded members had (node_of_plan_id knows the first member's), touches_only_catalogs, and
 * total_cost where it was not the root's.
 */
bool RestoreGraph(std::span<const PlanNode> nodes, CommandKind command, PlanGraph *graph) noexcept;

}  // namespace wlm
