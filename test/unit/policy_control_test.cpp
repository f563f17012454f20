/*
 * policy_control_test.cpp
 *
 * What administrators do to queues and queries, one scenario each: pause and
 * drain, another priority, another queue, and the lane of superusers. Budget
 * 1,000,000 kB and two slots unless a scenario says otherwise.
 */
#include <gtest/gtest.h>

#include <vector>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

class PolicyControlTest : public test::PolicyFixture {
  protected:
	void SetIntake(int queue, Intake intake)
	{
		config.queues[queue].intake = intake;
		policy->Configure(config, now);
	}
	void Finish(const Decision &query) { policy->Finish(query.handle, now); }
};

TEST_F(PolicyControlTest, APausedQueueStartsNobodyInOrder)
{
	config.queues[0].max_slots = 3;
	AddQueue("other", 2);
	Start();
	const Decision running = Arrive({});
	SetIntake(0, Intake::kPaused);
	const Decision waits = Arrive({});
	EXPECT_EQ(Verdict::kQueued, waits.verdict);
	EXPECT_EQ(WaitReason::kPaused, waits.reason);
	EXPECT_EQ(Verdict::kQueued, Arrive({.priority = Priority::kCritical}).verdict);
	EXPECT_EQ(Verdict::kQueued, Arrive({.time_ms = 1, .time_upper_ms = 2}).verdict);    /* not through the express lane either */
	EXPECT_EQ(QueryState::kRunning, View(running).state);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.queue = 1}).verdict);
	EXPECT_EQ(Lane::kMaintenance, Arrive({.maintenance = true}).lane);
	Finish(running);
	policy->Tick(now, Saturation::Cpu(0.1));
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());

	SetIntake(0, Intake::kOpen);
	EXPECT_EQ(4, Counters(0).num_running);      /* and maintenance */
	EXPECT_EQ(QueryState::kRunning, View(waits).state);
	EXPECT_EQ(0, Counters(0).num_queued);
}

TEST_F(PolicyControlTest, EveryWaitInAPausedQueueEnds)
{
	Start();
	SetIntake(0, Intake::kPaused);
	const Decision deadline = Arrive({.memory_kb = 1000});
	const Decision forced = Arrive({});
	const Decision timed = Arrive({.queue_timeout_ms = 500});
	const Decision hurried = Arrive({.may_wait = false});
	EXPECT_EQ(Verdict::kAdmitted, hurried.verdict);
	EXPECT_TRUE(hurried.forced);
	policy->Force(forced.handle, now);
	EXPECT_EQ(forced.handle, policy->TakeAdmitted());
	EXPECT_TRUE(View(forced).forced);
	now += 500;
	EXPECT_EQ(DeadlineOutcome::kTimedOut, policy->Deadline(timed.handle, now));
	now += config.max_wait_ms;
	EXPECT_EQ(DeadlineOutcome::kForced, policy->Deadline(deadline.handle, now));
	EXPECT_TRUE(View(deadline).forced);
	EXPECT_EQ(3u, Counters().num_forced);
	EXPECT_EQ(1u, Counters().num_timeouts);
}

TEST_F(PolicyControlTest, WhoWaitsInAPausedQueueKeepsNothingFromOthers)
{
	config.total_slots = 2;
	config.queues[0].max_slots = 0;
	QueueLimits &etl = AddQueue("etl", 0);
	etl.slot_share = 1;
	etl.memory_share = 0.9f;
	etl.intake = Intake::kPaused;
	Start();
	Arrive({.queue = 1, .memory_kb = 1000});
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.memory_kb = 500000}).verdict);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.memory_kb = 500000}).verdict);
}

TEST_F(PolicyControlTest, AClaimEndsWithThePause)
{
	config.queues[0].max_slots = 10;
	AddQueue("etl", 10);
	Start();
	Arrive({.memory_kb = 500000});
	Arrive({.memory_kb = 300000});
	const Decision starved = Arrive({.queue = 1, .memory_kb = 400000});
	now += kMaxPassedMs + 1;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_EQ(WaitReason::kPassing, Arrive({.memory_kb = 1000}).reason);
	SetIntake(1, Intake::kPaused);
	EXPECT_EQ(0, Counters(0).num_queued);
	EXPECT_EQ(WaitReason::kPaused, View(starved).reason);
}

