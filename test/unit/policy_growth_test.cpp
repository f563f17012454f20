/*
 * policy_growth_test.cpp
 *
 * Growth, pressure and maintenance: each rule by itself. The budget is
 * 1,000,000 kB; a query may have half of it, the express lane 2 % per query.
 */
#include <gtest/gtest.h>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

class PolicyGrowthTest : public test::PolicyFixture {
  protected:
	PolicyGrowthTest() { config.queues[0].max_slots = 100; }

	int64_t Grow(const Decision &query, int64_t wanted_kb, int64_t least_kb)
	{
		return policy->Grow(query.handle, wanted_kb, least_kb, now);
	}
	void Press(Pressure pressure, int64_t unavailable_kb = 0) { policy->SetPressure(pressure, unavailable_kb, now); }
	Decision Express(int64_t memory_kb) { return Arrive({.time_ms = 1, .time_upper_ms = 2, .memory_kb = memory_kb}); }
	void Finish(const Decision &query) { policy->Finish(query.handle, now); }

	/* Waits for memory until everyone behind it waits for it. */
	Decision Starve(const test::Request &request)
	{
		const Decision starved = Arrive(request);
		now += kMaxPassedMs + 1;
		policy->Tick(now, Saturation::Cpu(0.5));
		return starved;
	}
};

TEST_F(PolicyGrowthTest, TakesWhatIsWantedAndGivesItBackAtTheEnd)
{
	Start();
	const Decision query = Arrive({.memory_kb = 1000});
	EXPECT_EQ(5000, Grow(query, 5000, 5000));
	EXPECT_EQ(6000, View(query).reserved_kb);
	EXPECT_EQ(6000, Counters().reserved_kb);
	EXPECT_EQ(6000, policy->reserved_kb());
	EXPECT_EQ(994000, policy->free_kb());
	EXPECT_EQ(1u, policy->num_grown());
	EXPECT_FALSE(View(query).forced);
	policy->Pause(query.handle, now);
	EXPECT_EQ(10, Grow(query, 10, 10));      /* a cursor keeps its memory, so it may also get more */
	Finish(query);
	ExpectIdle();
}

TEST_F(PolicyGrowthTest, HalvesTheWishDownToTheLeast)
{
	Start();
	Arrive({.memory_kb = 500000});
	const Decision query = Arrive({.memory_kb = 400000});
	EXPECT_EQ(50000, Grow(query, 100001, 1));        /* no query has more than half of the budget */
	EXPECT_EQ(0, Grow(query, 100000, 50001));
	EXPECT_EQ(50000, Grow(query, 180000, 50000));    /* 180,000 and 90,000 are too much: the least, not 45,000 */
	EXPECT_EQ(0, Grow(query, 1, 1));
	EXPECT_EQ(2u, policy->num_grown());
	EXPECT_EQ(2u, policy->num_growth_refused());
	EXPECT_EQ(0, policy->forced_kb());
}

TEST_F(PolicyGrowthTest, RefusesNonsense)
{
	Start();
	config.queues[0].max_slots = 1;
	policy->Configure(config, now);
	const Decision query = Arrive({.memory_kb = 1000});
	const Decision waiting = Arrive({.memory_kb = 1000});
	EXPECT_EQ(0, Grow(query, 0, 0));
	EXPECT_EQ(0, Grow(query, -5, -7));
	EXPECT_EQ(0, Grow(waiting, 100, 1));
	EXPECT_EQ(0, policy->Grow(kNoQuery, 100, 1, now));
	EXPECT_EQ(0, policy->Grow(1 << 20, 100, 1, now));
	EXPECT_EQ(0u, policy->num_grown() + policy->num_growth_refused());
	EXPECT_EQ(100, Grow(query, 100, 1000));          /* more than all cannot be the least */
}

TEST_F(PolicyGrowthTest, StaysInTheShareOfItsQueue)
{
	AddQueue("small", 10).max_memory_share = 0.125f;
	Start();
	const Decision first = Arrive({.queue = 1, .memory_kb = 60000});
	const Decision second = Arrive({.queue = 1, .memory_kb = 60000});
	EXPECT_EQ(5000, Grow(first, 5000, 5000));
	EXPECT_EQ(0, Grow(second, 1, 1));
	EXPECT_EQ(125000, Counters(1).reserved_kb);
}

