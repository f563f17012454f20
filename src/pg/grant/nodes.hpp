/*
 * nodes.hpp
 *
 * Memory limits of single nodes. PostgreSQL reads work_mem at many moments
 * (HAZARDS G2), so the nodes that have a limit of their own are wrapped
 * (PlanState.ExecProcNodeReal) and find it in force at just those moments; below
 * them, functions and their statements see the session's own setting. What keeps its limit in a
 * public field (HashAgg, Memoize) is set directly. In the leader after ExecutorStart, in
 * a parallel worker when it begins to run.
 *
 * The same wrappers let hash tables grow before they would split or spill, and free what
 * a finished phase has left (core/grant/lifetimes.hpp).
 */
#pragma once

#include "pg/query/managed_query.hpp"

namespace wlm {

/* After standard_ExecutorStart. Allocates in es_query_cxt; may raise only for want of memory. */
void AttachNodeGrants(ManagedQuery *query);

/* ExecutorRun of a parallel worker: finds its leader's limits by wlm.query_serial. */
void AttachWorkerGrants(QueryDesc *query_desc);

}  // namespace wlm
