/*
 * choose_level_test.cpp
 *
 * Which level a query is given: rules one by one, then simulated templates whose
 * true times under each level are drawn, to see that the promise is kept: after 20
 * executions no template is slower than under its session's own setting by more than noise.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "core/grant/choose_level.hpp"
#include "core/learn/experience.hpp"

namespace wlm {
namespace {

constexpr uint64_t kTemplate = 9;
constexpr float kLacking = 50000;
constexpr double kRate = 0.05;

/* One template with true times; runs what ChooseLevel() says and learns from it. */
class Simulation {
  public:
	Simulation() : memory_(GrantOutcomeStore::BytesNeeded(8) / 8 + 1), graph_(std::make_unique<PlanGraph>())
	{
		store_ = GrantOutcomeStore::Init(std::as_writable_bytes(std::span(memory_)), 8);
		ResetGraph(graph_.get());
		graph_->total_cost = 1000;
		grant_.num_operators = 1;
		grant_.lacking_kb = kLacking;
		OperatorGrant &op = grant_.operators[0];
		op.plan_node_id = 1;
		op.processes = 1;
		op.work_mem_kb = op.limit_kb = op.need_kb = 54096;
	}

	/* log_factors: ln of true time under each level / under the own setting. */
	void Begin(float own_ms, const std::array<double, kNumGrantLevels> &log_factors, double sigma, uint32_t seed)
	{
		store_->Clear();
		own_ms_ = own_ms;
		log_factors_ = log_factors;
		sigma_ = sigma;
		random_.seed(seed);
		/* right about the own setting at first, then follows what happens slowly, like recall */
		forecast_.time = {std::log(own_ms), 0.1f, 0.1f, 5, 1};
	}

	LevelChoice Choose(double rate = kRate, bool scarce = false)
	{
		outcomes_ = store_->Find(kTemplate, &copy_) ? &copy_ : nullptr;
		PredictCurve(outcomes_, *graph_, forecast_, grant_, &curve_);
		return ChooseLevel(curve_, outcomes_, kLacking, rate, scarce);
	}

	void Run(const LevelChoice &choice, bool applied = true)
	{
		Experience *experience = experience_.get();
		const int level = applied ? static_cast<int>(choice.level) : 0;
		const double freak = freaks_ > 0 && random_() % 1000 < freaks_ * 1000 ? std::log(4) : 0;
		const double load = phase_ > 0 && runs_++ / phase_ % 2 == 1 ? load_ : 0;
		const double log_ms = std::log(own_ms_) + log_factors_[level] + sigma_ * normal_(random_) + freak + load;
		experience->template_fingerprint = kTemplate;
		experience->total_cost = 1000;
		experience->applied = applied;
		experience->grant_level = static_cast<uint8_t>(choice.level);
		experience->level_reason = static_cast<uint8_t>(choice.reason);
		experience->coverage = choice.part;
		experience->lacking_kb = kLacking;
		experience->time_ms = static_cast<float>(std::exp(log_ms));
		experience->time = forecast_.time;
		experience->temp_bytes = level == 3 ? 0 : 40000000;
		RememberGrant(store_, *experience);
		forecast_.time.mean += 0.1f * (static_cast<float>(log_ms) - forecast_.time.mean);
	}

	/* This share of runs takes four times as long; every other `phase` executions all do by exp(load). */
	void Disturb(double freaks, int phase, double load)
	{
		freaks_ = freaks;
		phase_ = phase;
		load_ = load;
	}
	double LogFactor(GrantLevel level) const { return log_factors_[static_cast<int>(level)]; }
	void SetFactors(const std::array<double, kNumGrantLevels> &log_factors) { log_factors_ = log_factors; }
	const GrantOutcomes &outcomes()
	{
		store_->Find(kTemplate, &copy_);
		return copy_;
	}

