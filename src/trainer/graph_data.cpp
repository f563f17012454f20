/*
 * graph_data.cpp
 *
 * See graph_data.hpp.
 */
#include "trainer/graph_data.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/predict/log_scale.hpp"
#include "trainer/samples.hpp"

namespace wlm::trainer {

namespace {

/*
 * A bound counts only where nothing was seen whole: it is the largest ever, and one query that waited for a lock before
 * it was cancelled would outweigh a thousand that were not.
 */
GraphTarget TargetOf(float value, float weight, float bound, float least)
{
	GraphTarget target;
	target.is_known = weight > 0 && std::isfinite(value);
	target.value = target.is_known ? value : 0;
	target.has_bound = !target.is_known && std::isfinite(bound) && bound > least;
	target.bound = target.has_bound ? bound : 0;
	return target;
}

}  // namespace

bool GraphData::Add(const Sample &sample)
{
	const auto description = std::make_unique<GraphDescription>();
	if (!DescribeGraph(sample.graph, description.get()))
		return false;
	GraphPlan plan = {};
	plan.template_fingerprint = sample.template_fingerprint;
	plan.first_node = nodes_.size();
	plan.first_operator = operators_.size();
	plan.num_nodes = description->num_nodes;
	plan.weight = std::isfinite(sample.weight) ? std::clamp(sample.weight, 0.0f, 1.0f) : 0.0f;
	plan.time = TargetOf(sample.log_ms, sample.time_weight, sample.log_ms_bound, kLeastLogMs);
	plan.query_memory = TargetOf(sample.log_query_kb, sample.query_kb_weight, kLeastLogKb, kLeastLogKb);

	bool has_outcome = plan.time.is_known || plan.time.has_bound || plan.query_memory.is_known;
	for (int slot = 0; slot < sample.graph.num_memory_nodes; slot++) {
		const OperatorLabel &label = sample.operators[slot];
		GraphOperator op = {};
		op.node = sample.graph.memory_node[slot];
		op.memory = description->nodes[static_cast<size_t>(op.node)].memory;
		/* an operator that mostly spills needs more than what its few whole runs, of small data, have shown */
		const bool mostly_spills = label.spills > label.needed_weight && label.log_bound_kb > label.log_needed_kb;
		const float whole = mostly_spills ? 0 : label.needed_weight;
		op.need = TargetOf(label.log_needed_kb, whole, label.log_bound_kb, kLeastLogKb);
		has_outcome = has_outcome || op.need.is_known || op.need.has_bound;
		operators_.push_back(op);
		plan.num_operators++;
	}
	if (!has_outcome || !(plan.weight > 0)) {
		operators_.resize(plan.first_operator);
		return false;
	}
	for (int i = 0; i < description->num_nodes; i++) {
		NodeFeatures *node = &description->nodes[static_cast<size_t>(i)];
		node->log_own_ms += std::log(MissingWorkers(sample, node->parallel));
	}
	nodes_.insert(nodes_.end(), description->nodes.begin(), description->nodes.begin() + description->num_nodes);
	plans_.push_back(plan);
	return true;
}

void GraphData::ClampAll(const GraphModel &model)
{
	for (NodeFeatures &node : nodes_)
		ClampToSeen(model, &node);
}

}  // namespace wlm::trainer
