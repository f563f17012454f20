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

/*
 * What the mixture's deviations are multiplied with so that 2.5 % of outcomes lie below z = -1.96 and 5 % above
 * z = 1.645 (adaptive conformal). Natural logarithms of factors: one that all classes share, and what a class adds,
 * which starts at 0: a class of which little has been seen borrows from all.
 */
inline constexpr int kNumFamiliarities = static_cast<int>(Familiarity::kNumFamiliarities);
struct CalibrationTrack {
	float lower;
	float upper;
	float class_lower[kNumFamiliarities];
	float class_upper[kNumFamiliarities];
	float class_scores[kNumFamiliarities]; /* decayed */
};

struct Accuracy {
	Sequence sequence;
	ErrorWindow windows[kNumTargets][kNumJudged];
	CalibrationTrack calibration[kNumTargets];
};

struct AccuracyRow {
	double samples, p50, p90, p95, coverage, share; /* q-errors >= 1; coverage and share in 0..1; NaN if no samples */
};

void InitAccuracy(Accuracy *accuracy) noexcept;
AccuracyRow Summarise(const ErrorWindow &window) noexcept;
/* One number for people: the factor averaged over both sides and over classes by what was scored of each; 1 = none. */
float MeanCalibration(const Accuracy &accuracy, Target target) noexcept;

/* Scores the predictions that the experience carries. Censored outcomes are scored only if they prove the prediction too low. */
void Judge(Accuracy *accuracy, const Experience &experience) noexcept;

/* What learns; any may be null. */
struct LearningModels {
	PlannerModel *planner = nullptr;
	RecallStore *recall = nullptr;
	GateModel *gate = nullptr;
	NeighbourStore *neighbours = nullptr;
	Accuracy *accuracy = nullptr;
};

/*
 * Judges the predictions that the experience carries, then one step of everybody's own learning. `weight` in (0, 1]
 * (role_share.hpp) scales the steps of the planner and of the gate's network; recall and neighbours are keyed by plan, and whom
 * to believe follows recent errors, whoever made them.
 */
void Learn(const LearningModels &models, const Experience &experience, float weight = 1) noexcept;

void LearnPlanner(PlannerModel *model, const Experience &experience) noexcept;
void LearnPlanner(PlannerModel *model, const Experience &experience, float weight) noexcept;

/* Also updates the losses in the recall entry of the template, if there is one (recall may be null): after Remember(). */
void LearnGate(GateModel *gate, RecallStore *recall, const Experience &experience, float weight) noexcept;

/*
 * What was predicted, into the experience: mixtures, answers, shares, familiarity, novelty, nodes, embeddings. Operators are
 * found by their memory_slot; what the experience says of them otherwise, and of what happened, stays as it is.
 */
void CopyForecast(const PlanGraph &graph, const Forecast &forecast, Experience *experience) noexcept;

/*
 * Answers again, as the models are now, and fills the experience's answers, mixtures and shares.
 * With the graph of its plan it is what Predict() says when everybody is asked (64 kB of stack); without (null), those
 * experts answer that need no more than the features and fingerprints that travel with an experience, and
 * novelty and embeddings stay as they are. Used by train() and evaluate().
 */
void PredictAgain(const ModelView &models, const PlanGraph *graph, Experience *experience) noexcept;

}  // namespace wlm
