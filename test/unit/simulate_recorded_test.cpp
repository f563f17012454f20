// The recorded run as figures: what ran together, what was waited, what is not known.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/simulate/as_recorded.hpp"

namespace {

struct Case {
	std::vector<wlm::TraceQuery> trace;
	std::vector<double> execution_ms;

	void Add(double arrival_ms, double queue_ms, double time_ms, double work_ms, int64_t memory_kb)
	{
		wlm::TraceQuery query{};
		query.arrival_ms = arrival_ms;
		query.recorded_queue_ms = queue_ms;
		query.work_ms = work_ms;
		query.memory_kb = memory_kb;
		trace.push_back(query);
		execution_ms.push_back(time_ms);
	}

	wlm::SimulationResult Summarize(double short_ms = 0, int64_t memory_kb = 0) const
	{
		std::vector<double> values(trace.size());
		std::vector<int64_t> order(2 * trace.size());
		wlm::SimulationResult result;
		wlm::SummarizeRecorded(trace, execution_ms, short_ms, memory_kb, values, order, &result);
		return result;
	}
};

TEST(SimulateRecorded, OneAfterTheOther)
{
	Case test;
	test.Add(0, 0, 100, 100, 10);
	test.Add(0, 100, 100, 100, 20);
	const wlm::SimulationResult result = test.Summarize(50, 15);
	EXPECT_EQ(2, result.num_queries);
	EXPECT_EQ(2, result.num_run);
	EXPECT_DOUBLE_EQ(50, result.queue_ms.mean);
	EXPECT_DOUBLE_EQ(100, result.queue_ms.max);
	EXPECT_DOUBLE_EQ(150, result.latency_ms.mean);
	EXPECT_DOUBLE_EQ(0.5, result.never_waited);
	EXPECT_DOUBLE_EQ(1.5, result.mean_slowdown);
	EXPECT_DOUBLE_EQ(200, result.makespan_ms);
	EXPECT_DOUBLE_EQ(10, result.throughput_per_s);
	/* who starts when another ends does not run beside it */
	EXPECT_DOUBLE_EQ(1, result.mean_running);
	EXPECT_EQ(20, result.peak_memory_kb);
	EXPECT_DOUBLE_EQ(15, result.mean_memory_kb);
	EXPECT_DOUBLE_EQ(0.5, result.over_memory);
	EXPECT_EQ(0, result.num_short);
	EXPECT_TRUE(std::isnan(result.short_latency_ms.p95));
}

TEST(SimulateRecorded, Together)
{
	Case test;
	test.Add(0, 0, 300, 200, 10);
	test.Add(100, 0, 100, 50, 20);
	test.Add(400, 0, 100, 100, 5);
	const wlm::SimulationResult result = test.Summarize(60);
	EXPECT_DOUBLE_EQ(500, result.makespan_ms);
	EXPECT_DOUBLE_EQ(1, result.mean_running);
	EXPECT_EQ(30, result.peak_memory_kb);
	EXPECT_DOUBLE_EQ((300 * 10 + 100 * 20 + 100 * 5) / 500.0, result.mean_memory_kb);
	EXPECT_DOUBLE_EQ(0, result.over_memory);
	EXPECT_DOUBLE_EQ((1.5 + 2 + 1) / 3, result.mean_slowdown);
	EXPECT_EQ(1, result.num_short);
	EXPECT_DOUBLE_EQ(100, result.short_latency_ms.p95);
}

TEST(SimulateRecorded, WithoutTimeItself)
{
	Case test;
	test.Add(5, 0, 0, 0, 7);
	test.Add(5, 0, 0, 0, 8);
	const wlm::SimulationResult result = test.Summarize();
	EXPECT_DOUBLE_EQ(0, result.makespan_ms);
	EXPECT_DOUBLE_EQ(0, result.throughput_per_s);
	EXPECT_DOUBLE_EQ(1, result.mean_slowdown);
	EXPECT_LE(result.peak_memory_kb, 15);
}

TEST(SimulateRecorded, UnknownWaits)
{
	Case test;
	test.Add(0, 0, 100, 100, 10);
	test.Add(0, -1, 100, 100, 20);
	const wlm::SimulationResult result = test.Summarize();
	EXPECT_EQ(2, result.num_queries);
	EXPECT_TRUE(std::isnan(result.queue_ms.mean));
	EXPECT_TRUE(std::isnan(result.latency_ms.p99));
	EXPECT_TRUE(std::isnan(result.never_waited));
	EXPECT_TRUE(std::isnan(result.mean_slowdown));
	EXPECT_DOUBLE_EQ(0, result.makespan_ms);
}

TEST(SimulateRecorded, Nothing)
{
	const wlm::SimulationResult result = Case().Summarize();
	EXPECT_EQ(0, result.num_queries);
	EXPECT_TRUE(std::isnan(result.latency_ms.mean));
}

}  // namespace
