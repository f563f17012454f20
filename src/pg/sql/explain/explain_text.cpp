/*
 * explain_text.cpp
 *
 * The "Workload Manager" group for reading: a line for each thing that was
 * decided and each operator.
 */
#include "pg/sql/explain/explain_parts.hpp"

#include "pg/sql/learning/grant_curve.hpp"

namespace wlm {

namespace {

/* One line at the group's indentation, `deeper` levels below it. */
void Line(ExplainState *es, int deeper, const char *format, ...) pg_attribute_printf(3, 4);
void Line(ExplainState *es, int deeper, const char *format, ...)
{
	appendStringInfoSpaces(es->str, (es->indent + 1 + deeper) * 2);
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

void WritePrediction(ExplainState *es, const StatementForecast &statement)
{
	const Forecast &forecast = statement.forecast;

	if (!forecast.has_opinion || !forecast.time.HasOpinion())
		Line(es, 0, "Predicted Time: unknown");
	else
		Line(es, 0, "Predicted Time: %.3f ms  (95%%: %.3f..%.3f; %s)", QuantityAt(forecast.time, 0),
		     QuantityAt(forecast.time, -kIntervalZ), QuantityAt(forecast.time, kIntervalZ),
		     ByExpert(statement, -1, forecast.time_share));
	if (forecast.has_opinion && forecast.query_memory.HasOpinion())
		Line(es, 0, "Predicted Memory: %.0f kB  (95%%: %.0f..%.0f)", QuantityAt(forecast.query_memory, 0),
		     QuantityAt(forecast.query_memory, -kIntervalZ), QuantityAt(forecast.query_memory, kIntervalZ));
}

/* Raised or lowered, and how much of what is lacking is given, and why. */
void WriteGrant(ExplainState *es, const StatementForecast &statement, const ExplainedRun *run)
{
	const GrantDecision &decision = statement.decision;
	const Grant &grant = decision.grant;
	const char *change = !grant.raises ? "" : grant.work_mem_kb > work_mem ? " (raised)" : " (lowered)";

	Line(es, 0, "Memory Reservation: " INT64_FORMAT " kB  Work Mem: " INT64_FORMAT " kB%s%s",
	     static_cast<int64>(grant.reservation_kb), static_cast<int64>(grant.work_mem_kb), change,
	     grant.adjusts ? "  (by operator)" : "");
	if (grant.lacking_kb > 0)
		Line(es, 0, "Grant: %s (%s)  Lacking: %.0f kB  Coverage: %.2f", GrantLevelName(decision.choice.level),
		     LevelReasonName(decision.choice.reason), static_cast<double>(grant.lacking_kb),
		     static_cast<double>(grant.coverage));
	if (run != nullptr && run->experience.query_memory_kb > 0)
		Line(es, 0, "Used Memory: %.0f kB", static_cast<double>(run->experience.query_memory_kb));
	if (statement.graph.planned_workers > 0)
		Line(es, 0, "Workers: %d of %.0f (%s)", WorkersGranted(statement, run),
		     static_cast<double>(statement.graph.planned_workers), WorkerReasonName(decision.workers.reason));
}

void WriteOperator(ExplainState *es, const StatementForecast &statement, const OperatorGrant &grant, const ExplainedRun *run)
{
	const Estimate &need = statement.forecast.memory[grant.memory_slot];
	const char *name = NodeName(NodeOfSlot(statement, grant.memory_slot));

	if (statement.forecast.has_opinion && need.HasOpinion())
		Line(es, 0, "%s (node %d): needs %.0f kB  (95%%: %.0f..%.0f; %s)  Quantile: %.0f kB  Granted: %.0f kB", name,
		     grant.plan_node_id, QuantityAt(need, 0), QuantityAt(need, -kIntervalZ), QuantityAt(need, kIntervalZ),
		     ByExpert(statement, grant.memory_slot, statement.forecast.memory_share), static_cast<double>(grant.need_kb),
		     static_cast<double>(grant.limit_kb));
	else
		Line(es, 0, "%s (node %d): needs unknown  Granted: %.0f kB", name, grant.plan_node_id,
		     static_cast<double>(grant.limit_kb));

	const OperatorExperience *seen = ObservedOperator(run, grant.plan_node_id);
	if (seen == nullptr)
		return;
	if ((seen->flags & kSpilled) != 0)
		Line(es, 1, "Grown To: %.0f kB  Used: %.0f kB  Spilled: %.0f kB", GrownTo(*run, grant, *seen),
		     static_cast<double>(seen->peak_kb), static_cast<double>(seen->temp_kb));
	else
		Line(es, 1, "Grown To: %.0f kB  Used: %.0f kB  Spilled: no", GrownTo(*run, grant, *seen),
		     static_cast<double>(seen->peak_kb));
}

}  // namespace

void WriteExplainText(ExplainState *es, const StatementForecast &statement, const ExplainedRun *run)
{
	const Forecast &forecast = statement.forecast;
	const Grant &grant = statement.decision.grant;

	appendStringInfoSpaces(es->str, es->indent * 2);
	appendStringInfo(es->str, "%s:\n", kExplainGroup);
	Line(es, 0, "Queue: %s  Priority: %s  Lane: %s  Mode: %s", statement.queue_name, PriorityName(statement.priority),
	     LaneName(statement.lane), ModeName());
	WritePrediction(es, statement);
	WriteGrant(es, statement, run);
	if (forecast.has_opinion && forecast.parallel_fraction.HasOpinion())
		Line(es, 0, "Parallel Fraction: %.2f  (95%%: %.2f..%.2f)", FractionAt(forecast.parallel_fraction, 0),
		     FractionAt(forecast.parallel_fraction, -kIntervalZ), FractionAt(forecast.parallel_fraction, kIntervalZ));
	if (ShowsScalability(statement))
		Line(es, 0, "Scalability: %s", ScalabilityText(forecast.parallel_fraction));
	for (int i = 0; i < grant.num_operators; i++)
		WriteOperator(es, statement, grant.operators[i], run);
	Line(es, 0, "Template: " INT64_FORMAT "  Fingerprint: " INT64_FORMAT "  Model Version: %u",
	     static_cast<int64>(statement.graph.template_fingerprint),
	     static_cast<int64>(statement.graph.plan_fingerprint), forecast.model_version);
}

void WriteCurveText(ExplainState *es, const StatementForecast &statement)
{
	CurveLevel levels[kNumGrantLevels];
	const int count = CurveOf(statement, levels);

	if (count <= 1)
		return;
	Line(es, 0, "Time by memory granted:");
	for (int i = 0; i < count; i++) {
		const CurveLevel &level = levels[i];
		StringInfoData text;

		initStringInfo(&text);
		if (level.time.HasOpinion())
			appendStringInfo(&text, "  %.3f ms  (95%%: %.3f..%.3f)", QuantityAt(level.time, 0),
			                 QuantityAt(level.time, -kIntervalZ), QuantityAt(level.time, kIntervalZ));
		if (level.temp_kb == level.temp_kb)
			appendStringInfo(&text, "  Temp: %.0f kB", level.temp_kb);
		appendStringInfo(&text, "  Runs: %.1f", level.runs);
		if (level.slower)
			appendStringInfoString(&text, "  slower, withdrawn");
		if (level.chosen)
			appendStringInfo(&text, "  chosen: %s", LevelReasonName(statement.decision.choice.reason));
		Line(es, 1, "%s: " INT64_FORMAT " kB%s", GrantLevelName(level.level), static_cast<int64>(level.memory_kb), text.data);
	}
}

}  // namespace wlm
