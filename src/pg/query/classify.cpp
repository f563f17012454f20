/*
 * classify.cpp
 *
 * Routing and limits of one query, on this process's copy of the workload.
 */
#include "pg/query/classify.hpp"

#include <algorithm>

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
}

#include <netinet/in.h>

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

/*
 * Where the client is does not change: read once. No client (a background process) counts as one of this machine, like a Unix
 * socket. Taken from what pg_stat_activity shows, because the header that defines MyProcPort wants Kerberos' headers.
 */
NetworkAddress client_address = {};
bool client_address_known = false;

const NetworkAddress &ClientAddress()
{
	if (client_address_known)
		return client_address;
	if (MyBEEntry == nullptr)
		return client_address;
	client_address_known = true;

	const sockaddr_storage *remote = &MyBEEntry->st_clientaddr.addr;
	if (remote->ss_family == AF_INET) {
		client_address.family = 4;
		client_address.bits = 32;
		memcpy(client_address.bytes, &reinterpret_cast<const sockaddr_in *>(remote)->sin_addr, 4);
	} else if (remote->ss_family == AF_INET6) {
		client_address.family = 6;
		client_address.bits = 128;
		memcpy(client_address.bytes, &reinterpret_cast<const sockaddr_in6 *>(remote)->sin6_addr, 16);
	}
	return client_address;
}

/* What wlm.change_user_priority() gave the current user; nothing changes if it gave him none. */
void FindUserPriority(const Workload &workload, Priority *priority)
{
	const HeapTuple role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(role))
		return;

	const char *name = NameStr(reinterpret_cast<const FormData_pg_authid *>(GETSTRUCT(role))->rolname);
	for (int i = 0; i < workload.num_user_priorities; i++) {
		if (strcmp(workload.user_priorities[i].role, name) == 0) {
			*priority = workload.user_priorities[i].priority;
			break;
		}
	}
	ReleaseSysCache(role);
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

QueryAttributes AttributesOf(const PlanGraph *graph, const Forecast *forecast)
{
	const Workload &workload = LocalWorkload();
	QueryAttributes attributes{.database = DatabaseName(),
	                           .application_name = application_name != nullptr ? application_name : "",
	                           .query_group = setting::query_group != nullptr ? setting::query_group : "",
	                           .client = ClientAddress(), .command = CommandKind::kOther, .time_ms = -1, .memory_kb = -1,
	                           .cost = -1, .has_role = HasRoleOf, .context = const_cast<Workload *>(&workload)};

	if (graph != nullptr) {
		attributes.command = graph->command;
		attributes.cost = graph->total_cost;
	}
	if (forecast != nullptr && forecast->has_opinion) {
		if (forecast->time.HasOpinion())
			attributes.time_ms = forecast->time.At(0);
		if (forecast->query_memory.HasOpinion())
			attributes.memory_kb = forecast->query_memory.At(0);
	}
	return attributes;
}

int RouteQuery(const PlanGraph *graph, const Forecast *forecast)
{
	const Workload &workload = LocalWorkload();
	if (workload.num_ordered == 0)
		return 0;
	return Route(workload, AttributesOf(graph, forecast));
}

int NextQueue(int queue, const PlanGraph *graph, const Forecast *forecast)
{
	return RouteAfter(LocalWorkload(), queue, AttributesOf(graph, forecast));
}

Priority QueryPriority(int queue)
{
	const Workload &workload = LocalWorkload();
	Priority priority = workload.limits[queue].priority;

	if (setting::priority >= 0)
		priority = static_cast<Priority>(setting::priority);
	else if (workload.num_user_priorities > 0)
		FindUserPriority(workload, &priority);
	return priority == Priority::kCritical ? AllowedPriority(priority, superuser()) : priority;
}

bool WantsSuperuserLane()
{
	return setting::query_group != nullptr && strcmp(setting::query_group, kSuperuserGroup) == 0 && superuser();
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
