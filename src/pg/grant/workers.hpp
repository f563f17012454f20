/*
 * workers.hpp
 *
 * Fewer parallel workers than planned for one execution. Gather and Gather Merge
 * ask their plan node how many to start when they first run, so each is shown a
 * copy of its plan node with a smaller number; the plan itself, which may be a
 * cached one, is never changed. Everything that depends on the number of
 * processes (shared memory, participants of a Parallel Hash, Parallel Append) is
 * derived from that first call; with none at all the leader runs parallel nodes alone, as it
 * does when no process is free.
 */
#pragma once

#include "pg/query/managed_query.hpp"

namespace wlm {

/* Of the Gather with the most workers; 0 for a serial plan. After standard_ExecutorStart. */
int PlannedWorkersOfLargestGather(const QueryDesc *query_desc);

/*
 * No Gather of the query starts more than `most` workers; sets experience.workers_granted. Once, after
 * standard_ExecutorStart and before the first ExecutorRun. Allocates in es_query_cxt; may raise only for want of memory.
 */
void LimitWorkers(ManagedQuery *query, int most);

/* After the last ExecutorRun: EXPLAIN and others find the plan as it was made. Does nothing if nothing was limited. */
void ShowPlannedWorkers(ManagedQuery *query);

}  // namespace wlm
