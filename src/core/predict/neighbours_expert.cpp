/*
 * neighbours_expert.cpp
 *
 * The reader's side of the neighbour store: the graph expert's answers, moved by
 * what it got wrong on the nearest examples. Asked after the graph expert, which
 * leaves the embeddings in the forecast.
 */
#include <algorithm>
#include <cmath>

#include "core/predict/log_scale.hpp"
#include "core/predict/neighbour_search.hpp"

namespace wlm {

namespace {

constexpr float kMostNovelty = 1000;
constexpr float kLeastDoubt = 0.5f; /* new plans that happened to be easy do not make the next one so */

/* Measured on an AMD EPYC at 2.6 GHz with SSE2 (2,048 plans: 4.8 us): the search, and the weighing of what it finds. */
constexpr float kNanosecondsPerExample = 2.4f;
constexpr float kNanosecondsPerSearch = 250;

float Novelty(const NeighbourStore &store, const NearestFound &found) noexcept
{
	return std::min(std::sqrt(found.at[0].distance_square) / TypicalDistance(store.plans), kMostNovelty);
}

Estimate Corrected(const Landscape &landscape, const Estimate &prior, const Evidence *evidence, int count, float least,
                   float most) noexcept
{
	if (!IsUsable(prior) || count == 0)
		return Estimate{};
	const Correction correction = Weigh(landscape, prior, evidence, count);
	if (!(correction.support > 0))
		return Estimate{};
	Estimate estimate;
	estimate.mean = std::clamp(prior.mean + correction.shift, least, most);
	/* of what has not run here yet, doubt is as large as new plans have shown it to be */
	const bool known = std::any_of(evidence, evidence + count, [](const Evidence &each) { return each.is_own; });
	const float doubt = known ? 1.0f : std::max(landscape.surprise, kLeastDoubt);
	estimate.data_variance = std::min(doubt * correction.data_variance, kMostVariance);
	estimate.model_variance = std::min(doubt * correction.model_variance, kMostVariance);
	estimate.support = correction.support;
	return IsUsable(estimate) ? estimate : Estimate{};
}

void AnswerPlan(const NeighbourStore &store, Forecast *forecast) noexcept
{
	NearestFound found;
	FindPlans(store, forecast->embedding, &found);
	if (found.count == 0)
		return;
	forecast->novelty = Novelty(store, found);

	const auto arrays = ArraysOf(store);
	Evidence time[kNearest];
	Evidence memory[kNearest];
	int num_memory = 0;
	for (int i = 0; i < found.count; i++) {
		const PlanExample &example = arrays.plans[found.at[i].index];
		const bool is_own = example.plan_fingerprint == forecast->plan_fingerprint;
		time[i] = {found.at[i].distance_square, is_own, example.time};
		if (example.query_memory.weight > 0)
			memory[num_memory++] = {found.at[i].distance_square, is_own, example.query_memory};
	}
	const ExpertAnswer &prior = forecast->answers[kGraphExpert];
	ExpertAnswer *answer = &forecast->answers[kNeighboursExpert];
	answer->time = Corrected(store.plans, prior.time, time, found.count, kLeastLogMs, kMostLogMs);
	answer->query_memory = Corrected(store.plans, prior.query_memory, memory, num_memory, kLeastLogKb, kMostLogKb);
}

Estimate AnswerOperator(const NeighbourStore &store, NodeKind kind, uint64_t key, const Embedding &embedding,
                        const Estimate &prior) noexcept
{
	if (kind >= NodeKind::kNumKinds || !IsUsable(prior) || !IsPoint(embedding))
		return Estimate{};
	NearestFound found;
	FindOperators(store, kind, embedding, &found);
	const auto arrays = ArraysOf(store);
	Evidence evidence[kNearest];
	for (int i = 0; i < found.count; i++) {
		const OperatorExample &example = arrays.operators[found.at[i].index];
		evidence[i] = {found.at[i].distance_square, example.key == key, example.need};
	}
	return Corrected(store.operators[static_cast<int>(kind)], prior, evidence, found.count, kLeastLogKb, kMostLogKb);
}

/* Of the slot's node; kNumKinds where a graph contradicts itself. */
NodeKind KindOfSlot(const PlanGraph &graph, int slot) noexcept
{
	const int16_t node = graph.memory_node[slot];
	return node >= 0 && node < graph.num_nodes ? graph.nodes[node].kind : NodeKind::kNumKinds;
}

}  // namespace

int NearestPlans(const NeighbourStore &store, const Embedding &embedding, std::span<Neighbour> nearest,
                 uint64_t plan_fingerprint, const Estimate &prior) noexcept
{
	if (!IsPoint(embedding))
		return 0;
	NearestFound found;
	FindPlans(store, embedding, &found);
	const auto arrays = ArraysOf(store);
	Evidence evidence[kNearest];
	for (int i = 0; i < found.count; i++)
		evidence[i] = {found.at[i].distance_square,
		               arrays.plans[found.at[i].index].plan_fingerprint == plan_fingerprint,
		               arrays.plans[found.at[i].index].time};
	const Correction correction = Weigh(store.plans, prior, evidence, found.count);

	const int count = std::min(found.count, static_cast<int>(std::min<size_t>(nearest.size(), kNearest)));
	for (int i = 0; i < count; i++) {
		const PlanExample &example = arrays.plans[found.at[i].index];
		nearest[i] = {example.plan_fingerprint,
		              std::sqrt(found.at[i].distance_square) / TypicalDistance(store.plans), correction.weights[i],
		              example.executions, example.log_ms};
	}
	return count;
}

void AskNeighbours(const ModelView &models, const PlanGraph &graph, const PlanContext &, Forecast *forecast) noexcept
{
	ExpertAnswer *answer = &forecast->answers[kNeighboursExpert];
	const int num_slots = std::clamp<int>(graph.num_memory_nodes, 0, kMaxMemoryNodes);
	ClearAnswer(answer, num_slots);
	const NeighbourStore *store = models.neighbours;
	if (store == nullptr || store->num_plans == 0 || forecast->embedding_version == 0 ||
	    forecast->embedding_version != store->embedding_version || !IsPoint(forecast->embedding))
		return;
	AnswerPlan(*store, forecast);
	for (int slot = 0; slot < num_slots; slot++)
		answer->memory[slot] =
			AnswerOperator(*store, KindOfSlot(graph, slot), OperatorKey(forecast->plan_fingerprint, slot),
		                   forecast->operator_embedding[slot], forecast->answers[kGraphExpert].memory[slot]);
}

float PriceOfNeighbours(const ModelView &models, const PlanGraph &graph) noexcept
{
	if (models.neighbours == nullptr || models.neighbours->num_plans == 0)
		return 0;
	const NeighbourStore &store = *models.neighbours;
	const int num_slots = std::clamp<int>(graph.num_memory_nodes, 0, kMaxMemoryNodes);
	float examples = static_cast<float>(store.num_plans);
	for (int slot = 0; slot < num_slots; slot++) {
		const int kind = static_cast<int>(KindOfSlot(graph, slot));
		if (kind < static_cast<int>(NodeKind::kNumKinds))
			examples += static_cast<float>(store.operators_of[kind]);
	}
	return kNanosecondsPerExample * examples + kNanosecondsPerSearch * static_cast<float>(1 + num_slots);
}

}  // namespace wlm
