/*
 * configuration_rules.hpp
 *
 * wlm.rule and wlm.user_priority -> Workload. In the worker, between BeginWork()
 * and CommitWork(), after the queues: rules refer to them by index.
 */
#pragma once

#include "pg/postgres.hpp"

#include "core/decide/workload.hpp"

namespace wlm {

/* Rules that are enabled and make sense, in their order; a WARNING for each of the others. May raise. */
void ReadRules(Workload *workload);

/* May raise. */
void ReadUserPriorities(Workload *workload);

}  // namespace wlm
