/*
 * stored_experience.cpp
 *
 * Column by column, in the order of the tables. Numbers that are not finite
 * never reach a table: null where the column allows it, else the nearest that is.
 */
#include "pg/worker/stored_experience.hpp"

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
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
}

#include "core/predict/expert.hpp"

namespace wlm {

namespace {

enum HistoryColumn : int {
	kFinishedAt = 0, kDatabase, kRole, kPid, kQueryId, kTemplate, kFingerprint, kCommand, kQueue, kPriority,
	kLane, kFinalState, kForced, kEvicted, kApplied, kHistoryCensored, kTotalCost, kRootRows, kReturnedRows,
	kQueueMs, kPredictedMs, kPredictedLowMs, kPredictedHighMs, kActualMs, kPredictedKb, kPredictedHighKb,
	kReservedKb, kGrantedWorkMemKb, kPeakKb, kTempBytes, kWorkersPlanned, kWorkersLaunched, kModelVersion,
	kExpertAnswers, kEndOfHistory
};
static_assert(kEndOfHistory == kNumHistoryColumns);

enum OperatorColumn : int {
	kHistoryId = 0, kPlanNodeId, kOperator, kMemoryClass, kSlot, kProcesses, kEstimatedRows, kActualRows,
	kFormulaKb, kOperatorKb, kOperatorHighKb, kGrantedKb, kOperatorPeakKb, kNeededKb, kOperatorSpilled,
	kOperatorCensored, kOperatorAnswers, kEndOfOperator
};

/* Half the width of the 95 % interval, in standard deviations: what predicted_low and _high mean. */
constexpr double kHalfWidth = 1.959964;

constexpr const char *kFinalStates[] = {"completed", "cancelled", "failed", "rejected", "timed_out"};
constexpr const char *kCommands[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "OTHER"};
constexpr const char *kLanes[] = {"normal", "express"};

template <size_t kCount>
const char *NameAt(const char *const (&names)[kCount], size_t index)
{
	return names[std::min(index, kCount - 1)];
}

/* The index of a stored name, or that of the last: the tables may have been written by hand. */
template <size_t kCount>
size_t IndexOf(const char *const (&names)[kCount], const char *name)
{
	size_t index = 0;
	while (index < kCount - 1 && strcmp(names[index], name) != 0)
		index++;
	return index;
}

/* One name for each pair of kind and class, so that it can be read back. */
const char *OperatorName(NodeKind kind, MemoryClass memory)
{
	PlanNode node = {};
	node.kind = kind;
	node.memory = memory;
	node.aggregate = memory == MemoryClass::kHashAgg ? AggKind::kHashed : AggKind::kPlain;
	return NodeName(node);
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
	return std::exp(static_cast<double>(estimate.mean) + z * static_cast<double>(estimate.Deviation()));
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
	if (expert > 0)
		appendStringInfoString(json, ", ");
	escape_json(json, kExperts[expert].name);
	appendStringInfoString(json, ": {");
}

double Number(JsonbContainer *object, const char *key)
{
	JsonbValue value;
	if (getKeyJsonValueFromContainer(object, key, static_cast<int>(strlen(key)), &value) == nullptr ||
	    value.type != jbvNumeric)
		return std::nan("");
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value.val.numeric)));
}

/* What an expert said, or null. */
JsonbContainer *ExpertObject(Jsonb *json, int expert, JsonbValue *value)
{
	const char *name = kExperts[expert].name;
	if (json == nullptr || !JB_ROOT_IS_OBJECT(json) ||
	    getKeyJsonValueFromContainer(&json->root, name, static_cast<int>(strlen(name)), value) == nullptr ||
	    value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return nullptr;
	return value->val.binary.data;
}

Estimate MakeEstimate(double median, double deviation)
{
	Estimate estimate;
	const double mean = std::log(median); /* NaN or infinite for what is not positive */
	const double variance = deviation * deviation;
	if (std::isfinite(mean) && std::isfinite(static_cast<float>(variance))) {
		estimate.mean = static_cast<float>(mean);
		estimate.data_variance = static_cast<float>(variance);
		estimate.support = 1;
	}
	return estimate;
}

double FloatAt(const Datum *values, const bool *nulls, int column)
{
	return nulls[column] ? std::nan("") : static_cast<double>(DatumGetFloat4(values[column]));
}

float FloatOr(const Datum *values, const bool *nulls, int column, float otherwise)
{
	return nulls[column] ? otherwise : DatumGetFloat4(values[column]);
}

/* The columns may not be null, but nobody is kept from altering a table. */
const char *TextAt(const Datum *values, const bool *nulls, int column)
{
	return nulls[column] ? "" : TextDatumGetCString(values[column]);
}

float Share(double share) { return std::isfinite(share) ? static_cast<float>(share) : 0.0f; }

}  // namespace

