/*
 * trees_synthetic.hpp
 *
 * Samples of a made-up world for the tests of trees: joins of one to five
 * tables, sorted or aggregated, whose operators take known times per tuple
 * that the planner's costs get wrong, and known multiples of the memory that
 * PostgreSQL's formula says.
 */
#pragma once

#include <cmath>
#include <memory>
#include <random>

#include "core/hash.hpp"
#include "core/learn/sample.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/planner_model.hpp"
#include "plan_builder.hpp"

namespace wlm::test {

class SyntheticWorld {
  public:
	static constexpr float kSortFactor = 1, kHashFactor = 4, kAggFactor = 0.5f;

	/* The same two seeds make the same sample. */
	std::unique_ptr<Sample> Make(uint64_t template_seed, uint64_t plan_seed)
	{
		shape_.seed(Mix(template_seed + 1));
		numbers_.seed(Combine(template_seed, plan_seed));
		PlanBuilder plan;
		true_us_ = 0;
		identity_ = Mix(template_seed);
		const int joins = static_cast<int>(shape_() % 5);
		const bool sorts = shape_() % 2 == 0;
		const bool aggregates = shape_() % 2 == 0;

		int16_t parent = kNoNode;
		int16_t sort = kNoNode;
		int16_t agg = kNoNode;
		if (sorts)
			parent = sort = plan.AddSort(kNoNode, 1);
		if (aggregates)
			parent = agg = plan.AddHashAgg(parent, 1, static_cast<uint8_t>(1 + shape_() % 4));
		Output out = AddJoins(&plan, parent, joins);
		if (aggregates) {
			const float groups = std::max(1.0f, out.rows * Uniform(numbers_, 0.01f, 0.3f));
			true_us_ += out.rows * 0.5f;
			out = Set(&plan[agg], groups, out.cost + out.rows * 0.0125f, out.cost + out.rows * 0.0125f + groups * 0.01f, out.width);
			plan[agg].groups = groups;
		}
		if (sorts) {
			const float compares = out.rows * std::log2(out.rows + 2);
			true_us_ += compares * 0.06f;
			out = Set(&plan[sort], out.rows, out.cost + compares * 0.005f, out.cost + compares * 0.005f + out.rows * 0.0025f, out.width);
		}

		auto sample = std::make_unique<Sample>();
		sample->graph = plan.Finish();
		sample->template_fingerprint = sample->graph.template_fingerprint;
		sample->plan_fingerprint = Combine(sample->graph.plan_fingerprint, plan_seed);
		sample->executions = sample->time_weight = sample->query_kb_weight = sample->weight = 1;
		sample->log_ms_bound = kLeastLogMs;
		sample->log_ms = LogMs((50 + true_us_) / 1000) + Noise(0.1f);
		double query_kb = 2000;
		for (int i = 0; i < sample->graph.num_memory_nodes; i++) {
			const PlanNode &node = sample->graph.nodes[sample->graph.memory_node[i]];
			const float factor = node.kind == NodeKind::kSort ? kSortFactor : node.kind == NodeKind::kHash ? kHashFactor : kAggFactor;
			OperatorLabel *label = &sample->operators[i];
			*label = {};
			label->log_needed_kb = LogKb(FormulaMemoryKb(sample->graph, sample->graph.memory_node[i]) * factor) + Noise(0.1f);
			label->needed_weight = 1;
			label->log_bound_kb = kLeastLogKb;
			label->log_limit_kb = LogKb(4096);
			if (label->log_needed_kb > label->log_limit_kb) {
				label->log_temp_kb = label->log_needed_kb + std::log(0.8f);
				label->spills = 1;
			}
			query_kb += std::exp(label->log_needed_kb);
		}
		sample->log_query_kb = LogKb(query_kb) + Noise(0.05f);
		return sample;
	}

  private:
	struct Output {
		float rows, width, cost;
	};

	template <class Engine>
	float Uniform(Engine &engine, float low, float high)
	{
		return low + (high - low) * static_cast<float>(engine() >> 40) * 0x1p-24f;
	}
	float Noise(float deviation)
	{
		float sum = -6;
		for (int i = 0; i < 12; i++)
			sum += Uniform(numbers_, 0, 1);
		return sum * deviation;
	}
	static Output Set(PlanNode *node, float rows, float startup, float total, float width)
	{
		node->rows = rows;
		node->width = width;
		node->startup_cost = startup;
		node->total_cost = total;
		return {rows, width, total};
	}
	Output AddScan(PlanBuilder *plan, int16_t parent)
	{
		const int16_t scan = plan->Add(parent, NodeKind::kSeqScan);
		PlanNode *node = &(*plan)[scan];
		const float relation = std::exp(Uniform(shape_, 6, 14));
		const float width = Uniform(shape_, 4, 200);
		const uint8_t quals = static_cast<uint8_t>(shape_() % 4);
		const float rows = std::max(1.0f, relation * std::exp(-Uniform(numbers_, 0, 2) * static_cast<float>(quals)));
		node->identity = identity_ += 3;
		node->relation_rows = relation;
		node->relation_pages = relation / 50 + 1;
		node->num_quals = quals;
		true_us_ += relation * (0.05f + 0.04f * quals);
		return Set(node, rows, 0, node->relation_pages + relation * (0.01f + 0.0025f * quals), width);
	}
	Output AddJoins(PlanBuilder *plan, int16_t parent, int joins)
	{
		if (joins == 0)
			return AddScan(plan, parent);
		const int16_t join = plan->Add(parent, NodeKind::kHashJoin);
		(*plan)[join].join = JoinKind::kInner;
		(*plan)[join].num_keys = 1;
		const Output outer = AddJoins(plan, join, joins - 1);
		const int16_t hash = plan->AddHash(join, 1);
		const Output inner = AddScan(plan, hash);
		Set(&(*plan)[hash], inner.rows, inner.cost, inner.cost, inner.width);
		true_us_ += inner.rows * 0.6f + outer.rows * 0.15f;
		const float startup = inner.cost + inner.rows * 0.0125f;
		const float rows = std::max(1.0f, outer.rows * Uniform(numbers_, 0.2f, 1.5f));
		return Set(&(*plan)[join], rows, startup, startup + outer.cost + outer.rows * 0.0025f + rows * 0.01f, outer.width + inner.width);
	}

	std::mt19937_64 shape_;
	std::mt19937_64 numbers_;
	float true_us_ = 0;
	uint64_t identity_ = 0;
};

}  // namespace wlm::test
