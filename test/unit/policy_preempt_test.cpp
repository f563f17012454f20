/*
 * policy_preempt_test.cpp
 *
 * Scenarios of giving way: who is asked, who is not, what becomes of a request,
 * what the victim gets back, and the bounds of what is thrown away.
 */
#include <gtest/gtest.h>

#include <vector>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

class PreemptTest : public test::PolicyFixture {
  protected:
	void SetUp() override
	{
		config.preemption = true;
		config.express_floor_ms = -1;
	}

	/* Runs from now on, and may be restarted. */
	Decision ArriveRestartable(const test::Request &request)
	{
		const Decision decision = Arrive(request);
		EXPECT_EQ(Verdict::kAdmitted, decision.verdict);
		policy->SetRestartable(decision.handle, true);
		return decision;
	}

	void Tick()
	{
		now += 1000;
		policy->Tick(now, Saturation::Cpu(0.5));
	}
};

TEST_F(PreemptTest, ALowerOneGivesItsSlotToAHigherOne)
{
	Start();
	const Decision other = Arrive({});
	const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 10000});
	EXPECT_TRUE(View(low).restartable);
	now += 100;
	const Decision high = Arrive({.priority = Priority::kHigh});
	ASSERT_EQ(WaitReason::kSlot, high.reason);
	ASSERT_EQ(low.handle, policy->TakeVictim());
	EXPECT_EQ(kNoQuery, policy->TakeVictim());              /* once */
	Tick();
	EXPECT_EQ(kNoQuery, policy->TakeVictim());
	EXPECT_EQ(QueryState::kRunning, View(low).state);       /* until its owner says so */

	EXPECT_EQ(Preemption::kWaits, policy->GiveWay(low.handle, now));
	EXPECT_EQ(high.handle, policy->TakeAdmitted());
	EXPECT_EQ(QueryState::kQueued, View(low).state);
	EXPECT_EQ(WaitReason::kSlot, View(low).reason);
	EXPECT_EQ(1, View(low).num_preempted);
	EXPECT_EQ(10000, View(low).arrived_ms);
	EXPECT_EQ(1u, Counters().num_preempted);
	EXPECT_EQ(1100, Counters().total_wasted_ms);
	EXPECT_EQ(1, Counters().num_queued);

	policy->Finish(other.handle, now);
	EXPECT_EQ(low.handle, policy->TakeAdmitted());
	EXPECT_TRUE(View(low).restartable);
}

/* A hop does not ask who needs the slot: the new queue has none. */
TEST_F(PreemptTest, WhoIsMovedToAFullQueueWaitsThere)
{
	config.preemption = false;
	AddQueue("other", 1);
	Start();
	const Decision there = Arrive({.queue = 1});
	const Decision moved = ArriveRestartable({.time_ms = 10000});
	ASSERT_EQ(MoveOutcome::kMoved, policy->Move(moved.handle, 1, now));
	EXPECT_EQ(Preemption::kWaits, policy->Requeue(moved.handle, now));
	EXPECT_EQ(QueryState::kQueued, View(moved).state);
	EXPECT_EQ(1, View(moved).queue);
	EXPECT_EQ(0, policy->Counters(0).slots_used);
	EXPECT_EQ(1, policy->Counters(1).slots_used);
	policy->Finish(there.handle, now);
	EXPECT_EQ(moved.handle, policy->TakeAdmitted());
	EXPECT_EQ(Preemption::kRefused, policy->Requeue(moved.handle, now));   /* there is room */
	policy->Finish(moved.handle, now);
}

