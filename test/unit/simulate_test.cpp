/*
 * simulate_test.cpp
 *
 * Schedulers on the virtual machine: small cases computed by hand, then what
 * must hold of any trace.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <ctime>
#include <limits>
#include <numeric>

#include "simulate_fixture.hpp"

namespace wlm {
namespace {

using test::Outcome;
using test::Query;
using test::RandomTrace;

constexpr Scheduler kAll[] = {Scheduler::kFifo, Scheduler::kUnlimited, Scheduler::kWlm, Scheduler::kClairvoyant, Scheduler::kShortestFirst};

class SimulateTest : public test::SimulateFixture {};

void ExpectTimes(const Outcome &outcome, std::initializer_list<double> queue_ms, std::initializer_list<double> execution_ms)
{
	ASSERT_EQ(SimulationStatus::kDone, outcome.status);
	ASSERT_EQ(queue_ms.size(), outcome.queue_ms.size());
	for (size_t i = 0; i < queue_ms.size(); i++) {
		EXPECT_NEAR(queue_ms.begin()[i], outcome.queue_ms[i], 1e-9) << "queue time of " << i;
		EXPECT_NEAR(execution_ms.begin()[i], outcome.execution_ms[i], 1e-9) << "execution of " << i;
	}
}

TEST_F(SimulateTest, FifoOneSlot)
{
	const Outcome outcome = Run(Scheduler::kFifo, {Query(0, 10), Query(0, 20), Query(10, 5)});
	ExpectTimes(outcome, {0, 10, 20}, {10, 20, 5});
	EXPECT_EQ(3, outcome.result.num_queries);
	EXPECT_EQ(35, outcome.result.makespan_ms);
	EXPECT_NEAR(10, outcome.result.queue_ms.mean, 1e-9);
	EXPECT_NEAR(20, outcome.result.queue_ms.max, 1e-9);
	EXPECT_NEAR(1.0 / 3, outcome.result.never_waited, 1e-9);
	EXPECT_NEAR(1, outcome.result.mean_running, 1e-9);
	EXPECT_NEAR(3000.0 / 35, outcome.result.throughput_per_s, 1e-9);
	EXPECT_NEAR((1 + 1.5 + 5) / 3, outcome.result.mean_slowdown, 1e-9);
	EXPECT_NEAR(5, outcome.result.max_slowdown, 1e-9);
	EXPECT_EQ(1, outcome.result.num_short);
	EXPECT_NEAR(25, outcome.result.short_latency_ms.mean, 1e-9);
}

TEST_F(SimulateTest, OutcomesOfOneQueue)
{
	std::vector<TraceQuery> trace = {Query(0, 10), Query(0, 20), Query(10, 5), Query(20, 4)};
	trace[1].queue = trace[3].queue = 1;
	std::vector<double> queue_ms = {0, 10, 20, 15}, execution_ms = {10, 20, 5, -1}, scratch(4);
	SimulationResult result;
	DescribeOutcomes(trace, 0, queue_ms, execution_ms, 10, scratch, &result);
	EXPECT_EQ(2, result.num_queries);
	EXPECT_EQ(2, result.num_run);
	EXPECT_EQ(10, result.queue_ms.mean);
	EXPECT_EQ(25, result.latency_ms.max);
	EXPECT_EQ(0.5, result.never_waited);
	EXPECT_EQ(1, result.num_short);
	EXPECT_EQ(25, result.short_latency_ms.mean);
	EXPECT_EQ(7.5, result.mean_execution_ms);
	EXPECT_EQ(3, result.mean_slowdown);
	/* the last did not run */
	DescribeOutcomes(trace, 1, queue_ms, execution_ms, 10, scratch, &result);
	EXPECT_EQ(2, result.num_queries);
	EXPECT_EQ(1, result.num_run);
	EXPECT_EQ(30, result.latency_ms.mean);
	EXPECT_EQ(0, result.num_short);
	DescribeOutcomes(trace, 2, queue_ms, execution_ms, 10, scratch, &result);
	EXPECT_EQ(0, result.num_queries);
	EXPECT_EQ(0, result.latency_ms.mean);
	DescribeOutcomes(trace, -1, queue_ms, execution_ms, 10, scratch, &result);
	EXPECT_EQ(4, result.num_queries);
	EXPECT_EQ(3, result.num_run);
}

