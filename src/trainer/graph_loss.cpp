/*
 * graph_loss.cpp
 *
 * See graph_loss.hpp.
 */
#include "trainer/graph_loss.hpp"

#include <algorithm>
#include <cmath>

namespace wlm::trainer {

namespace {

constexpr std::array<float, kNumGraphTerms> kTermWeights = {1.0f, 1.0f, 0.5f};

struct Loss {
	float value;
	float derivative; /* by the prediction */
};

Loss PseudoHuber(float residual)
{
	const float root = std::sqrt(1 + residual * residual);
	return {root - 1, residual / root};
}

Loss LossOf(const GraphTarget &target, float prediction)
{
	Loss loss = {0, 0};
	if (target.is_known)
		loss = PseudoHuber(prediction - target.value);
	if (target.has_bound && prediction < target.bound) {
		const Loss shortfall = PseudoHuber(prediction - target.bound);
		loss.value += shortfall.value;
		loss.derivative += shortfall.derivative;
	}
	return loss;
}

float SquareOf(const GraphTarget &target, float prediction)
{
	const float residual = std::clamp(prediction - target.value, -kMostResidual, kMostResidual);
	return residual * residual;
}

/* By the logarithm of the variance; nothing pushes it further out of its range. */
float VarianceDerivative(float square, float log_variance)
{
	const float derivative =
		0.5f * (1 - square * std::exp(-std::clamp(log_variance, kLeastLogVariance, kMostLogVariance)));
	const bool outwards =
		(log_variance <= kLeastLogVariance && derivative > 0) || (log_variance >= kMostLogVariance && derivative < 0);
	return outwards ? 0 : derivative;
}

void AddKnown(const GraphTarget &target, float prediction, float log_variance, GraphTermScore *score)
{
	score->squares += static_cast<double>(SquareOf(target, prediction));
	score->variance += static_cast<double>(std::exp(std::clamp(log_variance, kLeastLogVariance, kMostLogVariance)));
	score->known++;
}

/* Predictions and, to be set, derivatives of one number. */
struct Place {
	float mean;
	float log_variance;
	float *by_mean;
	float *by_variance;
};

void AddTarget(const GraphTarget &target, GraphTerm term, float weight, float batch_part, const Place &place,
               GraphScore *score)
{
	const Loss loss = LossOf(target, place.mean);
	if (place.by_mean != nullptr) {
		const float scale = weight * batch_part * kTermWeights[static_cast<size_t>(term)];
		*place.by_mean = scale * loss.derivative;
		*place.by_variance =
			target.is_known ? scale * VarianceDerivative(SquareOf(target, place.mean), place.log_variance) : 0;
	}
	if (score == nullptr || !(target.is_known || target.has_bound))
		return;
	GraphTermScore *sum = &score->terms[static_cast<size_t>(term)];
	sum->loss += static_cast<double>(weight * loss.value);
	sum->weight += static_cast<double>(weight);
	if (target.is_known)
		AddKnown(target, place.mean, place.log_variance, sum);
}

}  // namespace

double GraphScore::Loss() const
{
	double loss = 0;
	for (size_t i = 0; i < kNumGraphTerms; i++)
		if (terms[i].weight > 0)
			loss += static_cast<double>(kTermWeights[i]) * terms[i].loss / terms[i].weight;
	return loss;
}

void GraphLoss(const GraphData &data, std::span<const size_t> indices, std::span<const float> weights,
               const GraphOutputs<float> &outputs, GraphOutputs<float> *by_outputs, GraphScore *score)
{
	const float batch_part = 1.0f / static_cast<float>(indices.size());
	Eigen::Index op_index = 0;
	for (size_t i = 0; i < indices.size(); i++) {
		const GraphPlan &plan = data.plan(indices[i]);
		const auto at = static_cast<Eigen::Index>(i);
		AddTarget(plan.time, GraphTerm::kTime, weights[i], batch_part,
		          {outputs.time[at], outputs.time_variance[at], by_outputs ? &by_outputs->time[at] : nullptr,
		           by_outputs ? &by_outputs->time_variance[at] : nullptr},
		          score);
		AddTarget(plan.query_memory, GraphTerm::kQueryMemory, weights[i], batch_part,
		          {outputs.query_memory[at], outputs.query_variance[at],
		           by_outputs ? &by_outputs->query_memory[at] : nullptr,
		           by_outputs ? &by_outputs->query_variance[at] : nullptr},
		          score);
		/* a plan with many operators teaches more than one with few, but not in proportion */
		const float op_weight = weights[i] / std::sqrt(static_cast<float>(std::max(plan.num_operators, 1)));
		for (int slot = 0; slot < plan.num_operators; slot++, op_index++) {
			const GraphOperator &op = data.op(plan, slot);
			AddTarget(op.need, GraphTerm::kMemory, op_weight, batch_part,
			          {outputs.memory[op_index], outputs.memory_variance[op_index],
			           by_outputs ? &by_outputs->memory[op_index] : nullptr,
			           by_outputs ? &by_outputs->memory_variance[op_index] : nullptr},
			          score);
			if (score != nullptr && op.need.is_known)
				AddKnown(op.need, outputs.memory[op_index], outputs.memory_variance[op_index],
				         &score->memory_classes[static_cast<size_t>(op.memory)]);
		}
	}
}

}  // namespace wlm::trainer
