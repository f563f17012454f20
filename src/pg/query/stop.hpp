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

/* What ends nothing: the query begins again, if it still can. */
inline bool IsRestart(StopReason reason) { return reason == StopReason::kGiveWay || reason == StopReason::kHop; }

/* In a signal handler too. False if the query was asked already; but a request to end replaces one to begin again. */
bool PostStop(QuerySlot *slot, StopReason reason);

/*
 * Any process, under state_lock. False if the slot serves another query by now, or was asked already; but a request to end replaces one to
 * begin again.
 */
bool RequestStopLocked(QueryHandle handle, uint32 serial, StopReason reason);

/* Before a stretch of the query executes: the timer ticks as long as managed queries execute here. No syscall if it does already. */
void ArmStopTimer(ManagedQuery *query);

/* After a stretch, however it ended: what the timer posted too late must not hit what comes next. */
void SettleStop(const ManagedQuery *query);

/* The query's slot goes back: the timer no longer looks at it. */
void ForgetStop(const ManagedQuery *query);

/* In a catch block of the query's stretch: the cancel becomes the error that explains it. Raises if it does. */
void ExplainStop(ManagedQuery *query);

/*
 * For attempt.cpp. Between the two the timer honours kGiveWay and kHop of this query; at any other time it drops them.
 * ForbidRestart() takes back what the timer has posted too late; false if that was raised already and somebody below has caught
 * it: then the query must begin again, because it may have gone another way than without us.
 */
void AllowRestart(const ManagedQuery *query);
bool ForbidRestart(const ManagedQuery *query);

/*
 * In a catch block, once: whether the error is the cancel that the timer raised for kGiveWay or kHop, or what a function below has made of
 * it. If others want the query to end as well, their interrupt is either the error, and this is kNone, or still pending.
 */
StopReason TakeRestartRequest(const ManagedQuery *query, const ErrorData *error);

/* Between two attempts: what the timer has posted meanwhile, if its reason has gone. */
void DropStalePost(const ManagedQuery *query);

#ifdef USE_ASSERT_CHECKING
/* For tests: as if the timer had found `reason` just now. Async-signal-safe. */
void PostRestart();
#endif

void InitStop();

}  // namespace wlm
