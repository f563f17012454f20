/*
 * models.cpp
 *
 * wlm.train(), wlm.evaluate() and wlm.rollback(): models from stored history,
 * rows of wlm.model, and back to the one before. They run with the rights of
 * the extension's owner and a search_path of pg_catalog; EXECUTE is granted to
 * wlm_admin. Concurrent callers wait for one another at wlm.model.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <cmath>
#include <cstring>

extern "C" {
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "utils/jsonb.h"
}

#include "pg/shared_state.hpp"
#include "pg/sql/publish.hpp"
#include "pg/sql/trial.hpp"

namespace wlm {

namespace {

constexpr char kReturned[] = "expert, version, state, trained_at, samples, metrics, error";

/* The newest fifth of the history decides on a fresh model. */
constexpr double kJudgedPart = 0.2;
/* evaluate() only lets the models warm up. */
constexpr double kEvaluatedPart = 0.8;

void Connect()
{
	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not connect to SPI")));
}

void Execute(const char *command, int expected, int num_values = 0, Oid *types = nullptr, Datum *values = nullptr,
             const char *nulls = nullptr)
{
	const int result = SPI_execute_with_args(command, num_values, types, values, nulls, false, 0);

	if (result != expected)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
		                errmsg("unexpected result of SPI: %s", SPI_result_code_string(result))));
}

ExpertId ExpertByName(const char *name)
{
	for (int expert = 0; expert < kNumExperts; expert++) {
		if (strcmp(kExperts[expert].name, name) == 0)
			return static_cast<ExpertId>(expert);
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("expert \"%s\" does not exist", name),
	                errhint("Experts that can be trained are \"planner\" and \"recall\".")));
}

void PutNumber(StringInfo json, const char *separator, const char *name, double value)
{
	if (std::isfinite(value))
		appendStringInfo(json, "%s\"%s\": %.6g", separator, name, value);
	else
		appendStringInfo(json, "%s\"%s\": null", separator, name);
}

/* What train() based its decision on, by target. */
Datum Metrics(const Trial &trial, int expert)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"history\": %lld, \"judged\": %lld", static_cast<long long>(trial.total),
	                 static_cast<long long>(trial.seen - trial.judge_after));
	for (int target = 0; target < static_cast<int>(Target::kNumTargets); target++) {
		const AccuracyRow fresh = Summarise(trial.fresh->windows[target][expert]);
		const AccuracyRow incumbent = Summarise(trial.incumbent->windows[target][expert]);

		appendStringInfo(&json, ", \"%s\": {", TargetName(static_cast<Target>(target)));
		PutNumber(&json, "", "samples", fresh.samples);
		PutNumber(&json, ", ", "p50", fresh.p50);
		PutNumber(&json, ", ", "p90", fresh.p90);
		PutNumber(&json, ", ", "p95", fresh.p95);
		PutNumber(&json, ", ", "coverage", fresh.coverage);
		PutNumber(&json, ", ", "champion_samples", incumbent.samples);
		PutNumber(&json, ", ", "champion_p50", incumbent.p50);
		PutNumber(&json, ", ", "champion_p90", incumbent.p90);
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

Datum AsBytea(const ModelBytes &bytes)
{
	if (bytes.size > MaxAllocSize / 2)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("the model is too large for wlm.model: %zu bytes", bytes.size),
		                errhint("Lower wlm.model_memory.")));
	auto *content = static_cast<bytea *>(palloc(VARHDRSZ + bytes.size));

	SET_VARSIZE(content, VARHDRSZ + bytes.size);
	memcpy(VARDATA(content), bytes.data, bytes.size);
	return PointerGetDatum(content);
}

/* The row of this statement's RETURNING list becomes a row of our result. */
void PutReturned(ReturnSetInfo *set)
{
	TupleDesc descriptor = SPI_tuptable->tupdesc;

	for (uint64 i = 0; i < SPI_processed; i++) {
		RowWriter row;

		for (int column = 1; column <= descriptor->natts; column++) {
			bool null;
			const Datum value = SPI_getbinval(SPI_tuptable->vals[i], descriptor, column, &null);

			if (null)
				row.Null();
			else
				row.Put(value);
		}
		row.Emit(set);
	}
}