TEST_F(PolicyGrowthTest, LeavesTheGuaranteesOfOthers)
{
	AddQueue("guaranteed", 10).memory_share = 0.5f;
	Start();
	Arrive({.memory_kb = 300000});
	const Decision query = Arrive({.memory_kb = 100000});
	const Decision entitled = Arrive({.queue = 1, .memory_kb = 100000});
	EXPECT_EQ(0, Grow(query, 100001, 100001));
	EXPECT_EQ(100000, Grow(query, 100000, 100000));
	EXPECT_EQ(400000, Grow(entitled, 400000, 400000));
	EXPECT_EQ(0, policy->forced_kb());
}

TEST_F(PolicyGrowthTest, AStarvedOneComesFirst)
{
	Start();
	const Decision first = Arrive({.memory_kb = 450000});
	const Decision second = Arrive({.memory_kb = 300000});
	const Decision starved = Starve({.memory_kb = 400000});
	ASSERT_EQ(QueryState::kQueued, View(starved).state);
	EXPECT_EQ(0, Grow(first, 1, 1));
	EXPECT_EQ(0, Arrive({.memory_kb = 1000, .maintenance = true}).reserved_kb);
	Finish(second);
	EXPECT_EQ(QueryState::kRunning, View(starved).state);
	EXPECT_EQ(1, Grow(first, 1, 1));
}

TEST_F(PolicyGrowthTest, OneThatIsStarvedOfItsShareComesFirstInItsQueue)
{
	AddQueue("small", 10).max_memory_share = 0.25f;
	Start();
	const Decision other = Arrive({.memory_kb = 1000});
	const Decision query = Arrive({.queue = 1, .memory_kb = 200000});
	const Decision starved = Starve({.queue = 1, .memory_kb = 100000});
	ASSERT_EQ(QueryState::kQueued, View(starved).state);
	EXPECT_EQ(0, Grow(query, 1, 1));
	EXPECT_EQ(1, Grow(other, 1, 1));
	EXPECT_EQ(0, Arrive({.queue = 1, .memory_kb = 1000, .maintenance = true}).reserved_kb);
}

TEST_F(PolicyGrowthTest, WhoOutgrowsTheExpressLaneIsEvicted)
{
	config.queues[0].max_slots = 1;
	config.express_share = 0.25;
	Start();
	const Decision slow = Arrive({.memory_kb = 500000});
	const Decision query = Express(10000);
	ASSERT_EQ(Lane::kExpress, query.lane);
	EXPECT_EQ(10000, Grow(query, 10000, 10000));
	EXPECT_EQ(Lane::kExpress, View(query).lane);
	EXPECT_EQ(0, Grow(query, 300000, 300000));       /* would fit the budget, not the normal lane's part */
	EXPECT_EQ(Lane::kExpress, View(query).lane);
	EXPECT_EQ(1, Grow(query, 1, 1));
	EXPECT_EQ(Lane::kNormal, View(query).lane);
	EXPECT_TRUE(View(query).evicted);
	EXPECT_EQ(2, Counters().slots_used);             /* over the limit: those who come wait for it */
	EXPECT_EQ(1u, Counters().num_evicted);
	EXPECT_EQ(0, Counters().num_express);
	Finish(slow);
	Finish(query);
	ExpectIdle();
}

TEST_F(PolicyGrowthTest, AReturnedExpressQueryIsEvictedWithoutASlot)
{
	Start();
	const Decision query = Express(10000);
	policy->Pause(query.handle, now);
	EXPECT_EQ(50000, Grow(query, 50000, 1));
	EXPECT_EQ(0, Counters().slots_used);
	policy->Resume(query.handle, now);
	EXPECT_EQ(1, Counters().slots_used);
	Finish(query);
	ExpectIdle();
}

TEST_F(PolicyGrowthTest, PressureStopsGrowthFirst)
{
	Start();
	const Decision query = Arrive({.memory_kb = 1000});
	Press(Pressure::kNoGrowth);
	EXPECT_EQ(Pressure::kNoGrowth, policy->pressure());
	EXPECT_EQ(0, Grow(query, 1, 1));
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.memory_kb = 1000}).verdict);
	Press(Pressure::kNone);
	EXPECT_EQ(1, Grow(query, 1, 1));
}