  private:
	std::vector<uint64_t> memory_;
	std::unique_ptr<PlanGraph> graph_;
	std::unique_ptr<Experience> experience_ = std::make_unique<Experience>();
	GrantOutcomeStore *store_;
	GrantOutcomes copy_{};
	const GrantOutcomes *outcomes_ = nullptr;
	Grant grant_{};
	Forecast forecast_{};
	GrantCurve curve_{};
	float own_ms_ = 0;
	std::array<double, kNumGrantLevels> log_factors_{};
	double sigma_ = 0;
	double freaks_ = 0;
	double load_ = 0;
	int phase_ = 0;
	int runs_ = 0;
	std::mt19937 random_{1};
	std::normal_distribution<double> normal_;
};

GrantCurve CurveOf(float own, float some, float most, float all)
{
	GrantCurve curve{};
	const float times[] = {own, some, most, all};
	for (int i = 0; i < kNumGrantLevels; i++)
		curve.time[i] = {times[i], 0.01f, 0.01f, 1, 1};
	return curve;
}

TEST(ChooseLevel, NothingLacks)
{
	const LevelChoice choice = ChooseLevel(CurveOf(5, 5, 5, 5), nullptr, 0, 1, true);
	EXPECT_EQ(choice.reason, LevelReason::kNothingLacks);
	EXPECT_EQ(choice.part, 1);
	EXPECT_EQ(ChooseLevel(CurveOf(5, 5, 5, 5), nullptr, NAN, 1, true).reason, LevelReason::kNothingLacks);
}

TEST(ChooseLevel, TiesGoToMoreMemoryUnlessScarce)
{
	EXPECT_EQ(ChooseLevel(CurveOf(5, 5, 5, 5), nullptr, 1, kRate, false).level, GrantLevel::kAll);
	EXPECT_EQ(ChooseLevel(CurveOf(5, 5, 5, 5), nullptr, 1, kRate, true).level, GrantLevel::kOwn);
	EXPECT_EQ(ChooseLevel(CurveOf(5, 4.9f, 4.8f, 4.79f), nullptr, 1, kRate, true).level, GrantLevel::kMost);
	EXPECT_EQ(ChooseLevel(CurveOf(5, 5.2f, 5.3f, 5.3f), nullptr, 1, kRate, false).level, GrantLevel::kOwn);
	EXPECT_EQ(ChooseLevel(CurveOf(5, 5, 5, 5), nullptr, 1, kRate, false).reason, LevelReason::kPredicted);
}

TEST(ChooseLevel, WhatIsSlowerIsNotChosen)
{
	GrantCurve curve = CurveOf(5, 4.95f, 4.9f, 4.5f);
	curve.slower[3] = true;
	const LevelChoice choice = ChooseLevel(curve, nullptr, 1, kRate, false);
	EXPECT_EQ(choice.level, GrantLevel::kMost);
	EXPECT_EQ(choice.reason, LevelReason::kWithdrawn);
}

TEST(ChooseLevel, OneRunDecidesNothing)
{
	GrantCurve curve = CurveOf(4.5f, 5, 5, 5);
	curve.runs[0] = 1;
	curve.runs[3] = 3;
	EXPECT_EQ(ChooseLevel(curve, nullptr, 1, kRate, false).level, GrantLevel::kAll);
}

std::vector<int> ExploredOf(Simulation *simulation, double rate, int executions)
{
	std::vector<int> explored;
	for (int i = 1; i <= executions; i++) {
		const LevelChoice choice = simulation->Choose(rate);
		if (choice.reason == LevelReason::kExploring)
			explored.push_back(i);
		simulation->Run(choice);
	}
	return explored;
}

