/*
 * policy_test.cpp
 *
 * The rules of the state machine, one scenario each, with outcomes computed by
 * hand. Budget 1,000,000 kB and two slots unless a scenario says otherwise.
 */
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

using test::Request;

class PolicyTest : public test::PolicyFixture {};

TEST_F(PolicyTest, InitWantsAlignedMemoryOfFullSize)
{
	std::vector<uint64_t> storage(Policy::BytesNeeded(4) / 8 + 2);
	const auto bytes = std::as_writable_bytes(std::span(storage));
	EXPECT_EQ(nullptr, Policy::Init(bytes.first(Policy::BytesNeeded(4) - 1), 4, config));
	EXPECT_EQ(nullptr, Policy::Init(bytes.subspan(1, Policy::BytesNeeded(4)), 4, config));
	EXPECT_EQ(nullptr, Policy::Init(bytes, -1, config));
	EXPECT_NE(nullptr, Policy::Init(bytes.first(Policy::BytesNeeded(4)), 4, config));
	EXPECT_LE(Policy::BytesNeeded(2) - Policy::BytesNeeded(1), 136u);
}

TEST_F(PolicyTest, StartsWhileSlotsAreFreeThenQueues)
{
	Start();
	const Decision first = Arrive({.memory_kb = 100});
	const Decision second = Arrive({.memory_kb = 100});
	const Decision third = Arrive({.memory_kb = 100});
	EXPECT_EQ(Verdict::kAdmitted, first.verdict);
	EXPECT_EQ(Verdict::kAdmitted, second.verdict);
	EXPECT_EQ(100, second.reserved_kb);
	EXPECT_FALSE(second.forced);
	EXPECT_EQ(Verdict::kQueued, third.verdict);
	EXPECT_EQ(WaitReason::kSlot, third.reason);
	EXPECT_EQ(now + 300000, third.deadline_ms);
	EXPECT_EQ(0, third.reserved_kb);
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());

	now += 500;
	policy->Finish(first.handle, now);
	EXPECT_EQ(third.handle, policy->TakeAdmitted());
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
	EXPECT_EQ(QueryState::kRunning, View(third).state);
	EXPECT_EQ(100, View(third).reserved_kb);
	EXPECT_EQ(now, View(third).admitted_ms);
	EXPECT_EQ(1u, Counters().num_executed);
	EXPECT_EQ(500, Counters().total_queue_ms);
}

TEST_F(PolicyTest, MemoryLimitsAdmission)
{
	config.queues[0].max_slots = 10;
	Start();
	const Decision first = Arrive({.memory_kb = 400000});
	const Decision second = Arrive({.memory_kb = 400000});
	const Decision third = Arrive({.memory_kb = 400000});
	EXPECT_EQ(Verdict::kAdmitted, second.verdict);
	EXPECT_EQ(Verdict::kQueued, third.verdict);
	EXPECT_EQ(WaitReason::kMemory, third.reason);
	EXPECT_EQ(800000, policy->reserved_kb());
	policy->Finish(first.handle, now);
	EXPECT_EQ(third.handle, policy->TakeAdmitted());
	EXPECT_EQ(0, policy->forced_kb());
}

TEST_F(PolicyTest, OneQueryGetsAtMostHalfOfTheBudget)
{
	Start();
	EXPECT_EQ(500000, Arrive({.memory_kb = 5000000}).reserved_kb);
	config.budget_kb = 10;          /* smaller than any grant: a query alone still starts */
	Start();
	const Decision alone = Arrive({.memory_kb = 1000});
	EXPECT_EQ(Verdict::kAdmitted, alone.verdict);
	EXPECT_EQ(5, alone.reserved_kb);
	config.budget_kb = 0;
	Start();
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.memory_kb = 1000}).verdict);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.memory_kb = 1000}).verdict);
}

TEST_F(PolicyTest, QueueHasAtMostItsShare)
{
	AddQueue("small", 10).max_memory_share = 0.25f;
	Start();
	EXPECT_EQ(250000, Arrive({.queue = 1, .memory_kb = 400000}).reserved_kb);
	const Decision second = Arrive({.queue = 1, .memory_kb = 1});
	EXPECT_EQ(Verdict::kQueued, second.verdict);
	EXPECT_EQ(WaitReason::kMemory, second.reason);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.queue = 0, .memory_kb = 400000}).verdict);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.queue = 1, .memory_kb = 0}).verdict);
}