/* A queue of the pool has no number of its own: only what the pool, or its part of it, cannot hold waits. */
TEST_F(PreemptTest, WhoIsMovedToAQueueOfThePoolWaitsOnlyIfThatIsFull)
{
	config.total_slots = 2;
	config.queues[0].max_slots = 1;
	AddQueue("pool", 0);
	Start();
	const Decision moved = ArriveRestartable({.time_ms = 10000});
	ASSERT_EQ(MoveOutcome::kMoved, policy->Move(moved.handle, 1, now));
	EXPECT_FALSE(policy->IsOverSlots(1));
	EXPECT_EQ(Preemption::kRefused, policy->Requeue(moved.handle, now));
	const Decision there = Arrive({.queue = 1});
	const Decision second = ArriveRestartable({.time_ms = 10000});
	ASSERT_EQ(MoveOutcome::kMoved, policy->Move(second.handle, 1, now));
	EXPECT_TRUE(policy->IsOverSlots(1));
	EXPECT_EQ(Preemption::kWaits, policy->Requeue(second.handle, now));
	policy->Finish(there.handle, now);
	EXPECT_EQ(second.handle, policy->TakeAdmitted());
	policy->Finish(second.handle, now);
	policy->Finish(moved.handle, now);
}

TEST_F(PreemptTest, OffOrWithoutLowerOrNotRestartableNobodyIsAsked)
{
	for (int i = 0; i < 4; i++) {
		config.preemption = i != 0;
		Start();
		Arrive({.priority = Priority::kHighest});
		const Decision running = Arrive({.priority = i == 1 ? Priority::kHigh : Priority::kLow, .may_wait = i != 3});
		if (i != 2)
			policy->SetRestartable(running.handle, true);
		EXPECT_EQ(Verdict::kQueued, Arrive({.priority = Priority::kHigh}).verdict);
		Tick();
		EXPECT_EQ(kNoQuery, policy->TakeVictim()) << i;
		EXPECT_EQ(Preemption::kRefused, policy->GiveWay(running.handle, now));
		EXPECT_EQ(QueryState::kRunning, View(running).state);
	}
}

TEST_F(PreemptTest, LowestPriorityFirstThenWhoLosesLeast)
{
	config.queues[0].max_slots = 4;
	Start();
	const Decision low_old = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	const Decision lowest = ArriveRestartable({.priority = Priority::kLowest, .time_ms = 60000});
	now += 500;
	const Decision low_new = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	ArriveRestartable({.priority = Priority::kNormal, .time_ms = 60000});
	now += 500;
	std::vector<Decision> high;
	for (int i = 0; i < 5; i++)
		high.push_back(Arrive({.priority = Priority::kNormal}));
	EXPECT_EQ(lowest.handle, policy->TakeVictim());
	EXPECT_EQ(low_new.handle, policy->TakeVictim());
	EXPECT_EQ(low_old.handle, policy->TakeVictim());
	EXPECT_EQ(kNoQuery, policy->TakeVictim());              /* nobody is below the fourth */
}

TEST_F(PreemptTest, OnlyWhoHoldsWhatIsMissingIsAsked)
{
	AddQueue("other", 1);
	config.queues[0].max_slots = 1;
	Start();
	const Decision elsewhere = ArriveRestartable({.queue = 1, .priority = Priority::kLowest});
	Arrive({.priority = Priority::kNormal});
	ASSERT_EQ(WaitReason::kSlot, Arrive({.priority = Priority::kHigh}).reason);
	EXPECT_EQ(kNoQuery, policy->TakeVictim());
	EXPECT_EQ(Preemption::kRefused, policy->GiveWay(elsewhere.handle, now));
}

TEST_F(PreemptTest, MemoryOfTheBudgetFromWhoHasEnoughOfIt)
{
	config.queues[0].max_slots = 10;
	AddQueue("other", 10);
	Start();
	ArriveRestartable({.priority = Priority::kLowest, .memory_kb = 50000});
	const Decision large = ArriveRestartable({.queue = 1, .priority = Priority::kLow, .memory_kb = 450000});
	Arrive({.memory_kb = 450000});
	const Decision high = Arrive({.priority = Priority::kHigh, .memory_kb = 300000});
	ASSERT_EQ(WaitReason::kMemory, high.reason);
	ASSERT_EQ(large.handle, policy->TakeVictim());          /* that of the other would not do */
	EXPECT_EQ(Preemption::kWaits, policy->GiveWay(large.handle, now));
	EXPECT_EQ(high.handle, policy->TakeAdmitted());
	EXPECT_EQ(800000, policy->reserved_kb());
}

