/*
 * predict_regression_test.cpp
 *
 * The planner expert: what a fresh model says, what it learns, and what it
 * does not let itself be told.
 */
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "core/learn/learner.hpp"
#include "core/predict/planner_expert.hpp"
#include "core/predict/regression.hpp"
#include "plan_builder.hpp"

namespace wlm {
namespace {

constexpr RegressionPrior kPrior = {{0, 1, 0, 0}, {1.0f, 0.1f, 0, 0}, 1.0f};

TEST(Regression, LearnsLevelAndSlope)
{
	Regression regression;
	InitRegression(&regression, kPrior);
	std::mt19937 random(1);
	std::normal_distribution<float> normal;
	for (int i = 0; i < 2000; i++) {
		const float x[kMaxRegressors] = {1, 2 * normal(random), 0, 0};
		LearnRegression(&regression, kPrior, x, 2 + 0.7f * x[1] + 0.3f * normal(random), false);
		ASSERT_TRUE(RegressionIsSane(regression));
	}
	EXPECT_NEAR(regression.weights[0], 2, 0.05);
	EXPECT_NEAR(regression.weights[1], 0.7, 0.05);
	EXPECT_NEAR(std::sqrt(regression.noise_variance), 0.3, 0.06);
	EXPECT_EQ(regression.weights[2], 0);
}

TEST(Regression, OutliersPullLittle)
{
	Regression regression;
	InitRegression(&regression, kPrior);
	std::mt19937 random(2);
	std::normal_distribution<float> normal;
	const float x[kMaxRegressors] = {1, 0, 0, 0};
	for (int i = 0; i < 500; i++)
		LearnRegression(&regression, kPrior, x, i % 10 == 9 ? 20.0f : 1 + 0.2f * normal(random), false);
	/* the mean would be 2.9 */
	EXPECT_NEAR(regression.weights[0], 1, 0.25);
}

TEST(Regression, FollowsDrift)
{
	Regression regression;
	InitRegression(&regression, kPrior);
	const float x[kMaxRegressors] = {1, 0, 0, 0};
	for (int i = 0; i < 3000; i++)
		LearnRegression(&regression, kPrior, x, 1 + 0.1f * static_cast<float>(i % 3), false);
	for (int i = 0; i < 1000; i++)
		LearnRegression(&regression, kPrior, x, 3 + 0.1f * static_cast<float>(i % 3), false);
	EXPECT_NEAR(regression.weights[0], 3.1, 0.2);
}

TEST(Regression, LowerBoundsOnlyRaise)
{
	Regression regression;
	InitRegression(&regression, kPrior);
	const float x[kMaxRegressors] = {1, 0, 0, 0};
	LearnRegression(&regression, kPrior, x, -5, true);
	EXPECT_EQ(regression.weights[0], 0);
	EXPECT_EQ(regression.evidence, 0);
	LearnRegression(&regression, kPrior, x, 2, true);
	EXPECT_GT(regression.weights[0], 0.3);
}

TEST(Regression, OneRepeatedPointDoesNotInflateTheRest)
{
	Regression regression;
	InitRegression(&regression, kPrior);
	const float x[kMaxRegressors] = {1, 3, 0, 0};
	for (int i = 0; i < 100000; i++)
		LearnRegression(&regression, kPrior, x, 4, false);
	ASSERT_TRUE(RegressionIsSane(regression));
	EXPECT_LE(regression.covariance[0][0], 1.0f);
	EXPECT_LE(regression.covariance[1][1], 0.1f);
	EXPECT_NEAR(PredictRegression(regression, x).mean, 4, 0.05);
}

TEST(Regression, AbsurdNumbersLeaveItSane)
{
	Regression regression;
	InitRegression(&regression, kPrior);
	const float values[] = {
		0,     1, -1, 1e30f, -1e30f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(),
		1e-30f};
	for (int round = 0; round < 10; round++)
		for (const float y : values)
			for (const float x1 : values) {
				const float x[kMaxRegressors] = {1, x1, 0, 0};
				LearnRegression(&regression, kPrior, x, y, false);
				ASSERT_TRUE(RegressionIsSane(regression));
			}
}

class PlannerExpertTest : public ::testing::Test {
  protected:
	PlannerExpertTest() { InitPlannerModel(&model_); }

