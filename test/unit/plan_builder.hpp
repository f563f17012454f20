/*
 * plan_builder.hpp
 *
 * Hand-built plans and experiences for the tests of core/plan, core/predict
 * and core/learn.
 */
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "core/learn/experience.hpp"
#include "core/plan/plan_graph.hpp"

namespace wlm::test {

/* Nodes are added in preorder; plan_node_id is the order of addition. */
class PlanBuilder {
  public:
	PlanBuilder() : graph_(std::make_unique<PlanGraph>()) { ResetGraph(graph_.get()); }

	int16_t Add(int16_t parent, NodeKind kind, float rows = 100, NodeRole role = NodeRole::kOuter)
	{
		PlanNode *node = AppendNode(graph_.get(), parent, next_id_++);
		if (node == nullptr)
			return kNoNode;
		node->kind = kind;
		node->role = parent == kNoNode ? NodeRole::kRoot : role;
		node->rows = rows;
		node->width = 8;
		node->total_cost = rows;
		return static_cast<int16_t>(graph_->num_nodes - 1);
	}
	int16_t AddSort(int16_t parent, float rows, float width = 20)
	{
		const int16_t index = Add(parent, NodeKind::kSort, rows);
		(*this)[index].memory = MemoryClass::kSort;
		(*this)[index].width = width;
		(*this)[index].num_columns = 2;
		return index;
	}
	int16_t AddHash(int16_t parent, float rows, float width = 36)
	{
		const int16_t index = Add(parent, NodeKind::kHash, rows, NodeRole::kInner);
		(*this)[index].memory = MemoryClass::kHash;
		(*this)[index].width = width;
		return index;
	}
	int16_t AddHashAgg(int16_t parent, float groups, uint8_t num_aggregates = 1)
	{
		const int16_t index = Add(parent, NodeKind::kAgg, groups);
		(*this)[index].aggregate = AggKind::kHashed;
		(*this)[index].memory = MemoryClass::kHashAgg;
		(*this)[index].groups = groups;
		(*this)[index].num_aggregates = num_aggregates;
		return index;
	}
	PlanNode &operator[](int16_t index)
	{
		if (index < 0)
			std::abort(); /* the plan did not fit */
		return graph_->nodes[index];
	}
	PlanGraph *graph() { return graph_.get(); }
	const PlanGraph &Finish()
	{
		FinishGraph(graph_.get());
		return *graph_;
	}

  private:
	std::unique_ptr<PlanGraph> graph_;
	int32_t next_id_ = 0;
};

/* Hash join of two scans under a sort: memory slots 0 (sort) and 1 (hash). */
inline PlanBuilder JoinPlan(float rows = 10000, uint64_t relation = 7)
{
	PlanBuilder plan;
	const int16_t sort = plan.AddSort(kNoNode, rows);
	const int16_t join = plan.Add(sort, NodeKind::kHashJoin, rows);
	plan[join].join = JoinKind::kInner;
	const int16_t outer = plan.Add(join, NodeKind::kSeqScan, rows);
	plan[outer].identity = relation;
	const int16_t hash = plan.AddHash(join, rows / 10);
	const int16_t inner = plan.Add(hash, NodeKind::kSeqScan, rows / 10);
	plan[inner].identity = relation + 1;
	plan[sort].total_cost = rows * 3;
	return plan;
}

/* A completed query of JoinPlan's shape; the fingerprints are made up. */
inline std::unique_ptr<Experience> JoinExperience(uint64_t template_fingerprint, uint64_t plan_fingerprint,
                                                  float time_ms, float sort_kb = 1000, float hash_kb = 500)
{
	auto experience = std::make_unique<Experience>();
	experience->template_fingerprint = template_fingerprint;
	experience->plan_fingerprint = plan_fingerprint;
	experience->final_state = FinalState::kCompleted;
	experience->total_cost = 30000;
	experience->estimated_rows = 10000;
	experience->time_ms = time_ms;
	experience->query_memory_kb = sort_kb + hash_kb + 512;
	experience->num_operators = 2;
	const float needed[] = {sort_kb, hash_kb};
	for (int i = 0; i < 2; i++) {
		OperatorExperience *op = &experience->operators[i];
		op->memory_slot = static_cast<int16_t>(i);
		op->kind = i == 0 ? NodeKind::kSort : NodeKind::kHash;
		op->memory = i == 0 ? MemoryClass::kSort : MemoryClass::kHash;
		op->flags = kObserved;
		op->processes = 1;
		op->formula_kb = i == 0 ? 950 : 80;
		op->needed_kb = op->peak_kb = needed[i];
	}
	return experience;
}

}  // namespace wlm::test
