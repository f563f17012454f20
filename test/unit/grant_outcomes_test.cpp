/*
 * grant_outcomes_test.cpp
 *
 * The store of outcomes: what is learned from which runs, the guard, workers,
 * the predicted curve; one writer beside readers.
 */
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#include "core/grant/choose_level.hpp"
#include "core/grant/outcome_moments.hpp"
#include "core/grant/parallelism.hpp"
#include "core/learn/experience.hpp"

namespace wlm {
namespace {

constexpr uint64_t kTemplate = 9;

class GrantOutcomesTest : public ::testing::Test {
  protected:
	GrantOutcomesTest() : memory_(GrantOutcomeStore::BytesNeeded(64) / 8 + 1)
	{
		store_ = GrantOutcomeStore::Init(std::as_writable_bytes(std::span(memory_)), 64);
		run_->template_fingerprint = kTemplate;
		run_->applied = true;
		run_->total_cost = 1000;
		run_->lacking_kb = 10000;
		run_->coverage = 1;
		run_->grant_level = static_cast<uint8_t>(GrantLevel::kAll);
		run_->time_ms = 1000;
		run_->query_memory_kb = 20000;
	}

	void Run(GrantLevel level, float ms)
	{
		run_->grant_level = static_cast<uint8_t>(level);
		run_->coverage = CoverageOf(level);
		run_->time_ms = ms;
		RememberGrant(store_, *run_);
	}
	const GrantOutcomes &Get()
	{
		EXPECT_TRUE(store_->Find(kTemplate, &copy_));
		return copy_;
	}
	/* One operator whose limit was granted_kb, all of it wanted. */
	void RunGuarded(float granted_kb, float used_kb, bool spilled = false, float needed_kb = 0)
	{
		run_->num_operators = 1;
		OperatorExperience &op = run_->operators[0];
		op = OperatorExperience{};
		op.flags = static_cast<uint8_t>(kObserved | (spilled ? kSpilled : 0));
		op.processes = 1;
		op.granted_kb = granted_kb;
		op.mixture = {std::log(granted_kb), 0.01f, 0, 1, 1};
		op.needed_kb = spilled ? needed_kb : used_kb;
		op.peak_kb = used_kb;
		run_->coverage = 1;
		RememberGrant(store_, *run_);
	}