TEST(ChooseLevel, Schedule)
{
	Simulation simulation;
	simulation.Begin(500, {0, -0.3, -0.5, -0.7}, 0.1, 1);
	EXPECT_EQ(ExploredOf(&simulation, 0.05, 20), (std::vector<int>{5, 9, 13, 17}));
	EXPECT_EQ(simulation.Choose(0).reason, LevelReason::kProven);
	/* settled: every 4 / 0.05 */
	simulation.Begin(500, {0, -0.3, -0.5, -0.7}, 0.1, 1);
	EXPECT_EQ(ExploredOf(&simulation, 0.05, 300), (std::vector<int>{5, 9, 13, 17, 97, 177, 257}));
	simulation.Begin(500, {0, -0.3, -0.5, -0.7}, 0.1, 1);
	EXPECT_TRUE(ExploredOf(&simulation, 0, 300).empty());
	simulation.Begin(500, {0, -0.3, -0.5, -0.7}, 0.1, 1);
	EXPECT_LE(ExploredOf(&simulation, 0.01, 300).size(), 5u);
	simulation.Begin(500, {0, -0.3, -0.5, -0.7}, 0.1, 1);
	EXPECT_LE(ExploredOf(&simulation, 1, 300).size(), 50u);
}

TEST(ChooseLevel, LongQueriesAreNotTrials)
{
	Simulation simulation;
	simulation.Begin(60000, {0, -0.3, -0.5, -0.7}, 0.1, 1);
	EXPECT_TRUE(ExploredOf(&simulation, 0.05, 100).empty());
	/* but where memory made it slower than predicted, they are */
	simulation.Begin(60000, {0, 0.3, 0.5, 0.7}, 0.1, 1);
	EXPECT_FALSE(ExploredOf(&simulation, 0.05, 30).empty());
}

TEST(ChooseLevel, WhatObserveModeSawOfTheOwnSettingCounts)
{
	Simulation simulation;
	simulation.Begin(500, {0, 0.3, 0.3, 0.3}, 0.1, 1);
	for (int i = 0; i < 100; i++)
		simulation.Run(simulation.Choose(), false);
	EXPECT_EQ(simulation.outcomes().executions, 100u);
	EXPECT_EQ(simulation.outcomes().level[3].weight, 0);
	int with_more = 0;
	for (int i = 0; i < 20; i++) {
		const LevelChoice choice = simulation.Choose();
		with_more += choice.level != GrantLevel::kOwn;
		simulation.Run(choice);
	}
	EXPECT_LE(with_more, 6);
	EXPECT_EQ(simulation.Choose(0).level, GrantLevel::kOwn);
	EXPECT_EQ(simulation.Choose(0).reason, LevelReason::kWithdrawn);
}

TEST(ChooseLevel, TheMiddleIsFoundWhereAllIsTooMuch)
{
	int found = 0;
	for (uint32_t seed = 1; seed <= 50; seed++) {
		Simulation simulation;
		simulation.Begin(500, {0, -0.3, -0.3, 0.5}, 0.1, seed);
		ExploredOf(&simulation, 0.05, 300);
		const GrantLevel level = simulation.Choose(0).level;
		found += level == GrantLevel::kSome || level == GrantLevel::kMost;
	}
	EXPECT_GE(found, 45);
}

TEST(ChooseLevel, MemoryThatHasBecomeUsefulIsGivenAgain)
{
	int found = 0;
	for (uint32_t seed = 1; seed <= 50; seed++) {
		Simulation simulation;
		simulation.Begin(500, {0, 0.3, 0.3, 0.3}, 0.1, seed);
		ExploredOf(&simulation, 0.1, 60);
		EXPECT_EQ(simulation.Choose(0).level, GrantLevel::kOwn);
		simulation.SetFactors({0, -0.5, -0.5, -0.5});
		ExploredOf(&simulation, 0.1, 400);
		found += simulation.Choose(0).level != GrantLevel::kOwn;
	}
	EXPECT_GE(found, 45);
}

