/*
 * replay.hpp
 *
 * History and stored models -> models in shared memory. By the worker after
 * the server has started; ForEachExperience() also by train() and evaluate()
 * in an ordinary backend.
 */
#pragma once

#include "pg/postgres.hpp"

#include "core/learn/experience.hpp"

namespace wlm {

/* Outside a transaction. Ends with EndReplay(). */
void Replay();

/* Replay is done, or has failed in a way that trying again would not cure. */
void EndReplay();

/*
 * Hands the `limit` newest rows of wlm.history to `consume`, oldest first, through a cursor: memory is
 * bounded whatever the table's size. `condition` is SQL over the columns of wlm.history, or null; it is
 * trusted. Inside a transaction with an active snapshot; may raise. The caller's search_path must start
 * with pg_catalog. `consume` runs in a memory context that is soon reset and may change its first argument; the
 * graph is null where wlm.plan does not have it. role_oid is a hash of the name, and database_oid, too, of a database that is gone.
 */
using ConsumeExperience = void (*)(void *context, Experience &experience, const PlanGraph *graph);
void ForEachExperience(const char *condition, int64 limit, ConsumeExperience consume, void *context);

}  // namespace wlm
