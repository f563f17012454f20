/*
 * user_priorities.cpp
 *
 * Statements that begin from now on get their priority from the new configuration
 * (pg/query/classify.cpp); here the others follow. A session that has set wlm.priority keeps that,
 * and who gets back the priority of his queue gets that of the queue he is in now. Critical is for
 * superusers, as everywhere.
 */
#include "pg/postgres.hpp"

extern "C" {
#include "utils/acl.h"
}

#include <cstring>

#include "pg/query/classify.hpp"
#include "pg/shared_state.hpp"
#include "pg/worker/configuration/user_priorities.hpp"

namespace wlm {

namespace {

const UserPriority *FindRole(const Workload &workload, const char *role)
{
	for (int i = 0; i < workload.num_user_priorities; i++)
		if (strcmp(workload.user_priorities[i].role, role) == 0)
			return &workload.user_priorities[i];
	return nullptr;
}

/* A name that belongs to no role changes nothing. */
void Add(PriorityChanges *changes, const UserPriority &given, bool reset)
{
	const Oid role = get_role_oid(given.role, true);

	if (!OidIsValid(role))
		return;
	changes->of[changes->count++] = RolePriority{.role = role, .reset = reset, .priority = given.priority};
}

const RolePriority *FindChange(const PriorityChanges &changes, Oid role)
{
	for (int i = 0; i < changes.count; i++)
		if (changes.of[i].role == role)
			return &changes.of[i];
	return nullptr;
}

}  // namespace

void FindPriorityChanges(const Workload &before, const Workload &after, PriorityChanges *changes)
{
	changes->count = 0;
	for (int i = 0; i < after.num_user_priorities; i++) {
		const UserPriority *was = FindRole(before, after.user_priorities[i].role);
		if (was == nullptr || was->priority != after.user_priorities[i].priority)
			Add(changes, after.user_priorities[i], false);
	}
	for (int i = 0; i < before.num_user_priorities; i++)
		if (FindRole(after, before.user_priorities[i].role) == nullptr)
			Add(changes, before.user_priorities[i], true);
}

void ApplyPriorityChanges(const PriorityChanges &changes)
{
	if (changes.count == 0)
		return;
	const double now_ms = NowMs();
	StateLock lock;

	for (QueryHandle i = 0; i < policy->max_queries(); i++) {
		const QuerySlot &slot = query_slots[i];
		if (slot.pid == 0 || slot.own_priority)
			continue;
		const QueryView view = policy->View(i);
		const RolePriority *change = view.state == QueryState::kFree ? nullptr : FindChange(changes, slot.role);
		if (change == nullptr)
			continue;
		const Priority priority = change->reset ? policy->config().queues[view.queue].priority : change->priority;
		policy->ChangePriority(i, AllowedPriority(priority, slot.superuser), now_ms);
	}
}

}  // namespace wlm