TEST_F(PreemptTest, TheWishForMemoryIsThatOfItsArrival)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000, .memory_kb = 400000});
	policy->Reserve(low.handle, 1000, now);
	const Decision high = Arrive({.priority = Priority::kHigh});
	ASSERT_EQ(low.handle, policy->TakeVictim());
	ASSERT_EQ(Preemption::kWaits, policy->GiveWay(low.handle, now));
	EXPECT_EQ(0, policy->reserved_kb());
	policy->Finish(high.handle, now);
	EXPECT_EQ(low.handle, policy->TakeAdmitted());
	EXPECT_EQ(400000, View(low).reserved_kb);
}

TEST_F(PreemptTest, ARequestThatNobodyNeedsAnyMoreIsWithdrawn)
{
	Start();
	const Decision other = Arrive({});
	const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	Decision high = Arrive({.priority = Priority::kHigh});
	policy->Finish(other.handle, now);                      /* before its owner has looked: he hears nothing */
	EXPECT_EQ(kNoQuery, policy->TakeVictim());

	const Decision next = Arrive({.priority = Priority::kHigh});
	ASSERT_EQ(low.handle, policy->TakeVictim());
	policy->Cancel(next.handle, now);                       /* after that: he is told when he comes */
	EXPECT_EQ(Preemption::kRefused, policy->GiveWay(low.handle, now));
	EXPECT_EQ(QueryState::kRunning, View(low).state);
	EXPECT_EQ(1u, Counters().num_preempted);                /* its work is gone all the same */

	Arrive({.priority = Priority::kHigh});                  /* and may be asked again, but not at once and not each time */
	EXPECT_EQ(kNoQuery, policy->TakeVictim());
	QueryHandle asked = kNoQuery;
	for (int i = 0; i < 9 && asked == kNoQuery; i++) {
		Tick();
		asked = policy->TakeVictim();
	}
	EXPECT_EQ(low.handle, asked);
	policy->Finish(high.handle, now);
}

/* Its owner has thrown its work away before it could know: that is charged once, and not asked for a second time. */
TEST_F(PreemptTest, WhatIsThrownAwayForNobodyIsCharged)
{
	Start();
	Arrive({});
	const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 9000});
	now += 3000;
	const Decision high = Arrive({.priority = Priority::kHigh});
	ASSERT_EQ(low.handle, policy->TakeVictim());
	policy->Cancel(high.handle, now);
	EXPECT_EQ(Preemption::kRefused, policy->GiveWay(low.handle, now));
	EXPECT_EQ(QueryState::kRunning, View(low).state);
	EXPECT_EQ(1, View(low).num_preempted);
	EXPECT_EQ(3000, Counters().total_wasted_ms);
	EXPECT_EQ(Preemption::kRefused, policy->GiveWay(low.handle, now));      /* nothing new was lost */
	EXPECT_EQ(3000, Counters().total_wasted_ms);

	now += 500;                                             /* ran for 500 ms, not for 3500: too short to be asked again */
	Arrive({.priority = Priority::kHigh});
	Tick();
	now += 7000;                                            /* 8500 ms of 9000, and 3000 before */
	Tick();
	EXPECT_EQ(kNoQuery, policy->TakeVictim());
	policy->Finish(low.handle, now);
	EXPECT_EQ(3000, Counters().total_wasted_ms);
}

/* A hop that finds room goes on there, but from its beginning. */
TEST_F(PreemptTest, AHopThatFindsRoomIsChargedToo)
{
	AddQueue("other", 1);
	Start();
	const Decision moved = ArriveRestartable({.time_ms = 10000});
	now += 2000;
	ASSERT_EQ(MoveOutcome::kMoved, policy->Move(moved.handle, 1, now));
	EXPECT_EQ(Preemption::kRefused, policy->Requeue(moved.handle, now));
	EXPECT_EQ(QueryState::kRunning, View(moved).state);
	EXPECT_EQ(1, View(moved).num_preempted);
	EXPECT_EQ(2000, policy->Counters(1).total_wasted_ms);
	policy->Finish(moved.handle, now);
}

