/*
 * model_blob_fuzz_test.cpp
 *
 * Mutated models of every kind, their checksums repaired: refused with a status,
 * or accepted, and then a prediction ends and is finite.
 */
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "core/learn/blob_format.hpp"
#include "core/learn/learner.hpp"
#include "core/predict/gate.hpp"
#include "core/predict/graph_model.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/neighbour_store.hpp"
#include "core/predict/trees_model.hpp"
#include "fuzz/mutate.hpp"
#include "sample_builder.hpp"
#include "trainer/train.hpp"

namespace wlm {
namespace {

using test::Bytes;

constexpr int kMutations = 6000;
constexpr uint32_t kPlans = 12;

trainer::Samples SomeSamples(uint32_t from)
{
	trainer::Samples samples;
	for (uint32_t i = from; i < from + 60; i++)
		samples.Add(*test::RandomSample(i));
	return samples;
}

trainer::Options Short(uint64_t seed)
{
	trainer::Options options;
	options.seed = seed;
	options.seconds = 2;
	return options;
}

Bytes Wrapped(ModelId which, std::span<const std::byte> model)
{
	Bytes blob(InPlaceBlobBytes(model.size()));
	WriteInPlaceBlob(which, model, blob);
	return blob;
}

Bytes GraphBlob(uint64_t seed)
{
	trainer::Report report;
	return Wrapped(kGraphModel, trainer::TrainGraph(SomeSamples(static_cast<uint32_t>(seed) * 100), Short(seed), &report));
}

Bytes TreesBlob(uint64_t seed)
{
	trainer::Report report;
	return Wrapped(kTreesModel, trainer::TrainTrees(SomeSamples(static_cast<uint32_t>(seed) * 100), Short(seed), &report));
}

Bytes GateBlob(float scale)
{
	auto gate = std::make_unique<GateModel>();
	InitGate(gate.get());
	for (auto &row : gate->view.weights.hidden_answer)
		for (float &weight : row)
			weight *= scale;
	return Wrapped(kGateModel, std::as_bytes(std::span(gate.get(), 1)));
}

template <class Model>
const Model *Payload(const Bytes &blob)
{
	return reinterpret_cast<const Model *>(blob.data() + kBlobHeaderBytes);
}

/* Points around those of the plans that predictions are asked for. */
Bytes NeighboursBlob(const Bytes &graph_blob, uint32_t capacity)
{
	const auto *graph = Payload<GraphModel>(graph_blob);
	Bytes memory(NeighbourStoreBytes(capacity));
	NeighbourStore *store = InitNeighbourStore(memory, capacity, GraphModelVersion(*graph));
	ModelView models;
	models.graph = graph;
	auto forecast = std::make_unique<Forecast>();
	for (uint32_t i = 0; i < capacity + 10; i++) {
		const auto sample = test::RandomSample(i);
		Predict(models, sample->graph, {4096, 2, true}, forecast.get());
		auto experience = test::JoinExperience(sample->template_fingerprint, sample->plan_fingerprint, std::exp(sample->log_ms));
		experience->embedding_version = forecast->embedding_version;
		experience->embedding = forecast->embedding;
		experience->time_answers[kGraphExpert] = forecast->answers[kGraphExpert].time;
		experience->query_memory_answers[kGraphExpert] = forecast->answers[kGraphExpert].query_memory;
		for (int j = 0; j < 2; j++) {
			experience->operators[j].embedding = forecast->operator_embedding[0];
			experience->operators[j].answers[kGraphExpert] = forecast->answers[kGraphExpert].time;
		}
		AddNeighbour(store, *experience);
	}
	EXPECT_GT(NumNeighbours(*store), 4u);
	return Wrapped(kNeighboursModel, memory);
}

bool IsSafe(const Estimate &estimate) { return !(estimate.support > 0) || IsFinite(estimate); }

bool IsSafe(const ExpertAnswer &answer, int num_memory_nodes)
{
	bool safe = IsSafe(answer.time) && IsSafe(answer.parallel_fraction) && IsSafe(answer.query_memory);
	for (int i = 0; i < num_memory_nodes; i++)
		safe = safe && IsSafe(answer.memory[i]) && IsSafe(answer.temp[i]);
	return safe;
}

class ModelBlobFuzzTest : public ::testing::Test {
  protected:
	ModelBlobFuzzTest()
	{
		InitPlannerModel(&planner_);
		models_.planner = &planner_;
		for (uint32_t i = 0; i < kPlans; i++)
			plans_.push_back(test::RandomSample(i * 7));
	}

	/* Of all plans, with the model that is being tried among the others. */
	void ExpectPredictions(const ModelView &models)
	{
		for (const auto &plan : plans_) {
			Predict(models, plan->graph, {4096, 2, true}, forecast_.get());
			for (const ExpertAnswer &answer : forecast_->answers)
				ASSERT_TRUE(IsSafe(answer, forecast_->num_memory_nodes));
			ASSERT_TRUE(IsSafe(forecast_->time) && IsSafe(forecast_->query_memory));
			for (int i = 0; i < forecast_->num_memory_nodes; i++)
				ASSERT_TRUE(IsSafe(forecast_->memory[i]) && IsSafe(forecast_->temp[i]));
		}
	}

