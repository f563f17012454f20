/*
 * user_priorities.hpp
 *
 * What wlm.change_user_priority() does to statements that wait or run already. Called by the
 * worker after it has put a changed configuration in force.
 */
#pragma once

#include "pg/postgres.hpp"

#include "core/decide/workload.hpp"

namespace wlm {

struct RolePriority {
	Oid role;
	bool reset;          /* to that of the queue */
	Priority priority;
};

struct PriorityChanges {
	int count;
	RolePriority of[2 * kMaxUserPriorities];
};

/* Roles whose priority differs between the two. Looks them up: in a transaction, before anything is put in force, since it may raise. */
void FindPriorityChanges(const Workload &before, const Workload &after, PriorityChanges *changes);

/* To their statements that wait or run. */
void ApplyPriorityChanges(const PriorityChanges &changes);

}  // namespace wlm
