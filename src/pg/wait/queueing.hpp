/*
 * queueing.hpp
 *
 * Waiting for a slot, and what is done with slots outside of the policy.
 */
#pragma once

#include "pg/query/managed_query.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

/*
 * Waits until the policy admits the query, at most until its deadline. Raises for cancel, terminate,
 * time-outs and a lost client, after the query has left its queue. Returns the milliseconds waited.
 */
double WaitForAdmission(ManagedQuery *query, double arrived_ms, double deadline_ms);

/*
 * The same for a query whose executor has started: one that gave way. If it raises the query has left its queue and has no handle any
 * more, but is not released.
 */
double WaitAgain(ManagedQuery *query, double deadline_ms);

/* Changes this process's own slot. Not atomic: others change only kAdmitted and kIdle, by compare and exchange under state_lock. */
void SetPhase(QueryHandle handle, Phase phase);

/* Takes the query from admitted or idle to running; false if its slot has been taken back meanwhile. */
bool TryRun(QueryHandle handle);

}  // namespace wlm
