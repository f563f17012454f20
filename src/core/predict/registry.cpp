/*
 * registry.cpp
 *
 * The experts, in the order in which they are asked, and the question itself.
 * Runs in the backend before a query starts: no allocation, no lock, and no
 * touch of array elements that the plan does not use.
 */
#include <algorithm>

#include "core/predict/expert.hpp"
#include "core/predict/graph_model.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/mixture.hpp"
#include "core/predict/neighbour_store.hpp"
#include "core/predict/planner_expert.hpp"
#include "core/predict/recall_expert.hpp"
#include "core/predict/trees_model.hpp"

namespace wlm {

const Expert kExperts[kNumExperts] = {
	{"planner", AskPlanner, nullptr},
	{"recall", AskRecall, nullptr},
	{"trees", AskTrees, PriceOfTrees},
	{"graph", AskGraph, PriceOfGraph},
	{"neighbours", AskNeighbours, PriceOfNeighbours},
};

namespace {

/* An expert may take up to this part of what the query itself will take (ALGORITHMS.md, section 4). */
constexpr float kThoughtShare = 0.001f;
constexpr float kNanosecondsPerMs = 1e6f;

/* No opinion instead of numbers that cannot be used. */
void Discard(Estimate *estimate) noexcept
{
	if (!IsUsable(*estimate))
		*estimate = Estimate{};
}

void DiscardUnusable(ExpertAnswer *answer, int num_memory_nodes) noexcept
{
	Discard(&answer->time);
	Discard(&answer->parallel_fraction);
	Discard(&answer->query_memory);
	for (int i = 0; i < num_memory_nodes; i++) {
		Discard(&answer->memory[i]);
		Discard(&answer->temp[i]);
	}
}

/* What those asked so far expect: recall, which has seen it, before the planner. */
float ExpectedMs(const Forecast &forecast) noexcept
{
	const Estimate &recalled = forecast.answers[kRecallExpert].time;
	const Estimate &time = recalled.HasOpinion() ? recalled : forecast.answers[kPlannerExpert].time;
	return time.HasOpinion() ? time.At(0) : 0;
}

bool IsWorthAsking(const Expert &expert, const ModelView &models, const PlanGraph &graph, const PlanContext &context,
                   const Forecast &forecast) noexcept
{
	if (expert.price == nullptr || context.ask_everybody)
		return true;
	return expert.price(models, graph) <= ExpectedMs(forecast) * kNanosecondsPerMs * kThoughtShare;
}

/* One target, gathered from all answers. */
template <class Member>
const Estimate *Gather(const Forecast &forecast, Member member, Estimate answers[kNumExperts]) noexcept
{
	for (int i = 0; i < kNumExperts; i++)
		answers[i] = member(forecast.answers[i]);
	return answers;
}

void ClearForecast(Forecast *forecast) noexcept
{
	forecast->num_memory_nodes = 0;
	forecast->has_opinion = false;
	forecast->familiarity = Familiarity::kUnseen;
	forecast->novelty = -1;
	forecast->embedding_version = 0;
	forecast->time = forecast->parallel_fraction = forecast->query_memory = Estimate{};
	for (ExpertAnswer &answer : forecast->answers)
		answer.time = answer.parallel_fraction = answer.query_memory = Estimate{};
	std::fill_n(forecast->time_share, static_cast<int>(kNumExperts), 0.0f);
	std::fill_n(forecast->memory_share, static_cast<int>(kNumExperts), 0.0f);
}

/* Nobody judges parallel fractions and temporary files: they are mixed by precision. */
void MixForecast(const Mixer &mixer, Forecast *forecast) noexcept
{
	float ignored[kNumExperts];
	float query_share[kNumExperts];
	Estimate answers[kNumExperts];
	forecast->time =
		mixer.Mixed(Target::kTime, Gather(*forecast, [](const ExpertAnswer &answer) { return answer.time; }, answers),
	                forecast->time_share);
	forecast->parallel_fraction =
		Mix(Gather(*forecast, [](const ExpertAnswer &answer) { return answer.parallel_fraction; }, answers), {}, ignored);
	forecast->query_memory = mixer.Mixed(
		Target::kQueryMemory,
		Gather(*forecast, [](const ExpertAnswer &answer) { return answer.query_memory; }, answers), query_share);

	ShareAverage average{};
	for (int slot = 0; slot < forecast->num_memory_nodes; slot++) {
		float shares[kNumExperts];
		forecast->memory[slot] = mixer.Mixed(
			Target::kOperatorMemory,
			Gather(*forecast, [slot](const ExpertAnswer &answer) { return answer.memory[slot]; }, answers), shares);
		average.Add(shares);
		forecast->temp[slot] =
			Mix(Gather(*forecast, [slot](const ExpertAnswer &answer) { return answer.temp[slot]; }, answers), {}, ignored);
	}
	average.Get(query_share, forecast->memory_share);
}

}  // namespace

void ClearAnswer(ExpertAnswer *answer, int num_memory_nodes) noexcept
{
	answer->time = answer->parallel_fraction = answer->query_memory = Estimate{};
	std::fill_n(answer->memory, num_memory_nodes, Estimate{});
	std::fill_n(answer->temp, num_memory_nodes, Estimate{});
}

void Predict(const ModelView &models, const PlanGraph &graph, const PlanContext &context, Forecast *forecast) noexcept
{
	ClearForecast(forecast);
	forecast->template_fingerprint = graph.template_fingerprint;
	forecast->plan_fingerprint = graph.plan_fingerprint;
	forecast->model_version = models.version;
	if (graph.overflow || graph.num_nodes <= 0 || graph.num_memory_nodes < 0 ||
	    graph.num_memory_nodes > kMaxMemoryNodes)
		return;

	forecast->familiarity = FamiliarityOf(models.recall, graph.plan_fingerprint, graph.template_fingerprint);
	for (int i = 0; i < kNumExperts; i++) {
		if (IsWorthAsking(kExperts[i], models, graph, context, *forecast))
			kExperts[i].answer(models, graph, context, forecast);
		else
			ClearAnswer(&forecast->answers[i], graph.num_memory_nodes);
		DiscardUnusable(&forecast->answers[i], graph.num_memory_nodes);
	}
	forecast->num_memory_nodes = graph.num_memory_nodes;
	MixForecast(Mixer(models, graph.template_fingerprint,
	                  MakeGateQuery(forecast->familiarity, forecast->novelty, graph.total_cost, graph.num_nodes)),
	            forecast);
	forecast->has_opinion = forecast->time.HasOpinion();
	if (!forecast->has_opinion)
		ClearForecast(forecast);
}

}  // namespace wlm
