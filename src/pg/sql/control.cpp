/*
 * control.cpp
 *
 * wlm.cancel_queued(), wlm.change_query_priority() and wlm.move_query(): what an
 * administrator does to statements that wait or run. They act on shared memory, so they work in
 * any database that has the extension.
 *
 * First the statements of the process are copied under state_lock (shared), then permissions
 * are checked, which may raise, and then what was checked is changed under
 * state_lock: a statement that has begun meanwhile is left alone.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

extern "C" {
#include "catalog/pg_authid.h"
#include "lib/stringinfo.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
}

#include "core/decide/workload.hpp"
#include "pg/query/classify.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

/* More than one process may have open (begin_query.cpp). */
constexpr int kMaxStatements = 16;

struct Statement {
	QueryHandle handle;
	uint32 serial;
	Oid role;
};

/* Those of one process. */
struct Statements {
	int count;
	Statement of[kMaxStatements];
};

/* Managed ones, in whatever state; or only one that waits. */
void FindStatements(int pid, bool queued_only, Statements *found)
{
	found->count = 0;
	if (pid <= 0)
		return;
	LWLockAcquire(shared->state_lock, LW_SHARED);
	for (QueryHandle i = 0; i < policy->max_queries() && found->count < kMaxStatements; i++) {
		const QuerySlot &slot = query_slots[i];

		if (slot.pid != pid)
			continue;
		const QueryState state = policy->View(i).state;
		if (state == QueryState::kFree || (queued_only && (state != QueryState::kQueued || SlotPhase(slot) != Phase::kQueued)))
			continue;
		found->of[found->count++] = Statement{.handle = i, .serial = slot.serial, .role = slot.role};
	}
	LWLockRelease(shared->state_lock);
}

/* Of this very statement, as it was checked. state_lock must be held. */
bool IsThereLocked(int pid, const Statement &statement)
{
	const QuerySlot &slot = query_slots[statement.handle];
	return slot.pid == pid && slot.serial == statement.serial && slot.role == statement.role &&
	       policy->View(statement.handle).state != QueryState::kFree;
}

/* As pg_cancel_backend() asks it, but that wlm_admin may too: cancelling a wait ends nobody's work. */
void CheckMayCancel(Oid owner)
{
	if (superuser())
		return;
	if (superuser_arg(owner))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		                errmsg("permission denied to cancel a queued statement of a superuser"),
		                errhint("Only superusers may.")));
	if (!has_privs_of_role(GetUserId(), owner) && !has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND) &&
	    !IsAdministrator())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		                errmsg("permission denied to cancel a queued statement"),
		                errhint("Be a member of the role that runs it, of pg_signal_backend or of wlm_admin.")));
}

/* Who may call the function at all is a matter of its privileges: wlm_admin and whom a superuser gave it to. */
void CheckMayChange(const Statements &statements)
{
	if (superuser())
		return;
	for (int i = 0; i < statements.count; i++) {
		if (superuser_arg(statements.of[i].role))
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			                errmsg("permission denied to change a statement of a superuser"),
			                errhint("Only superusers may change its priority or its queue.")));
	}
}

void WarnNotManaged(int pid)
{
	ereport(WARNING, (errmsg("process %d has no managed statement", pid),
	                  errhint("wlm.activity shows the statements that run or wait under the workload manager.")));
}

Priority ParsePriority(const char *name)
{
	Priority priority;

	if (!PriorityFromName(name, &priority))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid priority \"%s\"", name),
		                errhint("Priorities are lowest, low, normal, high, highest and critical.")));
	if (priority == Priority::kCritical && !superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to give priority \"critical\""),
		                errdetail("Statements of this priority start before all others, whatever their queue has left."),
		                errhint("Only superusers may. Use \"highest\".")));
	return priority;
}

[[noreturn]] void RaiseUnknownQueue(const Workload &workload, const char *name)
{
	StringInfoData known;

	initStringInfo(&known);
	for (int i = 0; i < workload.num_ordered; i++)
		appendStringInfo(&known, ", \"%s\"", workload.limits[workload.order[i]].name);
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("workload queue \"%s\" does not exist", name),
	                workload.num_ordered == 0 ? errdetail("There is only \"default\".") : errdetail("There are \"default\"%s.", known.data),
	                errhint("wlm.queue_state lists the queues; one that was just created is there about a second after COMMIT.")));
}

/* How many of the statements were changed. */
int ChangePriority(int pid, const Statements &statements, Priority priority)
{
	const double now_ms = NowMs();
	int changed = 0;
	StateLock lock;

	for (int i = 0; i < statements.count; i++)
		if (IsThereLocked(pid, statements.of[i]) && policy->ChangePriority(statements.of[i].handle, priority, now_ms))
			changed++;
	return changed;
}

