/*
 * grant_property_test.cpp
 *
 * What must hold for the grant of any plan under any forecast, and what a grant costs.
 */
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>

#include "core/grant/grant.hpp"
#include "executor_model.hpp"

namespace wlm {
namespace {

using test::RandomPlan;

class GrantProperty : public ::testing::Test {
  protected:
	GrantProperty() : forecast(std::make_unique<Forecast>()) { std::memset(static_cast<void *>(forecast.get()), 0, sizeof(Forecast)); }

	int Pick(int most) { return std::uniform_int_distribution<int>(0, most)(random); }
	float Real(double least, double most) { return static_cast<float>(std::uniform_real_distribution<double>(least, most)(random)); }

	/* Anything sane; every eighth operator without an opinion. */
	void Draw(uint32_t seed, int nodes = 24)
	{
		random.seed(seed);
		plan = std::make_unique<RandomPlan>(seed, nodes);
		graph = &plan->plan().Finish();
		forecast->has_opinion = true;
		forecast->num_memory_nodes = graph->num_memory_nodes;
		for (int slot = 0; slot < graph->num_memory_nodes; slot++) {
			forecast->memory[slot] = Pick(7) == 0 ? Estimate{} : Estimate{Real(3, 14), Real(0, 0.5), Real(0, 0.5), 3};
			forecast->temp[slot] = Pick(2) == 0 ? Estimate{} : Estimate{Real(3, 15), Real(0, 0.5), Real(0, 0.5), 3};
		}
		forecast->query_memory = Pick(1) == 0 ? Estimate{} : Estimate{Real(5, 16), 0.1f, 0.1f, 3};
		limits = GrantLimits{};
		limits.session_work_mem_kb = int64_t{64} << Pick(10);
		limits.min_work_mem_kb = int64_t{64} << Pick(6);
		limits.max_work_mem_kb = int64_t{65536} << Pick(5);
		limits.max_query_kb = int64_t{1024} << Pick(12);
		limits.hash_mem_multiplier = 1 + Pick(2);
		limits.z = Real(0, 2);
		limits.part = Pick(2) == 0 ? Real(0, 1) : 1;
		limits.may_raise = true;
		limits.may_lower = Pick(1) == 0;
		limits.per_operator = Pick(3) > 0;
		limits.may_release = Pick(2) > 0;
	}

	Grant Compute() const
	{
		Grant grant;
		ComputeGrant(*graph, *forecast, limits, &grant);
		return grant;
	}

	double FullestKb(const Grant &grant) const
	{
		double fullest = 0;
		for (int i = 0; i < grant.lifetimes.num_moments; i++) {
			double sum = 0;
			for (int slot = 0; slot < grant.num_operators; slot++)
				if ((grant.lifetimes.moments[i] >> slot & 1) != 0)
					sum += static_cast<double>(grant.operators[slot].processes) * grant.operators[slot].expected_kb;
			fullest = std::max(fullest, sum);
		}
		return fullest;
	}