	/* try_blob: status of the blob; if accepted it has been made part of `models_`. */
	template <class TryBlob>
	void Fuzz(ModelId which, const Bytes &one, const Bytes &other, const TryBlob &try_blob)
	{
		test::Mutator mutator(which + 1u);
		std::array<int, static_cast<size_t>(BlobStatus::kNumStatuses)> outcomes{};
		ASSERT_EQ(try_blob(one), BlobStatus::kOk);
		ExpectPredictions(models_);
		for (int i = 0; i < kMutations; i++) {
			const bool repaired = i % 8 != 0;
			Bytes blob = mutator.Mutate(one, other, repaired ? kBlobHeaderBytes : 0);
			if (repaired)
				WriteHeader(blob, which);
			blob.shrink_to_fit(); /* so that sanitizers see reads behind the end */
			const BlobStatus status = try_blob(blob);
			ASSERT_LT(status, BlobStatus::kNumStatuses);
			ASSERT_NE(status, BlobStatus::kMisaligned);
			outcomes[static_cast<size_t>(status)]++;
			if (status == BlobStatus::kOk && (outcomes[0] < 500 || i % 8 == 1)) {
				ExpectPredictions(models_);
				ASSERT_FALSE(HasFatalFailure()) << "mutation " << i;
			}
		}
		EXPECT_GT(outcomes[static_cast<size_t>(BlobStatus::kDamaged)], 0);
		EXPECT_GT(outcomes[static_cast<size_t>(BlobStatus::kInsane)], 0);
		for (size_t i = 0; i < outcomes.size(); i++)
			if (outcomes[i] > 0)
				std::printf("%10s %6d %s\n", ModelName(which), outcomes[i], BlobStatusText(static_cast<BlobStatus>(i)));
	}

	template <class Model>
	void FuzzInPlace(ModelId which, const Bytes &one, const Bytes &other, const Model *ModelView::*place)
	{
		Fuzz(which, one, other, [&](const Bytes &blob) {
			std::span<const std::byte> model;
			const BlobStatus status = CheckInPlaceBlob(blob, which, &model);
			if (status == BlobStatus::kOk)
				models_.*place = reinterpret_cast<const Model *>(model.data());
			return status;
		});
	}

	PlannerModel planner_;
	ModelView models_;
	std::vector<std::unique_ptr<Sample>> plans_;
	std::unique_ptr<Forecast> forecast_ = std::make_unique<Forecast>();
};

TEST_F(ModelBlobFuzzTest, Planner)
{
	PlannerModel other;
	InitPlannerModel(&other);
	for (int i = 0; i < 50; i++)
		LearnPlanner(&other, *test::JoinExperience(1, 2, 10.0f + static_cast<float>(i)));
	Bytes blobs[2] = {Bytes(BlobBytes(other)), Bytes(BlobBytes(other))};
	ASSERT_TRUE(WriteBlob(planner_, blobs[0]));
	ASSERT_TRUE(WriteBlob(other, blobs[1]));
	Fuzz(kPlannerModel, blobs[1], blobs[0], [&](const Bytes &blob) { return ReadBlob(blob, &planner_); });
}

TEST_F(ModelBlobFuzzTest, Recall)
{
	constexpr uint32_t kCapacity = 64;
	std::vector<uint64_t> memory(RecallStore::BytesNeeded(kCapacity) / 8);
	RecallStore *store = RecallStore::Init(std::as_writable_bytes(std::span(memory)), kCapacity);
	std::vector<Bytes> blobs;
	for (int round = 0; round < 2; round++) {
		for (const auto &plan : plans_)
			Learn({.planner = &planner_, .recall = store}, *test::JoinExperience(plan->template_fingerprint, plan->plan_fingerprint, 10));
		blobs.emplace_back(BlobBytes(*store));
		ASSERT_TRUE(WriteBlob(*store, blobs.back()));
	}
	models_.recall = store;
	Fuzz(kRecallModel, blobs[1], blobs[0], [&](const Bytes &blob) { return ReadBlob(blob, store); });
}

TEST_F(ModelBlobFuzzTest, Trees)
{
	if (!trainer::HasTreesTrainer())
		GTEST_SKIP() << "built without XGBoost";
	FuzzInPlace(kTreesModel, TreesBlob(1), TreesBlob(2), &ModelView::trees);
}

TEST_F(ModelBlobFuzzTest, Graph) { FuzzInPlace(kGraphModel, GraphBlob(1), GraphBlob(2), &ModelView::graph); }

TEST_F(ModelBlobFuzzTest, Neighbours)
{
	const Bytes graph = GraphBlob(1);
	models_.graph = Payload<GraphModel>(graph);
	FuzzInPlace(kNeighboursModel, NeighboursBlob(graph, 40), NeighboursBlob(graph, 24), &ModelView::neighbours);
}

TEST_F(ModelBlobFuzzTest, Gate)
{
	const Bytes graph = GraphBlob(1);
	models_.graph = Payload<GraphModel>(graph);
	FuzzInPlace(kGateModel, GateBlob(1), GateBlob(2), &ModelView::gate);
}

}  // namespace
}  // namespace wlm