TEST_F(PolicyGrowthTest, ThenAdmissionsButForOne)
{
	Start();
	Press(Pressure::kNoAdmission);
	const Decision first = Arrive({.memory_kb = 1000});
	const Decision second = Arrive({.memory_kb = 1000});
	const Decision third = Arrive({.memory_kb = 1000});
	EXPECT_EQ(Verdict::kAdmitted, first.verdict);
	EXPECT_EQ(Verdict::kQueued, second.verdict);
	EXPECT_EQ(WaitReason::kPressure, second.reason);
	EXPECT_EQ(WaitReason::kPressure, View(third).reason);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({}).verdict);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.priority = Priority::kCritical, .memory_kb = 1000}).verdict);
	Finish(first);
	EXPECT_EQ(QueryState::kQueued, View(second).state);      /* the critical one runs with memory */
	Press(Pressure::kNoGrowth);
	EXPECT_EQ(QueryState::kRunning, View(second).state);
	EXPECT_EQ(QueryState::kRunning, View(third).state);
	EXPECT_FALSE(View(third).forced);
}

TEST_F(PolicyGrowthTest, OneAfterTheOtherUnderPressure)
{
	Start();
	Press(Pressure::kNoAdmission);
	const Decision first = Arrive({.memory_kb = 1000});
	for (int i = 0; i < 9; i++)
		EXPECT_EQ(Verdict::kQueued, Arrive({.memory_kb = 1000}).verdict);
	EXPECT_EQ(9u, FinishOneByOne(first.handle).size());
	ExpectIdle();
}

TEST_F(PolicyGrowthTest, ACursorOrAQueryWithoutMemoryStopsNobody)
{
	Start();
	const Decision cursor = Arrive({.memory_kb = 1000});
	const Decision without = Arrive({.memory_kb = 1000});
	Press(Pressure::kNoAdmission, 900000);
	const Decision waiting = Arrive({.memory_kb = 400000});
	policy->Pause(cursor.handle, now);
	EXPECT_EQ(QueryState::kQueued, View(waiting).state);
	policy->Reserve(without.handle, 0, now);
	EXPECT_EQ(QueryState::kRunning, View(waiting).state);
	EXPECT_FALSE(View(waiting).forced);
}

TEST_F(PolicyGrowthTest, WhoMayNotWaitIsForcedAndDeadlinesStillCome)
{
	config.max_wait_ms = 5000;
	Start();
	Press(Pressure::kNoAdmission);
	Arrive({.memory_kb = 1000});
	const Decision hasty = Arrive({.memory_kb = 1000, .may_wait = false});
	EXPECT_EQ(Verdict::kAdmitted, hasty.verdict);
	EXPECT_TRUE(hasty.forced);
	const Decision patient = Arrive({.memory_kb = 1000});
	now += 5000;
	EXPECT_EQ(DeadlineOutcome::kForced, policy->Deadline(patient.handle, now));
	EXPECT_TRUE(View(patient).forced);
	EXPECT_EQ(2u, Counters().num_forced);
	EXPECT_EQ(0, policy->forced_kb());
}

TEST_F(PolicyGrowthTest, WhoWantsNoMemoryPassesAllThatAreStopped)
{
	config.queues[0].max_slots = 2;
	Start();
	const Decision first = Arrive({.memory_kb = 1000});
	const Decision second = Arrive({});
	Press(Pressure::kNoAdmission);
	for (int i = 0; i < 30; i++)
		Arrive({.memory_kb = 1000});
	now += 2 * kMaxPassedMs;
	const Decision without = Arrive({});
	Finish(second);
	EXPECT_EQ(QueryState::kRunning, View(without).state);
	Press(Pressure::kNone);
	EXPECT_EQ(QueryState::kRunning, View(first).state);
	EXPECT_EQ(2, Counters().num_running);
}

TEST_F(PolicyGrowthTest, AClaimRestsWhileItsClaimantIsStopped)
{
	Start();
	const Decision first = Arrive({.memory_kb = 450000});
	Arrive({.memory_kb = 300000});
	const Decision starved = Starve({.memory_kb = 400000});
	const Decision behind = Arrive({});
	ASSERT_EQ(WaitReason::kPassing, View(behind).reason);
	Press(Pressure::kNoAdmission);
	EXPECT_EQ(WaitReason::kPressure, View(starved).reason);
	EXPECT_EQ(QueryState::kRunning, View(behind).state);
	Press(Pressure::kNone);
	EXPECT_EQ(WaitReason::kPassing, Arrive({.memory_kb = 1}).reason);
	Finish(first);
	EXPECT_EQ(QueryState::kRunning, View(starved).state);
}