TEST_F(PolicyControlTest, ADrainingQueueStartsWhomItHas)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision running = Arrive({});
	const Decision waits = Arrive({});
	SetIntake(0, Intake::kDraining);
	Finish(running);
	EXPECT_EQ(waits.handle, policy->TakeAdmitted());
}

TEST_F(PolicyControlTest, AWaitingQueryChangesItsLevelAndKeepsItsKey)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision running = Arrive({});
	const Decision first = Arrive({.priority = Priority::kHigh, .time_ms = 1000});
	const Decision last = Arrive({.priority = Priority::kHigh, .time_ms = 3000});
	const Decision between = Arrive({.priority = Priority::kLow, .time_ms = 2000});
	EXPECT_EQ(3, Position(between));
	EXPECT_TRUE(policy->ChangePriority(between.handle, Priority::kHigh, now));
	EXPECT_EQ(2, Position(between));
	EXPECT_EQ(Priority::kHigh, View(between).priority);
	EXPECT_FALSE(policy->ChangePriority(between.handle, Priority::kNumPriorities, now));
	EXPECT_EQ((std::vector<QueryHandle>{first.handle, between.handle, last.handle}), FinishOneByOne(running.handle));
	EXPECT_EQ(0, Counters().num_queued);
}

TEST_F(PolicyControlTest, WhoBecomesCriticalStartsAndItsWaitCountsOnce)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision running = Arrive({});
	const Decision waits = Arrive({});
	now += 700;
	EXPECT_TRUE(policy->ChangePriority(waits.handle, Priority::kCritical, now));
	EXPECT_EQ(waits.handle, policy->TakeAdmitted());
	EXPECT_EQ(700, Counters().total_queue_ms);
	EXPECT_TRUE(policy->ChangePriority(running.handle, Priority::kLowest, now));
	EXPECT_EQ(Priority::kLowest, View(running).priority);
	policy->Pause(running.handle, now);
	EXPECT_TRUE(policy->ChangePriority(running.handle, Priority::kHigh, now));
	EXPECT_EQ(Priority::kHigh, View(running).priority);
}

TEST_F(PolicyControlTest, AWaitingQueryMovesAndKeepsItsArrival)
{
	config.queues[0].max_slots = 1;
	AddQueue("other", 1).queue_timeout_ms = 5000;
	Start();
	const Decision running = Arrive({});
	const Decision waits = Arrive({.memory_kb = 1000});
	const Decision other = Arrive({.queue = 1});
	now += 1000;
	EXPECT_EQ(MoveOutcome::kMoved, policy->Move(waits.handle, 1, now));
	EXPECT_EQ(1, View(waits).queue);
	EXPECT_EQ(now + 4000, policy->DeadlineMs(waits.handle));        /* the time-out of its new queue, from its arrival on */
	EXPECT_EQ(0, Counters(0).num_queued);
	EXPECT_EQ(1, Counters(1).num_queued);
	Finish(other);
	EXPECT_EQ(waits.handle, policy->TakeAdmitted());
	EXPECT_EQ(1000, Counters(1).total_queue_ms);
	EXPECT_EQ(0, Counters(0).total_queue_ms);
	Finish(running);
	EXPECT_EQ(MoveOutcome::kNone, policy->Move(waits.handle, 2, now));
	EXPECT_EQ(MoveOutcome::kNone, policy->Move(waits.handle, -1, now));
	EXPECT_EQ(MoveOutcome::kNone, policy->Move(running.handle, 1, now));
	EXPECT_EQ(MoveOutcome::kMoved, policy->Move(waits.handle, 1, now));
}

