/*
 * interference_test.cpp
 *
 * What is learned from observed overlap: slope and knee found again under
 * noise, nothing believed without evidence; and what starting now costs.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "core/decide/interference.hpp"

namespace wlm {
namespace {

class InterferenceTest : public ::testing::Test {
  protected:
	InterferenceLearner learner;
	std::mt19937_64 random{7};

	void SetUp() override { InitInterference(&learner); }

	double Uniform(double least, double most) { return std::uniform_real_distribution<double>(least, most)(random); }

	/* Executions under loads between the two, each predicted with a multiplicative error of this deviation. */
	void Observe(int count, double slope, double knee, double noise, double least = 0, double most = 16, double base = 1)
	{
		const Interference truth{static_cast<float>(slope), static_cast<float>(knee), true};
		std::normal_distribution<double> error(0, noise);
		for (int i = 0; i < count; i++) {
			const double load = Uniform(least, most);
			const double ratio = base * Slowdown(truth, load) * std::exp(error(random));
			ObserveOverlap(&learner, Overlap{static_cast<float>(ratio), static_cast<float>(load), 1.0f});
		}
	}
};

TEST_F(InterferenceTest, SlopeAndKneeAreFoundAgainUnderNoise)
{
	for (const double knee : {0.0, 2.0, 6.0}) {
		for (const double slope : {0.1, 0.5}) {
			InitInterference(&learner);
			Observe(3000, slope, knee, 0.4);
			const Interference found = FitInterference(learner);
			ASSERT_TRUE(found.known) << knee << " " << slope;
			EXPECT_NEAR(slope, static_cast<double>(found.slope), 0.35 * slope) << knee;
			EXPECT_NEAR(knee, static_cast<double>(found.knee), 1.5) << slope;
			for (const double load : {1.0, 5.0, 12.0})
				EXPECT_NEAR(1, Slowdown(found, load) / Slowdown({static_cast<float>(slope), static_cast<float>(knee), true}, load), 0.15);
		}
	}
}

TEST_F(InterferenceTest, TensOfExecutionsAreEnoughForAStrongEffect)
{
	Observe(80, 0.5, 1, 0.3, 0, 8);
	const Interference found = FitInterference(learner);
	ASSERT_TRUE(found.known);
	EXPECT_NEAR(4.5, Slowdown(found, 8), 1.2);
}

TEST_F(InterferenceTest, PredictionsThatAreAllTooLowAreNoInterference)
{
	Observe(2000, 0, 0, 0.4, 0, 16, 3.0);
	EXPECT_FALSE(FitInterference(learner).known);
	Observe(3000, 0.5, 2, 0.4, 0, 16, 3.0);
	const Interference found = FitInterference(learner);
	ASSERT_TRUE(found.known);
}

TEST_F(InterferenceTest, NothingIsKnownWithoutEvidence)
{
	EXPECT_FALSE(FitInterference(learner).known);
	Observe(30, 1, 0, 0.1);                             /* too few */
	EXPECT_FALSE(FitInterference(learner).known);
	InitInterference(&learner);
	Observe(5000, 1, 0, 0.1, 3.0, 3.4);                 /* always the same load */
	EXPECT_FALSE(FitInterference(learner).known);
}

TEST_F(InterferenceTest, NoiseAloneIsSeldomTakenForASlope)
{
	int believed = 0;
	for (int i = 0; i < 200; i++) {
		InitInterference(&learner);
		Observe(300, 0, 0, 0.6);
		believed += FitInterference(learner).known ? 1 : 0;
	}
	EXPECT_LE(believed, 4);
}

TEST_F(InterferenceTest, FasterBesideOthersIsNotASlope)
{
	for (int i = 0; i < 2000; i++) {
		const double load = Uniform(0, 16);
		ObserveOverlap(&learner, Overlap{static_cast<float>(1 / (1 + 0.1 * load)), static_cast<float>(load), 1.0f});
	}
	EXPECT_FALSE(FitInterference(learner).known);
}

