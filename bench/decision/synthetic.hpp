/*
 * synthetic.hpp
 *
 * Random plans of a given size, and what running them might have taken: enough
 * like real ones for models of the usual size to be learned from them. Nothing
 * is said here about how well they predict.
 */
#pragma once

#include <random>

#include "core/learn/experience.hpp"
#include "core/plan/plan_graph.hpp"

namespace wlm::bench {

struct PlanShape {
	int hash_joins;   /* three nodes each, one memory operator */
	int nested_loops; /* two nodes each */
	bool sort;
	bool aggregate;   /* hashed */
	bool limit;
};

inline constexpr PlanShape kSmallPlan = {1, 0, true, false, false};   /* 5 nodes, 2 memory operators */
inline constexpr PlanShape kMiddlePlan = {2, 5, true, true, true};    /* 20, 4 */
inline constexpr PlanShape kLargePlan = {18, 21, true, true, true};   /* 100, 20 */

using Random = std::mt19937_64;

PlanShape RandomShape(Random *random);
void MakePlan(const PlanShape &shape, Random *random, PlanGraph *graph);

/* The outcome of running `graph`, with the answers of the forecast if there is one. */
void MakeExperience(const PlanGraph &graph, const Forecast *forecast, Random *random, Experience *experience);

}  // namespace wlm::bench
