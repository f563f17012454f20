/*
 * explain_group.cpp
 *
 * ExplainOnePlan writes a complete "Query" group and offers no place inside it
 * before PostgreSQL 18, so the hook reopens that group, adds ours and closes it
 * again; a second element would change the shape of JSON documents. EXPLAIN
 * EXECUTE does not pass the hook before 18.
 */
#include "pg/sql/explain_group.hpp"

#include <cstring>

extern "C" {
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
}

#include "core/predict/scalability.hpp"
#include "pg/guard.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

PlannedStmt *explained_statement = nullptr;

namespace {

constexpr char kGroup[] = "Workload Manager";

const char *ModeName()
{
	switch (static_cast<Mode>(setting::mode)) {
	case Mode::kAuto:
		return "auto";
	case Mode::kObserve:
		return "observe";
	default:
		return "off";
	}
}

/* One line of TEXT at the group's indentation. */
void Line(ExplainState *es, const char *format, ...) pg_attribute_printf(2, 3);
void Line(ExplainState *es, const char *format, ...)
{
	appendStringInfoSpaces(es->str, (es->indent + 1) * 2);
	for (;;) {
		va_list arguments;

		va_start(arguments, format);
		const int needed = appendStringInfoVA(es->str, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(es->str, needed);
	}
	appendStringInfoChar(es->str, '\n');
}

/* "planner 12 kB, recall 14 kB": who said what, into a fresh string. Slot -1: of the time. */
char *ByExpert(const StatementForecast &statement, int memory_slot, const float *shares)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int expert = 0; expert < kNumExperts; expert++) {
		const ExpertAnswer &answer = statement.forecast.answers[expert];
		const Estimate &estimate = memory_slot < 0 ? answer.time : answer.memory[memory_slot];
		const char *separator = text.len > 0 ? ", " : "";

		if (!estimate.HasOpinion())
			appendStringInfo(&text, "%s%s -", separator, kExperts[expert].name);
		else if (memory_slot < 0)
			appendStringInfo(&text, "%s%s %.3f ms (%.0f%%)", separator, kExperts[expert].name,
			                 QuantityAt(estimate, 0), 100 * static_cast<double>(shares[expert]));
		else
			appendStringInfo(&text, "%s%s %.0f kB", separator, kExperts[expert].name, QuantityAt(estimate, 0));
	}
	return text.data;
}

const PlanNode &NodeOfSlot(const StatementForecast &statement, int slot)
{
	return statement.graph.nodes[statement.graph.memory_node[slot]];
}

/* How a plan without parallel parts would scale is nobody's question. */
bool ShowsScalability(const StatementForecast &statement)
{
	return statement.forecast.has_opinion && statement.forecast.parallel_fraction.HasOpinion() &&
		statement.graph.planned_workers > 0;
}

RelativeTime RelativeTime95(const Estimate &parallel_fraction, int processes)
{
	return RelativeTimeWith(parallel_fraction, static_cast<float>(processes), static_cast<float>(kIntervalZ));
}

/* "2 processes 0.55x (0.52..0.70), 4 processes ...": time relative to one process. */
char *ScalabilityText(const Estimate &parallel_fraction)
{
	StringInfoData text;

	initStringInfo(&text);
	for (const int processes : kShownProcesses) {
		const RelativeTime time = RelativeTime95(parallel_fraction, processes);

		appendStringInfo(&text, "%s%d processes %.2fx (%.2f..%.2f)", text.len > 0 ? ", " : "", processes, time.at,
		                 time.low, time.high);
	}
	return text.data;
}

