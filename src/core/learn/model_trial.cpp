/*
 * model_trial.cpp
 *
 * See model_trial.hpp.
 */
#include "core/learn/model_trial.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/log_scale.hpp"
#include "core/predict/mixture.hpp"

namespace wlm {

namespace {

constexpr double kHalfWidth = 1.959964;
constexpr int64_t kTypicalWorkMemKb = 4096; /* what PostgreSQL starts with */
constexpr float kTypicalHashMultiplier = 2;

class ErrorList {
  public:
	ErrorList(std::span<float> errors, Target target) noexcept : errors_(errors), target_(target) {}

	Target target() const noexcept { return target_; }

	void Add(const Estimate &answer, float outcome) noexcept
	{
		if (!IsUsable(answer) || !std::isfinite(outcome) || count_ >= errors_.size())
			return;
		const float error = std::fabs(answer.mean - outcome);
		covered_ += error <= static_cast<float>(kHalfWidth) * answer.Deviation();
		errors_[count_++] = error;
	}

	TargetScore Summarise() noexcept
	{
		if (count_ == 0)
			return {};
		std::sort(errors_.begin(), errors_.begin() + static_cast<std::ptrdiff_t>(count_));
		return {static_cast<int>(count_), At(0.5), At(0.9), static_cast<double>(covered_) / static_cast<double>(count_)};
	}

  private:
	double At(double part) const noexcept
	{
		const size_t index = static_cast<size_t>(part * static_cast<double>(count_ - 1) + 0.5);
		return std::exp(static_cast<double>(errors_[index]));
	}

	std::span<float> errors_;
	Target target_;
	size_t count_ = 0;
	int covered_ = 0;
};

void ScoreSample(const Sample &sample, const ExpertAnswer &answer, ErrorList *list) noexcept
{
	switch (list->target()) {
		case Target::kTime:
			if (sample.time_weight > 0)
				list->Add(answer.time, sample.log_ms);
			break;
		case Target::kQueryMemory:
			if (sample.query_kb_weight > 0)
				list->Add(answer.query_memory, sample.log_query_kb);
			break;
		case Target::kOperatorMemory:
			for (int i = 0; i < sample.graph.num_memory_nodes; i++)
				if (sample.operators[i].needed_weight > 0)
					list->Add(answer.memory[i], sample.operators[i].log_needed_kb);
			break;
		case Target::kNumTargets: break;
	}
}

}  // namespace

void ScoreModel(const SamplePool &pool, int from, ExpertId expert, const ModelView &models, std::span<float> errors,
                Sample *sample, Forecast *forecast, ModelScore *score) noexcept
{
	const PlanContext context = {kTypicalWorkMemKb, kTypicalHashMultiplier, true};

	/* one target after the other, so that one array of errors is enough */
	for (int target = 0; target < kNumTargets; target++) {
		ErrorList list(errors, static_cast<Target>(target));
		for (int i = std::max(from, 0); i < pool.size(); i++) {
			if (!pool.Get(i, sample) || sample->graph.overflow)
				continue;
			for (ExpertAnswer &answer : forecast->answers)
				ClearAnswer(&answer, sample->graph.num_memory_nodes);
			forecast->num_memory_nodes = sample->graph.num_memory_nodes;
			kExperts[expert].answer(models, sample->graph, context, forecast);
			ScoreSample(*sample, forecast->answers[expert], &list);
		}
		score->targets[target] = list.Summarise();
	}
}

double CompareScores(const ModelScore &challenger, const ModelScore &champion, int *compared) noexcept
{
	double sum = 0;

	*compared = 0;
	for (int target = 0; target < kNumTargets; target++) {
		const TargetScore &one = challenger.targets[target];
		const TargetScore &other = champion.targets[target];
		if (one.count == 0 || other.count == 0)
			continue;
		sum += std::log(one.p50 / other.p50) + std::log(one.p90 / other.p90);
		(*compared)++;
	}
	return *compared > 0 ? sum / *compared : 0;
}

}  // namespace wlm
