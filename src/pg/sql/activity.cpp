/*
 * activity.cpp
 *
 * wlm.activity() and wlm.queue_state(): who runs, who waits and for what.
 * Everything is copied under state_lock (shared) into memory taken before, and
 * turned into rows after the lock is free.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <cmath>

extern "C" {
#include "commands/dbcommands.h"
#include "utils/acl.h"
}

#include "core/decide/workload.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/forecast.hpp"

namespace wlm {

namespace {

/* One statement, as copied under the lock. */
struct ActivityRow {
	Phase phase;
	int pid;
	Oid role;
	Oid database;
	uint64 query_id;
	float predicted_ms;
	float requested_kb;
	float granted_work_mem_kb;
	float granted_kb;
	uint32 grown_kb;
	float used_kb;
	float real_kb;
	int16 workers_granted;
	bool applied;
	QueryView view;
	int32 position;
};

struct ActivityCopy {
	int num_rows;
	int num_queues;
	double now_ms;
	QueueLimits queues[kMaxQueues];
	ActivityRow rows[FLEXIBLE_ARRAY_MEMBER];
};

ActivityCopy *CopyActivity()
{
	const int32 capacity = policy->max_queries();
	auto *copy = static_cast<ActivityCopy *>(MemoryContextAllocHuge(
		CurrentMemoryContext, offsetof(ActivityCopy, rows) + sizeof(ActivityRow) * static_cast<size_t>(capacity)));

	int32 *positions = static_cast<int32 *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int32) * static_cast<size_t>(capacity)));

	copy->num_rows = 0;
	LWLockAcquire(shared->state_lock, LW_SHARED);
	copy->now_ms = NowMs();
	copy->num_queues = policy->config().num_queues;
	for (int i = 0; i < kMaxQueues; i++)
		copy->queues[i] = policy->config().queues[i];
	policy->Positions({positions, static_cast<size_t>(capacity)});
	for (int32 i = 0; i < capacity; i++) {
		const QuerySlot &slot = query_slots[i];
		ActivityRow &row = copy->rows[copy->num_rows];

		row.view = policy->View(i);
		if (row.view.state == QueryState::kFree)
			continue;
		row.position = positions[i];
		row.phase = SlotPhase(slot);
		row.pid = slot.pid;
		row.role = slot.role;
		row.database = slot.database;
		row.query_id = slot.query_id;
		row.predicted_ms = slot.predicted_ms;
		row.requested_kb = slot.requested_kb;
		row.granted_work_mem_kb = slot.granted_work_mem_kb;
		row.granted_kb = slot.granted_kb;
		row.grown_kb = pg_atomic_read_u32(const_cast<pg_atomic_uint32 *>(&slot.grown_kb));
		row.used_kb = slot.used_kb;
		row.real_kb = slot.real_kb;
		row.workers_granted = slot.workers_granted;
		row.applied = slot.applied;
		copy->num_rows++;
	}
	LWLockRelease(shared->state_lock);
	return copy;
}

const char *StateName(const ActivityRow &row)
{
	if (row.view.state == QueryState::kQueued)
		return "queued";
	if (row.view.state == QueryState::kReturned || row.phase == Phase::kIdle)
		return "returning";
	if (row.view.evicted)
		return "evicted";
	return row.phase == Phase::kRunning ? "running" : "classified";
}

const char *WaitReasonName(const ActivityRow &row)
{
	if (row.view.state != QueryState::kQueued)
		return nullptr;
	switch (row.view.reason) {
	case WaitReason::kSlot:
		return "slot";
	case WaitReason::kMemory:
		return "memory";
	case WaitReason::kPassing:
		return "passing";
	case WaitReason::kPressure:
		return "pressure";
	case WaitReason::kPaused:
		return "paused";
	case WaitReason::kPool:
		return "pool";
	case WaitReason::kLater:
		return "later";
	case WaitReason::kNone:
		break;
	}
	return nullptr;
}

/* As wlm.queue.state has it. */
const char *IntakeText(Intake intake)
{
	switch (intake) {
	case Intake::kPaused:
		return "paused";
	case Intake::kDraining:
		return "draining";
	case Intake::kOpen:
		break;
	}
	return "open";
}

