/*
 * trees_model_test.cpp
 *
 * The trees expert without its trainer: features of plans, models made by hand,
 * and models of an enemy.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "core/predict/log_scale.hpp"
#include "core/predict/operator_features.hpp"
#include "core/predict/trees_layout.hpp"
#include "trainer/trees_pack.hpp"
#include "trees_synthetic.hpp"

namespace wlm {
namespace {

using trainer::BoostedTree;
using trainer::PackedMember;

constexpr PlanContext kContext{4096, 2, true};

/* x[feature] < threshold ? low : high, twice below each other. */
BoostedTree TwoSteps(uint16_t feature, float threshold, float low, float high)
{
	BoostedTree tree;
	tree.nodes = {{feature, 1, threshold},
	              {feature, 2, threshold / 2},
	              {static_cast<uint16_t>(kMostTreesFeatures + 5), 0, high},
	              {static_cast<uint16_t>(kMostTreesFeatures + 3), 0, low},
	              {static_cast<uint16_t>(kMostTreesFeatures + 3), 0, low}};
	tree.depth = 2;
	tree.gains.assign(kMostTreesFeatures, 0);
	tree.gains[feature] = 3;
	return tree;
}

/* All targets, two members, trees of two steps. */
std::vector<std::byte> HandMade()
{
	std::vector<PackedMember> members(2);
	for (int member = 0; member < 2; member++) {
		for (int target = 0; target < kNumTreesTargets; target++) {
			auto &ensembles = members[static_cast<size_t>(member)].ensembles[static_cast<size_t>(target)];
			ensembles[kTreesMean].bias = 0.5f;
			for (int tree = 0; tree < 9; tree++)
				ensembles[kTreesMean].trees.push_back(
					TwoSteps(static_cast<uint16_t>(tree), 3, 0.01f, member == 0 ? 0.02f : 0.04f));
			ensembles[kTreesLogVariance].bias = -1;
			ensembles[kTreesLogVariance].trees.push_back(TwoSteps(1, 2, -0.1f, 0.1f));
		}
	}
	return PackTrees(members, {100, 100, 100, 100});
}

/* A copy in memory aligned as the server's. */
class Aligned {
  public:
	explicit Aligned(std::span<const std::byte> bytes) : words_((bytes.size() + 7) / 8)
	{
		std::memcpy(words_.data(), bytes.data(), bytes.size());
	}
	const TreesModel &model() const { return *reinterpret_cast<const TreesModel *>(words_.data()); }

  private:
	std::vector<uint64_t> words_;
};

const ExpertAnswer &Ask(const TreesModel *model, const PlanGraph &graph, Forecast *forecast)
{
	ModelView models;
	models.trees = model;
	AskTrees(models, graph, kContext, forecast);
	return forecast->answers[kTreesExpert];
}

void ExpectFinite(const ExpertAnswer &answer, int slots)
{
	EXPECT_TRUE(IsUsable(answer.time));
	EXPECT_TRUE(IsUsable(answer.query_memory));
	EXPECT_TRUE(IsUsable(answer.parallel_fraction));
	for (int i = 0; i < slots; i++) {
		EXPECT_TRUE(IsUsable(answer.memory[i]));
		EXPECT_TRUE(IsUsable(answer.temp[i]));
	}
}

TEST(TreesModel, WithoutAModelThereIsNoOpinion)
{
	auto forecast = std::make_unique<Forecast>();
	test::PlanBuilder plan = test::JoinPlan();
	forecast->answers[kTreesExpert].time.support = 1;
	forecast->answers[kTreesExpert].memory[1].support = 1;
	const ExpertAnswer &answer = Ask(nullptr, plan.Finish(), forecast.get());
	EXPECT_FALSE(answer.time.HasOpinion());
	EXPECT_FALSE(answer.query_memory.HasOpinion());
	EXPECT_FALSE(answer.parallel_fraction.HasOpinion());
	for (int i = 0; i < 2; i++) {
		EXPECT_FALSE(answer.memory[i].HasOpinion());
		EXPECT_FALSE(answer.temp[i].HasOpinion());
	}
	EXPECT_EQ(PriceOfTrees(ModelView{}, *plan.graph()), 0);
}

