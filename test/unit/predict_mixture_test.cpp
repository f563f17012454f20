/*
 * predict_mixture_test.cpp
 *
 * Mixing by precision, Predict() as a whole, and input of any absurdity.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "core/learn/learner.hpp"
#include "core/predict/mixture.hpp"
#include "plan_builder.hpp"

namespace wlm {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(Mix, EqualExpertsShareAlikeAndDisagreementWidens)
{
	const Estimate answers[kNumExperts] = {{1, 0.5f, 0.5f, 2}, {3, 0.5f, 0.5f, 2}};
	float shares[kNumExperts];
	const Estimate mixed = Mix(answers, {}, shares);
	EXPECT_FLOAT_EQ(shares[0], 0.5f);
	EXPECT_FLOAT_EQ(shares[1], 0.5f);
	EXPECT_FLOAT_EQ(mixed.mean, 2);
	EXPECT_FLOAT_EQ(mixed.Variance(), 2); /* 1 of their own, 1 of disagreement */
}

TEST(Mix, PreciseAndSupportedExpertsWeighMore)
{
	const Estimate precise[kNumExperts] = {{1, 1, 0, 5}, {3, 0.1f, 0, 5}};
	float shares[kNumExperts];
	EXPECT_GT(Mix(precise, {}, shares).mean, 2.9);
	EXPECT_GT(shares[1], 0.98);
	const Estimate supported[kNumExperts] = {{1, 1, 0, 100}, {3, 1, 0, 0.5f}};
	Mix(supported, {}, shares);
	EXPECT_NEAR(shares[0], 0.75, 0.01);
	EXPECT_FLOAT_EQ(shares[0] + shares[1], 1);
}

TEST(Mix, CalibrationScalesTheDeviationEachSideApart)
{
	const Estimate answers[kNumExperts] = {{1, 0.5f, 0.5f, 2}, {}};
	float shares[kNumExperts];
	const Estimate mixed = Mix(answers, {2, 6}, shares);
	EXPECT_FLOAT_EQ(mixed.Deviation(), 2);
	EXPECT_FLOAT_EQ(mixed.upward, 3);
	EXPECT_FLOAT_EQ(mixed.LogAt(-1), -1);
	EXPECT_FLOAT_EQ(mixed.LogAt(0), 1);
	EXPECT_FLOAT_EQ(mixed.LogAt(1), 7);
	EXPECT_FLOAT_EQ(mixed.At(1), std::exp(7.0f));
}

TEST(Mix, UnusableAnswersAreLeftOut)
{
	float shares[kNumExperts];
	const Estimate unusable[] = {{kNan, 1, 1, 1}, {1, kInf, 1, 1}, {1, 1, kNan, 1}, {1, 1, 1, kNan},
	                             {1, -1, 1, 1},   {1, 1, 1, 0},    {1, 1, 1, kInf}};
	for (const Estimate &bad : unusable) {
		const Estimate answers[kNumExperts] = {bad, {2, 1, 0, 1}};
		const Estimate mixed = Mix(answers, {}, shares);
		EXPECT_FLOAT_EQ(mixed.mean, 2);
		EXPECT_FLOAT_EQ(shares[1], 1);
		const Estimate none[kNumExperts] = {bad, {}};
		EXPECT_FALSE(Mix(none, {}, shares).HasOpinion());
		EXPECT_EQ(shares[0], 0);
	}
}

bool IsFactor(float factor) { return factor >= kLeastCalibration * 0.999f && factor <= kMostCalibration * 1.001f; }

class PredictTest : public ::testing::Test {
  protected:
	PredictTest() : memory_(RecallStore::BytesNeeded(64) / 8), forecast_(std::make_unique<Forecast>())
	{
		store_ = RecallStore::Init(std::as_writable_bytes(std::span(memory_)), 64);
		InitPlannerModel(&planner_);
		InitAccuracy(&accuracy_);
		InitGate(&gate_);
	}
	ModelView models() const
	{
		return {.planner = &planner_, .recall = store_, .gate = &gate_, .accuracy = &accuracy_, .version = 42};
	}
	LearningModels Models() { return {.planner = &planner_, .recall = store_, .gate = &gate_, .accuracy = &accuracy_}; }

	std::vector<uint64_t> memory_;
	RecallStore *store_;
	PlannerModel planner_;
	Accuracy accuracy_;
	GateModel gate_;
	std::unique_ptr<Forecast> forecast_;
};

