/*
 * training.cpp
 *
 * The server believes nothing of what the trainer says: what comes back is cut
 * into blobs, each is checked number by number, and judged here on plans that
 * were kept from it. Only a model that is better there than the champion is
 * published; everything else is a row of wlm.model that says why not.
 */
#include "pg/learning/training.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

extern "C" {
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "core/learn/learner.hpp"
#include "core/learn/model_trial.hpp"
#include "core/learn/sample_pool.hpp"
#include "core/predict/graph_model.hpp"
#include "core/predict/neighbour_store.hpp"
#include "pg/history/stored_experience.hpp"
#include "pg/learning/replay.hpp"
#include "pg/learning/trainer_process.hpp"
#include "pg/learning/training_state.hpp"
#include "pg/models/model_table.hpp"
#include "pg/models/published_models.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

/* Under this neither training nor judging would be more than noise. */
constexpr int kLeastPlans = 50;
constexpr int kLeastJudged = 10;
/* The kinds that were seen for the first time last are what both models know least about. */
constexpr double kJudgedPart = 0.2;

constexpr Size kMostPoolBytes = 64 * 1024 * 1024;
constexpr Size kMostOutput = 64 * 1024 * 1024;
constexpr int64 kReplayedForNeighbours = 20000;

}  // namespace

struct Training {
	MemoryContext context;
	bool wanted[kNumModels];
	SamplePool *pool;
	int num_training;          /* samples before that are learned from, from there on judged */
	int64 statements;          /* that were read */
	uint32 resets;             /* of models, when they were read */
	TimestampTz learned_to;
	ModelBytes start;          /* the graph model to go on from */
	TrainerOutput output;
	Sample sample;             /* scratch */
	Forecast forecast;
};