TEST_F(PolicyTest, IdleGuaranteeIsLentAndWithheldWhileItsQueueIsActive)
{
	config.queues[0].max_slots = 10;
	AddQueue("etl", 10).memory_share = 0.5f;
	Start();
	const Decision a = Arrive({.memory_kb = 400000});
	const Decision b = Arrive({.memory_kb = 400000});       /* takes from the idle guarantee */
	EXPECT_EQ(Verdict::kAdmitted, b.verdict);
	policy->Finish(b.handle, now);
	const Decision etl = Arrive({.queue = 1, .memory_kb = 100000});
	EXPECT_EQ(Verdict::kAdmitted, etl.verdict);
	/* 500,000 in use, 400,000 of etl's guarantee withheld, 100,000 left for others */
	EXPECT_EQ(Verdict::kQueued, Arrive({.memory_kb = 100001}).verdict);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.memory_kb = 100000}).verdict);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.queue = 1, .memory_kb = 400000}).verdict);
	EXPECT_EQ(1000000, policy->reserved_kb());
	EXPECT_EQ(QueryState::kRunning, View(a).state);
}

TEST_F(PolicyTest, LastQueryOfAQueueReleasesItsGuarantee)
{
	config.queues[0].max_slots = 10;
	AddQueue("etl", 10).memory_share = 0.9f;
	Start();
	const Decision etl = Arrive({.queue = 1, .memory_kb = 1000});
	const Decision other = Arrive({.memory_kb = 300000});
	EXPECT_EQ(Verdict::kQueued, other.verdict);
	policy->Pause(etl.handle, now);         /* returned: still active */
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
	policy->Finish(etl.handle, now);
	EXPECT_EQ(other.handle, policy->TakeAdmitted());
}

TEST_F(PolicyTest, ShortestFirstWithCreditForWaiting)
{
	config.queues[0].max_slots = 1;
	Start();
	now = 0;
	const Decision running = Arrive({});
	const Decision a = Arrive({.time_ms = 10000});          /* key 10,000 */
	now = 1000;
	const Decision b = Arrive({.time_ms = 1000});           /* key 1,010 */
	now = 920000;
	const Decision c = Arrive({.time_ms = 1000});           /* key 10,200: came later than 10,000 / kWaitCredit after a */
	EXPECT_EQ(1, Position(b));
	EXPECT_EQ(2, Position(a));
	EXPECT_EQ(3, Position(c));
	EXPECT_EQ((std::vector<QueryHandle>{b.handle, a.handle, c.handle}), FinishOneByOne(running.handle));
}

TEST_F(PolicyTest, UnknownTimeIsTakenForLongAndLongTimesForTheLongest)
{
	config.queues[0].max_slots = 1;
	Start();
	now = 0;
	const Decision running = Arrive({});
	const Decision unknown = Arrive({.time_ms = 0});        /* 30,000 */
	const Decision huge = Arrive({.time_ms = 1e12});        /* 60,000 */
	now = 80000;
	const Decision before = Arrive({.time_ms = 29000});     /* 29,800 */
	now = 120000;
	const Decision after = Arrive({.time_ms = 29000});      /* 30,200 */
	now = 5800000;
	const Decision last = Arrive({.time_ms = 3000});        /* 61,000 */
	EXPECT_EQ((std::vector<QueryHandle>{before.handle, unknown.handle, after.handle, huge.handle, last.handle}),
		FinishOneByOne(running.handle));
}

TEST_F(PolicyTest, EqualKeysKeepTheirOrder)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision running = Arrive({});
	std::vector<QueryHandle> arrived;
	for (int i = 0; i < 5; i++)
		arrived.push_back(Arrive({.time_ms = 100}).handle);
	EXPECT_EQ(arrived, FinishOneByOne(running.handle));
}

