/*
 * policy_lanes_test.cpp
 *
 * Scenarios of the express lane, of passing and starvation, and proof that
 * CheckInvariants() can fail.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

using test::Request;

class PolicyLanesTest : public test::PolicyFixture {};

TEST_F(PolicyLanesTest, ShortAndSmallNeedsNoSlot)
{
	config.queues[0].max_slots = 1;
	Start();
	Arrive({});
	Arrive({});
	const Decision express = Arrive({.time_upper_ms = 1999, .memory_kb = 20000});       /* exactly 2 % */
	EXPECT_EQ(Verdict::kAdmitted, express.verdict);
	EXPECT_EQ(Lane::kExpress, express.lane);
	EXPECT_FALSE(express.forced);
	EXPECT_EQ(1, Counters().slots_used);
	EXPECT_EQ(1, Counters().num_express);
	EXPECT_EQ(20000, policy->reserved_kb());
	EXPECT_EQ(Verdict::kQueued, Arrive({.time_upper_ms = 2000}).verdict);               /* not below the cut-off */
	EXPECT_EQ(Verdict::kQueued, Arrive({.time_upper_ms = 0}).verdict);                  /* unknown */
	EXPECT_EQ(Verdict::kQueued, Arrive({.time_upper_ms = 1, .memory_kb = 20001}).verdict);
}

TEST_F(PolicyLanesTest, NoLaneWithoutFloor)
{
	config.express_floor_ms = -1;
	Start();
	policy->ObserveEnd({.time_ms = 1e6, .queue_ms = 0, .lane = Lane::kNormal, .evicted = false});
	EXPECT_EQ(0, policy->express_cutoff_ms());
	EXPECT_EQ(Lane::kNormal, Arrive({.time_upper_ms = 1}).lane);
}

TEST_F(PolicyLanesTest, AlmostFullBudgetHasNoExpressLaneButForThoseWithoutMemory)
{
	config.queues[0].max_slots = 4;
	Start();
	Arrive({.memory_kb = 480000});
	Arrive({.memory_kb = 470001});
	const Decision small = Arrive({.time_upper_ms = 10, .memory_kb = 1});
	EXPECT_EQ(Lane::kNormal, small.lane);                   /* there is room for it in the normal lane */
	EXPECT_EQ(Verdict::kAdmitted, small.verdict);
	EXPECT_EQ(Lane::kExpress, Arrive({.time_upper_ms = 10, .memory_kb = 0}).lane);
}

TEST_F(PolicyLanesTest, ThePartKeptForTheLaneIsNotForReports)
{
	config.queues[0].max_slots = 4;
	config.express_share = 0.1;
	Start();
	Arrive({.memory_kb = 480000});
	Arrive({.memory_kb = 420000});                          /* 90 % of the budget: what the normal lane may have */
	EXPECT_EQ(Verdict::kQueued, Arrive({.memory_kb = 1000}).verdict);
	const Decision small = Arrive({.time_upper_ms = 10, .memory_kb = 20000});
	EXPECT_EQ(Lane::kExpress, small.lane);
	EXPECT_EQ(Verdict::kAdmitted, small.verdict);
	EXPECT_FALSE(small.forced);
}

TEST_F(PolicyLanesTest, ExpressThatDoesNotFitQueuesNormally)
{
	AddQueue("small", 2).max_memory_share = 0.01f;
	Start();
	Arrive({.queue = 1, .memory_kb = 9000});
	const Decision decision = Arrive({.queue = 1, .time_upper_ms = 10, .memory_kb = 2000});
	EXPECT_EQ(Verdict::kQueued, decision.verdict);
	EXPECT_EQ(WaitReason::kMemory, decision.reason);
}

