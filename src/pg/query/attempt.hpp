/*
 * attempt.hpp
 *
 * One execution of a query that can give way (restart.hpp), from start to end or until it is
 * asked to: with a QueryDesc, a grant and an internal subtransaction of its own.
 */
#pragma once

#include "pg/query/managed_query.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

/*
 * Why it has to begin again; kNone if it has completed. An error in it is raised again after its
 * subtransaction was rolled back, unless it is our own cancel (stop.hpp).
 */
StopReason RunAttempt(ManagedQuery *query, QueryDesc *outer);

/* With assertions only: a test wants every statement to be restartable. */
bool IsRestartTested();

}  // namespace wlm
