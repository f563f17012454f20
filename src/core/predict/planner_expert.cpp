/*
 * planner_expert.cpp
 *
 * PostgreSQL's cost and memory arithmetic, corrected by regressions. Has an
 * opinion from the first query on; runs in the backend, lock-free, and in
 * train(). LearnPlanner() is its only writer.
 */
#include "core/predict/planner_expert.hpp"

#include <algorithm>
#include <cmath>

#include "core/learn/censoring.hpp"
#include "core/learn/learner.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/regression.hpp"
#include "core/predict/shared_words.hpp"

namespace wlm {

namespace {

constexpr int kNumClasses = static_cast<int>(MemoryClass::kNumClasses);

/* Regressors are centred on common values, so that slope and level are learned apart. */
constexpr float kCommonLogCost = 9; /* 8,000 units */
constexpr float kCommonLogRows = 5;
constexpr float kCommonLogKb = 7; /* 1 MB */

/* ln(0.01 ms): about what a cost unit takes on a machine of 2020 with its tables cached */
constexpr float kLogMsPerUnit = -4.6f;

constexpr RegressionPrior kTimePrior = {{kCommonLogCost + kLogMsPerUnit, 1, 0, 0}, {1.0f, 0.04f, 0.01f, 0}, 1.5f};
/* TPC-H and TPC-DS: q-error of the formula P50 9, P90 86 (ALGORITHMS.md, section 3) */
constexpr RegressionPrior kMemoryPrior = {{kCommonLogKb, 1, 0, 0}, {1.5f, 0.04f, 0, 0}, 2.5f};
constexpr RegressionPrior kQueryMemoryPrior = {{kCommonLogKb, 1, 0, 0}, {1.0f, 0.04f, 0, 0}, 0.5f};

constexpr double kBaseKb = 512;          /* executor state of a query without such operators */
constexpr float kMostSummedVariance = 4; /* beyond this the mean of a lognormal is all tail */
constexpr float kSumPatience = 8;        /* observations after which residuals replace the summed variance */

/*
 * Errors of cardinality have heavy tails, and a workload of repeats that happen to be estimated well says nothing of
 * the next plan: however well the regression fits, half an e-fold (a factor of 1.6) remains. Without it, formula errors
 * of 2x on one template outvoted recall, which knew better, and its sorts kept spilling.
 */
constexpr float kLeastScatter = 0.25f;

constexpr float kLeastParallel = 0.02f;
constexpr float kParallelDataVariance = 1;
constexpr float kParallelModelVariance = 4;
constexpr float kParallelSupport = 0.1f;

struct Regressors {
	float x[kMaxRegressors];
};

Regressors TimeRegressors(const PlanFeatures &features) noexcept
{
	return {{1, features.log_cost - kCommonLogCost, features.log_rows - kCommonLogRows, 0}};
}

Regressors MemoryRegressors(float log_kb) noexcept { return {{1, log_kb - kCommonLogKb, 0, 0}}; }

void ClampMean(Estimate *estimate, float least, float most) noexcept
{
	if (std::isfinite(estimate->mean))
		estimate->mean = std::clamp(estimate->mean, least, most);
	else
		*estimate = Estimate{};
}

Estimate Regressed(const Regression &regression, const Regressors &regressors) noexcept
{
	Estimate estimate = PredictRegression(regression, regressors.x);
	estimate.data_variance = std::max(estimate.data_variance, kLeastScatter);
	return estimate;
}

void AnswerOperators(const PlannerModel &model, const PlanFeatures &features, Estimate *memory) noexcept
{
	for (int i = 0; i < features.num_operators; i++) {
		const OperatorFeatures &op = features.operators[i];
		memory[i] = Estimate{};
		if (op.memory == MemoryClass::kNone || op.memory >= MemoryClass::kNumClasses)
			continue;
		memory[i] = Regressed(model.memory[static_cast<int>(op.memory)], MemoryRegressors(op.log_formula_kb));
		ClampMean(&memory[i], kLeastLogKb, kMostLogKb);
	}
}

/* Part of the work that PostgreSQL itself put below Gathers; their costs are those of one process. */
Estimate ParallelFraction(const PlanGraph &graph) noexcept
{
	double parallel = 0;
	double elapsed = 0;
	for (int16_t i = 0; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		const bool top =
			(node.flags & kBelowGather) && node.parent >= 0 && !(graph.nodes[node.parent].flags & kBelowGather);
		if (!top || !IsQuantity(node.total_cost))
			continue;
		elapsed += node.total_cost;
		parallel += static_cast<double>(node.total_cost) * node.processes;
	}
	const double serial = std::max(graph.total_cost - elapsed, 0.0);
	double fraction = parallel / (parallel + serial);
	if (!(fraction >= kLeastParallel))
		fraction = kLeastParallel;
	fraction = std::min(fraction, 1.0 - kLeastParallel);
	return {static_cast<float>(std::log(fraction / (1 - fraction))), kParallelDataVariance, kParallelModelVariance,
	        kParallelSupport};
}

}  // namespace

Estimate SumOfOperators(const PlanFeatures &features, const Estimate *memory) noexcept
{
	double mean = kBaseKb;
	double variance = 0;
	for (int i = 0; i < features.num_operators; i++) {
		if (!IsUsable(memory[i]))
			continue;
		const double spread = std::min(memory[i].Variance(), kMostSummedVariance);
		/* copies of one operator err together, different operators do not */
		const double all_copies = features.operators[i].copies * std::exp(memory[i].mean + spread / 2);
		mean += all_copies;
		variance += all_copies * all_copies * (std::exp(spread) - 1);
	}
	const double log_variance = std::log1p(variance / (mean * mean));
	Estimate sum;
	sum.mean = static_cast<float>(std::log(mean) - log_variance / 2);
	sum.data_variance = static_cast<float>(log_variance);
	sum.support = 1;
	return sum;
}

void PlannerAnswer(const PlannerModel &model, const PlanFeatures &features, ExpertAnswer *answer) noexcept
{
	answer->parallel_fraction = Estimate{};
	answer->time = Regressed(model.time, TimeRegressors(features));
	ClampMean(&answer->time, kLeastLogMs, kMostLogMs);
	AnswerOperators(model, features, answer->memory);
	/* what does not fit is written once; the need is as good a guess as any */
	std::copy_n(answer->memory, features.num_operators, answer->temp);

	const Estimate sum = SumOfOperators(features, answer->memory);
	answer->query_memory = Regressed(model.query_memory, MemoryRegressors(sum.mean));
	/* until there are residuals, what is summed up is all that is known of the scatter */
	answer->query_memory.data_variance +=
		sum.data_variance * kSumPatience / (kSumPatience + model.query_memory.evidence);
	ClampMean(&answer->query_memory, kLeastLogKb, kMostLogKb);
}

void AskPlanner(const ModelView &models, const PlanGraph &graph, const PlanContext &, Forecast *forecast) noexcept
{
	ExpertAnswer *answer = &forecast->answers[kPlannerExpert];
	PlannerModel model;
	PlanFeatures features;
	FeaturesOfGraph(graph, true, &features);
	if (models.planner == nullptr || !ReadShared(*models.planner, &model)) {
		ClearAnswer(answer, features.num_operators);
		return;
	}
	PlannerAnswer(model, features, answer);
	answer->parallel_fraction = ParallelFraction(graph);
}

void InitPlannerModel(PlannerModel *model) noexcept
{
	PlannerModel fresh;
	InitRegression(&fresh.time, kTimePrior);
	for (Regression &regression : fresh.memory)
		InitRegression(&regression, kMemoryPrior);
	InitRegression(&fresh.query_memory, kQueryMemoryPrior);
	fresh.observations = 0;
	/* the memory may be new: an odd counter would shut out readers for ever */
	model->sequence.value.store((model->sequence.value.load(std::memory_order_relaxed) + 1) & ~1u,
	                            std::memory_order_relaxed);
	PublishShared(model, fresh);
}

bool PlannerModelIsSane(const PlannerModel &model) noexcept
{
	PlannerModel copy;
	if (!ReadShared(model, &copy))
		return false;
	for (const Regression &regression : copy.memory)
		if (!RegressionIsSane(regression))
			return false;
	return RegressionIsSane(copy.time) && RegressionIsSane(copy.query_memory);
}

void LearnPlanner(PlannerModel *shared, const Experience &experience) noexcept
{
	if (!WasRun(experience))
		return;
	PlannerModel model;
	PlanFeatures features;
	ReadOwn(*shared, &model);
	FeaturesOfExperience(experience, &features);

	/* the feature of query memory is what the operators' regressions say now, before they learn */
	Estimate memory[kMaxMemoryNodes];
	AnswerOperators(model, features, memory);
	const Estimate sum = SumOfOperators(features, memory);
	if (IsQuantity(experience.query_memory_kb))
		LearnRegression(&model.query_memory, kQueryMemoryPrior, MemoryRegressors(sum.mean).x,
		                LogKb(experience.query_memory_kb), QueryMemoryIsLowerBound(experience));
	if (IsQuantity(experience.time_ms))
		LearnRegression(&model.time, kTimePrior, TimeRegressors(features).x, LogMs(experience.time_ms),
		                TimeIsLowerBound(experience));

	for (int i = 0; i < features.num_operators; i++) {
		const OperatorExperience &op = experience.operators[i];
		const int memory_class = static_cast<int>(op.memory);
		if (!(op.flags & kObserved) || !IsQuantity(op.needed_kb) || !IsQuantity(op.formula_kb) || memory_class <= 0 ||
		    memory_class >= kNumClasses)
			continue;
		LearnRegression(&model.memory[memory_class], kMemoryPrior,
		                MemoryRegressors(features.operators[i].log_formula_kb).x, LogKb(op.needed_kb),
		                NeedIsLowerBound(op));
	}
	model.observations++;
	PublishShared(shared, model);
}

}  // namespace wlm