/* What happened to a population of templates with the same truth; times as ln(true time / true time under the own setting). */
struct Report {
	double excess_at_20 = 0;   /* mean over the choices, exploration apart */
	double excess_at_100 = 0;
	double slower_at_20 = 0;   /* share of templates whose choice is slower by more than noise */
	double slower_at_100 = 0;
	double regret = 0;         /* over all executions against the better of own and all, exploration included */
	double explored = 0;       /* share of executions */
	double explored_early = 0; /* of the first 20 */
	double changes = 0;        /* of the choice, per template */
	int most_changes = 0;
};

constexpr int kTemplates = 100;
constexpr int kExecutions = 600;

/* What so many runs of the own setting and of another cannot tell apart. */
double Noise(double sigma, double own_runs, double other_runs)
{
	return 0.05 + 2 * sigma * std::sqrt(1 / own_runs + 1 / other_runs);
}

Report Simulate(const std::array<double, kNumGrantLevels> &truth, double sigma, double freaks = 0, int phase = 0, double load = 0)
{
	Report report;
	Simulation simulation;
	simulation.Disturb(freaks, phase, load);
	const double best = std::min(truth[0], truth[3]);
	for (uint32_t t = 0; t < kTemplates; t++) {
		simulation.Begin(800, truth, sigma, 1000 + t);
		GrantLevel last = GrantLevel::kAll;
		int changes = 0;
		for (int i = 1; i <= kExecutions; i++) {
			const LevelChoice choice = simulation.Choose();
			const bool explores = choice.reason == LevelReason::kExploring;
			report.regret += (simulation.LogFactor(choice.level) - best) / kExecutions / kTemplates;
			report.explored += static_cast<double>(explores) / kExecutions / kTemplates;
			report.explored_early += i <= 20 && explores ? 1.0 / 20 / kTemplates : 0;
			if (!explores) {
				changes += choice.level != last;
				last = choice.level;
			}
			simulation.Run(choice);
			const double excess = simulation.LogFactor(simulation.Choose(0).level);
			if (i == 20) {
				report.excess_at_20 += excess / kTemplates;
				report.slower_at_20 += excess > Noise(sigma, 4, 16) ? 1.0 / kTemplates : 0;
			}
			if (i == 100) {
				report.excess_at_100 += excess / kTemplates;
				report.slower_at_100 += excess > Noise(sigma, 7, 30) ? 1.0 / kTemplates : 0;
			}
		}
		report.changes += static_cast<double>(changes) / kTemplates;
		report.most_changes = std::max(report.most_changes, changes);
	}
	return report;
}

TEST(ChooseLevelPromise, NotSlowerThanOwnByMoreThanNoise)
{
	for (const double all : {-0.7, -0.2, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4}) {
		for (const double sigma : {0.05, 0.1, 0.2, 0.4}) {
			SCOPED_TRACE(testing::Message() << "all " << all << " sigma " << sigma);
			const Report report = Simulate({0, all / 3, all * 2 / 3, all}, sigma);
			printf("all %+.2f sigma %.2f: at 20 %+.3f (slower %.2f), at 100 %+.3f (slower %.2f), regret %.4f, explored %.3f, "
			       "changes %.2f most %d\n",
			       all, sigma, report.excess_at_20, report.slower_at_20, report.excess_at_100, report.slower_at_100, report.regret,
			       report.explored, report.changes, report.most_changes);
			EXPECT_LE(report.slower_at_20, 0.05);
			EXPECT_LE(report.slower_at_100, 0.03);
			EXPECT_LE(report.excess_at_20, 0.03 + 0.2 * sigma);
			EXPECT_LE(report.excess_at_100, 0.025 + 0.1 * sigma);
			EXPECT_LE(report.regret, 0.02 + 0.06 * sigma);
			EXPECT_LE(report.explored, 0.06);
			EXPECT_LE(report.explored_early, 0.2 + 1e-9);
			EXPECT_LE(report.changes, 3);
			EXPECT_LE(report.most_changes, 8);
			/* and what memory brings is not given away */
			if (all <= -0.2) {
				EXPECT_LE(report.excess_at_100, 0.85 * all);
			}
		}
	}
}

