/*
 * user_priorities.hpp
 *
 * What wlm.change_user_priority() does to statements that wait or run already. Called by the
 * worker after it has put a changed configuration in force.
 */
#pragma once

#include "core/decide/workload.hpp"

namespace wlm {

/* Those of roles whose priority differs between the two; none if nothing does. Begins and ends a transaction. */
void ApplyUserPriorities(const Workload &before, const Workload &after);

}  // namespace wlm
