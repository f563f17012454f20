/*
 * plan_features.hpp
 *
 * What the planner and recall experts look at, taken from a PlanGraph before
 * the query runs or from an Experience afterwards. The same numbers both
 * times, so that train() repeats what the server did.
 */
#pragma once

#include "core/learn/experience.hpp"
#include "core/plan/plan_graph.hpp"

namespace wlm {

struct OperatorFeatures {
	float log_formula_kb; /* ln(kB) of FormulaMemoryKb */
	float copies;         /* how many of it live at once: processes x folded members; 1 if pooled */
	int16_t memory_slot;
	NodeKind kind;
	MemoryClass memory;
};

struct PlanFeatures {
	uint64_t template_fingerprint;
	uint64_t plan_fingerprint;
	float log_cost; /* ln(planner units) */
	float log_rows; /* ln(1 + rows of the root) */
	int num_operators;
	OperatorFeatures operators[kMaxMemoryNodes]; /* of a graph: operator i is memory slot i */
};

/* Without formulas for experts that only look up: they are the costly part. */
void FeaturesOfGraph(const PlanGraph &graph, bool with_formulas, PlanFeatures *features) noexcept;
void FeaturesOfExperience(const Experience &experience, PlanFeatures *features) noexcept;

/* num_operators, clamped to what the array holds. */
int NumOperators(const Experience &experience) noexcept;

}  // namespace wlm
