/*
 * learner.cpp
 *
 * One step of learning for all experts, and answering anew for stored history.
 * Called by the learning worker after each query and by train() and evaluate().
 */
#include "core/learn/learner.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/log_scale.hpp"
#include "core/predict/mixture.hpp"
#include "core/predict/plan_features.hpp"
#include "core/predict/planner_expert.hpp"
#include "core/predict/recall_expert.hpp"
#include "core/predict/shared_words.hpp"

namespace wlm {

namespace {

void AnswerAgain(const ModelView &models, const PlanFeatures &features, ExpertAnswer answers[kNumExperts]) noexcept
{
	for (int i = 0; i < kNumExperts; i++)
		ClearAnswer(&answers[i], features.num_operators);
	PlannerModel planner;
	if (models.planner != nullptr && ReadShared(*models.planner, &planner))
		PlannerAnswer(planner, features, &answers[kPlannerExpert]);
	if (models.recall != nullptr)
		RecallAnswer(*models.recall, features, answers[kPlannerExpert], &answers[kRecallExpert]);
}

Estimate UsableOrNone(const Estimate &estimate) noexcept { return IsUsable(estimate) ? estimate : Estimate{}; }

}  // namespace

void Learn(PlannerModel *planner, RecallStore *recall, const Experience &experience) noexcept
{
	if (planner != nullptr)
		LearnPlanner(planner, experience);
	if (recall != nullptr)
		Remember(recall, experience);
}

void PredictAgain(const ModelView &models, const PlanGraph *, Experience *experience) noexcept
{
	PlanFeatures features;
	ExpertAnswer answers[kNumExperts];
	FeaturesOfExperience(*experience, &features);
	AnswerAgain(models, features, answers);

	const Calibration calibration = CalibrationOf(models.accuracy);
	float query_share[kNumExperts];
	for (int i = 0; i < kNumExperts; i++) {
		experience->time_answers[i] = UsableOrNone(answers[i].time);
		experience->query_memory_answers[i] = UsableOrNone(answers[i].query_memory);
	}
	experience->model_version = models.version;
	experience->time = Mix(experience->time_answers, calibration.time, experience->time_share);
	experience->query_memory = Mix(experience->query_memory_answers, calibration.query_memory, query_share);

	ShareAverage average{};
	for (int slot = 0; slot < features.num_operators; slot++) {
		OperatorExperience *op = &experience->operators[slot];
		float shares[kNumExperts];
		for (int i = 0; i < kNumExperts; i++)
			op->answers[i] = UsableOrNone(answers[i].memory[slot]);
		op->mixture = Mix(op->answers, calibration.operator_memory, shares);
		op->predicted_kb = op->mixture.HasOpinion() ? op->mixture.At(0) : 0;
		average.Add(shares);
	}
	average.Get(query_share, experience->memory_share);
}

}  // namespace wlm