	ExpertAnswer Ask(test::PlanBuilder *plan)
	{
		const auto forecast = std::make_unique<Forecast>();
		AskPlanner({.planner = &model_, .version = 1}, plan->Finish(), {4096, 2, false}, forecast.get());
		return forecast->answers[kPlannerExpert];
	}

	PlannerModel model_;
};

TEST_F(PlannerExpertTest, FreshModelIsThePrior)
{
	EXPECT_TRUE(PlannerModelIsSane(model_));
	test::PlanBuilder plan = test::JoinPlan();
	const ExpertAnswer answer = Ask(&plan);
	/* 30,000 cost units: 0.3 s, within a factor of ten or so */
	EXPECT_NEAR(answer.time.At(0), 300, 10);
	EXPECT_GT(answer.time.Deviation(), 1.2);
	EXPECT_NEAR(answer.memory[0].At(0), FormulaMemoryKb(*plan.graph(), 0), 5);
	EXPECT_GT(answer.memory[1].Deviation(), 1.5);
	EXPECT_GT(answer.query_memory.At(0), answer.memory[0].At(0));
	EXPECT_TRUE(answer.parallel_fraction.HasOpinion());
	EXPECT_LT(answer.parallel_fraction.mean, -3); /* no Gather */
}

TEST_F(PlannerExpertTest, SumOfOneOperatorAndOfMany)
{
	PlanFeatures features{};
	Estimate memory[4] = {};
	EXPECT_NEAR(SumOfOperators(features, memory).At(0), 512, 0.1); /* the base alone */
	for (int i = 0; i < 4; i++) {
		memory[i] = {std::log(1e6f), 0.25f, 0, 1};
		features.operators[i].copies = 1;
	}
	features.num_operators = 1;
	EXPECT_NEAR(SumOfOperators(features, memory).mean, std::log(1e6), 0.01);
	EXPECT_NEAR(SumOfOperators(features, memory).data_variance, 0.25, 0.01);
	features.num_operators = 4;
	/* mean 4 e^(1/8) million; relative variance (e^(1/4) - 1) / 4 */
	const double log_variance = std::log1p((std::exp(0.25) - 1) / 4);
	EXPECT_NEAR(SumOfOperators(features, memory).data_variance, log_variance, 0.001);
	EXPECT_NEAR(SumOfOperators(features, memory).mean, std::log(4e6) + 0.125 - log_variance / 2, 0.001);
	features.operators[0].copies = 5;
	EXPECT_GT(SumOfOperators(features, memory).mean, std::log(7.9e6));
}

TEST_F(PlannerExpertTest, CountsProcessesAndPoolsParallelHash)
{
	test::PlanBuilder serial;
	const int16_t root = serial.Add(kNoNode, NodeKind::kGather);
	serial.AddSort(root, 1e6);
	const float alone = Ask(&serial).query_memory.At(0);
	serial[root].workers = 3;
	EXPECT_NEAR(Ask(&serial).query_memory.At(0) / alone, 4, 1.5);

	test::PlanBuilder pooled;
	const int16_t gather = pooled.Add(kNoNode, NodeKind::kGather);
	pooled[gather].workers = 3;
	const int16_t hash = pooled.AddHash(gather, 1e6);
	pooled[hash].role = NodeRole::kOuter;
	pooled[hash].memory = MemoryClass::kParallelHash;
	const ExpertAnswer answer = Ask(&pooled);
	EXPECT_NEAR(answer.query_memory.At(0) / answer.memory[0].At(0), 1, 0.05);
}

TEST_F(PlannerExpertTest, ParallelFractionIsTheShareBelowGathers)
{
	test::PlanBuilder plan;
	const int16_t agg = plan.Add(kNoNode, NodeKind::kAgg);
	plan[agg].total_cost = 1000;
	const int16_t gather = plan.Add(agg, NodeKind::kGather);
	plan[gather].workers = 3;
	plan[gather].total_cost = 850;
	const int16_t scan = plan.Add(gather, NodeKind::kSeqScan);
	plan[scan].total_cost = 800;
	/* 4 x 800 in parallel beside 200 */
	EXPECT_NEAR(Ask(&plan).parallel_fraction.mean, std::log(3200.0 / 200), 0.01);
}

TEST_F(PlannerExpertTest, LearnsAFactor)
{
	std::mt19937 random(3);
	std::normal_distribution<float> normal;
	for (int i = 0; i < 300; i++) {
		const float size = std::exp(2 * normal(random));
		auto experience = test::JoinExperience(1, 2, 1, 950 * size * 5, 80 * size * 20);
		experience->total_cost = 30000 * size;
		experience->estimated_rows = 10000 * size;
		experience->time_ms = 30000 * size * 0.002f * std::exp(0.2f * normal(random));
		experience->operators[0].formula_kb = 950 * size;
		experience->operators[1].formula_kb = 80 * size;
		LearnPlanner(&model_, *experience);
	}
	EXPECT_EQ(model_.observations, 300u);
	EXPECT_TRUE(PlannerModelIsSane(model_));
	auto question = test::JoinExperience(1, 2, 1);
	PredictAgain({.planner = &model_, .version = 1}, nullptr, question.get());
	EXPECT_NEAR(question->time.At(0), 60, 8);
	EXPECT_LT(question->time.Deviation(), 0.6);
	EXPECT_NEAR(question->operators[0].mixture.At(0), 4750, 500);
	EXPECT_NEAR(question->operators[1].mixture.At(0), 1600, 200);
	EXPECT_NEAR(question->query_memory.At(0), 4750 + 1600 + 512, 1500);
}

TEST_F(PlannerExpertTest, SpilledNeedsOnlyRaise)
{
	auto low = test::JoinExperience(1, 2, 300, 10, 10);
	auto high = test::JoinExperience(1, 2, 300, 1e6f, 10);
	low->operators[0].flags = high->operators[0].flags = kObserved | kSpilled;
	const auto &sort = model_.memory[static_cast<int>(MemoryClass::kSort)];
	const float before = sort.weights[0];
	LearnPlanner(&model_, *low);
	EXPECT_EQ(sort.weights[0], before);
	LearnPlanner(&model_, *high);
	EXPECT_GT(sort.weights[0], before);
}

TEST_F(PlannerExpertTest, WhatDidNotRunTeachesNothing)
{
	for (const FinalState state : {FinalState::kRejected, FinalState::kTimedOut}) {
		auto experience = test::JoinExperience(1, 2, 1e7f);
		experience->final_state = state;
		LearnPlanner(&model_, *experience);
	}
	EXPECT_EQ(model_.observations, 0u);
}

TEST_F(PlannerExpertTest, InsaneModelsAreSeen)
{
	model_.time.weights[1] = std::numeric_limits<float>::quiet_NaN();
	EXPECT_FALSE(PlannerModelIsSane(model_));
	InitPlannerModel(&model_);
	model_.query_memory.covariance[0][1] = 50;
	EXPECT_FALSE(PlannerModelIsSane(model_));
	InitPlannerModel(&model_);
	model_.memory[3].noise_variance = -1;
	EXPECT_FALSE(PlannerModelIsSane(model_));
	InitPlannerModel(&model_);
	EXPECT_TRUE(PlannerModelIsSane(model_));
}

TEST_F(PlannerExpertTest, InitCuresAnOddSequence)
{
	model_.sequence.value.store(7);
	InitPlannerModel(&model_);
	EXPECT_EQ(model_.sequence.value.load() % 2, 0u);
	EXPECT_TRUE(PlannerModelIsSane(model_));
}

}  // namespace
}  // namespace wlm
