/*
 * record.hpp
 *
 * Filling the records that travel to the learner: what was predicted and
 * granted to a query, and its plan if nobody has seen it yet.
 */
#pragma once

#include "pg/observe/ring.hpp"
#include "pg/query/decide_grant.hpp"
#include "pg/query/managed_query.hpp"

namespace wlm {

void RecordPrediction(ManagedQuery *query, const PlanGraph &graph, const Forecast &forecast, int queue, Priority priority);

/* After the wait, when the grant is final. */
void RecordGrant(ManagedQuery *query, const GrantDecision &decision);

/* Whether wlm.plan may lack this plan: recall has never seen it, or the worker missed its row. */
bool IsNovel(const Forecast &forecast, const PlanGraph &graph);

/* In a buffer of this process that the next call overwrites. */
PlanRecord *PreparePlanRecord(const PlanGraph &graph, uint64 query_id);

}  // namespace wlm
