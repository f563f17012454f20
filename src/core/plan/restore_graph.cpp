/*
 * restore_graph.cpp
 *
 * See restore_graph.hpp. Called by the learning worker for every stored
 * experience and by DecodeSample() for every sample: one pass, and FinishGraph().
 */
#include "core/plan/restore_graph.hpp"

#include <algorithm>
#include <cmath>

namespace wlm {

namespace {

template <class Enum>
bool IsBelow(Enum value, Enum end) noexcept
{
	return static_cast<uint8_t>(value) < static_cast<uint8_t>(end);
}

bool EnumsAreKnown(const PlanNode &node) noexcept
{
	return IsBelow(node.kind, NodeKind::kNumKinds) && node.role <= NodeRole::kSubqueryRoot &&
		node.join <= JoinKind::kOther && node.aggregate <= AggKind::kMixed &&
		IsBelow(node.memory, MemoryClass::kNumClasses);
}

/* False for NaN. */
bool CleanNumbers(PlanNode *node) noexcept
{
	for (float *number : {&node->rows, &node->width, &node->startup_cost, &node->total_cost, &node->relation_rows,
	                      &node->relation_pages, &node->groups, &node->state_bytes, &node->fold_count}) {
		if (std::isnan(*number))
			return false;
		*number = std::clamp(*number, 0.0f, kMostStored);
	}
	node->fold_count = std::max(node->fold_count, 1.0f);
	return true;
}

/* In preorder a node hangs on the one before it or on an ancestor of that one. */
bool IsInPreorder(const PlanGraph &graph, int16_t index, int16_t parent) noexcept
{
	if (index == 0)
		return parent == kNoNode;
	int16_t above = static_cast<int16_t>(index - 1);
	while (above != kNoNode && above != parent)
		above = graph.nodes[above].parent;
	return above != kNoNode;
}

bool AddStored(PlanGraph *graph, const PlanNode &stored) noexcept
{
	const int16_t index = graph->num_nodes;
	if (!EnumsAreKnown(stored) || !IsInPreorder(*graph, index, stored.parent))
		return false;
	PlanNode *node = &graph->nodes[index];
	*node = stored;
	if (!CleanNumbers(node))
		return false;
	graph->num_nodes++;
	const int32_t id = node->plan_node_id;
	if (id < 0 || id >= kMaxPlanNodeIds)
		return true; /* a node without an id is as good as any, it cannot be found by it */
	if (graph->node_of_plan_id[id] == kNoNode)
		graph->node_of_plan_id[id] = index;
	graph->max_plan_node_id = std::max(graph->max_plan_node_id, static_cast<int16_t>(id));
	return true;
}

}  // namespace

bool RestoreGraph(std::span<const PlanNode> nodes, CommandKind command, PlanGraph *graph) noexcept
{
	ResetGraph(graph);
	graph->max_plan_node_id = 0;
	if (nodes.empty() || nodes.size() > kMaxPlanNodes || command > CommandKind::kOther)
		return false;
	for (const PlanNode &node : nodes)
		if (!AddStored(graph, node))
			return false;
	graph->command = command;
	FinishGraph(graph);
	return !graph->overflow;
}

}  // namespace wlm
