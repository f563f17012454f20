/*
 * predict_recall_test.cpp
 *
 * The recall store and expert: place and replacement, decayed moments, lower
 * bounds, changed plans, shrinkage, scalability; one writer beside readers.
 */
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "core/learn/learner.hpp"
#include "core/predict/moments.hpp"
#include "core/predict/recall_access.hpp"
#include "plan_builder.hpp"

namespace wlm {
namespace {

constexpr uint64_t kTemplate = 1000;
constexpr uint64_t kPlan = 2000;

TEST(Moments, MeanAndVarianceOfAStationaryValue)
{
	Moments moments{};
	std::mt19937 random(1);
	std::normal_distribution<float> normal(3, 0.5f);
	double mean = 0;
	double variance = 0;
	for (int i = 0; i < 4000; i++) {
		Fold(&moments, normal(random));
		if (i >= 100) {
			mean += moments.mean / 3900;
			variance += moments.variance / 3900;
		}
	}
	EXPECT_NEAR(mean, 3, 0.02);
	EXPECT_NEAR(variance, 0.25, 0.02);
	EXPECT_NEAR(moments.weight, 29.4, 0.1);
	EXPECT_TRUE(IsSane(moments));
}

TEST(Moments, HalfTheWeightIsGoneAfterTwenty)
{
	Moments moments{};
	for (int i = 0; i < 500; i++)
		Fold(&moments, 0);
	for (int i = 0; i < 20; i++)
		Fold(&moments, 1);
	EXPECT_NEAR(moments.mean, 0.5, 0.01);
}

TEST(QuantileSketch, MedianOfAStreamAndAfterAJump)
{
	Moments moments{};
	QuantileSketch sketch{};
	std::mt19937 random(2);
	std::normal_distribution<float> normal(5, 0.3f);
	for (int i = 0; i < 300; i++) {
		const float value = normal(random);
		Fold(&moments, value);
		AddToSketch(&sketch, moments, value);
	}
	EXPECT_NEAR(SketchQuantile(sketch, 0.5f), 5, 0.2);
	EXPECT_NEAR(SketchQuantile(sketch, 0.9f), 5.38, 0.25);
	for (int i = 0; i < 200; i++) {
		Fold(&moments, normal(random) + 2);
		AddToSketch(&sketch, moments, moments.last);
	}
	EXPECT_NEAR(SketchQuantile(sketch, 0.5f), 7, 0.2);
	EXPECT_TRUE(IsSane(sketch));
}

class RecallTest : public ::testing::Test {
  protected:
	explicit RecallTest(uint32_t capacity = 64) : memory_(RecallStore::BytesNeeded(capacity) / 8 + 1)
	{
		store_ = RecallStore::Init(std::as_writable_bytes(std::span(memory_)), capacity);
		InitPlannerModel(&planner_);
	}

	std::unique_ptr<Experience> Ask(uint64_t template_fingerprint = kTemplate, uint64_t plan_fingerprint = kPlan)
	{
		auto question = test::JoinExperience(template_fingerprint, plan_fingerprint, 0, 0, 0);
		PredictAgain({.planner = &planner_, .recall = store_, .version = 1}, nullptr, question.get());
		return question;
	}
	void Run(float time_ms, float sort_kb = 1000, uint64_t plan_fingerprint = kPlan)
	{
		Remember(store_, *test::JoinExperience(kTemplate, plan_fingerprint, time_ms, sort_kb));
	}

