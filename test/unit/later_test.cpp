/*
 * later_test.cpp
 *
 * Now or later in the Policy: who is held back although there is room, for how
 * long, and who never is.
 */
#include <gtest/gtest.h>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

class LaterTest : public test::PolicyFixture {
  protected:
	Interference interference{2, 0, true};

	void SetUp() override
	{
		config.now_or_later = true;
		config.queues[0].max_slots = 10;
	}

	void Begin()
	{
		Start();
		policy->SetInterference(interference);
	}

	Decision ArriveWithLoad(double time_ms, float load, Priority priority = Priority::kNormal)
	{
		QueryRequest request = test::Make({.priority = priority, .time_ms = time_ms});
		request.load = load;
		return policy->Arrive(request, now);
	}
};

TEST_F(LaterTest, AHeavyOneWaitsForTheFirstToEnd)
{
	Begin();
	const Decision first = ArriveWithLoad(5000, 4);
	ASSERT_EQ(Verdict::kAdmitted, first.verdict);           /* nothing ran */
	const Decision second = ArriveWithLoad(5000, 4);
	ASSERT_EQ(Verdict::kQueued, second.verdict);
	EXPECT_EQ(WaitReason::kLater, second.reason);
	EXPECT_EQ(WaitReason::kLater, View(second).reason);
	now += 1000;
	policy->Finish(first.handle, now);
	EXPECT_EQ(second.handle, policy->TakeAdmitted());
	EXPECT_EQ(WaitReason::kLater, View(second).reason);     /* what it waited for last */
	EXPECT_FALSE(View(second).forced);
}

TEST_F(LaterTest, ALightOneStartsAtOnceAlsoBehindAHeavyOne)
{
	Begin();
	ArriveWithLoad(5000, 4);
	const Decision heavy = ArriveWithLoad(5000, 4);
	ASSERT_EQ(WaitReason::kLater, heavy.reason);
	EXPECT_EQ(Verdict::kAdmitted, ArriveWithLoad(5000, 0.01f).verdict);
	EXPECT_EQ(QueryState::kQueued, View(heavy).state);
}

TEST_F(LaterTest, HeldBackNoLongerThanItsOwnTime)
{
	Begin();
	ArriveWithLoad(3000, 4);                                /* and takes longer */
	const Decision short_one = ArriveWithLoad(3000, 4);
	ASSERT_EQ(WaitReason::kLater, short_one.reason);
	now += 2999;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_EQ(QueryState::kQueued, View(short_one).state);
	now += 1;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_EQ(QueryState::kRunning, View(short_one).state);
}

TEST_F(LaterTest, NorLongerThanTenSeconds)
{
	Begin();
	ArriveWithLoad(100000, 4);
	const Decision long_one = ArriveWithLoad(100000, 4);
	ASSERT_EQ(WaitReason::kLater, long_one.reason);
	now += 9999;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_EQ(QueryState::kQueued, View(long_one).state);
	now += 1;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_EQ(long_one.handle, policy->TakeAdmitted());
	EXPECT_FALSE(View(long_one).forced);
}

TEST_F(LaterTest, NorPassedMoreThanSixteenTimes)
{
	config.queues[0].max_slots = 100;
	Begin();
	ArriveWithLoad(100000, 4);
	const Decision heavy = ArriveWithLoad(50000, 4);
	ASSERT_EQ(WaitReason::kLater, heavy.reason);
	int passed = 0;
	for (; View(heavy).state == QueryState::kQueued && passed < 100; passed++)
		ASSERT_EQ(Verdict::kAdmitted, ArriveWithLoad(50000, 0.001f).verdict);
	EXPECT_LE(passed, kMaxPassed + 1);
}

TEST_F(LaterTest, CriticalShortUnknownAndThoseThatMayNotWaitAreNotHeldBack)
{
	Begin();
	ArriveWithLoad(5000, 4);
	ASSERT_EQ(WaitReason::kLater, ArriveWithLoad(5000, 4).reason);
	EXPECT_EQ(Verdict::kAdmitted, ArriveWithLoad(5000, 4, Priority::kCritical).verdict);
	EXPECT_EQ(Verdict::kAdmitted, ArriveWithLoad(999, 400).verdict);
	EXPECT_EQ(Verdict::kAdmitted, ArriveWithLoad(0, 400).verdict);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.time_ms = 5000, .may_wait = false}).verdict);
}

TEST_F(LaterTest, NothingForeseenRunsNothingWaits)
{
	Begin();
	ArriveWithLoad(0, 4);                                   /* runs for who knows how long */
	EXPECT_EQ(Verdict::kAdmitted, ArriveWithLoad(5000, 4).verdict);
}

TEST_F(LaterTest, OffOrUnknownHoldsNobodyBack)
{
	interference.known = false;
	Begin();
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(Verdict::kAdmitted, ArriveWithLoad(5000, 4).verdict);
	interference = {std::numeric_limits<float>::quiet_NaN(), 0, true};
	policy->SetInterference(interference);
	EXPECT_EQ(Verdict::kAdmitted, ArriveWithLoad(5000, 4).verdict);
	config.now_or_later = false;
	policy->SetInterference({2, 0, true});
	policy->Configure(config, now);
	EXPECT_EQ(Verdict::kAdmitted, ArriveWithLoad(5000, 4).verdict);
}

TEST_F(LaterTest, SwitchedOffWhileTheyWaitLetsThemStart)
{
	Begin();
	ArriveWithLoad(5000, 4);
	const Decision later = ArriveWithLoad(5000, 4);
	ASSERT_EQ(WaitReason::kLater, later.reason);
	config.now_or_later = false;
	policy->Configure(config, now);
	EXPECT_EQ(later.handle, policy->TakeAdmitted());
}

TEST_F(LaterTest, ManyWaitersEndInOrder)
{
	Begin();
	const Decision first = ArriveWithLoad(2000, 4);
	std::vector<Decision> waiting;
	for (int i = 0; i < 50; i++)
		waiting.push_back(ArriveWithLoad(2000 + i, 4));
	for (const Decision &decision : waiting)
		ASSERT_EQ(Verdict::kQueued, decision.verdict);
	const std::vector<QueryHandle> started = FinishOneByOne(first.handle);
	ASSERT_EQ(waiting.size(), started.size());
	for (size_t i = 0; i < started.size(); i++)
		EXPECT_EQ(waiting[i].handle, started[i]);
}

}  // namespace
}  // namespace wlm
