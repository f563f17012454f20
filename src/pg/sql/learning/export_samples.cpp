/*
 * export_samples.cpp
 *
 * wlm.export_samples(): history as pg_wlm_trainer reads it, for training where the
 * server does not run. One sample for each execution; neither texts nor constants
 * nor names are in it, database and role are hashes.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <limits>
#include <span>

#include "core/learn/sample.hpp"
#include "pg/history/stored_experience.hpp"
#include "pg/learning/replay.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

struct Export {
	ReturnSetInfo *set;
	Sample sample;      /* scratch */
};

/* In a memory context that is soon reset. */
void PutSample(void *context, Experience &experience, const PlanGraph *graph)
{
	auto *target = static_cast<Export *>(context);
	Sample &sample = target->sample;
	RowWriter row;

	CHECK_FOR_INTERRUPTS();
	if (graph == nullptr || !MakeSample(experience, *graph, DatabaseHash(experience), experience.role_oid, &sample))
		return;
	const size_t size = SampleBytes(sample);
	auto *content = static_cast<bytea *>(palloc(VARHDRSZ + size));

	SET_VARSIZE(content, VARHDRSZ + size);
	EncodeSample(sample, {reinterpret_cast<std::byte *>(VARDATA(content)), size});
	row.Put(PointerGetDatum(content));
	row.Emit(target->set);
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_export_samples)
{
	const int64 most = PG_ARGISNULL(0) ? std::numeric_limits<int64>::max() : PG_GETARG_INT32(0);

	wlm::RequireSharedState();
	wlm::RequireConfiguredDatabase("export_samples()");
	if (most < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("max_rows of wlm.export_samples() must be at least 1"),
		                errhint("Leave it out to export the whole history.")));
	auto *target = static_cast<wlm::Export *>(palloc(sizeof(wlm::Export)));

	target->set = wlm::BeginValues(fcinfo);
	wlm::ForEachExperience(nullptr, most, wlm::PutSample, target);
	return static_cast<Datum>(0);
}