struct Moved {
	int count;
	bool full;              /* the one that waits may not wait there: none was moved */
	int32 num_queued;       /* there */
	int32 max_queue_length;
};

/* The one that waits, of which a process has at most one, or those that do not. False if there is no room to wait. */
bool MoveLocked(int pid, const Statements &statements, int queue, bool waiting, double now_ms, Moved *moved)
{
	for (int i = 0; i < statements.count; i++) {
		const QueryHandle handle = statements.of[i].handle;

		if (!IsThereLocked(pid, statements.of[i]) || (policy->View(handle).state == QueryState::kQueued) != waiting)
			continue;
		const MoveOutcome outcome = policy->Move(handle, queue, now_ms);
		if (outcome == MoveOutcome::kQueueFull)
			return false;
		moved->count += outcome == MoveOutcome::kMoved ? 1 : 0;
	}
	return true;
}

/* A queue that is gone by now takes nobody. */
Moved Move(int pid, const Statements &statements, const char *name)
{
	const double now_ms = NowMs();
	Moved moved = {};
	StateLock lock;

	const int queue = QueueByName(shared->workload, name);
	if (queue < 0)
		return moved;
	moved.num_queued = policy->Counters(queue).num_queued;
	moved.max_queue_length = policy->config().queues[queue].max_queue_length;
	if (MoveLocked(pid, statements, queue, true, now_ms, &moved))
		MoveLocked(pid, statements, queue, false, now_ms, &moved);
	else
		moved.full = true;
	return moved;
}

[[noreturn]] void RaiseQueueFull(int pid, const char *queue, const Moved &moved)
{
	ereport(ERROR, (errcode(ERRCODE_TOO_MANY_CONNECTIONS), errmsg("workload queue \"%s\" is full", queue),
	                errdetail_plural("%d statement waits in it, and its max_queue_length is %d; "
	                                 "the statement of process %d stays where it is.",
	                                 "%d statements wait in it, and its max_queue_length is %d; "
	                                 "the statement of process %d stays where it is.",
	                                 static_cast<unsigned long>(moved.num_queued), moved.num_queued, moved.max_queue_length, pid),
	                errhint("Try again later, or raise max_queue_length with wlm.alter_queue().")));
}

/* Asks the waiter to give up; false if it does not wait any more. */
bool RequestCancel(int pid, const Statement &statement)
{
	int procno = -1;

	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	QuerySlot &slot = query_slots[statement.handle];
	if (IsThereLocked(pid, statement) && policy->View(statement.handle).state == QueryState::kQueued) {
		pg_atomic_write_u32(&slot.cancel_requested, 1);
		procno = slot.procno;
	}
	LWLockRelease(shared->state_lock);
	if (procno >= 0)
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
	return procno >= 0;
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_cancel_queued)
{
	const int pid = PG_GETARG_INT32(0);
	wlm::Statements waiting;

	wlm::RequireSharedState();
	wlm::FindStatements(pid, true, &waiting);
	if (waiting.count > 0)
		wlm::CheckMayCancel(waiting.of[0].role);
	if (waiting.count == 0 || !wlm::RequestCancel(pid, waiting.of[0])) {
		ereport(WARNING, (errmsg("process %d does not wait in a workload queue", pid),
		                  errhint("wlm.activity shows who waits; pg_cancel_backend() cancels what runs.")));
		PG_RETURN_BOOL(false);
	}
	PG_RETURN_BOOL(true);
}

WLM_FUNCTION(wlm_change_query_priority)
{
	const int pid = PG_GETARG_INT32(0);
	wlm::Statements statements;

	wlm::RequireSharedState();
	const wlm::Priority priority = wlm::ParsePriority(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	wlm::FindStatements(pid, false, &statements);
	wlm::CheckMayChange(statements);
	const bool changed = wlm::ChangePriority(pid, statements, priority) > 0;
	if (!changed)
		wlm::WarnNotManaged(pid);
	PG_RETURN_BOOL(changed);
}

WLM_FUNCTION(wlm_move_query)
{
	const int pid = PG_GETARG_INT32(0);
	const char *queue = NameStr(*PG_GETARG_NAME(1));
	wlm::Statements statements;

	wlm::RequireSharedState();
	const wlm::Workload &workload = wlm::LocalWorkload();
	if (wlm::QueueByName(workload, queue) < 0)
		wlm::RaiseUnknownQueue(workload, queue);
	wlm::FindStatements(pid, false, &statements);
	wlm::CheckMayChange(statements);
	const wlm::Moved moved = wlm::Move(pid, statements, queue);
	if (moved.full)
		wlm::RaiseQueueFull(pid, queue, moved);
	if (moved.count == 0)
		wlm::WarnNotManaged(pid);
	PG_RETURN_BOOL(moved.count > 0);
}