TEST_F(PolicyTest, StrideSchedulingOverPriorities)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision running = Arrive({});
	for (int i = 0; i < 9; i++)
		Arrive({.priority = Priority::kHigh});
	for (int i = 0; i < 3; i++)
		Arrive({.priority = Priority::kLow});
	std::string order;
	for (const QueryHandle handle : FinishOneByOne(running.handle))
		order += priority_of[static_cast<size_t>(handle)] == Priority::kHigh ? 'H' : 'L';
	/* strides 4 and 16, both start at 0, ties to the higher */
	EXPECT_EQ("HLHHHHLHHHHL", order);
}

TEST_F(PolicyTest, AnEmptyLevelSavesUpNothing)
{
	config.queues[0].max_slots = 1;
	Start();
	Decision running = Arrive({});
	for (int i = 0; i < 40; i++)
		Arrive({.priority = Priority::kNormal});
	QueryHandle current = running.handle;
	for (int i = 0; i < 20; i++) {
		policy->Finish(current, now);
		current = policy->TakeAdmitted();
	}
	/* Normal (stride 8) was served 21 times: passes from 0 to 160, the last from 160. Lowest starts at 160, not 0. */
	for (int i = 0; i < 3; i++)
		Arrive({.priority = Priority::kLowest});
	std::string order;
	for (int i = 0; i < 10; i++) {
		policy->Finish(current, now);
		current = policy->TakeAdmitted();
		order += priority_of[static_cast<size_t>(current)] == Priority::kLowest ? 'l' : 'N';
	}
	EXPECT_EQ("lNNNNlNNNN", order);     /* l at 160, N at 168, 176, 184, 192 (tie), l at 192 */
}

TEST_F(PolicyTest, CriticalNeverWaitsForASlot)
{
	config.queues[0].max_slots = 1;
	Start();
	Arrive({});
	Arrive({});
	const Decision critical = Arrive({.priority = Priority::kCritical, .memory_kb = 1000});
	EXPECT_EQ(Verdict::kAdmitted, critical.verdict);
	EXPECT_TRUE(critical.forced);
	EXPECT_EQ(2, Counters().slots_used);
	EXPECT_EQ(1u, Counters().num_forced);
	EXPECT_EQ(1, Counters().num_queued);
}

TEST_F(PolicyTest, WhoMayNotWaitStartsAtOnce)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision first = Arrive({.memory_kb = 400000, .may_wait = false});
	EXPECT_FALSE(first.forced);
	const Decision second = Arrive({.memory_kb = 400000, .may_wait = false});
	EXPECT_EQ(Verdict::kAdmitted, second.verdict);
	EXPECT_TRUE(second.forced);
	EXPECT_TRUE(View(second).forced);
	EXPECT_EQ(0, policy->forced_kb());                      /* over its slots, not over the budget */
	const Decision third = Arrive({.memory_kb = 400000, .may_wait = false});
	EXPECT_TRUE(third.forced);
	EXPECT_EQ(1200000, policy->reserved_kb());
	EXPECT_EQ(200000, policy->forced_kb());
	EXPECT_EQ(2u, Counters().num_forced);
	policy->Finish(first.handle, now);
	EXPECT_EQ(0, policy->forced_kb());
}

TEST_F(PolicyTest, QueueFullIsRefusedOnlyIfItWouldWait)
{
	config.queues[0].max_slots = 1;
	config.queues[0].max_queue_length = 0;
	Start();
	EXPECT_EQ(Verdict::kAdmitted, Arrive({}).verdict);
	const Decision refused = Arrive({});
	EXPECT_EQ(Verdict::kQueueFull, refused.verdict);
	EXPECT_EQ(kNoQuery, refused.handle);
	EXPECT_EQ(1u, Counters().num_rejected);
	EXPECT_EQ(1, policy->num_active());
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.may_wait = false}).verdict);
}

TEST_F(PolicyTest, TableFull)
{
	config.queues[0].max_slots = 100;
	Start(3);
	Decision last{};
	for (int i = 0; i < 3; i++)
		last = Arrive({});
	const Decision refused = Arrive({.may_wait = false});
	EXPECT_EQ(Verdict::kTableFull, refused.verdict);
	EXPECT_EQ(kNoQuery, refused.handle);
	policy->Finish(last.handle, now);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({}).verdict);
}