	std::mt19937 random;
	std::unique_ptr<RandomPlan> plan;
	const PlanGraph *graph = nullptr;
	std::unique_ptr<Forecast> forecast;
	GrantLimits limits;
};

TEST_F(GrantProperty, StaysInsideItsLimits)
{
	int adjusted = 0, lowered = 0, partly = 0;
	for (uint32_t seed = 0; seed < 20000; seed++) {
		Draw(seed);
		const Grant grant = Compute();
		GrantLimits own = limits;
		own.may_raise = false;
		Grant session;
		ComputeGrant(*graph, *forecast, own, &session);
		ASSERT_FALSE(session.raises || session.adjusts) << seed;

		const double share = static_cast<double>(limits.max_query_kb) - 512;
		const double used = FullestKb(grant), used_before = FullestKb(session);
		const double slack = 2 + 1e-5 * used; /* floats */
		ASSERT_LE(used, std::max(share, used_before) + slack) << seed;
		ASSERT_LE(grant.reservation_kb, used + 512 + slack) << seed;
		if (!limits.may_lower || !limits.per_operator || used_before <= share + 1) {
			ASSERT_GE(grant.saved_ms, 0) << seed;
			ASSERT_GE(used, used_before - slack) << seed;
		}

		const bool may_be_lower = limits.may_lower && limits.per_operator && used_before > share;
		for (int i = 0; i < grant.num_operators; i++) {
			const OperatorGrant &one = grant.operators[i];
			const PlanNode &node = graph->nodes[graph->memory_node[i]];
			const float session_kb = static_cast<float>(limits.session_work_mem_kb);
			ASSERT_EQ(one.work_mem_kb, std::floor(one.work_mem_kb));
			ASSERT_FLOAT_EQ(one.limit_kb, session.operators[i].limit_kb / session_kb * one.work_mem_kb);
			ASSERT_LE(one.work_mem_kb, std::max<double>(static_cast<double>(limits.max_work_mem_kb), session_kb));
			if (one.work_mem_kb > session_kb) {
				ASSERT_GE(one.work_mem_kb, limits.min_work_mem_kb) << seed;
			}
			if (one.work_mem_kb < session_kb) {
				ASSERT_TRUE(may_be_lower) << seed;
				ASSERT_GT(one.need_kb, 0) << seed;
				ASSERT_GE(one.work_mem_kb, limits.min_work_mem_kb) << seed;
				ASSERT_NE(node.memory, MemoryClass::kUnbounded);
				if (node.memory == MemoryClass::kHash) {
					ASSERT_GE(one.limit_kb * 1.0001, std::sqrt(16 * one.need_kb)) << seed;
				}
				lowered++;
			}
			if (node.memory == MemoryClass::kParallelHash || !limits.per_operator) {
				ASSERT_EQ(one.work_mem_kb, grant.work_mem_kb) << seed;
			}
			adjusted += one.work_mem_kb > session_kb;
		}
		ASSERT_GE(grant.coverage, 0);
		ASSERT_LE(grant.coverage, 1);
		ASSERT_EQ(grant.lacking_kb, session.lacking_kb);
		partly += grant.coverage > 0 && grant.coverage < 1;
		if (limits.part <= 0 || limits.session_work_mem_kb >= limits.max_work_mem_kb)
			continue;
		if (limits.part < 1) {
			ASSERT_LE(used, used_before + limits.part * grant.lacking_kb + slack) << seed;
		}
	}
	EXPECT_GT(adjusted, 5000);
	EXPECT_GT(lowered, 1000);
	EXPECT_GT(partly, 1000);
}

TEST_F(GrantProperty, LoweringReachesTheShareUnlessFloorsForbid)
{
	for (uint32_t seed = 0; seed < 5000; seed++) {
		Draw(seed);
		limits.may_lower = limits.per_operator = true;
		limits.min_work_mem_kb = 64;
		limits.part = 0;
		const Grant grant = Compute();
		const double share = static_cast<double>(limits.max_query_kb) - 512;
		for (int i = 0; i < grant.lifetimes.num_moments; i++) {
			double sum = 0;
			bool at_floor = true;
			for (int slot = 0; slot < grant.num_operators; slot++) {
				const OperatorGrant &one = grant.operators[slot];
				const MemoryClass memory = graph->nodes[graph->memory_node[slot]].memory;
				if ((grant.lifetimes.moments[i] >> slot & 1) == 0)
					continue;
				sum += static_cast<double>(one.processes) * one.expected_kb;
				const bool hash = memory == MemoryClass::kHash || memory == MemoryClass::kParallelHash;
				const float floor = std::max(64.0f, hash ? std::sqrt(16 * one.need_kb) / (one.limit_kb / one.work_mem_kb) : 0);
				/* those of one group have the highest floor of all, and may lack an opinion */
				at_floor &= memory == MemoryClass::kParallelHash || one.need_kb == 0 ||
					one.need_kb <= floor * one.limit_kb / one.work_mem_kb ||
				            one.work_mem_kb <= floor + 1;
			}
			ASSERT_TRUE(at_floor || sum <= share + 2 + 1e-5 * sum) << seed;
		}
	}
}

/*
 * With one moment and one Parallel Hash at most this holds for any plan; with several moments, memory taken in one
 * may be missed in another, and several Parallel Hashes are asked as one, by what they gain on average.
 */
TEST_F(GrantProperty, MoreMemoryNeverSavesLess)
{
	for (uint32_t seed = 0; seed < 3000; seed++) {
		Draw(seed);
		limits.may_release = false;
		limits.per_operator = true;
		int shared = 0;
		for (int slot = 0; slot < graph->num_memory_nodes; slot++)
			shared += graph->nodes[graph->memory_node[slot]].memory == MemoryClass::kParallelHash;
		if (shared > 1)
			continue;
		double before = -INFINITY;
		for (limits.max_query_kb = 1000; limits.max_query_kb < 8000000; limits.max_query_kb += limits.max_query_kb / 7) {
			const double saved = Compute().saved_ms;
			ASSERT_GE(saved, before - 0.1 - 1e-4 * std::fabs(before)) << seed << " at " << limits.max_query_kb;
			before = saved;
		}
	}
}

TEST_F(GrantProperty, ReleasingNeverSavesLess)
{
	double with = 0, without = 0;
	int better = 0, worse = 0;
	for (uint32_t seed = 0; seed < 5000; seed++) {
		Draw(seed);
		limits.part = 1;
		limits.may_release = true;
		const double released = Compute().saved_ms;
		limits.may_release = false;
		const double kept = Compute().saved_ms;
		with += released;
		without += kept;
		better += released > kept + 1;
		worse += released < kept - 1;
	}
	EXPECT_GT(with, without);
	EXPECT_GT(better, 20 * worse);
}

TEST_F(GrantProperty, TheSamePlanGetsTheSameGrant)
{
	for (uint32_t seed = 0; seed < 500; seed++) {
		Draw(seed);
		Grant a, b;
		std::memset(static_cast<void *>(&a), 0, sizeof(a));
		std::memset(static_cast<void *>(&b), 0, sizeof(b));
		ComputeGrant(*graph, *forecast, limits, &a);
		ComputeGrant(*graph, *forecast, limits, &b);
		ASSERT_EQ(std::memcmp(&a, &b, sizeof(a)), 0);
	}
}

/* A typical plan: a dozen nodes, two to six operators. Bounds are wide: machines differ, and this one may be busy. */
TEST_F(GrantProperty, TakesMicroseconds)
{
	double nanoseconds = 0;
	int64_t operators = 0;
	int measured = 0;
	for (uint32_t seed = 0; seed < 400; seed++) {
		Draw(seed, 4);
		if (graph->num_memory_nodes < 2 || graph->num_memory_nodes > 6)
			continue;
		limits.per_operator = limits.may_release = true;
		const auto start = std::chrono::steady_clock::now();
		for (int i = 0; i < 100; i++)
			operators += Compute().num_operators;
		nanoseconds += std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / 100;
		measured++;
	}
	ASSERT_GT(operators, 0);
	ASSERT_GT(measured, 50);
	const double each = nanoseconds / measured;
	RecordProperty("nanoseconds", static_cast<int>(each));
	std::printf("%.0f ns a grant\n", each);
	EXPECT_LT(each, 50000);
}

}  // namespace
}  // namespace wlm