TEST_F(PreemptTest, WhoHasSentARowIsLeftAloneAndAnotherIsAsked)
{
	Start();
	const Decision first = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	const Decision second = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	Arrive({.priority = Priority::kHigh});
	const QueryHandle asked = policy->TakeVictim();
	const QueryHandle other = asked == first.handle ? second.handle : first.handle;
	policy->SetRestartable(asked, false);
	EXPECT_EQ(Preemption::kRefused, policy->GiveWay(asked, now));
	Tick();
	EXPECT_EQ(other, policy->TakeVictim());
}

/* Its owner drops what comes between two attempts, and says so by offering himself anew. */
TEST_F(PreemptTest, WhoBeginsAnewCanBeAskedAgain)
{
	Start();
	Arrive({});
	const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	const Decision high = Arrive({.priority = Priority::kHigh});
	ASSERT_EQ(low.handle, policy->TakeVictim());
	policy->SetRestartable(low.handle, true);
	Tick();
	EXPECT_EQ(low.handle, policy->TakeVictim());
	EXPECT_EQ(Preemption::kWaits, policy->GiveWay(low.handle, now));
	EXPECT_EQ(high.handle, policy->TakeAdmitted());
}

TEST_F(PreemptTest, WhoDoesNotAnswerIsNotWaitedFor)
{
	Start();
	const Decision second = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	now += 100;
	const Decision first = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	Arrive({.priority = Priority::kHigh});
	ASSERT_EQ(first.handle, policy->TakeVictim());
	Tick();
	Tick();
	EXPECT_EQ(kNoQuery, policy->TakeVictim());
	Tick();
	EXPECT_EQ(second.handle, policy->TakeVictim());
	EXPECT_EQ(Preemption::kWaits, policy->GiveWay(second.handle, now));
	EXPECT_EQ(Preemption::kRefused, policy->GiveWay(first.handle, now));     /* now it is too late */
}

TEST_F(PreemptTest, WhomOthersGaveWayToIsNotHeldBack)
{
	config.now_or_later = true;
	Start();
	Arrive({.time_ms = 30000});
	const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 30000});
	policy->SetInterference({5, 0, true});
	const Decision high = Arrive({.priority = Priority::kHigh, .time_ms = 30000});
	ASSERT_EQ(low.handle, policy->TakeVictim());
	EXPECT_EQ(Preemption::kWaits, policy->GiveWay(low.handle, now));
	EXPECT_EQ(high.handle, policy->TakeAdmitted());
}

TEST_F(PreemptTest, EndsOfAskedOnesLeaveNothingBehind)
{
	for (int end = 0; end < 3; end++) {
		for (int taken = 0; taken < 2; taken++) {
			Start();
			Arrive({});
			const Decision low = ArriveRestartable({.priority = Priority::kLow});
			const Decision high = Arrive({.priority = Priority::kHigh});
			if (taken != 0) {
				ASSERT_EQ(low.handle, policy->TakeVictim());
			}
			if (end == 0)
				policy->Finish(low.handle, now);
			else if (end == 1)
				policy->Cancel(low.handle, now);
			else
				policy->Pause(low.handle, now);
			EXPECT_EQ(kNoQuery, policy->TakeVictim());
			EXPECT_EQ(high.handle, policy->TakeAdmitted());
			char why[128];
			EXPECT_TRUE(policy->CheckInvariants(why, sizeof(why))) << why;
		}
	}
}

TEST_F(PreemptTest, TheHigherOneStartsWhateverTheOrderOfLevelsSays)
{
	config.queues[0].max_slots = 1;
	Start();
	/* High has started many, so that stride scheduling owes low ones a turn. */
	for (int i = 0; i < 20; i++) {
		const Decision high = Arrive({.priority = Priority::kHigh});
		policy->Finish(high.handle, now);
	}
	const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	const Decision waiting = Arrive({.priority = Priority::kLow});
	const Decision high = Arrive({.priority = Priority::kHigh});
	ASSERT_EQ(low.handle, policy->TakeVictim());
	EXPECT_EQ(Preemption::kWaits, policy->GiveWay(low.handle, now));
	EXPECT_EQ(high.handle, policy->TakeAdmitted());
	EXPECT_EQ(QueryState::kQueued, View(waiting).state);
}

