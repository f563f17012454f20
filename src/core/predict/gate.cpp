/*
 * gate.cpp
 *
 * See gate.hpp. Runs in the backend before a query starts, once per target and
 * operator: a few hundred multiplications, no transcendental functions inside
 * the network.
 */
#include "core/predict/gate.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/predict/log_scale.hpp"
#include "core/predict/shared_words.hpp"

namespace wlm {

namespace {

/* Another number of experts or inputs is another model. */
constexpr uint32_t kGateShape = (4u << 24) + (kNumExperts << 20) + (kGateHidden << 12) + (kGateAnswerInputs << 6) + kGateQueryInputs;

constexpr float kMostGateWeight = 100.0f;
constexpr float kLeastUnit = 0.02f;    /* ln: errors of 2 % are as good as none */
constexpr float kMostRelativeExcess = 6.0f;
constexpr float kOverallScores = 4.0f; /* the overall loss weighs as so many scores on the template */
constexpr float kPatience = 4.0f;      /* and no difference as so many of the overall loss */

/* Inputs of an answer, scaled to about one. */
enum AnswerInput { kLogVariance, kLogTrust, kLogSupport, kModelPart, kDistance, kExcess, kScores };

constexpr float kVarianceScale = 0.25f;
constexpr float kExcessWeight = -8.0f; /* of kExcess, whose unit is half of the mixture's mean loss */

constexpr float Draw(uint64_t *state) noexcept
{
	/* a congruential generator (Knuth, MMIX): any fixed numbers that differ will do */
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return static_cast<float>(static_cast<double>(*state >> 40) / (1 << 24)) - 0.5f;
}

constexpr GateWeights MakeFirstWeights() noexcept
{
	GateWeights weights{};
	uint64_t state = 20240817;
	for (int h = 0; h < kGateHidden; h++) {
		for (float &weight : weights.hidden_answer[h])
			weight = Draw(&state);
		for (float &weight : weights.hidden_query[h])
			weight = Draw(&state);
		for (float &weight : weights.hidden_expert[h])
			weight = 2 * Draw(&state);
		for (float &weight : weights.hidden_target[h])
			weight = Draw(&state);
	}
	for (auto &target : weights.score_answer) {
		target[kLogVariance] = -2 / kVarianceScale;
		target[kLogTrust] = 1;
		target[kExcess] = kExcessWeight;
	}
	return weights;
}

constinit const GateWeights kFirstWeights = MakeFirstWeights();

const ExpertLosses *LossesOf(const TemplateLosses &losses, Target target) noexcept
{
	switch (target) {
		case Target::kTime: return &losses.time;
		case Target::kOperatorMemory: return &losses.operator_memory;
		default: return nullptr;
	}
}

/* Shrunk twice: the template's towards the overall one, that towards no difference. */
float ShrunkExcess(const ExpertLosses &overall, const ExpertLosses *of_template, int expert) noexcept
{
	const float all = overall.scores[expert];
	const float excess = overall.excess[expert] * all / (all + kPatience);
	if (of_template == nullptr)
		return excess;
	const float own = of_template->scores[expert];
	return (own * of_template->excess[expert] + kOverallScores * excess) / (own + kOverallScores);
}

void FillQuery(const GateQuery &query, float inputs[kGateQueryInputs]) noexcept
{
	const int familiarity = std::clamp<int>(static_cast<int>(query.familiarity), 0, 2);
	for (int i = 0; i < 3; i++)
		inputs[i] = i == familiarity ? 1.0f : 0.0f;
	const bool known = query.novelty >= 0;
	inputs[3] = known ? std::min(query.novelty, 3.0f) : 0.0f;
	inputs[4] = known ? 0.0f : 1.0f;
	inputs[5] = query.log_cost * 0.2f - 2; /* about 0 at 20,000 units */
	inputs[6] = query.log_nodes * 0.5f - 1;
	inputs[7] = 1;
}

void FillAnswers(const GateView &gate, Target target, const GateQuery &query, const Estimate answers[kNumExperts],
                 GateTrace *trace) noexcept
{
	const GateRecord &record = RecordOf(gate, target, query);
	const ExpertLosses &overall = record.losses;
	const ExpertLosses *of_template = LossesOf(query.losses, target);
	const float unit = std::max(record.loss, kLeastUnit);
	float weight = 0;
	float consensus = 0;
	float excess[kNumExperts];
	float least_excess = kMostExcess;
	for (int i = 0; i < kNumExperts; i++) {
		if (!trace->usable[i])
			continue;
		const float precision = 1.0f / std::max(answers[i].Variance(), kLeastMixedVariance);
		weight += precision;
		consensus += precision * answers[i].mean;
		excess[i] = ShrunkExcess(overall, of_template, i);
		least_excess = std::min(least_excess, excess[i]);
	}
	consensus = weight > 0 ? consensus / weight : 0;
	for (int i = 0; i < kNumExperts; i++) {
		if (!trace->usable[i])
			continue;
		const Estimate &answer = answers[i];
		float *inputs = trace->answer[i];
		inputs[kLogVariance] = kVarianceScale * std::log(std::clamp(answer.Variance(), kLeastMixedVariance, 1e6f));
		inputs[kLogTrust] = std::max(std::log(answer.support / (1 + answer.support)), -20.0f);
		inputs[kLogSupport] = 0.25f * std::min(std::log1p(answer.support), 20.0f);
		inputs[kModelPart] = answer.Variance() > 0 ? answer.model_variance / answer.Variance() : 0.0f;
		inputs[kDistance] = 0.5f * std::min(std::fabs(answer.mean - consensus), 4.0f);
		inputs[kExcess] = 0.5f * std::min((excess[i] - least_excess) / unit, kMostRelativeExcess);
		inputs[kScores] = of_template != nullptr ? 0.3f * std::log1p(of_template->scores[i]) : 0.0f;
	}
}

/* Scores of level 1 and their softmax. */
void RunNetwork(const GateWeights &weights, int target, GateTrace *trace) noexcept
{
	float of_query[kGateHidden];
	for (int h = 0; h < kGateHidden; h++) {
		of_query[h] = weights.hidden_target[h][target];
		for (int i = 0; i < kGateQueryInputs; i++)
			of_query[h] += weights.hidden_query[h][i] * trace->query[i];
	}
	float scores[kNumExperts];
	float most = -INFINITY;
	for (int e = 0; e < kNumExperts; e++) {
		if (!trace->usable[e])
			continue;
		float score = 0;
		for (int i = 0; i < kGateAnswerInputs; i++)
			score += weights.score_answer[target][i] * trace->answer[e][i];
		for (int i = 0; i < kGateQueryInputs; i++)
			score += weights.score_query[target][e][i] * trace->query[i];
		for (int h = 0; h < kGateHidden; h++) {
			float sum = of_query[h] + weights.hidden_expert[h][e];
			for (int i = 0; i < kGateAnswerInputs; i++)
				sum += weights.hidden_answer[h][i] * trace->answer[e][i];
			trace->hidden[e][h] = GateSquash(sum);
			score += weights.score_hidden[target][h] * trace->hidden[e][h];
		}
		scores[e] = score;
		most = std::max(most, score);
	}
	float total = 0;
	for (int e = 0; e < kNumExperts; e++) {
		trace->network[e] = trace->usable[e] ? std::exp(scores[e] - most) : 0.0f;
		total += trace->network[e];
	}
	for (float &share : trace->network)
		share /= total;
}

/* Level 2: those who are awake, each less what it has at rest. */
void Choose(const float choices[kGateChoices], GateTrace *trace) noexcept
{
	constexpr float kAtRest = 1.5f * kGateFloor;
	const auto lifted = [choices](int choice) { return std::max(choices[choice] - kAtRest, 0.0f); };
	float total = lifted(kGateOfNetwork);
	for (int e = 0; e < kNumExperts; e++)
		total += trace->usable[e] ? lifted(e) : 0.0f;
	const float network = total > 0 ? lifted(kGateOfNetwork) / total : 1.0f;
	for (int e = 0; e < kNumExperts; e++)
		trace->shares[e] =
			network * trace->network[e] + (total > 0 && trace->usable[e] ? lifted(e) / total : 0.0f);
}

bool Within(const float *numbers, int count, float least, float most) noexcept
{
	return std::all_of(numbers, numbers + count, [=](float number) { return number >= least && number <= most; });
}

}  // namespace

const GateWeights &FirstGateWeights() noexcept { return kFirstWeights; }

float GateSquash(float x) noexcept
{
	/* Pade approximant of tanh, at most 0.03 off, exactly 1 from 3 on */
	const float within = std::clamp(x, -3.0f, 3.0f);
	return within * (27 + within * within) / (27 + 9 * within * within);
}

void InitGate(GateModel *gate) noexcept
{
	GateModel fresh{};
	fresh.view.weights = fresh.anchor = kFirstWeights;
	for (auto &target : fresh.view.records)
		for (GateRecord &record : target) {
			std::fill_n(record.choices, static_cast<int>(kNumExperts), kGateFloor);
			record.choices[kGateOfNetwork] = 1 - static_cast<int>(kNumExperts) * kGateFloor;
			record.loss = 0.3f;
		}
	fresh.shape = kGateShape;
	/* the memory may be new: an odd counter would shut out readers for ever */
	gate->sequence.value.store((gate->sequence.value.load(std::memory_order_relaxed) + 1) & ~1u,
	                           std::memory_order_relaxed);
	PublishShared(gate, fresh);
}

void ReplaceGate(GateModel *published, const GateModel &model) noexcept { PublishShared(published, model); }

bool ReadGate(const GateModel &gate, GateView *view) noexcept
{
	for (int i = 0; i < kSharedReadAttempts; i++) {
		const uint32_t before = gate.sequence.BeginRead();
		shared_words::Load(&gate.view, view, sizeof(GateView));
		if (gate.sequence.EndRead(before))
			return true;
	}
	return false;
}

bool IsSane(const ExpertLosses &losses) noexcept
{
	return Within(losses.excess, kNumExperts, -kMostExcess, kMostExcess) &&
		Within(losses.scores, kNumExperts, 0, kMostLossScores);
}

bool GateModelIsSane(std::span<const std::byte> bytes) noexcept
{
	if (bytes.size() != sizeof(GateModel))
		return false;
	GateModel model;
	std::memcpy(static_cast<void *>(&model), bytes.data(), sizeof model);
	if (model.shape != kGateShape || model.sequence.value.load(std::memory_order_relaxed) % 2 != 0)
		return false;
	float weights[kNumGateWeights];
	std::memcpy(weights, &model.view.weights, sizeof weights);
	float anchor[kNumGateWeights];
	std::memcpy(anchor, &model.anchor, sizeof anchor);
	if (!Within(weights, kNumGateWeights, -kMostGateWeight, kMostGateWeight) ||
	    !Within(anchor, kNumGateWeights, -kMostGateWeight, kMostGateWeight) ||
	    !Within(model.gradient_mean, kNumGateWeights, -1e3f, 1e3f) ||
	    !Within(model.gradient_square, kNumGateWeights, 0, 1e6f))
		return false;
	for (const auto &target : model.view.records)
		for (const GateRecord &record : target)
			if (!IsSane(record.losses) || !Within(&record.loss, 1, 0, kMostExcess) ||
			    !Within(record.choices, kGateChoices, kGateFloor / 2, 1.001f))
				return false;
	return true;
}

GateQuery MakeGateQuery(Familiarity familiarity, float novelty, float total_cost, int num_nodes) noexcept
{
	GateQuery query{};
	query.familiarity = familiarity < Familiarity::kNumFamiliarities ? familiarity : Familiarity::kUnseen;
	query.novelty = novelty >= 0 ? novelty : -1.0f;
	query.log_cost = LogWithin(static_cast<double>(total_cost), 0, 30);
	query.log_nodes = LogWithin(num_nodes, 0, 10);
	return query;
}

void TraceGate(const GateView &gate, Target target, const GateQuery &query, const Estimate answers[kNumExperts],
               GateTrace *trace) noexcept
{
	trace->num_usable = 0;
	for (int i = 0; i < kNumExperts; i++) {
		trace->usable[i] = IsUsable(answers[i]) && std::fabs(answers[i].mean) < 1e6f;
		trace->num_usable += trace->usable[i];
		trace->shares[i] = trace->network[i] = 0;
	}
	if (trace->num_usable == 0)
		return;
	FillQuery(query, trace->query);
	FillAnswers(gate, target, query, answers, trace);
	RunNetwork(gate.weights, static_cast<int>(target), trace);
	Choose(RecordOf(gate, target, query).choices, trace);
}

void GateShares(const GateView &gate, Target target, const GateQuery &query, const Estimate answers[kNumExperts],
                float shares[kNumExperts]) noexcept
{
	GateTrace trace;
	TraceGate(gate, target, query, answers, &trace);
	std::copy_n(trace.shares, static_cast<int>(kNumExperts), shares);
}

}  // namespace wlm