TEST_F(PolicyGrowthTest, AResumedCursorThatStopsAClaimantLetsOthersGoOn)
{
	Start();
	const Decision cursor = Arrive({.memory_kb = 300000});
	const Decision other = Arrive({.memory_kb = 400000});
	policy->Pause(cursor.handle, now);
	policy->Pause(other.handle, now);
	Press(Pressure::kNoAdmission);
	Starve({.memory_kb = 400000});
	const Decision behind = Arrive({});
	ASSERT_EQ(QueryState::kQueued, View(behind).state);
	policy->Resume(cursor.handle, now);
	EXPECT_EQ(QueryState::kRunning, View(behind).state);
}

TEST_F(PolicyGrowthTest, WhatIsUnavailableShrinksTheBudget)
{
	Start();
	const Decision first = Arrive({.memory_kb = 300000});
	Press(Pressure::kNone, 600000);
	EXPECT_EQ(600000, policy->unavailable_kb());
	EXPECT_EQ(100000, policy->free_kb());
	EXPECT_EQ(0, Grow(first, 100001, 100001));
	const Decision fits = Arrive({.memory_kb = 60000});
	const Decision large = Arrive({.memory_kb = 60000});
	EXPECT_EQ(Verdict::kAdmitted, fits.verdict);
	EXPECT_EQ(Verdict::kQueued, large.verdict);
	EXPECT_EQ(WaitReason::kPressure, large.reason);
	EXPECT_EQ(40000, Grow(first, 40000, 40000));
	Press(Pressure::kNone, 0);
	EXPECT_EQ(QueryState::kRunning, View(large).state);
}

TEST_F(PolicyGrowthTest, OneQueryAloneAlwaysStarts)
{
	Start();
	Press(Pressure::kNoAdmission, 5000000);
	EXPECT_EQ(0, policy->free_kb());
	const Decision large = Arrive({.memory_kb = 500000});
	EXPECT_EQ(Verdict::kAdmitted, large.verdict);
	EXPECT_FALSE(large.forced);
	EXPECT_EQ(500000, large.reserved_kb);
	EXPECT_EQ(Verdict::kQueued, Arrive({.memory_kb = 1}).verdict);
	EXPECT_EQ(0, policy->forced_kb());
}

TEST_F(PolicyGrowthTest, ALargeOneIsNotStarvedByWhatIsUnavailable)
{
	Start();
	Press(Pressure::kNone, 700000);
	Decision small = Arrive({.memory_kb = 10000});
	const Decision large = Arrive({.memory_kb = 500000});
	int rounds = 0;
	for (; View(large).state == QueryState::kQueued && rounds < 100; rounds++) {
		const Decision next = Arrive({.time_ms = 1, .memory_kb = 10000});
		now += 1000;
		if (View(small).state == QueryState::kRunning)
			Finish(small);
		small = next;
	}
	EXPECT_LT(rounds, 30);
	EXPECT_FALSE(View(large).forced);
}

TEST_F(PolicyGrowthTest, UnderPressureTheExpressLaneTrickles)
{
	Start();
	Arrive({.memory_kb = 1000});
	Press(Pressure::kNoAdmission);
	EXPECT_EQ(Lane::kExpress, Express(0).lane);
	EXPECT_EQ(Lane::kExpress, Express(15000).lane);
	const Decision second = Express(15000);
	EXPECT_EQ(Verdict::kQueued, second.verdict);
	EXPECT_EQ(WaitReason::kPressure, second.reason);
	EXPECT_EQ(Lane::kExpress, Express(5000).lane);
}

TEST_F(PolicyGrowthTest, TheExpressLaneHeedsWhatIsUnavailable)
{
	Start();
	const Decision running = Arrive({.memory_kb = 1000});
	Press(Pressure::kNone, 940000);
	EXPECT_EQ(Lane::kExpress, Express(20000).lane);
	Press(Pressure::kNone, 960000);
	EXPECT_EQ(Lane::kExpress, Express(0).lane);
	EXPECT_EQ(Lane::kNormal, Express(10000).lane);      /* it is not short any more while memory is */
	Finish(running);
}

