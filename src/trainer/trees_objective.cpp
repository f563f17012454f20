/*
 * trees_objective.cpp
 *
 * See trees_objective.hpp.
 */
#include "trainer/trees_objective.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace wlm::trainer {

namespace {

constexpr float kDelta = 1;           /* ln: beyond a factor of e errors count linearly */
constexpr float kMostError = 30;
constexpr float kMostMargin = 16;     /* as the expert clamps corrections */
constexpr float kMostBias = 20;
constexpr float kLeastSquare = 1e-4f; /* (1 %)^2 */
constexpr float kMostSquare = 16;     /* a factor of 55: beyond it is the tail, not the scatter */
constexpr float kUnknownVariance = 0.5f;

float Root(float error) { return std::sqrt(1 + error * error / (kDelta * kDelta)); }
double PseudoHuber(float error) { return kDelta * kDelta * (Root(error) - 1); }
float Slope(float error) { return error / Root(error); }
float Curvature(float error) { return 1 / Root(error); }

float WeightedMedian(std::vector<std::pair<float, float>> *values)
{
	if (values->empty())
		return 0;
	std::sort(values->begin(), values->end());
	double sum = 0;
	for (const auto &[value, weight] : *values)
		sum += weight;
	double below = 0;
	for (const auto &[value, weight] : *values) {
		below += weight;
		if (2 * below >= sum)
			return std::clamp(value, -kMostBias, kMostBias);
	}
	return 0;
}

/* Bounds count only if there is nothing else: below them anything could be. */
template <class Wanted>
float MedianWanted(const std::vector<TreesLabel> &labels, const Multiplicity &multiplicity, Wanted wanted)
{
	for (const bool bounds : {false, true}) {
		std::vector<std::pair<float, float>> values;
		for (size_t i = 0; i < labels.size(); i++)
			if (labels[i].bound == bounds && multiplicity[labels[i].group] > 0)
				values.emplace_back(wanted(i), labels[i].weight * static_cast<float>(multiplicity[labels[i].group]));
		if (!values.empty())
			return WeightedMedian(&values);
	}
	return 0;
}

/* Too little where a lower bound is known, or any difference. */
bool IsError(const TreesLabel &label, float error) { return !label.bound || error < 0; }

}  // namespace

RowObjective::RowObjective(const std::vector<TreesLabel> &labels, const Multiplicity &multiplicity)
	: labels_(labels),
	  multiplicity_(multiplicity),
	  bias_(MedianWanted(labels, multiplicity, [&labels](size_t i) { return labels[i].y - labels[i].start; }))
{
}

void RowObjective::Gradients(std::span<const float> margins, std::span<float> gradients, std::span<float> hessians)
{
	for (size_t i = 0; i < labels_.size(); i++) {
		const TreesLabel &label = labels_[i];
		const float weight = label.weight * static_cast<float>(multiplicity_[label.group]);
		const float error = std::clamp(label.start + bias_ + margins[i] - label.y, -kMostError, kMostError);
		const bool counts = weight > 0 && IsError(label, error);
		gradients[i] = counts ? weight * Slope(error) : 0;
		hessians[i] = counts ? weight * Curvature(error) : 0;
	}
}

double RowObjective::Loss(std::span<const float> margins)
{
	double loss = 0;
	double weights = 0;
	for (size_t i = 0; i < labels_.size(); i++) {
		const TreesLabel &label = labels_[i];
		if (multiplicity_[label.group] > 0)
			continue;
		const float error = std::clamp(label.start + bias_ + margins[i] - label.y, -kMostError, kMostError);
		weights += label.weight;
		if (IsError(label, error))
			loss += label.weight * PseudoHuber(error);
	}
	return weights > 0 ? loss / weights : -1;
}

void RowObjective::Errors(std::span<const float> margins, std::vector<float> *squares, std::vector<float> *weights)
{
	squares->assign(labels_.size(), 0);
	weights->assign(labels_.size(), 0);
	for (size_t i = 0; i < labels_.size(); i++) {
		const TreesLabel &label = labels_[i];
		if (multiplicity_[label.group] > 0 || label.bound)
			continue;
		const float error = std::clamp(label.start + bias_ + margins[i] - label.y, -kMostError, kMostError);
		(*squares)[i] = error * error + label.variance;
		(*weights)[i] = label.weight;
	}
}

