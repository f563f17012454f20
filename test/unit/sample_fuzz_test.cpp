/*
 * sample_fuzz_test.cpp
 *
 * Mutated samples and plans: refused with a status, or accepted and then safe
 * for everything that is done with them.
 */
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "core/learn/blob_format.hpp"
#include "core/learn/sample_format.hpp"
#include "core/learn/sample_pool.hpp"
#include "core/plan/restore_graph.hpp"
#include "core/predict/expert.hpp"
#include "fuzz/mutate.hpp"
#include "sample_builder.hpp"

namespace wlm {
namespace {

using test::Bytes;

constexpr int kMutations = 40000;
constexpr uint32_t kSeeds = 40;

/* So that what lies behind length and checksum is reached. */
void RepairSample(Bytes *bytes)
{
	constexpr size_t kLengthAt = 8;
	if (bytes->size() < kLeastSampleBytes)
		return;
	const auto length = static_cast<uint32_t>(bytes->size());
	std::memcpy(bytes->data() + kLengthAt, &length, sizeof(length));
	const uint64_t checksum = ChainedChecksum(kSampleMagic, std::span(*bytes).first(bytes->size() - sizeof(checksum)));
	std::memcpy(bytes->data() + bytes->size() - sizeof(checksum), &checksum, sizeof(checksum));
}

bool AllFinite(const Sample &sample)
{
	for (const float number : {sample.executions, sample.log_ms, sample.log_ms_variance, sample.time_weight,
	                           sample.log_ms_bound, sample.log_query_kb, sample.query_kb_weight, sample.weight})
		if (!std::isfinite(number))
			return false;
	for (int i = 0; i < sample.graph.num_memory_nodes; i++) {
		const OperatorLabel &label = sample.operators[i];
		for (const float number : {label.log_needed_kb, label.needed_weight, label.log_bound_kb, label.log_limit_kb,
		                           label.log_temp_kb, label.spills})
			if (!std::isfinite(number))
				return false;
	}
	return true;
}

/* The experts that need no model take any graph that RestoreGraph() lets through. */
void ExpectPredictable(const PlanGraph &graph)
{
	PlannerModel planner;
	InitPlannerModel(&planner);
	ModelView models;
	models.planner = &planner;
	const PlanContext context{4096, 2, true};
	auto forecast = std::make_unique<Forecast>();
	Predict(models, graph, context, forecast.get());
	if (forecast->has_opinion) {
		EXPECT_TRUE(std::isfinite(forecast->time.mean));
		for (int i = 0; i < forecast->num_memory_nodes; i++)
			EXPECT_TRUE(std::isfinite(forecast->memory[i].mean));
	}
}

TEST(SampleFuzzTest, EveryOutcomeIsAStatusAndWhatIsAcceptedIsSafe)
{
	std::vector<Bytes> seeds;
	for (uint32_t i = 0; i < kSeeds; i++)
		seeds.push_back(test::Encoded(*test::RandomSample(i)));
	std::vector<uint64_t> memory(SamplePool::BytesNeeded(64 * 1024) / 8 + 1);
	SamplePool *pool = SamplePool::Init(std::as_writable_bytes(std::span(memory)));
	ASSERT_NE(pool, nullptr);

	test::Mutator mutator(20);
	std::array<int, 6> outcomes{};
	auto sample = std::make_unique<Sample>();
	auto again = std::make_unique<Sample>();
	for (int i = 0; i < kMutations; i++) {
		Bytes bytes = mutator.Mutate(seeds[mutator.Below(kSeeds)], seeds[mutator.Below(kSeeds)], 0);
		if (i % 8 != 0)
			RepairSample(&bytes);
		bytes.shrink_to_fit(); /* so that sanitizers see reads behind the end */
		size_t used;
		const SampleStatus status = DecodeSample(bytes, sample.get(), &used);
		ASSERT_LE(status, SampleStatus::kInsane);
		outcomes[static_cast<size_t>(status)]++;
		ASSERT_LE(used, kMostSampleBytes);
		if (status != SampleStatus::kOk)
			continue;
		ASSERT_LE(used, bytes.size());
		ASSERT_TRUE(AllFinite(*sample));
		const Bytes written = test::Encoded(*sample);
		ASSERT_EQ(DecodeSample(written, again.get(), &used), SampleStatus::kOk);
		ASSERT_EQ(test::Encoded(*again), written);
		pool->Add(*sample);
		if (outcomes[0] % 16 == 0)
			ExpectPredictable(sample->graph);
	}
	for (int i = 0; i < pool->size(); i++) {
		ASSERT_TRUE(pool->Get(i, sample.get()));
		ASSERT_TRUE(AllFinite(*sample));
	}
	EXPECT_GT(pool->num_given_up(), 0);
	for (size_t i = 0; i < outcomes.size(); i++) {
		EXPECT_GT(outcomes[i], 0) << SampleStatusText(static_cast<SampleStatus>(i));
		std::printf("%6d %s\n", outcomes[i], SampleStatusText(static_cast<SampleStatus>(i)));
	}
}

TEST(RestoreGraphFuzzTest, MutatedNodes)
{
	test::Mutator mutator(21);
	std::vector<Bytes> seeds;
	for (uint32_t i = 0; i < kSeeds; i++) {
		const PlanGraph graph = test::RandomSample(i)->graph;
		const auto nodes = std::as_bytes(std::span(graph.nodes).first(static_cast<size_t>(graph.num_nodes)));
		seeds.emplace_back(nodes.begin(), nodes.end());
	}
	auto graph = std::make_unique<PlanGraph>();
	int accepted = 0;
	for (int i = 0; i < kMutations; i++) {
		const Bytes bytes = mutator.Mutate(seeds[mutator.Below(kSeeds)], seeds[mutator.Below(kSeeds)], 0);
		std::vector<PlanNode> nodes(bytes.size() / sizeof(PlanNode));
		if (!nodes.empty())
			std::memcpy(static_cast<void *>(nodes.data()), bytes.data(), nodes.size() * sizeof(PlanNode));
		if (!RestoreGraph(nodes, static_cast<CommandKind>(mutator.Below(8)), graph.get()))
			continue;
		accepted++;
		ASSERT_EQ(static_cast<size_t>(graph->num_nodes), nodes.size());
		ASSERT_LE(graph->num_memory_nodes, kMaxMemoryNodes);
		ASSERT_LE(graph->num_pipelines, kMaxPipelines);
		if (accepted % 16 == 0)
			ExpectPredictable(*graph);
	}
	std::printf("%6d of %d accepted\n", accepted, kMutations);
	EXPECT_GT(accepted, 1000);
	EXPECT_LT(accepted, kMutations);
}

}  // namespace
}  // namespace wlm