TEST_F(PolicyGrowthTest, MaintenanceTakesWhatIsFreeAndNoSlot)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision query = Arrive({.memory_kb = 400000});
	const Decision waiting = Arrive({.memory_kb = 400000});
	const Decision first = Arrive({.memory_kb = 600000, .maintenance = true});
	const Decision second = Arrive({.memory_kb = 600000, .may_wait = false, .maintenance = true});
	const Decision third = Arrive({.memory_kb = 600000, .maintenance = true});
	EXPECT_EQ(Lane::kMaintenance, View(first).lane);
	EXPECT_EQ(500000, first.reserved_kb);
	EXPECT_EQ(100000, second.reserved_kb);
	EXPECT_EQ(0, third.reserved_kb);
	EXPECT_EQ(Verdict::kAdmitted, third.verdict);
	EXPECT_FALSE(first.forced || second.forced || third.forced);
	EXPECT_EQ(1, Counters().slots_used);
	EXPECT_EQ(4, Counters().num_running);
	EXPECT_EQ(0, Counters().num_express);
	Finish(query);
	EXPECT_EQ(QueryState::kRunning, View(waiting).state);
	Finish(first);
	EXPECT_EQ(10, Grow(third, 10, 10));
	for (const Decision &decision : {waiting, second, third})
		Finish(decision);
	ExpectIdle();
}

TEST_F(PolicyGrowthTest, MaintenanceLeavesSharesGuaranteesAndTheExpressLaneAlone)
{
	config.express_share = 0.25;
	AddQueue("guaranteed", 10).memory_share = 0.5f;
	AddQueue("small", 10).max_memory_share = 0.125f;
	Start();
	EXPECT_EQ(125000, Arrive({.queue = 2, .memory_kb = 600000, .maintenance = true}).reserved_kb);
	EXPECT_EQ(0, Arrive({.queue = 2, .memory_kb = 600000, .maintenance = true}).reserved_kb);
	Arrive({.queue = 1, .memory_kb = 1000});
	EXPECT_EQ(125000, Arrive({.memory_kb = 600000, .maintenance = true}).reserved_kb);
	EXPECT_EQ(499000, Arrive({.queue = 1, .memory_kb = 600000, .maintenance = true}).reserved_kb);
}

TEST_F(PolicyGrowthTest, MaintenanceIsNeitherEvictedNorGivenASlot)
{
	Start();
	const Decision index = Arrive({.time_ms = 1, .time_upper_ms = 2, .memory_kb = 1000, .maintenance = true});
	now += 1e6;
	policy->Tick(now, Saturation::Cpu(2.0));
	EXPECT_EQ(Lane::kMaintenance, View(index).lane);
	EXPECT_FALSE(View(index).evicted);
	policy->Pause(index.handle, now);
	policy->Resume(index.handle, now);
	EXPECT_EQ(0, Counters().slots_used);
	EXPECT_EQ(300000, Grow(index, 300000, 1));
	EXPECT_EQ(Lane::kMaintenance, View(index).lane);
	config.budget_kb = 1000;
	policy->Configure(config, now);
	EXPECT_EQ(301000, View(index).reserved_kb);
	Finish(index);
	ExpectIdle();
}

TEST_F(PolicyGrowthTest, UnderPressureMaintenanceGetsNothingAndStopsNobody)
{
	Start();
	const Decision before = Arrive({.memory_kb = 1000, .maintenance = true});
	Press(Pressure::kNoAdmission);
	EXPECT_EQ(0, Arrive({.memory_kb = 1000, .maintenance = true}).reserved_kb);
	EXPECT_EQ(1000, View(before).reserved_kb);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.memory_kb = 1000}).verdict);
	Press(Pressure::kNoGrowth);
	EXPECT_EQ(1000, Arrive({.memory_kb = 1000, .maintenance = true}).reserved_kb);
}

TEST_F(PolicyGrowthTest, PressureOutlivesAConfigure)
{
	Start();
	Press(Pressure::kNoAdmission, 100000);
	config.budget_kb = 500000;
	policy->Configure(config, now);
	EXPECT_EQ(Pressure::kNoAdmission, policy->pressure());
	EXPECT_EQ(400000, policy->free_kb());
	policy->SetPressure(static_cast<Pressure>(77), -5, now);
	EXPECT_EQ(Pressure::kNoAdmission, policy->pressure());
	EXPECT_EQ(0, policy->unavailable_kb());
}

}  // namespace
}  // namespace wlm