struct NewRow {
	const char *expert;
	const char *state;
	int64 samples;
	TimestampTz learned_to;   /* 0 = unknown */
	Datum metrics;            /* jsonb, 0 = {} */
	const char *error;
	Datum content;            /* bytea, 0 = none */
};

/* Inserts the expert's next version; its columns are in SPI_tuptable afterwards. */
void InsertRow(const NewRow &row)
{
	Oid types[] = {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, JSONBOID, TEXTOID, BYTEAOID};
	Datum values[] = {CStringGetTextDatum(row.expert),
	                  CStringGetTextDatum(row.state),
	                  Int64GetDatum(row.samples),
	                  TimestampTzGetDatum(row.learned_to),
	                  row.metrics,
	                  row.error != nullptr ? CStringGetTextDatum(row.error) : static_cast<Datum>(0),
	                  row.content};
	const char nulls[] = {' ', ' ', ' ', row.learned_to == 0 ? 'n' : ' ', row.metrics == 0 ? 'n' : ' ',
	                      row.error == nullptr ? 'n' : ' ', row.content == 0 ? 'n' : ' ', '\0'};

	Execute(psprintf("INSERT INTO wlm.model (expert, version, state, samples, learned_to, metrics, error, content) "
	                 "SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, coalesce($5, '{}'), $6, $7 "
	                 "FROM wlm.model WHERE expert = $1 RETURNING %s", kReturned),
	        SPI_OK_INSERT_RETURNING, 7, types, values, nulls);
}

/*
 * Makes room for a champion. The model that has been in use until now has gone on learning since it was
 * stored, or was never stored: keep what it is now, that is what rollback() should bring back.
 */
void RetireChampion(ExpertId expert)
{
	const char *name = kExperts[expert].name;
	Oid types[] = {TEXTOID, BYTEAOID};
	Datum values[] = {CStringGetTextDatum(name), AsBytea(BytesInUse(expert))};

	Execute("UPDATE wlm.model SET state = 'retired', content = $2, learned_to = now() "
	        "WHERE expert = $1 AND state = 'champion'", SPI_OK_UPDATE, 2, types, values);
	if (SPI_processed == 0) {
		const NewRow row = {name, "retired",
		                    static_cast<int64>(expert == kPlannerExpert ? planner_model->observations
		                                                                : recall_store->observations),
		                    GetCurrentTimestamp(), 0, nullptr, values[1]};

		InsertRow(row);
	}
}

/* Contents are large: the three newest retired ones are enough to go back to, ten rows to look at. */
void DropOldModels(const char *expert)
{
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(expert)};

	Execute("UPDATE wlm.model SET content = NULL WHERE expert = $1 AND state <> 'champion' AND content IS NOT NULL "
	        "AND version NOT IN (SELECT version FROM wlm.model WHERE expert = $1 AND state = 'retired' "
	        "AND content IS NOT NULL ORDER BY version DESC LIMIT 3)", SPI_OK_UPDATE, 1, types, values);
	Execute("DELETE FROM wlm.model WHERE expert = $1 AND state <> 'champion' AND version NOT IN "
	        "(SELECT version FROM wlm.model WHERE expert = $1 ORDER BY version DESC LIMIT 10)",
	        SPI_OK_DELETE, 1, types, values);
}

