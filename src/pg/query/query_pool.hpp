/*
 * query_pool.hpp
 *
 * The managed queries of this process: those that are open now, and objects that
 * wait for the next. What is still open when the process ends is released by
 * before_shmem_exit. No function here raises but for want of memory.
 */
#pragma once

#include "pg/query/managed_query.hpp"

namespace wlm {

void InitManagedQueries();

/* Before the first TakeQuery() of a process; costs nothing later. */
void PrepareQueryPool();

WLM_HOT extern int num_managed_queries;    /* of this process; changed by EnlistQuery() and DelistQuery() alone */

/* Whether this process has any managed query: the one comparison of Run, Finish and End. */
inline bool HasManagedQueries() { return num_managed_queries > 0; }
inline int NumManagedQueries() { return num_managed_queries; }

/* Null if it is not managed. PostgreSQL has no place for extensions in a QueryDesc. */
ManagedQuery *FindQuery(const QueryDesc *query_desc);
ManagedQuery *FindQueryOf(const PlannedStmt *statement); /* the latest that runs it */

/* An object whose contents are those of whoever had it last, or zeros. To be enlisted or put back. */
ManagedQuery *TakeQuery();
void PutQueryBack(ManagedQuery *query);

/* From here on FindQuery() knows it; until here, after which the object may be taken again. */
void EnlistQuery(ManagedQuery *query);
void DelistQuery(ManagedQuery *query);

}  // namespace wlm
