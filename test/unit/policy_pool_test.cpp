/*
 * policy_pool_test.cpp
 *
 * The pool of slots that automatic queues share, one scenario for each rule:
 * how its limit moves, what queues are guaranteed of it and may take at most.
 * Four processors: the pool starts with 16 slots, has at least 4 and at most 64.
 */
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

class PolicyPoolTest : public test::PolicyFixture {
  protected:
	PolicyPoolTest() { config.queues[0].max_slots = 0; }

	std::vector<Decision> ArriveMany(int count, const test::Request &request)
	{
		std::vector<Decision> decisions;
		for (int i = 0; i < count; i++)
			decisions.push_back(Arrive(request));
		return decisions;
	}

	int NumRunning(int32_t queue) const { return Counters(queue).num_running; }
	void Tick(double saturation) { policy->Tick(now += 1000, Saturation::Cpu(saturation)); }

	std::vector<SlotChange> Changes() const
	{
		std::array<SlotChange, kMaxSlotChanges> changes;
		const int count = policy->SlotChanges(changes);
		return {changes.begin(), changes.begin() + count};
	}
};

TEST_F(PolicyPoolTest, FollowsTheSaturation)
{
	Start(200);
	EXPECT_EQ(16, policy->pool_slots());
	Tick(0.2);
	EXPECT_EQ(16, policy->pool_slots());        /* nobody waits */
	ArriveMany(100, {});
	EXPECT_EQ(16, policy->pool_used());
	Tick(0.2);
	EXPECT_EQ(20, policy->pool_slots());        /* by a quarter, as long as the machine was never full */
	EXPECT_EQ(20, policy->pool_used());
	Tick(1.05);                                 /* dead band */
	Tick(-1);                                   /* not known */
	Tick(std::numeric_limits<double>::quiet_NaN());
	EXPECT_EQ(20, policy->pool_slots());
	Tick(2.0);
	EXPECT_EQ(10, policy->pool_slots());
	Tick(2.0);                                  /* twenty still run */
	EXPECT_EQ(10, policy->pool_slots());
	EXPECT_EQ(20, policy->pool_used());
	const int due[] = {12, 15, 16, 17, 18, 19, 20, 21, 26};     /* by one between 15 and the 20 that were too many */
	for (const int slots : due) {
		Tick(0.2);
		EXPECT_EQ(slots, policy->pool_slots());
	}
	for (int i = 0; i < 10; i++)
		Tick(0.2);
	EXPECT_EQ(64, policy->pool_slots());        /* 16 per processor */
	EXPECT_EQ(64, policy->pool_used());
	config.processors = 1;
	policy->Configure(config, now);
	EXPECT_EQ(16, policy->pool_slots());
	EXPECT_EQ(SlotReason::kConfigured, Changes().back().reason);
}

TEST_F(PolicyPoolTest, ReachesTheMostWithinSeconds)
{
	Start(200);
	ArriveMany(100, {});
	int seconds = 0;
	for (; policy->pool_slots() < 64; seconds++)
		Tick(0.5);
	EXPECT_LE(seconds, 7);
}

TEST_F(PolicyPoolTest, AnyResourceSaturates)
{
	for (int resource = 0; resource < kNumResources; resource++) {
		Start();
		Saturation saturation = Saturation::Cpu(0.3);
		for (int i = 1; i < kNumResources; i++)
			saturation.of[i] = i % 2 == 0 ? -1.0f : std::numeric_limits<float>::quiet_NaN();
		saturation.of[resource] = 1.5f;
		policy->Tick(now, saturation);
		EXPECT_EQ(8, policy->pool_slots());
		const SlotChange change = Changes().back();
		EXPECT_EQ(static_cast<Resource>(resource), change.resource);
		EXPECT_EQ(1.5f, change.saturation);
		EXPECT_EQ(SlotReason::kSaturated, change.reason);
		EXPECT_EQ(16, change.before);
		EXPECT_EQ(8, change.after);
		EXPECT_EQ(now, change.at_ms);
	}
}