namespace {

void CollectOne(void *context, Experience &experience, const PlanGraph *graph)
{
	Training *training = static_cast<Training *>(context);

	CHECK_FOR_INTERRUPTS();
	training->statements++;
	training->learned_to = std::max(training->learned_to, experience.finished_at);
	if (graph != nullptr && MakeSample(experience, *graph, DatabaseHash(experience), experience.role_oid, &training->sample))
		training->pool->Add(training->sample);
}

SamplePool *NewPool()
{
	/* The trainer holds the samples too, and much more besides. */
	const Size bytes = std::min(static_cast<Size>(setting::train_memory_kb) * 1024 / 8, kMostPoolBytes);
	const Size needed = SamplePool::BytesNeeded(bytes);
	void *memory = MemoryContextAllocHuge(CurrentMemoryContext, needed);

	return SamplePool::Init({static_cast<std::byte *>(memory), needed});
}

/* What the trainer is fed: the model to go on from, if any, then the samples before the judged ones. */
std::span<const std::byte> ChunkOf(void *context, int index)
{
	const Training *training = static_cast<const Training *>(context);
	const int before = training->start.data != nullptr ? 1 : 0;

	return index < before ? AsSpan(training->start) : training->pool->Encoded(index - before);
}

void NoteProgress(void *, const char *expert, double done, double loss)
{
	char phase[sizeof shared->training.phase];

	snprintf(phase, sizeof phase, "training %s", expert);
	NoteTrainingPhase(phase, std::clamp(done, 0.0, 1.0), loss);
}

/* The blob of `which` among the trainer's output; no data if it is not there. */
ModelBytes FindBlob(const TrainerOutput &output, ModelId which)
{
	const std::span<const std::byte> all = AsSpan({output.models, output.size});

	for (size_t at = 0; at < all.size();) {
		const std::span<const std::byte> rest = all.subspan(at);
		const size_t length = BlobLength(rest);

		if (length == 0 || length > rest.size())
			break;
		if (BlobModel(rest.first(length)) == which)
			return AlignedCopy(output.models + at, length);
		at += length;
	}
	return {nullptr, 0};
}

/* A private copy that may be used as a model, of a blob that has been checked. */
const void *CopyModel(ModelId which, const ModelBytes &bytes)
{
	std::span<const std::byte> model;

	if (bytes.data == nullptr || CheckInPlaceBlob(AsSpan(bytes), which, &model) != BlobStatus::kOk)
		return nullptr;
	void *copy = palloc(model.size());
	memcpy(copy, model.data(), model.size());
	return copy;
}

void Collect(Training *training, ModelId which, const void *model, Target target, std::span<float> errors)
{
	ModelView models;

	if (which == kTreesModel)
		models.trees = static_cast<const TreesModel *>(model);
	else
		models.graph = static_cast<const GraphModel *>(model);
	CollectErrors(*training->pool, training->num_training, static_cast<ExpertId>(which), models, target, errors,
	              &training->sample, &training->forecast);
	CHECK_FOR_INTERRUPTS();
}

void AppendScore(StringInfo json, const char *key, const TargetScore &score)
{
	appendStringInfo(json, "\"%s_plans\": %d", key, score.count);
	if (score.count > 0)
		appendStringInfo(json, ", \"%s_p50\": %.6g, \"%s_p90\": %.6g", key, score.p50, key, score.p90);
}

/* Both models on the plans that were kept apart; their figures go to `json`. A champion that is null has no errors. */
Comparison JudgeModels(Training *training, ModelId which, const void *challenger, const void *champion, StringInfo json)
{
	const int plans = training->pool->size() - training->num_training;
	const size_t room = static_cast<size_t>(plans);
	const std::span<float> ours(static_cast<float *>(palloc(sizeof(float) * room)), room);
	const std::span<float> theirs(static_cast<float *>(palloc(sizeof(float) * room)), room);
	Comparison comparison;

	appendStringInfo(json, "{\"statements\": " INT64_FORMAT ", \"plans\": %d, \"judged\": %d", training->statements,
	                 training->pool->size(), plans);
	for (int target = 0; target < kNumTargets; target++) {
		Collect(training, which, challenger, static_cast<Target>(target), ours);
		Collect(training, which, champion, static_cast<Target>(target), theirs);
		comparison.Add(ours, theirs);
		appendStringInfo(json, ", \"%s\": {", TargetName(static_cast<Target>(target)));
		AppendScore(json, "challenger", Summarise(ours));
		appendStringInfoString(json, ", ");
		AppendScore(json, "champion", Summarise(theirs));
		appendStringInfoChar(json, '}');
	}
	appendStringInfo(json, ", \"gain\": %.4g, \"gain_deviation\": %.4g}", comparison.gain, std::sqrt(comparison.variance));
	return comparison;
}

struct NeighbourReplay {
	const GraphModel *graph;
	NeighbourStore *store;
};

void AddToNeighbours(void *context, Experience &experience, const PlanGraph *graph)
{
	const NeighbourReplay *replay = static_cast<const NeighbourReplay *>(context);

	CHECK_FOR_INTERRUPTS();
	if (graph == nullptr)
		return;
	PredictAgain({.graph = replay->graph}, graph, &experience);
	AddNeighbour(replay->store, experience);
}

/* Why the trainer's output does not hold the model. */
const char *WhyMissing(const TrainerOutput &output, ModelId which)
{
	const size_t length = strlen(ModelName(which));

	for (int i = 0; i < output.num_failures; i++) {
		const char *failure = output.failures[i];
		if (strncmp(failure, ModelName(which), length) == 0 && failure[length] == ':')
			return failure + length + 1 + strspn(failure + length + 1, " ");
	}
	return output.error[0] != '\0' ? output.error : "the trainer returned no such model";
}

/* One model: checked, judged, stored and perhaps published. Null, or why it failed. */
const char *ConcludeModel(Training *training, ModelId which)
{
	const ModelBytes bytes = FindBlob(training->output, which);
	ModelRow row = {which, "challenger", training->statements, training->learned_to, nullptr, nullptr, {nullptr, 0}};
	StringInfoData metrics;

	if (training->resets != pg_atomic_read_u32(&shared->model_resets))
		row.error = "models were reset while this one was trained";
	else if (bytes.data == nullptr)
		row.error = WhyMissing(training->output, which);
	else
		row.error = CheckBytes(which, bytes);
	if (row.error != nullptr) {
		row.state = "failed";
		InsertModelRow(row);
		return row.error;
	}

	const void *in_use = CopyModel(which, BytesInUse(which));
	initStringInfo(&metrics);
	const Comparison comparison = JudgeModels(training, which, CopyModel(which, bytes), in_use, &metrics);
	row.metrics = metrics.data;
	if (in_use == nullptr || comparison.IsBetter()) {
		row.state = "champion";
		row.content = bytes;
		RetireChampion(which);
		PublishAtCommit(which, bytes);
		if (which == kGraphModel)
			PublishNeighboursOf(bytes);
	}
	InsertModelRow(row);
	return nullptr;
}

}  // namespace

