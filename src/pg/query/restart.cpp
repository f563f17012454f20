/*
 * restart.cpp
 *
 * The query's own QueryDesc is started, run, finished and ended as always, through the hooks of all other modules, so that they
 * see the nesting, the time and the rows that they would see without us. But its plan state is never executed: the root's
 * ExecProcNode is ours for the length of standard_ExecutorRun(). Called for the first row, it runs the plan in a second, inner
 * QueryDesc (attempt.hpp), once or until it is no longer asked to give way; then ours says that there are no rows. The client's
 * receiver was started before and is shut down after that, once.
 *
 *   standard_ExecutorRun(outer) -> RunAttempts() -> subtransaction { Start, Run, Finish, End (inner) } -> rows -> outer's receiver
 *
 * The outer QueryDesc alone is known to hooks and to the callback that releases the query.
 */
#include "pg/query/restart.hpp"

extern "C" {
#include "access/xlog.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
}

#include "pg/grant/apply.hpp"
#include "pg/query/attempt.hpp"
#include "pg/query/begin_query.hpp"
#include "pg/query/classify.hpp"
#include "pg/query/query_pool.hpp"
#include "pg/query/rules.hpp"
#include "pg/query/side_effects.hpp"
#include "pg/query/stop.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/wait/queueing.hpp"
#include "pg/wait/statement_position.hpp"

namespace wlm {

namespace {

/* The query that runs in attempts: one in a process at most, because it has to be the client's own statement. */
struct Attempts {
	ManagedQuery *query;
	QueryDesc *outer;
	ExecProcNodeMtd next_row;    /* what the outer root had for ExecProcNode */
};

Attempts *current = nullptr;

/* ---- which queries ---- */

bool MayHop(int queue)
{
	const RuleSet &rules = LocalWorkload().rules;

	for (int i = 0; i < rules.num_rules; i++)
		if (rules.rules[i].action == RuleAction::kHop && (rules.rules[i].queue < 0 || rules.rules[i].queue == queue))
			return true;
	return false;
}

/*
 * A query of unknown length is taken for long. Whether anybody of higher priority is there is not asked: one may come while
 * this runs, and a second start is nothing beside a second of execution.
 */
bool IsWorthIt(const Experience &experience)
{
	if (experience.time.HasOpinion() && static_cast<double>(experience.time.At(0)) < kLeastRestartableMs)
		return false;
	return (setting::preemption && static_cast<Priority>(experience.priority) < Priority::kCritical) || MayHop(experience.queue);
}

/* EXECUTE fills a store first, from which the client is served afterwards. Cursors do too, but are fetched from. */
bool IsExecuteStatement()
{
	if (utility_portal == nullptr || ActivePortal == utility_portal || list_length(utility_portal->stmts) != 1)
		return false;
	const PlannedStmt *statement = linitial_node(PlannedStmt, utility_portal->stmts);
	return statement->utilityStmt != nullptr && IsA(statement->utilityStmt, ExecuteStmt);
}

bool IsClients(const QueryDesc *query_desc)
{
	switch (query_desc->dest->mydest) {
		case DestRemote:
		case DestRemoteExecute:
		case DestRemoteSimple:
			return true;
		case DestTuplestore:
			return IsExecuteStatement();
		default:
			return false;
	}
}

/* Nobody fetches from it again, or looks at its plan state afterwards. */
bool IsPlain(const ManagedQuery *query)
{
	const QueryDesc *query_desc = query->query_desc;
	const int kept = EXEC_FLAG_REWIND | EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK | EXEC_FLAG_EXPLAIN_ONLY;

	return !query_desc->already_executed && (query_desc->estate->es_top_eflags & kept) == 0 && query_desc->planstate != nullptr &&
	       query_desc->crosscheck_snapshot == InvalidSnapshot && query_desc->snapshot != InvalidSnapshot &&
	       query_desc->instrument_options == (query->sampled ? INSTRUMENT_ROWS : 0) &&
	       PortalIsValid(ActivePortal) && (ActivePortal->cursorOptions & (CURSOR_OPT_SCROLL | CURSOR_OPT_HOLD)) == 0;
}

/* From here until AllowRestart() a request is dropped, so the policy hears of it at the beginning of an attempt. */
bool IsInNormalLane(const ManagedQuery *query)
{
	LWLockAcquire(shared->state_lock, LW_SHARED);
	const QueryView view = policy->View(query->handle);
	LWLockRelease(shared->state_lock);
	return view.lane == Lane::kNormal && view.may_wait;
}

/* ---- between two attempts ---- */

/* What others read of the attempt that is gone. state_lock is held. */
void ClearSlotLocked(QuerySlot *slot)
{
	slot->serial++;           /* what was decided about the last attempt does not concern the next */
	slot->used_kb = slot->real_kb = 0;
	slot->node_limits.max_plan_node_id = -1;
	pg_atomic_write_u32(&slot->grown_kb, 0);
	uint32 guard = static_cast<uint32>(StopReason::kMemoryGuard); /* its memory is free; what else is to end the query is about all of it */
	pg_atomic_compare_exchange_u32(&slot->stop_requested, &guard, static_cast<uint32>(StopReason::kNone));
	SpinLockAcquire(&slot->mutex);
	slot->worker_memory_kb = 0;
	slot->num_reports = 0;
	SpinLockRelease(&slot->mutex);
	ClearWorkerMetrics(&slot->worker_metrics);
}

struct Turn {
	Preemption outcome;
	double deadline_ms;
};

Turn StandAside(ManagedQuery *query, StopReason reason)
{
	QuerySlot &slot = query_slots[query->handle];
	StateLock lock;
	const double now_ms = NowMs();
	Turn turn = {reason == StopReason::kHop ? policy->Requeue(query->handle, now_ms) : policy->GiveWay(query->handle, now_ms), 0};

	ClearSlotLocked(&slot);
	if (turn.outcome == Preemption::kWaits) {
		turn.deadline_ms = policy->DeadlineMs(query->handle);
		pg_atomic_write_u32(&slot.admitted, 0);
		pg_atomic_write_u32(&slot.cancel_requested, 0);
		SetPhase(query->handle, Phase::kQueued);
	} else if (policy->View(query->handle).reserved_kb < static_cast<int64>(query->experience.reserved_kb)) {
		/* it keeps what it had, but its phases that have ended had given part of it back */
		policy->Reserve(query->handle, static_cast<int64>(query->experience.reserved_kb), now_ms);
	}
	query->experience.queue = static_cast<int16>(policy->View(query->handle).queue);
	return turn;
}

void WaitForTurn(ManagedQuery *query, StopReason reason, int64 temp_blocks)
{
	QueryDesc *const outer = query->query_desc;
	Experience &experience = query->experience;
	CloseRuleStretch(query);
	const double now_ms = NowMs();
	experience.wasted_ms += static_cast<float>(now_ms - query->started_ms);
	experience.num_preempted++;
	query->started_ms = now_ms;
	query->temp_blocks -= pgBufferUsage.temp_blks_written - temp_blocks;
	pg_atomic_fetch_add_u64(&shared->counters.preempted, 1);
	CHECK_FOR_INTERRUPTS(); /* who wanted its end at the same time */
	GiveMemoryBack(query);

	/* Waiting is not execution, as it is not where a query waits before it starts. */
	if (outer->totaltime != nullptr)
		InstrStopNode(outer->totaltime, 0);
	const Turn turn = StandAside(query, reason);
	DropStalePost(query);
	if (turn.outcome == Preemption::kWaits) {
		experience.queue_ms += static_cast<float>(WaitAgain(query, turn.deadline_ms));
		SetPhase(query->handle, Phase::kRunning);
	}
	GrantAgain(query);
	if (outer->totaltime != nullptr)
		InstrStartNode(outer->totaltime);
	query->started_ms = NowMs();
	if (query->watched)
		query->watch->source.before = ResourceUse{}; /* of attempts that are gone */
	ArmStopTimer(query);
	OpenRuleStretch(query);
}

/* Hash tables are made when a plan is started, as large as they are expected to grow. Those of the outer plan are never used. */
bool FreeHashTables(PlanState *state, void *context)
{
	if (IsA(state, AggState)) {
		AggState *const agg = reinterpret_cast<AggState *>(state);
		if (agg->hash_metacxt != nullptr)
			MemoryContextReset(agg->hash_metacxt);
	}
#if PG_VERSION_NUM >= 160000
	return planstate_tree_walker(state, FreeHashTables, context);
#else
	return planstate_tree_walker(state, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(FreeHashTables)), context);
#endif
}

/* Stands for the root of the outer plan, whose only row never comes. */
TupleTableSlot *RunAttempts(PlanState *root)
{
	ManagedQuery *const query = current->query;
	QueryDesc *const outer = current->outer;

	root->ExecProcNode = current->next_row;
	for (;;) {
		const int64 temp_blocks = pgBufferUsage.temp_blks_written;

		const StopReason reason = RunAttempt(query, outer);
		if (reason == StopReason::kNone)
			return nullptr;
		WaitForTurn(query, reason, temp_blocks);
	}
}

}  // namespace