TEST_F(SimulateTest, SlotsShareTheProcessor)
{
	config.fifo_slots = 2;
	ExpectTimes(Run(Scheduler::kFifo, {Query(0, 10), Query(0, 20)}), {0, 0}, {20, 30});
	config.processors = 1.5;
	ExpectTimes(Run(Scheduler::kFifo, {Query(0, 30), Query(0, 60)}), {0, 0}, {40, 70});
	config.processors = 2;
	ExpectTimes(Run(Scheduler::kFifo, {Query(0, 10), Query(0, 20), Query(1, 5)}), {0, 0, 9}, {10, 20, 5});
	config.processors = 0.5;
	ExpectTimes(Run(Scheduler::kFifo, {Query(0, 10)}), {0}, {20});
}

TEST_F(SimulateTest, UnlimitedStartsEverybody)
{
	const Outcome outcome = Run(Scheduler::kUnlimited, {Query(0, 10), Query(5, 10)});
	ExpectTimes(outcome, {0, 0}, {15, 15});
	EXPECT_EQ(1, outcome.result.never_waited);
}

TEST_F(SimulateTest, ClairvoyantSuspendsLongerOnes)
{
	const std::vector<TraceQuery> trace = {Query(0, 10), Query(2, 3)};
	ExpectTimes(Run(Scheduler::kClairvoyant, trace), {3, 0}, {10, 3});
	ExpectTimes(Run(Scheduler::kShortestFirst, trace), {0, 8}, {10, 3});
	/* what is left counts: at 8 it is less than the newcomer's */
	ExpectTimes(Run(Scheduler::kClairvoyant, {Query(0, 10), Query(8, 3)}), {0, 2}, {10, 3});
	ExpectTimes(Run(Scheduler::kShortestFirst, {Query(0, 10), Query(1, 9), Query(2, 3)}), {0, 12, 8}, {10, 9, 3});
}

TEST_F(SimulateTest, ClairvoyantKeepsToTheMemory)
{
	config.processors = 3;
	config.fifo_slots = 3;
	config.memory_kb = 100;
	const std::vector<TraceQuery> trace = {Query(0, 10, 60), Query(0, 20, 60), Query(0, 30, 40)};
	Outcome outcome = Run(Scheduler::kClairvoyant, trace);
	ExpectTimes(outcome, {0, 10, 0}, {10, 20, 30});
	EXPECT_EQ(100, outcome.result.peak_memory_kb);
	EXPECT_EQ(0, outcome.result.over_memory);
	EXPECT_NEAR(100, outcome.result.mean_memory_kb, 1e-9);
	outcome = Run(Scheduler::kFifo, trace);
	ExpectTimes(outcome, {0, 0, 0}, {10, 20, 30});
	EXPECT_EQ(160, outcome.result.peak_memory_kb);
	EXPECT_NEAR(1.0 / 3, outcome.result.over_memory, 1e-9);
	/* two must be suspended for one; larger than the machine runs alone */
	ExpectTimes(Run(Scheduler::kClairvoyant, {Query(0, 10, 50), Query(0, 10, 50), Query(1, 2, 100)}), {2, 2, 0}, {10, 10, 2});
	ExpectTimes(Run(Scheduler::kShortestFirst, {Query(0, 10, 500), Query(0, 20, 500)}), {0, 10}, {10, 20});
}

TEST_F(SimulateTest, PolicyTakesTheShortestFirst)
{
	ExpectTimes(Run(Scheduler::kWlm, {Query(0, 1000), Query(100, 5000), Query(200, 100)}), {0, 1000, 800}, {1000, 5000, 100});
	policy.queues[0].max_slots = 2;
	config.processors = 2;
	ExpectTimes(Run(Scheduler::kWlm, {Query(0, 1000), Query(100, 5000), Query(200, 100)}), {0, 0, 800}, {1000, 5000, 100});
}

TEST_F(SimulateTest, PolicySchedulesByPredictionsNotByTruth)
{
	std::vector<TraceQuery> trace = {Query(0, 1000), Query(100, 5000), Query(200, 100)};
	std::swap(trace[1].predicted_ms, trace[2].predicted_ms);
	ExpectTimes(Run(Scheduler::kWlm, trace), {0, 900, 5800}, {1000, 5000, 100});
}

