/*
 * parts.hpp
 *
 * Rows of wlm.queue, wlm.rule and wlm.user_priority -> parts of a Workload. In
 * the worker, between BeginWork() and CommitWork(). All may raise.
 */
#pragma once

#include "pg/postgres.hpp"

#include "core/decide/workload.hpp"

namespace wlm {

/* All queues in their order; of its result the next three read row `row`. */
extern const char *const kQueuesQuery;
void ReadQueueName(uint64 row, char (&name)[kNameLength]);
/* The name is there already. */
void ReadQueueLimits(uint64 row, QueueLimits *limits);
void ReadQueueConditions(uint64 row, const char *queue, QueueConditions *conditions);

/* Rules that are enabled and make sense, in their order; a WARNING for each of the others. After the queues: by their indices. */
void ReadRules(Workload *workload);

void ReadUserPriorities(Workload *workload);

}  // namespace wlm
