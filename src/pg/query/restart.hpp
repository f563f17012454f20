/*
 * restart.hpp
 *
 * A query that can give way: it is executed in an internal subtransaction, which is rolled back when somebody more urgent
 * waits for what it holds (StopReason::kGiveWay, from the policy) or a rule has moved it (kHop). Then it waits like one that
 * has just arrived, and begins again. Nobody but the administrator notices: only a query whose whole result is asked for
 * at once, that changes and locks nothing, and only until its first row is sent.
 */
#pragma once

#include "pg/query/managed_query.hpp"

namespace wlm {

/* The least predicted time for which being able to give way is worth a second ExecutorStart, in ms. */
inline constexpr double kLeastRestartableMs = 1000;

/* At the first ExecutorRun, before EnterQuery(). Tells the policy if it is so. May raise: it looks functions up. */
bool IsRestartable(ManagedQuery *query, ScanDirection direction, uint64 count);

/*
 * Runs the query to its end by call_run, which calls what other modules have put below us, and in the end standard_ExecutorRun(): the
 * attempts run inside of that. Between EnterQuery() and LeaveQuery(), with no grant in force: each attempt opens its own.
 */
void RunInAttempts(ManagedQuery *query, void (*call_run)(QueryDesc *));

}  // namespace wlm