TEST_F(PolicyControlTest, AFullQueueTakesNoWaitingQueryAndItKeepsItsTurn)
{
	config.queues[0].max_slots = 1;
	AddQueue("other", 1).max_queue_length = 1;
	Start();
	const Decision running = Arrive({});
	const Decision first = Arrive({.time_ms = 2000});
	const Decision second = Arrive({.time_ms = 3000});
	Arrive({.queue = 1});
	EXPECT_FALSE(policy->IsFull(1));
	EXPECT_EQ(Verdict::kQueued, Arrive({.queue = 1}).verdict);
	EXPECT_TRUE(policy->IsFull(1));
	EXPECT_FALSE(policy->IsFull(0));                                /* no limit */
	now += 1000;
	EXPECT_EQ(MoveOutcome::kQueueFull, policy->Move(first.handle, 1, now));
	EXPECT_EQ(0, View(first).queue);
	EXPECT_EQ(1, Position(first));
	EXPECT_EQ(1, Counters(1).num_queued);
	EXPECT_EQ(MoveOutcome::kMoved, policy->Move(running.handle, 1, now));   /* it does not wait there */
	EXPECT_EQ(first.handle, policy->TakeAdmitted());
	EXPECT_EQ(1, Position(second));
}

TEST_F(PolicyControlTest, AQueueInWhichNobodyMayWaitTakesWhoStartsThere)
{
	config.queues[0].max_slots = 1;
	AddQueue("other", 1).max_queue_length = 0;
	Start();
	Arrive({});
	const Decision first = Arrive({});
	const Decision second = Arrive({});
	EXPECT_EQ(MoveOutcome::kMoved, policy->Move(first.handle, 1, now));
	EXPECT_EQ(first.handle, policy->TakeAdmitted());
	EXPECT_EQ(MoveOutcome::kQueueFull, policy->Move(second.handle, 1, now));
	EXPECT_EQ(1, Position(second));
}

TEST_F(PolicyControlTest, AMovedQueryMayStartAtOnce)
{
	config.queues[0].max_slots = 1;
	AddQueue("other", 1);
	Start();
	Arrive({});
	const Decision waits = Arrive({});
	EXPECT_EQ(MoveOutcome::kMoved, policy->Move(waits.handle, 1, now));
	EXPECT_EQ(waits.handle, policy->TakeAdmitted());
}

TEST_F(PolicyControlTest, ARunningQueryTakesItsSlotsAndMemoryAlong)
{
	config.total_slots = 4;
	config.queues[0].max_slots = 0;
	AddQueue("etl", 2).memory_share = 0.2f;
	config.queues[1].max_memory_share = 0.3f;
	Start();
	const Decision wide = Arrive({.slots = 3, .memory_kb = 500000});
	const Decision etl = Arrive({.queue = 1, .slots = 2});
	const Decision waits = Arrive({});
	EXPECT_EQ(WaitReason::kPool, waits.reason);
	EXPECT_EQ(MoveOutcome::kMoved, policy->Move(wide.handle, 1, now));
	EXPECT_EQ(5, Counters(1).slots_used);       /* over its limit and its share */
	EXPECT_EQ(500000, Counters(1).reserved_kb);
	EXPECT_EQ(2, Counters(1).num_running);
	EXPECT_EQ(0, Counters(0).reserved_kb);
	EXPECT_EQ(0, policy->forced_kb());
	EXPECT_EQ(waits.handle, policy->TakeAdmitted());    /* the pool is over-full, but none of an automatic queue runs */
	EXPECT_EQ(6, policy->pool_used());
	EXPECT_EQ(Verdict::kQueued, Arrive({.queue = 1}).verdict);
	policy->Pause(wide.handle, now);
	EXPECT_EQ(2, Counters(1).slots_used);
	EXPECT_EQ(MoveOutcome::kMoved, policy->Move(wide.handle, 0, now));
	EXPECT_EQ(1, Counters(0).num_returned);
	EXPECT_EQ(500000, Counters(0).reserved_kb);
	Finish(wide);
	EXPECT_EQ(1u, Counters(0).num_executed);
	Finish(etl);
}

