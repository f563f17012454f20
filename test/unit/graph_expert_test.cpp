/*
 * graph_expert_test.cpp
 *
 * What the graph expert sees of a plan, when it has no opinion, and that
 * neither hostile plans nor hostile models get anything but numbers out of it.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/predict/graph_parameters.hpp"
#include "core/predict/log_scale.hpp"
#include "unit/graph_plans.hpp"

namespace wlm {
namespace {

using test::JoinPlan;
using test::PlanBuilder;
using test::SomeModel;

std::unique_ptr<Forecast> Ask(const GraphModel *model, const PlanGraph &graph)
{
	auto forecast = std::make_unique<Forecast>();
	std::memset(static_cast<void *>(forecast.get()), 0x7f, sizeof(Forecast)); /* whatever was there before */
	ModelView models;
	models.graph = model;
	AskGraph(models, graph, {4096, 2, true}, forecast.get());
	return forecast;
}

bool IsSane(const GraphModel &model) { return GraphModelIsSane(std::as_bytes(std::span(&model, 1))); }

float NumberOf(const NodeFeatures &node, Number number) { return node.numbers[static_cast<size_t>(number)]; }

bool Has(const NodeFeatures &node, Category category) { return (node.categories >> static_cast<int>(category)) & 1; }

TEST(NodeFeatures, SeesTheOperators)
{
	PlanBuilder plan = JoinPlan();
	GraphDescription description;
	ASSERT_TRUE(DescribeGraph(plan.Finish(), &description));
	ASSERT_EQ(description.num_nodes, 5);
	EXPECT_TRUE(Has(description.nodes[0], Category::kSort));
	EXPECT_TRUE(Has(description.nodes[1], Category::kHashJoin));
	EXPECT_TRUE(Has(description.nodes[3], Category::kHash));
	EXPECT_TRUE(Has(description.nodes[3], Category::kInner));
	EXPECT_EQ(description.nodes[0].message, MessageKind::kNone);
	EXPECT_EQ(description.nodes[2].message, MessageKind::kOuter);
	EXPECT_EQ(description.nodes[3].message, MessageKind::kInner);
	EXPECT_NEAR(description.nodes[0].log_formula_kb, std::log(FormulaMemoryKb(*plan.graph(), 0)), 1e-4);
	EXPECT_EQ(description.nodes[2].log_formula_kb, 0);
	/* 30,000 units of which the join's 10,000 are its own */
	EXPECT_NEAR(description.nodes[0].log_own_ms, std::log(200.0f), 0.01f);
}

TEST(NodeFeatures, NamesDoNotMatter)
{
	PlanBuilder one = JoinPlan(5000, 7);
	PlanBuilder other = JoinPlan(5000, 1234567);
	GraphDescription descriptions[2];
	ASSERT_TRUE(DescribeGraph(one.Finish(), &descriptions[0]));
	ASSERT_TRUE(DescribeGraph(other.Finish(), &descriptions[1]));
	ASSERT_NE(one.graph()->template_fingerprint, other.graph()->template_fingerprint);
	for (size_t i = 0; i < 5; i++) {
		EXPECT_EQ(descriptions[0].nodes[i].categories, descriptions[1].nodes[i].categories);
		EXPECT_EQ(descriptions[0].nodes[i].numbers, descriptions[1].nodes[i].numbers);
	}
}

TEST(NodeFeatures, ALimitLeavesLittleOfTheScan)
{
	PlanBuilder plan;
	const int16_t limit = plan.Add(kNoNode, NodeKind::kLimit, 10);
	plan.Add(limit, NodeKind::kSeqScan, 1e6f);
	plan.graph()->nodes[0].total_cost = 2;
	plan.graph()->nodes[1].total_cost = 20000;
	GraphDescription description;
	ASSERT_TRUE(DescribeGraph(plan.Finish(), &description));
	EXPECT_NEAR(description.nodes[1].log_own_ms, std::log(0.02f), 0.3f);
	/* but a sort below it still needs all rows */
	PlanBuilder sorted;
	const int16_t top = sorted.Add(kNoNode, NodeKind::kLimit, 10);
	const int16_t sort = sorted.AddSort(top, 1e6f);
	const int16_t below = sorted.Add(sort, NodeKind::kSeqScan, 1e6f);
	sorted[top].total_cost = sorted[sort].startup_cost = 30000;
	sorted[sort].total_cost = 35000;
	sorted[below].total_cost = 20000;
	ASSERT_TRUE(DescribeGraph(sorted.Finish(), &description));
	EXPECT_NEAR(description.nodes[2].log_own_ms, std::log(200.0f), 0.01f);
}

