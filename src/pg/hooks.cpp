/*
 * hooks.cpp
 *
 * Hooks of planner, executor and utilities. A statement below wlm.min_cost
 * pays one comparison at its start (its cost with managed_cost, which is
 * infinite while pg_wlm is off), and one in each later hook (no managed query
 * in this process). All else is in rooms of its own, or in functions that are not
 * inlined: what they need on the stack is not made ready for others.
 *
 * Every hook calls the previous one, or PostgreSQL's standard function.
 */
#include "pg/hooks.hpp"

#include "pg/postgres.hpp"

extern "C" {
#include "access/parallel.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "optimizer/planner.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
}

#include "pg/compat.hpp"
#include "pg/grant/apply.hpp"
#include "pg/grant/maintenance.hpp"
#include "pg/grant/nodes.hpp"
#include "pg/grant/workers.hpp"
#include "pg/guard.hpp"
#include "pg/managed_cost.hpp"
#include "pg/observe/observe.hpp"
#include "pg/plan/plan_memory.hpp"
#include "pg/query/begin_query.hpp"
#include "pg/query/query_pool.hpp"
#include "pg/query/restart.hpp"
#include "pg/query/rules.hpp"
#include "pg/query/stop.hpp"
#include "pg/settings.hpp"
#include "pg/wait/statement_position.hpp"