TEST_F(PolicyControlTest, AMoveTakesTheClaimAway)
{
	config.queues[0].max_slots = 10;
	AddQueue("other", 10).max_memory_share = 0.1f;
	Start();
	Arrive({.memory_kb = 500000});
	Arrive({.memory_kb = 300000});
	const Decision starved = Arrive({.memory_kb = 400000});
	now += kMaxPassedMs + 1;
	policy->Tick(now, Saturation::Cpu(0.5));
	const Decision behind = Arrive({.memory_kb = 1000});
	EXPECT_EQ(WaitReason::kPassing, behind.reason);
	EXPECT_EQ(MoveOutcome::kMoved, policy->Move(starved.handle, 1, now));      /* there it may have 100,000 */
	EXPECT_EQ(starved.handle, policy->TakeAdmitted());
	EXPECT_EQ(100000, View(starved).reserved_kb);
	EXPECT_EQ(behind.handle, policy->TakeAdmitted());
}

TEST_F(PolicyControlTest, AnAdmissionThatNobodyKnowsYetSurvivesAMove)
{
	config.queues[0].max_slots = 1;
	AddQueue("other", 1);
	Start();
	const Decision running = Arrive({});
	const Decision second = Arrive({});
	Finish(running);
	EXPECT_EQ(MoveOutcome::kMoved, policy->Move(second.handle, 1, now));
	EXPECT_TRUE(policy->ChangePriority(second.handle, Priority::kLow, now));
	EXPECT_EQ(second.handle, policy->TakeAdmitted());
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
}

class PolicySuperuserTest : public PolicyControlTest {
  protected:
	PolicySuperuserTest()
	{
		config.queues[0].max_slots = 1;
		config.superuser_slots = 1;
	}
};

TEST_F(PolicySuperuserTest, StartsInHisLaneIfHeWouldHaveToWait)
{
	Start();
	const Decision first = Arrive({.memory_kb = 450000, .superuser_lane = true});
	EXPECT_EQ(Lane::kNormal, first.lane);                   /* there is room */
	Arrive({.memory_kb = 1000});                            /* waits for the slot */
	const Decision second = Arrive({.memory_kb = 900000, .superuser_lane = true});
	EXPECT_EQ(Verdict::kAdmitted, second.verdict);
	EXPECT_EQ(Lane::kSuperuser, second.lane);
	EXPECT_FALSE(second.forced);
	EXPECT_EQ(500000, second.reserved_kb);
	EXPECT_EQ(1, Counters().slots_used);
	EXPECT_EQ(2, Counters().num_running);
	EXPECT_EQ(1, policy->num_superusers());

	const Decision third = Arrive({.memory_kb = 10000, .superuser_lane = true});
	EXPECT_EQ(Verdict::kAdmitted, third.verdict);           /* the lane is full: critical, over the slots but not over the budget */
	EXPECT_EQ(Lane::kNormal, third.lane);
	EXPECT_TRUE(third.forced);
	EXPECT_EQ(Priority::kCritical, View(third).priority);
	const Decision fourth = Arrive({.memory_kb = 100000, .superuser_lane = true});
	EXPECT_EQ(WaitReason::kMemory, fourth.reason);
	Finish(second);
	EXPECT_EQ(fourth.handle, policy->TakeAdmitted());
	EXPECT_EQ(0, policy->num_superusers());
}

TEST_F(PolicySuperuserTest, WhoWaitsGetsTheLaneWhenItIsFreeFirstComeFirstServed)
{
	Start();
	Arrive({.memory_kb = 500000});
	const Decision in_lane = Arrive({.superuser_lane = true});
	EXPECT_EQ(Lane::kSuperuser, in_lane.lane);
	Arrive({.memory_kb = 400000, .superuser_lane = true});      /* critical: over the slots */
	now += 10;
	const Decision first = Arrive({.time_ms = 50000, .memory_kb = 300000, .superuser_lane = true});
	now += 10;
	const Decision second = Arrive({.time_ms = 10, .memory_kb = 300000, .superuser_lane = true});
	EXPECT_EQ(WaitReason::kMemory, first.reason);
	EXPECT_EQ(WaitReason::kMemory, second.reason);
	now += 10;
	Finish(in_lane);
	EXPECT_EQ(first.handle, policy->TakeAdmitted());
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
	EXPECT_EQ(Lane::kSuperuser, View(first).lane);
	EXPECT_FALSE(View(first).forced);
	EXPECT_EQ(1, policy->num_superusers());
	policy->Pause(first.handle, now);                           /* a cursor's client thinks */
	EXPECT_EQ(second.handle, policy->TakeAdmitted());
	EXPECT_EQ(Lane::kSuperuser, View(second).lane);
}

