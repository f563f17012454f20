/*
 * model_trial.cpp
 *
 * See model_trial.hpp.
 */
#include "core/learn/model_trial.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

constexpr int64_t kTypicalWorkMemKb = 4096; /* what PostgreSQL starts with */
constexpr float kTypicalHashMultiplier = 2;

constexpr int kLeastPlans = 10;        /* under that a comparison is not worth its name */
constexpr double kLeastGain = 0.01;    /* ln, per target */
constexpr double kSureDeviations = 1.645;
constexpr int kMostUnansweredPart = 20; /* one of twenty */
constexpr float kMostError = 6;        /* ln: one absurd answer is no worse than a factor of 400 */

/* The mean over labels that are whole and answered; NaN if there is none. */
class MeanError {
  public:
	void Add(const Estimate &answer, float outcome) noexcept
	{
		if (!IsUsable(answer) || !std::isfinite(outcome))
			return;
		sum_ += std::min(std::fabs(answer.mean - outcome), kMostError);
		count_++;
	}
	float Get() const noexcept
	{
		return count_ > 0 ? sum_ / static_cast<float>(count_) : std::numeric_limits<float>::quiet_NaN();
	}

  private:
	float sum_ = 0;
	int count_ = 0;
};

float ErrorOf(const Sample &sample, const ExpertAnswer &answer, Target target) noexcept
{
	MeanError error;
	switch (target) {
		case Target::kTime:
			if (sample.time_weight > 0)
				error.Add(answer.time, sample.log_ms);
			break;
		case Target::kQueryMemory:
			if (sample.query_kb_weight > 0)
				error.Add(answer.query_memory, sample.log_query_kb);
			break;
		case Target::kOperatorMemory:
			for (int i = 0; i < sample.graph.num_memory_nodes; i++)
				if (sample.operators[i].needed_weight > 0)
					error.Add(answer.memory[i], sample.operators[i].log_needed_kb);
			break;
		case Target::kNumTargets: break;
	}
	return error.Get();
}

}  // namespace

void CollectErrors(const SamplePool &pool, int from, ExpertId expert, const ModelView &models, Target target,
                   std::span<float> errors, Sample *sample, Forecast *forecast) noexcept
{
	const PlanContext context = {kTypicalWorkMemKb, kTypicalHashMultiplier, true};
	const int begin = std::max(from, 0);

	std::fill(errors.begin(), errors.end(), std::numeric_limits<float>::quiet_NaN());
	for (int i = begin; i < pool.size() && static_cast<size_t>(i - begin) < errors.size(); i++) {
		if (!pool.Get(i, sample) || sample->graph.overflow)
			continue;
		for (ExpertAnswer &answer : forecast->answers)
			ClearAnswer(&answer, sample->graph.num_memory_nodes);
		forecast->num_memory_nodes = sample->graph.num_memory_nodes;
		kExperts[expert].answer(models, sample->graph, context, forecast);
		errors[static_cast<size_t>(i - begin)] = ErrorOf(*sample, forecast->answers[expert], target);
	}
}

TargetScore Summarise(std::span<float> errors) noexcept
{
	const auto end = std::remove_if(errors.begin(), errors.end(), [](float error) { return std::isnan(error); });
	const auto count = end - errors.begin();
	if (count == 0)
		return {};
	std::sort(errors.begin(), end);
	const auto at = [&](double part) {
		const double index = part * static_cast<double>(count - 1) + 0.5;
		return std::exp(static_cast<double>(errors[static_cast<size_t>(index)]));
	};
	return {static_cast<int>(count), at(0.5), at(0.9)};
}

void Comparison::Add(std::span<const float> challenger, std::span<const float> champion) noexcept
{
	double sum = 0;
	double squares = 0;
	int count = 0;
	for (size_t i = 0; i < std::min(challenger.size(), champion.size()); i++) {
		if (std::isnan(champion[i]))
			continue;
		answered++;
		if (std::isnan(challenger[i])) {
			unanswered++;
			continue;
		}
		const double difference = static_cast<double>(champion[i]) - static_cast<double>(challenger[i]);
		sum += difference;
		squares += difference * difference;
		count++;
	}
	if (count < kLeastPlans)
		return;
	const double mean = sum / count;
	gain += mean;
	variance += std::max(squares / count - mean * mean, 0.0) / (count - 1);
	targets++;
}

bool Comparison::IsBetter() const noexcept
{
	return targets > 0 && unanswered * kMostUnansweredPart <= answered && gain > kLeastGain * targets &&
		gain > kSureDeviations * std::sqrt(variance);
}

}  // namespace wlm
