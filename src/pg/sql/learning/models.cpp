/*
 * models.cpp
 *
 * wlm.train(), wlm.evaluate() and wlm.rollback(): models from stored history,
 * rows of wlm.model, and back to the one before. They run with the rights of
 * the extension's owner and a search_path of pg_catalog; EXECUTE is granted to
 * wlm_admin. Concurrent callers wait for one another at wlm.model.
 *
 * The planner and recall experts learn by going through history here; trees and
 * graph are trained by pg_wlm_trainer (pg/learning/training.hpp). Neighbours and the
 * gate learn from every statement and have nothing to train.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <cmath>
#include <cstring>

extern "C" {
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
}

#include "pg/learning/training.hpp"
#include "pg/learning/training_state.hpp"
#include "pg/models/model_table.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/learning/models.hpp"
#include "pg/sql/learning/trial.hpp"
#include "pg/sql/sentence.hpp"

namespace wlm {

ModelId ModelByName(const char *name)
{
	for (int which = 0; which < kNumModels; which++) {
		if (strcmp(ModelName(static_cast<ModelId>(which)), name) == 0)
			return static_cast<ModelId>(which);
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("expert \"%s\" does not exist", name),
	                errhint("Models are those of \"planner\", \"recall\", \"trees\", \"graph\", \"neighbours\" and \"gate\".")));
}

void ConnectSpi()
{
	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not connect to SPI")));
}

void PutAccuracy(RowWriter *row, int judged, Target target, const AccuracyRow &summary)
{
	row->Text(JudgedName(judged));
	row->Text(TargetName(target));
	row->Float8(std::isnan(summary.samples) ? 0 : summary.samples);
	row->Number(summary.p50);
	row->Number(summary.p90);
	row->Number(summary.p95);
	row->Number(summary.coverage);
}

void PutReturnedModels(ReturnSetInfo *set)
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

namespace {

/* The newest fifth of the history decides on a fresh model. */
constexpr double kJudgedPart = 0.2;
/* evaluate() only lets the models warm up. */
constexpr double kEvaluatedPart = 0.8;

bool LearnsByItself(ModelId which) { return which == kNeighboursModel || which == kGateModel; }

void PutNumber(StringInfo json, const char *separator, const char *name, double value)
{
	if (std::isfinite(value))
		appendStringInfo(json, "%s\"%s\": %.6g", separator, name, value);
	else
		appendStringInfo(json, "%s\"%s\": null", separator, name);
}

/* What train() based its decision on, by target. */
char *Metrics(const Trial &trial, int expert)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"history\": %lld, \"judged\": %lld", static_cast<long long>(trial.total),
	                 static_cast<long long>(trial.seen - trial.judge_after));
	for (int target = 0; target < kNumTargets; target++) {
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
	return json.data;
}

/* Stores and publishes what the trial made of the planner or the recall expert, or says why not. */
void ConcludeTrial(ReturnSetInfo *set, const Trial &trial, ModelId which)
{
	const ModelBytes bytes = which == kPlannerModel ? BytesOf(*trial.planner) : BytesOf(*trial.recall);
	const char *problem = CheckBytes(which, bytes);
	ModelRow row = {which, "champion", trial.seen, trial.learned_to, Metrics(trial, which), problem, {nullptr, 0}};

	if (problem != nullptr) {
		row.state = "failed";
	} else if (!NotWorse(trial, which)) {
		row.state = "challenger";
	} else {
		row.content = bytes;
		RetireChampion(which);
		PublishAtCommit(which, bytes);
	}
	InsertModelRow(row);
	PutReturnedModels(set);
	DropOldModels(which);
}

void TrainByTrial(ReturnSetInfo *set, ModelId only)
{
	const Trial *trial = RunTrial(kJudgedPart);

	for (const ModelId which : {kPlannerModel, kRecallModel}) {
		if (only == kNumModels || only == which)
			ConcludeTrial(set, *trial, which);
	}
}

void PutRow(void *set) { PutReturnedModels(static_cast<ReturnSetInfo *>(set)); }