const StoredColumn kHistoryColumns[kNumHistoryColumns] = {
	{"finished_at", TIMESTAMPTZOID}, {"database", NAMEOID}, {"role", NAMEOID}, {"pid", INT4OID},
	{"query_id", INT8OID}, {"template", INT8OID}, {"fingerprint", INT8OID}, {"command", TEXTOID},
	{"queue", NAMEOID}, {"priority", TEXTOID}, {"lane", TEXTOID}, {"final_state", TEXTOID},
	{"forced", BOOLOID}, {"evicted", BOOLOID}, {"applied", BOOLOID}, {"censored", BOOLOID},
	{"total_cost", FLOAT4OID}, {"estimated_rows", FLOAT4OID}, {"returned_rows", FLOAT8OID},
	{"queue_ms", FLOAT4OID}, {"predicted_ms", FLOAT4OID}, {"predicted_low_ms", FLOAT4OID},
	{"predicted_high_ms", FLOAT4OID}, {"actual_ms", FLOAT4OID}, {"predicted_kb", FLOAT4OID},
	{"predicted_high_kb", FLOAT4OID}, {"reserved_kb", FLOAT4OID}, {"granted_work_mem_kb", FLOAT4OID},
	{"peak_kb", FLOAT4OID}, {"temp_bytes", INT8OID}, {"workers_planned", INT2OID},
	{"workers_launched", INT2OID}, {"model_version", INT4OID}, {"experts", JSONBOID},
};

const StoredColumn kOperatorColumns[kNumOperatorColumns] = {
	{"history_id", INT8OID}, {"plan_node_id", INT4OID}, {"operator", TEXTOID}, {"memory_class", TEXTOID},
	{"slot", INT2OID}, {"processes", INT2OID}, {"estimated_rows", FLOAT4OID}, {"actual_rows", FLOAT4OID},
	{"formula_kb", FLOAT4OID}, {"predicted_kb", FLOAT4OID}, {"predicted_high_kb", FLOAT4OID},
	{"granted_kb", FLOAT4OID}, {"peak_kb", FLOAT4OID}, {"needed_kb", FLOAT4OID}, {"spilled", BOOLOID},
	{"censored", BOOLOID}, {"experts", JSONBOID},
};
static_assert(kEndOfOperator == kNumOperatorColumns);

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
	SetText(row, kCommand, NameAt(kCommands, static_cast<size_t>(e.command)));
	Set(row, kQueue, NameDatum(workload.limits[known_queue ? e.queue : 0].name));
	SetText(row, kPriority, PriorityName(static_cast<Priority>(e.priority)));
	SetText(row, kLane, NameAt(kLanes, e.lane));
	SetText(row, kFinalState, NameAt(kFinalStates, static_cast<size_t>(e.final_state)));
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
	SetFloatOrNull(row, kPredictedMs, Quantity(e.time, 0));
	SetFloatOrNull(row, kPredictedLowMs, Quantity(e.time, -kHalfWidth));
	SetFloatOrNull(row, kPredictedHighMs, Quantity(e.time, kHalfWidth));
	SetFloat(row, kActualMs, static_cast<double>(e.time_ms));
	SetFloatOrNull(row, kPredictedKb, Quantity(e.query_memory, 0));
	SetFloatOrNull(row, kPredictedHighKb, Quantity(e.query_memory, kHalfWidth));
	SetFloat(row, kReservedKb, static_cast<double>(e.reserved_kb));
	SetFloat(row, kGrantedWorkMemKb, static_cast<double>(e.granted_work_mem_kb));
	SetFloatOrNull(row, kPeakKb, e.query_memory_kb > 0 ? static_cast<double>(e.query_memory_kb) : std::nan(""));
	Set(row, kTempBytes, Int64GetDatum(e.temp_bytes));
	Set(row, kWorkersPlanned, Int16GetDatum(e.workers_planned));
	Set(row, kWorkersLaunched, Int16GetDatum(e.workers_launched));
	Set(row, kModelVersion, Int32GetDatum(static_cast<int32>(e.model_version)));

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int expert = 0; expert < kNumExperts; expert++) {
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
	SetText(row, kOperator, OperatorName(o.kind, o.memory));
	SetText(row, kMemoryClass, MemoryClassName(o.memory));
	Set(row, kSlot, Int16GetDatum(o.memory_slot));
	Set(row, kProcesses, Int16GetDatum(o.processes));
	SetFloat(row, kEstimatedRows, static_cast<double>(o.estimated_rows));
	SetFloatOrNull(row, kActualRows, o.actual_rows >= 0 ? static_cast<double>(o.actual_rows) : unknown);
	SetFloat(row, kFormulaKb, static_cast<double>(o.formula_kb));
	SetFloatOrNull(row, kOperatorKb, Quantity(o.mixture, 0));
	SetFloatOrNull(row, kOperatorHighKb, Quantity(o.mixture, kHalfWidth));
	SetFloat(row, kGrantedKb, static_cast<double>(o.granted_kb));
	SetFloatOrNull(row, kOperatorPeakKb, observed ? static_cast<double>(o.peak_kb) : unknown);
	SetFloatOrNull(row, kNeededKb, observed ? static_cast<double>(o.needed_kb) : unknown);
	Set(row, kOperatorSpilled, BoolGetDatum((o.flags & kSpilled) != 0));
	Set(row, kOperatorCensored, BoolGetDatum((o.flags & kCensored) != 0));

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int expert = 0; expert < kNumExperts; expert++) {
		OpenExpert(&json, expert);
		AppendEstimate(&json, "kb", "kb_deviation", o.answers[expert]);
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, '}');
	SetText(row, kOperatorAnswers, json.data);
}