TEST_F(PolicySuperuserTest, ALaneThatIsConfiguredTakesWhoWaits)
{
	config.superuser_slots = 0;
	Start();
	Arrive({.memory_kb = 500000});
	Arrive({.memory_kb = 400000, .superuser_lane = true});
	const Decision waits = Arrive({.memory_kb = 300000, .superuser_lane = true});
	EXPECT_EQ(Verdict::kQueued, waits.verdict);
	config.superuser_slots = 1;
	policy->Configure(config, now);
	EXPECT_EQ(waits.handle, policy->TakeAdmitted());
	EXPECT_EQ(Lane::kSuperuser, View(waits).lane);
}

TEST_F(PolicySuperuserTest, IsNotTurnedAwayByAFullQueue)
{
	config.superuser_slots = 0;
	config.queues[0].max_queue_length = 0;
	Start();
	Arrive({.memory_kb = 500000});
	Arrive({.memory_kb = 400000, .superuser_lane = true});
	EXPECT_EQ(Verdict::kQueued, Arrive({.memory_kb = 300000, .superuser_lane = true}).verdict);
	EXPECT_EQ(Verdict::kQueueFull, Arrive({.memory_kb = 300000}).verdict);
}

TEST_F(PolicySuperuserTest, IsNotLockedOutByAPauseNorByPressure)
{
	Start();
	Arrive({.memory_kb = 400000});
	SetIntake(0, Intake::kPaused);
	policy->SetPressure(Pressure::kNoAdmission, 0, now);
	const Decision superuser = Arrive({.memory_kb = 1000, .superuser_lane = true});
	EXPECT_EQ(Lane::kSuperuser, superuser.lane);
	EXPECT_EQ(0, superuser.reserved_kb);
}

TEST_F(PolicySuperuserTest, ACursorInTheLaneLeavesItWhileItWaitsForItsClient)
{
	Start();
	Arrive({});
	const Decision cursor = Arrive({.memory_kb = 1000, .superuser_lane = true});
	policy->Pause(cursor.handle, now);
	EXPECT_EQ(0, policy->num_superusers());
	EXPECT_EQ(Lane::kSuperuser, Arrive({.superuser_lane = true}).lane);
	policy->Resume(cursor.handle, now);                     /* what has begun goes on */
	EXPECT_EQ(2, policy->num_superusers());
	EXPECT_EQ(1, Counters().slots_used);
	EXPECT_EQ(0u, Counters().num_forced);
}

TEST_F(PolicySuperuserTest, WhoMayNotWaitTakesTheLaneBeforeHeIsForced)
{
	Start();
	Arrive({});
	EXPECT_EQ(Lane::kSuperuser, Arrive({.may_wait = false, .superuser_lane = true}).lane);
	const Decision forced = Arrive({.may_wait = false, .superuser_lane = true});
	EXPECT_EQ(Lane::kNormal, forced.lane);
	EXPECT_TRUE(forced.forced);
}

TEST_F(PolicySuperuserTest, WithoutALaneHeIsCritical)
{
	config.superuser_slots = 0;
	Start();
	Arrive({});
	const Decision superuser = Arrive({.superuser_lane = true});
	EXPECT_EQ(Lane::kNormal, superuser.lane);
	EXPECT_TRUE(superuser.forced);
	EXPECT_EQ(Priority::kCritical, View(superuser).priority);
	EXPECT_EQ(1u, Counters().num_forced);
}

}  // namespace
}  // namespace wlm
