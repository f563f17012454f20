/*
 * memory_pressure_test.cpp
 *
 * The memory guard's levels, what it foretells, and whom it blames.
 */
#include "core/grant/memory_pressure.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace wlm {
namespace {

constexpr int64_t kLimit = 1000000;
constexpr double kTick = 200, kReaction = 300;

/* Readings that stand still, far enough apart that nothing is foretold. */
GuardLevel Settle(MemoryPressure *pressure, int64_t used_kb, double stalled = 0)
{
	static double now = 0;
	now += 1e9;
	pressure->Observe({kLimit, used_kb, stalled}, now, 0);
	return pressure->Observe({kLimit, used_kb, stalled}, now + kTick, kReaction);
}

TEST(MemoryPressure, LevelsRiseOneAfterTheOther)
{
	MemoryPressure pressure;

	EXPECT_EQ(Settle(&pressure, 100000), GuardLevel::kNone);
	EXPECT_EQ(Settle(&pressure, 849000), GuardLevel::kNone);
	EXPECT_EQ(Settle(&pressure, 860000), GuardLevel::kNoGrowth);
	EXPECT_EQ(Settle(&pressure, 930000), GuardLevel::kNoAdmission);
	EXPECT_EQ(Settle(&pressure, 980000), GuardLevel::kAction);
	EXPECT_EQ(Settle(&pressure, 1200000), GuardLevel::kAction);
}

TEST(MemoryPressure, LevelsFallLaterThanTheyRise)
{
	MemoryPressure pressure;

	Settle(&pressure, 980000);
	EXPECT_EQ(Settle(&pressure, 950000), GuardLevel::kAction);
	EXPECT_EQ(Settle(&pressure, 935000), GuardLevel::kNoAdmission);
	EXPECT_EQ(Settle(&pressure, 895000), GuardLevel::kNoAdmission);
	EXPECT_EQ(Settle(&pressure, 885000), GuardLevel::kNoGrowth);
	EXPECT_EQ(Settle(&pressure, 825000), GuardLevel::kNoGrowth);
	EXPECT_EQ(Settle(&pressure, 815000), GuardLevel::kNone);
	EXPECT_EQ(Settle(&pressure, 840000), GuardLevel::kNone);
}

TEST(MemoryPressure, FastGrowthIsForetold)
{
	MemoryPressure pressure;

	EXPECT_EQ(pressure.Observe({kLimit, 500000, 0}, 0, kReaction), GuardLevel::kNone);
	/* 1 GB/s: 700 MB now, 1 GB by the time a decision has an effect. */
	EXPECT_EQ(pressure.Observe({kLimit, 700000, 0}, 200, kReaction), GuardLevel::kAction);
	EXPECT_EQ(pressure.foretold_kb(), 1000000);
	/* It stopped. */
	EXPECT_EQ(pressure.Observe({kLimit, 700000, 0}, 400, kReaction), GuardLevel::kNone);
}

TEST(MemoryPressure, GrowthFarFromTheLimitIsNot)
{
	MemoryPressure pressure;

	pressure.Observe({kLimit, 0, 0}, 0, 2 * kReaction);
	EXPECT_EQ(pressure.Observe({kLimit, 290000, 0}, 200, 2 * kReaction), GuardLevel::kNone);
	EXPECT_EQ(pressure.Observe({kLimit, 540000, 0}, 400, 2 * kReaction), GuardLevel::kAction);
}

TEST(MemoryPressure, ReadingsFollowFasterTheLessRoomThereIs)
{
	MemoryPressure pressure;

	EXPECT_EQ(pressure.PeriodMs(false), kIdlePeriodMs[1]);
	EXPECT_EQ(pressure.PeriodMs(true), kBusyPeriodMs[1]);
	pressure.Observe({kLimit, 0, 0}, 0, kReaction);
	EXPECT_EQ(pressure.PeriodMs(false), 125);
	EXPECT_EQ(pressure.PeriodMs(true), 125);
	pressure.Observe({100 * kLimit, 0, 0}, 1000, kReaction);
	EXPECT_EQ(pressure.PeriodMs(false), kIdlePeriodMs[1]);
	EXPECT_EQ(pressure.PeriodMs(true), kBusyPeriodMs[1]);
	pressure.Observe({kLimit, 2 * kLimit, 0}, 2000, kReaction);
	EXPECT_EQ(pressure.PeriodMs(false), kIdlePeriodMs[0]);
	EXPECT_EQ(pressure.PeriodMs(true), kBusyPeriodMs[0]);
}

TEST(MemoryPressure, AnotherLimitForgetsTheGrowth)
{
	MemoryPressure pressure;

	pressure.Observe({10 * kLimit, 500000, 0}, 0, kReaction);
	EXPECT_EQ(pressure.Observe({kLimit, 700000, 0}, 200, kReaction), GuardLevel::kNone);
	EXPECT_EQ(pressure.Observe({0, 700000, 0}, 400, kReaction), GuardLevel::kNone);
	EXPECT_EQ(pressure.Observe({-1, 99 * kLimit, 1}, 600, kReaction), GuardLevel::kNone);
}

TEST(MemoryPressure, StallsCountInAFullMachineAndNeverAskForAction)
{
	MemoryPressure pressure;

	EXPECT_EQ(Settle(&pressure, 300000, 0.9), GuardLevel::kNone);
	EXPECT_EQ(Settle(&pressure, 720000, 0.05), GuardLevel::kNone);
	EXPECT_EQ(Settle(&pressure, 720000, 0.15), GuardLevel::kNoGrowth);
	EXPECT_EQ(Settle(&pressure, 720000, 0.9), GuardLevel::kNoAdmission);
	EXPECT_EQ(Settle(&pressure, 720000, 0), GuardLevel::kNone);
}

TEST(MemoryPressure, NamesAndThePolicysLevels)
{
	EXPECT_STREQ(GuardLevelName(GuardLevel::kNone), "none");
	EXPECT_STREQ(GuardLevelName(GuardLevel::kNoGrowth), "no growth");
	EXPECT_STREQ(GuardLevelName(GuardLevel::kNoAdmission), "no admission");
	EXPECT_STREQ(GuardLevelName(GuardLevel::kAction), "action");
	EXPECT_EQ(PressureOf(GuardLevel::kNone), Pressure::kNone);
	EXPECT_EQ(PressureOf(GuardLevel::kNoGrowth), Pressure::kNoGrowth);
	EXPECT_EQ(PressureOf(GuardLevel::kNoAdmission), Pressure::kNoAdmission);
	EXPECT_EQ(PressureOf(GuardLevel::kAction), Pressure::kNoAdmission);
}

TEST(Culprit, IsFurthestOverItsGrantNotLargest)
{
	const GuardedQuery queries[] = {
		{.real_kb = 900000, .granted_kb = 900000, .stoppable = true},
		{.real_kb = 60000, .granted_kb = 4096, .stoppable = true},
		{.real_kb = 330000, .granted_kb = 250000, .stoppable = true},
	};
	EXPECT_EQ(FindCulprit(queries), 2);
	EXPECT_EQ(FindCulprit(std::span(queries).first(2)), 1);
}

TEST(Culprit, NobodyWithinTheNoiseOfItsGrant)
{
	const GuardedQuery queries[] = {
		{.real_kb = 980000, .granted_kb = 900000, .stoppable = true},
		{.real_kb = 8000, .granted_kb = 4096, .stoppable = true},
		{.real_kb = 4096, .granted_kb = 0, .stoppable = true},
		{.real_kb = 0, .granted_kb = 500000, .stoppable = true},
	};
	EXPECT_EQ(FindCulprit(queries), -1);
	EXPECT_EQ(FindCulprit({}), -1);
}

TEST(Culprit, MustBeStoppable)
{
	const GuardedQuery queries[] = {
		{.real_kb = 900000, .granted_kb = 1000, .stoppable = false},
		{.real_kb = 30000, .granted_kb = 1000, .stoppable = true},
	};
	EXPECT_EQ(FindCulprit(queries), 1);
	EXPECT_EQ(FindCulprit(std::span(queries).first(1)), -1);
}

TEST(Culprit, WithRandomQueriesNeverAnInnocent)
{
	std::mt19937 random(7);
	std::uniform_int_distribution<int64_t> kb(0, 200000);

	for (int round = 0; round < 2000; round++) {
		std::vector<GuardedQuery> queries(static_cast<size_t>(round % 20));
		int64_t most = 0;
		for (GuardedQuery &query : queries) {
			query = {.real_kb = kb(random), .granted_kb = kb(random), .stoppable = kb(random) % 2 == 0};
			if (query.stoppable)
				most = std::max(most, OverGrantKb(query));
		}
		const int32_t culprit = FindCulprit(queries);
		if (most == 0) {
			EXPECT_EQ(culprit, -1);
			continue;
		}
		ASSERT_GE(culprit, 0);
		const GuardedQuery &blamed = queries[static_cast<size_t>(culprit)];
		EXPECT_TRUE(blamed.stoppable);
		EXPECT_EQ(OverGrantKb(blamed), most);
		EXPECT_GT(blamed.real_kb, blamed.granted_kb + kNoiseKb);
	}
}

}  // namespace
}  // namespace wlm