void TrainByTrainer(ReturnSetInfo *set, ModelId only)
{
	PG_TRY();
	{
		const char *problem;
		Training *training = CollectSamples(only, "wlm.train()", &problem);

		if (training != nullptr) {
			TrainModels(training);
			ConcludeTraining(training, PutRow, set);
		} else if (only != kNumModels) {
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			                errmsg("cannot train expert \"%s\": %s", ModelName(only), problem),
			                errhint("wlm.training() shows what is going on; wlm.flush() stores what was observed.")));
		} else {
			ereport(NOTICE, (errmsg("trees and graph are not trained: %s", problem)));
		}
	}
	PG_CATCH();
	{
		NoteTrainingFailure();
		PG_RE_THROW();
	}
	PG_END_TRY();
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_train)
{
	wlm::RequireSharedState();
	wlm::RequireConfiguredDatabase("train()");
	const wlm::ModelId only = PG_ARGISNULL(0) ? wlm::kNumModels : wlm::ModelByName(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (wlm::LearnsByItself(only))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("expert \"%s\" cannot be trained", wlm::ModelName(only)),
		                errdetail("It learns from every statement, without training."),
		                errhint("Train \"planner\", \"recall\", \"trees\" or \"graph\".")));
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);

	wlm::ConnectSpi();
	wlm::LockModelTable();
	if (only == wlm::kNumModels || !wlm::IsTrained(only))
		wlm::TrainByTrial(set, only);
	if (only == wlm::kNumModels || wlm::IsTrained(only))
		wlm::TrainByTrainer(set, only);
	SPI_finish();
	return static_cast<Datum>(0);
}

WLM_FUNCTION(wlm_evaluate)
{
	wlm::RequireSharedState();
	wlm::RequireConfiguredDatabase("evaluate()");
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);

	wlm::ConnectSpi();
	const wlm::Trial *trial = wlm::RunTrial(wlm::kEvaluatedPart);

	for (int target = 0; target < static_cast<int>(wlm::Target::kNumTargets); target++) {
		for (int judged = 0; judged < wlm::kNumJudged; judged++) {
			wlm::RowWriter row;

			wlm::PutAccuracy(&row, judged, static_cast<wlm::Target>(target), wlm::Summarise(trial->fresh->windows[target][judged]));
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
	const wlm::ModelId which = wlm::ModelByName(name);
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	Oid types[] = {TEXTOID, INT4OID};
	Datum values[] = {CStringGetTextDatum(name), Int32GetDatum(0)};

	wlm::ConnectSpi();
	wlm::LockModelTable();
	wlm::ExecuteSpi("SELECT m.version, m.content FROM wlm.model m WHERE m.expert = $1 AND m.state = 'retired' "
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
	const wlm::ModelBytes bytes = wlm::AlignedCopy(VARDATA(content), VARSIZE(content) - VARHDRSZ);
	const char *problem = wlm::CheckBytes(which, bytes);

	if (problem != nullptr)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
		                errmsg("version %d of expert \"%s\" cannot be used", version, name),
		                errdetail_internal("%s", wlm::AsSentence(problem)),
		                errhint("Delete its row from wlm.model to go back further.")));
	values[1] = Int32GetDatum(version);
	wlm::ExecuteSpi("UPDATE wlm.model SET state = 'retired' WHERE expert = $1 AND state = 'champion'", SPI_OK_UPDATE, 1,
	             types, values);
	wlm::ExecuteSpi(psprintf("UPDATE wlm.model SET state = 'champion' WHERE expert = $1 AND version = $2 RETURNING %s",
	                      wlm::kReturnedModelColumns), SPI_OK_UPDATE_RETURNING, 2, types, values);
	wlm::PutReturnedModels(set);
	wlm::PublishAtCommit(which, bytes);
	if (which == wlm::kGraphModel)
		wlm::PublishNeighboursOf(bytes);
	SPI_finish();
	return static_cast<Datum>(0);
}