TEST(NodeFeatures, InnerSidesOfNestedLoopsRunAgainAndAgain)
{
	PlanBuilder plan;
	const int16_t join = plan.Add(kNoNode, NodeKind::kNestLoop, 1000);
	plan.Add(join, NodeKind::kSeqScan, 1000);
	plan.Add(join, NodeKind::kIndexScan, 1, NodeRole::kInner);
	GraphDescription description;
	ASSERT_TRUE(DescribeGraph(plan.Finish(), &description));
	EXPECT_EQ(NumberOf(description.nodes[1], Number::kLoops), 0);
	EXPECT_NEAR(NumberOf(description.nodes[2], Number::kLoops), std::log(1000.0f) / 5, 1e-3f);
}

TEST(GraphExpert, NoOpinionWithoutModelOrPlan)
{
	const auto model = SomeModel(0.2f);
	PlanBuilder plan = JoinPlan();
	const PlanGraph &graph = plan.Finish();
	auto forecast = Ask(nullptr, graph);
	EXPECT_FALSE(forecast->answers[kGraphExpert].time.HasOpinion());
	EXPECT_FALSE(forecast->answers[kGraphExpert].memory[1].HasOpinion());
	EXPECT_EQ(forecast->embedding_version, 0u);
	plan.graph()->overflow = true;
	EXPECT_EQ(Ask(model.get(), graph)->embedding_version, 0u);
	ResetGraph(plan.graph());
	EXPECT_EQ(Ask(model.get(), graph)->embedding_version, 0u);
}

TEST(GraphExpert, OpinionOnAllButTemporaryFiles)
{
	const auto model = SomeModel(0.2f);
	PlanBuilder plan = JoinPlan();
	const PlanGraph &graph = plan.Finish();
	const auto forecast = Ask(model.get(), graph);
	const ExpertAnswer &answer = forecast->answers[kGraphExpert];
	EXPECT_TRUE(IsUsable(answer.time));
	EXPECT_TRUE(IsUsable(answer.query_memory));
	EXPECT_TRUE(IsUsable(answer.parallel_fraction));
	EXPECT_TRUE(IsUsable(answer.memory[0]) && IsUsable(answer.memory[1]));
	EXPECT_FALSE(answer.temp[0].HasOpinion() || answer.temp[1].HasOpinion());
	EXPECT_EQ(forecast->embedding_version, GraphModelVersion(*model));
	for (const float x : forecast->embedding.at)
		EXPECT_LE(std::fabs(x), 1);
	ModelView models;
	EXPECT_EQ(PriceOfGraph(models, graph), 0);
	models.graph = model.get();
	EXPECT_GT(PriceOfGraph(models, graph), 1000);
	EXPECT_LT(PriceOfGraph(models, graph), 100000);
}

/* A fresh model with weights of zero is PostgreSQL's arithmetic. */
TEST(GraphExpert, CorrectsFormulas)
{
	auto model = SomeModel(0);
	PlanBuilder plan = JoinPlan();
	const PlanGraph &graph = plan.Finish();
	const auto forecast = Ask(model.get(), graph);
	const ExpertAnswer &answer = forecast->answers[kGraphExpert];
	EXPECT_NEAR(answer.memory[0].mean, std::log(FormulaMemoryKb(graph, 0)), 1e-4);
	const double sum = static_cast<double>(kQueryBaseKb) + FormulaMemoryKb(graph, 0) + FormulaMemoryKb(graph, 3);
	EXPECT_NEAR(answer.query_memory.mean, std::log(sum), 1e-4);
	/* 10 us a unit: 30,000 for the plan and what the planner does not charge to the hash */
	EXPECT_NEAR(answer.time.mean, std::log(300.0f), 0.1f);
}

TEST(GraphExpert, ParallelFractionFollowsTheGather)
{
	const auto model = SomeModel(0);
	PlanBuilder plan;
	const int16_t gather = plan.Add(kNoNode, NodeKind::kGather, 100);
	plan[gather].workers = 3;
	plan[gather].total_cost = 1100;
	plan.Add(gather, NodeKind::kSeqScan, 1000);
	/* 1,000 x 4 processes of 4,100 */
	const float f = 4000.0f / 4100;
	EXPECT_NEAR(Ask(model.get(), plan.Finish())->answers[kGraphExpert].parallel_fraction.mean, std::log(f / (1 - f)),
	            0.01f);
	PlanBuilder serial = JoinPlan();
	EXPECT_LT(Ask(model.get(), serial.Finish())->answers[kGraphExpert].parallel_fraction.mean, -3);
}