void WriteText(ExplainState *es, const StatementForecast &statement)
{
	const Forecast &forecast = statement.forecast;

	appendStringInfoSpaces(es->str, es->indent * 2);
	appendStringInfo(es->str, "%s:\n", kGroup);
	Line(es, "Queue: %s  Priority: %s  Lane: %s  Mode: %s", statement.queue_name, PriorityName(statement.priority),
	     LaneName(statement.lane), ModeName());
	if (!forecast.has_opinion || !forecast.time.HasOpinion())
		Line(es, "Predicted Time: unknown");
	else
		Line(es, "Predicted Time: %.3f ms  (95%%: %.3f..%.3f; %s)", QuantityAt(forecast.time, 0),
		     QuantityAt(forecast.time, -kIntervalZ), QuantityAt(forecast.time, kIntervalZ),
		     ByExpert(statement, -1, forecast.time_share));
	if (forecast.has_opinion && forecast.query_memory.HasOpinion())
		Line(es, "Predicted Memory: %.0f kB  (95%%: %.0f..%.0f)", QuantityAt(forecast.query_memory, 0),
		     QuantityAt(forecast.query_memory, -kIntervalZ), QuantityAt(forecast.query_memory, kIntervalZ));
	Line(es, "Memory Reservation: " INT64_FORMAT " kB  Work Mem: " INT64_FORMAT " kB%s",
	     static_cast<int64>(statement.grant.reservation_kb), static_cast<int64>(statement.grant.work_mem_kb),
	     statement.grant.raises ? " (raised)" : "");
	if (forecast.has_opinion && forecast.parallel_fraction.HasOpinion())
		Line(es, "Parallel Fraction: %.2f  (95%%: %.2f..%.2f)", FractionAt(forecast.parallel_fraction, 0),
		     FractionAt(forecast.parallel_fraction, -kIntervalZ), FractionAt(forecast.parallel_fraction, kIntervalZ));
	if (ShowsScalability(statement))
		Line(es, "Scalability: %s", ScalabilityText(forecast.parallel_fraction));
	for (int i = 0; i < statement.grant.num_operators; i++) {
		const OperatorGrant &grant = statement.grant.operators[i];
		const PlanNode &node = NodeOfSlot(statement, grant.memory_slot);
		const Estimate &need = forecast.memory[grant.memory_slot];

		if (forecast.has_opinion && need.HasOpinion())
			Line(es, "%s (node %d): needs %.0f kB  (95%%: %.0f..%.0f; %s)  Limit: %.0f kB", NodeName(node),
			     grant.plan_node_id, QuantityAt(need, 0), QuantityAt(need, -kIntervalZ),
			     QuantityAt(need, kIntervalZ), ByExpert(statement, grant.memory_slot, forecast.memory_share),
			     static_cast<double>(grant.limit_kb));
		else
			Line(es, "%s (node %d): needs unknown  Limit: %.0f kB", NodeName(node), grant.plan_node_id,
			     static_cast<double>(grant.limit_kb));
	}
	Line(es, "Template: " INT64_FORMAT "  Fingerprint: " INT64_FORMAT "  Model Version: %u",
	     static_cast<int64>(statement.graph.template_fingerprint),
	     static_cast<int64>(statement.graph.plan_fingerprint), forecast.model_version);
}

/* "Name", "Name Low" and "Name High"; nothing without an opinion. */
void Interval95(ExplainState *es, const char *name, const char *unit, int digits, const Estimate &estimate,
                bool fraction)
{
	double (*const at)(const Estimate &, double) = fraction ? FractionAt : QuantityAt;

	if (!estimate.HasOpinion())
		return;
	ExplainPropertyFloat(name, unit, at(estimate, 0), digits, es);
	ExplainPropertyFloat(psprintf("%s Low", name), unit, at(estimate, -kIntervalZ), digits, es);
	ExplainPropertyFloat(psprintf("%s High", name), unit, at(estimate, kIntervalZ), digits, es);
}

void WriteExperts(ExplainState *es, const StatementForecast &statement)
{
	ExplainOpenGroup("Experts", "Experts", false, es);
	for (int expert = 0; expert < kNumExperts; expert++) {
		const ExpertAnswer &answer = statement.forecast.answers[expert];

		ExplainOpenGroup("Expert", nullptr, true, es);
		ExplainPropertyText("Name", kExperts[expert].name, es);
		ExplainPropertyFloat("Time Share", nullptr, static_cast<double>(statement.forecast.time_share[expert]), 3, es);
		ExplainPropertyFloat("Memory Share", nullptr, static_cast<double>(statement.forecast.memory_share[expert]), 3,
		                     es);
		Interval95(es, "Time", "ms", 3, answer.time, false);
		Interval95(es, "Memory", "kB", 0, answer.query_memory, false);
		ExplainCloseGroup("Expert", nullptr, true, es);
	}
	ExplainCloseGroup("Experts", "Experts", false, es);
}

void WriteOperators(ExplainState *es, const StatementForecast &statement)
{
	ExplainOpenGroup("Operators", "Operators", false, es);
	for (int i = 0; i < statement.grant.num_operators; i++) {
		const OperatorGrant &grant = statement.grant.operators[i];

		ExplainOpenGroup("Operator", nullptr, true, es);
		ExplainPropertyText("Node", NodeName(NodeOfSlot(statement, grant.memory_slot)), es);
		ExplainPropertyInteger("Plan Node Id", nullptr, grant.plan_node_id, es);
		Interval95(es, "Need", "kB", 0, statement.forecast.memory[grant.memory_slot], false);
		ExplainPropertyFloat("Limit", "kB", static_cast<double>(grant.limit_kb), 0, es);
		ExplainPropertyFloat("Processes", nullptr, static_cast<double>(grant.processes), 0, es);
		ExplainOpenGroup("Experts", "Experts", false, es);
		for (int expert = 0; expert < kNumExperts; expert++) {
			ExplainOpenGroup("Expert", nullptr, true, es);
			ExplainPropertyText("Name", kExperts[expert].name, es);
			Interval95(es, "Need", "kB", 0, statement.forecast.answers[expert].memory[grant.memory_slot], false);
			ExplainCloseGroup("Expert", nullptr, true, es);
		}
		ExplainCloseGroup("Experts", "Experts", false, es);
		ExplainCloseGroup("Operator", nullptr, true, es);
	}
	ExplainCloseGroup("Operators", "Operators", false, es);
}