TEST_F(PredictTest, FillsTheForecast)
{
	test::PlanBuilder plan = test::JoinPlan();
	Predict(models(), plan.Finish(), {4096, 2, false}, forecast_.get());
	EXPECT_TRUE(forecast_->has_opinion);
	EXPECT_EQ(forecast_->num_memory_nodes, 2);
	EXPECT_EQ(forecast_->plan_fingerprint, plan.graph()->plan_fingerprint);
	EXPECT_EQ(forecast_->template_fingerprint, plan.graph()->template_fingerprint);
	EXPECT_EQ(forecast_->model_version, 42u);
	EXPECT_TRUE(forecast_->memory[1].HasOpinion());
	EXPECT_TRUE(forecast_->parallel_fraction.HasOpinion());
	EXPECT_FLOAT_EQ(forecast_->time_share[kPlannerExpert], 1);
	EXPECT_FLOAT_EQ(forecast_->memory_share[kPlannerExpert], 1);
}

TEST_F(PredictTest, GraphAndExperienceGiveTheSameAnswer)
{
	test::PlanBuilder plan = test::JoinPlan();
	const PlanGraph &graph = plan.Finish();
	auto experience = test::JoinExperience(graph.template_fingerprint, graph.plan_fingerprint, 77, 1234, 567);
	for (int i = 0; i < 2; i++)
		experience->operators[i].formula_kb = static_cast<float>(FormulaMemoryKb(graph, graph.memory_node[i]));
	Learn(Models(), *experience);
	Predict(models(), graph, {4096, 2, false}, forecast_.get());
	PredictAgain(models(), nullptr, experience.get());
	EXPECT_FLOAT_EQ(experience->time.mean, forecast_->time.mean);
	EXPECT_FLOAT_EQ(experience->query_memory.mean, forecast_->query_memory.mean);
	EXPECT_NEAR(experience->operators[1].mixture.mean, forecast_->memory[1].mean, 1e-5);
	EXPECT_NEAR(experience->operators[1].predicted_kb, forecast_->memory[1].At(0), 0.01);
	EXPECT_FLOAT_EQ(experience->time_share[kRecallExpert], forecast_->time_share[kRecallExpert]);
	EXPECT_FLOAT_EQ(experience->memory_share[kRecallExpert], forecast_->memory_share[kRecallExpert]);
}

TEST_F(PredictTest, WithItsGraphAnExperienceIsAnsweredAsTheServerDoes)
{
	test::PlanBuilder plan = test::JoinPlan();
	const PlanGraph &graph = plan.Finish();
	auto experience = test::JoinExperience(graph.template_fingerprint, graph.plan_fingerprint, 77, 1234, 567);
	for (int i = 0; i < 20; i++) {
		PredictAgain(models(), &graph, experience.get());
		Learn(Models(), *experience);
	}
	Predict(models(), graph, {4096, 2, true}, forecast_.get());
	PredictAgain(models(), &graph, experience.get());
	EXPECT_EQ(experience->num_nodes, graph.num_nodes);
	EXPECT_EQ(experience->model_version, 42u);
	EXPECT_EQ(experience->familiarity, Familiarity::kPlanSeen);
	EXPECT_EQ(experience->time.mean, forecast_->time.mean);
	EXPECT_EQ(experience->time.upward, forecast_->time.upward);
	EXPECT_EQ(experience->query_memory.mean, forecast_->query_memory.mean);
	for (int slot = 0; slot < 2; slot++) {
		EXPECT_EQ(experience->operators[slot].mixture.mean, forecast_->memory[slot].mean);
		EXPECT_EQ(experience->operators[slot].predicted_kb, forecast_->memory[slot].At(0));
		EXPECT_EQ(experience->operators[slot].needed_kb, slot == 0 ? 1234 : 567);
		for (int e = 0; e < kNumExperts; e++)
			EXPECT_EQ(experience->operators[slot].answers[e].mean, forecast_->answers[e].memory[slot].mean);
	}
	for (int e = 0; e < kNumExperts; e++) {
		EXPECT_EQ(experience->time_answers[e].mean, forecast_->answers[e].time.mean);
		EXPECT_EQ(experience->time_share[e], forecast_->time_share[e]);
		EXPECT_EQ(experience->memory_share[e], forecast_->memory_share[e]);
	}

	/* without an opinion there is nothing left of what was said before */
	PredictAgain({}, &graph, experience.get());
	EXPECT_FALSE(experience->time.HasOpinion());
	EXPECT_FALSE(experience->operators[1].mixture.HasOpinion());
	EXPECT_FALSE(experience->operators[1].answers[kPlannerExpert].HasOpinion());
}

