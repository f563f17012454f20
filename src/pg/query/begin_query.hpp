/*
 * begin_query.hpp
 *
 * From a planned statement to a managed query that may run: predicted, routed,
 * admitted (after its wait, if it has to), and with a grant of memory and workers.
 */
#pragma once

#include "pg/query/managed_query.hpp"

namespace wlm {

/*
 * ExecutorStart: plan -> predict -> decide -> wait -> grant. Null if the statement is not to be
 * managed. May raise only what the user asked for (cancel, terminate, queue time-out, queue full).
 */
ManagedQuery *BeginQuery(QueryDesc *query_desc, int eflags);

/*
 * Between two attempts, with the session's own settings in force: another grant, from what the policy has reserved now. May raise as
 * planning may.
 */
void GrantAgain(ManagedQuery *query);

}  // namespace wlm