TEST_F(SimulateTest, PredictsFromItsOwnEnds)
{
	/* Both kinds unknown: in the order of arrival. Then each kind has ended once, and the short one goes first. */
	std::vector<TraceQuery> trace = {Query(0, 1000), Query(1, 1000), Query(2, 100), Query(3000, 1000), Query(3001, 1000), Query(3002, 100)};
	for (size_t i = 0; i < trace.size(); i++) {
		trace[i].predicted_ms = trace[i].predicted_upper_ms = 0;
		trace[i].keys = {trace[i].work_ms > 500 ? 1u : 2u, 0};
	}
	std::vector<uint64_t> words(TraceLearner::BytesNeeded(6) / 8 + 1);
	config.learner = TraceLearner::Init(std::as_writable_bytes(std::span(words)), 6);
	for (int repeat = 0; repeat < 2; repeat++)
		ExpectTimes(Run(Scheduler::kWlm, trace), {0, 999, 1998, 0, 1099, 998}, {1000, 1000, 100, 1000, 1000, 100});
	trace[5].predicted_ms = 1e5;    /* what the trace says counts */
	ExpectTimes(Run(Scheduler::kWlm, trace), {0, 999, 1998, 0, 999, 1998}, {1000, 1000, 100, 1000, 1000, 100});
}

TEST_F(SimulateTest, ExpressLaneNeedsNoSlot)
{
	policy.express_floor_ms = 200;
	std::vector<TraceQuery> trace = {Query(0, 1000), Query(100, 50)};
	trace[1].predicted_upper_ms = 60;
	const Outcome outcome = Run(Scheduler::kWlm, trace);
	ExpectTimes(outcome, {0, 0}, {1050, 100});
	EXPECT_EQ(1, outcome.result.num_express);
	EXPECT_EQ(0, outcome.result.num_evicted);
	trace[1].work_ms = 6000;    /* evicted at the first tick after the cut-off; then it holds the slot */
	EXPECT_EQ(1, Run(Scheduler::kWlm, trace).result.num_evicted);
}

TEST_F(SimulateTest, PriorityGoesBeforeOrder)
{
	std::vector<TraceQuery> trace = {Query(0, 100), Query(10, 100), Query(20, 100)};
	trace[2].priority = Priority::kHighest;
	ExpectTimes(Run(Scheduler::kWlm, trace), {0, 190, 80}, {100, 100, 100});
}

TEST_F(SimulateTest, PolicyKeepsToItsBudget)
{
	policy.queues[0].max_slots = 10;
	policy.budget_kb = 100;
	config.memory_kb = 100;
	config.processors = 10;
	const Outcome outcome = Run(Scheduler::kWlm, {Query(0, 10, 40), Query(0, 20, 40), Query(0, 30, 40), Query(1, 5, 20)});
	ExpectTimes(outcome, {0, 0, 10, 0}, {10, 20, 30, 5});
	EXPECT_EQ(100, outcome.result.peak_memory_kb);
	EXPECT_EQ(0, outcome.result.num_forced);
}

TEST_F(SimulateTest, DeadlinesForceOrEnd)
{
	const std::vector<TraceQuery> trace = {Query(0, 1000), Query(10, 100)};
	policy.max_wait_ms = 300;
	Outcome outcome = Run(Scheduler::kWlm, trace);
	ExpectTimes(outcome, {0, 300}, {1100, 200});
	EXPECT_EQ(1, outcome.result.num_forced);

	policy.queues[0].queue_timeout_ms = 200;
	outcome = Run(Scheduler::kWlm, trace);
	ExpectTimes(outcome, {0, 200}, {1000, -1});
	EXPECT_EQ(1, outcome.result.num_timeouts);
	EXPECT_EQ(1, outcome.result.num_run);
	EXPECT_EQ(1000, outcome.result.latency_ms.max);

	policy.queues[0].queue_timeout_ms = 0;
	policy.queues[0].max_queue_length = 0;
	outcome = Run(Scheduler::kWlm, trace);
	ExpectTimes(outcome, {0, 0}, {1000, -1});
	EXPECT_EQ(1, outcome.result.num_rejected);
}

TEST_F(SimulateTest, LowerPrioritiesGiveWayAndBeginAnew)
{
	policy.preemption = true;
	std::vector<TraceQuery> trace = {Query(0, 1000), Query(300, 100)};
	trace[1].priority = Priority::kHigh;
	Outcome outcome = Run(Scheduler::kWlm, trace);
	ExpectTimes(outcome, {100, 0}, {1300, 100});        /* 300 thrown away */
	EXPECT_EQ(1, outcome.result.num_preempted);
	EXPECT_EQ(1400, outcome.result.makespan_ms);
	config.not_restartable = 1;
	outcome = Run(Scheduler::kWlm, trace);
	ExpectTimes(outcome, {0, 700}, {1000, 100});
	EXPECT_EQ(0, outcome.result.num_preempted);
}

