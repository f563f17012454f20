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

namespace wlm::trainer {

namespace {

GraphTarget TargetOf(float value, float weight, float bound, float least)
{
	GraphTarget target;
	target.is_known = weight > 0 && std::isfinite(value);
	target.value = target.is_known ? value : 0;
	/* a bound below the mean of what was seen whole says nothing new */
	target.has_bound = std::isfinite(bound) && bound > least && !(target.is_known && bound <= value);
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
		op.need = TargetOf(label.log_needed_kb, label.needed_weight, label.log_bound_kb, kLeastLogKb);
		has_outcome = has_outcome || op.need.is_known || op.need.has_bound;
		operators_.push_back(op);
		plan.num_operators++;
	}
	if (!has_outcome || !(plan.weight > 0)) {
		operators_.resize(plan.first_operator);
		return false;
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