TEST_F(PreemptTest, GoesOnIfItsSlotIsNotEnoughAnyMore)
{
	config.queues[0].max_slots = 3;
	Start();
	const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	Arrive({});
	Arrive({});
	const Decision high = Arrive({.priority = Priority::kHigh});
	ASSERT_EQ(low.handle, policy->TakeVictim());
	config.queues[0].max_slots = 2;
	policy->Configure(config, now);                         /* one too many runs */
	EXPECT_EQ(Preemption::kRefused, policy->GiveWay(low.handle, now));
	EXPECT_EQ(QueryState::kQueued, View(high).state);
}

TEST_F(PreemptTest, WhoIsNearlyDoneRunsOn)
{
	config.queues[0].max_slots = 1;
	Start();
	ArriveRestartable({.priority = Priority::kLow, .time_ms = 1000});
	now += 800;
	Arrive({.priority = Priority::kHigh});
	EXPECT_EQ(kNoQuery, policy->TakeVictim());
}

TEST_F(PreemptTest, WithoutPredictionASecondMayBeLost)
{
	config.queues[0].max_slots = 1;
	Start();
	ArriveRestartable({.priority = Priority::kLow, .time_ms = 0});
	now += 1001;
	Arrive({.priority = Priority::kHigh});
	EXPECT_EQ(kNoQuery, policy->TakeVictim());
}

TEST_F(PreemptTest, WhoHasWaitedLongIsNotMadeToWaitAgain)
{
	config.queues[0].max_slots = 1;
	config.max_wait_ms = 10000;
	Start();
	const Decision first = Arrive({});
	const Decision low = Arrive({.priority = Priority::kLow, .time_ms = 60000});
	now += 5001;
	policy->Finish(first.handle, now);
	ASSERT_EQ(low.handle, policy->TakeAdmitted());
	policy->SetRestartable(low.handle, true);
	Arrive({.priority = Priority::kHigh});
	EXPECT_EQ(kNoQuery, policy->TakeVictim());
}

TEST_F(PreemptTest, TimeOutsCountWaitsAlone)
{
	config.queues[0].max_slots = 1;
	config.queues[0].queue_timeout_ms = 5000;
	config.max_wait_ms = 20000;
	Start();
	const Decision first = Arrive({});
	const Decision low = Arrive({.priority = Priority::kLow, .time_ms = 60000});
	now += 3000;
	policy->Finish(first.handle, now);
	ASSERT_EQ(low.handle, policy->TakeAdmitted());
	policy->SetRestartable(low.handle, true);
	now += 9000;
	const Decision high = Arrive({.priority = Priority::kHigh, .queue_timeout_ms = 0});
	ASSERT_EQ(low.handle, policy->TakeVictim());
	ASSERT_EQ(Preemption::kWaits, policy->GiveWay(low.handle, now));
	EXPECT_DOUBLE_EQ(now + 17000, policy->DeadlineMs(low.handle));      /* no error for one that ran; 3 s have been waited */
	EXPECT_EQ(DeadlineOutcome::kTooEarly, policy->Deadline(low.handle, now + 16999));
	EXPECT_EQ(DeadlineOutcome::kForced, policy->Deadline(low.handle, now + 17000));
	now += 17000;
	EXPECT_EQ(3000 + 17000, Counters().total_queue_ms);
	policy->Finish(high.handle, now);
}

TEST_F(PreemptTest, APausedQueueIsNotLeftWithAVictim)
{
	config.queues[0].max_slots = 10;
	AddQueue("paused", 10);
	Start();
	ArriveRestartable({.queue = 1, .priority = Priority::kLow, .memory_kb = 500000});
	Arrive({.memory_kb = 500000});
	config.queues[1].intake = Intake::kPaused;
	policy->Configure(config, now);
	ASSERT_EQ(Verdict::kQueued, Arrive({.priority = Priority::kHigh, .memory_kb = 300000}).verdict);
	EXPECT_EQ(kNoQuery, policy->TakeVictim());
}

