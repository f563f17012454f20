/*
 * synthetic.cpp
 *
 * See synthetic.hpp.
 */
#include "synthetic.hpp"

#include <algorithm>
#include <cmath>

#include "core/learn/learner.hpp"
#include "core/predict/planner_model.hpp"

namespace wlm::bench {

namespace {

constexpr int kRelations = 40;

class Planner {
  public:
	Planner(Random *random, PlanGraph *graph) : random_(random), graph_(graph) { ResetGraph(graph); }

	void Make(const PlanShape &shape)
	{
		int16_t parent = kNoNode;
		const float groups = LogUniform(10, 1e5);
		if (shape.limit)
			parent = Add(parent, NodeKind::kLimit, NodeRole::kOuter, 100);
		if (shape.sort) {
			parent = Add(parent, NodeKind::kSort, NodeRole::kOuter, LogUniform(100, 1e6));
			graph_->nodes[parent].memory = MemoryClass::kSort;
		}
		if (shape.aggregate) {
			parent = Add(parent, NodeKind::kAgg, NodeRole::kOuter, groups);
			PlanNode *node = &graph_->nodes[parent];
			node->aggregate = AggKind::kHashed;
			node->memory = MemoryClass::kHashAgg;
			node->groups = groups;
			node->state_bytes = 16;
			node->num_aggregates = 2;
		}
		/* a left-deep tree: joins one below the other */
		int hash_joins = shape.hash_joins;
		int nested_loops = shape.nested_loops;
		Join(parent, &hash_joins, &nested_loops);
		float cost = 0;
		for (int16_t i = static_cast<int16_t>(graph_->num_nodes - 1); i >= 0; i--)
			graph_->nodes[i].total_cost = cost += 0.01f * graph_->nodes[i].rows + 1;
		FinishGraph(graph_);
	}

  private:
	int16_t Add(int16_t parent, NodeKind kind, NodeRole role, float rows)
	{
		PlanNode *node = AppendNode(graph_, parent, graph_->num_nodes);
		node->kind = kind;
		node->role = parent == kNoNode ? NodeRole::kRoot : role;
		node->rows = rows;
		node->width = LogUniform(8, 200);
		node->num_keys = 1;
		node->num_quals = static_cast<uint8_t>((*random_)() % 4);
		node->num_columns = static_cast<uint8_t>(1 + (*random_)() % 10);
		return static_cast<int16_t>(graph_->num_nodes - 1);
	}
	void Scan(int16_t parent, NodeKind kind, NodeRole role, float rows)
	{
		PlanNode *node = &graph_->nodes[Add(parent, kind, role, rows)];
		node->identity = 1 + (*random_)() % kRelations;
		node->relation_rows = rows * 3;
		node->relation_pages = rows / 20 + 1;
	}
	void Join(int16_t parent, int *hash_joins, int *nested_loops)
	{
		if (*hash_joins + *nested_loops == 0) {
			Scan(parent, NodeKind::kSeqScan, NodeRole::kOuter, LogUniform(1e3, 1e6));
			return;
		}
		const float rows = LogUniform(1e2, 1e6);
		const bool hash = static_cast<int>((*random_)() % static_cast<uint64_t>(*hash_joins + *nested_loops)) < *hash_joins;
		const int16_t join = Add(parent, hash ? NodeKind::kHashJoin : NodeKind::kNestLoop, NodeRole::kOuter, rows);
		graph_->nodes[join].join = JoinKind::kInner;
		--*(hash ? hash_joins : nested_loops);
		Join(join, hash_joins, nested_loops);
		if (hash) {
			const float inner = LogUniform(1e2, 1e6);
			const int16_t node = Add(join, NodeKind::kHash, NodeRole::kInner, inner);
			graph_->nodes[node].memory = MemoryClass::kHash;
			Scan(node, NodeKind::kSeqScan, NodeRole::kOuter, inner);
		} else {
			Scan(join, NodeKind::kIndexScan, NodeRole::kInner, 1);
		}
	}
	float LogUniform(double least, double most)
	{
		return static_cast<float>(std::exp(std::uniform_real_distribution<double>(std::log(least), std::log(most))(*random_)));
	}

	Random *random_;
	PlanGraph *graph_;
};

/* Something that depends on the plan, but on nothing that a feature says exactly. */
double Skew(const PlanGraph &graph, uint64_t salt)
{
	const uint64_t mixed = (graph.template_fingerprint ^ salt) * 0x9e3779b97f4a7c15u;
	return std::exp(1.5 * (static_cast<double>(mixed >> 40) / (1 << 24) - 0.5));
}

}  // namespace

PlanShape RandomShape(Random *random)
{
	return {static_cast<int>((*random)() % 6), static_cast<int>((*random)() % 5), (*random)() % 2 == 0,
	        (*random)() % 2 == 0, (*random)() % 4 == 0};
}

void MakePlan(const PlanShape &shape, Random *random, PlanGraph *graph) { Planner(random, graph).Make(shape); }

void MakeExperience(const PlanGraph &graph, const Forecast *forecast, Random *random, Experience *experience)
{
	std::normal_distribution<double> normal;
	*experience = Experience{};
	experience->template_fingerprint = graph.template_fingerprint;
	experience->plan_fingerprint = graph.plan_fingerprint;
	experience->final_state = FinalState::kCompleted;
	experience->finished_at = 700000000000000;
	experience->total_cost = graph.total_cost;
	experience->estimated_rows = graph.nodes[0].rows;
	experience->returned_rows = graph.nodes[0].rows;
	experience->num_nodes = graph.num_nodes;
	double ms = 0.05;
	for (int16_t i = 0; i < graph.num_nodes; i++)
		ms += graph.nodes[i].rows * (1e-4 + 1e-5 * graph.nodes[i].num_quals + 1e-6 * graph.nodes[i].width);
	experience->time_ms = static_cast<float>(ms * Skew(graph, 1) * std::exp(0.1 * normal(*random)));
	double all_kb = 500;
	experience->num_operators = graph.num_memory_nodes;
	for (int16_t slot = 0; slot < graph.num_memory_nodes; slot++) {
		const PlanNode &node = graph.nodes[graph.memory_node[slot]];
		OperatorExperience *op = &experience->operators[slot];
		op->plan_node_id = node.plan_node_id;
		op->memory_slot = slot;
		op->kind = node.kind;
		op->memory = node.memory;
		op->flags = kObserved;
		op->processes = 1;
		op->estimated_rows = node.rows;
		op->actual_rows = node.rows;
		op->formula_kb = static_cast<float>(FormulaMemoryKb(graph, graph.memory_node[slot]));
		op->granted_kb = op->grown_kb = 1 << 20;
		op->needed_kb = op->peak_kb =
			static_cast<float>((node.rows * (node.width + 24) / 1024 + 8) * Skew(graph, 7) * std::exp(0.05 * normal(*random)));
		all_kb += op->needed_kb;
	}
	experience->query_memory_kb = static_cast<float>(all_kb);
	if (forecast != nullptr)
		CopyForecast(graph, *forecast, experience);
}

}  // namespace wlm::bench