TEST_F(PolicyPoolTest, KeepsTheLatestChanges)
{
	Start(200);
	policy->Tick(now, Saturation::Cpu(0.5));
	ASSERT_EQ(1u, Changes().size());
	EXPECT_EQ(SlotReason::kStart, Changes()[0].reason);
	EXPECT_EQ(0, Changes()[0].before);
	EXPECT_EQ(16, Changes()[0].after);
	EXPECT_EQ(now, Changes()[0].at_ms);
	for (int i = 1; i <= 100; i++) {
		config.total_slots = i;
		policy->Configure(config, now + i);
	}
	const std::vector<SlotChange> changes = Changes();
	ASSERT_EQ(static_cast<size_t>(kMaxSlotChanges), changes.size());
	for (size_t i = 0; i < changes.size(); i++) {
		const int32_t slots = 101 - kMaxSlotChanges + static_cast<int32_t>(i);
		EXPECT_EQ(slots, changes[i].after);
		EXPECT_EQ(slots - 1, changes[i].before);
		EXPECT_EQ(now + slots, changes[i].at_ms);
	}
	Tick(5);
	EXPECT_EQ(100, policy->pool_slots());       /* a configured limit stays where it is */
	config.total_slots = 0;
	policy->Configure(config, now);
	EXPECT_EQ(16, policy->pool_slots());
}

TEST_F(PolicyPoolTest, FixedQueuesHaveTheirsAndLeaveLess)
{
	config.total_slots = 6;
	AddQueue("etl", 4);
	Start();
	ArriveMany(5, {.queue = 1});
	EXPECT_EQ(4, NumRunning(1));
	EXPECT_EQ(2, Counters(0).slots);
	ArriveMany(3, {});
	EXPECT_EQ(2, NumRunning(0));
	EXPECT_EQ(6, policy->pool_used());
	const Decision waiting = Arrive({});
	EXPECT_EQ(WaitReason::kPool, waiting.reason);
	EXPECT_EQ(WaitReason::kSlot, Arrive({.queue = 1}).reason);
}

TEST_F(PolicyPoolTest, FixedQueuesAreNotLimitedByThePoolAndOneAlwaysStarts)
{
	config.total_slots = 2;
	AddQueue("etl", 10);
	Start();
	ArriveMany(10, {.queue = 1});
	EXPECT_EQ(10, NumRunning(1));
	EXPECT_EQ(1, Counters(0).slots);
	EXPECT_FALSE(Arrive({.slots = 5}).forced);
	EXPECT_EQ(1, Counters(0).slots_used);       /* all that there is now */
	EXPECT_EQ(WaitReason::kPool, Arrive({}).reason);
}

TEST_F(PolicyPoolTest, AGuaranteeIsLentAndCalledBackAsOthersEnd)
{
	config.total_slots = 8;
	AddQueue("bi", 0).slot_share = 0.5f;
	Start();
	std::vector<Decision> lent = ArriveMany(8, {});
	EXPECT_EQ(8, NumRunning(0));                /* nobody waits in bi */
	const Decision first = Arrive({.queue = 1});
	const Decision second = Arrive({.queue = 1});
	const Decision other = Arrive({});
	EXPECT_EQ(WaitReason::kPool, first.reason);
	policy->Finish(lent[0].handle, now);
	EXPECT_EQ(first.handle, policy->TakeAdmitted());
	policy->Finish(lent[1].handle, now);
	EXPECT_EQ(second.handle, policy->TakeAdmitted());
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
	EXPECT_EQ(QueryState::kQueued, View(other).state);
	policy->Finish(lent[2].handle, now);        /* bi has 2 of its 4, but nobody waits there any more */
	EXPECT_EQ(other.handle, policy->TakeAdmitted());
}

TEST_F(PolicyPoolTest, WhatIsGuaranteedToWaitersIsKeptForThem)
{
	config.total_slots = 4;
	AddQueue("bi", 0).slot_share = 0.5f;
	Start();
	const std::vector<Decision> own = ArriveMany(4, {});
	const std::vector<Decision> others = ArriveMany(3, {});
	const Decision wide = Arrive({.queue = 1, .slots = 2});
	policy->Finish(own[0].handle, now);
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());        /* one is free, but wide needs two */
	EXPECT_EQ(WaitReason::kPool, View(others[0]).reason);
	policy->Finish(own[1].handle, now);
	EXPECT_EQ(wide.handle, policy->TakeAdmitted());
	EXPECT_EQ(2, Counters(1).slots_used);
}

TEST_F(PolicyPoolTest, AnUpperPartIsItsLimit)
{
	config.total_slots = 8;
	AddQueue("bi", 0).max_slot_share = 0.25f;
	Start();
	ArriveMany(3, {.queue = 1});
	EXPECT_EQ(2, NumRunning(1));
	EXPECT_EQ(2, Counters(1).slots);
	EXPECT_EQ(WaitReason::kSlot, Arrive({.queue = 1}).reason);
	ArriveMany(7, {});
	EXPECT_EQ(6, NumRunning(0));
	EXPECT_EQ(6, Counters(0).slots);
}

