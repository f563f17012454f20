/*
 * stored_experience.cpp
 *
 * Column by column, in the order of the tables. Numbers that are not finite
 * never reach a table: null where the column allows it, else the nearest that is.
 */
#include "pg/history/stored_experience.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

extern "C" {
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"
}

#include "core/predict/expert.hpp"
#include "pg/history/stored_codes.hpp"

namespace wlm {

using enum stored::HistoryColumn;
using enum stored::OperatorColumn;

namespace {

template <size_t kCount>
const char *NameAt(const char *const (&names)[kCount], size_t index)
{
	return names[std::min(index, kCount - 1)];
}

Datum NameDatum(const char *text) { return DirectFunctionCall1(namein, CStringGetDatum(text)); }

void SetNull(StoredRow *row, int column)
{
	row->values[column] = Datum{0};
	row->nulls[column] = 'n';
}

void Set(StoredRow *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = ' ';
}

void SetText(StoredRow *row, int column, const char *text) { Set(row, column, CStringGetTextDatum(text)); }

void SetFloat(StoredRow *row, int column, double value)
{
	constexpr double kLargest = static_cast<double>(std::numeric_limits<float>::max());
	const double finite = std::isnan(value) ? 0 : std::clamp(value, -kLargest, kLargest);
	Set(row, column, Float4GetDatum(static_cast<float>(finite)));
}

void SetFloatOrNull(StoredRow *row, int column, double value)
{
	if (std::isfinite(static_cast<float>(value)))
		SetFloat(row, column, value);
	else
		SetNull(row, column);
}

/* The quantity at z standard deviations; NaN, which becomes null, without an opinion. */
double Quantity(const Estimate &estimate, double z)
{
	if (!estimate.HasOpinion())
		return std::nan("");
	return std::exp(static_cast<double>(estimate.LogAt(static_cast<float>(z))));
}

/* Collects `"key": number` pairs of one object. */
void AppendNumber(StringInfo json, const char *key, double value)
{
	if (!std::isfinite(value))
		return;
	if (json->data[json->len - 1] != '{')
		appendStringInfoString(json, ", ");
	escape_json(json, key);
	appendStringInfo(json, ": %.7g", value);
}

void AppendEstimate(StringInfo json, const char *key, const char *deviation_key, const Estimate &estimate)
{
	if (!estimate.HasOpinion() || !std::isfinite(estimate.mean))
		return;
	AppendNumber(json, key, Quantity(estimate, 0));
	AppendNumber(json, deviation_key, static_cast<double>(estimate.Deviation()));
}

void OpenExpert(StringInfo json, int expert)
{
	if (json->data[json->len - 1] != '{')
		appendStringInfoString(json, ", ");
	escape_json(json, kExperts[expert].name);
	appendStringInfoString(json, ": {");
}

}  // namespace

const StoredColumn kHistoryColumns[kNumHistoryColumns] = {
	{"finished_at", TIMESTAMPTZOID}, {"database", NAMEOID}, {"role", NAMEOID}, {"pid", INT4OID},
	{"query_id", INT8OID}, {"template", INT8OID}, {"fingerprint", INT8OID}, {"command", TEXTOID},
	{"queue", NAMEOID}, {"priority", TEXTOID}, {"lane", TEXTOID}, {"familiarity", TEXTOID},
	{"novelty", FLOAT4OID}, {"final_state", TEXTOID},
	{"forced", BOOLOID}, {"evicted", BOOLOID}, {"applied", BOOLOID}, {"censored", BOOLOID},
	{"total_cost", FLOAT4OID}, {"estimated_rows", FLOAT4OID}, {"returned_rows", FLOAT8OID},
	{"queue_ms", FLOAT4OID}, {"num_preempted", INT2OID}, {"wasted_ms", FLOAT4OID},
	{"predicted_ms", FLOAT4OID}, {"predicted_low_ms", FLOAT4OID}, {"predicted_high_ms", FLOAT4OID}, {"actual_ms", FLOAT4OID},
	{"predicted_kb", FLOAT4OID}, {"predicted_high_kb", FLOAT4OID}, {"reserved_kb", FLOAT4OID}, {"session_work_mem_kb", FLOAT4OID},
	{"plan_work_mem_kb", FLOAT4OID}, {"granted_work_mem_kb", FLOAT4OID}, {"lacking_kb", FLOAT4OID}, {"coverage", FLOAT4OID},
	{"grant_level", TEXTOID}, {"grant_reason", TEXTOID}, {"peak_kb", FLOAT4OID}, {"temp_bytes", INT8OID},
	{"workers_planned", INT2OID}, {"workers_granted", INT2OID}, {"workers_launched", INT2OID}, {"worker_reason", TEXTOID},
	{"load_beside", FLOAT4OID},
	{"model_version", INT4OID}, {"experts", JSONBOID},
};

const StoredColumn kOperatorColumns[kNumOperatorColumns] = {
	{"history_id", INT8OID}, {"plan_node_id", INT4OID}, {"operator", TEXTOID}, {"memory_class", TEXTOID},
	{"slot", INT2OID}, {"processes", INT2OID}, {"estimated_rows", FLOAT4OID}, {"actual_rows", FLOAT4OID},
	{"formula_kb", FLOAT4OID}, {"predicted_kb", FLOAT4OID}, {"predicted_high_kb", FLOAT4OID},
	{"granted_kb", FLOAT4OID}, {"grown_kb", FLOAT4OID}, {"peak_kb", FLOAT4OID}, {"needed_kb", FLOAT4OID},
	{"temp_kb", FLOAT4OID}, {"spilled", BOOLOID}, {"censored", BOOLOID}, {"experts", JSONBOID},
};

void EncodeExperience(const Experience &e, const Workload &workload, StoredRow *row)
{
	const char *database = get_database_name(e.database_oid);
	const char *role = GetUserNameFromId(e.role_oid, true);
	const bool known_queue = e.queue >= 0 && e.queue < workload.num_queues;
	StringInfoData json;

	Set(row, kFinishedAt, TimestampTzGetDatum(e.finished_at));
	if (database != nullptr)
		Set(row, kDatabase, NameDatum(database));
	else
		SetNull(row, kDatabase);
	if (role != nullptr)
		Set(row, kRole, NameDatum(role));
	else
		SetNull(row, kRole);
	Set(row, kPid, Int32GetDatum(e.pid));
	Set(row, kQueryId, Int64GetDatum(static_cast<int64>(e.query_id)));
	Set(row, kTemplate, Int64GetDatum(static_cast<int64>(e.template_fingerprint)));
	Set(row, kFingerprint, Int64GetDatum(static_cast<int64>(e.plan_fingerprint)));
	SetText(row, kCommand, NameAt(stored::kCommands, static_cast<size_t>(e.command)));
	Set(row, kQueue, NameDatum(workload.limits[known_queue ? e.queue : 0].name));
	SetText(row, kPriority, PriorityName(static_cast<Priority>(e.priority)));
	SetText(row, kLane, NameAt(stored::kLanes, e.lane));
	SetText(row, kFamiliarity, NameAt(stored::kFamiliarities, static_cast<size_t>(e.familiarity)));
	SetFloatOrNull(row, kNovelty, e.novelty >= 0 ? static_cast<double>(e.novelty) : std::nan(""));
	SetText(row, kFinalState, NameAt(stored::kFinalStates, static_cast<size_t>(e.final_state)));
	Set(row, kForced, BoolGetDatum(e.forced));
	Set(row, kEvicted, BoolGetDatum(e.evicted));
	Set(row, kApplied, BoolGetDatum(e.applied));
	Set(row, kHistoryCensored, BoolGetDatum(e.censored));
	SetFloat(row, kTotalCost, static_cast<double>(e.total_cost));
	SetFloat(row, kRootRows, static_cast<double>(e.estimated_rows));
	if (e.returned_rows >= 0 && std::isfinite(e.returned_rows))
		Set(row, kReturnedRows, Float8GetDatum(e.returned_rows));
	else
		SetNull(row, kReturnedRows);
	SetFloat(row, kQueueMs, static_cast<double>(e.queue_ms));
	Set(row, kNumPreempted, Int16GetDatum(e.num_preempted));
	SetFloat(row, kWastedMs, static_cast<double>(e.wasted_ms));
	SetFloatOrNull(row, kPredictedMs, Quantity(e.time, 0));
	SetFloatOrNull(row, kPredictedLowMs, Quantity(e.time, -stored::kHalfWidth));
	SetFloatOrNull(row, kPredictedHighMs, Quantity(e.time, stored::kHalfWidth));
	SetFloat(row, kActualMs, static_cast<double>(e.time_ms));
	SetFloatOrNull(row, kPredictedKb, Quantity(e.query_memory, 0));
	SetFloatOrNull(row, kPredictedHighKb, Quantity(e.query_memory, stored::kHalfWidth));
	SetFloat(row, kReservedKb, static_cast<double>(e.reserved_kb));
	SetFloat(row, kSessionWorkMemKb, static_cast<double>(e.session_work_mem_kb));
	SetFloatOrNull(row, kPlanWorkMemKb, e.plan_work_mem_kb > 0 ? static_cast<double>(e.plan_work_mem_kb) : std::nan(""));
	SetFloat(row, kGrantedWorkMemKb, static_cast<double>(e.granted_work_mem_kb));
	SetFloat(row, kLackingKb, static_cast<double>(e.lacking_kb));
	SetFloat(row, kCoverage, static_cast<double>(e.coverage));
	SetText(row, kGrantLevel, GrantLevelName(static_cast<GrantLevel>(e.grant_level)));
	SetText(row, kGrantReason, LevelReasonName(static_cast<LevelReason>(e.level_reason)));
	SetFloatOrNull(row, kPeakKb, e.query_memory_kb > 0 ? static_cast<double>(e.query_memory_kb) : std::nan(""));
	Set(row, kTempBytes, Int64GetDatum(e.temp_bytes));
	Set(row, kWorkersPlanned, Int16GetDatum(e.workers_planned));
	Set(row, kWorkersGranted, Int16GetDatum(e.workers_granted));
	Set(row, kWorkersLaunched, Int16GetDatum(e.workers_launched));
	SetText(row, kWorkerReason, WorkerReasonName(static_cast<WorkerReason>(e.worker_reason)));
	SetFloatOrNull(row, kLoadBeside, e.load_beside >= 0 ? static_cast<double>(e.load_beside) : std::nan(""));
	Set(row, kModelVersion, Int32GetDatum(static_cast<int32>(e.model_version)));

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int expert = 0; expert < kNumExperts; expert++) {
		if (!e.time_answers[expert].HasOpinion() && !e.query_memory_answers[expert].HasOpinion())
			continue;
		OpenExpert(&json, expert);
		AppendEstimate(&json, "ms", "ms_deviation", e.time_answers[expert]);
		AppendEstimate(&json, "kb", "kb_deviation", e.query_memory_answers[expert]);
		AppendNumber(&json, "share", static_cast<double>(e.time_share[expert]));
		AppendNumber(&json, "memory_share", static_cast<double>(e.memory_share[expert]));
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, '}');
	SetText(row, kExpertAnswers, json.data);
}

