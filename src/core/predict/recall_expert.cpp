/*
 * recall_expert.cpp
 *
 * What this plan did before, shrunk towards what its template did before, shrunk
 * towards the planner expert: (n * mean + kappa * prior) / (n + kappa), with
 * kappa = scatter of one run / variance of the prior. So one run of a plan with
 * little scatter outweighs a wide prior, and no threshold decides it.
 * Source: empirical Bayes for normal means (Efron and Morris 1973).
 */
#include "core/predict/recall_expert.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/log_scale.hpp"
#include "core/predict/moments.hpp"
#include "core/predict/scalability.hpp"
#include "core/predict/shared_words.hpp"

namespace wlm {

namespace {

/* What is believed of scatter before it is seen: the first run says nothing about it. */
struct Scatter {
	float prior; /* variance, worth one observation */
	float floor; /* variance: runs of one plan never agree better than that */
};
constexpr Scatter kTimeScatter = {0.09f, 0.0016f};
constexpr Scatter kMemoryScatter = {0.02f, 0.0004f};

/* Variance between plans of one template, on top of what its entry shows: that may all be from one plan. */
constexpr float kBetweenPlans = 0.4f;
constexpr float kNoPriorVariance = 4;
constexpr float kLeastKappa = 0.02f;
constexpr float kMostKappa = 4;
constexpr float kTemplateSupport = 0.2f; /* a run of the template says that much of a plan */
constexpr float kRobustAt = 4;           /* observations from which the sketch may correct the mean */
constexpr float kBoundVariance = 1;      /* of a need of which only a lower bound is known */
constexpr float kBoundSupport = 0.5f;

struct Memory {
	RecallEntry plan;
	RecallEntry of_template;
	bool has_plan;
	bool has_template;
};

Estimate Shrink(const Estimate &prior, const Moments &moments, float location, const Scatter &scatter) noexcept
{
	if (!(moments.weight > 0))
		return prior;
	const float n = moments.weight;
	const float variance = std::max((n * moments.variance + scatter.prior) / (n + 1), scatter.floor);
	const bool has_prior = IsUsable(prior);
	const float kappa = std::clamp(variance / std::max(has_prior ? prior.Variance() : kNoPriorVariance, 1e-6f),
	                               kLeastKappa, kMostKappa);
	const float towards = has_prior ? prior.mean : location;
	const float surprise = moments.last - location;

	Estimate estimate;
	estimate.mean = (n * location + kappa * towards) / (n + kappa);
	estimate.data_variance = variance;
	/* a last value far off may be the beginning of a change */
	estimate.model_variance = variance / (n + kappa) + surprise * surprise / (n + 1);
	estimate.support = n;
	return estimate;
}

/* The mean, but never outside the middle fifth of what was seen: long tails and freaks do not carry it away. */
float TimeLocation(const RecallEntry &entry) noexcept
{
	if (entry.time.weight < kRobustAt)
		return entry.time.mean;
	const float low = SketchQuantile(entry.time_sketch, 0.4f);
	const float high = SketchQuantile(entry.time_sketch, 0.6f);
	return low <= high ? std::clamp(entry.time.mean, low, high) : entry.time.mean;
}

/* What one entry has seen of one quantity; weight 0 = nothing. */
struct Level {
	Moments moments;
	float location;
};

Level TimeOf(const RecallEntry &entry, bool has) noexcept
{
	return has ? Level{entry.time, TimeLocation(entry)} : Level{};
}

Level QueryMemoryOf(const RecallEntry &entry, bool has) noexcept
{
	return has ? Level{entry.query_memory, entry.query_memory.mean} : Level{};
}

Level NeedOf(const OperatorMemory *op) noexcept { return op != nullptr ? Level{op->needed, op->needed.mean} : Level{}; }

/* Towards the template, then towards the plan; no opinion if neither has seen anything. */
Estimate ShrinkTwice(const Estimate &prior, const Level &of_template, const Level &plan,
                     const Scatter &scatter) noexcept
{
	const float template_weight = of_template.moments.weight;
	const float plan_weight = plan.moments.weight;
	if (!(template_weight > 0) && !(plan_weight > 0))
		return Estimate{};
	Estimate estimate = Shrink(prior, of_template.moments, of_template.location, scatter);
	if (template_weight > 0)
		estimate.model_variance += kBetweenPlans;
	estimate = Shrink(estimate, plan.moments, plan.location, scatter);
	estimate.support = plan_weight + kTemplateSupport * std::max(template_weight - plan_weight, 0.0f);
	return estimate;
}

const OperatorMemory *OperatorOf(const RecallEntry &entry, bool has, const OperatorFeatures &op) noexcept
{
	if (!has || op.memory_slot < 0 || op.memory_slot >= kRecallOperators || op.memory_slot >= entry.num_operators)
		return nullptr;
	const OperatorMemory *memory = &entry.operators[op.memory_slot];
	/* another kind at this place: two plans share a fingerprint, or it has changed */
	return memory->kind == static_cast<uint8_t>(op.kind) ? memory : nullptr;
}

/* Lower bounds: alone they are an opinion only above the prior; beside whole values they widen upwards. */
Estimate WithBound(Estimate estimate, const Estimate &prior, float bound, float spill_share) noexcept
{
	if (bound <= kNoBound)
		return estimate;
	if (!IsUsable(estimate)) {
		if (IsUsable(prior) && prior.mean >= bound)
			return Estimate{};
		return {bound, kMemoryScatter.prior, kBoundVariance, kBoundSupport};
	}
	const float excess = bound - estimate.mean;
	if (excess > 0)
		estimate.model_variance += spill_share * excess * excess;
	return estimate;
}

Estimate OperatorNeed(const Memory &memory, const OperatorFeatures &op, const Estimate &prior) noexcept
{
	const OperatorMemory *of_template = OperatorOf(memory.of_template, memory.has_template, op);
	const OperatorMemory *plan = OperatorOf(memory.plan, memory.has_plan, op);
	const Estimate estimate = ShrinkTwice(prior, NeedOf(of_template), NeedOf(plan), kMemoryScatter);
	/* a bound of another plan of the template says less than this plan's own whole values */
	const OperatorMemory *bounded = plan != nullptr ? plan : of_template;
	return bounded != nullptr ? WithBound(estimate, prior, bounded->lower_bound, bounded->spill_share) : estimate;
}

Estimate Scalability(const RecallEntry &entry) noexcept
{
	const ScalabilitySums sums = {entry.scale_weight, entry.scale_x, entry.scale_y, entry.scale_xx, entry.scale_xy};
	return FitParallelFraction(sums, entry.time.weight, entry.time.variance);
}

Estimate ParallelFraction(const Memory &memory) noexcept
{
	/* the template has seen more different numbers of workers than one of its plans */
	Estimate estimate;
	if (memory.has_template)
		estimate = Scalability(memory.of_template);
	if (!estimate.HasOpinion() && memory.has_plan)
		estimate = Scalability(memory.plan);
	return estimate;
}

}  // namespace

void RecallAnswer(const RecallStore &store, const PlanFeatures &features, const ExpertAnswer &prior,
                  ExpertAnswer *answer) noexcept
{
	Memory memory;
	memory.has_plan = store.Find(features.plan_fingerprint, &memory.plan);
	memory.has_template = features.template_fingerprint != 0 &&
		store.Find(TemplateKey(features.template_fingerprint), &memory.of_template);

	answer->time = ShrinkTwice(prior.time, TimeOf(memory.of_template, memory.has_template),
	                           TimeOf(memory.plan, memory.has_plan), kTimeScatter);
	answer->parallel_fraction = ParallelFraction(memory);
	answer->query_memory = ShrinkTwice(prior.query_memory, QueryMemoryOf(memory.of_template, memory.has_template),
	                                   QueryMemoryOf(memory.plan, memory.has_plan), kMemoryScatter);
	for (int i = 0; i < features.num_operators; i++)
		answer->memory[i] = OperatorNeed(memory, features.operators[i], prior.memory[i]);
	std::fill_n(answer->temp, features.num_operators, Estimate{});
}

void AskRecall(const ModelView &models, const PlanGraph &graph, const PlanContext &, Forecast *forecast) noexcept
{
	ExpertAnswer *answer = &forecast->answers[kRecallExpert];
	PlanFeatures features;
	FeaturesOfGraph(graph, false, &features);
	if (models.recall == nullptr) {
		ClearAnswer(answer, features.num_operators);
		return;
	}
	RecallAnswer(*models.recall, features, forecast->answers[kPlannerExpert], answer);
}

}  // namespace wlm