TEST(GraphExpert, HostilePlansGiveNumbersOrNothing)
{
	const auto model = SomeModel(0.5f);
	const float values[] = {std::numeric_limits<float>::quiet_NaN(),
	                        std::numeric_limits<float>::infinity(),
	                        -std::numeric_limits<float>::infinity(),
	                        1e30f,
	                        3e38f,
	                        -1e30f,
	                        -1,
	                        0,
	                        1e-40f,
	                        1};
	trainer::Random random(11);
	for (int round = 0; round < 3000; round++) {
		PlanBuilder plan = JoinPlan();
		PlanGraph *graph = plan.graph();
		const auto value = [&] { return values[random.Below(std::size(values))]; };
		for (int change = 0; change < 6; change++) {
			PlanNode *node = &graph->nodes[random.Below(5)];
			float *fields[] = {&node->rows,       &node->width,         &node->startup_cost,
			                   &node->total_cost, &node->relation_rows, &node->relation_pages,
			                   &node->groups,     &node->state_bytes,   &node->fold_count};
			*fields[random.Below(std::size(fields))] = value();
			if (random.Below(4) == 0)
				node->kind = static_cast<NodeKind>(random.Below(256));
			if (random.Below(4) == 0)
				node->role = static_cast<NodeRole>(random.Below(256));
			if (random.Below(4) == 0)
				node->num_keys = node->workers = 255;
		}
		plan.Finish();
		if (random.Below(2) == 0)
			graph->nodes[random.Below(5)].processes = value();
		if (random.Below(8) == 0)
			graph->nodes[random.Below(5)].parent = static_cast<int16_t>(random.Below(12)) - 3;
		if (random.Below(8) == 0)
			graph->memory_node[random.Below(2)] = static_cast<int16_t>(random.Next());
		if (random.Below(8) == 0)
			graph->num_nodes = static_cast<int16_t>(random.Below(600)) - 100;
		const auto forecast = Ask(model.get(), *graph);
		if (forecast->embedding_version == 0) {
			EXPECT_FALSE(forecast->answers[kGraphExpert].time.HasOpinion());
			continue;
		}
		const ExpertAnswer &answer = forecast->answers[kGraphExpert];
		for (const Estimate &estimate :
		     {answer.time, answer.query_memory, answer.parallel_fraction, answer.memory[0], answer.memory[1]})
			EXPECT_TRUE(IsUsable(estimate)) << "round " << round;
		for (const float x : forecast->embedding.at)
			EXPECT_TRUE(std::isfinite(x));
	}
}

TEST(GraphExpert, DeepestPlan)
{
	const auto model = SomeModel(0.5f);
	PlanBuilder plan;
	int16_t parent = kNoNode;
	for (int i = 0; i < kMaxPlanNodes; i++)
		parent = plan.Add(parent, NodeKind::kLimit, 1e6f);
	EXPECT_TRUE(IsUsable(Ask(model.get(), plan.Finish())->answers[kGraphExpert].time));
}

TEST(GraphModel, SaneOrNot)
{
	const auto model = SomeModel(0.5f);
	ASSERT_TRUE(IsSane(*model));
	EXPECT_EQ(GraphModelBytes(), sizeof(GraphModel));
	EXPECT_NE(GraphModelVersion(*model), 0u);
	const auto bytes = std::as_bytes(std::span(model.get(), 1));
	EXPECT_FALSE(GraphModelIsSane(bytes.first(bytes.size() - 1)));
	EXPECT_FALSE(GraphModelIsSane({}));

	const auto spoil = [&](auto change) {
		GraphModel copy = *model;
		change(&copy);
		return IsSane(copy);
	};
	const auto spoil_and_sign = [&](auto change) {
		GraphModel copy = *model;
		change(&copy);
		copy.version = GraphChecksum(copy);
		return IsSane(copy);
	};
	const float nan = std::numeric_limits<float>::quiet_NaN();
	EXPECT_TRUE(spoil([](GraphModel *) {}));
	EXPECT_FALSE(spoil([](GraphModel *m) { m->magic++; }));
	EXPECT_FALSE(spoil([](GraphModel *m) { m->format++; }));
	EXPECT_FALSE(spoil([](GraphModel *m) { m->hidden = 64; }));
	EXPECT_FALSE(spoil([](GraphModel *m) { m->num_parameters--; }));
	EXPECT_FALSE(spoil([](GraphModel *m) { m->version++; }));
	EXPECT_FALSE(spoil([](GraphModel *m) { m->parameters[7] += 1; }));
	EXPECT_FALSE(spoil([nan](GraphModel *m) { m->time.support = nan; }));
	EXPECT_FALSE(spoil([](GraphModel *m) { m->memory[3].model_variance = -1; }));
	EXPECT_FALSE(spoil([](GraphModel *m) { m->query_memory.support = 1e30f; }));
	EXPECT_TRUE(spoil_and_sign([](GraphModel *m) { m->parameters[7] += 1; }));
	EXPECT_FALSE(spoil_and_sign([nan](GraphModel *m) { m->parameters[7] = nan; }));
	EXPECT_FALSE(spoil_and_sign([](GraphModel *m) { m->parameters[kNumParameters - 1] = 1e30f; }));
	EXPECT_FALSE(spoil_and_sign([nan](GraphModel *m) { m->least[0] = nan; }));
	EXPECT_FALSE(spoil_and_sign([](GraphModel *m) { std::swap(m->least[0], m->most[0]); }));
	EXPECT_FALSE(spoil_and_sign([](GraphModel *m) { m->known_categories = ~uint64_t{0}; }));
}

}  // namespace
}  // namespace wlm
