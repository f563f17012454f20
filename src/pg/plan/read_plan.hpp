/*
 * read_plan.hpp
 *
 * PlannedStmt -> PlanGraph, in one pass over plan tree, init-plans, sub-plans
 * and the expressions that identify keys. Runs in the backend, above
 * wlm.min_cost only, inside a transaction (it reads the relation cache through
 * the syscache); allocates nothing that outlives it.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/plannodes.h"
}

#include "core/plan/plan_graph.hpp"

namespace wlm {

/* Fills `graph` completely, FinishGraph() included. A plan that is too large sets graph->overflow. */
void ReadPlan(PlannedStmt *statement, PlanGraph *graph);

}  // namespace wlm
