/*
 * expert.hpp
 *
 * What an expert is: a name, a price and a function from a plan to
 * distributions, over a model that lives in a buffer of the caller (shared
 * memory in the server). Adding an expert is one file, one ExpertId and one
 * line in registry.cpp.
 *
 * Experts are asked in the order of their ids and see in the forecast the
 * answers of those before them, which serve as priors. They do not allocate,
 * lock or throw.
 */
#pragma once

#include "core/predict/forecast.hpp"
#include "core/predict/planner_model.hpp"
#include "core/predict/recall_store.hpp"

namespace wlm {

/* Session settings that change what memory an operator can take, and how much thought the plan is worth. */
struct PlanContext {
	int64_t work_mem_kb;
	float hash_mem_multiplier;
	bool ask_everybody;   /* also experts that cost more than a thousandth of the time predicted so far */
};

struct Accuracy;       /* core/learn/learner.hpp */
struct TreesModel;     /* core/predict/trees_model.hpp */
struct GraphModel;     /* core/predict/graph_model.hpp */
struct NeighbourStore; /* core/predict/neighbour_store.hpp */
struct GateModel;      /* core/predict/gate.hpp */

/* The published models; any may be null (then that expert has no opinion, or nothing is calibrated). */
struct ModelView {
	const PlannerModel *planner = nullptr;
	const RecallStore *recall = nullptr;
	const TreesModel *trees = nullptr;
	const GraphModel *graph = nullptr;
	const NeighbourStore *neighbours = nullptr;
	const GateModel *gate = nullptr;
	const Accuracy *accuracy = nullptr; /* its calibration widens or narrows the mixture's intervals */
	uint32_t version = 0;
};

struct Expert {
	const char *name;
	/* Fills forecast->answers[of this expert]: time, parallel_fraction, query_memory, memory and temp of all slots. */
	void (*answer)(const ModelView &models, const PlanGraph &graph, const PlanContext &context,
	               Forecast *forecast) noexcept;
	/* What the answer will take, in nanoseconds, roughly; 0 = so little that nobody need ask. May be null. */
	float (*price)(const ModelView &models, const PlanGraph &graph) noexcept;
};

extern const Expert kExperts[kNumExperts];

/* An answer without any opinion. */
void ClearAnswer(ExpertAnswer *answer, int num_memory_nodes) noexcept;

/*
 * Asks every expert that is worth it and mixes. A graph with `overflow`, or answers
 * that are not finite, give has_opinion = false; never an error.
 */
void Predict(const ModelView &models, const PlanGraph &graph, const PlanContext &context,
             Forecast *forecast) noexcept;

}  // namespace wlm
