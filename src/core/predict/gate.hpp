/*
 * gate.hpp
 *
 * Which expert to believe, and how far. Two levels, per target:
 *
 * 1. A small network scores each expert from what is known of the query and of
 *    the expert's answer; softmax. Learned by gradient descent on prequential
 *    errors. Its first weights are squared precision times support / (1 + support);
 *    recent losses, of the expert on this template and overall, are an input whose
 *    weight is given and only refined: an expert that drifts loses within tens of queries.
 * 2. The network's mixture and each expert by itself compete by exponential weights
 *    with a floor (fixed share; experts without an opinion sleep), so that no single
 *    expert beats the mixture for longer than the few tens of scores it takes to raise
 *    its weight from the floor. What rests at the floor has no share.
 *
 * Sources: Jacobs et al. (1991), adaptive mixtures of local experts; Freund et al. (1997),
 * specialists that abstain; Herbster and Warmuth (1998), tracking the best expert; Kingma and Ba (2015), Adam.
 *
 * Who was right is recorded apart by how well the plan is known (GateRecord).
 *
 * Plain data, one writer at a time (gate_learner.cpp); readers copy GateView only.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "core/predict/forecast.hpp"
#include "core/predict/recall_store.hpp"
#include "core/predict/target.hpp"
#include "core/sequence.hpp"

namespace wlm {

inline constexpr int kGateHidden = 8;
inline constexpr int kGateAnswerInputs = 7; /* of one expert's answer */
inline constexpr int kGateQueryInputs = 8;  /* of the query, the same for all experts; the last is 1 */
inline constexpr int kGateChoices = kNumExperts + 1;
inline constexpr int kGateOfNetwork = kNumExperts; /* the choice that is the network's mixture */

inline constexpr float kLeastMixedVariance = 1e-4f; /* nobody is surer than 1 % */

/* Everything that gradient descent changes: floats only. */
struct GateWeights {
	float hidden_answer[kGateHidden][kGateAnswerInputs];
	float hidden_query[kGateHidden][kGateQueryInputs];
	float hidden_expert[kGateHidden][kNumExperts];
	float hidden_target[kGateHidden][kNumTargets];
	float score_hidden[kNumTargets][kGateHidden];
	float score_answer[kNumTargets][kGateAnswerInputs];
	float score_query[kNumTargets][kNumExperts][kGateQueryInputs];
};
inline constexpr int kNumGateWeights = sizeof(GateWeights) / sizeof(float);

/*
 * Who was right of late, of one target and one kind of acquaintance: plan seen before, template seen before, neither but
 * near to what was seen, neither and far from it. A stream of repeats says nothing of plans never seen, and those of known
 * databases nothing of others.
 */
struct GateRecord {
	float choices[kGateChoices]; /* level 2: sum to 1, none below the floor */
	ExpertLosses losses;
	float loss;                  /* decayed mean of the mixture's own, ln: the unit of excesses */
};
inline constexpr int kNumGateRecords = static_cast<int>(Familiarity::kNumFamiliarities) + 1;
inline constexpr float kFarNovelty = 1; /* in distances between neighbours */

/* What readers need: under 2.5 kB. */
struct GateView {
	GateWeights weights;
	GateRecord records[kNumTargets][kNumGateRecords];
};

struct GateModel {
	Sequence sequence;
	uint32_t shape;                       /* kGateShape */
	GateView view;
	GateWeights anchor;                   /* the weights it started with, towards which learning is pulled: those of a fresh
	                                         gate, or what a gate that ships learned on many databases */
	float gradient_mean[kNumGateWeights];   /* Adam's; the writer's own */
	float gradient_square[kNumGateWeights];
	float padding;
	uint64_t observations;
};

static_assert(std::is_trivially_copyable_v<GateView> && sizeof(GateView) < 2560);
static_assert(sizeof(GateModel) < 16 * 1024 && alignof(GateModel) <= 8 && offsetof(GateModel, sequence) == 0);

/* A fresh gate mixes as if there were none. */
void InitGate(GateModel *gate) noexcept;

/* Right size and shape, every number finite and in range, not caught while it was written. */
bool GateModelIsSane(std::span<const std::byte> model) noexcept;

/* False if the writer was busy at every attempt. */
bool ReadGate(const GateModel &gate, GateView *view) noexcept;

/* The writer's: puts a sane model in the place of a published one, whose readers go on. */
void ReplaceGate(GateModel *published, const GateModel &model) noexcept;

/* What is known of the query. */
struct GateQuery {
	Familiarity familiarity;
	float novelty;  /* as in Forecast */
	float log_cost; /* ln(planner units) */
	float log_nodes;
	TemplateLosses losses;
};
inline const GateRecord &RecordOf(const GateView &gate, Target target, const GateQuery &query) noexcept
{
	const bool near = query.novelty >= 0 && query.novelty <= kFarNovelty;
	const bool seen = query.familiarity < Familiarity::kUnseen;
	const int record = seen ? static_cast<int>(query.familiarity) : near ? kNumGateRecords - 2 : kNumGateRecords - 1;
	return gate.records[static_cast<int>(target)][record];
}

/* Whatever the numbers are, a query that can be asked about; without losses. */
GateQuery MakeGateQuery(Familiarity familiarity, float novelty, float total_cost, int num_nodes) noexcept;

/* Sum to 1, or are all 0 when nobody has a usable opinion. */
void GateShares(const GateView &gate, Target target, const GateQuery &query, const Estimate answers[kNumExperts],
                float shares[kNumExperts]) noexcept;

/* The numbers on the way from answers to shares, for learning. */
struct GateTrace {
	bool usable[kNumExperts];
	int num_usable;
	float query[kGateQueryInputs];
	float answer[kNumExperts][kGateAnswerInputs];
	float hidden[kNumExperts][kGateHidden];
	float network[kNumExperts]; /* level 1 */
	float shares[kNumExperts];  /* both levels */
};
void TraceGate(const GateView &gate, Target target, const GateQuery &query, const Estimate answers[kNumExperts],
               GateTrace *trace) noexcept;

/* Squashes; derivative 1 - y^2 to within what gradient descent minds. */
float GateSquash(float x) noexcept;

inline constexpr float kGateFloor = 0.001f; /* of a choice's weight: how long it takes to come back, e^7 */

/* Excesses and weights of losses are in here. */
inline constexpr float kMostExcess = 4.0f;
inline constexpr float kLossDecay = 0.97715997f; /* 0.5^(1/30) */
inline constexpr float kMostLossScores = 44.0f;  /* 1 / (1 - decay) = 43.8 */
bool IsSane(const ExpertLosses &losses) noexcept;

const GateWeights &FirstGateWeights() noexcept;

}  // namespace wlm
