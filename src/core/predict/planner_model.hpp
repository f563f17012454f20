/*
 * planner_model.hpp
 *
 * The planner expert's correction: PostgreSQL's own cost and memory arithmetic
 * is the feature, a robust recursive regression on what happened is the
 * correction. A fresh model is the prior: cost units to milliseconds at a
 * common exchange rate, memory as computed, both with wide variances.
 *
 * Plain data, used in place in shared memory. One writer at a time; readers
 * copy it under the sequence counter (see sequence.hpp).
 */
#pragma once

#include <cstdint>

#include "core/estimate.hpp"
#include "core/plan/plan_graph.hpp"
#include "core/sequence.hpp"

namespace wlm {

/* Bayesian linear regression y = w . x with forgetting and Huber weights. */
inline constexpr int kMaxRegressors = 4;
struct Regression {
	float weights[kMaxRegressors];
	float covariance[kMaxRegressors][kMaxRegressors];
	float noise_variance;  /* decayed mean of squared residuals */
	float evidence;        /* decayed number of observations */
};

struct PlannerModel {
	Sequence sequence;
	Regression time;                                               /* ln(ms) from ln(cost), ln(rows) */
	Regression memory[static_cast<int>(MemoryClass::kNumClasses)]; /* ln(kB) from the formula's ln(kB) */
	Regression query_memory;                                       /* ln(kB) of everything from ln(sum of operators) */
	uint64_t observations;
};

void InitPlannerModel(PlannerModel *model) noexcept;

/* False for a model that holds NaN, infinite or absurd numbers. */
bool PlannerModelIsSane(const PlannerModel &model) noexcept;

/*
 * PostgreSQL's arithmetic: kB that one process needs at this node to stay in memory, given
 * the planner's own cardinalities (ExecChooseHashTableSize, tuplesort, hash_agg_entry_size).
 * Of a folded node: one member. Of a kParallelHash: the one table that all participants share.
 * 0 for a node without a memory class, else at least 1.
 */
double FormulaMemoryKb(const PlanGraph &graph, int16_t node) noexcept;

}  // namespace wlm
