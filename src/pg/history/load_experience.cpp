/*
 * load_experience.cpp
 *
 * The way back of stored_experience.hpp. The tables may have been written by
 * hand: what is null, unknown or not a number becomes "not known", nothing here
 * trusts a constraint.
 */
#include "pg/history/stored_experience.hpp"

#include <cmath>
#include <cstring>

extern "C" {
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
}

#include "core/predict/expert.hpp"
#include "pg/history/stored_codes.hpp"

namespace wlm {

using enum stored::HistoryColumn;
using enum stored::OperatorColumn;

namespace {

/* The index of a stored name, or that of the last: the tables may have been written by hand. */
template <size_t kCount>
size_t IndexOf(const char *const (&names)[kCount], const char *name)
{
	size_t index = 0;
	while (index < kCount - 1 && strcmp(names[index], name) != 0)
		index++;
	return index;
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

template <class Code>
uint8 CodeAt(const Datum *values, const bool *nulls, int column, const char *(*name_of)(Code) noexcept, int count)
{
	return static_cast<uint8>(stored::CodeOf(name_of, count, TextAt(values, nulls, column)));
}

/* Tells databases and roles apart where only their names are kept; 0 = not known. */
uint32 NameHash(const Datum *values, const bool *nulls, int column)
{
	if (nulls[column])
		return 0;
	const char *name = NameStr(*DatumGetName(values[column]));
	return DatumGetUInt32(hash_any(reinterpret_cast<const unsigned char *>(name), static_cast<int>(strlen(name))));
}

/* As in the ring, so that statements are known again; of one that is gone the hash of its name. */
uint32 DatabaseOf(const Datum *values, const bool *nulls)
{
	static NameData last_name = {};
	static Oid last_oid = InvalidOid;

	if (nulls[kDatabase])
		return 0;
	const Name name = DatumGetName(values[kDatabase]);
	if (last_oid == InvalidOid || namestrcmp(name, NameStr(last_name)) != 0) {
		last_oid = get_database_oid(NameStr(*name), true);
		last_name = *name;
	}
	return OidIsValid(last_oid) ? last_oid : NameHash(values, nulls, kDatabase);
}

float Share(double share) { return std::isfinite(share) ? static_cast<float>(share) : 0.0f; }

}  // namespace

void DecodeExperience(const Datum *values, const bool *nulls, Experience *e)
{
	memset(static_cast<void *>(e), 0, offsetof(Experience, operators));
	e->finished_at = DatumGetTimestampTz(values[kFinishedAt]);
	e->pid = DatumGetInt32(values[kPid]);
	e->database_oid = DatabaseOf(values, nulls);
	e->role_oid = NameHash(values, nulls, kRole);
	e->query_id = static_cast<uint64>(DatumGetInt64(values[kQueryId]));
	e->template_fingerprint = static_cast<uint64>(DatumGetInt64(values[kTemplate]));
	e->plan_fingerprint = static_cast<uint64>(DatumGetInt64(values[kFingerprint]));
	e->command = static_cast<CommandKind>(IndexOf(stored::kCommands, TextAt(values, nulls, kCommand)));

	Priority priority = Priority::kNormal;
	PriorityFromName(TextAt(values, nulls, kPriority), &priority);
	e->priority = static_cast<uint8>(priority);
	e->lane = static_cast<uint8>(IndexOf(stored::kLanes, TextAt(values, nulls, kLane)));
	e->familiarity = static_cast<Familiarity>(IndexOf(stored::kFamiliarities, TextAt(values, nulls, kFamiliarity)));
	e->novelty = FloatOr(values, nulls, kNovelty, -1);
	e->final_state = static_cast<FinalState>(IndexOf(stored::kFinalStates, TextAt(values, nulls, kFinalState)));
	e->forced = DatumGetBool(values[kForced]);
	e->evicted = DatumGetBool(values[kEvicted]);
	e->applied = DatumGetBool(values[kApplied]);
	e->censored = DatumGetBool(values[kHistoryCensored]);
	e->total_cost = DatumGetFloat4(values[kTotalCost]);
	e->estimated_rows = DatumGetFloat4(values[kRootRows]);
	e->returned_rows = nulls[kReturnedRows] ? -1 : DatumGetFloat8(values[kReturnedRows]);
	e->queue_ms = DatumGetFloat4(values[kQueueMs]);
	e->num_preempted = nulls[kNumPreempted] ? 0 : DatumGetInt16(values[kNumPreempted]);
	e->wasted_ms = FloatOr(values, nulls, kWastedMs, 0);
	e->time_ms = DatumGetFloat4(values[kActualMs]);
	e->reserved_kb = DatumGetFloat4(values[kReservedKb]);
	e->session_work_mem_kb = FloatOr(values, nulls, kSessionWorkMemKb, 0);
	e->plan_work_mem_kb = FloatOr(values, nulls, kPlanWorkMemKb, 0);
	e->granted_work_mem_kb = DatumGetFloat4(values[kGrantedWorkMemKb]);
	e->lacking_kb = FloatOr(values, nulls, kLackingKb, 0);
	e->coverage = FloatOr(values, nulls, kCoverage, 0);
	e->grant_level = CodeAt(values, nulls, kGrantLevel, GrantLevelName, kNumGrantLevels);
	e->level_reason = CodeAt(values, nulls, kGrantReason, LevelReasonName, stored::kNumLevelReasons);
	e->query_memory_kb = FloatOr(values, nulls, kPeakKb, 0);
	e->temp_bytes = DatumGetInt64(values[kTempBytes]);
	e->workers_planned = DatumGetInt16(values[kWorkersPlanned]);
	e->workers_granted = nulls[kWorkersGranted] ? e->workers_planned : DatumGetInt16(values[kWorkersGranted]);
	e->workers_launched = DatumGetInt16(values[kWorkersLaunched]);
	e->worker_reason = CodeAt(values, nulls, kWorkerReason, WorkerReasonName, stored::kNumWorkerReasons);
	e->load_beside = FloatOr(values, nulls, kLoadBeside, -1);
	e->model_version = static_cast<uint32>(DatumGetInt32(values[kModelVersion]));

	const double high_ms = FloatAt(values, nulls, kPredictedHighMs), low_ms = FloatAt(values, nulls, kPredictedLowMs);
	const double kb = FloatAt(values, nulls, kPredictedKb), high_kb = FloatAt(values, nulls, kPredictedHighKb);
	const double ms = FloatAt(values, nulls, kPredictedMs);
	e->time = MakeEstimate(ms, std::log(ms / low_ms) / stored::kHalfWidth);
	if (high_ms > ms && ms > low_ms)
		e->time.upward = static_cast<float>(std::log(high_ms / ms) / std::log(ms / low_ms));
	e->query_memory = MakeEstimate(kb, std::log(high_kb / kb) / stored::kHalfWidth);

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

uint32 DatabaseHash(const Experience &loaded) { return hash_bytes_uint32(loaded.database_oid); }

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
		if (strcmp(kind, stored::OperatorName(static_cast<NodeKind>(i), o->memory)) == 0)
			o->kind = static_cast<NodeKind>(i);
	}
	o->plan_node_id = DatumGetInt32(values[kPlanNodeId]);
	o->memory_slot = DatumGetInt16(values[kSlot]);
	o->processes = static_cast<uint8>(DatumGetInt16(values[kProcesses]));
	o->estimated_rows = DatumGetFloat4(values[kEstimatedRows]);
	o->actual_rows = FloatOr(values, nulls, kActualRows, -1);
	o->formula_kb = DatumGetFloat4(values[kFormulaKb]);
	o->granted_kb = DatumGetFloat4(values[kGrantedKb]);
	o->grown_kb = FloatOr(values, nulls, kGrownKb, o->granted_kb);
	o->peak_kb = FloatOr(values, nulls, kOperatorPeakKb, 0);
	o->needed_kb = FloatOr(values, nulls, kNeededKb, 0);
	o->temp_kb = FloatOr(values, nulls, kTempKb, 0);
	o->flags = static_cast<uint8>((nulls[kNeededKb] ? 0 : kObserved) |
	                              (DatumGetBool(values[kOperatorSpilled]) ? kSpilled : 0) |
	                              (DatumGetBool(values[kOperatorCensored]) ? kCensored : 0));

	const double kb = FloatAt(values, nulls, kOperatorKb), high_kb = FloatAt(values, nulls, kOperatorHighKb);
	o->predicted_kb = FloatOr(values, nulls, kOperatorKb, 0);
	o->mixture = MakeEstimate(kb, std::log(high_kb / kb) / stored::kHalfWidth);

	Jsonb *json = nulls[kOperatorAnswers] ? nullptr : DatumGetJsonbP(values[kOperatorAnswers]);
	for (int expert = 0; expert < kNumExperts; expert++) {
		JsonbValue value;
		JsonbContainer *object = ExpertObject(json, expert, &value);
		if (object != nullptr)
			o->answers[expert] = MakeEstimate(Number(object, "kb"), Number(object, "kb_deviation"));
	}
}

}  // namespace wlm
