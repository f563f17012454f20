/*
 * outcome.cpp
 *
 * See outcome.hpp.
 */
#include "outcome.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/predict/log_scale.hpp"
#include "core/predict/planner_model.hpp"

namespace wlm::accuracy {

namespace {

constexpr float kHashMemMultiplier = 2; /* PostgreSQL's default, which nobody changes here */
constexpr float kUsualWorkMemKb = 4096;

/* work_mem as the operators' limits tell it. */
float WorkMemOf(const Sample &sample)
{
	for (int slot = 0; slot < sample.graph.num_memory_nodes; slot++) {
		const float log_limit = sample.operators[slot].log_limit_kb;
		if (log_limit <= kLeastLogKb)
			continue;
		switch (sample.graph.nodes[sample.graph.memory_node[slot]].memory) {
			case MemoryClass::kSort:
			case MemoryClass::kIncrementalSort:
			case MemoryClass::kTuplestore:
			case MemoryClass::kBitmap: return std::exp(log_limit);
			case MemoryClass::kHash:
			case MemoryClass::kHashAgg:
			case MemoryClass::kMemoize: return std::exp(log_limit) / kHashMemMultiplier;
			default: break; /* shared or without limit */
		}
	}
	return kUsualWorkMemKb;
}

void RestoreOperator(const Sample &sample, int slot, OperatorExperience *op)
{
	const OperatorLabel &label = sample.operators[slot];
	const int16_t index = sample.graph.memory_node[slot];
	const PlanNode &node = sample.graph.nodes[index];
	op->plan_node_id = node.plan_node_id;
	op->memory_slot = static_cast<int16_t>(slot);
	op->kind = node.kind;
	op->memory = node.memory;
	op->processes = static_cast<uint8_t>(std::clamp(std::min(node.processes, 1 + sample.workers_launched), 1.0f, 255.0f));
	op->estimated_rows = node.rows;
	op->actual_rows = -1;
	op->formula_kb = static_cast<float>(FormulaMemoryKb(sample.graph, index));
	op->granted_kb = op->grown_kb = label.log_limit_kb > kLeastLogKb ? std::exp(label.log_limit_kb) : 0;
	if (label.needed_weight > 0) {
		op->flags = kObserved;
		op->needed_kb = op->peak_kb = std::exp(label.log_needed_kb);
	} else if (label.log_bound_kb > kLeastLogKb) {
		op->flags = kObserved | (label.spills > 0 ? kSpilled : kCensored);
		op->needed_kb = std::exp(label.log_bound_kb);
		op->peak_kb = op->granted_kb > 0 ? std::min(op->needed_kb, op->granted_kb) : op->needed_kb;
	}
	if (label.spills > 0) {
		op->flags |= kSpilled | kObserved;
		op->temp_kb = std::exp(label.log_temp_kb);
	}
}

}  // namespace

void RestoreExperience(const Sample &sample, Experience *experience)
{
	const PlanGraph &graph = sample.graph;
	*experience = Experience{};
	experience->template_fingerprint = sample.template_fingerprint;
	experience->plan_fingerprint = sample.plan_fingerprint;
	experience->finished_at = sample.last_seen;
	experience->temp_bytes = -1; /* unknown */
	experience->command = graph.command;
	experience->workers_planned = static_cast<int16_t>(std::clamp(graph.planned_workers, 0.0f, 1024.0f));
	experience->workers_launched = static_cast<int16_t>(std::lround(sample.workers_launched));
	experience->total_cost = graph.total_cost;
	experience->estimated_rows = graph.nodes[0].rows;
	experience->returned_rows = -1;
	experience->session_work_mem_kb = experience->granted_work_mem_kb = WorkMemOf(sample);
	experience->novelty = -1;
	experience->num_nodes = graph.num_nodes;
	experience->final_state = FinalState::kCompleted;
	if (sample.time_weight > 0) {
		experience->time_ms = std::exp(sample.log_ms);
	} else if (sample.log_ms_bound > kLeastLogMs) {
		experience->time_ms = std::exp(sample.log_ms_bound);
		experience->final_state = FinalState::kCancelled;
		experience->censored = true;
	}
	if (sample.query_kb_weight > 0)
		experience->query_memory_kb = std::exp(sample.log_query_kb);
	experience->num_operators = graph.num_memory_nodes;
	for (int slot = 0; slot < graph.num_memory_nodes; slot++)
		RestoreOperator(sample, slot, &experience->operators[slot]);
}

}  // namespace wlm::accuracy
