/*
 * classify.cpp
 *
 * Routing and limits of one query, on this process's copy of the workload.
 */
#include "pg/query/classify.hpp"

#include <algorithm>

extern "C" {
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"
}

#include "pg/compat.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

Workload *local_workload = nullptr;
uint32 local_generation = 0;

/* The name of the database does not change under a session that is connected to it: RENAME refuses. */
char database_name[NAMEDATALEN] = "";

const char *DatabaseName()
{
	if (database_name[0] == '\0') {
		char *name = get_database_name(MyDatabaseId);
		if (name != nullptr) {
			strlcpy(database_name, name, sizeof database_name);
			pfree(name);
		}
	}
	return database_name;
}

/* Names that no longer belong to a role match nobody. */
bool HasRoleOf(void *context, int queue)
{
	const Workload *workload = static_cast<const Workload *>(context);
	const QueueConditions &conditions = workload->conditions[queue];

	for (int i = 0; i < conditions.num_roles; i++) {
		const Oid role = get_role_oid(conditions.roles[i], true);
		if (OidIsValid(role) && is_member_of_role_nosuper(GetUserId(), role))
			return true;
	}
	return false;
}

const config_generic *work_mem_record = nullptr;

/*
 * Validation of foreign keys gives itself maintenance_work_mem for one query, in the way of a
 * function's SET clause (HAZARDS G17): never overruled.
 */
bool MaintenanceChoseWorkMem()
{
	return UserChoseWorkMem() && work_mem == maintenance_work_mem && work_mem_record->stack != nullptr &&
	       work_mem_record->stack->state == GUC_SAVE;
}

}  // namespace

const Workload &LocalWorkload()
{
	if (local_workload == nullptr)
		local_workload = static_cast<Workload *>(MemoryContextAllocZero(TopMemoryContext, sizeof(Workload)));

	const uint32 generation = pg_atomic_read_u32(&shared->workload_generation);
	if (local_workload->num_queues == 0 || generation != local_generation) {
		LWLockAcquire(shared->state_lock, LW_SHARED);
		memcpy(local_workload, &shared->workload, sizeof *local_workload);
		local_generation = pg_atomic_read_u32(&shared->workload_generation);
		LWLockRelease(shared->state_lock);
	}
	return *local_workload;
}

int RouteQuery()
{
	const Workload &workload = LocalWorkload();
	if (workload.num_queues <= 1)
		return 0;

	const QueryAttributes attributes{.database = DatabaseName(),
	                                 .application_name = application_name != nullptr ? application_name : "",
	                                 .query_group = setting::query_group != nullptr ? setting::query_group : "",
	                                 .client = {}, .command = CommandKind::kOther, .time_ms = -1, .memory_kb = -1, .cost = -1,
	                                 .has_role = HasRoleOf, .context = const_cast<Workload *>(&workload)};
	return Route(workload, attributes);
}

Priority QueryPriority(int queue)
{
	Priority priority = setting::priority >= 0 ? static_cast<Priority>(setting::priority)
	                                           : LocalWorkload().limits[queue].priority;
	if (priority == Priority::kCritical && !superuser())
		priority = Priority::kHighest;
	return priority;
}

double ExpressCutoffMs() { return policy->express_cutoff_ms(); }

/*
 * work_mem's record in the table of settings, which alone knows where the value came from. The record of a built-in
 * setting never moves.
 */
bool UserChoseWorkMem()
{
	if (work_mem_record == nullptr)
		work_mem_record = FindSetting("work_mem");
	return work_mem_record != nullptr && work_mem_record->source >= PGC_S_GLOBAL;
}

bool MayChangeWorkMem()
{
	return !(setting::respect_user_work_mem && UserChoseWorkMem()) && !MaintenanceChoseWorkMem();
}

void FillGrantLimits(int queue, GrantLimits *limits)
{
	/* Read without the lock: an aligned word that changes only when the administrator changes it. */
	const int64 budget_kb = policy->config().budget_kb;
	const double share = std::min(static_cast<double>(LocalWorkload().limits[queue].max_memory_share), kMaxQueryShare);

	*limits = GrantLimits{};
	limits->session_work_mem_kb = work_mem;
	limits->min_work_mem_kb = setting::min_work_mem_kb;
	limits->max_work_mem_kb = setting::max_work_mem_kb;
	limits->max_query_kb = static_cast<int64>(static_cast<double>(budget_kb) * share);
	limits->hash_mem_multiplier = hash_mem_multiplier;
	limits->per_operator = setting::grant_scope == static_cast<int>(GrantScope::kOperator);
	limits->z = NormalQuantile(static_cast<float>(setting::grant_quantile));
	limits->need_factor = setting::need_factor;
	limits->part = 1;
	limits->may_raise = MayChangeWorkMem();
	limits->may_lower = limits->may_raise;
	limits->may_release = false;
}

PlanContext SessionPlanContext() { return PlanContext{work_mem, static_cast<float>(hash_mem_multiplier), false}; }

}  // namespace wlm