TEST(ChooseLevelPromise, FreaksAndLoadThatComesAndGoes)
{
	struct Disturbance {
		double freaks;
		int phase;
		double load;
	};
	for (const Disturbance by : {Disturbance{0.05, 0, 0}, {0, 10, 0.7}, {0, 40, 0.7}, {0, 150, 0.7}}) {
		for (const double all : {-0.5, -0.2, 0.0, 0.2, 0.4}) {
			SCOPED_TRACE(testing::Message() << "freaks " << by.freaks << " phase " << by.phase << " all " << all);
			const Report report = Simulate({0, all / 3, all * 2 / 3, all}, 0.15, by.freaks, by.phase, by.load);
			printf("freaks %.2f phase %d all %+.2f: at 20 %+.3f, at 100 %+.3f, regret %.4f, explored %.3f, changes %.2f most %d\n",
			       by.freaks, by.phase, all, report.excess_at_20, report.excess_at_100, report.regret, report.explored,
			       report.changes, report.most_changes);
			EXPECT_LE(report.excess_at_100, 0.05);
			EXPECT_LE(report.regret, 0.04);
			EXPECT_LE(report.explored, 0.065);
			EXPECT_LE(report.changes, 3);
			EXPECT_LE(report.most_changes, 8);
		}
	}
}

/* Many of the same template at once, learned from in batches: they are not all trials. */
TEST(ChooseLevelPromise, ManyAtOnceExploreNoMoreThanOne)
{
	for (const int batch : {1, 3, 10, 32}) {
		for (const double all : {-0.5, 0.0, 0.3}) {
			std::mt19937 random(5);
			Simulation simulation;
			simulation.Begin(800, {0, all / 2, all, all}, 0.3, 3);
			std::vector<LevelChoice> running;
			int explored = 0;
			constexpr int kStarted = 4000;
			for (int i = 0; i < kStarted; i++) {
				running.push_back(simulation.Choose());
				explored += running.back().reason == LevelReason::kExploring;
				if (running.size() >= 1 + random() % static_cast<unsigned>(2 * batch)) {
					std::shuffle(running.begin(), running.end(), random);
					while (!running.empty()) {
						simulation.Run(running.back());
						running.pop_back();
					}
				}
			}
			EXPECT_LE(explored, 0.09 * kStarted) << batch << " " << all;
			EXPECT_GE(explored, 10) << batch << " " << all;
		}
	}
}

TEST(ChooseLevel, AnyOutcomesAndCurvesGiveALevel)
{
	std::mt19937 random(7);
	const float odd[] = {0, 1, -1, 3, 30, 1e30f, -1e30f, NAN, INFINITY, -INFINITY};
	const auto any = [&] { return odd[random() % std::size(odd)]; };
	for (int i = 0; i < 50000; i++) {
		GrantOutcomes outcomes{};
		GrantCurve curve{};
		for (int level = 0; level < kNumGrantLevels; level++) {
			outcomes.level[level] = {any(), any(), any()};
			curve.time[level] = {any(), any(), any(), any(), 1};
			curve.runs[level] = any();
			curve.slower[level] = random() % 2 == 0;
		}
		outcomes.executions = static_cast<uint32_t>(random());
		outcomes.explored_at = static_cast<uint32_t>(random());
		outcomes.preferred = static_cast<uint8_t>(random());
		outcomes.surprise = {any(), any(), any()};
		const LevelChoice choice = ChooseLevel(curve, &outcomes, any(), static_cast<double>(any()), random() % 2 == 0);
		EXPECT_LT(static_cast<int>(choice.level), kNumGrantLevels);
		EXPECT_TRUE(choice.part >= 0 && choice.part <= 1);
		const float factor = GuardFactor({any(), any(), 0, static_cast<uint8_t>(random() % 5), {}}, any());
		EXPECT_TRUE(factor >= 1 && factor <= 2);
	}
}

}  // namespace
}  // namespace wlm
