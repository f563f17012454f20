/*
 * trees_numbers.hpp
 *
 * Small arithmetic that the features of the trees expert share: planner
 * numbers of any origin in, finite features out.
 */
#pragma once

#include <algorithm>
#include <cmath>

#include "core/plan/plan_graph.hpp"
#include "core/predict/trees_layout.hpp"

namespace wlm {

inline constexpr float kMostPlanNumber = 1e15f;

/* NaN and negative numbers are nothing, infinite ones very much. */
inline float Tame(float value) noexcept { return value > 0 ? std::min(value, kMostPlanNumber) : 0.0f; }

inline float LnOnePlus(float value) noexcept { return std::log(1.0f + Tame(value)); }

inline float WithinFeature(float value) noexcept
{
	return value >= -kMostTreesFeature ? std::min(value, kMostTreesFeature) : -kMostTreesFeature;
}

inline bool IsGatherNode(const PlanNode &node) noexcept
{
	return node.kind == NodeKind::kGather || node.kind == NodeKind::kGatherMerge;
}

inline bool IsJoinNode(const PlanNode &node) noexcept
{
	return node.kind == NodeKind::kNestLoop || node.kind == NodeKind::kMergeJoin || node.kind == NodeKind::kHashJoin;
}

inline bool IsSideRole(NodeRole role) noexcept
{
	return role == NodeRole::kInitPlan || role == NodeRole::kSubPlan || role == NodeRole::kHashedSubPlan;
}

/* In preorder, and not too long: what every feature needs to be safe. */
inline bool IsWalkable(const PlanGraph &graph) noexcept
{
	if (graph.overflow || graph.num_nodes <= 0 || graph.num_nodes > kMaxPlanNodes || graph.nodes[0].parent != kNoNode ||
	    graph.num_memory_nodes < 0 || graph.num_memory_nodes > kMaxMemoryNodes)
		return false;
	for (int16_t i = 1; i < graph.num_nodes; i++)
		if (graph.nodes[i].parent < 0 || graph.nodes[i].parent >= i)
			return false;
	for (int16_t i = 0; i < graph.num_memory_nodes; i++)
		if (graph.memory_node[i] < 0 || graph.memory_node[i] >= graph.num_nodes)
			return false;
	return true;
}

}  // namespace wlm
