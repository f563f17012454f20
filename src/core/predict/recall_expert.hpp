/*
 * recall_expert.hpp
 *
 * The recall expert without its plan: from fingerprints, operator kinds and the
 * planner expert's answer to answers. The registry and PredictAgain() share it.
 */
#pragma once

#include "core/predict/expert.hpp"
#include "core/predict/plan_features.hpp"

namespace wlm {

/* `prior` is what memory is shrunk towards; memory[i] belongs to features.operators[i]. */
void RecallAnswer(const RecallStore &store, const PlanFeatures &features, const ExpertAnswer &prior,
                  ExpertAnswer *answer) noexcept;

/* Expert::answer of this expert. */
void AskRecall(const ModelView &models, const PlanGraph &graph, const PlanContext &context, Forecast *forecast) noexcept;

}  // namespace wlm
