/*
 * graph_data.hpp
 *
 * What the graph trainer keeps of the samples: features of all nodes one after
 * the other, and what came out. About 140 bytes per plan node.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/learn/sample.hpp"
#include "core/predict/graph_parameters.hpp"

namespace wlm::trainer {

/* One quantity, in natural logarithms. */
struct GraphTarget {
	float value = 0;
	float bound = 0;
	bool is_known = false;
	bool has_bound = false; /* it was at least `bound`, in executions that did not see all of it */
};

struct GraphOperator {
	int16_t node; /* index in its plan */
	MemoryClass memory;
	GraphTarget need;
};

struct GraphPlan {
	uint64_t template_fingerprint;
	size_t first_node;
	size_t first_operator;
	int num_nodes;
	int num_operators;
	float weight;
	GraphTarget time;
	GraphTarget query_memory;
};

class GraphData {
  public:
	/* False if the sample has no graph that can be described, or no outcome. */
	bool Add(const Sample &sample);

	size_t size() const { return plans_.size(); }
	const GraphPlan &plan(size_t index) const { return plans_[index]; }
	GraphPlan *mutable_plan(size_t index) { return &plans_[index]; }
	const NodeFeatures &node(const GraphPlan &plan, int node) const
	{
		return nodes_[plan.first_node + static_cast<size_t>(node)];
	}
	const GraphOperator &op(const GraphPlan &plan, int op) const
	{
		return operators_[plan.first_operator + static_cast<size_t>(op)];
	}

	/* Brings every node into the ranges of the model. */
	void ClampAll(const GraphModel &model);

  private:
	std::vector<GraphPlan> plans_;
	std::vector<NodeFeatures> nodes_;
	std::vector<GraphOperator> operators_;
};

}  // namespace wlm::trainer
