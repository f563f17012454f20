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

/*
 * Before standard_ExecutorStart, with the session's own settings in force: what is allowed to this query.
 * `instrumented` are the instrument_options that others had asked for.
 */
void PrepareNodeGrants(ManagedQuery *query, int instrumented);

/* After standard_ExecutorStart. Allocates in es_query_cxt; may raise only for want of memory. */
void AttachNodeGrants(ManagedQuery *query);

/*
 * Whether another module has been seen to ask for instrumentation after us: then memory is freed in no query of this process, and
 * no grant must count on it.
 */
bool InstrumentsLater();

/* ExecutorRun of a parallel worker: finds its leader's limits by wlm.query_serial. */
void AttachWorkerGrants(QueryDesc *query_desc);

/* Whether some node needs another work_mem in force than the query's. */
bool NeedsWindows(const ManagedQuery *query);

/* What a node had used whose memory was freed before the end; false if it was not. */
bool ReadReleased(const PlanState *state, struct OperatorReading *reading);

/* By which the limit of a plan node's slot has grown in this process, in kB. */
float GrownKb(const EState *estate, int32 plan_node_id);

/* The executor's memory when it was largest, as seen when something was freed, in kB; 0 = nothing was. */
float ReleasedPeakKb(const EState *estate);

}  // namespace wlm