	std::vector<uint64_t> memory_;
	GrantOutcomeStore *store_;
	GrantOutcomes copy_{};
	std::unique_ptr<Experience> run_ = std::make_unique<Experience>();
};

TEST_F(GrantOutcomesTest, LevelsAndCoverages)
{
	for (int i = 0; i < kNumGrantLevels; i++)
		EXPECT_EQ(LevelOf(CoverageOf(static_cast<GrantLevel>(i))), static_cast<GrantLevel>(i));
	EXPECT_EQ(LevelOf(NAN), GrantLevel::kOwn);
	EXPECT_EQ(LevelOf(-1), GrantLevel::kOwn);
	EXPECT_EQ(LevelOf(0.3f), GrantLevel::kSome);
	EXPECT_EQ(LevelOf(0.6f), GrantLevel::kMost);
	EXPECT_EQ(LevelOf(0.99f), GrantLevel::kAll);
	EXPECT_STREQ(GrantLevelName(GrantLevel::kSome), "some");
	EXPECT_STREQ(GrantLevelName(GrantLevel::kNumLevels), "unknown");
}

TEST_F(GrantOutcomesTest, TimesAreKeptAgainstCost)
{
	Run(GrantLevel::kAll, 1000);
	run_->total_cost = 2000;
	Run(GrantLevel::kAll, 2000);
	EXPECT_NEAR(Get().level[3].mean, 0, 1e-3);
	EXPECT_NEAR(Get().level[3].variance, 0, 1e-5);
	EXPECT_EQ(Get().executions, 2u);
}

TEST_F(GrantOutcomesTest, WhatWasNotAppliedTeachesTheOwnLevel)
{
	run_->applied = false;
	run_->temp_bytes = 1024 * 1000;
	Run(GrantLevel::kAll, 1000);
	EXPECT_EQ(Get().level[0].weight, 1);
	EXPECT_EQ(Get().level[3].weight, 0);
	EXPECT_NEAR(Get().temp_kb[0], 1000, 1);
	EXPECT_EQ(Get().guard.kept_kb, 0);
}

TEST_F(GrantOutcomesTest, CutShortOnlyCounts)
{
	run_->final_state = FinalState::kCancelled;
	run_->level_reason = static_cast<uint8_t>(LevelReason::kExploring);
	Run(GrantLevel::kAll, 1000);
	EXPECT_EQ(Get().executions, 1u);
	EXPECT_EQ(Get().explored_at, 1u);
	EXPECT_EQ(Get().level[3].weight, 0);
	run_->final_state = FinalState::kRejected;
	Run(GrantLevel::kAll, 1000);
	EXPECT_EQ(Get().executions, 1u);
	run_->final_state = FinalState::kCompleted;
	run_->censored = true;
	Run(GrantLevel::kAll, 1000);
	EXPECT_EQ(Get().level[3].weight, 0);
}

TEST_F(GrantOutcomesTest, WhatLackedNothingTeachesNoLevel)
{
	run_->lacking_kb = 0;
	RunGuarded(5000, 4000);
	EXPECT_EQ(Get().executions, 0u);
	EXPECT_EQ(Get().level[3].weight, 0);
	EXPECT_EQ(Get().guard.kept_kb, 5000);
}

TEST_F(GrantOutcomesTest, NonsenseTeachesNothing)
{
	GrantOutcomes copy;
	run_->time_ms = NAN;
	run_->lacking_kb = 0;
	RememberGrant(store_, *run_);
	RememberGrant(nullptr, *run_);
	EXPECT_FALSE(store_->Find(kTemplate, &copy));
	run_->lacking_kb = 100;
	run_->time_ms = 100;
	run_->total_cost = NAN;
	run_->query_memory_kb = INFINITY;
	run_->num_operators = 9999;
	run_->grant_level = 200;
	RememberGrant(store_, *run_);
	EXPECT_TRUE(std::isfinite(Get().level[0].mean));
	EXPECT_TRUE(std::isfinite(Get().peak_kb[0]));
}

TEST_F(GrantOutcomesTest, AboutTheLastThirtyCount)
{
	for (int i = 0; i < 200; i++)
		Run(GrantLevel::kAll, 1000);
	EXPECT_NEAR(Get().level[3].weight, 30, 0.1);
	for (int i = 0; i < 60; i++)
		Run(GrantLevel::kAll, 1500);
	EXPECT_NEAR(Get().level[3].mean + Get().load, std::log(1.5), 0.02);
}

TEST_F(GrantOutcomesTest, AColdStartAndAFreakDoNotDecide)
{
	Run(GrantLevel::kAll, 8000);
	for (int i = 0; i < 5; i++)
		Run(GrantLevel::kAll, 1000);
	EXPECT_NEAR(Get().level[3].mean, 0, 0.01);
	Run(GrantLevel::kAll, 100000);
	EXPECT_LT(Get().level[3].mean, 0.2);
}

TEST_F(GrantOutcomesTest, SlowerIsWithdrawnAndComesBackOnlyWhenItIsNot)
{
	for (int i = 0; i < 4; i++) {
		Run(GrantLevel::kOwn, 1000);
		Run(GrantLevel::kAll, 1300);
	}
	EXPECT_TRUE(IsWithdrawn(Get(), GrantLevel::kAll));
	EXPECT_FALSE(IsWithdrawn(Get(), GrantLevel::kOwn));
	EXPECT_EQ(Get().preferred, 1);
	int runs = 0;
	while (IsWithdrawn(Get(), GrantLevel::kAll) && runs++ < 100) {
		for (int i = 0; i < 3; i++)
			Run(GrantLevel::kOwn, 1000);
		Run(GrantLevel::kAll, 1000);
	}
	EXPECT_GT(runs, 3);
	EXPECT_LT(runs, 90);
	EXPECT_LT(Get().level[3].mean - Get().level[0].mean, 0.021);
}

TEST_F(GrantOutcomesTest, ATrialIsComparedWithItsTime)
{
	for (int i = 0; i < 20; i++)
		Run(GrantLevel::kAll, 1000);
	/* the machine is twice as slow now, which is when the own setting is tried */
	for (int i = 0; i < 10; i++)
		Run(GrantLevel::kAll, 2000);
	Run(GrantLevel::kOwn, 2000);
	EXPECT_NEAR(Get().load, std::log(2), 0.2);
	EXPECT_NEAR(Get().level[0].mean - Get().level[3].mean, 0, 0.1);
}

TEST_F(GrantOutcomesTest, AGrantShrinksOnlyIfMostOfItWasWasted)
{
	RunGuarded(20000, 15000);
	EXPECT_EQ(GuardFactor(Get().guard, 25000), 1);
	EXPECT_NEAR(GuardFactor(Get().guard, 16000), 1.25, 1e-4);
	EXPECT_EQ(GuardFactor(Get().guard, 5000), 2);
	RunGuarded(20000, 5000);
	EXPECT_EQ(GuardFactor(Get().guard, 16000), 1);
	/* over twice, but not over 1 MB */
	RunGuarded(1500, 600);
	EXPECT_NEAR(GuardFactor(Get().guard, 1000), 1.5, 1e-4);
	EXPECT_EQ(GuardFactor(GrantGuard{}, 1000), 1);
	EXPECT_EQ(GuardFactor(Get().guard, NAN), 1);
}

TEST_F(GrantOutcomesTest, AGrantGrowsOnASpill)
{
	RunGuarded(20000, 20000, true, 30000);
	EXPECT_NEAR(GuardFactor(Get().guard, 20000), 1.5, 1e-4);
	RunGuarded(20000, 20000, true, 1e6f);
	EXPECT_NEAR(GuardFactor(Get().guard, 20000), 2, 1e-4);
}

TEST_F(GrantOutcomesTest, AFlippingGrantStays)
{
	for (int i = 0; i < 6; i++)
		RunGuarded(i % 2 == 0 ? 20000 : 40000, 9000);
	EXPECT_EQ(Get().guard.flips, kMostFlips);
	EXPECT_EQ(Get().guard.kept_kb, 40000);
	EXPECT_NEAR(GuardFactor(Get().guard, 25000), 1.6, 1e-4);
	/* a part granted is not a change */
	run_->coverage = 0.5f;
	const float kept = Get().guard.kept_kb;
	Run(GrantLevel::kSome, 1000);
	EXPECT_EQ(Get().guard.kept_kb, kept);
}

TEST_F(GrantOutcomesTest, WorkersOnlyWhereItWasOurChoice)
{
	run_->time = {std::log(500.0f), 0.1f, 0.1f, 5, 1};
	run_->workers_planned = 4;
	run_->workers_granted = run_->workers_launched = 4;
	Run(GrantLevel::kAll, 500);
	run_->workers_granted = run_->workers_launched = 2;
	run_->worker_reason = static_cast<uint8_t>(WorkerReason::kLoad); /* slower because of the others as well */
	Run(GrantLevel::kAll, 9000);
	run_->worker_reason = static_cast<uint8_t>(WorkerReason::kScalability);
	Run(GrantLevel::kAll, 1000);
	run_->workers_granted = 4;
	Run(GrantLevel::kAll, 1000);
	EXPECT_EQ(Get().as_planned.weight, 1);
	EXPECT_NEAR(Get().as_planned.mean, 0, 1e-3);
	EXPECT_EQ(Get().fewer_workers.weight, 1);
	EXPECT_NEAR(Get().fewer_workers.mean, std::log(2), 1e-3);
}

class GrantCurveTest : public GrantOutcomesTest {
  protected:
	GrantCurveTest()
	{
		ResetGraph(graph_.get());
		graph_->total_cost = 1000;
		forecast_.time = {std::log(1000.0f), 0.04f, 0.01f, 5, 1};
		forecast_.num_memory_nodes = 2;
		grant_.num_operators = 2;
		grant_.lacking_kb = 46000;
		grant_.session_work_mem_kb = 4000;
		for (int i = 0; i < 2; i++) {
			grant_.operators[i].memory_slot = static_cast<int16_t>(i);
			grant_.operators[i].processes = 1;
		}
		/* the first fits into 4,000 kB, the second lacks 46,000 */
		grant_.operators[0].work_mem_kb = grant_.operators[0].limit_kb = 4000;
		grant_.operators[0].need_kb = 3000;
		grant_.operators[1].work_mem_kb = grant_.operators[1].limit_kb = grant_.operators[1].need_kb = 50000;
	}
	const GrantCurve &Curve(const GrantOutcomes *outcomes = nullptr)
	{
		PredictCurve(outcomes, *graph_, forecast_, grant_, &curve_);
		return curve_;
	}

