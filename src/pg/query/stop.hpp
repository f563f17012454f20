/*
 * stop.hpp
 *
 * Ending a running query from outside, safely. Never by a signal: it could hit the
 * next statement. A request is posted in the query's slot; the backend's own timer looks
 * at it once a second and honours it only if it is for the query that runs
 * now. The error is caught where the query was started and says why.
 */
#pragma once

#include "pg/query/managed_query.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

/* Any process, under state_lock. False if the slot serves another query by now, or was asked already. */
bool RequestStopLocked(QueryHandle handle, uint32 serial, StopReason reason);

/* When a managed query begins: the timer ticks as long as this process has managed queries. No syscall if it does already. */
void ArmStopTimer();

/* In a catch block of the query's stretch: the cancel becomes the error that explains it. Raises if it does. */
void ExplainStop(ManagedQuery *query);

void InitStop();

}  // namespace wlm
