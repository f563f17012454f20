/*
 * model_exchange.cpp
 *
 * wlm.export_model() and wlm.import_model(): a model as bytea, from one server to
 * another or to where it can be kept. What is imported may have been damaged or
 * made up: everything is checked before anything is changed, and what takes its
 * place stays behind as a retired version for rollback().
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <cstring>

extern "C" {
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "utils/memutils.h"
}

#include "pg/learning/training.hpp"
#include "pg/models/model_table.hpp"
#include "pg/models/published_models.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/learning/models.hpp"
#include "pg/sql/sentence.hpp"

namespace wlm {

namespace {

/* Their examples are points of one graph model and are made anew from history whenever that changes. */
void RequireExchangeable(ModelId which)
{
	if (which == kNeighboursModel)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("a model of expert \"%s\" cannot be exported or imported", ModelName(which)),
		                errdetail("Its examples are made anew from history for each model of expert \"graph\"."),
		                errhint("Exchange the model of \"graph\"; wlm.export_samples() gives what it was trained on.")));
}

[[noreturn]] void RefuseContent(const char *reason)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("this is not a model that can be used"),
	                errdetail_internal("%s", wlm::AsSentence(reason)),
	                errhint("Export it again with wlm.export_model() on a server of the same version of pg_wlm, and "
	                        "compare md5() of both.")));
	pg_unreachable();
}

/* CheckBytes() has found `problem`. A sound model of a server with more room is not damaged. */
[[noreturn]] void RefuseModel(ModelId which, const ModelBytes &bytes, const char *problem)
{
	std::span<const std::byte> model;

	if (CheckInPlaceBlob(AsSpan(bytes), which, &model) == BlobStatus::kOk)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("the model of expert \"%s\" does not fit into wlm.model_memory", ModelName(which)),
		                errdetail("It has %zu bytes; there is room for %zu.", model.size(), InPlaceCapacity(which)),
		                errhint("Raise wlm.model_memory and restart the server.")));
	RefuseContent(problem);
}

/* ERROR unless there is such a version with content. */
bytea *StoredContent(ModelId which, int32 version)
{
	Oid types[] = {TEXTOID, INT4OID};
	Datum values[] = {CStringGetTextDatum(ModelName(which)), Int32GetDatum(version)};
	const MemoryContext outer = CurrentMemoryContext;
	bool null;

	ConnectSpi();
	ExecuteSpi("SELECT m.content FROM wlm.model m WHERE m.expert = $1 AND m.version = $2", SPI_OK_SELECT,
	           lengthof(types), types, values);
	if (SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
		                errmsg("version %d of expert \"%s\" does not exist", version, ModelName(which)),
		                errhint("wlm.model lists the versions; without one the model in use is exported.")));
	const Datum stored = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);

	if (null)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("the content of version %d of expert \"%s\" is not kept", version, ModelName(which)),
		                errhint("Contents are kept of the champion and of the three newest retired models.")));
	const MemoryContext spi = MemoryContextSwitchTo(outer);
	bytea *content = DatumGetByteaPCopy(stored);

	MemoryContextSwitchTo(spi);
	SPI_finish();
	return content;
}

bytea *ContentInUse(ModelId which)
{
	const ModelBytes bytes = BytesInUse(which);

	if (bytes.data == nullptr)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("expert \"%s\" has no model in use", ModelName(which)),
		                errhint("Train one with wlm.train('%s'), or give a version of wlm.model.", ModelName(which))));
	if (bytes.size > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("the model is too large to be exported: %zu bytes", bytes.size),
		                errhint("Lower wlm.model_memory.")));
	auto *content = static_cast<bytea *>(palloc(VARHDRSZ + bytes.size));

	SET_VARSIZE(content, VARHDRSZ + bytes.size);
	memcpy(VARDATA(content), bytes.data, bytes.size);
	return content;
}

/* Why BlobModel() did not know what it is. */
const char *WhyNoBlob(const ModelBytes &bytes)
{
	const char *reason = CheckBytes(kPlannerModel, bytes);

	return reason != nullptr ? reason : BlobStatusText(BlobStatus::kNotAModel);
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_export_model)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	wlm::RequireSharedState();
	wlm::RequireConfiguredDatabase("export_model()");
	const wlm::ModelId which = wlm::ModelByName(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	wlm::RequireExchangeable(which);
	PG_RETURN_BYTEA_P(PG_ARGISNULL(1) ? wlm::ContentInUse(which) : wlm::StoredContent(which, PG_GETARG_INT32(1)));
}

WLM_FUNCTION(wlm_import_model)
{
	wlm::RequireSharedState();
	wlm::RequireConfiguredDatabase("import_model()");
	const bytea *content = PG_GETARG_BYTEA_PP(0);
	const wlm::ModelBytes bytes = wlm::AlignedCopy(VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content));
	const wlm::ModelId which = wlm::BlobModel(wlm::AsSpan(bytes));

	if (which == wlm::kNumModels)
		wlm::RefuseContent(wlm::WhyNoBlob(bytes));
	wlm::RequireExchangeable(which);
	const char *problem = wlm::CheckBytes(which, bytes);

	if (problem != nullptr)
		wlm::RefuseModel(which, bytes, problem);
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);

	wlm::ConnectSpi();
	wlm::LockModelTable();
	wlm::RetireChampion(which);
	wlm::InsertModelRow({which, "champion", 0, 0, "{\"imported\": true}", nullptr, bytes});
	wlm::PutReturnedModels(set);
	wlm::PublishAtCommit(which, bytes);
	if (which == wlm::kGraphModel)
		wlm::PublishNeighboursOf(bytes);
	wlm::DropOldModels(which);
	SPI_finish();
	return static_cast<Datum>(0);
}