void DecodeExperience(const Datum *values, const bool *nulls, Experience *e)
{
	memset(static_cast<void *>(e), 0, offsetof(Experience, operators));
	e->finished_at = DatumGetTimestampTz(values[kFinishedAt]);
	e->pid = DatumGetInt32(values[kPid]);
	e->query_id = static_cast<uint64>(DatumGetInt64(values[kQueryId]));
	e->template_fingerprint = static_cast<uint64>(DatumGetInt64(values[kTemplate]));
	e->plan_fingerprint = static_cast<uint64>(DatumGetInt64(values[kFingerprint]));
	e->command = static_cast<CommandKind>(IndexOf(kCommands, TextAt(values, nulls, kCommand)));

	Priority priority = Priority::kNormal;
	PriorityFromName(TextAt(values, nulls, kPriority), &priority);
	e->priority = static_cast<uint8>(priority);
	e->lane = static_cast<uint8>(IndexOf(kLanes, TextAt(values, nulls, kLane)));
	e->final_state = static_cast<FinalState>(IndexOf(kFinalStates, TextAt(values, nulls, kFinalState)));
	e->forced = DatumGetBool(values[kForced]);
	e->evicted = DatumGetBool(values[kEvicted]);
	e->applied = DatumGetBool(values[kApplied]);
	e->censored = DatumGetBool(values[kHistoryCensored]);
	e->total_cost = DatumGetFloat4(values[kTotalCost]);
	e->estimated_rows = DatumGetFloat4(values[kRootRows]);
	e->returned_rows = nulls[kReturnedRows] ? -1 : DatumGetFloat8(values[kReturnedRows]);
	e->queue_ms = DatumGetFloat4(values[kQueueMs]);
	e->time_ms = DatumGetFloat4(values[kActualMs]);
	e->reserved_kb = DatumGetFloat4(values[kReservedKb]);
	e->granted_work_mem_kb = DatumGetFloat4(values[kGrantedWorkMemKb]);
	e->query_memory_kb = FloatOr(values, nulls, kPeakKb, 0);
	e->temp_bytes = DatumGetInt64(values[kTempBytes]);
	e->workers_planned = DatumGetInt16(values[kWorkersPlanned]);
	e->workers_launched = DatumGetInt16(values[kWorkersLaunched]);
	e->model_version = static_cast<uint32>(DatumGetInt32(values[kModelVersion]));

	const double high_ms = FloatAt(values, nulls, kPredictedHighMs), low_ms = FloatAt(values, nulls, kPredictedLowMs);
	const double kb = FloatAt(values, nulls, kPredictedKb), high_kb = FloatAt(values, nulls, kPredictedHighKb);
	e->time = MakeEstimate(FloatAt(values, nulls, kPredictedMs), std::log(high_ms / low_ms) / (2 * kHalfWidth));
	e->query_memory = MakeEstimate(kb, std::log(high_kb / kb) / kHalfWidth);

	Jsonb *json = nulls[kExpertAnswers] ? nullptr : DatumGetJsonbP(values[kExpertAnswers]);
	for (int expert = 0; expert < kNumExperts; expert++) {
		JsonbValue value;
		JsonbContainer *object = ExpertObject(json, expert, &value);
		if (object == nullptr)
			continue;
		e->time_answers[expert] = MakeEstimate(Number(object, "ms"), Number(object, "ms_deviation"));
		e->query_memory_answers[expert] = MakeEstimate(Number(object, "kb"), Number(object, "kb_deviation"));
		e->time_share[expert] = Share(Number(object, "share"));
		e->memory_share[expert] = Share(Number(object, "memory_share"));
	}
}