	std::vector<uint64_t> memory_;
	RecallStore *store_;
	PlannerModel planner_;
};

TEST_F(RecallTest, InitRefusesWhatDoesNotFit)
{
	std::vector<uint64_t> memory(RecallStore::BytesNeeded(16) / 8);
	const std::span<std::byte> bytes = std::as_writable_bytes(std::span(memory));
	EXPECT_NE(RecallStore::Init(bytes, 16), nullptr);
	EXPECT_EQ(RecallStore::Init(bytes.first(bytes.size() - 1), 16), nullptr);
	EXPECT_EQ(RecallStore::Init(bytes.subspan(4), 8), nullptr);
	EXPECT_EQ(RecallStore::Init({}, 8), nullptr);
	EXPECT_EQ(RecallStore::BytesNeeded(9), RecallStore::BytesNeeded(16));
	EXPECT_EQ(RecallStore::BytesNeeded(0), RecallStore::BytesNeeded(1));
}

TEST_F(RecallTest, NothingKnownIsNoOpinion)
{
	RecallEntry entry;
	EXPECT_FALSE(store_->Find(kPlan, &entry));
	EXPECT_FALSE(store_->Find(0, &entry));
	const auto question = Ask();
	EXPECT_FALSE(question->time_answers[kRecallExpert].HasOpinion());
	EXPECT_FALSE(question->operators[0].answers[kRecallExpert].HasOpinion());
	EXPECT_TRUE(question->time.HasOpinion());
	EXPECT_FLOAT_EQ(question->time_share[kPlannerExpert], 1);
}

TEST_F(RecallTest, OneRunIsRemembered)
{
	Run(5, 2000);
	RecallEntry entry;
	ASSERT_TRUE(store_->Find(kPlan, &entry));
	EXPECT_EQ(entry.fingerprint, kPlan);
	EXPECT_NEAR(entry.time.mean, std::log(5), 1e-4);
	EXPECT_EQ(entry.num_operators, 2);
	ASSERT_TRUE(store_->Find(TemplateKey(kTemplate), &entry));
	EXPECT_EQ(store_->used, 2u);
	EXPECT_EQ(store_->observations, 1u);

	const auto question = Ask();
	EXPECT_NEAR(question->time.At(0), 5, 1.5);
	EXPECT_NEAR(question->operators[0].mixture.At(0), 2000, 300);
	EXPECT_GT(question->time_share[kRecallExpert], 0.8);
}

TEST_F(RecallTest, ConvergesAndGrowsCertain)
{
	std::mt19937 random(3);
	std::normal_distribution<float> normal(0, 0.1f);
	float last_deviation = 100;
	for (const int runs : {1, 4, 15}) {
		for (int i = 0; i < runs; i++)
			Run(50 * std::exp(normal(random)), 3000 * std::exp(normal(random)));
		const auto question = Ask();
		EXPECT_LT(question->time.Deviation(), last_deviation);
		last_deviation = question->time.Deviation();
	}
	const auto question = Ask();
	EXPECT_NEAR(question->time.At(0), 50, 4);
	EXPECT_NEAR(question->operators[0].mixture.At(0), 3000, 200);
	EXPECT_GT(question->time_share[kRecallExpert], 0.95);
	EXPECT_GT(question->memory_share[kRecallExpert], 0.95);
	EXPECT_NEAR(question->time_share[kRecallExpert] + question->time_share[kPlannerExpert], 1, 1e-5);
}

TEST_F(RecallTest, AnotherPlanOfTheTemplateGetsTheTemplatesAnswerWithLessCertainty)
{
	for (int i = 0; i < 10; i++) {
		Run(100, 1000, 2000);
		Run(200, 1000, 2002);
	}
	const auto known = Ask(kTemplate, 2000);
	const auto unknown = Ask(kTemplate, 2004);
	EXPECT_NEAR(known->time.At(0), 100, 10);
	EXPECT_NEAR(unknown->time.At(0), 141, 30);
	EXPECT_GT(unknown->time.Deviation(), known->time.Deviation());
	EXPECT_LT(unknown->time_answers[kRecallExpert].support, known->time_answers[kRecallExpert].support);
}

TEST_F(RecallTest, ShrinksTowardsThePlanner)
{
	/* the planner says 300 ms; one run took 3 ms */
	Run(3);
	const auto question = Ask();
	const float recalled = question->time_answers[kRecallExpert].At(0);
	EXPECT_GT(recalled, 3);
	EXPECT_LT(recalled, 6);
}

TEST_F(RecallTest, CancelledEarlyDoesNotLookShort)
{
	auto cancelled = test::JoinExperience(kTemplate, kPlan, 1);
	cancelled->final_state = FinalState::kCancelled;
	cancelled->num_operators = 0;
	cancelled->query_memory_kb = 0;
	for (int i = 0; i < 20; i++) {
		Ask();
		const auto predicted = Ask();
		cancelled->time = predicted->time;
		Remember(store_, *cancelled);
	}
	EXPECT_EQ(store_->used, 0u);
	EXPECT_NEAR(Ask()->time.At(0), 300, 10);
}

TEST_F(RecallTest, CensoredTimesOnlyRaise)
{
	for (int i = 0; i < 10; i++)
		Run(100);
	const float before = Ask()->time.mean;
	auto censored = test::JoinExperience(kTemplate, kPlan, 1);
	censored->censored = true;
	Remember(store_, *censored);
	EXPECT_FLOAT_EQ(Ask()->time.mean, before);
	censored->time_ms = 100000;
	Remember(store_, *censored);
	EXPECT_GT(Ask()->time.mean, before);
}

TEST_F(RecallTest, SpilledNeedsOnlyRaise)
{
	auto spilled = test::JoinExperience(kTemplate, kPlan, 100, 64);
	spilled->operators[0].flags = kObserved | kSpilled;
	Remember(store_, *spilled);
	/* a bound below what the planner expects (950 kB) says nothing */
	EXPECT_FALSE(Ask()->operators[0].answers[kRecallExpert].HasOpinion());
	spilled->operators[0].needed_kb = 50000;
	Remember(store_, *spilled);
	const auto bounded = Ask();
	ASSERT_TRUE(bounded->operators[0].answers[kRecallExpert].HasOpinion());
	EXPECT_GE(bounded->operators[0].answers[kRecallExpert].At(0), 49000);

	/* whole values take over, and a higher bound beside them widens upwards */
	for (int i = 0; i < 10; i++)
		Run(100, 40000);
	const float before = Ask()->operators[0].mixture.At(1.6f);
	spilled->operators[0].needed_kb = 500;
	Remember(store_, *spilled);
	EXPECT_GE(Ask()->operators[0].mixture.At(1.6f), before * 0.99f);
	spilled->operators[0].needed_kb = 400000;
	Remember(store_, *spilled);
	EXPECT_GT(Ask()->operators[0].mixture.At(1.6f), before * 1.2f);
}

TEST_F(RecallTest, LowerBoundsFade)
{
	auto spilled = test::JoinExperience(kTemplate, kPlan, 100, 1e6f);
	spilled->operators[0].flags = kObserved | kSpilled;
	Remember(store_, *spilled);
	for (int i = 0; i < 200; i++)
		Run(100, 1000);
	RecallEntry entry;
	ASSERT_TRUE(store_->Find(kPlan, &entry));
	EXPECT_NEAR(entry.operators[0].lower_bound, std::log(1000), 0.1);
	EXPECT_LT(entry.operators[0].spill_share, 0.01);
	EXPECT_NEAR(Ask()->operators[0].mixture.At(0), 1000, 60);
}

TEST_F(RecallTest, AnotherKindAtTheSamePlaceIsNoOpinion)
{
	for (int i = 0; i < 5; i++)
		Run(100);
	auto question = test::JoinExperience(kTemplate, kPlan, 0, 0, 0);
	question->operators[0].kind = NodeKind::kAgg;
	question->operators[0].memory = MemoryClass::kHashAgg;
	PredictAgain({.planner = &planner_, .recall = store_, .version = 1}, nullptr, question.get());
	EXPECT_FALSE(question->operators[0].answers[kRecallExpert].HasOpinion());
	EXPECT_TRUE(question->operators[1].answers[kRecallExpert].HasOpinion());

	/* and learning it starts anew instead of averaging sorts with aggregates */
	question->time_ms = 100;
	question->operators[0].needed_kb = 7;
	Remember(store_, *question);
	RecallEntry entry;
	ASSERT_TRUE(store_->Find(kPlan, &entry));
	EXPECT_FLOAT_EQ(entry.operators[0].needed.weight, 1);
	EXPECT_NEAR(entry.operators[0].needed.mean, std::log(7), 1e-4);
}

TEST_F(RecallTest, OperatorsBeyondItsPlacesAreNotRemembered)
{
	auto experience = test::JoinExperience(kTemplate, kPlan, 100);
	experience->num_operators = kMaxMemoryNodes;
	for (int i = 0; i < kMaxMemoryNodes; i++) {
		experience->operators[i] = experience->operators[0];
		experience->operators[i].memory_slot = static_cast<int16_t>(i);
	}
	Remember(store_, *experience);
	RecallEntry entry;
	ASSERT_TRUE(store_->Find(kPlan, &entry));
	EXPECT_EQ(entry.num_operators, kRecallOperators);
	PredictAgain({.planner = &planner_, .recall = store_, .version = 1}, nullptr, experience.get());
	EXPECT_TRUE(experience->operators[kRecallOperators - 1].answers[kRecallExpert].HasOpinion());
	EXPECT_FALSE(experience->operators[kRecallOperators].answers[kRecallExpert].HasOpinion());
	EXPECT_TRUE(experience->operators[kMaxMemoryNodes - 1].mixture.HasOpinion());
}

TEST_F(RecallTest, LearnsHowItScales)
{
	/* Amdahl with f = 0.9: 1000 ms alone, 1000 (0.1 + 0.9 / p) with p processes */
	for (int i = 0; i < 40; i++) {
		const int processes = 1 + i % 4;
		auto experience = test::JoinExperience(kTemplate, kPlan, 0);
		experience->time_ms = 1000 * (0.1f + 0.9f / static_cast<float>(processes));
		experience->workers_launched = static_cast<int16_t>(processes - 1);
		Remember(store_, *experience);
	}
	test::PlanBuilder plan = test::JoinPlan();
	plan.Finish();
	plan.graph()->plan_fingerprint = kPlan;
	plan.graph()->template_fingerprint = kTemplate;
	auto forecast = std::make_unique<Forecast>();
	Predict({.planner = &planner_, .recall = store_, .version = 1}, *plan.graph(), {4096, 2, false}, forecast.get());
	const float logit = forecast->parallel_fraction.mean;
	EXPECT_NEAR(1 / (1 + std::exp(-logit)), 0.85, 0.1);
}

TEST_F(RecallTest, ClearForgets)
{
	Run(100);
	store_->Clear();
	RecallEntry entry;
	EXPECT_FALSE(store_->Find(kPlan, &entry));
	EXPECT_EQ(store_->used, 0u);
	Run(100);
	EXPECT_TRUE(store_->Find(kPlan, &entry));
}

TEST_F(RecallTest, FullBucketsLoseTheLeastRecentlyUsed)
{
	/* 2,000 plans of one template into 64 places; plan 2000 is used all the time */
	for (uint64_t i = 1; i <= 2000; i++) {
		Run(100, 1000, kPlan);
		Run(100, 1000, kPlan + 2 * i);
	}
	RecallEntry entry;
	EXPECT_TRUE(store_->Find(kPlan, &entry));
	EXPECT_TRUE(store_->Find(TemplateKey(kTemplate), &entry));
	EXPECT_TRUE(store_->Find(kPlan + 4000, &entry)); /* the newest */
	EXPECT_FALSE(store_->Find(kPlan + 2, &entry));
	EXPECT_LE(store_->used, store_->capacity);
	EXPECT_GT(store_->used, store_->capacity / 2);
}

TEST_F(RecallTest, ReplacementSurvivesTheClocksWrap)
{
	store_->clock.store(0xfffffff0u);
	for (uint64_t i = 0; i < 200; i++) {
		Run(100, 1000, kPlan);
		Run(100, 1000, kPlan + 2 + 2 * i);
	}
	RecallEntry entry;
	EXPECT_TRUE(store_->Find(kPlan, &entry));
}

class TinyRecallTest : public RecallTest {
  protected:
	TinyRecallTest() : RecallTest(1) {}
};

TEST_F(TinyRecallTest, OnePlaceIsEnoughNotToCrash)
{
	for (uint64_t i = 0; i < 50; i++)
		Run(100, 1000, kPlan + 2 * i);
	EXPECT_EQ(store_->used, 1u);
	EXPECT_TRUE(Ask()->time.HasOpinion());
}

/* Every field of an entry is derived from one value, so a torn copy would show. */
TEST_F(RecallTest, ReadersBesideTheWriterSeeWholeEntries)
{
	std::atomic<bool> stop{false};
	std::atomic<int> found{0};
	std::atomic<int> torn{0};
	auto read = [&] {
		RecallEntry entry;
		while (!stop.load(std::memory_order_relaxed))
			for (uint64_t i = 0; i < 32; i++) {
				if (!store_->Find(kPlan + 2 * i, &entry))
					continue;
				found++;
				const bool whole = entry.fingerprint == kPlan + 2 * i && entry.time.last == entry.query_memory.last &&
					entry.time.last == entry.operators[0].needed.last &&
					entry.time.mean == entry.operators[0].needed.mean;
				if (!whole)
					torn++;
			}
	};
	std::thread first(read);
	std::thread second(read);
	for (int i = 0; i < 20000 || (found.load() == 0 && i < 2000000); i++) {
		auto experience = test::JoinExperience(kTemplate + static_cast<uint64_t>(i % 90),
		                                       kPlan + 2 * static_cast<uint64_t>(i % 90), 0);
		const float value = 1.0f + static_cast<float>(i % 977);
		experience->time_ms = experience->query_memory_kb = experience->operators[0].needed_kb = value;
		Remember(store_, *experience);
	}
	stop = true;
	first.join();
	second.join();
	EXPECT_GT(found.load(), 0);
	EXPECT_EQ(torn.load(), 0);
}

}  // namespace
}  // namespace wlm