void PutActivity(ReturnSetInfo *set, const ActivityCopy &copy, const ActivityRow &source)
{
	const bool queued = source.view.state == QueryState::kQueued;
	const double admitted_ms = queued ? copy.now_ms : source.view.admitted_ms;
	RowWriter row;

	row.Int4(source.pid);
	row.Int8(static_cast<int64>(source.query_id));
	row.Name(get_database_name(source.database));
	row.Name(OidIsValid(source.role) ? GetUserNameFromId(source.role, true) : nullptr);
	row.Name(copy.queues[source.view.queue].name);
	row.Text(StateName(source));
	if (queued)
		row.Int4(source.position);
	else
		row.Null();
	row.Text(PriorityName(source.view.priority));
	row.Text(LaneName(source.view.lane));
	row.Boolean(source.view.forced);
	row.Boolean(source.applied);
	row.Number(source.predicted_ms > 0 ? static_cast<double>(source.predicted_ms) : std::nan(""));
	row.Int8(static_cast<int64>(source.requested_kb));
	row.Int8(source.view.reserved_kb);
	row.Int8(static_cast<int64>(source.granted_work_mem_kb));
	row.Int8(static_cast<int64>(source.granted_kb) + source.grown_kb);
	row.Int8(source.grown_kb);
	row.Kilobytes(source.used_kb);
	row.Kilobytes(source.real_kb);
	row.Int4(source.workers_granted);
	row.Milliseconds(admitted_ms - source.view.arrived_ms);
	row.Milliseconds(queued ? 0 : copy.now_ms - source.view.admitted_ms);
	row.Text(WaitReasonName(source));
	row.Int4(source.view.num_preempted);
	row.Emit(set);
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_activity)
{
	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	const wlm::ActivityCopy *copy = wlm::CopyActivity();
	const bool all = wlm::MaySeeAll();

	for (int i = 0; i < copy->num_rows; i++) {
		if (all || has_privs_of_role(GetUserId(), copy->rows[i].role))
			wlm::PutActivity(set, *copy, copy->rows[i]);
	}
	return static_cast<Datum>(0);
}

WLM_FUNCTION(wlm_queue_state)
{
	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	auto *config = static_cast<wlm::PolicyConfig *>(palloc(sizeof(wlm::PolicyConfig)));
	auto *counters = static_cast<wlm::QueueCounters *>(palloc(sizeof(wlm::QueueCounters) * wlm::kMaxQueues));

	LWLockAcquire(wlm::shared->state_lock, LW_SHARED);
	*config = wlm::policy->config();
	for (int i = 0; i < config->num_queues; i++)
		counters[i] = wlm::policy->Counters(i);
	LWLockRelease(wlm::shared->state_lock);

	for (int i = 0; i < config->num_queues; i++) {
		const wlm::QueueLimits &limits = config->queues[i];
		const wlm::QueueCounters &counter = counters[i];
		wlm::RowWriter row;

		if (!limits.in_use)
			continue;
		row.Name(limits.name);
		row.Text(wlm::PriorityName(limits.priority));
		row.Text(wlm::IntakeText(limits.intake));
		row.Int4(counter.slots);
		row.Boolean(limits.max_slots == 0);
		row.Int4(counter.guaranteed_slots);
		row.Int4(counter.most_slots);
		row.Int4(counter.slots_used);
		row.Int4(counter.num_running);
		row.Int4(counter.num_express);
		row.Int4(counter.num_returned);
		row.Int4(counter.num_queued);
		row.Int8(static_cast<int64>(counter.num_executed));
		row.Int8(static_cast<int64>(counter.num_forced));
		row.Int8(static_cast<int64>(counter.num_timeouts));
		row.Int8(static_cast<int64>(counter.num_rejected));
		row.Int8(static_cast<int64>(counter.num_cancelled));
		row.Int8(static_cast<int64>(counter.num_evicted));
		row.Int8(static_cast<int64>(counter.num_preempted));
		row.Int8(counter.reserved_kb);
		row.Int8(static_cast<int64>(static_cast<double>(config->budget_kb) *
		                            static_cast<double>(limits.max_memory_share)));
		row.Milliseconds(counter.total_queue_ms);
		row.Milliseconds(counter.total_wasted_ms);
		row.Emit(set);
	}
	return static_cast<Datum>(0);
}
