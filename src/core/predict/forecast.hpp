/*
 * forecast.hpp
 *
 * What we believe of a query before it runs. Every number is a distribution
 * (estimate.hpp); the mixture stands beside what each expert said, so that
 * predict(), EXPLAIN and learning can show and judge them.
 *
 * Units: time in ln(ms) of execution without the wait; memory in ln(kB) of one
 * process; parallel fraction in logit of Amdahl's fraction, so that
 * time(w) / time(1) = (1 - f) + f / w.
 */
#pragma once

#include <cstdint>

#include "core/estimate.hpp"
#include "core/plan/plan_graph.hpp"

namespace wlm {

enum ExpertId : uint8_t { kPlannerExpert = 0, kRecallExpert, kNumExperts };

/* One expert's answers to one plan; memory is indexed by memory slot. */
struct ExpertAnswer {
	Estimate time;
	Estimate parallel_fraction;
	Estimate query_memory;               /* ln(kB) of the whole query, all its processes */
	Estimate memory[kMaxMemoryNodes];    /* ln(kB) to stay in memory, one process */
};

struct Forecast {
	uint64_t template_fingerprint;
	uint64_t plan_fingerprint;
	uint32_t model_version;
	int16_t num_memory_nodes;            /* 0 also when there is no opinion */
	bool has_opinion;
	Estimate time;
	Estimate parallel_fraction;
	Estimate query_memory;
	Estimate memory[kMaxMemoryNodes];
	ExpertAnswer answers[kNumExperts];
	float time_share[kNumExperts];       /* of the mixture; sums to 1 */
	float memory_share[kNumExperts];     /* averaged over operators; sums to 1 */
};

}  // namespace wlm