TEST_F(PolicyPoolTest, SharesOverTheWholePoolAreScaled)
{
	config.total_slots = 10;
	config.queues[0].slot_share = 0.8f;
	AddQueue("bi", 0).slot_share = 0.8f;
	Start();
	ArriveMany(12, {});
	const std::vector<Decision> bi = ArriveMany(6, {.queue = 1});
	EXPECT_EQ(10, NumRunning(0));
	for (QueryHandle handle = 0; handle < 10; handle++)
		policy->Finish(handle, now);
	EXPECT_EQ(2, NumRunning(0));
	EXPECT_EQ(6, NumRunning(1));
	ArriveMany(20, {});
	EXPECT_EQ(4, NumRunning(0));
	policy->Finish(bi[0].handle, now);
	EXPECT_EQ(5, NumRunning(0));
}

TEST_F(PolicyPoolTest, AGuaranteeToOthersStarvesNobody)
{
	config.total_slots = 2;
	config.queues[0].slot_share = 1;
	AddQueue("poor", 0).slot_share = 0;
	Start(200);
	std::vector<Decision> running = ArriveMany(2, {});
	const Decision poor = Arrive({.queue = 1});
	now += 10;
	ArriveMany(40, {});
	int ended = 0;
	QueryHandle current = running[0].handle;
	while (current != poor.handle && ended < 40) {
		policy->Finish(current, now);
		current = policy->TakeAdmitted();
		ended++;
	}
	EXPECT_EQ(kMaxPassed + 1, ended);
	EXPECT_FALSE(View(poor).forced);
}

TEST_F(PolicyPoolTest, AWideQueryIsNotStarvedByNarrowOnesOfOtherQueues)
{
	config.total_slots = 4;
	AddQueue("narrow", 0);
	Start(200);
	std::vector<QueryHandle> running;
	for (const Decision &decision : ArriveMany(4, {.queue = 1}))
		running.push_back(decision.handle);
	const Decision wide = Arrive({.slots = 4});
	int ended = 0;
	while (View(wide).state == QueryState::kQueued && ended < 100 && !running.empty()) {
		Arrive({.queue = 1});
		policy->Finish(running.front(), now);
		running.erase(running.begin());
		for (QueryHandle handle = policy->TakeAdmitted(); handle != kNoQuery; handle = policy->TakeAdmitted())
			running.push_back(handle);
		ended++;
	}
	EXPECT_EQ(QueryState::kRunning, View(wide).state);
	EXPECT_FALSE(View(wide).forced);
	EXPECT_LE(ended, kMaxPassed + 4);
}

/* Look-ups without memory beside a cursor that holds it must not wait for one who waits for that memory. */
TEST_F(PolicyPoolTest, AClaimRestsWhileItIsMemoryThatLacks)
{
	config.total_slots = 4;
	AddQueue("narrow", 0);
	Start();
	const Decision cursor = Arrive({.memory_kb = 500000});
	policy->Pause(cursor.handle, now);
	const std::vector<Decision> narrow = ArriveMany(4, {.queue = 1, .memory_kb = 25000});
	const Decision wide = Arrive({.slots = 4, .memory_kb = 500001});
	policy->Reserve(cursor.handle, 600000, now);
	policy->Finish(narrow[0].handle, now);                      /* its turn comes, but three are missing */
	now += kMaxPassedMs;
	Tick(1.05);
	const Decision look_up = Arrive({.queue = 1});
	EXPECT_EQ(WaitReason::kPassing, look_up.reason);
	for (int i = 1; i < 4; i++)
		policy->Finish(narrow[static_cast<size_t>(i)].handle, now);
	EXPECT_EQ(look_up.handle, policy->TakeAdmitted());          /* four free slots, but 400,000 kB */
	EXPECT_EQ(WaitReason::kPassing, Arrive({.queue = 1}).reason);      /* now a slot is missing again */
	policy->Finish(cursor.handle, now);
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
	policy->Finish(look_up.handle, now);
	EXPECT_EQ(wide.handle, policy->TakeAdmitted());
	EXPECT_FALSE(View(wide).forced);
}

