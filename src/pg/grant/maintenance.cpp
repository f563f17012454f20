/*
 * maintenance.cpp
 *
 * One reservation per process: a top-level utility statement is never inside
 * another. Its entry in the policy's table is known to this file alone, so a
 * leader's error, FATAL and normal end all come through ReleaseMaintenance();
 * kill -9 re-creates shared memory.
 */
#include "pg/grant/maintenance.hpp"

#include <algorithm>

extern "C" {
#include "access/xlog.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/timestamp.h"
}

#include "pg/compat.hpp"
#include "pg/grant/index_build.hpp"
#include "pg/query/classify.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/wait/queueing.hpp"

namespace wlm {

namespace {

constexpr double kWorthReserving = 1024; /* kB: less is noise in any budget */

QueryHandle held = kNoQuery;
bool exit_callback_registered = false;

void SetMaintenanceWorkMem(int kb, GucAction action)
{
	char text[32];

	pg_snprintf(text, sizeof text, "%d", kb);
	(void) set_config_option("maintenance_work_mem", text, PGC_USERSET, PGC_S_SESSION, action, true, 0, false);
}

/* As UserChoseWorkMem() (HAZARDS G6). */
bool UserChoseMaintenanceWorkMem()
{
	static const config_generic *record = nullptr;

	if (record == nullptr)
		record = FindSetting("maintenance_work_mem");
	return record != nullptr && record->source >= PGC_S_GLOBAL;
}

bool MayRaise() { return !(setting::respect_user_work_mem && UserChoseMaintenanceWorkMem()); }

/* More than the session's own only where it may be raised, and then up to wlm.max_work_mem. */
int WantedKb(double needed_kb)
{
	const int most = MayRaise() ? std::max(maintenance_work_mem, setting::max_work_mem_kb) : maintenance_work_mem;

	return static_cast<int>(std::min(needed_kb, static_cast<double>(most)));
}

/* Whatever an earlier query has left in the slot ends here; others read it from now on. */
void FillSlotLocked(const PlannedStmt *statement, int wanted_kb, int granted_kb)
{
	QuerySlot &slot = query_slots[held];

	slot.pid = MyProcPid;
	slot.procno = OwnProcNumber();
	slot.role = GetUserId();
	slot.database = MyDatabaseId;
	slot.query_id = statement->queryId;
	slot.plan_fingerprint = 0;
	slot.arrived_at = GetCurrentTimestamp();
	slot.predicted_ms = 0;
	slot.requested_kb = static_cast<float>(wanted_kb);
	slot.granted_work_mem_kb = slot.granted_kb = static_cast<float>(granted_kb);
	slot.workers_granted = static_cast<int16>(max_parallel_maintenance_workers);
	slot.used_kb = slot.real_kb = 0;
	slot.serial++;
	slot.elastic = false;
	slot.node_limits.max_plan_node_id = -1;
	slot.applied = granted_kb != maintenance_work_mem;
	slot.worker_memory_kb = 0;
	slot.num_reports = 0;
	pg_atomic_write_u32(&slot.stop_requested, 0);
	pg_atomic_write_u32(&slot.grown_kb, 0);
	pg_atomic_write_u32(&slot.cancel_requested, 0);
	pg_atomic_write_u32(&slot.admitted, 1);
	SetPhase(held, Phase::kRunning);
}

/* What is in force then: what was reserved, but never less than the session has anyway. */
int Reserve(const PlannedStmt *statement, int wanted_kb)
{
	QueryRequest request = {};
	int granted_kb = maintenance_work_mem;

	request.queue = RouteQuery(nullptr, nullptr);
	request.priority = QueryPriority(request.queue);
	request.slots = 1;
	request.memory_kb = wanted_kb;
	request.maintenance = true;

	StateLock lock;
	const Decision decision = policy->Arrive(request, NowMs());
	if (decision.handle == kNoQuery)
		return granted_kb;
	held = decision.handle;
	granted_kb = std::max(granted_kb, static_cast<int>(std::min<int64>(decision.reserved_kb, wanted_kb)));
	FillSlotLocked(statement, wanted_kb, granted_kb);
	return granted_kb;
}

void ReleaseAtExit(int, Datum) { ReleaseMaintenance(); }

}  // namespace

bool IsManagedMaintenance(const PlannedStmt *statement)
{
	return MayBuildIndexes(statement->utilityStmt) && shared != nullptr && setting::mode == static_cast<int>(Mode::kAuto) &&
	       setting::manage_maintenance && !setting::bypass && held == kNoQuery && ::Mode == NormalProcessing &&
	       !RecoveryInProgress();
}

Maintenance OpenMaintenance(const PlannedStmt *statement)
{
	Maintenance maintenance = {0, maintenance_work_mem, maintenance_work_mem};
	const double needed_kb = IndexBuildKb(statement->utilityStmt);

	if (needed_kb < kWorthReserving)
		return maintenance;
	if (!exit_callback_registered) {
		before_shmem_exit(ReleaseAtExit, 0);
		exit_callback_registered = true;
	}
	maintenance.granted_kb = Reserve(statement, WantedKb(needed_kb));
	if (maintenance.granted_kb > maintenance.outer_kb) {
		maintenance.nest_level = NewGUCNestLevel();
		SetMaintenanceWorkMem(maintenance.granted_kb, GUC_ACTION_SAVE);
	}
	return maintenance;
}

void CloseMaintenance(const Maintenance &maintenance)
{
	if (maintenance.nest_level == 0)
		return;

	const int left_behind = maintenance_work_mem;
	AtEOXact_GUC(true, maintenance.nest_level);
	/* As CloseGrant(): a SET LOCAL inside is done again, our own value is nobody's choice. */
	if (left_behind != maintenance.granted_kb && left_behind != maintenance_work_mem)
		SetMaintenanceWorkMem(left_behind, GUC_ACTION_LOCAL);
	else if (maintenance_work_mem == maintenance.granted_kb && maintenance.outer_kb != maintenance_work_mem)
		SetMaintenanceWorkMem(maintenance.outer_kb, GUC_ACTION_SET);
}

void ReleaseMaintenance()
{
	if (held == kNoQuery)
		return;
	StateLock lock;
	policy->Finish(held, NowMs());
	query_slots[held].pid = 0;
	SetPhase(held, Phase::kFree);
	held = kNoQuery;
}

}  // namespace wlm