TEST_F(PolicyLanesTest, CutoffFollowsRecentTimes)
{
	Start();
	EXPECT_EQ(2000, policy->express_cutoff_ms());
	/* in the bucket from 861 to 1,024 ms */
	for (int i = 0; i < 1000; i++)
		policy->ObserveEnd({.time_ms = 1000, .queue_ms = 0, .lane = Lane::kNormal, .evicted = false});
	EXPECT_GE(policy->express_cutoff_ms(), 2861);
	EXPECT_LE(policy->express_cutoff_ms(), 3024);
	/* P70 of these: 3,444 to 4,096 */
	for (int i = 0; i < 1000; i++)
		policy->ObserveEnd({.time_ms = i % 4 == 0 ? 1e7 : 4000, .queue_ms = 0, .lane = Lane::kNormal, .evicted = false});
	EXPECT_GE(policy->express_cutoff_ms(), 4000);
	EXPECT_LE(policy->express_cutoff_ms(), 6096);
	for (int i = 0; i < 20000; i++)
		policy->ObserveEnd({.time_ms = 1e300, .queue_ms = 0, .lane = Lane::kNormal, .evicted = false});
	EXPECT_EQ(20000, policy->express_cutoff_ms());          /* ten floors */
	/* the weights are rescaled on the way */
	for (int i = 0; i < 20000; i++)
		policy->ObserveEnd({.time_ms = 0, .queue_ms = 0, .lane = Lane::kNormal, .evicted = false});
	EXPECT_GE(policy->express_cutoff_ms(), 2000);
	EXPECT_LE(policy->express_cutoff_ms(), 2002);
}

TEST_F(PolicyLanesTest, OverrunningExpressQueryIsEvictedAndTakesItsSlots)
{
	Start();
	const Decision express = Arrive({.slots = 2, .time_upper_ms = 10, .memory_kb = 100});
	Arrive({});
	Arrive({});
	const Decision queued = Arrive({});
	now += 2000;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_EQ(Lane::kExpress, View(express).lane);
	now += 1;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_EQ(Lane::kNormal, View(express).lane);
	EXPECT_TRUE(View(express).evicted);
	EXPECT_EQ(QueryState::kRunning, View(express).state);
	EXPECT_EQ(4, Counters().slots_used);                    /* of 2 */
	EXPECT_EQ(0, Counters().num_express);
	EXPECT_EQ(1u, Counters().num_evicted);
	EXPECT_EQ(0u, Counters().num_forced);
	policy->Finish(express.handle, now);
	EXPECT_EQ(2, Counters().slots_used);
	EXPECT_EQ(QueryState::kQueued, View(queued).state);
}

TEST_F(PolicyLanesTest, TimeWithTheClientIsNotRunTime)
{
	Start();
	const Decision express = Arrive({.time_upper_ms = 10});
	now += 1500;
	policy->Pause(express.handle, now);
	EXPECT_EQ(0, Counters().num_express);
	now += 100000;
	policy->Tick(now, Saturation::Cpu(0.5));
	policy->Resume(express.handle, now);
	EXPECT_EQ(0, Counters().slots_used);
	EXPECT_EQ(1, Counters().num_express);
	now += 500;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_FALSE(View(express).evicted);
	now += 1;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_TRUE(View(express).evicted);
}

/* 600,000 kB are in use for long; `large` wants 500,000 and its turn comes at once. */
class PassingTest : public test::PolicyFixture {
  protected:
	Decision holder_a, holder_b, large;

	void StartWithLargeWaiting()
	{
		config.queues[0].max_slots = 100;
		AddQueue("other", 100);
		Start();
		holder_a = Arrive({.memory_kb = 300000});
		holder_b = Arrive({.memory_kb = 300000});
		large = Arrive({.time_ms = 1, .memory_kb = 500000});
		ASSERT_EQ(Verdict::kQueued, large.verdict);
		ASSERT_EQ(WaitReason::kMemory, large.reason);
	}
};

TEST_F(PassingTest, IsPassedSixteenTimesThenNobodyTakesMemory)
{
	StartWithLargeWaiting();
	std::vector<Decision> small;
	for (int i = 0; i < kMaxPassed; i++) {
		small.push_back(Arrive({.queue = i % 2, .memory_kb = 1000}));
		ASSERT_EQ(Verdict::kAdmitted, small.back().verdict) << i;
	}
	const Decision same_queue = Arrive({.memory_kb = 1000});
	EXPECT_EQ(Verdict::kQueued, same_queue.verdict);
	EXPECT_EQ(WaitReason::kPassing, same_queue.reason);
	const Decision other_queue = Arrive({.queue = 1, .memory_kb = 1000});
	EXPECT_EQ(WaitReason::kPassing, other_queue.reason);
	const Decision higher = Arrive({.queue = 1, .priority = Priority::kHighest, .memory_kb = 1000});
	EXPECT_EQ(Verdict::kQueued, higher.verdict);

	/* Not concerned: other queues without memory, and the express lane up to a tenth of the budget. */
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.queue = 1, .memory_kb = 0}).verdict);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(Lane::kExpress, Arrive({.queue = 1, .time_upper_ms = 10, .memory_kb = 20000}).lane);
	EXPECT_EQ(Verdict::kQueued, Arrive({.queue = 1, .time_upper_ms = 10, .memory_kb = 20000}).verdict);

	for (const Decision &decision : small)
		policy->Finish(decision.handle, now);
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());            /* 700,000 in use, 100,000 of it express */
	policy->Finish(holder_a.handle, now);                   /* 400,000: it first, then the others */
	EXPECT_EQ(large.handle, policy->TakeAdmitted());
	EXPECT_NE(kNoQuery, policy->TakeAdmitted());
	EXPECT_FALSE(View(large).forced);
	EXPECT_LE(policy->reserved_kb(), 1000000);
	EXPECT_EQ(WaitReason::kMemory, View(large).reason);     /* what it waited for last */
}