TEST_F(SimulateTest, WhoWaitsBehindAStandstillIsLetIn)
{
	const std::vector<TraceQuery> trace = {Query(0, 10000), Query(10, 100)};
	policy.max_standstill_ms = 2500;    /* seen by the worker's next second */
	const Outcome outcome = Run(Scheduler::kWlm, trace);
	ExpectTimes(outcome, {0, 2990}, {10100, 200});
	EXPECT_EQ(1, outcome.result.num_forced);
}

/* Ten minutes of half as much again as the machine can do: those who are let in after a minute slow all others, so ever more are. */
TEST_F(SimulateTest, UnderLoadItIsBetterToWaitThanToBeLetIn)
{
	policy.queues[0].max_slots = 0;
	policy.processors = 4;
	config.processors = 4;
	const std::vector<TraceQuery> trace = RandomTrace(5, 6000, 4, 1.5);
	policy.max_wait_ms = 60000;
	const SimulationResult let_in = Run(Scheduler::kWlm, trace).result;
	policy.max_wait_ms = 1800000;
	policy.max_standstill_ms = 60000;
	const SimulationResult waiting = Run(Scheduler::kWlm, trace).result;
	EXPECT_GT(let_in.num_forced, 500);
	EXPECT_EQ(0, waiting.num_forced);
	EXPECT_LT(waiting.latency_ms.mean, 0.7 * let_in.latency_ms.mean);
	EXPECT_LT(waiting.short_latency_ms.p95, let_in.short_latency_ms.p95);
}

TEST_F(SimulateTest, AutomaticSlotsFollowTheMachine)
{
	policy.queues[0].max_slots = 0;
	policy.max_wait_ms = 1e9;
	policy.processors = 4;
	config.processors = 4;
	const std::vector<TraceQuery> trace = RandomTrace(3, 20000, 4, 1.2);
	const SimulationResult result = Run(Scheduler::kWlm, trace).result;
	EXPECT_GT(result.mean_running, 4);
	EXPECT_LT(result.mean_running, 10);
}

TEST_F(SimulateTest, NothingAndNonsense)
{
	for (const Scheduler scheduler : kAll) {
		const Outcome outcome = Run(scheduler, {});
		EXPECT_EQ(SimulationStatus::kDone, outcome.status);
		EXPECT_EQ(0, outcome.result.num_queries);
		EXPECT_EQ(0, outcome.result.queue_ms.max);
		ExpectTimes(Run(scheduler, {Query(5, 0)}), {0}, {0});
		EXPECT_EQ(SimulationStatus::kBadTrace, Run(scheduler, {Query(5, 1), Query(4, 1)}).status);
		EXPECT_EQ(SimulationStatus::kBadTrace, Run(scheduler, {Query(5, -1)}).status);
		EXPECT_EQ(SimulationStatus::kBadTrace, Run(scheduler, {Query(5, 1, -1)}).status);
		EXPECT_EQ(SimulationStatus::kBadTrace, Run(scheduler, {Query(std::nan(""), 1)}).status);
		EXPECT_EQ(SimulationStatus::kBadTrace, Run(scheduler, {Query(0, std::numeric_limits<double>::infinity())}).status);
	}
	config.fifo_slots = 0;
	EXPECT_EQ(SimulationStatus::kBadConfig, Run(Scheduler::kFifo, {Query(0, 1)}).status);
	config.policy = nullptr;
	EXPECT_EQ(SimulationStatus::kBadConfig, Run(Scheduler::kWlm, {Query(0, 1)}).status);
	config.processors = 0;
	EXPECT_EQ(SimulationStatus::kBadConfig, Run(Scheduler::kUnlimited, {Query(0, 1)}).status);
	EXPECT_EQ(SimulationStatus::kBadConfig, Run(Scheduler::kNumSchedulers, {Query(0, 1)}).status);
}

TEST_F(SimulateTest, MemoryOfTheCaller)
{
	const std::vector<TraceQuery> trace(3000, Query(0, 1));
	EXPECT_EQ(SimulationStatus::kTooManyActive, Run(Scheduler::kWlm, trace, 2000).status);
	const Outcome outcome = Run(Scheduler::kWlm, trace, 3000);     /* more than the first table takes */
	EXPECT_EQ(SimulationStatus::kDone, outcome.status);
	EXPECT_NEAR(1499.5, outcome.result.queue_ms.mean, 1e-6);
	config.scheduler = Scheduler::kFifo;
	std::vector<uint64_t> words(10);
	SimulationResult result;
	EXPECT_EQ(SimulationStatus::kTooLittleMemory, Simulate(trace, config, std::as_writable_bytes(std::span(words)), {}, {}, &result));
}

