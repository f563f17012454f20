/*
 * graph_plans.hpp
 *
 * Random but plausible plans of many templates under a law that the graph
 * expert's tests know and the planner does not: every operator's time is its
 * own cost times a factor of its kind, every need is the formula's times a
 * factor of its class.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>

#include "core/learn/sample.hpp"
#include "core/predict/graph_parameters.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/planner_model.hpp"
#include "trainer/graph_random.hpp"
#include "unit/plan_builder.hpp"

namespace wlm::test {

/* ms per unit of own cost */
inline float HiddenMsPerUnit(NodeKind kind)
{
	switch (kind) {
		case NodeKind::kSeqScan: return 0.004f;
		case NodeKind::kIndexScan: return 0.03f;
		case NodeKind::kHashJoin: return 0.1f;
		case NodeKind::kHash: return 0.01f;
		case NodeKind::kNestLoop: return 0.002f;
		case NodeKind::kSort: return 0.2f;
		case NodeKind::kAgg: return 0.02f;
		default: return 0.01f;
	}
}

inline float HiddenMemoryFactor(MemoryClass memory)
{
	return memory == MemoryClass::kSort ? 0.7f : memory == MemoryClass::kHashAgg ? 6.0f : 2.5f;
}

class PlanMaker {
  public:
	/* Plans of one template have the same seed and differ by `size` only. */
	PlanMaker(uint64_t seed, int most_joins) : random_(seed), most_joins_(most_joins) {}

	/* `size` multiplies all relations. */
	std::unique_ptr<Sample> Make(float size)
	{
		size_ = size;
		law_ms_ = 0;
		PlanBuilder plan;
		int16_t top = kNoNode;
		const bool sorts = random_.Below(2) == 0;
		const bool groups = random_.Below(2) == 0;
		const int joins = static_cast<int>(random_.Below(static_cast<size_t>(most_joins_ + 1)));
		if (sorts)
			top = plan.AddSort(top, 1, 40);
		const int16_t aggregate = groups ? plan.AddHashAgg(top, 1) : kNoNode;
		AddJoins(&plan, groups ? aggregate : top, NodeRole::kOuter, joins);
		Cost(&plan);

		auto sample = std::make_unique<Sample>();
		plan.Finish();
		sample->graph = *plan.graph();
		sample->template_fingerprint = sample->graph.template_fingerprint;
		sample->plan_fingerprint = sample->graph.plan_fingerprint;
		sample->executions = sample->time_weight = sample->query_kb_weight = sample->weight = 1;
		sample->log_ms = std::log(law_ms_);
		sample->log_ms_bound = kLeastLogMs;
		double kb = 512;
		for (int16_t slot = 0; slot < sample->graph.num_memory_nodes; slot++) {
			const int16_t index = sample->graph.memory_node[slot];
			const double need = FormulaMemoryKb(sample->graph, index) *
				static_cast<double>(HiddenMemoryFactor(sample->graph.nodes[index].memory));
			OperatorLabel *label = &sample->operators[slot];
			*label = {};
			label->log_needed_kb = LogKb(need);
			label->needed_weight = 1;
			label->log_bound_kb = kLeastLogKb;
			kb += need;
		}
		sample->log_query_kb = LogKb(kb);
		return sample;
	}

  private:
	void AddJoins(PlanBuilder *plan, int16_t parent, NodeRole role, int joins)
	{
		if (joins == 0) {
			const bool index = random_.Below(3) == 0;
			const float rows = size_ * std::exp(5 + 6 * random_.Uniform());
			const int16_t scan = plan->Add(parent, index ? NodeKind::kIndexScan : NodeKind::kSeqScan, rows, role);
			(*plan)[scan].identity = random_.Next();
			(*plan)[scan].relation_rows = index ? rows * 20 : rows * 2;
			(*plan)[scan].relation_pages = (*plan)[scan].relation_rows / 50;
			(*plan)[scan].num_quals = static_cast<uint8_t>(random_.Below(3));
			(*plan)[scan].width = 4 + 60 * random_.Uniform();
			return;
		}
		const bool hash = random_.Below(3) != 0;
		const int16_t join = plan->Add(parent, hash ? NodeKind::kHashJoin : NodeKind::kNestLoop, 1, role);
		(*plan)[join].join = JoinKind::kInner;
		const int left = static_cast<int>(random_.Below(static_cast<size_t>(joins)));
		AddJoins(plan, join, NodeRole::kOuter, left);
		const int16_t inner = hash ? plan->AddHash(join, 1, 30) : join;
		AddJoins(plan, inner, hash ? NodeRole::kOuter : NodeRole::kInner, joins - 1 - left);
	}

	/* Rows and costs from the leaves up, and the law's time beside them. */
	void Cost(PlanBuilder *plan)
	{
		PlanGraph *graph = plan->graph();
		for (int16_t i = static_cast<int16_t>(graph->num_nodes - 1); i >= 0; i--) {
			PlanNode *node = &graph->nodes[i];
			float children = 0;
			float most = 0;
			float all = 0;
			for (int16_t c = static_cast<int16_t>(i + 1); c < graph->num_nodes; c++) {
				if (graph->nodes[c].parent != i)
					continue;
				children += graph->nodes[c].total_cost;
				most = std::max(most, graph->nodes[c].rows);
				all += graph->nodes[c].rows;
			}
			float own = 0.0025f * all;
			switch (node->kind) {
				case NodeKind::kSeqScan: own = node->relation_pages + 0.01f * node->relation_rows; break;
				case NodeKind::kIndexScan: own = 4 + 0.3f * node->rows; break;
				case NodeKind::kHashJoin: own = 0.015f * all; break;
				case NodeKind::kNestLoop: own = 0.2f * most; break;
				case NodeKind::kSort: own = 0.005f * all * std::log2(all + 2); break;
				case NodeKind::kAgg: own = 0.0125f * all; break;
				default: break;
			}
			if (children > 0)
				node->rows = node->kind == NodeKind::kAgg ? std::sqrt(most) : most;
			if (node->kind == NodeKind::kAgg)
				node->groups = node->rows;
			const bool is_hash = node->kind == NodeKind::kHash; /* the planner charges nothing there */
			node->total_cost = children + (is_hash ? 0 : own);
			node->startup_cost = node->memory != MemoryClass::kNone ? node->total_cost * 0.9f : 0;
			law_ms_ += own * HiddenMsPerUnit(node->kind);
		}
	}

	trainer::Random random_;
	int most_joins_;
	float size_ = 1;
	float law_ms_ = 0;
};

inline std::unique_ptr<Sample> MakePlan(uint64_t template_seed, float size, int most_joins = 4)
{
	return PlanMaker(template_seed, most_joins).Make(size);
}

/* Random weights of up to `size` and opinions of all kinds: a model that has learned nothing. */
inline std::unique_ptr<GraphModel> SomeModel(float size)
{
	auto model = std::make_unique<GraphModel>();
	InitGraphModel(model.get());
	trainer::Random random(5);
	for (float &parameter : model->parameters)
		parameter = size * (2 * random.Uniform() - 1);
	model->known_categories = (uint64_t{1} << kNumCategories) - 1;
	std::fill_n(model->least, kNumNumbers, -kMostNumber);
	std::fill_n(model->most, kNumNumbers, kMostNumber);
	model->time = model->query_memory = {10, 0.5f};
	std::fill_n(model->memory, kNumMemoryClasses, GraphTrust{10, 0.5f});
	model->version = GraphChecksum(*model);
	return model;
}

}  // namespace wlm::test
