/*
 * statement_position.hpp
 *
 * Where in its session a statement stands: only one that nobody above it is
 * executing for, and that holds nothing that others could want, may wait.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "executor/execdesc.h"
#include "nodes/parsenodes.h"
#include "utils/portal.h"
}

namespace wlm {

/*
 * The portal of the utility statement that runs a statement of its own on behalf of its user: EXECUTE,
 * DECLARE CURSOR, CREATE TABLE AS, COPY (query), EXPLAIN ANALYZE. Null outside of them.
 */
extern Portal utility_portal;

/* Statements that are worth a place in utility_portal. */
bool RunsStatementForUser(const Node *utility);

/*
 * Cheap part, asked for every managed statement: sent by the client itself (not by a function,
 * trigger or DO block), no transaction id, nothing else of ours open in the session.
 */
bool MayWait(QueryDesc *query_desc, bool session_has_other_queries);

/*
 * Expensive part, asked only when there is no room: no lock above what the statement itself takes
 * and no advisory lock. Walks the process's lock lists.
 */
bool HoldsForeignLocks(QueryDesc *query_desc);

}  // namespace wlm
