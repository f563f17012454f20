/*
 * expert.hpp
 *
 * What an expert is: a name and a function from a plan to distributions, over
 * a model that lives in a buffer of the caller (shared memory in the server).
 * Adding an expert is one file, one ExpertId and one line in registry.cpp.
 *
 * Experts are asked in the order of their ids and see the answers of those
 * before them, which serve as priors. They do not allocate, lock or throw.
 */
#pragma once

#include "core/predict/forecast.hpp"
#include "core/predict/planner_model.hpp"
#include "core/predict/recall_store.hpp"

namespace wlm {

/* Session settings that change what memory an operator can take. */
struct PlanContext {
	int64_t work_mem_kb;
	float hash_mem_multiplier;
};

struct Accuracy; /* core/learn/learner.hpp */

/* The published models; any may be null (then that expert has no opinion, or nothing is calibrated). */
struct ModelView {
	const PlannerModel *planner;
	const RecallStore *recall;
	const Accuracy *accuracy; /* its calibration widens or narrows the mixture's intervals */
	uint32_t version;
};

struct Expert {
	const char *name;
	void (*answer)(const ModelView &models, const PlanGraph &graph, const PlanContext &context,
	               const ExpertAnswer *earlier, ExpertAnswer *answer) noexcept;
};

extern const Expert kExperts[kNumExperts];

/*
 * Asks every expert and mixes by precision. A graph with `overflow`, or answers
 * that are not finite, give has_opinion = false; never an error.
 */
void Predict(const ModelView &models, const PlanGraph &graph, const PlanContext &context,
             Forecast *forecast) noexcept;

}  // namespace wlm
