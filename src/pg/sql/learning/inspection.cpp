/*
 * inspection.cpp
 *
 * wlm.training(), wlm.feature_importance() and wlm.neighbours(): what the learned
 * experts are doing, what they look at, and what their answers rest on.
 *
 * Models are copied while they are marked as being read, or under learn_lock;
 * rows are made afterwards, because that may raise.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/learn/model_blob.hpp"
#include "core/predict/neighbour_store.hpp"
#include "core/predict/trees_model.hpp"
#include "pg/models/published_models.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/forecast.hpp"
#include "pg/sql/plan_text.hpp"

namespace wlm {

namespace {

constexpr int kNumTreesTargets = static_cast<int>(TreesTarget::kNumTreesTargets);
constexpr int kMostFeatures = 64; /* of one target that are shown */

/* One feature of one target of the trees model. */
struct Importance {
	int feature;
	float value;
};

struct ImportanceCopy {
	bool has_model;
	int count[kNumTreesTargets];
	Importance features[kNumTreesTargets][kMostFeatures];
};

void CopyImportance(ImportanceCopy *copy)
{
	const ModelsInUse models;
	const TreesModel *trees = models.view().trees;

	copy->has_model = trees != nullptr;
	for (int target = 0; trees != nullptr && target < kNumTreesTargets; target++) {
		const auto which = static_cast<TreesTarget>(target);

		copy->count[target] = std::min(NumTreesFeatures(which), kMostFeatures);
		for (int feature = 0; feature < copy->count[target]; feature++)
			copy->features[target][feature] = {feature, TreesFeatureImportance(*trees, which, feature)};
	}
}

/* The most important first; a target that was never trained has none. */
void PutImportance(ReturnSetInfo *set, TreesTarget target, Importance *features, int count)
{
	std::stable_sort(features, features + count, [](const Importance &a, const Importance &b) { return a.value > b.value; });
	if (count == 0 || !(features[0].value > 0))
		return;
	for (int i = 0; i < count; i++) {
		RowWriter row;

		row.Text(kExperts[kTreesExpert].name);
		row.Text(TreesTargetName(target));
		row.Text(TreesFeatureName(target, features[i].feature));
		row.Float8(static_cast<double>(features[i].value));
		row.Emit(set);
	}
}

/* The examples nearest to a plan; none if they are points of another graph model than the plan was embedded by. */
int FindNeighbours(const Forecast &forecast, Neighbour (&nearest)[kNearest])
{
	const ModelsInUse models;
	const NeighbourStore *store = models.view().neighbours;

	if (store == nullptr || forecast.embedding_version == 0 ||
	    NeighbourEmbeddingVersion(*store) != forecast.embedding_version)
		return 0;
	return NearestPlans(*store, forecast.embedding, nearest, forecast.plan_fingerprint,
	                    forecast.answers[kGraphExpert].time);
}

void PutText(RowWriter *row, const char *text) { row->Text(text[0] != '\0' ? text : nullptr); }

void PutTime(RowWriter *row, TimestampTz time)
{
	if (time == 0)
		row->Null();
	else
		row->Put(TimestampTzGetDatum(time));
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_training)
{
	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	wlm::TrainingState state;
	wlm::RowWriter row;

	LWLockAcquire(wlm::shared->state_lock, LW_SHARED);
	state = wlm::shared->training;
	LWLockRelease(wlm::shared->state_lock);

	const bool ever = state.started_at != 0;
	row.Boolean(state.running);
	if (state.running)
		row.Int4(state.pid);
	else
		row.Null();
	wlm::PutText(&row, state.reason);
	wlm::PutText(&row, state.phase);
	row.Number(ever ? static_cast<double>(state.progress) : std::nan(""));
	row.Number(ever ? static_cast<double>(state.loss) : std::nan(""));
	if (ever)
		row.Int8(state.samples);
	else
		row.Null();
	wlm::PutTime(&row, state.started_at);
	wlm::PutTime(&row, state.finished_at);
	wlm::PutText(&row, state.problem);
	row.Emit(set);
	return static_cast<Datum>(0);
}

WLM_FUNCTION(wlm_feature_importance)
{
	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	auto *copy = static_cast<wlm::ImportanceCopy *>(palloc0(sizeof(wlm::ImportanceCopy)));

	wlm::CopyImportance(copy);
	if (!copy->has_model)
		ereport(NOTICE, (errmsg("expert \"%s\" has no model in use", wlm::ModelName(wlm::kTreesModel))));
	for (int target = 0; target < wlm::kNumTreesTargets; target++)
		wlm::PutImportance(set, static_cast<wlm::TreesTarget>(target), copy->features[target], copy->count[target]);
	return static_cast<Datum>(0);
}

WLM_FUNCTION(wlm_neighbours)
{
	char *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	wlm::Neighbour nearest[wlm::kNearest];

	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	PlannedStmt *statement = wlm::PlanText(sql, "neighbours()");
	const wlm::StatementForecast *forecast = wlm::ForecastStatement(statement, true);
	const int count = wlm::FindNeighbours(forecast->forecast, nearest);

	if (count == 0)
		ereport(NOTICE, (errmsg("expert \"%s\" knows no example near this plan", wlm::ModelName(wlm::kNeighboursModel))));
	for (int i = 0; i < count; i++) {
		wlm::RowWriter row;

		row.Int4(i + 1);
		row.Int8(static_cast<int64>(nearest[i].plan_fingerprint));
		row.Boolean(nearest[i].plan_fingerprint == forecast->graph.plan_fingerprint);
		row.Float8(static_cast<double>(nearest[i].distance));
		row.Float8(static_cast<double>(nearest[i].weight));
		row.Float8(static_cast<double>(nearest[i].executions));
		row.Float8(std::exp(static_cast<double>(nearest[i].log_ms)));
		row.Emit(set);
	}
	return static_cast<Datum>(0);
}