/* A low one among an endless stream of high ones: how often it gives way, and what that costs. */
TEST_F(PreemptTest, EachTimeMakesTheNextLessLikely)
{
	config.queues[0].max_slots = 1;
	config.max_wait_ms = 1e9;
	int given[5] = {};
	/* Much has been executed, so that chance alone bounds. */
	Start();
	for (int i = 0; i < 200; i++) {
		const Decision credit = Arrive({});
		now += 1e6;
		policy->Finish(credit.handle, now);
	}
	for (int run = 0; run < 1000; run++) {
		const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 1e6});
		for (int round = 0; round < 5; round++) {
			now += 1100;
			const Decision high = Arrive({.priority = Priority::kHigh});
			const QueryHandle victim = policy->TakeVictim();
			if (victim == kNoQuery) {
				policy->Cancel(high.handle, now);
				break;
			}
			ASSERT_EQ(Preemption::kWaits, policy->GiveWay(victim, now));
			given[round]++;
			policy->Finish(high.handle, now);
			ASSERT_EQ(low.handle, policy->TakeAdmitted());
		}
		now += 1e5;
		policy->Finish(low.handle, now);
	}
	EXPECT_EQ(1000, given[0]);
	EXPECT_NEAR(500, given[1], 60);
	EXPECT_NEAR(125, given[2], 40);
	EXPECT_LE(given[3], 35);
}

TEST_F(PreemptTest, ALeastRunBetweenTwoTimes)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 60000});
	Decision high = Arrive({.priority = Priority::kHigh});
	ASSERT_EQ(low.handle, policy->TakeVictim());
	ASSERT_EQ(Preemption::kWaits, policy->GiveWay(low.handle, now));
	policy->Finish(high.handle, now);
	ASSERT_EQ(low.handle, policy->TakeAdmitted());
	for (int i = 0; i < 50; i++) {
		now += 11;
		high = Arrive({.priority = Priority::kHigh});
		EXPECT_EQ(kNoQuery, policy->TakeVictim());
		policy->Cancel(high.handle, now);
	}
}

TEST_F(PreemptTest, NotMoreThanAPartOfWhatIsExecutedIsThrownAway)
{
	config.queues[0].max_slots = 1;
	config.max_wait_ms = 1e9;
	Start();
	double executed = 0, wasted = 0;
	for (int i = 0; i < 500; i++) {
		const Decision low = ArriveRestartable({.priority = Priority::kLow, .time_ms = 10000});
		now += 5000;
		const Decision high = Arrive({.priority = Priority::kHigh, .time_ms = 1000});
		if (policy->TakeVictim() != kNoQuery) {
			ASSERT_EQ(Preemption::kWaits, policy->GiveWay(low.handle, now));
			now += 1000;
			executed += 1000;
			policy->Finish(high.handle, now);
			ASSERT_EQ(low.handle, policy->TakeAdmitted());
			now += 10000;
			executed += 10000;
			policy->Finish(low.handle, now);
		} else {
			now += 5000;
			executed += 10000;
			policy->Finish(low.handle, now);
			ASSERT_EQ(high.handle, policy->TakeAdmitted());
			now += 1000;
			executed += 1000;
			policy->Finish(high.handle, now);
		}
		wasted = Counters().total_wasted_ms;
		ASSERT_LE(wasted, 0.05 * executed + 10000 + 1);
	}
	EXPECT_GE(wasted, 0.04 * executed);                     /* the part is used */
}

TEST_F(PreemptTest, NonsenseIsIgnored)
{
	Start(4);
	const Decision running = Arrive({});
	Arrive({});
	const Decision queued = Arrive({});
	for (const QueryHandle handle : {-1, 4, 1000, 3}) {
		policy->SetRestartable(handle, true);
		EXPECT_EQ(Preemption::kRefused, policy->GiveWay(handle, now));
	}
	policy->SetRestartable(queued.handle, true);
	policy->SetRestartable(queued.handle, true);
	EXPECT_EQ(Preemption::kRefused, policy->GiveWay(queued.handle, now));
	policy->Finish(running.handle, now);
	EXPECT_TRUE(View(queued).restartable);
	policy->SetRestartable(queued.handle, false);
	EXPECT_FALSE(View(queued).restartable);
}

}  // namespace
}  // namespace wlm
