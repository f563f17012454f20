/*
 * observe.hpp
 *
 * PlanState -> what really happened. Called by hooks at ExecutorEnd, while the
 * plan state still exists: in the leader into the query's experience, in a
 * parallel worker into the leader's slot in shared memory.
 */
#pragma once

#include "pg/query/managed_query.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

/*
 * Fills operators' peak, needed, spilled, actual rows (when query->sampled) and the query's memory
 * from the leader's PlanState and from what workers reported. Never raises.
 */
void ObserveLeader(ManagedQuery *query);

/* In a parallel worker: reports into its leader's slot, found by wlm.query_serial. Never raises. */
void ObserveWorker(QueryDesc *query_desc);

/* In a parallel worker: the slot of the query that it works for, or null. */
QuerySlot *LeaderSlot();

/* For Policy::ObserveEnd(). */
ObservedEnd EndOf(const Experience &experience);

/* Instrumentation to ask for before standard_ExecutorStart when this query is sampled. */
bool DecideSample();

}  // namespace wlm