void DecodeOperator(const Datum *values, const bool *nulls, Experience *experience)
{
	if (experience->num_operators >= kMaxMemoryNodes)
		return;
	OperatorExperience *o = &experience->operators[experience->num_operators++];
	memset(static_cast<void *>(o), 0, sizeof *o);

	const char *memory = TextAt(values, nulls, kMemoryClass);
	for (int i = 0; i < static_cast<int>(MemoryClass::kNumClasses); i++) {
		if (strcmp(memory, MemoryClassName(static_cast<MemoryClass>(i))) == 0)
			o->memory = static_cast<MemoryClass>(i);
	}
	const char *kind = TextAt(values, nulls, kOperator);
	for (int i = 0; i < static_cast<int>(NodeKind::kNumKinds); i++) {
		if (strcmp(kind, OperatorName(static_cast<NodeKind>(i), o->memory)) == 0)
			o->kind = static_cast<NodeKind>(i);
	}
	o->plan_node_id = DatumGetInt32(values[kPlanNodeId]);
	o->memory_slot = DatumGetInt16(values[kSlot]);
	o->processes = static_cast<uint8>(DatumGetInt16(values[kProcesses]));
	o->estimated_rows = DatumGetFloat4(values[kEstimatedRows]);
	o->actual_rows = FloatOr(values, nulls, kActualRows, -1);
	o->formula_kb = DatumGetFloat4(values[kFormulaKb]);
	o->granted_kb = DatumGetFloat4(values[kGrantedKb]);
	o->peak_kb = FloatOr(values, nulls, kOperatorPeakKb, 0);
	o->needed_kb = FloatOr(values, nulls, kNeededKb, 0);
	o->flags = static_cast<uint8>((nulls[kNeededKb] ? 0 : kObserved) |
	                              (DatumGetBool(values[kOperatorSpilled]) ? kSpilled : 0) |
	                              (DatumGetBool(values[kOperatorCensored]) ? kCensored : 0));

	const double kb = FloatAt(values, nulls, kOperatorKb), high_kb = FloatAt(values, nulls, kOperatorHighKb);
	o->predicted_kb = FloatOr(values, nulls, kOperatorKb, 0);
	o->mixture = MakeEstimate(kb, std::log(high_kb / kb) / kHalfWidth);

	Jsonb *json = nulls[kOperatorAnswers] ? nullptr : DatumGetJsonbP(values[kOperatorAnswers]);
	for (int expert = 0; expert < kNumExperts; expert++) {
		JsonbValue value;
		JsonbContainer *object = ExpertObject(json, expert, &value);
		if (object != nullptr)
			o->answers[expert] = MakeEstimate(Number(object, "kb"), Number(object, "kb_deviation"));
	}
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
