/*
 * explain_group.cpp
 *
 * ExplainOnePlan writes a complete "Query" group and offers no place inside it
 * before PostgreSQL 18, so the hook reopens that group, adds ours and closes it
 * again; a second element would change the shape of JSON documents. EXPLAIN
 * EXECUTE does not pass the hook before 18.
 */
#include "pg/sql/explain/explain_group.hpp"

#include <cstring>

extern "C" {
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
}

#include "pg/guard.hpp"
#include "pg/observe/observe.hpp"
#include "pg/query/managed_query.hpp"
#include "pg/query/query_pool.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/explain/explain_parts.hpp"

namespace wlm {

PlannedStmt *explained_statement = nullptr;
ExplainedRun *explained_run = nullptr;

namespace {

/* What was decided when it ran, in place of what would be decided now. */
void TakeDecision(const ExplainedRun &run, GrantDecision *decision)
{
	decision->grant = run.grant;
	decision->choice.level = static_cast<GrantLevel>(run.experience.grant_level);
	decision->choice.reason = static_cast<LevelReason>(run.experience.level_reason);
	decision->workers.reason = static_cast<WorkerReason>(run.experience.worker_reason);
}

/* The group of this statement, if it has one and would be managed. `run`: what EXPLAIN ANALYZE saw, or null. */
void ExplainIfManaged(ExplainState *es, PlannedStmt *statement, const ExplainedRun *run)
{
	if (!es->costs || !WouldBeManaged(statement))
		return;

	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "pg_wlm explain", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	StatementForecast *forecast = ForecastStatement(statement, false);

	if (run != nullptr && run->experience.applied)
		TakeDecision(*run, &forecast->decision);
	MemoryContextSwitchTo(caller);
	if (forecast->managed)
		ExplainForecast(es, *forecast, run);
	MemoryContextDelete(scratch);
}

void KeepRun(const ManagedQuery &query, ExplainedRun *run)
{
	run->seen = true;
	run->grant = query.grant;
	memcpy(static_cast<void *>(&run->experience), &query.experience, query.experience.BytesUsed());
}

#if PG_VERSION_NUM < 180000

/* Cuts `suffix` off the end of the output; false, and nothing changed, if it does not end so. */
bool CutSuffix(StringInfo output, const char *suffix)
{
	const int length = static_cast<int>(strlen(suffix));

	if (output->len < length || strcmp(output->data + output->len - length, suffix) != 0)
		return false;
	output->len -= length;
	output->data[output->len] = '\0';
	return true;
}

/*
 * Undoes the last ExplainCloseGroup("Query", NULL, true, es). False if the output does not end
 * with a closed group, which only another extension's output can cause.
 */
bool ReopenQueryGroup(ExplainState *es)
{
	switch (es->format) {
	case EXPLAIN_FORMAT_TEXT:
		return true;
	case EXPLAIN_FORMAT_JSON:
		if (!CutSuffix(es->str, psprintf("\n%*s}", es->indent * 2, "")))
			return false;
		break;
	case EXPLAIN_FORMAT_XML:
		if (!CutSuffix(es->str, psprintf("%*s</Query>\n", es->indent * 2, "")))
			return false;
		es->indent++;
		return true; /* XML keeps no stack */
	case EXPLAIN_FORMAT_YAML:
		break;
	}
	es->indent++;
	es->grouping_stack = lcons_int(1, es->grouping_stack);
	return true;
}

void AppendToQueryGroup(ExplainState *es, PlannedStmt *statement, const ExplainedRun *run)
{
	if (!es->costs || !WouldBeManaged(statement) || !ReopenQueryGroup(es))
		return;
	ExplainIfManaged(es, statement, run);
	ExplainCloseGroup("Query", nullptr, true, es);
}

#endif

ExplainOneQuery_hook_type previous_explain = nullptr;

/* What standard_ExplainOneQuery does, with the plan in our hands. `run` is filled if the statement is run. */
PlannedStmt *PlanAndExplain(Query *query, int cursor_options, IntoClause *into, ExplainState *es,
                            const char *query_string, ParamListInfo params, QueryEnvironment *environment,
                            ExplainedRun *run)
{
	PlannedStmt *volatile const outer_statement = explained_statement;
	ExplainedRun *volatile const outer_run = explained_run;
	PlannedStmt *volatile statement = nullptr;
	instr_time started, duration;
	BufferUsage buffers_before, buffers;

	memset(&buffers, 0, sizeof buffers);
#if PG_VERSION_NUM >= 170000
	MemoryContextCounters counters;
	MemoryContext planner_context = nullptr;
	MemoryContext caller_context = nullptr;

	memset(&counters, 0, sizeof counters);
	if (es->memory) {
		planner_context = AllocSetContextCreate(CurrentMemoryContext, "explain analyze planner context",
		                                        ALLOCSET_DEFAULT_SIZES);
		caller_context = MemoryContextSwitchTo(planner_context);
	}
#endif
	buffers_before = pgBufferUsage;
	INSTR_TIME_SET_CURRENT(started);
	statement = pg_plan_query(query, query_string, cursor_options, params);
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, started);
#if PG_VERSION_NUM >= 170000
	if (es->memory) {
		MemoryContextSwitchTo(caller_context);
		MemoryContextMemConsumed(planner_context, &counters);
	}
#endif
	if (es->buffers)
		BufferUsageAccumDiff(&buffers, &pgBufferUsage, &buffers_before);