TEST_F(PolicyTest, ManySlotsForOneQuery)
{
	config.queues[0].max_slots = 4;
	Start();
	const Decision wide = Arrive({.slots = 3});
	EXPECT_EQ(3, Counters().slots_used);
	EXPECT_EQ(Verdict::kQueued, Arrive({.slots = 2}).verdict);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.slots = 1}).verdict);     /* passes it */
	policy->Finish(wide.handle, now);
	EXPECT_EQ(3, Counters().slots_used);
}

TEST_F(PolicyTest, MoreSlotsThanItsQueueHasMeansAllOfThem)
{
	Start();
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.slots = 100}).verdict);
	EXPECT_EQ(2, Counters().slots_used);
	EXPECT_EQ(Verdict::kQueued, Arrive({}).verdict);
}

TEST_F(PolicyTest, DeadlineForcesAtMaxWait)
{
	config.queues[0].max_slots = 1;
	Start();
	Arrive({});
	const Decision queued = Arrive({});
	now += 299999;
	EXPECT_EQ(DeadlineOutcome::kTooEarly, policy->Deadline(queued.handle, now));
	now += 1;
	EXPECT_EQ(now, queued.deadline_ms);
	EXPECT_EQ(DeadlineOutcome::kForced, policy->Deadline(queued.handle, now));
	EXPECT_EQ(QueryState::kRunning, View(queued).state);
	EXPECT_TRUE(View(queued).forced);
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());            /* its owner knows */
	EXPECT_EQ(DeadlineOutcome::kTooEarly, policy->Deadline(queued.handle, now));
	EXPECT_EQ(2, Counters().slots_used);
}

TEST_F(PolicyTest, DeadlineTimesOutIfTheQueueWantsIt)
{
	config.queues[0].max_slots = 1;
	config.queues[0].queue_timeout_ms = 1000;
	Start();
	Arrive({});
	const Decision queued = Arrive({});
	EXPECT_EQ(now + 1000, queued.deadline_ms);
	now += 999;
	EXPECT_EQ(DeadlineOutcome::kTooEarly, policy->Deadline(queued.handle, now));
	now += 1;
	EXPECT_EQ(DeadlineOutcome::kTimedOut, policy->Deadline(queued.handle, now));
	EXPECT_EQ(QueryState::kFree, View(queued).state);
	EXPECT_EQ(1u, Counters().num_timeouts);
	EXPECT_EQ(1, policy->num_active());
}

TEST_F(PolicyTest, AQueryMayHaveATimeoutOfItsOwn)
{
	config.queues[0].max_slots = 1;
	config.queues[0].queue_timeout_ms = 1000;
	Start();
	Arrive({});
	const Decision without = Arrive({.queue_timeout_ms = 0});
	const Decision shorter = Arrive({.queue_timeout_ms = 10});
	EXPECT_EQ(now + 300000, without.deadline_ms);
	EXPECT_EQ(now + 10, shorter.deadline_ms);
	now += 1000;
	EXPECT_EQ(DeadlineOutcome::kTooEarly, policy->Deadline(without.handle, now));
	EXPECT_EQ(DeadlineOutcome::kTimedOut, policy->Deadline(shorter.handle, now));
}

TEST_F(PolicyTest, MaxWaitComesBeforeALongerQueueTimeout)
{
	config.queues[0].max_slots = 1;
	config.queues[0].queue_timeout_ms = 400000;
	Start();
	Arrive({});
	const Decision queued = Arrive({});
	EXPECT_EQ(now + 300000, queued.deadline_ms);
	now += 300000;
	EXPECT_EQ(DeadlineOutcome::kForced, policy->Deadline(queued.handle, now));
}

TEST_F(PolicyTest, TickForcesForgottenWaiters)
{
	config.queues[0].max_slots = 1;
	Start();
	Arrive({});
	const Decision queued = Arrive({});
	now += 299999;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
	now += 1;
	policy->Tick(now, Saturation::Cpu(0.5));
	EXPECT_EQ(queued.handle, policy->TakeAdmitted());
	EXPECT_EQ(1u, Counters().num_forced);
}