TEST_F(PassingTest, IsPassedForTenSecondsOnly)
{
	StartWithLargeWaiting();
	now += kMaxPassedMs - 1;
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.memory_kb = 1000}).verdict);
	now += 1;
	EXPECT_EQ(Verdict::kQueued, Arrive({.memory_kb = 1000}).verdict);
}

TEST_F(PassingTest, EndOfAClaimLetsOthersGoOn)
{
	StartWithLargeWaiting();
	now += kMaxPassedMs;
	const Decision small = Arrive({.memory_kb = 1000});
	ASSERT_EQ(Verdict::kQueued, small.verdict);
	policy->Cancel(large.handle, now);
	EXPECT_EQ(small.handle, policy->TakeAdmitted());
}

TEST_F(PassingTest, AClaimTakesTheGuaranteesOfOthers)
{
	config.queues[0].max_slots = 10;
	AddQueue("etl", 10).memory_share = 0.8f;
	Start();
	Arrive({.queue = 1, .memory_kb = 1000});
	large = Arrive({.memory_kb = 500000});                  /* 799,000 withheld */
	ASSERT_EQ(Verdict::kQueued, large.verdict);
	now += kMaxPassedMs;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_EQ(large.handle, policy->TakeAdmitted());
	EXPECT_FALSE(View(large).forced);
}

TEST_F(PassingTest, AQueueShareIsClaimedInItsQueueOnly)
{
	AddQueue("small", 10).max_memory_share = 0.2f;
	Start();
	const Decision holder = Arrive({.queue = 1, .memory_kb = 150000});
	large = Arrive({.queue = 1, .time_ms = 1, .memory_kb = 100000});
	now += kMaxPassedMs;
	const Decision behind = Arrive({.queue = 1, .memory_kb = 1});
	EXPECT_EQ(Verdict::kQueued, behind.verdict);
	EXPECT_EQ(WaitReason::kPassing, behind.reason);
	EXPECT_EQ(Verdict::kQueued, Arrive({.queue = 1, .time_upper_ms = 10, .memory_kb = 1}).verdict);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.queue = 0, .memory_kb = 400000}).verdict);
	policy->Finish(holder.handle, now);
	EXPECT_EQ(large.handle, policy->TakeAdmitted());
	EXPECT_EQ(behind.handle, policy->TakeAdmitted());
}

TEST_F(PassingTest, AWideQueryIsPassedThenGetsItsSlots)
{
	config.queues[0].max_slots = 4;
	Start();
	Decision running[3];
	for (Decision &decision : running)
		decision = Arrive({});
	const Decision wide = Arrive({.slots = 4, .time_ms = 1});
	EXPECT_EQ(WaitReason::kSlot, wide.reason);
	for (int i = 0; i < kMaxPassed; i++) {
		const Decision narrow = Arrive({});
		ASSERT_EQ(Verdict::kAdmitted, narrow.verdict);
		policy->Finish(narrow.handle, now);
	}
	const Decision behind = Arrive({});
	EXPECT_EQ(Verdict::kQueued, behind.verdict);
	EXPECT_EQ(WaitReason::kPassing, behind.reason);
	for (const Decision &decision : running) {
		EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
		policy->Finish(decision.handle, now);
	}
	EXPECT_EQ(wide.handle, policy->TakeAdmitted());
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
}

