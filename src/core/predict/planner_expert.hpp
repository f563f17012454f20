/*
 * planner_expert.hpp
 *
 * The planner expert without its plan: from features to answers, and one step
 * of learning. The registry and PredictAgain() share it.
 */
#pragma once

#include "core/predict/expert.hpp"
#include "core/predict/plan_features.hpp"

namespace wlm {

/* Everything but parallel_fraction; memory[i] belongs to features.operators[i]. */
void PlannerAnswer(const PlannerModel &model, const PlanFeatures &features, ExpertAnswer *answer) noexcept;

/* Expert::answer of this expert. */
void AskPlanner(const ModelView &models, const PlanGraph &graph, const PlanContext &context, Forecast *forecast) noexcept;

/*
 * ln(kB) of `base` plus all operators, each as often as it lives, as one lognormal with
 * the same mean and variance. Source: Fenton (1960), the sum of log-normal distributions.
 */
Estimate SumOfOperators(const PlanFeatures &features, const Estimate *memory) noexcept;

}  // namespace wlm
