/*
 * plan_graph.cpp
 *
 * Building the arena: reset, append, fold. Runs in the backend that is about
 * to start the query, once per managed plan; touches only what is in use.
 */
#include "core/plan/plan_graph.hpp"

#include <algorithm>

namespace wlm {

void ResetGraph(PlanGraph *graph) noexcept
{
	graph->template_fingerprint = 0;
	graph->plan_fingerprint = 0;
	graph->total_cost = 0;
	graph->planned_workers = 0;
	graph->num_nodes = 0;
	graph->num_memory_nodes = 0;
	graph->num_pipelines = 0;
	graph->command = CommandKind::kSelect;
	graph->overflow = false;
	graph->has_limit = false;
	graph->touches_only_catalogs = false;
	std::fill_n(graph->node_of_plan_id, kMaxPlanNodeIds, kNoNode);
}

PlanNode *AppendNode(PlanGraph *graph, int16_t parent, int32_t plan_node_id) noexcept
{
	if (graph->overflow || graph->num_nodes >= kMaxPlanNodes || plan_node_id >= kMaxPlanNodeIds || parent < kNoNode ||
	    parent >= graph->num_nodes) {
		graph->overflow = true;
		return nullptr;
	}

	const int16_t index = graph->num_nodes++;
	PlanNode *node = &graph->nodes[index];
	*node = PlanNode{};
	node->fold_count = 1;
	node->processes = 1;
	node->plan_node_id = plan_node_id;
	node->parent = parent;
	node->memory_slot = kNoNode;
	node->role = parent == kNoNode ? NodeRole::kRoot : NodeRole::kOuter;
	if (plan_node_id >= 0)
		graph->node_of_plan_id[plan_node_id] = index;
	return node;
}

namespace {

bool SameShape(const PlanNode &a, const PlanNode &b) noexcept
{
	return a.kind == b.kind && a.role == b.role && a.join == b.join && a.aggregate == b.aggregate &&
		a.memory == b.memory;
}

/*
 * The first member keeps its identity: which partitions a query touches depends
 * on its constants, and the template fingerprint must not.
 */
void AddNumbers(PlanNode *into, const PlanNode &from) noexcept
{
	into->rows += from.rows;
	into->startup_cost += from.startup_cost;
	into->total_cost += from.total_cost;
	into->relation_rows += from.relation_rows;
	into->relation_pages += from.relation_pages;
	into->groups += from.groups;
	into->fold_count += from.fold_count;
	into->width = std::max(into->width, from.width);
	into->state_bytes = std::max(into->state_bytes, from.state_bytes);
	into->flags |= from.flags;
	into->workers = std::max(into->workers, from.workers);
	into->num_keys = std::max(into->num_keys, from.num_keys);
	into->num_quals = std::max(into->num_quals, from.num_quals);
	into->num_aggregates = std::max(into->num_aggregates, from.num_aggregates);
	into->num_columns = std::max(into->num_columns, from.num_columns);
}

}  // namespace

bool FoldSubtree(PlanGraph *graph, int16_t first, int16_t second) noexcept
{
	if (graph->overflow || first < 0 || second <= first || second >= graph->num_nodes)
		return false;

	const int16_t distance = static_cast<int16_t>(second - first);
	const int16_t length = static_cast<int16_t>(graph->num_nodes - second);
	if (length > distance || graph->nodes[first].parent != graph->nodes[second].parent)
		return false;
	/* in preorder the first subtree ends where a node hangs on something above it */
	if (length < distance && graph->nodes[first + length].parent >= first)
		return false;

	for (int16_t i = 0; i < length; i++) {
		const PlanNode &a = graph->nodes[first + i];
		const PlanNode &b = graph->nodes[second + i];
		if (!SameShape(a, b) || (i > 0 && b.parent - a.parent != distance))
			return false;
	}

	for (int16_t i = 0; i < length; i++)
		AddNumbers(&graph->nodes[first + i], graph->nodes[second + i]);
	/* earlier folds may have mapped several ids to one node of the second subtree */
	for (int16_t &node : graph->node_of_plan_id)
		node = static_cast<int16_t>(node >= second ? node - distance : node);
	graph->num_nodes = second;
	return true;
}

}  // namespace wlm