TEST_F(PredictTest, FamiliarityIsWhatRecallHasSeen)
{
	test::PlanBuilder plan = test::JoinPlan();
	const PlanGraph &graph = plan.Finish();
	Predict(models(), graph, {4096, 2, false}, forecast_.get());
	EXPECT_EQ(forecast_->familiarity, Familiarity::kUnseen);
	Remember(store_, *test::JoinExperience(graph.template_fingerprint, 99998, 10));
	Predict(models(), graph, {4096, 2, false}, forecast_.get());
	EXPECT_EQ(forecast_->familiarity, Familiarity::kTemplateSeen);
	Remember(store_, *test::JoinExperience(graph.template_fingerprint, graph.plan_fingerprint, 10));
	Predict(models(), graph, {4096, 2, false}, forecast_.get());
	EXPECT_EQ(forecast_->familiarity, Familiarity::kPlanSeen);
}

TEST_F(PredictTest, SharesOfAPlanWithoutMemoryOperators)
{
	test::PlanBuilder plan;
	plan.Add(kNoNode, NodeKind::kSeqScan);
	Predict(models(), plan.Finish(), {4096, 2, false}, forecast_.get());
	EXPECT_TRUE(forecast_->has_opinion);
	EXPECT_EQ(forecast_->num_memory_nodes, 0);
	EXPECT_FLOAT_EQ(forecast_->memory_share[kPlannerExpert], 1);
}

TEST_F(PredictTest, OverflowOrNothingToGoByIsNoOpinion)
{
	test::PlanBuilder plan = test::JoinPlan();
	plan.Finish();
	Predict(models(), *plan.graph(), {4096, 2, false}, forecast_.get());
	ASSERT_TRUE(forecast_->has_opinion);
	plan.graph()->overflow = true;
	Predict(models(), *plan.graph(), {4096, 2, false}, forecast_.get());
	EXPECT_FALSE(forecast_->has_opinion);
	EXPECT_EQ(forecast_->num_memory_nodes, 0);
	EXPECT_FALSE(forecast_->time.HasOpinion());

	plan.graph()->overflow = false;
	Predict({}, *plan.graph(), {4096, 2, false}, forecast_.get());
	EXPECT_FALSE(forecast_->has_opinion);
	EXPECT_EQ(forecast_->time_share[0], 0);
	Predict({.recall = store_}, *plan.graph(), {4096, 2, false}, forecast_.get());
	EXPECT_FALSE(forecast_->has_opinion);
	test::PlanBuilder empty;
	Predict(models(), empty.Finish(), {4096, 2, false}, forecast_.get());
	EXPECT_FALSE(forecast_->has_opinion);
}

TEST_F(PredictTest, RecallAloneHasAnOpinion)
{
	test::PlanBuilder plan = test::JoinPlan();
	const PlanGraph &graph = plan.Finish();
	Remember(store_, *test::JoinExperience(graph.template_fingerprint, graph.plan_fingerprint, 77));
	Predict({.recall = store_}, graph, {4096, 2, false}, forecast_.get());
	ASSERT_TRUE(forecast_->has_opinion);
	EXPECT_NEAR(forecast_->time.At(0), 77, 1);
	EXPECT_FLOAT_EQ(forecast_->time_share[kRecallExpert], 1);
}

TEST_F(PredictTest, PoisonedModelsGiveNoOpinionInsteadOfNan)
{
	test::PlanBuilder plan = test::JoinPlan();
	plan.Finish();
	for (const float poison : {kNan, kInf, -kInf, 1e38f}) {
		InitPlannerModel(&planner_);
		planner_.time.weights[0] = poison;
		planner_.memory[static_cast<int>(MemoryClass::kSort)].noise_variance = poison;
		planner_.query_memory.covariance[0][0] = poison;
		accuracy_.calibration[0].lower = accuracy_.calibration[0].class_upper[2] = poison;
		Predict(models(), *plan.graph(), {4096, 2, false}, forecast_.get());
		if (!forecast_->has_opinion)
			continue;
		EXPECT_TRUE(std::isfinite(forecast_->time.At(2)));
		EXPECT_TRUE(std::isfinite(forecast_->memory[0].mean));
		EXPECT_TRUE(std::isfinite(forecast_->query_memory.mean));
	}
}

