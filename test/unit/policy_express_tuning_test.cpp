/*
 * policy_express_tuning_test.cpp
 *
 * The cut-off of the express lane follows the measured cost of misrouting: up
 * when short queries wait for nothing, down when long ones slip in, not at all
 * for noise, within bounds, and only if it is told to.
 */
#include <gtest/gtest.h>

#include <random>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

class ExpressTuningTest : public test::PolicyFixture {
  protected:
	void SetUp() override
	{
		config.tune_express = true;
		Start();
	}

	/* Express queries that take four times the cut-off as it would be uncorrected. */
	void LetIn(int count)
	{
		for (int i = 0; i < count; i++)
			policy->ObserveEnd({.time_ms = 8 * 20000, .queue_ms = 0, .lane = Lane::kExpress, .evicted = true});
	}

	void KeepOut(int count)
	{
		for (int i = 0; i < count; i++)
			policy->ObserveEnd({.time_ms = 1, .queue_ms = 5000, .lane = Lane::kNormal, .evicted = false});
	}
};

TEST_F(ExpressTuningTest, StartsUncorrected)
{
	EXPECT_EQ(1, policy->express_correction());
	EXPECT_EQ(2000, policy->express_cutoff_ms());
}

TEST_F(ExpressTuningTest, LongOnesInTheLaneLowerItShortOnesOutsideRaiseIt)
{
	LetIn(300);
	EXPECT_LT(policy->express_correction(), 0.6);
	EXPECT_GT(policy->express_correction(), 0.3);
	KeepOut(3000);
	EXPECT_GT(policy->express_correction(), 1);
}

TEST_F(ExpressTuningTest, StaysWithinItsBounds)
{
	LetIn(5000);
	EXPECT_DOUBLE_EQ(1.0 / 8, policy->express_correction());
	EXPECT_GE(policy->express_cutoff_ms(), 2000.0 / 8);
	EXPECT_DOUBLE_EQ(20000.0 / 8, policy->express_cutoff_ms());     /* P70 of these is far over ten floors */
	KeepOut(20000);
	EXPECT_DOUBLE_EQ(8, policy->express_correction());
	EXPECT_LE(policy->express_cutoff_ms(), 8 * 2002);
}

TEST_F(ExpressTuningTest, RestsWhenBothCostsAreAlike)
{
	std::mt19937_64 random(3);
	for (int i = 0; i < 20000; i++) {
		const double cutoff = policy->express_cutoff_ms();
		if (random() % 2 == 0)
			policy->ObserveEnd({.time_ms = cutoff + static_cast<double>(random() % 2000), .queue_ms = 0, .lane = Lane::kExpress,
			                     .evicted = true});
		else
			policy->ObserveEnd({.time_ms = cutoff / 2, .queue_ms = static_cast<double>(random() % 2000), .lane = Lane::kNormal,
			                     .evicted = false});
	}
	EXPECT_GT(policy->express_correction(), 0.8);
	EXPECT_LT(policy->express_correction(), 1.25);
}

TEST_F(ExpressTuningTest, SmallCostsDoNotMoveIt)
{
	for (int i = 0; i < 5000; i++)
		policy->ObserveEnd({.time_ms = 1, .queue_ms = 9, .lane = Lane::kNormal, .evicted = false});
	EXPECT_EQ(1, policy->express_correction());
}

TEST_F(ExpressTuningTest, WhatTheCutOffCannotHelpDoesNotCount)
{
	for (int i = 0; i < 5000; i++) {
		policy->ObserveEnd({.time_ms = 1e9, .queue_ms = 1e6, .lane = Lane::kNormal, .evicted = false});      /* long, and waited */
		policy->ObserveEnd({.time_ms = 100, .queue_ms = 0, .lane = Lane::kExpress, .evicted = false});       /* short, and let in */
		policy->ObserveEnd({.time_ms = 1e9, .queue_ms = 0, .lane = Lane::kMaintenance, .evicted = false});
		policy->ObserveEnd({.time_ms = 1, .queue_ms = 1e9, .lane = Lane::kSuperuser, .evicted = false});
	}
	EXPECT_EQ(1, policy->express_correction());
}

/*
 * Times that predictions know to a factor of about two, slots for few: where the cut-off comes to rest both mistakes cost about the
 * same, from wherever it started.
 */
TEST_F(ExpressTuningTest, ComesToRestWhereMistakesCostTheSame)
{
	double rests[2];
	for (int from = 0; from < 2; from++) {
		Start();
		std::mt19937_64 random(11);
		std::lognormal_distribution<double> times(7, 1.5), errors(0, 0.7);
		from == 0 ? LetIn(3000) : KeepOut(3000);
		double sum = 0;
		for (int i = 0; i < 40000; i++) {
			const double time = times(random);
			const bool express = time * errors(random) < policy->express_cutoff_ms();
			policy->ObserveEnd({.time_ms = time, .queue_ms = express ? 0.0 : 1500.0,
			                     .lane = express ? Lane::kExpress : Lane::kNormal, .evicted = false});
			sum += i >= 30000 ? policy->express_correction() : 0;
		}
		rests[from] = sum / 10000;
	}
	EXPECT_NEAR(1, rests[0] / rests[1], 0.4);
}

TEST_F(ExpressTuningTest, OffMeansOneAgain)
{
	LetIn(1000);
	ASSERT_LT(policy->express_correction(), 1);
	config.tune_express = false;
	policy->Configure(config, now);
	EXPECT_EQ(1, policy->express_correction());
	EXPECT_EQ(20000, policy->express_cutoff_ms());
	LetIn(1000);
	EXPECT_EQ(1, policy->express_correction());
}

TEST_F(ExpressTuningTest, NonsenseIsNoCost)
{
	for (const double time : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
		for (int i = 0; i < 100; i++) {
			policy->ObserveEnd({.time_ms = time, .queue_ms = 1e9, .lane = Lane::kNormal, .evicted = false});
			policy->ObserveEnd({.time_ms = 1, .queue_ms = time, .lane = Lane::kNormal, .evicted = false});
		}
	}
	EXPECT_EQ(1, policy->express_correction());
}

}  // namespace
}  // namespace wlm