TEST_F(InterferenceTest, AMachineThatChangesIsLearnedAnew)
{
	Observe(5000, 1.0, 0, 0.3);
	Observe(30000, 0.1, 4, 0.3);
	const Interference found = FitInterference(learner);
	ASSERT_TRUE(found.known);
	EXPECT_NEAR(2.2, Slowdown(found, 16), 0.3);
}

TEST_F(InterferenceTest, NonsenseLeavesNoTrace)
{
	Observe(1000, 0.3, 2, 0.3);
	InterferenceLearner before = learner;
	const float nan = std::numeric_limits<float>::quiet_NaN();
	const float infinity = std::numeric_limits<float>::infinity();
	for (const Overlap &overlap : {Overlap{nan, 1, 1}, Overlap{infinity, 1, 1}, Overlap{0, 1, 1}, Overlap{-1, 1, 1}, Overlap{1, nan, 1},
			 Overlap{1, infinity, 1}, Overlap{1, -1, 1}, Overlap{1, 1, nan}, Overlap{1, 1, 0}, Overlap{1, 1, -1}})
		ObserveOverlap(&learner, overlap);
	EXPECT_EQ(0, std::memcmp(&before, &learner, sizeof(learner)));
	ObserveOverlap(&learner, Overlap{1e30f, 1e30f, 1e30f});             /* bounded */
	EXPECT_TRUE(FitInterference(learner).known);
	EXPECT_NEAR(0.3, static_cast<double>(FitInterference(learner).slope), 0.15);
}

TEST(CostOfStartingNowTest, NothingKnownOrNothingRunsCostsNothing)
{
	const std::vector<RunningQuery> one = {{1000, 1}};
	EXPECT_EQ(0, CostOfStartingNow({2, 0, false}, 1000, 1, one));
	EXPECT_EQ(0, CostOfStartingNow({2, 0, true}, 1000, 1, {}));
	EXPECT_EQ(0, CostOfStartingNow({2, 0, true}, 0, 1, one));
	EXPECT_EQ(0, CostOfStartingNow({2, 0, true}, std::numeric_limits<double>::quiet_NaN(), 1, one));
}

TEST(CostOfStartingNowTest, TwoEqualOnes)
{
	const std::vector<RunningQuery> one = {{1000, 1}};
	/* Together each takes 1 + slope times as long: 2 (1 + slope) s in all; one after the other 1 + 2 s. */
	EXPECT_NEAR(3000, CostOfStartingNow({2, 0, true}, 1000, 1, one), 1e-6);
	EXPECT_NEAR(0, CostOfStartingNow({0.5f, 0, true}, 1000, 1, one), 1e-6);
	EXPECT_NEAR(-1000, CostOfStartingNow({0, 0, true}, 1000, 1, one), 1e-6);
	EXPECT_NEAR(-1000, CostOfStartingNow({2, 1, true}, 1000, 1, one), 1e-6);        /* under the knee */
}

TEST(CostOfStartingNowTest, AShortOneGoesNowALongOneWaitsForAShortOne)
{
	const std::vector<RunningQuery> long_one = {{10000, 1}};
	EXPECT_LT(CostOfStartingNow({2, 0, true}, 100, 1, long_one), 0);
	const std::vector<RunningQuery> short_one = {{100, 1}};
	EXPECT_GT(CostOfStartingNow({2, 0, true}, 10000, 1, short_one), 0);
}

TEST(CostOfStartingNowTest, ALightOneSlowsNobody)
{
	const std::vector<RunningQuery> several = {{1000, 1}, {2000, 1}, {3000, 1}};
	EXPECT_LT(CostOfStartingNow({1, 3, true}, 1000, 0.1, several), 0);
	EXPECT_GT(CostOfStartingNow({1, 3, true}, 10000, 4, several), 0);
}

TEST(CostOfStartingNowTest, FiniteForWhateverRuns)
{
	std::vector<RunningQuery> many;
	for (int i = 0; i < 200; i++)
		many.push_back({i % 7 == 0 ? 0.0 : i % 5 == 0 ? -5.0 : 1e6 * i, i % 3 == 0 ? -1.0 : 64.0});
	EXPECT_TRUE(std::isfinite(CostOfStartingNow({10, 0, true}, 1e9, 4096, many)));
}

}  // namespace
}  // namespace wlm