	std::unique_ptr<PlanGraph> graph_ = std::make_unique<PlanGraph>();
	std::unique_ptr<Forecast> forecast_memory_ = std::make_unique<Forecast>();
	Forecast &forecast_ = *forecast_memory_;
	Grant grant_{};
	GrantCurve curve_{};
};

TEST_F(GrantCurveTest, PriorSavesWithCoverageWithinBounds)
{
	EXPECT_EQ(Curve().time[0].mean, forecast_.time.mean);
	EXPECT_NEAR(curve_.temp_kb[0], 46000, 1);
	EXPECT_NEAR(curve_.temp_kb[1], 23000, 1);
	EXPECT_EQ(curve_.temp_kb[3], 0);
	for (int i = 1; i < kNumGrantLevels; i++) {
		EXPECT_LT(curve_.time[i].mean, curve_.time[i - 1].mean);
		EXPECT_EQ(curve_.runs[i], 0);
		EXPECT_FALSE(curve_.slower[i]);
	}
	EXPECT_NEAR(curve_.time[3].mean, std::log(1000 - 115), 0.01);
	forecast_.time.mean = 0;
	EXPECT_NEAR(Curve().time[3].mean, -0.405, 1e-3);
}

TEST_F(GrantCurveTest, TempOfExpertsCountsWhereMemoryLacks)
{
	forecast_.temp[0] = forecast_.temp[1] = {std::log(80000.0f), 0.1f, 0.1f, 1, 1};
	EXPECT_NEAR(Curve().temp_kb[0], 80000, 100);
}

TEST_F(GrantCurveTest, OutcomesOutweighThePrior)
{
	for (int i = 0; i < 20; i++) {
		Run(GrantLevel::kOwn, 1000);
		Run(GrantLevel::kAll, 1300);
	}
	Curve(&Get());
	EXPECT_TRUE(curve_.slower[3]);
	EXPECT_NEAR(curve_.time[3].mean - curve_.time[0].mean, std::log(1.3), 0.04);
	EXPECT_GT(curve_.runs[3], 10);
	EXPECT_LT(curve_.time[3].model_variance, curve_.time[1].model_variance);
	/* the forecast has learned from both in equal parts */
	EXPECT_NEAR((curve_.time[3].mean + curve_.time[0].mean) / 2, forecast_.time.mean, 0.05);
}

TEST_F(GrantCurveTest, WithoutAForecastOutcomesSayIt)
{
	forecast_.time = Estimate{};
	EXPECT_FALSE(Curve().time[0].HasOpinion());
	for (int i = 0; i < 5; i++)
		Run(GrantLevel::kAll, 700);
	Curve(&Get());
	EXPECT_TRUE(curve_.time[3].HasOpinion());
	EXPECT_NEAR(curve_.time[3].mean, std::log(700), 0.01);
	EXPECT_GE(curve_.time[0].mean, curve_.time[3].mean);
}

TEST_F(GrantOutcomesTest, ReplacesTheOldest)
{
	for (uint64_t i = 1; i <= 1000; i++) {
		run_->template_fingerprint = i;
		RememberGrant(store_, *run_);
	}
	GrantOutcomes copy;
	EXPECT_LE(store_->used, 64u);
	EXPECT_TRUE(store_->Find(1000, &copy));
	EXPECT_FALSE(store_->Find(0, &copy));
	store_->Clear();
	EXPECT_EQ(store_->used, 0u);
	EXPECT_FALSE(store_->Find(1000, &copy));
	EXPECT_EQ(GrantOutcomeStore::Init({}, 64), nullptr);
}

TEST_F(GrantOutcomesTest, ReadersSeeWholeEntries)
{
	std::atomic<bool> stop{false};
	std::atomic<int> torn{0};
	std::atomic<int> found{0};
	std::thread reader([&] {
		GrantOutcomes copy;
		while (!stop.load())
			for (uint64_t key = 1; key <= 40; key++)
				if (store_->Find(key, &copy)) {
					found++;
					/* every run of a template has its time, so mean and key belong together */
					if (std::fabs(copy.level[3].mean - std::log(static_cast<float>(key))) > 1e-3f ||
					    copy.template_fingerprint != key)
						torn++;
				}
	});
	for (int i = 0; i < 200000 && (i < 20000 || found.load() < 100); i++) {
		run_->template_fingerprint = static_cast<uint64_t>(i) % 40 + 1;
		Run(GrantLevel::kAll, 1000 * static_cast<float>(run_->template_fingerprint));
	}
	stop = true;
	reader.join();
	EXPECT_EQ(torn, 0);
	EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace wlm