TEST_F(SimulateTest, CanBeInterrupted)
{
	config.interrupted = [] { return true; };
	for (const Scheduler scheduler : kAll)
		EXPECT_EQ(SimulationStatus::kInterrupted, Run(scheduler, std::vector<TraceQuery>(5000, Query(0, 1)), 0).status);
}

TEST_F(SimulateTest, TheSameEachTime)
{
	config.processors = 4;
	policy.processors = 4;
	policy.queues[0].max_slots = 0;
	policy.express_floor_ms = 200;
	const std::vector<TraceQuery> trace = RandomTrace(7, 5000, 4, 0.95);
	for (const Scheduler scheduler : kAll) {
		const Outcome first = Run(scheduler, trace);
		const Outcome second = Run(scheduler, trace);
		EXPECT_EQ(first.queue_ms, second.queue_ms);
		EXPECT_EQ(first.execution_ms, second.execution_ms);
	}
}

/* Whoever runs beside whom, work is neither lost nor made: what was recorded leads back to it. */
TEST_F(SimulateTest, WorkFromRecordedInvertsTheMachine)
{
	for (const double processors : {1.0, 2.5, 8.0}) {
		config.processors = processors;
		config.fifo_slots = 12;
		policy.processors = 3;
		policy.queues[0].max_slots = 0;
		policy.express_floor_ms = 200;
		const std::vector<TraceQuery> trace = RandomTrace(11, 3000, processors, 0.9);
		for (const Scheduler scheduler : {Scheduler::kFifo, Scheduler::kUnlimited, Scheduler::kWlm, Scheduler::kShortestFirst}) {
			const Outcome outcome = Run(scheduler, trace);
			std::vector<RecordedRun> runs;
			for (size_t i = 0; i < trace.size(); i++)
				runs.push_back({trace[i].arrival_ms + outcome.queue_ms[i], outcome.execution_ms[i]});
			std::vector<double> work(runs.size());
			std::vector<int64_t> order(2 * runs.size());
			WorkFromRecorded(runs, processors, work, order);
			for (size_t i = 0; i < trace.size(); i++)
				ASSERT_NEAR(trace[i].work_ms, work[i], 1e-3) << static_cast<int>(scheduler) << " query " << i;
		}
	}
}

/* On one processor shortest remaining work first is optimal (Schrage 1968), and no scheduler leaves the processor idle. */
TEST_F(SimulateTest, NobodyBeatsTheClairvoyant)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		const std::vector<TraceQuery> trace = RandomTrace(seed, 500, 1, 0.9);
		const SimulationResult best = Run(Scheduler::kClairvoyant, trace).result;
		for (const Scheduler scheduler : kAll) {
			const SimulationResult result = Run(scheduler, trace).result;
			EXPECT_GE(result.latency_ms.mean, best.latency_ms.mean * (1 - 1e-9)) << static_cast<int>(scheduler);
			EXPECT_NEAR(best.makespan_ms, result.makespan_ms, 1e-3);
		}
	}
}

TEST_F(SimulateTest, FifoKeepsTheOrder)
{
	config.processors = 3;
	config.fifo_slots = 5;
	const std::vector<TraceQuery> trace = RandomTrace(5, 2000, 3, 0.95);
	const Outcome outcome = Run(Scheduler::kFifo, trace);
	for (size_t i = 1; i < trace.size(); i++)
		EXPECT_LE(trace[i - 1].arrival_ms + outcome.queue_ms[i - 1], trace[i].arrival_ms + outcome.queue_ms[i] + 1e-6);
}

/* Under overload too nobody is overtaken by who came much later: the bound of core/decide, seen from outside. */
TEST_F(SimulateTest, NobodyStarves)
{
	policy.max_wait_ms = 1e9;
	const std::vector<TraceQuery> trace = RandomTrace(17, 3000, 1, 1.5);
	const Outcome outcome = Run(Scheduler::kWlm, trace);
	int overtaken = 0;
	for (size_t i = 0; i < trace.size(); i++) {
		const double start = trace[i].arrival_ms + outcome.queue_ms[i];
		for (size_t j = i + 1; j < trace.size(); j++) {
			if (trace[j].arrival_ms + outcome.queue_ms[j] >= start - 1e-6)
				continue;
			overtaken++;
			ASSERT_LE(trace[j].arrival_ms, trace[i].arrival_ms + trace[i].predicted_ms / kWaitCredit) << i << " by " << j;
		}
	}
	EXPECT_GT(overtaken, 1000);
}