/* Stores and publishes what the trial made of one expert, or says why not. */
void Conclude(ReturnSetInfo *set, const Trial &trial, ExpertId expert)
{
	const ModelBytes bytes = expert == kPlannerExpert ? BytesOf(*trial.planner) : BytesOf(*trial.recall);
	const char *problem = CheckBytes(expert, bytes);
	NewRow row = {kExperts[expert].name, "champion", trial.seen, trial.learned_to, Metrics(trial, expert), problem, 0};

	if (problem != nullptr) {
		row.state = "failed";
	} else if (!NotWorse(trial, expert)) {
		row.state = "challenger";
	} else {
		row.content = AsBytea(bytes);
		RetireChampion(expert);
		PublishAtCommit(expert, bytes);
	}
	InsertRow(row);
	PutReturned(set);
	DropOldModels(row.expert);
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_train)
{
	wlm::RequireSharedState();
	wlm::RequireConfiguredDatabase("train()");
	const int only = PG_ARGISNULL(0) ? -1 : wlm::ExpertByName(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);

	wlm::Connect();
	const wlm::Trial *trial = wlm::RunTrial(wlm::kJudgedPart);

	wlm::Execute("LOCK TABLE wlm.model IN SHARE ROW EXCLUSIVE MODE", SPI_OK_UTILITY);
	for (int expert = 0; expert < wlm::kNumExperts; expert++) {
		if (only < 0 || only == expert)
			wlm::Conclude(set, *trial, static_cast<wlm::ExpertId>(expert));
	}
	SPI_finish();
	return static_cast<Datum>(0);
}

WLM_FUNCTION(wlm_evaluate)
{
	wlm::RequireSharedState();
	wlm::RequireConfiguredDatabase("evaluate()");
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);

	wlm::Connect();
	const wlm::Trial *trial = wlm::RunTrial(wlm::kEvaluatedPart);

	for (int target = 0; target < static_cast<int>(wlm::Target::kNumTargets); target++) {
		for (int judged = 0; judged < wlm::kNumJudged; judged++) {
			const wlm::AccuracyRow summary = wlm::Summarise(trial->fresh->windows[target][judged]);
			wlm::RowWriter row;

			row.Text(wlm::JudgedName(judged));
			row.Text(wlm::TargetName(static_cast<wlm::Target>(target)));
			row.Float8(std::isnan(summary.samples) ? 0 : summary.samples);
			row.Number(summary.p50);
			row.Number(summary.p90);
			row.Number(summary.p95);
			row.Number(summary.coverage);
			row.Emit(set);
		}
	}
	SPI_finish();
	return static_cast<Datum>(0);
}

WLM_FUNCTION(wlm_rollback)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	wlm::RequireSharedState();
	wlm::RequireConfiguredDatabase("rollback()");
	const wlm::ExpertId expert = wlm::ExpertByName(name);
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	Oid types[] = {TEXTOID, INT4OID};
	Datum values[] = {CStringGetTextDatum(name), Int32GetDatum(0)};

	wlm::Connect();
	wlm::Execute("LOCK TABLE wlm.model IN SHARE ROW EXCLUSIVE MODE", SPI_OK_UTILITY);
	wlm::Execute("SELECT m.version, m.content FROM wlm.model m WHERE m.expert = $1 AND m.state = 'retired' "
	             "AND m.content IS NOT NULL AND m.version < (SELECT max(c.version) FROM wlm.model c "
	             "WHERE c.expert = $1 AND c.state = 'champion') ORDER BY m.version DESC LIMIT 1",
	             SPI_OK_SELECT, 1, types, values);
	if (SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("there is no earlier model of expert \"%s\" to go back to", name),
		                errhint("wlm.model lists the versions; only retired ones with content that are older than "
		                        "the champion can be used.")));

	bool null;
	const int32 version = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null));
	bytea *content = DatumGetByteaPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &null));
	const wlm::ModelBytes bytes = {VARDATA(content), VARSIZE(content) - VARHDRSZ};
	const char *problem = wlm::CheckBytes(expert, bytes);

	if (problem != nullptr)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
		                errmsg("version %d of expert \"%s\" cannot be used", version, name), errdetail("%s", problem),
		                errhint("Delete its row from wlm.model to go back further.")));
	values[1] = Int32GetDatum(version);
	wlm::Execute("UPDATE wlm.model SET state = 'retired' WHERE expert = $1 AND state = 'champion'", SPI_OK_UPDATE, 1,
	             types, values);
	wlm::Execute(psprintf("UPDATE wlm.model SET state = 'champion' WHERE expert = $1 AND version = $2 RETURNING %s",
	                      wlm::kReturned), SPI_OK_UPDATE_RETURNING, 2, types, values);
	wlm::PutReturned(set);
	wlm::PublishAtCommit(expert, bytes);
	SPI_finish();
	return static_cast<Datum>(0);
}
