/*
 * stop.hpp
 *
 * Ending a running query from outside, safely. Never by a signal: it could hit the
 * next statement. A request is posted in the query's slot; the backend's own timer looks
 * at it every kStopTimerMs and honours it only while the query it is for
 * executes. The error is caught where the query was started and says why.
 */
#pragma once

#include "pg/query/managed_query.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

/* How long a request may lie before its backend sees it. */
inline constexpr int kStopTimerMs = 50;

/* Any process, under state_lock. False if the slot serves another query by now, or was asked already. */
bool RequestStopLocked(QueryHandle handle, uint32 serial, StopReason reason);

/* Before a stretch of the query executes: the timer ticks as long as managed queries execute here. No syscall if it does already. */
void ArmStopTimer(ManagedQuery *query);

/* After a stretch, however it ended: what the timer posted too late must not hit what comes next. */
void SettleStop(const ManagedQuery *query);

/* The query's slot goes back: the timer no longer looks at it. */
void ForgetStop(const ManagedQuery *query);

/* In a catch block of the query's stretch: the cancel becomes the error that explains it. Raises if it does. */
void ExplainStop(ManagedQuery *query);

void InitStop();

}  // namespace wlm