	PG_TRY();
	{
		explained_statement = statement;
		explained_run = run;
#if PG_VERSION_NUM >= 170000
		ExplainOnePlan(statement, into, es, query_string, params, environment, &duration,
		               es->buffers ? &buffers : nullptr, es->memory ? &counters : nullptr);
#else
		ExplainOnePlan(statement, into, es, query_string, params, environment, &duration,
		               es->buffers ? &buffers : nullptr);
#endif
	}
	PG_FINALLY();
	{
		explained_statement = outer_statement;
		explained_run = outer_run;
	}
	PG_END_TRY();
	return statement;
}

void ExplainOneQueryHook(Query *query, int cursor_options, IntoClause *into, ExplainState *es,
                         const char *query_string, ParamListInfo params, QueryEnvironment *environment)
{
	const bool keeps_run = PG_VERSION_NUM < 180000 && es->analyze;
	ExplainedRun *run = keeps_run ? static_cast<ExplainedRun *>(palloc0(sizeof(ExplainedRun))) : nullptr;
	PlannedStmt *statement;

	if (previous_explain == nullptr) {
		statement = PlanAndExplain(query, cursor_options, into, es, query_string, params, environment, run);
	} else {
		/* The other extension plans by itself and scribbles on the query: ask the planner once more for ours. */
		const bool ours = PG_VERSION_NUM < 180000 && es->costs && shared != nullptr &&
			setting::mode != static_cast<int>(Mode::kOff);
		Query *copy = ours ? static_cast<Query *>(copyObjectImpl(query)) : nullptr;

		previous_explain(query, cursor_options, into, es, query_string, params, environment);
		statement = ours ? pg_plan_query(copy, query_string, cursor_options, params) : nullptr;
	}
#if PG_VERSION_NUM < 180000
	if (statement != nullptr)
		AppendToQueryGroup(es, statement, run != nullptr && run->seen ? run : nullptr);
#else
	(void) statement;
#endif
}

void GuardedExplain(Query *query, int cursor_options, IntoClause *into, ExplainState *es, const char *query_string,
                    ParamListInfo params, QueryEnvironment *environment)
{
	Guarded<void>([=] { ExplainOneQueryHook(query, cursor_options, into, es, query_string, params, environment); });
}

#if PG_VERSION_NUM >= 180000

explain_per_plan_hook_type previous_per_plan = nullptr;

/* ExecutorEnd is still to come here; the plan has run, and its state is there to be looked at. Also of EXPLAIN EXECUTE. */
const ExplainedRun *LookAtRun(const PlannedStmt *statement)
{
	ManagedQuery *query = FindQueryOf(statement);

	if (query == nullptr)
		return nullptr;
	if (!query->was_restartable)
		ObserveLeader(query);
	ExplainedRun *run = static_cast<ExplainedRun *>(palloc0(sizeof(ExplainedRun)));
	KeepRun(*query, run);
	return run;
}

void ExplainPerPlan(PlannedStmt *statement, IntoClause *into, ExplainState *es, const char *query_string,
                    ParamListInfo params, QueryEnvironment *environment)
{
	if (previous_per_plan != nullptr)
		previous_per_plan(statement, into, es, query_string, params, environment);
	Guarded<void>([=] { ExplainIfManaged(es, statement, es->analyze ? LookAtRun(statement) : nullptr); });
}

#endif

}  // namespace

void ExplainForecast(ExplainState *es, const StatementForecast &statement, const ExplainedRun *run)
{
	if (es->format == EXPLAIN_FORMAT_TEXT)
		WriteExplainText(es, statement, run);
	else
		WriteExplainProperties(es, statement, run);
}

void NoteExplainedRun(const ManagedQuery &query)
{
	if (query.query_desc->plannedstmt == explained_statement)
		KeepRun(query, explained_run);
}

void InitExplain()
{
	previous_explain = ExplainOneQuery_hook;
	ExplainOneQuery_hook = GuardedExplain;
#if PG_VERSION_NUM >= 180000
	previous_per_plan = explain_per_plan_hook;
	explain_per_plan_hook = ExplainPerPlan;
#endif
}

}  // namespace wlm
