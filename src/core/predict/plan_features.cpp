/*
 * plan_features.cpp
 *
 * See plan_features.hpp.
 */
#include "core/predict/plan_features.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/log_scale.hpp"
#include "core/predict/planner_model.hpp"

namespace wlm {

namespace {

constexpr float kLeastLogCost = -4.6f; /* 0.01 units */
constexpr float kMostLogCost = 40.0f;
constexpr float kMostCopies = 1e5f;

float LogCost(float cost) noexcept { return LogWithin(cost, kLeastLogCost, kMostLogCost); }

float LogRows(float rows) noexcept { return rows > 0 ? LogWithin(1.0 + rows, 0.0f, kMostLogCost) : 0.0f; }

/* A parallel hash is one table, however many build it. */
float Copies(MemoryClass memory, float processes, float members) noexcept
{
	const float copies = (memory == MemoryClass::kParallelHash ? 1.0f : processes) * members;
	return copies >= 1 ? std::min(copies, kMostCopies) : 1.0f;
}

}  // namespace

void FeaturesOfGraph(const PlanGraph &graph, bool with_formulas, PlanFeatures *features) noexcept
{
	features->template_fingerprint = graph.template_fingerprint;
	features->plan_fingerprint = graph.plan_fingerprint;
	features->log_cost = LogCost(graph.total_cost);
	features->log_rows = LogRows(graph.num_nodes > 0 ? graph.nodes[0].rows : 0);
	features->num_operators = std::clamp<int>(graph.num_memory_nodes, 0, kMaxMemoryNodes);
	for (int i = 0; i < features->num_operators; i++) {
		const int16_t index = std::clamp<int16_t>(graph.memory_node[i], 0, kMaxPlanNodes - 1);
		const PlanNode &node = graph.nodes[index];
		OperatorFeatures *op = &features->operators[i];
		op->log_formula_kb = with_formulas ? LogKb(FormulaMemoryKb(graph, index)) : 0.0f;
		op->copies = Copies(node.memory, node.processes, node.fold_count);
		op->memory_slot = static_cast<int16_t>(i);
		op->kind = node.kind;
		op->memory = node.memory;
	}
}

int NumOperators(const Experience &experience) noexcept
{
	return std::clamp<int>(experience.num_operators, 0, kMaxMemoryNodes);
}

void FeaturesOfExperience(const Experience &experience, PlanFeatures *features) noexcept
{
	features->template_fingerprint = experience.template_fingerprint;
	features->plan_fingerprint = experience.plan_fingerprint;
	features->log_cost = LogCost(experience.total_cost);
	features->log_rows = LogRows(experience.estimated_rows);
	features->num_operators = NumOperators(experience);
	for (int i = 0; i < features->num_operators; i++) {
		const OperatorExperience &from = experience.operators[i];
		OperatorFeatures *op = &features->operators[i];
		op->log_formula_kb = LogKb(from.formula_kb);
		op->copies = Copies(from.memory, from.processes, 1);
		op->memory_slot = from.memory_slot;
		op->kind = from.kind;
		op->memory = from.memory;
	}
}

}  // namespace wlm
