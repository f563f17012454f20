/*
 * learner.hpp
 *
 * Learning from experience: online (each experience as it arrives, a few
 * microseconds) and in batch (train(), evaluate(): the same steps over stored
 * history, oldest first). Deterministic; memory from the caller.
 *
 * Judging is prequential: an answer is scored against an outcome it has not
 * been learned from yet.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/learn/experience.hpp"
#include "core/predict/expert.hpp"
#include "core/predict/target.hpp"

namespace wlm {

/* Row kNumExperts of every table below is the mixture. */
inline constexpr int kNumJudged = kNumExperts + 1;
const char *JudgedName(int judged) noexcept;

/* Decayed histogram of ln(q-error): quantiles within 5 %. */
inline constexpr int kErrorBuckets = 96;
struct ErrorWindow {
	float counts[kErrorBuckets];
	float weight;            /* decayed number of scores */
	float covered;           /* decayed number inside the 95 % interval */
	float share;             /* decayed sum of shares in the mixture */
};

struct Accuracy {
	Sequence sequence;
	ErrorWindow windows[static_cast<int>(Target::kNumTargets)][kNumJudged];
	/* what the 95 % interval's half width is multiplied with to cover 95 % (adaptive conformal) */
	float calibration[static_cast<int>(Target::kNumTargets)];
};

struct AccuracyRow {
	double samples, p50, p90, p95, coverage, share; /* q-errors >= 1; coverage and share in 0..1; NaN if no samples */
};

void InitAccuracy(Accuracy *accuracy) noexcept;
AccuracyRow Summarise(const ErrorWindow &window) noexcept;

/* Scores the predictions that the experience carries. Censored outcomes are scored only if they prove the prediction too low. */
void Judge(Accuracy *accuracy, const Experience &experience) noexcept;

/* One step of every expert's own learning. */
void LearnPlanner(PlannerModel *model, const Experience &experience) noexcept;
void Learn(PlannerModel *planner, RecallStore *recall, const Experience &experience) noexcept;

/*
 * Answers again, as the models are now, and fills the experience's answers, mixtures and shares.
 * With the graph of its plan everybody is asked; without (null), those experts that need no more
 * than the features and fingerprints that travel with an experience. Used by train() and evaluate().
 */
void PredictAgain(const ModelView &models, const PlanGraph *graph, Experience *experience) noexcept;

}  // namespace wlm