bool IsRestartable(ManagedQuery *query, ScanDirection direction, uint64 count)
{
	QueryDesc *const query_desc = query->query_desc;

	/* a conflict with recovery would end the session, not the statement: PostgreSQL does so below a savepoint */
	if (RecoveryInProgress() || !query->applied || count != 0 || direction != ForwardScanDirection || current != nullptr ||
	    !(IsWorthIt(query->experience) || IsRestartTested()))
		return false;
	return IsPlain(query) && IsClients(query_desc) && MayWait(query_desc, NumManagedQueries() > 1) && IsInNormalLane(query) &&
	       !HasSideEffects(query_desc->plannedstmt) && !HoldsForeignLocks(query_desc);
}

void RunInAttempts(ManagedQuery *query, void (*call_run)(QueryDesc *))
{
	QueryDesc *const outer = query->query_desc;
	PlanState *const root = outer->planstate;
	Attempts attempts = {query, outer, root->ExecProcNode};

	query->was_restartable = true;
	FreeHashTables(root, nullptr);
	root->ExecProcNode = RunAttempts;
	outer->already_executed = true; /* else PostgreSQL would enter parallel mode, which allows no subtransaction */
	PG_TRY();
	{
		current = &attempts;
		call_run(outer);
	}
	PG_FINALLY();
	{
		current = nullptr;
		root->ExecProcNode = attempts.next_row; /* still ours if a module below has run nothing */
	}
	PG_END_TRY();
}

}  // namespace wlm
