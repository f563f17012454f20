/*
 * policy_configure_test.cpp
 *
 * Scenarios of configuration under load, bad input and clocks that jump.
 */
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

class PolicyConfigureTest : public test::PolicyFixture {};

TEST_F(PolicyConfigureTest, ConfigureUnderLoad)
{
	AddQueue("etl", 1);
	AddQueue("bi", 1);
	Start();
	const Decision etl = Arrive({.queue = 1, .memory_kb = 400000});
	const Decision etl_waits = Arrive({.queue = 1, .memory_kb = 400000});
	const Decision bi = Arrive({.queue = 2, .memory_kb = 400000});
	const Decision bi_waits = Arrive({.queue = 2, .memory_kb = 400000});

	config.budget_kb = 500000;
	config.queues[1] = config.queues[2];                    /* etl is gone, bi is queue 1 now */
	config.num_queues = 2;
	policy->Configure(config, now);
	EXPECT_EQ(800000, policy->reserved_kb());
	EXPECT_EQ(300000, policy->forced_kb());
	EXPECT_EQ(0, View(etl).queue);
	EXPECT_EQ(0, View(etl_waits).queue);
	EXPECT_EQ(1, View(bi).queue);
	EXPECT_EQ(1, View(bi_waits).queue);
	EXPECT_EQ(QueryState::kQueued, View(etl_waits).state);
	EXPECT_EQ(1, Counters(0).slots_used);
	EXPECT_EQ(1, Counters(1).num_queued);

	policy->Finish(etl.handle, now);
	EXPECT_EQ(kNoQuery, policy->TakeAdmitted());            /* 400,000 of 500,000 used */
	EXPECT_EQ(0, policy->forced_kb());
	policy->Finish(bi.handle, now);
	EXPECT_EQ(250000, policy->View(policy->TakeAdmitted()).reserved_kb);    /* half of the new budget */
	EXPECT_EQ(500000, policy->reserved_kb());
	EXPECT_EQ(1u, Counters(1).num_executed);
}

TEST_F(PolicyConfigureTest, ConfigureLetsStartWhoFitsNow)
{
	config.queues[0].max_slots = 1;
	Start();
	Arrive({});
	const Decision queued = Arrive({});
	config.queues[0].max_slots = 2;
	config.max_wait_ms = 600000;
	EXPECT_NE(0, policy->DeadlineMs(queued.handle));
	policy->Configure(config, now);
	EXPECT_EQ(queued.handle, policy->TakeAdmitted());
	EXPECT_EQ(0, policy->DeadlineMs(queued.handle));
}

TEST_F(PolicyConfigureTest, AbsurdConfigurationIsHarmless)
{
	const double nan = std::numeric_limits<double>::quiet_NaN();
	config.budget_kb = -5;
	config.max_wait_ms = nan;
	config.express_floor_ms = -1;
	config.processors = -3;
	config.total_slots = -4;
	config.superuser_slots = -1;
	config.num_queues = 1000;
	for (QueueLimits &limits : config.queues) {
		limits.in_use = true;
		limits.max_slots = -7;
		limits.memory_share = static_cast<float>(nan);
		limits.max_memory_share = -2;
		limits.slot_share = static_cast<float>(nan);
		limits.max_slot_share = -1;
		limits.max_execution_ms = static_cast<float>(nan);
		limits.intake = static_cast<Intake>(77);
		limits.queue_timeout_ms = static_cast<float>(nan);
	}
	Start();
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.queue = -9, .priority = static_cast<Priority>(99), .slots = -4, .time_ms = nan,
		.time_upper_ms = nan, .memory_kb = std::numeric_limits<int64_t>::min()}).verdict);
	EXPECT_EQ(Verdict::kAdmitted, Arrive({.queue = 5000, .slots = 1 << 30, .time_ms = -1,
		.memory_kb = std::numeric_limits<int64_t>::max(), .may_wait = false}).verdict);
	EXPECT_EQ(2, Counters(0).num_running);
	EXPECT_EQ(0, policy->express_cutoff_ms());
	config.num_queues = -1;
	policy->Configure(config, nan);
	EXPECT_EQ(1, policy->config().num_queues);
}

TEST_F(PolicyConfigureTest, BadHandlesAreIgnored)
{
	Start(4);
	for (const QueryHandle handle : {-1, -1000, 0, 3, 4, 1 << 30}) {
		policy->Finish(handle, now);
		policy->Cancel(handle, now);
		policy->Force(handle, now);
		policy->Pause(handle, now);
		policy->Resume(handle, now);
		policy->Reserve(handle, 100, now);
		EXPECT_EQ(DeadlineOutcome::kTooEarly, policy->Deadline(handle, now));
		EXPECT_FALSE(policy->ChangePriority(handle, Priority::kHigh, now));
		EXPECT_EQ(MoveOutcome::kNone, policy->Move(handle, 0, now));
		EXPECT_EQ(QueryState::kFree, policy->View(handle).state);
	}
	ExpectIdle();
}

TEST_F(PolicyConfigureTest, ClockJumps)
{
	config.queues[0].max_slots = 1;
	Start();
	now = 1e6;
	const Decision running = Arrive({});
	const Decision queued = Arrive({});
	policy->Tick(1e6 + 100000, Saturation::Cpu(0.5));
	policy->Tick(500, Saturation::Cpu(0.5));                                 /* an hour back: time stands still, then goes on */
	EXPECT_EQ(QueryState::kQueued, View(queued).state);
	EXPECT_EQ(500 - 100000, View(queued).arrived_ms);       /* on the new clock it arrived 100 s ago */
	EXPECT_EQ(500 + 200000, policy->DeadlineMs(queued.handle));
	EXPECT_EQ(DeadlineOutcome::kTooEarly, policy->Deadline(queued.handle, 500 + 199999));
	EXPECT_EQ(DeadlineOutcome::kForced, policy->Deadline(queued.handle, 500 + 200000));

	const Decision another = Arrive({});
	policy->Tick(std::numeric_limits<double>::quiet_NaN(), Saturation::Cpu(0.5));
	policy->Tick(std::numeric_limits<double>::infinity(), Saturation::Cpu(0.5));
	EXPECT_EQ(QueryState::kQueued, View(another).state);
	policy->Tick(1e300, Saturation::Cpu(0.5));                               /* far ahead: everyone's wait is over */
	EXPECT_EQ(QueryState::kRunning, View(another).state);
	policy->Tick(-1e300, Saturation::Cpu(0.5));
	policy->Finish(running.handle, 0);
	policy->Finish(queued.handle, 0);
	policy->Finish(another.handle, 0);
	EXPECT_EQ(another.handle, QueryHandle{2});
	ExpectIdle();
}

TEST_F(PolicyConfigureTest, SmallStepsBackAddNoTime)
{
	config.queues[0].max_slots = 1;
	Start();
	Arrive({});
	const Decision queued = Arrive({});
	for (int i = 0; i < 1000; i++)
		policy->Tick(now + (i % 2 == 0 ? 1000 : 0), Saturation::Cpu(0.5));   /* two processes whose readings cross */
	EXPECT_EQ(QueryState::kQueued, View(queued).state);
	EXPECT_EQ(now, View(queued).arrived_ms);
}

}  // namespace
}  // namespace wlm
