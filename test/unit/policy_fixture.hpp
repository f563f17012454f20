/*
 * policy_fixture.hpp
 *
 * A Policy in memory of its own with one queue, and shorthands for scenarios.
 * Every test ends with a check of all invariants.
 */
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <span>
#include <vector>

#include "core/decide/policy/policy.hpp"

namespace wlm::test {

/* A QueryRequest with defaults of a plain normal query. */
struct Request {
	int32_t queue = 0;
	Priority priority = Priority::kNormal;
	int32_t slots = 1;
	double time_ms = 1000;
	double time_upper_ms = 0;
	int64_t memory_kb = 0;
	bool may_wait = true;
	double queue_timeout_ms = -1;
	bool maintenance = false;
	bool superuser_lane = false;
};

inline QueryRequest Make(const Request &request)
{
	return QueryRequest{request.queue, request.priority, request.may_wait, request.slots, request.time_ms,
		request.time_upper_ms, request.memory_kb, request.queue_timeout_ms, request.maintenance,
		request.superuser_lane};
}

inline PolicyConfig OneQueue(int32_t max_slots)
{
	PolicyConfig config{};
	config.budget_kb = 1000000;
	config.max_wait_ms = 300000;
	config.express_floor_ms = 2000;
	config.processors = 4;
	config.num_queues = 1;
	QueueLimits &limits = config.queues[0];
	std::snprintf(limits.name, sizeof(limits.name), "default");
	limits.max_slots = max_slots;
	limits.max_queue_length = -1;
	limits.max_memory_share = 1;
	limits.max_slot_share = 1;
	limits.in_use = true;
	return config;
}

class PolicyFixture : public ::testing::Test {
  protected:
	PolicyConfig config = OneQueue(2);
	std::vector<uint64_t> words;
	Policy *policy = nullptr;
	double now = 10000;
	std::map<size_t, Priority> priority_of;

	void Start(int32_t max_queries = 100)
	{
		words.assign(Policy::BytesNeeded(max_queries) / 8 + 1, 0xabababababababab);
		policy = Policy::Init(std::as_writable_bytes(std::span(words)), max_queries, config);
		ASSERT_NE(nullptr, policy);
	}

	QueueLimits &AddQueue(const char *name, int32_t max_slots)
	{
		QueueLimits &limits = config.queues[config.num_queues++];
		limits = config.queues[0];
		std::snprintf(limits.name, sizeof(limits.name), "%s", name);
		limits.max_slots = max_slots;
		return limits;
	}

	Decision Arrive(const Request &request)
	{
		const Decision decision = policy->Arrive(Make(request), now);
		if (decision.handle != kNoQuery)
			priority_of[static_cast<size_t>(decision.handle)] = request.priority;
		return decision;
	}

	QueryView View(const Decision &decision) const { return policy->View(decision.handle); }
	int32_t Position(const Decision &decision) const
	{
		std::vector<int32_t> positions(static_cast<size_t>(policy->max_queries()));
		policy->Positions(positions);
		return positions[static_cast<size_t>(decision.handle)];
	}
	QueueCounters Counters(int32_t queue = 0) const { return policy->Counters(queue); }

	/* Finishes the query, then the one that starts instead, and so on; returns them in the order in which they started. */
	std::vector<QueryHandle> FinishOneByOne(QueryHandle handle)
	{
		std::vector<QueryHandle> started;
		policy->Finish(handle, now);
		while ((handle = policy->TakeAdmitted()) != kNoQuery) {
			started.push_back(handle);
			policy->Finish(handle, now);
		}
		return started;
	}

	void ExpectIdle() const
	{
		EXPECT_EQ(0, policy->num_active());
		EXPECT_EQ(0, policy->num_queued());
		EXPECT_EQ(0, policy->reserved_kb());
		EXPECT_EQ(0, policy->forced_kb());
		for (int32_t queue = 0; queue < policy->config().num_queues; queue++) {
			const QueueCounters counters = policy->Counters(queue);
			EXPECT_EQ(0, counters.slots_used + counters.num_running + counters.num_express + counters.num_returned +
							 counters.num_queued);
			EXPECT_EQ(0, counters.reserved_kb);
		}
	}

	void TearDown() override
	{
		char why[128];
		if (policy != nullptr) {
			EXPECT_TRUE(policy->CheckInvariants(why, sizeof(why))) << why;
		}
	}
};

}  // namespace wlm::test