void WriteScalability(ExplainState *es, const Estimate &parallel_fraction)
{
	ExplainOpenGroup("Scalability", "Scalability", false, es);
	for (const int processes : kShownProcesses) {
		const RelativeTime time = RelativeTime95(parallel_fraction, processes);

		ExplainOpenGroup("Relative Time", nullptr, true, es);
		ExplainPropertyInteger("Processes", nullptr, processes, es);
		ExplainPropertyFloat("Relative Time", nullptr, time.at, 3, es);
		ExplainPropertyFloat("Relative Time Low", nullptr, time.low, 3, es);
		ExplainPropertyFloat("Relative Time High", nullptr, time.high, 3, es);
		ExplainCloseGroup("Relative Time", nullptr, true, es);
	}
	ExplainCloseGroup("Scalability", "Scalability", false, es);
}

void WriteStructured(ExplainState *es, const StatementForecast &statement)
{
	const Forecast &forecast = statement.forecast;

	ExplainOpenGroup(kGroup, kGroup, true, es);
	ExplainPropertyText("Mode", ModeName(), es);
	ExplainPropertyText("Queue", statement.queue_name, es);
	ExplainPropertyText("Priority", PriorityName(statement.priority), es);
	ExplainPropertyText("Lane", LaneName(statement.lane), es);
	if (forecast.has_opinion) {
		Interval95(es, "Predicted Time", "ms", 3, forecast.time, false);
		Interval95(es, "Predicted Memory", "kB", 0, forecast.query_memory, false);
		Interval95(es, "Parallel Fraction", nullptr, 3, forecast.parallel_fraction, true);
	}
	ExplainPropertyInteger("Memory Reservation", "kB", statement.grant.reservation_kb, es);
	ExplainPropertyInteger("Work Mem Granted", "kB", statement.grant.work_mem_kb, es);
	ExplainPropertyBool("Work Mem Raised", statement.grant.raises, es);
	ExplainPropertyInteger("Template", nullptr, static_cast<int64>(statement.graph.template_fingerprint), es);
	ExplainPropertyInteger("Fingerprint", nullptr, static_cast<int64>(statement.graph.plan_fingerprint), es);
	ExplainPropertyInteger("Model Version", nullptr, forecast.model_version, es);
	if (ShowsScalability(statement))
		WriteScalability(es, forecast.parallel_fraction);
	if (forecast.has_opinion) {
		WriteExperts(es, statement);
		WriteOperators(es, statement);
	}
	ExplainCloseGroup(kGroup, kGroup, true, es);
}

/* The group of this statement, if it has one and would be managed. */
void ExplainIfManaged(ExplainState *es, PlannedStmt *statement)
{
	if (!es->costs || !WouldBeManaged(statement))
		return;

	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "pg_wlm explain", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	const StatementForecast *forecast = ForecastStatement(statement, false);

	MemoryContextSwitchTo(caller);
	if (forecast->managed)
		ExplainForecast(es, *forecast);
	MemoryContextDelete(scratch);
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

void AppendToQueryGroup(ExplainState *es, PlannedStmt *statement)
{
	if (!es->costs || !WouldBeManaged(statement) || !ReopenQueryGroup(es))
		return;
	ExplainIfManaged(es, statement);
	ExplainCloseGroup("Query", nullptr, true, es);
}

#endif

ExplainOneQuery_hook_type previous_explain = nullptr;

/* What standard_ExplainOneQuery does, with the plan in our hands. */
PlannedStmt *PlanAndExplain(Query *query, int cursor_options, IntoClause *into, ExplainState *es,
                            const char *query_string, ParamListInfo params, QueryEnvironment *environment)
{
	PlannedStmt *volatile const outer_statement = explained_statement;
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
	}
	PG_END_TRY();
	return statement;
}

void ExplainOneQueryHook(Query *query, int cursor_options, IntoClause *into, ExplainState *es,
                         const char *query_string, ParamListInfo params, QueryEnvironment *environment)
{
	PlannedStmt *statement;

	if (previous_explain == nullptr) {
		statement = PlanAndExplain(query, cursor_options, into, es, query_string, params, environment);
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
		AppendToQueryGroup(es, statement);
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

void ExplainPerPlan(PlannedStmt *statement, IntoClause *into, ExplainState *es, const char *query_string,
                    ParamListInfo params, QueryEnvironment *environment)
{
	if (previous_per_plan != nullptr)
		previous_per_plan(statement, into, es, query_string, params, environment);
	Guarded<void>([=] { ExplainIfManaged(es, statement); });
}

#endif

}  // namespace

void ExplainForecast(ExplainState *es, const StatementForecast &statement)
{
	if (es->format == EXPLAIN_FORMAT_TEXT)
		WriteText(es, statement);
	else
		WriteStructured(es, statement);
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