void PublishNeighboursOf(const ModelBytes &bytes)
{
	const GraphModel *graph = static_cast<const GraphModel *>(CopyModel(kGraphModel, bytes));
	const Size size = InPlaceCapacity(kNeighboursModel);
	const uint32 capacity = NeighboursThatFit(size);

	if (graph == nullptr)
		return;
	void *memory = palloc(size);
	NeighbourReplay replay = {graph, InitNeighbourStore({static_cast<std::byte *>(memory), size}, capacity,
	                                                    GraphModelVersion(*graph))};
	if (replay.store == nullptr)
		return;
	ForEachExperience("final_state = 'completed'", kReplayedForNeighbours, AddToNeighbours, &replay);
	PublishAtCommit(kNeighboursModel,
	                BytesOf(kNeighboursModel, {static_cast<std::byte *>(memory), NeighbourStoreBytes(capacity)}));
}

Training *CollectSamples(ModelId only, const char *reason, const char **problem)
{
	*problem = nullptr;
	if (!NoteTrainingStart(reason)) {
		*problem = "another training is running";
		return nullptr;
	}
	auto *training = static_cast<Training *>(palloc0(sizeof(Training)));

	training->context = CurrentMemoryContext;
	for (int which = 0; which < kNumModels; which++)
		training->wanted[which] = IsTrained(static_cast<ModelId>(which)) && (only == kNumModels || only == which);
	training->resets = pg_atomic_read_u32(&shared->model_resets);
	training->pool = NewPool();
	ForEachExperience(nullptr, setting::history_rows, CollectOne, training);
	training->pool->SortByFirstSeen();
	training->pool->LimitRoles();

	const int plans = training->pool->size();
	const int judged = std::max(kLeastJudged, static_cast<int>(plans * kJudgedPart));
	training->num_training = plans - judged;
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	shared->training.samples = plans;
	LWLockRelease(shared->state_lock);
	if (plans < kLeastPlans) {
		*problem = "too few different plans in wlm.history";
		NoteTrainingEnd(*problem);
		return nullptr;
	}
	if (training->wanted[kGraphModel])
		training->start = BytesInUse(kGraphModel);
	return training;
}

void TrainModels(Training *training)
{
	const MemoryContext outer = MemoryContextSwitchTo(training->context);
	const bool trees = training->wanted[kTreesModel];
	const bool graph = training->wanted[kGraphModel];
	TrainerRequest request = {};

	request.experts = trees && graph ? "trees,graph" : trees ? "trees" : "graph";
	request.seed = static_cast<uint64>(training->statements);
	request.seconds = setting::train_timeout_s;
	request.memory_mb = setting::train_memory_kb / 1024;
	request.most_output = kMostOutput;
	request.num_chunks = training->num_training + (training->start.data != nullptr ? 1 : 0);
	request.start_first = training->start.data != nullptr;
	request.chunk = ChunkOf;
	request.progress = NoteProgress;
	request.context = training;
	NoteTrainingPhase("starting the trainer", 0, std::nan(""));
	RunTrainer(request, &training->output);
	MemoryContextSwitchTo(outer);
}

void ConcludeTraining(Training *training, void (*put_row)(void *context), void *context)
{
	const char *problem = nullptr; /* an expert's own reason says more than the trainer's exit status */

	NoteTrainingPhase("judging", 0, std::nan(""));
	for (int which = 0; which < kNumModels; which++) {
		if (!training->wanted[which])
			continue;
		const char *error = ConcludeModel(training, static_cast<ModelId>(which));
		if (error != nullptr && problem == nullptr)
			problem = error;
		if (put_row != nullptr)
			put_row(context);
		DropOldModels(static_cast<ModelId>(which));
	}
	LWLockAcquire(shared->learn_lock, LW_EXCLUSIVE);
	shared->drifted = false;
	LWLockRelease(shared->learn_lock);
	NoteTrainingEnd(problem != nullptr ? problem : training->output.error);
}

}  // namespace wlm