TEST(TreesModel, HandMadeModelAnswersAsWalkedByHand)
{
	const std::vector<std::byte> bytes = HandMade();
	ASSERT_TRUE(TreesModelIsSane(bytes));
	EXPECT_EQ(TreesModelBytes(bytes), bytes.size());
	const Aligned aligned(bytes);
	const TreesModel &model = aligned.model();

	TreesRow row;
	InitTreesRow(&row);
	row.x[0] = 3;                       /* not less than the threshold: right */
	row.x[1] = std::nextafter(3.0f, 0.0f); /* less: left, then right */
	float sum = 0;
	float cover = 0;
	WalkTrees(model, model.ensembles[1][0][kTreesMean], &row, 1, &sum, &cover);
	EXPECT_NEAR(sum, 0.5f + 0.02f + 8 * 0.01f, 1e-6f);
	EXPECT_NEAR(cover, (5 + 8 * 3) / 9.0f, 1e-6f);

	auto forecast = std::make_unique<Forecast>();
	test::PlanBuilder plan = test::JoinPlan();
	const ExpertAnswer &answer = Ask(&model, plan.Finish(), forecast.get());
	ExpectFinite(answer, 2);
	EXPECT_GT(answer.memory[0].model_variance, 0);
	EXPECT_GT(answer.memory[0].support, 8 * 0.99f);
	EXPECT_LT(answer.memory[0].support, 32 * 1.01f);
	ModelView models;
	models.trees = &model;
	EXPECT_GT(PriceOfTrees(models, *plan.graph()), 500);
	EXPECT_LT(PriceOfTrees(models, *plan.graph()), 10000);
	EXPECT_NEAR(TreesFeatureImportance(model, TreesTarget::kTime, 2), 1 / 9.0f, 1e-6f);
	EXPECT_EQ(TreesFeatureImportance(model, TreesTarget::kTime, 999), 0);
	EXPECT_EQ(TreesFeatureImportance(model, TreesTarget::kTime, -1), 0);
}

TEST(TreesModel, TargetsWithoutSamplesHaveNoOpinion)
{
	std::vector<std::byte> bytes = HandMade();
	const float none = 0;
	std::memcpy(bytes.data() + offsetof(TreesModel, samples) + 4 * static_cast<int>(TreesTarget::kOperatorTemp), &none, 4);
	ASSERT_TRUE(TreesModelIsSane(bytes));
	auto forecast = std::make_unique<Forecast>();
	test::PlanBuilder plan = test::JoinPlan();
	const Aligned aligned(bytes);
	const ExpertAnswer &answer = Ask(&aligned.model(), plan.Finish(), forecast.get());
	EXPECT_TRUE(answer.memory[0].HasOpinion());
	EXPECT_FALSE(answer.temp[0].HasOpinion());
}