namespace wlm {

namespace {

planner_hook_type previous_planner = nullptr;
ExecutorStart_hook_type previous_start = nullptr;
ExecutorRun_hook_type previous_run = nullptr;
ExecutorFinish_hook_type previous_finish = nullptr;
ExecutorEnd_hook_type previous_end = nullptr;
ProcessUtility_hook_type previous_utility = nullptr;

/* The managed query that is executing now, or null. What it calls runs under its slot. */
ManagedQuery *running = nullptr;

void CallStart(QueryDesc *query_desc, int eflags)
{
	if (previous_start != nullptr)
		previous_start(query_desc, eflags);
	else
		standard_ExecutorStart(query_desc, eflags);
}

void CallRun(WLM_RUN_PARAMETERS)
{
	if (previous_run != nullptr)
		previous_run(WLM_RUN_ARGUMENTS);
	else
		standard_ExecutorRun(WLM_RUN_ARGUMENTS);
}

/* To its end. Not flagged as executed once: minor versions before the flag lost its meaning would refuse what is marked as executed. */
void CallWholeRun(QueryDesc *query_desc)
{
	const ScanDirection direction = ForwardScanDirection;
	const uint64 count = 0;
	[[maybe_unused]] const bool execute_once = false;

	CallRun(WLM_RUN_ARGUMENTS);
}

void CallFinish(QueryDesc *query_desc)
{
	if (previous_finish != nullptr)
		previous_finish(query_desc);
	else
		standard_ExecutorFinish(query_desc);
}

void CallEnd(QueryDesc *query_desc)
{
	if (previous_end != nullptr)
		previous_end(query_desc);
	else
		standard_ExecutorEnd(query_desc);
}

PlannedStmt *CallPlanner(Query *parse, const char *query_string, int cursor_options, ParamListInfo parameters)
{
	return previous_planner != nullptr ? previous_planner(parse, query_string, cursor_options, parameters)
	                                   : standard_planner(parse, query_string, cursor_options, parameters);
}

/* Runs `body` for what a managed query calls: planning or execution under the session's own settings. */
template <typename Body>
void RunNested(Body body)
{
	const int level = OpenSession(running);
	body();
	CloseSession(level);
}

/*
 * Runs a stretch of a managed query with its grant in force. It may itself be called from another
 * one, which fetches from its cursor: then the session's own settings come first.
 */
template <typename Body>
void RunManaged(ManagedQuery *query, Stretch stretch, Body body)
{
	ManagedQuery *const outer = running;
	const int outer_in_force = in_force_kb;
	const int64 temp_blocks = pgBufferUsage.temp_blks_written;
	const bool watched = WatchAllStatements(ChangesSettings(query, stretch));

	PG_TRY();
	{
		const int session = outer != nullptr ? OpenSession(outer) : kNoLevel;
		running = query;
		const OpenedGrant level = OpenGrant(query, stretch);
		body();
		CloseGrant(query, level);
		CloseSession(session);
		running = outer;
		WatchAllStatements(watched);
		query->temp_blocks += pgBufferUsage.temp_blks_written - temp_blocks;
	}
	PG_CATCH();
	{
		running = outer;
		in_force_kb = outer_in_force;
		WatchAllStatements(watched);
		query->temp_blocks += pgBufferUsage.temp_blks_written - temp_blocks;
		NoteFailure(query);
		ExplainStop(query);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void StartManaged(QueryDesc *query_desc, int eflags)
{
	const int instrumented = query_desc->instrument_options;
	ManagedQuery *const query = BeginQuery(query_desc, eflags);

	if (query == nullptr) {
		CallStart(query_desc, eflags);
		return;
	}
	PrepareNodeGrants(query, instrumented);
	/* Not yet attached: an error in here would leave nobody to give the slot back. */
	PG_TRY();
	{
		RunManaged(query, Stretch::kStart, [=] {
			CallStart(query_desc, eflags);
			if (query->most_workers >= 0)
				LimitWorkers(query, query->most_workers);
			if (query->watched)
				CountRows(&query->watch->source, query_desc);
			AttachNodeGrants(query);
		});
		AttachQuery(query);
	}
	PG_CATCH();
	{
		ReleaseQuery(query, query->experience.final_state);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void RunAmongManaged(WLM_RUN_PARAMETERS)
{
	ManagedQuery *const query = FindQuery(query_desc);

	if (IsParallelWorker()) {
		AttachWorkerGrants(query_desc);
		WatchWorker(query_desc);
	}
	if (query != nullptr && IsRestartable(query, direction, count)) {
		OpenRun(query);
		EnterQuery(query);
		RunManaged(query, Stretch::kAttempts, [=] { RunInAttempts(query, CallWholeRun); });
		CloseRuleStretch(query);
		CloseRun(query);
		query->ran_to_end = true;
		query->returned_rows = static_cast<double>(query_desc->estate->es_processed);
		LeaveQuery(query, false);
	} else if (query != nullptr) {
		OpenRun(query);
		EnterQuery(query);
		RunManaged(query, Stretch::kRun, [=] { CallRun(WLM_RUN_ARGUMENTS); });
		CloseRuleStretch(query);
		CloseRun(query);
		/* FETCH 0 and FETCH BACKWARD prove nothing: only going forward finds the end. */
		if (ScanDirectionIsForward(direction)) {
			query->ran_to_end = count == 0 || query_desc->estate->es_processed < count;
			query->returned_rows += static_cast<double>(query_desc->estate->es_processed);
		}
		LeaveQuery(query, !query->ran_to_end);
	} else if (running != nullptr && query_desc->plannedstmt->planTree->total_cost >= managed_cost) {
		RunNested([=] { CallRun(WLM_RUN_ARGUMENTS); });
	} else {
		CallRun(WLM_RUN_ARGUMENTS);
	}
}

/* After-triggers run in here, and what modifying CTEs have left to do: only then is a slot needed again. */
void FinishAmongManaged(QueryDesc *query_desc)
{
	ManagedQuery *const query = FindQuery(query_desc);
	const bool has_work = query_desc->operation != CMD_SELECT || query_desc->plannedstmt->hasModifyingCTE;

	if (query != nullptr)
		ShowPlannedWorkers(query);
	if (query == nullptr || !has_work) {
		CallFinish(query_desc);
		return;
	}
	EnterQuery(query);
	RunManaged(query, Stretch::kRun, [=] { CallFinish(query_desc); });
	LeaveQuery(query, false);
}

void EndAmongManaged(QueryDesc *query_desc)
{
	ManagedQuery *const query = FindQuery(query_desc);

	if (query != nullptr) {
		FinishQuery(query);
	} else if (IsParallelWorker()) {
		UnwatchWorker(query_desc);
		ObserveWorker(query_desc);
	}
	CallEnd(query_desc);
	if (query != nullptr)
		GiveMemoryBack(query); /* released by now, its record is still there */
}

void OnExecutorStart(QueryDesc *query_desc, int eflags)
{
	if (likely(query_desc->plannedstmt->planTree->total_cost < managed_cost))
		CallStart(query_desc, eflags);
	else if (running != nullptr)
		Guarded<void>([=] { RunNested([=] { CallStart(query_desc, eflags); }); });
	else
		Guarded<void>([=] { StartManaged(query_desc, eflags); });
}

pg_noinline void GuardedRun(WLM_RUN_PARAMETERS)
{
	Guarded<void>([=] { RunAmongManaged(WLM_RUN_ARGUMENTS); });
}

void OnExecutorRun(WLM_RUN_PARAMETERS)
{
	if (likely(!HasManagedQueries() && setting::query_serial == 0))
		CallRun(WLM_RUN_ARGUMENTS);
	else
		GuardedRun(WLM_RUN_ARGUMENTS);
}

void OnExecutorFinish(QueryDesc *query_desc)
{
	if (likely(!HasManagedQueries()))
		CallFinish(query_desc);
	else
		Guarded<void>([=] { FinishAmongManaged(query_desc); });
}

void OnExecutorEnd(QueryDesc *query_desc)
{
	if (likely(!HasManagedQueries() && setting::query_serial == 0))
		CallEnd(query_desc);
	else
		Guarded<void>([=] { EndAmongManaged(query_desc); });
}

/* With another work_mem than the session's. */
PlannedStmt *PlanWith(int kb, Query *parse, const char *query_string, int cursor_options, ParamListInfo parameters)
{
	const PlanningLevel level = OpenPlanning(kb);
	PlannedStmt *planned;

	PG_TRY();
	{
		planned = CallPlanner(parse, query_string, cursor_options, parameters);
		ClosePlanning(level);
	}
	PG_CATCH();
	{
		AbandonPlanning(level);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return planned;
}

/* Some statement of the server is planned with other memory: perhaps this one. */
pg_noinline PlannedStmt *PlanPerhapsOtherwise(Query *parse, const char *query_string, int cursor_options, ParamListInfo parameters)
{
	const int kb = WorkMemForPlan(parse);
	PlannedStmt *planned = nullptr;

	if (kb == 0)
		planned = CallPlanner(parse, query_string, cursor_options, parameters);
	else
		Guarded<void>([&planned, kb, parse, query_string, cursor_options, parameters] {
			planned = PlanWith(kb, parse, query_string, cursor_options, parameters);
		});
	if (MayComeToBeManaged(planned))
		NotePlan(planned, kb);
	return planned;
}

/* Plans are made under the session's own settings, whatever was granted to who asks for them. */
pg_noinline PlannedStmt *PlanNested(Query *parse, const char *query_string, int cursor_options, ParamListInfo parameters)
{
	PlannedStmt *planned = nullptr;

	Guarded<void>([&planned, parse, query_string, cursor_options, parameters] {
		RunNested([&planned, parse, query_string, cursor_options, parameters] {
			planned = CallPlanner(parse, query_string, cursor_options, parameters);
		});
	});
	return planned;
}

PlannedStmt *OnPlanner(Query *parse, const char *query_string, int cursor_options, ParamListInfo parameters)
{
	if (unlikely(running != nullptr))
		return PlanNested(parse, query_string, cursor_options, parameters);
	if (unlikely(AnyPlannedOtherwise()))
		return PlanPerhapsOtherwise(parse, query_string, cursor_options, parameters);

	PlannedStmt *const planned = CallPlanner(parse, query_string, cursor_options, parameters);
	if (unlikely(MayComeToBeManaged(planned)))
		NotePlan(planned, 0);
	return planned;
}

/* Memory reserved, and maintenance_work_mem set, around one utility statement. */
template <typename Call>
void RunMaintenance(const PlannedStmt *statement, Call call)
{
	PG_TRY();
	{
		const Maintenance maintenance = OpenMaintenance(statement);
		call();
		CloseMaintenance(maintenance);
	}
	PG_CATCH();
	{
		ReleaseMaintenance();
		PG_RE_THROW();
	}
	PG_END_TRY();
	ReleaseMaintenance();
}

/* What cursors, EXPLAIN and the like run is found to be the client's by their portal. */
template <typename Call>
void RunForUser(Call call)
{
	Portal const outer = utility_portal;

	PG_TRY();
	{
		utility_portal = ActivePortal;
		call();
	}
	PG_FINALLY();
	{
		utility_portal = outer;
	}
	PG_END_TRY();
}

void CallUtility(PlannedStmt *statement, const char *query_string, bool read_only_tree, ProcessUtilityContext context,
                 ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	if (previous_utility != nullptr)
		previous_utility(statement, query_string, read_only_tree, context, parameters, environment, receiver, completion);
	else
		standard_ProcessUtility(statement, query_string, read_only_tree, context, parameters, environment, receiver, completion);
}

pg_noinline void ClientsUtility(PlannedStmt *statement, const char *query_string, bool read_only_tree, ProcessUtilityContext context,
                                ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver,
                                QueryCompletion *completion)
{
	const auto call = [=] {
		CallUtility(statement, query_string, read_only_tree, context, parameters, environment, receiver, completion);
	};

	if (RunsStatementForUser(statement->utilityStmt))
		RunForUser(call);
	else
		Guarded<void>([=] { RunMaintenance(statement, call); });
}

void OnUtility(PlannedStmt *statement, const char *query_string, bool read_only_tree, ProcessUtilityContext context,
               ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	if (context == PROCESS_UTILITY_TOPLEVEL && (RunsStatementForUser(statement->utilityStmt) || IsManagedMaintenance(statement)))
		ClientsUtility(statement, query_string, read_only_tree, context, parameters, environment, receiver, completion);
	else
		CallUtility(statement, query_string, read_only_tree, context, parameters, environment, receiver, completion);
}

}  // namespace

void InitHooks()
{
	previous_planner = planner_hook;
	planner_hook = OnPlanner;
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = OnExecutorStart;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = OnExecutorRun;
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = OnExecutorFinish;
	previous_end = ExecutorEnd_hook;
	ExecutorEnd_hook = OnExecutorEnd;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = OnUtility;
}

}  // namespace wlm