TEST_F(SimulateTest, MemoryNeverExceededByThoseWhoLook)
{
	config.processors = 6;
	config.memory_kb = 1000000;
	policy.budget_kb = 1000000;
	policy.processors = 6;
	policy.queues[0].max_slots = 0;
	policy.max_wait_ms = 1e9;
	const std::vector<TraceQuery> trace = RandomTrace(13, 3000, 6, 0.8, 0.5, 500000);
	for (const Scheduler scheduler : {Scheduler::kWlm, Scheduler::kClairvoyant, Scheduler::kShortestFirst}) {
		const SimulationResult result = Run(scheduler, trace).result;
		EXPECT_LE(result.peak_memory_kb, 1000000) << static_cast<int>(scheduler);
		EXPECT_EQ(0, result.over_memory);
		EXPECT_EQ(3000, result.num_run);
	}
}

TEST_F(SimulateTest, LoadIsScaled)
{
	std::vector<TraceQuery> trace = {Query(0, 10), Query(100, 30)};
	EXPECT_DOUBLE_EQ(0.2, LoadOf(trace, 2));
	EXPECT_DOUBLE_EQ(4, ScaleToLoad(trace, 2, 0.8));
	EXPECT_DOUBLE_EQ(0.8, LoadOf(trace, 2));
	EXPECT_DOUBLE_EQ(120, trace[1].work_ms);
	EXPECT_DOUBLE_EQ(120, trace[1].predicted_ms);
	trace.resize(1);
	EXPECT_EQ(0, ScaleToLoad(trace, 2, 0.8));
	EXPECT_EQ(0, LoadOf({}, 1));
}

TEST(SimulateNumbersTest, Describe)
{
	std::vector<double> values(100);
	std::iota(values.rbegin(), values.rend(), 1);
	const Distribution distribution = Describe(values);
	EXPECT_EQ(50.5, distribution.mean);
	EXPECT_EQ(50, distribution.p50);
	EXPECT_EQ(90, distribution.p90);
	EXPECT_EQ(95, distribution.p95);
	EXPECT_EQ(99, distribution.p99);
	EXPECT_EQ(100, distribution.max);
	values.resize(1);
	EXPECT_EQ(1, Describe(values).p50);
	EXPECT_EQ(0, Describe({}).mean);
}

TEST(SimulateNumbersTest, WorkFromRecordedByHand)
{
	/* A 0-20, B 10-40, C 50-60 and nothing at 5 */
	const std::vector<RecordedRun> runs = {{0, 20}, {10, 30}, {50, 10}, {5, 0}};
	std::vector<double> work(4);
	std::vector<int64_t> order(8);
	WorkFromRecorded(runs, 1, work, order);
	EXPECT_EQ((std::vector<double>{15, 25, 10, 0}), work);
	WorkFromRecorded(runs, 2, work, order);
	EXPECT_EQ((std::vector<double>{20, 30, 10, 0}), work);
	WorkFromRecorded({}, 2, {}, {});
}

/* The goal is a million a minute; machines differ, so a tenth of it is asserted. */
TEST_F(SimulateTest, Speed)
{
	config.processors = 8;
	policy.processors = 8;
	policy.queues[0].max_slots = 0;
	policy.express_floor_ms = 200;
	for (const double load : {0.8, 0.95}) {
		const std::vector<TraceQuery> trace = RandomTrace(1, 1000000, 8, load);
		const std::clock_t start = std::clock();
		const Outcome outcome = Run(Scheduler::kWlm, trace, 100000);
		ASSERT_EQ(SimulationStatus::kDone, outcome.status);
		const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
		std::printf("a million queries in %.1f CPU seconds at load %.2f, %zu bytes each\n", seconds, load,
			SimulationBytes(2000000, 1) / 1000000 - SimulationBytes(1000000, 1) / 1000000);
		EXPECT_LT(seconds, 600);
		EXPECT_EQ(1000000, outcome.result.num_run);
	}
}

}  // namespace
}  // namespace wlm
