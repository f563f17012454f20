/*
 * trees_data.cpp
 *
 * See trees_data.hpp.
 */
#include "trainer/trees_data.hpp"

#include "trainer/samples.hpp"

#include <algorithm>
#include <cmath>

#include "core/hash.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm::trainer {

namespace {

constexpr float kMostWeight = 1e6f;
constexpr float kMostLabelVariance = 25;

float Weight(const Sample &sample)
{
	return sample.weight > 0 && std::isfinite(sample.weight) ? std::min(sample.weight, kMostWeight) : 0.0f;
}

void Append(const TreesRow &row, int num_features, std::vector<float> *x)
{
	x->insert(x->end(), row.x.begin(), row.x.begin() + num_features);
}

float Variance(float variance)
{
	return variance > 0 ? std::min(variance, kMostLabelVariance) : 0.0f;
}

}  // namespace

void TreesRows::Add(const TreesRow &row, const TreesLabel &label)
{
	Append(row, num_features, &x);
	labels.push_back(label);
}

TreesData::TreesData() : description_(std::make_unique<TreesDescription>())
{
	plans.num_features = queries.num_features = kNumQueryFeatures;
	operators.num_features = kNumMemoryFeatures;
	temps.num_features = kNumTempFeatures;
	first_pipeline.push_back(0);
}

void TreesData::AddTime(const Sample &sample, uint32_t group)
{
	TreesLabel label{group, 0, sample.log_ms, Weight(sample), Variance(sample.log_ms_variance), false};
	if (!(sample.time_weight > 0)) {
		if (!(sample.log_ms_bound > kLeastLogMs))
			return;
		label.y = sample.log_ms_bound;
		label.variance = 0;
		label.bound = true;
	}
	if (!std::isfinite(label.y))
		return;
	const PipelineTable &table = description_->pipelines;
	for (int i = 0; i < table.num_pipelines; i++) {
		Append(table.rows[i], kNumPipelineFeatures, &pipelines);
		own_ms.push_back(table.own_ms[i] * MissingWorkers(sample, table.processes[i]));
	}
	plans.Add(description_->query, label);
	first_pipeline.push_back(static_cast<uint32_t>(own_ms.size()));
}

void TreesData::AddOperators(const Sample &sample, uint32_t group)
{
	for (int i = 0; i < description_->plan.num_operators; i++) {
		const OperatorLabel &op = sample.operators[i];
		TreesRow row = description_->operators[i];
		TreesLabel label{group, description_->plan.operators[i].log_formula_kb, op.log_needed_kb, Weight(sample)};

		/* a need seen in a minority of the executions is that of the small ones: the others spilled */
		const bool has_bound = op.log_bound_kb > kLeastLogKb && std::isfinite(op.log_bound_kb);
		if (has_bound && (!(op.needed_weight > 0) || (op.spills > op.needed_weight && op.log_bound_kb > op.log_needed_kb))) {
			label.y = op.log_bound_kb;
			label.bound = true;
			operators.Add(row, label);
		} else if (op.needed_weight > 0 && std::isfinite(op.log_needed_kb)) {
			operators.Add(row, label);
		}
		if (op.spills > 0 && std::isfinite(op.log_temp_kb) && std::isfinite(op.log_limit_kb)) {
			label.y = op.log_temp_kb;
			label.bound = false;
			AddLimit(label.start, op.log_limit_kb, &row);
			temps.Add(row, label);
		}
	}
}

bool TreesData::Add(const Sample &sample)
{
	if (samples_ >= kMostTreesPlans || own_ms.size() + kMaxPipelines > kMostTreesPipelines ||
	    operators.labels.size() + kMaxMemoryNodes > kMostTreesOperators)
		return false;
	if (!(Weight(sample) > 0) || !DescribeForTrees(sample.graph, description_.get()))
		return true;
	const uint64_t key = by_plan_ ? sample.plan_fingerprint : sample.template_fingerprint;
	const uint32_t group = groups_.try_emplace(key, static_cast<uint32_t>(groups_.size())).first->second;
	samples_++;
	AddTime(sample, group);
	AddOperators(sample, group);
	if (sample.query_kb_weight > 0 && std::isfinite(sample.log_query_kb))
		queries.Add(description_->query, {group, description_->log_formula_sum, sample.log_query_kb, Weight(sample)});
	return true;
}

std::vector<size_t> ChoosePlans(const std::vector<PlanKey> &plans, size_t most, uint64_t seed)
{
	struct Candidate {
		uint64_t order; /* random, but the same for the same seed */
		size_t index;
		size_t turn;
	};
	std::vector<Candidate> candidates(plans.size());
	for (size_t i = 0; i < plans.size(); i++)
		candidates[i] = {Mix(Combine(seed, plans[i].plan_fingerprint) + i), i, 0};
	std::sort(candidates.begin(), candidates.end(), [](const Candidate &a, const Candidate &b) {
		return a.order != b.order ? a.order < b.order : a.index < b.index;
	});
	std::unordered_map<uint64_t, size_t> turns;
	for (Candidate &candidate : candidates)
		candidate.turn = turns[plans[candidate.index].template_fingerprint]++;
	std::stable_sort(candidates.begin(), candidates.end(),
	                 [](const Candidate &a, const Candidate &b) { return a.turn < b.turn; });
	std::vector<size_t> chosen;
	for (size_t i = 0; i < std::min(most, candidates.size()); i++)
		chosen.push_back(candidates[i].index);
	/* in the order of turns: whoever has to stop early has taken evenly from all templates */
	return chosen;
}

}  // namespace wlm::trainer