TEST(TreesModel, AnyBytesAreRejectedOrHarmless)
{
	const std::vector<std::byte> good = HandMade();
	auto forecast = std::make_unique<Forecast>();
	test::PlanBuilder builder = test::JoinPlan();
	const PlanGraph &graph = builder.Finish();
	int accepted = 0;
	const auto attack = [&](const std::vector<std::byte> &bytes) {
		if (!TreesModelIsSane(bytes))
			return;
		accepted++;
		const Aligned aligned(bytes);
		const ExpertAnswer &answer = Ask(&aligned.model(), graph, forecast.get());
		for (const Estimate &estimate : {answer.time, answer.query_memory, answer.memory[0], answer.temp[1]})
			ASSERT_TRUE(IsUsable(estimate) || !estimate.HasOpinion());
	};
	std::mt19937 random(3);
	/* each byte of the head, set to what breaks things and to something at random; then bytes of roots and nodes */
	for (size_t i = 0; i < good.size(); i++) {
		if (i > sizeof(TreesModel) && random() % 4 != 0)
			continue;
		for (const uint32_t value : {0u, 1u, 0x7fu, 0x80u, 0xffu, static_cast<uint32_t>(random() % 256)}) {
			std::vector<std::byte> bad = good;
			bad[i] = static_cast<std::byte>(value);
			attack(bad);
		}
	}
	for (int round = 0; round < 2000; round++) {
		std::vector<std::byte> bad = good;
		for (int i = 0; i < 4; i++)
			bad[sizeof(TreesModel) + random() % (bad.size() - sizeof(TreesModel))] = static_cast<std::byte>(random());
		attack(bad);
	}
	for (size_t size = 0; size < good.size(); size += 1 + size / 50)
		EXPECT_FALSE(TreesModelIsSane(std::span(good).first(size))) << size;
	EXPECT_EQ(TreesModelBytes({}), 0u);
	EXPECT_GT(accepted, 0);
}

TEST(TreesModel, LoopsAndStraysAreRejected)
{
	const std::vector<std::byte> good = HandMade();
	const Aligned aligned(good);
	const size_t nodes = sizeof(TreesModel) + (aligned.model().num_trees + 1) * sizeof(uint32_t);
	const auto with = [&](int index, TreeNode node) {
		std::vector<std::byte> bad = good;
		std::memcpy(bad.data() + nodes + sizeof(TreeNode) * static_cast<size_t>(index), &node, sizeof(node));
		return TreesModelIsSane(bad);
	};
	EXPECT_TRUE(with(0, {0, 1, 3}));
	EXPECT_FALSE(with(0, {0, 0, 3}));        /* a split that stays where it is */
	EXPECT_FALSE(with(0, {0, 4, 3}));        /* beyond its tree */
	EXPECT_FALSE(with(1, {0, 65535, 3}));
	EXPECT_FALSE(with(0, {64, 1, 3}));       /* beyond the row */
	EXPECT_FALSE(with(9 * 5, {47, 1, 3}));   /* a feature that pipelines have but not plans, which tell the variance of time */
	EXPECT_FALSE(with(3, {64, 0, 1}));
	EXPECT_FALSE(with(3, {50, 0, std::numeric_limits<float>::quiet_NaN()}));
	EXPECT_FALSE(with(3, {50, 0, 1e30f}));
	EXPECT_FALSE(with(0, {0, 1, std::numeric_limits<float>::infinity()}));
	std::vector<std::byte> shallow = good;
	const int32_t depth = 1; /* walks would end on thresholds */
	std::memcpy(shallow.data() + offsetof(TreesModel, ensembles) + offsetof(TreesEnsemble, depth), &depth, sizeof(depth));
	EXPECT_FALSE(TreesModelIsSane(shallow));
}

TEST(TreesFeatures, HaveNamesOfTheirOwn)
{
	for (int target = 0; target < kNumTreesTargets; target++) {
		const TreesTarget which = static_cast<TreesTarget>(target);
		std::set<std::string> names;
		for (int i = 0; i < NumTreesFeatures(which); i++) {
			EXPECT_STRNE(TreesFeatureName(which, i), "");
			EXPECT_TRUE(names.insert(TreesFeatureName(which, i)).second) << TreesFeatureName(which, i);
		}
		EXPECT_STREQ(TreesFeatureName(which, NumTreesFeatures(which)), "");
		EXPECT_STRNE(TreesTargetName(which), "");
	}
}

std::unique_ptr<TreesDescription> Describe(const PlanGraph &graph)
{
	auto description = std::make_unique<TreesDescription>();
	EXPECT_TRUE(DescribeForTrees(graph, description.get()));
	return description;
}

