/*
 * policy_standstill_test.cpp
 *
 * Long waits in a queue that moves, and a queue that stands still.
 */
#include <gtest/gtest.h>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

using test::Request;

class StandstillTest : public test::PolicyFixture {
  protected:
	void SetUp() override
	{
		config = test::OneQueue(1);
		config.express_floor_ms = -1;
		config.max_wait_ms = 100000;
		config.max_standstill_ms = 10000;
	}

	/* Ticks every second for so long; returns how many were admitted by them. */
	int Pass(double seconds)
	{
		int admitted = 0;
		for (; seconds > 0; seconds--) {
			now += 1000;
			policy->Tick(now, Saturation::Cpu(0.5));
			while (policy->TakeAdmitted() != kNoQuery)
				admitted++;
		}
		return admitted;
	}
};

TEST_F(StandstillTest, WhoWaitsLongestComesInFirstAndOneByOne)
{
	config.max_standstill_ms = 200000;      /* one comes in every twenty seconds */
	config.max_wait_ms = 1e9;
	Start();
	const Decision holder = Arrive({});
	const Decision first = Arrive({.time_ms = 50000});
	now += 1000;
	const Decision second = Arrive({.time_ms = 10});
	EXPECT_EQ(0, Pass(198));
	EXPECT_EQ(1, Pass(1));
	EXPECT_EQ(QueryState::kRunning, View(first).state);
	EXPECT_TRUE(View(first).forced);
	EXPECT_EQ(QueryState::kQueued, View(second).state);
	EXPECT_EQ(0, Pass(19));
	EXPECT_EQ(1, Pass(1));
	EXPECT_EQ(QueryState::kRunning, View(second).state);
	EXPECT_EQ(2u, Counters().num_let_in);
	EXPECT_EQ(2u, Counters().num_forced);
	EXPECT_EQ(QueryState::kRunning, View(holder).state);
}

TEST_F(StandstillTest, WaitsAreLongWhereTheQueueMoves)
{
	Start();
	Decision running = Arrive({});
	const Decision large = Arrive({.time_ms = 60000});
	for (int i = 0; i < 10; i++) {
		const Decision next = Arrive({.time_ms = 1});
		EXPECT_EQ(0, Pass(9));
		policy->Finish(running.handle, now);
		EXPECT_EQ(next.handle, policy->TakeAdmitted());
		running = next;
	}
	EXPECT_EQ(QueryState::kQueued, View(large).state);
	/* max_wait bounds it all the same: 90 s have passed. */
	EXPECT_EQ(0, Pass(9));
	EXPECT_EQ(1, Pass(1));
	EXPECT_EQ(QueryState::kRunning, View(large).state);
	EXPECT_EQ(0u, Counters().num_let_in);
}

TEST_F(StandstillTest, OnlyStartsInTurnAndInTheSameQueueMoveIt)
{
	AddQueue("other", 1);
	config.express_floor_ms = 2000;
	Start();
	Arrive({});
	const Decision waiting = Arrive({});
	for (int i = 0; i < 9; i++) {
		EXPECT_EQ(0, Pass(1));
		const Decision other = Arrive({.queue = 1});
		const Decision express = Arrive({.time_upper_ms = 1});
		const Decision forced = Arrive({.may_wait = false});
		const Decision critical = Arrive({.priority = Priority::kCritical});
		for (const Decision &one : {other, express, forced, critical}) {
			EXPECT_EQ(Verdict::kAdmitted, one.verdict);
			policy->Finish(one.handle, now);
		}
	}
	EXPECT_EQ(1, Pass(1));
	EXPECT_EQ(QueryState::kRunning, View(waiting).state);
}

TEST_F(StandstillTest, APausedQueueIsMeantToStandStill)
{
	config.max_wait_ms = 60000;
	Start();
	config.queues[0].intake = Intake::kPaused;
	policy->Configure(config, now);
	Arrive({});
	EXPECT_EQ(0, Pass(59));
	EXPECT_EQ(1, Pass(1));
	EXPECT_EQ(0u, Counters().num_let_in);
}

TEST_F(StandstillTest, NoneUnlessWanted)
{
	config.max_standstill_ms = 0;
	Start();
	Arrive({});
	Arrive({});
	EXPECT_EQ(0, Pass(99));
	EXPECT_EQ(1, Pass(1));
}

}  // namespace
}  // namespace wlm