TEST_F(PolicyPoolTest, AClaimRestsWhileThatToTheBudgetGoesFirst)
{
	config.total_slots = 5;         /* one of them for `large` */
	AddQueue("narrow", 0);
	AddQueue("fixed", 10);
	Start();
	const std::vector<Decision> narrow = ArriveMany(4, {.queue = 1, .memory_kb = 150000});
	const Decision wide = Arrive({.slots = 5, .memory_kb = 100000});
	policy->Finish(narrow[0].handle, now);
	now += kMaxPassedMs;
	Tick(1.05);
	const Decision look_up = Arrive({.queue = 1});
	EXPECT_EQ(WaitReason::kPassing, look_up.reason);
	const Decision large = Arrive({.queue = 2, .memory_kb = 500000});
	const Decision larger = Arrive({.queue = 2, .memory_kb = 500000});
	EXPECT_EQ(Verdict::kAdmitted, large.verdict);
	EXPECT_EQ(WaitReason::kMemory, larger.reason);
	now += kMaxPassedMs;
	Tick(1.05);                                                 /* larger claims the budget: wide could not start now, */
	Tick(1.05);                                                 /* which counts from the next event on */
	EXPECT_EQ(look_up.handle, policy->TakeAdmitted());
	EXPECT_EQ(WaitReason::kPool, View(wide).reason);
	policy->Finish(large.handle, now);
	EXPECT_EQ(larger.handle, policy->TakeAdmitted());
}

TEST_F(PolicyPoolTest, SharesChangeUnderLoad)
{
	config.total_slots = 4;
	AddQueue("bi", 0);
	Start();
	ArriveMany(4, {});
	const Decision waiting = Arrive({.queue = 1});
	EXPECT_EQ(Verdict::kQueued, waiting.verdict);
	config.queues[1].max_slots = 1;             /* of its own from now on */
	policy->Configure(config, now);
	EXPECT_EQ(waiting.handle, policy->TakeAdmitted());
	EXPECT_EQ(5, policy->pool_used());
	config.queues[1].max_slots = 0;
	config.queues[0].max_slots = 4;
	policy->Configure(config, now);
	EXPECT_EQ(4, Counters(0).slots);
	EXPECT_EQ(1, Counters(1).slots);            /* 4 of the 4 of the pool are used by the other, but one may run */
	EXPECT_EQ(WaitReason::kPool, Arrive({.queue = 1}).reason);
}

TEST_F(PolicyPoolTest, LoansOfMemoryFollowRealUse)
{
	AddQueue("etl", 10).memory_share = 0.5f;
	config.queues[0].max_slots = 10;
	Start();
	Arrive({.queue = 1, .memory_kb = 100000});
	Arrive({.memory_kb = 400000});
	const Decision waits = Arrive({.memory_kb = 300000});
	EXPECT_EQ(WaitReason::kMemory, waits.reason);               /* 500,000 reserved, 400,000 withheld */
	policy->SetUse(400000, now);
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());                /* 400,000 + 300,000 + 400,000 */
	policy->SetPressure(Pressure::kNoGrowth, 0, now);
	policy->SetUse(150000, now);
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());                /* no loan under pressure */
	policy->SetPressure(Pressure::kNone, 0, now);
	EXPECT_EQ(waits.handle, policy->TakeAdmitted());            /* 150,000 + 300,000 + 400,000 */
	EXPECT_EQ(800000, policy->reserved_kb());
	EXPECT_EQ(Verdict::kQueued, Arrive({.memory_kb = 200000}).verdict);     /* counts as used at once: 450,000 */
	EXPECT_EQ(Verdict::kQueued, Arrive({.memory_kb = 300000}).verdict);     /* never over the budget */
	policy->SetUse(-1, now);
	EXPECT_EQ(Verdict::kQueued, Arrive({.memory_kb = 1000}).verdict);
}

TEST_F(PolicyPoolTest, NoLoanWhileTheOwnerWantsHisGuarantee)
{
	AddQueue("etl", 10).memory_share = 0.5f;
	config.queues[0].max_slots = 10;
	Start();
	const Decision etl = Arrive({.queue = 1, .memory_kb = 100000});
	std::vector<Decision> big = ArriveMany(2, {.memory_kb = 300000});
	policy->SetUse(0, now);
	EXPECT_EQ(big[1].handle, policy->TakeAdmitted());
	EXPECT_EQ(700000, policy->reserved_kb());
	const Decision owner = Arrive({.queue = 1, .memory_kb = 400000});       /* in its guarantee, but lent: called back */
	EXPECT_EQ(WaitReason::kMemory, owner.reason);
	EXPECT_EQ(Verdict::kQueued, Arrive({.memory_kb = 200000}).verdict);     /* would fit the budget; not lent again */
	policy->Finish(big[0].handle, now);
	EXPECT_EQ(QueryState::kRunning, View(owner).state);
	policy->Finish(etl.handle, now);
}

}  // namespace
}  // namespace wlm