TEST_F(PredictTest, AModelThatIsAlwaysBeingWrittenIsNoOpinion)
{
	test::PlanBuilder plan = test::JoinPlan();
	planner_.sequence.BeginWrite();
	Predict(models(), plan.Finish(), {4096, 2, false}, forecast_.get());
	EXPECT_FALSE(forecast_->has_opinion);
	planner_.sequence.EndWrite();
	Predict(models(), *plan.graph(), {4096, 2, false}, forecast_.get());
	EXPECT_TRUE(forecast_->has_opinion);
}

/* Numbers that no query has, chosen at random, through the whole loop. */
class Absurd {
  public:
	explicit Absurd(unsigned seed) : random_(seed) {}

	int Below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }
	float Number()
	{
		constexpr float kValues[] = {0, -0.0f, 1, -1, 1e-38f, 1e38f, -1e38f, kNan, kInf, -kInf, 1e10f, 1e-10f, 12345};
		if (Below(3) == 0)
			return std::exp(static_cast<float>(Below(60)) - 20);
		return kValues[Below(13)];
	}
	Estimate AnEstimate() { return {Number(), Number(), Number(), Number()}; }

	void Fill(Experience *experience)
	{
		experience->template_fingerprint = static_cast<uint64_t>(Below(5));
		experience->plan_fingerprint = static_cast<uint64_t>(Below(20));
		experience->temp_bytes = Below(2) ? std::numeric_limits<int64_t>::max() : -Below(1000000);
		experience->censored = Below(4) == 0;
		experience->final_state = static_cast<FinalState>(Below(7));
		experience->workers_launched = static_cast<int16_t>(Below(65536) - 32768);
		experience->total_cost = Number();
		experience->estimated_rows = Number();
		experience->time_ms = Number();
		experience->query_memory_kb = Number();
		experience->time = AnEstimate();
		experience->query_memory = AnEstimate();
		for (int i = 0; i < kNumExperts; i++) {
			experience->time_answers[i] = AnEstimate();
			experience->query_memory_answers[i] = AnEstimate();
			experience->time_share[i] = Number();
			experience->memory_share[i] = Number();
		}
		experience->num_operators = static_cast<int16_t>(Below(8) ? Below(8) : Below(65536) - 32768);
		for (OperatorExperience &op : experience->operators) {
			op.memory_slot = static_cast<int16_t>(Below(4) ? Below(30) : Below(65536) - 32768);
			op.kind = static_cast<NodeKind>(Below(256));
			op.memory = static_cast<MemoryClass>(Below(4) ? Below(10) : Below(256));
			op.flags = static_cast<uint8_t>(Below(8));
			op.processes = static_cast<uint8_t>(Below(256));
			op.needed_kb = Number();
			op.formula_kb = Number();
			op.mixture = AnEstimate();
			for (Estimate &answer : op.answers)
				answer = AnEstimate();
		}
	}
	void Fill(PlanNode *node)
	{
		node->rows = Number();
		node->width = Number();
		node->startup_cost = Number();
		node->total_cost = Number();
		node->relation_pages = Number();
		node->groups = Number();
		node->state_bytes = Number();
		node->fold_count = Number();
		node->kind = static_cast<NodeKind>(Below(50));
		node->role = static_cast<NodeRole>(Below(9));
		node->aggregate = static_cast<AggKind>(Below(6));
		node->memory = static_cast<MemoryClass>(Below(12));
		node->workers = static_cast<uint8_t>(Below(256));
	}

  private:
	std::mt19937 random_;
};

void ExpectUsableOrNone(const Estimate &estimate)
{
	if (!estimate.HasOpinion())
		return;
	EXPECT_TRUE(std::isfinite(estimate.mean));
	EXPECT_TRUE(std::isfinite(estimate.Variance()));
	EXPECT_GE(estimate.Variance(), 0);
	EXPECT_TRUE(std::isfinite(estimate.support));
}

