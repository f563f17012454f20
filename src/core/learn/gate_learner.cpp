/*
 * gate_learner.cpp
 *
 * The gate's writer: one experience, judged before anybody learns from it, moves
 * the network by one step of Adam, the weights of the choices by one step of
 * exponential weights with a floor, and the experts' recent losses. Called by the
 * learner, one at a time; a few microseconds.
 */
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/learn/censoring.hpp"
#include "core/learn/learner.hpp"
#include "core/predict/gate.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/plan_features.hpp"
#include "core/predict/shared_words.hpp"

namespace wlm {

namespace {

/* Exponential weights: the rate per mean loss of the mixture, and how many of those one score may count. */
constexpr float kChoiceRate = 0.4f;
constexpr float kMostChoiceLoss = 5.0f;
constexpr float kLeastUnit = 0.02f; /* ln */
constexpr float kHuber = 0.1f;      /* ln: below, losses are quadratic */

constexpr float kStep = 0.005f; /* Adam's, on weights of order one */
constexpr float kMeanDecay = 0.9f;
constexpr float kSquareDecay = 0.99f;
constexpr float kDamping = 0.02f; /* gradients below that are noise and give small steps */
constexpr float kPull = 0.01f;    /* towards the anchor, per unit of step */
constexpr float kMostDistance = 5.0f; /* between an expert and the mixture, in mean losses, as far as gradients go */
constexpr float kMostWeight = 50.0f;
constexpr int kMostTrained = 8;   /* operators of one plan that the network learns from */

float Loss(float error) noexcept { return std::min(std::sqrt(error * error + kHuber * kHuber) - kHuber, kMostExcess); }

struct Outcome {
	float value;
	bool lower_bound;
};

/* A lower bound proves only those wrong that lie below it. */
float ErrorOf(float mean, const Outcome &outcome) noexcept
{
	const float error = mean - outcome.value;
	return outcome.lower_bound ? std::min(error, 0.0f) : error;
}

struct Learning {
	GateView view;
	GateWeights gradient;
	GateQuery query;
	float role_weight; /* of what the network learns; whom to believe follows recent errors, whoever made them */
	bool has_gradient;
};

/* d loss / d weights, through the softmax of level 1. */
void AddGradient(Learning *learning, Target which, const GateTrace &trace, const Estimate *answers, float mean,
                 float error, float unit, float weight) noexcept
{
	const int target = static_cast<int>(which);
	const GateWeights &weights = learning->view.weights;
	GateWeights &gradient = learning->gradient;
	/* of a pseudo-Huber loss as wide as the usual error */
	const float slope = weight * error / std::sqrt(error * error + unit * unit);
	if (slope == 0)
		return;
	learning->has_gradient = true;
	for (int e = 0; e < kNumExperts; e++) {
		if (!trace.usable[e])
			continue;
		const float distance = std::clamp((answers[e].mean - mean) / unit, -kMostDistance, kMostDistance);
		const float at_score = slope * trace.network[e] * distance;
		for (int i = 0; i < kGateAnswerInputs; i++)
			gradient.score_answer[target][i] += at_score * trace.answer[e][i];
		for (int i = 0; i < kGateQueryInputs; i++)
			gradient.score_query[target][e][i] += at_score * trace.query[i];
		for (int h = 0; h < kGateHidden; h++) {
			const float y = trace.hidden[e][h];
			gradient.score_hidden[target][h] += at_score * y;
			const float at_sum = at_score * weights.score_hidden[target][h] * (1 - y * y);
			for (int i = 0; i < kGateAnswerInputs; i++)
				gradient.hidden_answer[h][i] += at_sum * trace.answer[e][i];
			for (int i = 0; i < kGateQueryInputs; i++)
				gradient.hidden_query[h][i] += at_sum * trace.query[i];
			gradient.hidden_expert[h][e] += at_sum;
			gradient.hidden_target[h][target] += at_sum;
		}
	}
}

/* Those awake share what they had together anew; nobody falls below the floor. */
void UpdateChoices(float choices[kGateChoices], const bool awake[kGateChoices], const float losses[kGateChoices],
                   float unit, float weight) noexcept
{
	float before = 0;
	float after = 0;
	float next[kGateChoices];
	for (int c = 0; c < kGateChoices; c++) {
		next[c] = choices[c];
		if (!awake[c])
			continue;
		next[c] *= std::exp(-weight * kChoiceRate * std::min(losses[c] / unit, kMostChoiceLoss));
		before += choices[c];
		after += next[c];
	}
	float total = 0;
	for (int c = 0; c < kGateChoices; c++) {
		if (awake[c])
			next[c] *= before / after;
		next[c] = std::max(next[c], kGateFloor);
		total += next[c];
	}
	for (int c = 0; c < kGateChoices; c++)
		choices[c] = next[c] / total;
}

void FoldLoss(ExpertLosses *losses, int expert, float excess, float weight) noexcept
{
	const float scores = losses->scores[expert] * std::pow(kLossDecay, weight) + weight;
	losses->scores[expert] = std::min(scores, kMostLossScores);
	losses->excess[expert] += (excess - losses->excess[expert]) * weight / scores;
}

/* One outcome of one target. `of_template` may be null. */
void Score(Learning *learning, Target which, const Estimate answers[kNumExperts], const Outcome &outcome, float weight,
           bool trains, ExpertLosses *of_template) noexcept
{
	GateRecord *record = const_cast<GateRecord *>(&RecordOf(learning->view, which, learning->query));
	GateTrace trace;
	TraceGate(learning->view, which, learning->query, answers, &trace);
	if (trace.num_usable == 0)
		return;
	float network_mean = 0;
	float mean = 0;
	for (int e = 0; e < kNumExperts; e++) {
		if (!trace.usable[e])
			continue;
		network_mean += trace.network[e] * answers[e].mean;
		mean += trace.shares[e] * answers[e].mean;
	}

	float losses[kGateChoices] = {};
	bool awake[kGateChoices] = {};
	for (int e = 0; e < kNumExperts; e++) {
		awake[e] = trace.usable[e];
		losses[e] = awake[e] ? Loss(ErrorOf(answers[e].mean, outcome)) : 0.0f;
	}
	awake[kGateOfNetwork] = true;
	losses[kGateOfNetwork] = Loss(ErrorOf(network_mean, outcome));
	const float loss = Loss(ErrorOf(mean, outcome));

	float *usual = &record->loss;
	const float unit = std::max(*usual, kLeastUnit);
	if (trains && trace.num_usable > 1)
		AddGradient(learning, which, trace, answers, network_mean, ErrorOf(network_mean, outcome), unit,
		            weight * learning->role_weight);
	/* who is alone cannot be compared */
	if (trace.num_usable > 1) {
		UpdateChoices(record->choices, awake, losses, unit, weight);
		for (int e = 0; e < kNumExperts; e++) {
			if (!awake[e])
				continue;
			const float excess = std::clamp(losses[e] - loss, -kMostExcess, kMostExcess);
			FoldLoss(&record->losses, e, excess, weight);
			if (of_template != nullptr)
				FoldLoss(of_template, e, excess, weight);
		}
	}
	if (!outcome.lower_bound)
		*usual += (loss - *usual) * (1 - kLossDecay) * weight;
}

/* Adam, with a pull towards the anchor. */
void Descend(GateModel *gate, Learning *learning, float weight) noexcept
{
	float weights[kNumGateWeights];
	float gradient[kNumGateWeights];
	float anchor[kNumGateWeights];
	std::memcpy(weights, &learning->view.weights, sizeof weights);
	std::memcpy(gradient, &learning->gradient, sizeof gradient);
	std::memcpy(anchor, &gate->anchor, sizeof anchor);
	for (int i = 0; i < kNumGateWeights; i++) {
		float *mean = &gate->gradient_mean[i];
		float *square = &gate->gradient_square[i];
		*mean = kMeanDecay * *mean + (1 - kMeanDecay) * gradient[i];
		*square = kSquareDecay * *square + (1 - kSquareDecay) * gradient[i] * gradient[i];
		const float step = *mean / (std::sqrt(*square) + kDamping) + kPull * (weights[i] - anchor[i]);
		weights[i] = std::clamp(weights[i] - kStep * weight * step, -kMostWeight, kMostWeight);
	}
	std::memcpy(&learning->view.weights, weights, sizeof weights);
}

void ScoreOperators(Learning *learning, const Experience &experience) noexcept
{
	int observed = 0;
	for (int i = 0; i < NumOperators(experience); i++)
		observed += (experience.operators[i].flags & kObserved) != 0 && IsQuantity(experience.operators[i].needed_kb);
	if (observed == 0)
		return;
	/* operators of one plan err together: all of them count little more than one */
	const float each = 1 / std::sqrt(static_cast<float>(observed));
	const int stride = (observed + kMostTrained - 1) / kMostTrained;
	int seen = 0;
	for (int i = 0; i < NumOperators(experience); i++) {
		const OperatorExperience &op = experience.operators[i];
		if (!(op.flags & kObserved) || !IsQuantity(op.needed_kb))
			continue;
		Score(learning, Target::kOperatorMemory, op.answers, {LogKb(op.needed_kb), NeedIsLowerBound(op)}, each,
		      seen++ % stride == 0, &learning->query.losses.operator_memory);
	}
}

}  // namespace

void LearnGate(GateModel *gate, RecallStore *recall, const Experience &experience, float weight) noexcept
{
	if (gate == nullptr || !WasRun(experience) || !(weight > 0))
		return;
	Learning learning{};
	learning.role_weight = std::min(weight, 1.0f);
	std::memcpy(&learning.view, &gate->view, sizeof(GateView));
	learning.query =
		MakeGateQuery(experience.familiarity, experience.novelty, experience.total_cost, experience.num_nodes);
	const bool has_template =
		recall != nullptr && recall->FindLosses(experience.template_fingerprint, &learning.query.losses);

	if (IsQuantity(experience.time_ms))
		Score(&learning, Target::kTime, experience.time_answers,
		      {LogMs(experience.time_ms), TimeIsLowerBound(experience)}, 1, true, &learning.query.losses.time);
	if (IsQuantity(experience.query_memory_kb))
		Score(&learning, Target::kQueryMemory, experience.query_memory_answers,
		      {LogKb(experience.query_memory_kb), QueryMemoryIsLowerBound(experience)}, 1, true, nullptr);
	ScoreOperators(&learning, experience);
	if (learning.has_gradient)
		Descend(gate, &learning, learning.role_weight);

	gate->sequence.BeginWrite();
	shared_words::Store(&gate->view, &learning.view, sizeof(GateView));
	gate->observations++;
	gate->sequence.EndWrite();
	if (has_template)
		RememberLosses(recall, experience.template_fingerprint, learning.query.losses);
}

}  // namespace wlm
