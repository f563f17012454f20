/*
 * sample.cpp
 *
 * Samples made of executions, and folded: means weighted by executions, bounds by the
 * largest. As bytes: sample_format.cpp.
 */
#include "core/learn/sample.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/learn/censoring.hpp"
#include "core/learn/sample_format.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/plan_features.hpp"

namespace wlm {

namespace {

/* Mean of two groups of n and m; either may be empty. */
float PooledMean(float mean, float n, float other_mean, float m) noexcept
{
	if (!(m > 0))
		return mean;
	return static_cast<float>(mean + (static_cast<double>(other_mean) - mean) * m / (static_cast<double>(n) + m));
}

float PooledVariance(float variance, float n, float other_variance, float m, double between_means) noexcept
{
	const double all = static_cast<double>(n) + m;
	if (!(all > 0))
		return 0;
	const double pooled = (static_cast<double>(variance) * n + static_cast<double>(other_variance) * m) / all +
		between_means * between_means * n * m / (all * all);
	return std::clamp(static_cast<float>(pooled), 0.0f, kMostLogVariance);
}

/* As fast as recall does: what is older counts as this many executions at most, so that a changed world is learned. */
constexpr float kMostRemembered = 30;

float SumOfWeights(float n, float m) noexcept { return std::min(n + m, kMostExecutions); }

void ClearLabel(OperatorLabel *label) noexcept
{
	*label = OperatorLabel{};
	label->log_bound_kb = kLeastLogKb;
	label->log_limit_kb = kLeastLogKb;
}

/* True if it says something of what the operator needs. */
bool LabelOperator(const OperatorExperience &op, OperatorLabel *label) noexcept
{
	ClearLabel(label);
	if (IsQuantity(op.grown_kb))
		label->log_limit_kb = LogKb(op.grown_kb);
	/* how much would still have been written, had it not been cut short, nobody knows */
	if ((op.flags & kSpilled) && !(op.flags & kCensored) && IsQuantity(op.temp_kb)) {
		label->log_temp_kb = LogKb(op.temp_kb);
		label->spills = 1;
	}
	if (!IsQuantity(op.needed_kb))
		return label->spills > 0;
	if (NeedIsLowerBound(op)) {
		label->log_bound_kb = LogKb(op.needed_kb);
	} else {
		label->log_needed_kb = LogKb(op.needed_kb);
		label->needed_weight = 1;
	}
	return true;
}

bool LabelOperators(const Experience &experience, Sample *sample) noexcept
{
	bool teaches = false;
	for (int i = 0; i < sample->graph.num_memory_nodes; i++)
		ClearLabel(&sample->operators[i]);
	for (int i = 0; i < NumOperators(experience); i++) {
		const OperatorExperience &op = experience.operators[i];
		if (!(op.flags & kObserved) || op.memory_slot < 0 || op.memory_slot >= sample->graph.num_memory_nodes)
			continue;
		const PlanNode &node = sample->graph.nodes[sample->graph.memory_node[op.memory_slot]];
		if (node.kind == op.kind && node.memory == op.memory)
			teaches |= LabelOperator(op, &sample->operators[op.memory_slot]);
	}
	return teaches;
}

/* Only what is in use: most of the arena is not. */
void CopyGraph(const PlanGraph &from, PlanGraph *to) noexcept
{
	std::memcpy(to, &from, offsetof(PlanGraph, nodes));
	std::copy_n(from.nodes, from.num_nodes, to->nodes);
}

bool SameShape(const PlanGraph &a, const PlanGraph &b) noexcept
{
	if (a.num_nodes != b.num_nodes || a.num_memory_nodes != b.num_memory_nodes)
		return false;
	for (int i = 0; i < a.num_nodes; i++)
		if (a.nodes[i].kind != b.nodes[i].kind || a.nodes[i].memory != b.nodes[i].memory ||
		    a.nodes[i].parent != b.nodes[i].parent)
			return false;
	return true;
}

void FoldLabel(OperatorLabel *label, const OperatorLabel &other) noexcept
{
	const float needed = std::min(label->needed_weight, kMostRemembered);
	const float spills = std::min(label->spills, kMostRemembered);
	label->log_needed_kb = PooledMean(label->log_needed_kb, needed, other.log_needed_kb, other.needed_weight);
	label->needed_weight = SumOfWeights(label->needed_weight, other.needed_weight);
	label->log_bound_kb = std::max(label->log_bound_kb, other.log_bound_kb);
	label->log_temp_kb = PooledMean(label->log_temp_kb, spills, other.log_temp_kb, other.spills);
	/* of executions that spilled, like what they wrote */
	label->log_limit_kb = PooledMean(label->log_limit_kb, spills, other.log_limit_kb, other.spills);
	label->spills = SumOfWeights(label->spills, other.spills);
}

}  // namespace

bool MakeSample(const Experience &experience, const PlanGraph &graph, uint64_t database, uint64_t role,
                Sample *sample) noexcept
{
	if (!WasRun(experience) || graph.overflow || graph.num_nodes <= 0 || graph.num_nodes > kMaxPlanNodes)
		return false;
	sample->plan_fingerprint = experience.plan_fingerprint != 0 ? experience.plan_fingerprint : graph.plan_fingerprint;
	sample->template_fingerprint =
		experience.template_fingerprint != 0 ? experience.template_fingerprint : graph.template_fingerprint;
	if (sample->plan_fingerprint == 0)
		return false;
	sample->database = database;
	sample->role = role;
	sample->first_seen = sample->last_seen = experience.finished_at;
	for (float *number : SampleNumbers(sample))
		*number = 0;
	sample->executions = 1;
	sample->weight = 1;
	sample->log_ms_bound = kLeastLogMs;
	sample->workers_launched = std::clamp(static_cast<float>(experience.workers_launched), 0.0f, kMostWorkers);
	CopyGraph(graph, &sample->graph);

	bool teaches = LabelOperators(experience, sample);
	if (IsQuantity(experience.time_ms)) {
		teaches = true;
		if (TimeIsLowerBound(experience)) {
			sample->log_ms_bound = LogMs(experience.time_ms);
		} else {
			sample->log_ms = LogMs(experience.time_ms);
			sample->time_weight = 1;
		}
	}
	if (IsQuantity(experience.query_memory_kb) && !QueryMemoryIsLowerBound(experience)) {
		teaches = true;
		sample->log_query_kb = LogKb(experience.query_memory_kb);
		sample->query_kb_weight = 1;
	}
	return teaches;
}

void FoldSample(Sample *sample, const Sample &other) noexcept
{
	const bool newer = other.last_seen >= sample->last_seen;
	/* two plans under one fingerprint: only one can be right, and later is likelier */
	if (!SameShape(sample->graph, other.graph)) {
		if (newer)
			*sample = other;
		return;
	}
	const float between_means = other.log_ms - sample->log_ms;
	const float times = std::min(sample->time_weight, kMostRemembered);
	const float query_kbs = std::min(sample->query_kb_weight, kMostRemembered);
	const float executions = std::min(sample->executions, kMostRemembered);
	sample->log_ms_variance =
		PooledVariance(sample->log_ms_variance, times, other.log_ms_variance, other.time_weight, between_means);
	sample->log_ms = PooledMean(sample->log_ms, times, other.log_ms, other.time_weight);
	sample->time_weight = SumOfWeights(sample->time_weight, other.time_weight);
	sample->log_ms_bound = std::max(sample->log_ms_bound, other.log_ms_bound);
	sample->log_query_kb =
		PooledMean(sample->log_query_kb, query_kbs, other.log_query_kb, other.query_kb_weight);
	sample->query_kb_weight = SumOfWeights(sample->query_kb_weight, other.query_kb_weight);
	sample->workers_launched =
		PooledMean(sample->workers_launched, executions, other.workers_launched, other.executions);
	for (int i = 0; i < sample->graph.num_memory_nodes; i++)
		FoldLabel(&sample->operators[i], other.operators[i]);

	/* one execution after the other, a plan stays with the role that ran it first: nobody takes it over by repeating it */
	if (other.executions > sample->executions) {
		sample->role = other.role;
		sample->database = other.database;
	}
	sample->executions = SumOfWeights(sample->executions, other.executions);
	sample->first_seen = std::min(sample->first_seen, other.first_seen);
	sample->last_seen = std::max(sample->last_seen, other.last_seen);
	if (newer)
		CopyGraph(other.graph, &sample->graph);
}

}  // namespace wlm