TimeObjective::TimeObjective(const TreesData &data, const Multiplicity &multiplicity)
	: data_(data), multiplicity_(multiplicity), parts_(data.own_ms.size())
{
	bias_ = MedianWanted(data.plans.labels, multiplicity, [&data](size_t plan) {
		double sum = 0;
		for (uint32_t i = data.first_pipeline[plan]; i < data.first_pipeline[plan + 1]; i++)
			sum += data.own_ms[i];
		return data.plans.labels[plan].y - static_cast<float>(std::log(sum));
	});
}

float TimeObjective::Error(size_t plan, std::span<const float> margins)
{
	const uint32_t first = data_.first_pipeline[plan];
	const uint32_t end = data_.first_pipeline[plan + 1];
	double sum = 0;
	for (uint32_t i = first; i < end; i++) {
		parts_[i] = data_.own_ms[i] * std::exp(std::clamp(bias_ + margins[i], -kMostMargin, kMostMargin));
		sum += parts_[i];
	}
	for (uint32_t i = first; i < end; i++)
		parts_[i] = static_cast<float>(parts_[i] / sum);
	return std::clamp(static_cast<float>(std::log(sum)) - data_.plans.labels[plan].y, -kMostError, kMostError);
}

void TimeObjective::Gradients(std::span<const float> margins, std::span<float> gradients, std::span<float> hessians)
{
	for (size_t plan = 0; plan < data_.plans.labels.size(); plan++) {
		const TreesLabel &label = data_.plans.labels[plan];
		const float weight = label.weight * static_cast<float>(multiplicity_[label.group]);
		float slope = 0;
		float curvature = 0;
		if (weight > 0) {
			const float error = Error(plan, margins);
			if (IsError(label, error)) {
				slope = weight * Slope(error);
				curvature = weight * (Curvature(error) + std::max(Slope(error), 0.0f));
			}
		}
		for (uint32_t i = data_.first_pipeline[plan]; i < data_.first_pipeline[plan + 1]; i++) {
			gradients[i] = slope * parts_[i];
			hessians[i] = curvature * parts_[i];
		}
	}
}

double TimeObjective::Loss(std::span<const float> margins)
{
	double loss = 0;
	double weights = 0;
	for (size_t plan = 0; plan < data_.plans.labels.size(); plan++) {
		const TreesLabel &label = data_.plans.labels[plan];
		if (multiplicity_[label.group] > 0)
			continue;
		const float error = Error(plan, margins);
		weights += label.weight;
		if (IsError(label, error))
			loss += label.weight * PseudoHuber(error);
	}
	return weights > 0 ? loss / weights : -1;
}

void TimeObjective::Errors(std::span<const float> margins, std::vector<float> *squares, std::vector<float> *weights)
{
	const std::vector<TreesLabel> &labels = data_.plans.labels;
	squares->assign(labels.size(), 0);
	weights->assign(labels.size(), 0);
	for (size_t plan = 0; plan < labels.size(); plan++) {
		if (multiplicity_[labels[plan].group] > 0 || labels[plan].bound)
			continue;
		const float error = Error(plan, margins);
		(*squares)[plan] = error * error + labels[plan].variance;
		(*weights)[plan] = labels[plan].weight;
	}
}

VarianceObjective::VarianceObjective(std::vector<float> squares, std::vector<float> weights)
	: squares_(std::move(squares)), weights_(std::move(weights))
{
	double sum = 0;
	double weight = 0;
	for (size_t i = 0; i < squares_.size(); i++) {
		squares_[i] = std::clamp(squares_[i], kLeastSquare, kMostSquare);
		num_errors_ += weights_[i] > 0;
		sum += static_cast<double>(weights_[i]) * squares_[i];
		weight += weights_[i];
	}
	/* one guess more, so that three lucky errors promise nothing */
	const double prior = num_errors_ > 0 ? weight / static_cast<double>(num_errors_) : 1;
	bias_ = static_cast<float>(std::log((sum + prior * kUnknownVariance) / (weight + prior)));
}

void VarianceObjective::Gradients(std::span<const float> margins, std::span<float> gradients, std::span<float> hessians)
{
	for (size_t i = 0; i < squares_.size(); i++) {
		const float ratio = std::min(squares_[i] * std::exp(-std::clamp(bias_ + margins[i], -10.0f, 10.0f)), 20.0f);
		gradients[i] = weights_[i] * 0.5f * (1 - ratio);
		hessians[i] = weights_[i] * 0.5f;
	}
}

}  // namespace wlm::trainer