TEST_F(PolicyTest, ForceOfAnotherTellsItsOwner)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision running = Arrive({.memory_kb = 500000});
	const Decision queued = Arrive({.memory_kb = 500000});
	policy->Force(queued.handle, now);
	EXPECT_EQ(queued.handle, policy->TakeAdmitted());
	EXPECT_TRUE(View(queued).forced);
	policy->Force(running.handle, now);                     /* not queued: nothing */
	EXPECT_EQ(1u, Counters().num_forced);
}

TEST_F(PolicyTest, CancelWhileQueued)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision running = Arrive({});
	const Decision queued = Arrive({});
	now += 100;
	policy->Cancel(queued.handle, now);
	EXPECT_EQ(1u, Counters().num_cancelled);
	EXPECT_EQ(100, Counters().total_queue_ms);
	EXPECT_EQ(0, policy->num_queued());
	policy->Finish(running.handle, now);
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
	ExpectIdle();
}

TEST_F(PolicyTest, CancelAtTheInstantOfAdmissionEndsIt)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision running = Arrive({});
	const Decision second = Arrive({});
	const Decision third = Arrive({});
	policy->Finish(running.handle, now);                    /* second is admitted, nobody has told it */
	EXPECT_EQ(QueryState::kRunning, View(second).state);
	policy->Cancel(second.handle, now);
	EXPECT_EQ(third.handle, policy->TakeAdmitted());
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
	EXPECT_EQ(1u, Counters().num_cancelled);
	EXPECT_EQ(1u, Counters().num_executed);
	policy->Finish(third.handle, now);
	ExpectIdle();
}

TEST_F(PolicyTest, FinishEndsEveryState)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision returned = Arrive({.memory_kb = 10});
	policy->Pause(returned.handle, now);
	const Decision running = Arrive({.memory_kb = 10});
	const Decision untaken = Arrive({.memory_kb = 10});
	const Decision queued = Arrive({.memory_kb = 10});
	policy->Force(untaken.handle, now);
	for (const Decision &decision : {returned, running, untaken, queued})
		policy->Finish(decision.handle, now);
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());
	ExpectIdle();
}

TEST_F(PolicyTest, PauseGivesTheSlotBackAndKeepsTheMemory)
{
	config.queues[0].max_slots = 1;
	Start();
	const Decision cursor = Arrive({.memory_kb = 300000});
	const Decision next = Arrive({.memory_kb = 300000});
	EXPECT_EQ(Verdict::kQueued, next.verdict);
	policy->Pause(cursor.handle, now);
	EXPECT_EQ(next.handle, policy->TakeAdmitted());
	EXPECT_EQ(600000, policy->reserved_kb());
	EXPECT_EQ(QueryState::kReturned, View(cursor).state);
	EXPECT_EQ(1, Counters().num_returned);

	policy->Resume(cursor.handle, now);                     /* no slot free */
	EXPECT_EQ(2, Counters().slots_used);
	EXPECT_EQ(1u, Counters().num_forced);
	policy->Pause(cursor.handle, now);
	policy->Finish(next.handle, now);
	policy->Resume(cursor.handle, now);                     /* now there is */
	EXPECT_EQ(1, Counters().slots_used);
	EXPECT_EQ(1u, Counters().num_forced);
}

TEST_F(PolicyTest, ReserveLowersAndRaises)
{
	config.queues[0].max_slots = 10;
	Start();
	const Decision first = Arrive({.memory_kb = 500000});
	Arrive({.memory_kb = 400000});
	const Decision queued = Arrive({.memory_kb = 300000});
	EXPECT_EQ(Verdict::kQueued, queued.verdict);
	policy->Reserve(first.handle, 300000, now);
	EXPECT_EQ(queued.handle, policy->TakeAdmitted());
	EXPECT_EQ(1000000, policy->reserved_kb());
	policy->Reserve(first.handle, 350000, now);             /* what is used cannot be refused */
	EXPECT_EQ(1050000, policy->reserved_kb());
	EXPECT_EQ(50000, policy->forced_kb());
	policy->Reserve(first.handle, -5, now);
	EXPECT_EQ(700000, policy->reserved_kb());
	EXPECT_EQ(0, policy->forced_kb());
}

}  // namespace
}  // namespace wlm
