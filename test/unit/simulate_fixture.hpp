/*
 * simulate_fixture.hpp
 *
 * Traces and simulations in memory of their own.
 */
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <span>
#include <vector>

#include "core/simulate/simulate.hpp"
#include "policy_fixture.hpp"

namespace wlm::test {

inline TraceQuery Query(double arrival_ms, double work_ms, int64_t memory_kb = 0)
{
	TraceQuery query{};
	query.arrival_ms = arrival_ms;
	query.work_ms = work_ms;
	query.memory_kb = memory_kb;
	query.predicted_ms = work_ms;
	query.predicted_kb = memory_kb;
	query.priority = Priority::kNormal;
	query.slots = 1;
	query.recorded_queue_ms = -1;
	return query;
}

/* Poisson arrivals, log-normal work with a mean of about 1.6 s, predictions wrong by a factor. */
inline std::vector<TraceQuery> RandomTrace(uint64_t seed, size_t count, double processors, double load, double error = 0.5,
                                           int64_t memory_kb = 0)
{
	std::mt19937_64 random(seed);
	std::exponential_distribution<double> gap(1.0 / 100);
	std::lognormal_distribution<double> work(6.5, 1.3);
	std::normal_distribution<double> normal(0, 1);
	std::vector<TraceQuery> trace;
	double now = 0;
	for (size_t i = 0; i < count; i++) {
		TraceQuery query = Query(now, work(random), memory_kb > 0 ? static_cast<int64_t>(random() % static_cast<uint64_t>(memory_kb)) : 0);
		query.predicted_ms = query.work_ms * std::exp(error * normal(random));
		query.predicted_upper_ms = query.predicted_ms * std::exp(0.84 * error);
		trace.push_back(query);
		now += gap(random);
	}
	ScaleToLoad(trace, processors, load);
	return trace;
}

struct Outcome {
	SimulationStatus status;
	SimulationResult result;
	std::vector<double> queue_ms, execution_ms;

	double Latency(size_t i) const { return queue_ms[i] + execution_ms[i]; }
};

class SimulateFixture : public ::testing::Test {
  protected:
	PolicyConfig policy = OneQueue(1);
	SimulationConfig config{};

	void SetUp() override
	{
		policy.express_floor_ms = -1;
		policy.processors = 1;
		config.fifo_slots = 1;
		config.processors = 1;
		config.short_ms = 10;
		config.policy = &policy;
	}

	Outcome Run(Scheduler scheduler, const std::vector<TraceQuery> &trace, int32_t max_active = 0)
	{
		config.scheduler = scheduler;
		Outcome outcome;
		outcome.queue_ms.assign(trace.size(), -7);
		outcome.execution_ms.assign(trace.size(), -7);
		std::vector<uint64_t> words(SimulationBytes(static_cast<int64_t>(trace.size()), max_active) / 8 + 1);
		const std::span<std::byte> bytes = std::as_writable_bytes(std::span(words));
		outcome.status = Simulate(trace, config, bytes, outcome.queue_ms, outcome.execution_ms, &outcome.result);
		return outcome;
	}
};

}  // namespace wlm::test