float At(const PipelineTable &table, int pipeline, PipelineFeature feature)
{
	return table.rows[static_cast<size_t>(pipeline)].x[static_cast<size_t>(feature)];
}

TEST(TreesFeatures, CostIsSplitAmongPipelines)
{
	test::SyntheticWorld world;
	for (uint64_t i = 0; i < 50; i++) {
		const std::unique_ptr<Sample> sample = world.Make(i, 0);
		const auto description = Describe(sample->graph);
		double ms = 0;
		for (int p = 0; p < description->pipelines.num_pipelines; p++)
			ms += description->pipelines.own_ms[static_cast<size_t>(p)];
		EXPECT_NEAR(ms / (sample->graph.total_cost * 0.01), 1, 0.02) << i;
	}
}

TEST(TreesFeatures, SinksBelongToTheirFillers)
{
	test::PlanBuilder plan = test::JoinPlan(10000);
	const auto description = Describe(plan.Finish());
	const PipelineTable &table = description->pipelines;
	ASSERT_EQ(table.num_pipelines, 3);
	/* sort | join and outer scan | inner scan */
	EXPECT_NEAR(At(table, 0, PipelineFeature::kReadBackRows), std::log(10001.0f), 0.01f);
	EXPECT_NEAR(At(table, 1, PipelineFeature::kSortRows), std::log(10001.0f), 0.01f);
	EXPECT_NEAR(At(table, 1, PipelineFeature::kProbeRows), std::log(10001.0f), 0.01f);
	EXPECT_NEAR(At(table, 2, PipelineFeature::kBuildRows), std::log(1001.0f), 0.01f);
	EXPECT_GT(At(table, 1, PipelineFeature::kProbeKb), 0);
	EXPECT_EQ(At(table, 2, PipelineFeature::kProbeRows), 0);
}

TEST(TreesFeatures, GatherCutsAndCountsProcesses)
{
	test::PlanBuilder plan;
	plan.Add(kNoNode, NodeKind::kGather, 900);
	plan[0].workers = 2;
	plan[0].total_cost = 2000;
	plan.Add(0, NodeKind::kSeqScan, 300);
	plan[1].relation_rows = 9000;
	plan[1].flags = kParallelAware;
	plan[1].total_cost = 900;
	const auto description = Describe(plan.Finish());
	const PipelineTable &table = description->pipelines;
	ASSERT_EQ(table.num_pipelines, 2);
	EXPECT_EQ(table.processes[0], 1);
	EXPECT_EQ(table.processes[1], 3);
	EXPECT_NEAR(table.own_ms[1], 9, 0.1f);
	EXPECT_NEAR(table.own_ms[0], 11, 0.1f);
	EXPECT_NEAR(At(table, 1, PipelineFeature::kTuples), std::log(3001.0f), 0.01f);

	auto forecast = std::make_unique<Forecast>();
	const Aligned aligned(HandMade());
	const Estimate &fraction = Ask(&aligned.model(), *plan.graph(), forecast.get()).parallel_fraction;
	ASSERT_TRUE(fraction.HasOpinion());
	EXPECT_NEAR(1 / (1 + std::exp(-fraction.mean)), 27.0 / 38, 0.05); /* two thirds of 27 ms would be saved */
}

TEST(TreesFeatures, LimitLeavesWhatItAsksFor)
{
	test::PlanBuilder plan;
	plan.Add(kNoNode, NodeKind::kLimit, 10);
	plan[0].total_cost = 10;
	plan.Add(0, NodeKind::kSeqScan, 1000);
	plan[1].relation_rows = 1000;
	plan[1].total_cost = 1000;
	const auto description = Describe(plan.Finish());
	ASSERT_EQ(description->pipelines.num_pipelines, 1);
	EXPECT_NEAR(description->pipelines.own_ms[0], 0.1f, 0.01f);
	EXPECT_NEAR(At(description->pipelines, 0, PipelineFeature::kTuples), std::log(11.0f), 0.01f);
}