TEST_F(PassingTest, NewcomersDoNotJumpTheQueue)
{
	config.queues[0].max_slots = 2;
	Start();
	now = 0;
	Arrive({.memory_kb = 500000});
	const Decision slot = Arrive({});
	const Decision first = Arrive({.time_ms = 1000});
	policy->Pause(slot.handle, now);                        /* first takes the slot at once, nobody finds it free */
	EXPECT_EQ(first.handle, policy->TakeAdmitted());
	EXPECT_EQ(Verdict::kQueued, Arrive({.time_ms = 1}).verdict);
}

/* A busy state: waiters in several lists, an untaken admission, returned, express, a claim. */
class InvariantsTest : public test::PolicyFixture {
  protected:
	std::vector<uint64_t> copy;

	void Fill()
	{
		AddQueue("etl", 2).memory_share = 0.3f;
		AddQueue("auto", 0);
		Start(24);
		for (int i = 0; i < 20; i++) {
			const Decision decision = Arrive({.queue = i % 3, .priority = static_cast<Priority>(i % 5), .time_ms = 100.0 * i,
				.time_upper_ms = i % 5 == 0 ? 10.0 : 0.0, .memory_kb = 10000 + i * 10000});
			if (i == 2)
				policy->Pause(decision.handle, now);
			policy->ObserveEnd({.time_ms = 50.0 * i, .queue_ms = 0, .lane = Lane::kNormal, .evicted = false});
		}
		now += kMaxPassedMs;
		policy->Tick(now, Saturation::Cpu(0.5));
		policy->Finish(0, now);
		copy = words;
	}

	Policy *Copy() { return reinterpret_cast<Policy *>(copy.data()); }
};

TEST_F(InvariantsTest, ACopyIsAsGoodAsTheOriginal)
{
	Fill();
	char why[128];
	EXPECT_TRUE(Copy()->CheckInvariants(why, sizeof(why))) << why;
	const QueryHandle taken = Copy()->TakeAdmitted();       /* no pointer inside: the copy lives on its own */
	EXPECT_EQ(policy->TakeAdmitted(), taken);
	EXPECT_TRUE(Copy()->CheckInvariants(why, sizeof(why))) << why;
	EXPECT_EQ(0, std::memcmp(copy.data(), words.data(), Policy::BytesNeeded(24)));
}

/* Every damaged byte either is found or harmless to the accounts; no damage leads the check astray. */
TEST_F(InvariantsTest, DamageIsFound)
{
	Fill();
	const size_t num_bytes = Policy::BytesNeeded(24);
	const size_t entry_size = Policy::BytesNeeded(2) - Policy::BytesNeeded(1);
	std::map<std::string, int> reasons;
	char why[128];
	size_t found = 0;
	size_t found_in_entries = 0;
	for (size_t i = 0; i < num_bytes; i++) {
		auto *const bytes = reinterpret_cast<unsigned char *>(copy.data());
		const unsigned char before = bytes[i];
		bytes[i] = static_cast<unsigned char>(before ^ 0x55);
		if (!Copy()->CheckInvariants(why, sizeof(why))) {
			found++;
			found_in_entries += i >= num_bytes - 24 * entry_size ? 1 : 0;
			reasons[why]++;
		}
		bytes[i] = before;
	}
	EXPECT_TRUE(Copy()->CheckInvariants(why, sizeof(why))) << why;
	EXPECT_GE(reasons.size(), 25u);
	EXPECT_GE(found_in_entries, 24 * entry_size / 3);
	std::printf("%zu of %zu damaged bytes found (%zu of %zu in entries), %zu different reasons\n", found, num_bytes,
		found_in_entries, 24 * entry_size, reasons.size());
}

TEST_F(InvariantsTest, EveryCounterThatDriftsIsFound)
{
	Fill();
	/* 64-bit words that hold these values hold accounts: each, moved by one, must be noticed. */
	char why[128];
	int moved = 0;
	for (size_t i = 0; i < Policy::BytesNeeded(0) / 8; i++) {
		if (copy[i] != static_cast<uint64_t>(policy->reserved_kb()) &&
			copy[i] != static_cast<uint64_t>(Counters(1).reserved_kb))
			continue;
		copy[i]++;
		EXPECT_FALSE(Copy()->CheckInvariants(why, sizeof(why))) << "word " << i;
		copy[i]--;
		moved++;
	}
	EXPECT_GE(moved, 2);
}

}  // namespace
}  // namespace wlm
