/*
 * forecast.hpp
 *
 * What we believe of a query before it runs. Every number is a distribution
 * (estimate.hpp); the mixture stands beside what each expert said, so that
 * predict(), EXPLAIN and learning can show and judge them.
 *
 * Units: time in ln(ms) of execution without the wait; memory in ln(kB) of one
 * process; temporary files in ln(kB), of an operator that spills under the limit
 * of the session; parallel fraction in logit of Amdahl's fraction, so that
 * time(w) / time(1) = (1 - f) + f / w.
 */
#pragma once

#include <cstdint>

#include "core/estimate.hpp"
#include "core/plan/plan_graph.hpp"

namespace wlm {

enum ExpertId : uint8_t {
	kPlannerExpert = 0,
	kRecallExpert,
	kTreesExpert,
	kGraphExpert,
	kNeighboursExpert,
	kNumExperts
};

/* What recall has seen before: intervals are calibrated apart for each, and reports tell them apart. */
enum class Familiarity : uint8_t { kPlanSeen = 0, kTemplateSeen, kUnseen, kNumFamiliarities };

/*
 * Where a plan, or the sub-plan under an operator, lies among all plans, as the graph expert sees it:
 * what is near behaves alike. Points of different `version`s (checksums of graph models) cannot be compared.
 */
inline constexpr int kEmbeddingSize = 16;
struct Embedding {
	float at[kEmbeddingSize];
};

/* One expert's answers to one plan; memory is indexed by memory slot. */
struct ExpertAnswer {
	Estimate time;
	Estimate parallel_fraction;
	Estimate query_memory;               /* ln(kB) of the whole query, all its processes */
	Estimate memory[kMaxMemoryNodes];    /* ln(kB) to stay in memory, one process */
	Estimate temp[kMaxMemoryNodes];      /* ln(kB) written to temporary files, if it spills */
};

struct Forecast {
	uint64_t template_fingerprint;
	uint64_t plan_fingerprint;
	uint32_t model_version;
	int16_t num_memory_nodes;            /* 0 also when there is no opinion */
	bool has_opinion;
	Familiarity familiarity;
	float novelty;                       /* 0 = like what neighbours hold, 1 = as far as they lie apart, more = unlike; -1 unknown */
	Estimate time;
	Estimate parallel_fraction;
	Estimate query_memory;
	Estimate memory[kMaxMemoryNodes];
	Estimate temp[kMaxMemoryNodes];
	ExpertAnswer answers[kNumExperts];
	uint32_t embedding_version;          /* 0 = the graph expert was not asked: the points below hold nothing */
	Embedding embedding;                 /* of the plan */
	Embedding operator_embedding[kMaxMemoryNodes];
	float time_share[kNumExperts];       /* of the mixture; sums to 1 */
	float memory_share[kNumExperts];     /* averaged over operators; sums to 1 */
};

}  // namespace wlm