TEST_F(PredictTest, AbsurdExperiencesNeverPoisonTheModels)
{
	Absurd absurd(1);
	auto experience = std::make_unique<Experience>();
	for (int i = 0; i < 5000 && !HasFailure(); i++) {
		absurd.Fill(experience.get());
		if (i % 2)
			PredictAgain(models(), nullptr, experience.get());
		Learn(Models(), *experience);
		ASSERT_TRUE(PlannerModelIsSane(planner_)) << "after experience " << i;
		ASSERT_TRUE(GateModelIsSane(std::as_bytes(std::span(&gate_, 1)))) << "after experience " << i;
		for (const Familiarity familiarity : {Familiarity::kPlanSeen, Familiarity::kTemplateSeen, Familiarity::kUnseen})
			for (const Factors &factors : CalibrationOf(&accuracy_, familiarity).of)
				ASSERT_TRUE(IsFactor(factors.lower) && IsFactor(factors.upper));

		PredictAgain(models(), nullptr, experience.get());
		ExpectUsableOrNone(experience->time);
		ExpectUsableOrNone(experience->query_memory);
		for (int op = 0; op < std::clamp<int>(experience->num_operators, 0, kMaxMemoryNodes); op++)
			ExpectUsableOrNone(experience->operators[op].mixture);
	}
	for (const auto &target : accuracy_.windows)
		for (const ErrorWindow &window : target) {
			const AccuracyRow row = Summarise(window);
			EXPECT_TRUE(row.samples == 0 || (row.p50 >= 1 && row.p95 >= row.p50 && row.coverage <= 1));
		}

	/* and what a healthy workload teaches afterwards is learned */
	for (int i = 0; i < 300; i++)
		Learn(Models(), *test::JoinExperience(500, 1000, 20));
	auto question = test::JoinExperience(500, 1000, 0);
	PredictAgain({.planner = &planner_, .recall = store_, .version = 1}, nullptr, question.get());
	EXPECT_NEAR(question->time.At(0), 20, 2);
}

TEST_F(PredictTest, AbsurdPlansAreAnsweredOrNot)
{
	Absurd absurd(2);
	for (int round = 0; round < 2000 && !HasFailure(); round++) {
		test::PlanBuilder plan;
		const int nodes = absurd.Below(70);
		for (int i = 0; i < nodes; i++) {
			const int16_t index = plan.Add(static_cast<int16_t>(i == 0 ? kNoNode : absurd.Below(i)), NodeKind::kOther);
			if (index != kNoNode)
				absurd.Fill(&plan[index]);
		}
		if (absurd.Below(4) == 0 && nodes > 2)
			FoldSubtree(plan.graph(), static_cast<int16_t>(absurd.Below(nodes)),
			            static_cast<int16_t>(absurd.Below(nodes)));
		plan.graph()->total_cost = absurd.Number();
		Predict(models(), plan.Finish(), {0, kNan, false}, forecast_.get());
		ExpectUsableOrNone(forecast_->time);
		ExpectUsableOrNone(forecast_->parallel_fraction);
		ExpectUsableOrNone(forecast_->query_memory);
		for (int i = 0; i < forecast_->num_memory_nodes; i++)
			ExpectUsableOrNone(forecast_->memory[i]);
	}
}

/* Prints, asserts nothing: tests never depend on how fast the machine is. */
TEST_F(PredictTest, MeasureOfATwentyNodePlan)
{
	test::PlanBuilder plan;
	int16_t parent = plan.AddSort(kNoNode, 1000);
	for (int i = 0; i < 6; i++) {
		const int16_t join = plan.Add(parent, NodeKind::kHashJoin, 1000);
		const int16_t hash = plan.AddHash(join, 500);
		plan.Add(hash, NodeKind::kSeqScan, 500);
		parent = join;
	}
	plan.Add(parent, NodeKind::kSeqScan, 1000);
	const PlanGraph &graph = plan.Finish();
	Remember(store_, *test::JoinExperience(graph.template_fingerprint, graph.plan_fingerprint, 77));
	constexpr int kRounds = 20000;
	using Clock = std::chrono::steady_clock;
	const auto us = [](Clock::duration time) {
		return std::chrono::duration<double, std::micro>(time).count() / kRounds;
	};
	const auto start = Clock::now();
	for (int i = 0; i < kRounds; i++)
		Predict(models(), graph, {4096, 2, false}, forecast_.get());
	const auto predicted = Clock::now();
	for (int i = 0; i < kRounds; i++)
		plan.Finish();
	const auto finished = Clock::now();
	std::printf("             %d nodes, %d with memory: Predict %.2f us, FinishGraph %.2f us\n", graph.num_nodes,
	            graph.num_memory_nodes, us(predicted - start), us(finished - predicted));
	EXPECT_TRUE(forecast_->has_opinion);
}

}  // namespace
}  // namespace wlm
