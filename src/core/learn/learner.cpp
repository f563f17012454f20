/*
 * learner.cpp
 *
 * One step of learning for all experts, and answering anew for stored history.
 * Called by the learning worker after each query and by train() and evaluate().
 */
#include "core/learn/learner.hpp"

#include <algorithm>
#include <cmath>

#include "core/learn/censoring.hpp"
#include "core/predict/gate.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/mixture.hpp"
#include "core/predict/neighbour_store.hpp"
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

void PredictFromGraph(const ModelView &models, const PlanGraph &graph, Experience *experience) noexcept
{
	const float session = experience->session_work_mem_kb;
	const PlanContext context = {
		.work_mem_kb = session >= 64 && session < 2e9f ? static_cast<int64_t>(session) : 4096,
		.hash_mem_multiplier = 2,
		.ask_everybody = true,
	};
	Forecast forecast;
	Predict(models, graph, context, &forecast);
	CopyForecast(graph, forecast, experience);
}

void PredictFromFeatures(const ModelView &models, Experience *experience) noexcept
{
	PlanFeatures features;
	ExpertAnswer answers[kNumExperts];
	FeaturesOfExperience(*experience, &features);
	AnswerAgain(models, features, answers);

	experience->model_version = models.version;
	experience->familiarity =
		FamiliarityOf(models.recall, experience->plan_fingerprint, experience->template_fingerprint);
	const Mixer mixer(models, experience->template_fingerprint,
	                  MakeGateQuery(experience->familiarity, experience->novelty, experience->total_cost,
	                                experience->num_nodes));
	for (int i = 0; i < kNumExperts; i++) {
		experience->time_answers[i] = UsableOrNone(answers[i].time);
		experience->query_memory_answers[i] = UsableOrNone(answers[i].query_memory);
	}
	float query_share[kNumExperts];
	experience->time = mixer.Mixed(Target::kTime, experience->time_answers, experience->time_share);
	experience->query_memory = mixer.Mixed(Target::kQueryMemory, experience->query_memory_answers, query_share);

	ShareAverage average{};
	for (int slot = 0; slot < features.num_operators; slot++) {
		OperatorExperience *op = &experience->operators[slot];
		float shares[kNumExperts];
		for (int i = 0; i < kNumExperts; i++)
			op->answers[i] = UsableOrNone(answers[i].memory[slot]);
		op->mixture = mixer.Mixed(Target::kOperatorMemory, op->answers, shares);
		op->predicted_kb = op->mixture.HasOpinion() ? op->mixture.At(0) : 0;
		average.Add(shares);
	}
	average.Get(query_share, experience->memory_share);
}

void Blend(float *now, const float *before, int count, float weight) noexcept
{
	for (int i = 0; i < count; i++)
		now[i] = before[i] + weight * (now[i] - before[i]);
}

/* Of two sane states every state between is sane: covariances stay positive semidefinite. */
void BlendRegression(Regression *now, const Regression &before, float weight) noexcept
{
	Blend(now->weights, before.weights, kMaxRegressors, weight);
	for (int i = 0; i < kMaxRegressors; i++)
		Blend(now->covariance[i], before.covariance[i], kMaxRegressors, weight);
	Blend(&now->noise_variance, &before.noise_variance, 1, weight);
	Blend(&now->evidence, &before.evidence, 1, weight);
}

}  // namespace

void LearnPlanner(PlannerModel *shared, const Experience &experience, float weight) noexcept
{
	if (!(weight > 0))
		return;
	if (weight >= 1) {
		LearnPlanner(shared, experience);
		return;
	}
	PlannerModel before;
	PlannerModel model;
	ReadOwn(*shared, &before);
	ReadOwn(*shared, &model);
	model.sequence.value.store(0, std::memory_order_relaxed);
	LearnPlanner(&model, experience);
	BlendRegression(&model.time, before.time, weight);
	BlendRegression(&model.query_memory, before.query_memory, weight);
	for (int i = 0; i < static_cast<int>(MemoryClass::kNumClasses); i++)
		BlendRegression(&model.memory[i], before.memory[i], weight);
	PublishShared(shared, model);
}

void Learn(const LearningModels &models, const Experience &experience, float weight) noexcept
{
	Judge(models.accuracy, experience);
	if (models.planner != nullptr)
		LearnPlanner(models.planner, experience, weight);
	if (models.recall != nullptr)
		Remember(models.recall, experience);
	LearnGate(models.gate, models.recall, experience, weight);
	if (models.neighbours != nullptr)
		AddNeighbour(models.neighbours, experience);
}

void CopyForecast(const PlanGraph &graph, const Forecast &forecast, Experience *experience) noexcept
{
	experience->model_version = forecast.model_version;
	experience->familiarity = forecast.familiarity;
	experience->novelty = forecast.novelty;
	experience->num_nodes = graph.num_nodes;
	experience->time = forecast.time;
	experience->query_memory = forecast.query_memory;
	experience->embedding_version = forecast.embedding_version;
	if (forecast.embedding_version != 0)
		experience->embedding = forecast.embedding;
	for (int i = 0; i < kNumExperts; i++) {
		experience->time_answers[i] = forecast.answers[i].time;
		experience->query_memory_answers[i] = forecast.answers[i].query_memory;
		experience->time_share[i] = forecast.time_share[i];
		experience->memory_share[i] = forecast.memory_share[i];
	}
	for (int i = 0; i < NumOperators(*experience); i++) {
		OperatorExperience *op = &experience->operators[i];
		const int slot = op->memory_slot;
		const bool known = slot >= 0 && slot < forecast.num_memory_nodes;
		op->mixture = known ? forecast.memory[slot] : Estimate{};
		op->predicted_kb = op->mixture.HasOpinion() ? op->mixture.At(0) : 0;
		for (int expert = 0; expert < kNumExperts; expert++)
			op->answers[expert] = known ? forecast.answers[expert].memory[slot] : Estimate{};
		if (known && forecast.embedding_version != 0)
			op->embedding = forecast.operator_embedding[slot];
	}
}

void PredictAgain(const ModelView &models, const PlanGraph *graph, Experience *experience) noexcept
{
	if (graph != nullptr)
		PredictFromGraph(models, *graph, experience);
	else
		PredictFromFeatures(models, experience);
}

}  // namespace wlm