TEST(TreesFeatures, AreFiniteWhateverThePlanHolds)
{
	const float evil[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
	                      -std::numeric_limits<float>::infinity(), -1, 0, 1e38f, 1e-38f, 5};
	std::mt19937 random(9);
	const auto pick = [&] { return evil[random() % std::size(evil)]; };
	auto forecast = std::make_unique<Forecast>();
	auto description = std::make_unique<TreesDescription>();
	const Aligned aligned(HandMade());
	for (int round = 0; round < 300; round++) {
		test::PlanBuilder plan;
		const int size = 1 + static_cast<int>(random() % 60);
		for (int i = 0; i < size; i++) {
			const auto parent = static_cast<int16_t>(i == 0 ? kNoNode : random() % static_cast<uint32_t>(i));
			const int16_t index = plan.Add(parent, static_cast<NodeKind>(random() % static_cast<int>(NodeKind::kNumKinds)));
			PlanNode &node = plan[index];
			node.rows = pick(), node.width = pick(), node.startup_cost = pick(), node.total_cost = pick();
			node.relation_rows = pick(), node.relation_pages = pick(), node.groups = pick(), node.state_bytes = pick();
			node.fold_count = pick();
			node.workers = static_cast<uint8_t>(random());
			node.memory = random() % 2 ? static_cast<MemoryClass>(random() % static_cast<int>(MemoryClass::kNumClasses))
			                           : MemoryClass::kNone;
			node.role = i == 0 ? NodeRole::kRoot : static_cast<NodeRole>(1 + random() % 6);
			node.join = static_cast<JoinKind>(random() % 8);
			node.aggregate = static_cast<AggKind>(random() % 5);
			node.num_quals = static_cast<uint8_t>(random());
		}
		const PlanGraph &graph = plan.Finish();
		ASSERT_TRUE(DescribeForTrees(graph, description.get()));
		const auto all_finite = [](const TreesRow &row) {
			return std::all_of(row.x.begin(), row.x.begin() + kMostTreesFeatures,
			                   [](float x) { return std::fabs(x) <= kMostTreesFeature; });
		};
		EXPECT_TRUE(all_finite(description->query));
		for (int i = 0; i < description->pipelines.num_pipelines; i++) {
			EXPECT_TRUE(all_finite(description->pipelines.rows[static_cast<size_t>(i)]));
			EXPECT_TRUE(IsQuantity(description->pipelines.own_ms[static_cast<size_t>(i)]));
		}
		for (int i = 0; i < graph.num_memory_nodes; i++)
			EXPECT_TRUE(all_finite(description->operators[static_cast<size_t>(i)]));
		ExpectFinite(Ask(&aligned.model(), graph, forecast.get()), graph.num_memory_nodes);
	}
}

TEST(TreesFeatures, StrangeGraphsAreRefused)
{
	auto description = std::make_unique<TreesDescription>();
	test::PlanBuilder plan = test::JoinPlan();
	plan.Finish();
	plan.graph()->nodes[3].parent = 4;
	EXPECT_FALSE(DescribeForTrees(*plan.graph(), description.get()));
	plan.graph()->nodes[3].parent = kNoNode;
	EXPECT_FALSE(DescribeForTrees(*plan.graph(), description.get()));
	plan.graph()->nodes[3].parent = 1;
	EXPECT_TRUE(DescribeForTrees(*plan.graph(), description.get()));
	plan.graph()->memory_node[0] = 200;
	EXPECT_FALSE(DescribeForTrees(*plan.graph(), description.get()));
	plan.graph()->memory_node[0] = 0;
	plan.graph()->overflow = true;
	EXPECT_FALSE(DescribeForTrees(*plan.graph(), description.get()));
}

}  // namespace
}  // namespace wlm
