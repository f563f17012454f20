/*
 * policy_throughput_test.cpp
 *
 * Prints how many decisions a second the Policy takes with 1,000 waiters. The
 * goal is 100,000; machines differ, so a tenth of it is asserted: enough to
 * notice a walk over all waiters where there was none. Everybody is served in
 * the end, and nothing is left.
 */
#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr double kLeastPerSecond = 0; /* most of the time is the sanitizer's */
#else
constexpr double kLeastPerSecond = 10000;
#endif

class PolicyThroughputTest : public test::PolicyFixture {
  protected:
	/* Keeps 1,000 waiting: each round one ends, the next starts, one arrives. */
	void Measure(const char *what, int32_t num_queues, int64_t memory_kb, Pressure pressure = Pressure::kNone, bool pool = false)
	{
		config.queues[0].max_slots = 32;
		for (int i = 1; i < num_queues; i++)
			AddQueue(("q" + std::to_string(i)).c_str(), 32);
		for (int i = 0; i < num_queues && pool; i++) {
			config.queues[i].max_slots = 0;
			config.queues[i].slot_share = i % 2 == 0 ? 0.02f : 0.0f;
		}
		config.max_wait_ms = 1e9;
		Start(2000);
		std::mt19937_64 random(1);
		std::vector<QueryHandle> running;
		int num_arrived = 0, num_refused = 0, num_ended = 0;
		const auto arrive = [&] {
			const auto priority = static_cast<Priority>(random() % 5);
			const bool without = memory_kb == 0 || (pressure != Pressure::kNone && random() % 8 == 0);
			const Decision decision = Arrive({.queue = static_cast<int32_t>(random() % static_cast<uint64_t>(num_queues)),
				.priority = priority, .time_ms = static_cast<double>(random() % 60000),
				.memory_kb = without ? 0 : static_cast<int64_t>(random() % static_cast<uint64_t>(memory_kb))});
			num_arrived++;
			if (decision.verdict == Verdict::kAdmitted)
				running.push_back(decision.handle);
			else if (decision.verdict != Verdict::kQueued)
				num_refused++;
		};
		while (policy->num_queued() < 1000)
			arrive();
		policy->SetPressure(pressure, 0, now);
		policy->SetInterference({0.5f, 1, true});
		const auto learn = [&](QueryHandle handle) {
			running.push_back(handle);
			policy->SetRestartable(handle, config.preemption);
		};
		for (const QueryHandle handle : running)
			policy->SetRestartable(handle, config.preemption);
		int num_asked = 0, num_waits = 0;

		const int rounds = 50000;
		const std::clock_t start = std::clock();
		for (int i = 0; i < rounds; i++) {
			now += 10;
			if (!running.empty()) {
				const size_t which = random() % running.size();
				policy->Finish(running[which], now);
				running[which] = running.back();
				running.pop_back();
				num_ended++;
			}
			for (QueryHandle handle = policy->TakeVictim(); handle != kNoQuery; handle = policy->TakeVictim()) {
				num_asked++;
				if (policy->GiveWay(handle, now) == Preemption::kWaits) {
					num_waits++;
					std::erase(running, handle);
				}
			}
			for (QueryHandle handle = policy->TakeAdmitted(); handle != kNoQuery; handle = policy->TakeAdmitted())
				learn(handle);
			if (policy->num_queued() < 1000)
				arrive();
		}
		const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
		std::printf("%s: %.0f arrivals and ends per CPU second, %d waiting, %zu bytes per query\n", what, 2 * rounds / seconds,
			policy->num_queued(), Policy::BytesNeeded(2) - Policy::BytesNeeded(1));
		EXPECT_GE(2 * rounds / seconds, kLeastPerSecond);
		EXPECT_EQ(0, num_refused);
		if (config.preemption) {
			std::printf("    %d asked to give way, %d did\n", num_asked, num_waits);
			EXPECT_GT(num_waits, 0);
		}
		char why[128];
		EXPECT_TRUE(policy->CheckInvariants(why, sizeof(why))) << why;
		EndAll(running, num_ended);
		EXPECT_EQ(num_arrived, num_ended);
		ExpectIdle();
	}

	/* Until nobody is left; whoever ends lets others in, the rest comes by a tick (memory is no longer short). */
	void EndAll(std::vector<QueryHandle> &running, int &num_ended)
	{
		policy->SetPressure(Pressure::kNone, 0, now);
		for (int idle = 0; policy->num_active() + policy->num_queued() > 0 && idle < 1000; idle++) {
			now += 1000;
			policy->Tick(now, Saturation{});
			for (QueryHandle handle = policy->TakeAdmitted(); handle != kNoQuery; handle = policy->TakeAdmitted())
				running.push_back(handle);
			if (!running.empty())
				idle = 0;
			for (; !running.empty(); running.pop_back(), num_ended++)
				policy->Finish(running.back(), now);
		}
	}
};

TEST_F(PolicyThroughputTest, WaitingForSlots) { Measure("one queue, waiting for slots", 1, 0); }
TEST_F(PolicyThroughputTest, WaitingForMemory) { Measure("one queue, waiting for memory", 1, 300000); }
TEST_F(PolicyThroughputTest, SixtyFourQueuesWaitingForMemory) { Measure("64 queues, waiting for memory", 64, 300000); }
TEST_F(PolicyThroughputTest, SixtyFourQueuesOfThePool)
{
	Measure("64 queues of the pool, half of them with guarantees", 64, 30000, Pressure::kNone, true);
}
TEST_F(PolicyThroughputTest, GivingWay)
{
	config.preemption = true;
	Measure("eight queues of the pool, giving way", 8, 30000, Pressure::kNone, true);
}
TEST_F(PolicyThroughputTest, NowOrLater)
{
	config.now_or_later = true;
	Measure("one queue, now or later", 1, 30000);
}
TEST_F(PolicyThroughputTest, UnderPressure) { Measure("one queue, memory short", 1, 300000, Pressure::kNoAdmission); }

}  // namespace
}  // namespace wlm
