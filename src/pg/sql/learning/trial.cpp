/*
 * trial.cpp
 *
 * Judging is prequential, as online: predict, score, then learn. The incumbents
 * are judged by what they had said when each statement came; asked now, they
 * would know the answers.
 */
#include "pg/sql/learning/trial.hpp"

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>

extern "C" {
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "utils/memutils.h"
}

#include "core/predict/gate.hpp"
#include "core/predict/graph_model.hpp"
#include "core/predict/neighbour_store.hpp"
#include "pg/learning/replay.hpp"
#include "pg/models/published_models.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

/* Under this a judgement would be noise. */
constexpr int64 kLeastHistory = 50;

/* Losses that differ by less per target are the same: 5 % in P50 and P90 together. */
constexpr double kTolerance = 0.05;

constexpr uint32 kTrialNeighbours = 1024;

int64 CountHistory()
{
	bool null = true;

	if (SPI_execute("SELECT count(*) FROM wlm.history", true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not count the rows of wlm.history")));
	const Datum count = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);

	return null ? 0 : DatumGetInt64(count);
}

/* As the server would have answered; trees and graph, which do not learn by the statement, are those in use. */
void Answer(const Trial &trial, const PlanGraph *graph, Experience *experience)
{
	const ModelsInUse in_use;
	ModelView models = in_use.view();

	models.planner = trial.planner;
	models.recall = trial.recall;
	models.gate = trial.gate;
	models.accuracy = trial.fresh;
	models.neighbours = trial.neighbours;
	PredictAgain(models, graph, experience);
}

void Step(void *context, Experience &experience, const PlanGraph *graph)
{
	Trial *trial = static_cast<Trial *>(context);
	LearningModels models = {
		.planner = trial->planner, .recall = trial->recall, .gate = trial->gate, .neighbours = trial->neighbours};

	CHECK_FOR_INTERRUPTS();
	if (trial->seen++ >= trial->judge_after) {
		Judge(trial->incumbent, experience);
		models.accuracy = trial->fresh;
	}
	/* also before the judged part: gate and neighbours learn from answers */
	Answer(*trial, graph, &experience);
	Learn(models, experience, WeightOfRole(&trial->role_shares, experience.role_oid));
	if (experience.finished_at > trial->learned_to)
		trial->learned_to = experience.finished_at;
}

/* The store gets the capacity of the one in use, so that it can take its place. */
RecallStore *NewRecallStore()
{
	const uint32 capacity = recall_store->capacity;
	const size_t bytes = RecallStore::BytesNeeded(capacity);
	void *memory = MemoryContextAllocHuge(CurrentMemoryContext, bytes);
	RecallStore *store = RecallStore::Init(std::span<std::byte>(static_cast<std::byte *>(memory), bytes), capacity);

	if (store == nullptr)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not set up a recall store")));
	return store;
}

GateModel *NewGate()
{
	auto *gate = static_cast<GateModel *>(palloc0(sizeof(GateModel)));
	std::span<const std::byte> shipped;

	InitGate(gate);
	if (CheckInPlaceBlob(PretrainedBlob(kGateModel), kGateModel, &shipped) == BlobStatus::kOk)
		memcpy(static_cast<void *>(gate), shipped.data(), sizeof *gate);
	return gate;
}

/* Empty, for the graph model in use; null without one. */
NeighbourStore *NewNeighbourStore()
{
	LWLockAcquire(shared->learn_lock, LW_SHARED);
	const std::span<const std::byte> graph = InPlaceLocked(kGraphModel);
	const uint32 version = graph.empty() ? 0 : GraphModelVersion(*reinterpret_cast<const GraphModel *>(graph.data()));
	LWLockRelease(shared->learn_lock);
	if (version == 0)
		return nullptr;
	const size_t bytes = NeighbourStoreBytes(kTrialNeighbours);
	return InitNeighbourStore({static_cast<std::byte *>(palloc(bytes)), bytes}, kTrialNeighbours, version);
}

}  // namespace

Trial *RunTrial(double judged_part)
{
	auto *trial = static_cast<Trial *>(palloc0(sizeof(Trial)));

	trial->total = CountHistory();
	if (trial->total < kLeastHistory)
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("too little history to train or evaluate models"),
		         errdetail("wlm.history has %lld rows; at least %lld are needed.",
		                   static_cast<long long>(trial->total), static_cast<long long>(kLeastHistory)),
		         errhint("Run more statements that cost at least wlm.min_cost, then SELECT wlm.flush().")));

	trial->judge_after = trial->total - static_cast<int64>(static_cast<double>(trial->total) * judged_part);
	trial->planner = static_cast<PlannerModel *>(palloc0(sizeof(PlannerModel)));
	InitPlannerModel(trial->planner);
	trial->recall = NewRecallStore();
	trial->gate = NewGate();
	trial->neighbours = NewNeighbourStore();
	trial->fresh = static_cast<Accuracy *>(palloc0(sizeof(Accuracy)));
	trial->incumbent = static_cast<Accuracy *>(palloc0(sizeof(Accuracy)));
	InitAccuracy(trial->fresh);
	InitAccuracy(trial->incumbent);
	ForEachExperience(nullptr, trial->total, Step, trial);
	return trial;
}

double CompareExpert(const Trial &trial, int expert, int *targets)
{
	double difference = 0;

	*targets = 0;
	for (int target = 0; target < static_cast<int>(Target::kNumTargets); target++) {
		const AccuracyRow fresh = Summarise(trial.fresh->windows[target][expert]);
		const AccuracyRow incumbent = Summarise(trial.incumbent->windows[target][expert]);

		/* Where one of them never answered there is nothing to compare. */
		if (!(fresh.samples >= 1) || !(incumbent.samples >= 1))
			continue;
		const double change = std::log(fresh.p50 / incumbent.p50) + std::log(fresh.p90 / incumbent.p90);

		if (std::isfinite(change)) {
			difference += change;
			(*targets)++;
		}
	}
	return difference;
}

bool NotWorse(const Trial &trial, int expert)
{
	int targets;
	const double difference = CompareExpert(trial, expert, &targets);

	return difference <= kTolerance * targets;
}

}  // namespace wlm