bool WorthStoring(const OperatorExperience &stored)
{
	return (stored.flags & kObserved) != 0 || stored.mixture.HasOpinion();
}

void EncodeOperator(const OperatorExperience &o, int64 history_id, StoredRow *row)
{
	const bool observed = (o.flags & kObserved) != 0;
	const double unknown = std::nan("");
	StringInfoData json;

	Set(row, kHistoryId, Int64GetDatum(history_id));
	Set(row, kPlanNodeId, Int32GetDatum(o.plan_node_id));
	SetText(row, kOperator, stored::OperatorName(o.kind, o.memory));
	SetText(row, kMemoryClass, MemoryClassName(o.memory));
	Set(row, kSlot, Int16GetDatum(o.memory_slot));
	Set(row, kProcesses, Int16GetDatum(o.processes));
	SetFloat(row, kEstimatedRows, static_cast<double>(o.estimated_rows));
	SetFloatOrNull(row, kActualRows, o.actual_rows >= 0 ? static_cast<double>(o.actual_rows) : unknown);
	SetFloat(row, kFormulaKb, static_cast<double>(o.formula_kb));
	SetFloatOrNull(row, kOperatorKb, Quantity(o.mixture, 0));
	SetFloatOrNull(row, kOperatorHighKb, Quantity(o.mixture, stored::kHalfWidth));
	SetFloat(row, kGrantedKb, static_cast<double>(o.granted_kb));
	SetFloat(row, kGrownKb, static_cast<double>(o.grown_kb));
	SetFloatOrNull(row, kOperatorPeakKb, observed ? static_cast<double>(o.peak_kb) : unknown);
	SetFloatOrNull(row, kNeededKb, observed ? static_cast<double>(o.needed_kb) : unknown);
	SetFloatOrNull(row, kTempKb, observed ? static_cast<double>(o.temp_kb) : unknown);
	Set(row, kOperatorSpilled, BoolGetDatum((o.flags & kSpilled) != 0));
	Set(row, kOperatorCensored, BoolGetDatum((o.flags & kCensored) != 0));

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int expert = 0; expert < kNumExperts; expert++) {
		if (!o.answers[expert].HasOpinion())
			continue;
		OpenExpert(&json, expert);
		AppendEstimate(&json, "kb", "kb_deviation", o.answers[expert]);
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, '}');
	SetText(row, kOperatorAnswers, json.data);
}

char *InsertStatement(const char *table, const StoredColumn *columns, int num_columns, Oid *types)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO wlm.%s (", table);
	for (int i = 0; i < num_columns; i++) {
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", columns[i].name);
		types[i] = columns[i].type == JSONBOID ? TEXTOID : columns[i].type;
	}
	appendStringInfoString(&sql, ") VALUES (");
	for (int i = 0; i < num_columns; i++)
		appendStringInfo(&sql, "%s$%d%s", i > 0 ? ", " : "", i + 1,
		                 columns[i].type == JSONBOID ? "::pg_catalog.jsonb" : "");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

}  // namespace wlm
