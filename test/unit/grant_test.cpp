/*
 * grant_test.cpp
 *
 * From needs to each operator's limit, the query's work_mem and its reservation:
 * hand-made cases. Properties over random plans stand in grant_property_test.cpp.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "core/grant/grant.hpp"
#include "plan_builder.hpp"

namespace wlm {
namespace {

using test::PlanBuilder;

Estimate Certain(double kb) { return Estimate{static_cast<float>(std::log(kb)), 0, 0, 1}; }

GrantLimits Limits()
{
	GrantLimits limits{};
	limits.session_work_mem_kb = 4096;
	limits.min_work_mem_kb = 1024;
	limits.max_work_mem_kb = 1048576;
	limits.max_query_kb = 1048576;
	limits.hash_mem_multiplier = 2;
	limits.z = 1.645f;
	limits.may_raise = true;
	return limits;
}

class GrantTest : public ::testing::Test {
  protected:
	GrantTest() : forecast(std::make_unique<Forecast>()), limits(Limits())
	{
		std::memset(static_cast<void *>(forecast.get()), 0, sizeof(Forecast));
		forecast->has_opinion = true;
	}

	/* By slot, in the plan's preorder. */
	void Needs(std::initializer_list<double> kb)
	{
		int slot = 0;
		for (double need : kb)
			forecast->memory[slot++] = need > 0 ? Certain(need) : Estimate{};
	}

	Grant Compute()
	{
		const PlanGraph &graph = plan.Finish();
		forecast->num_memory_nodes = graph.num_memory_nodes;
		Grant grant;
		ComputeGrant(graph, *forecast, limits, &grant);
		return grant;
	}

	PlanBuilder plan;
	std::unique_ptr<Forecast> forecast;
	GrantLimits limits;
};

/* A sort (slot 0) above a hash join (slot 1). */
class JoinGrantTest : public GrantTest {
  protected:
	JoinGrantTest()
	{
		const int16_t sort = plan.AddSort(kNoNode, 1000, 8);
		const int16_t join = plan.Add(sort, NodeKind::kHashJoin, 1000);
		plan[join].join = JoinKind::kInner;
		plan.Add(join, NodeKind::kSeqScan, 1000);
		hash = plan.AddHash(join, 1000, 8);
		plan.Add(hash, NodeKind::kSeqScan, 1000);
	}

	int16_t hash;
};

/* One value for all operators. */
class OneWorkMemTest : public JoinGrantTest {
  protected:
	OneWorkMemTest() { limits.per_operator = false; }
};

TEST_F(OneWorkMemTest, CoversTheLargestNeedWithHeadroom)
{
	Needs({100000, 20000});
	const Grant grant = Compute();
	EXPECT_TRUE(grant.raises);
	EXPECT_FALSE(grant.adjusts);
	EXPECT_NEAR(static_cast<double>(grant.work_mem_kb), 115000, 10);
	EXPECT_NEAR(static_cast<double>(grant.reservation_kb), 115000 + 23000 + 512, 20);
	EXPECT_FLOAT_EQ(grant.operators[1].limit_kb, 2 * static_cast<float>(grant.work_mem_kb));
}

TEST_F(OneWorkMemTest, CountsHashMemMultiplier)
{
	Needs({1000, 100000});
	EXPECT_NEAR(static_cast<double>(Compute().work_mem_kb), 57500, 10);
	limits.hash_mem_multiplier = 1;
	EXPECT_NEAR(static_cast<double>(Compute().work_mem_kb), 115000, 10);
}

TEST_F(OneWorkMemTest, FitsTheShareOfOneQuery)
{
	Needs({100000, 100000});
	limits.max_query_kb = 60512;
	const Grant grant = Compute();
	EXPECT_LE(grant.reservation_kb, 60512);
	/* w + 2 w = 60000 */
	EXPECT_NEAR(static_cast<double>(grant.work_mem_kb), 20000, 100);
}

TEST_F(OneWorkMemTest, AHashGetsWhatItsPlannedBatchesWant)
{
	Needs({1000, 1000});
	plan[hash].rows = 4e6f; /* overestimated: it would begin with many batches */
	const Grant grant = Compute();
	EXPECT_GT(grant.work_mem_kb, 50000);
	EXPECT_NEAR(static_cast<double>(grant.reservation_kb), 1150 + 1150 + 512, 10);
}

TEST_F(JoinGrantTest, EachOperatorGetsItsOwn)
{
	Needs({100000, 20000});
	const Grant grant = Compute();
	EXPECT_EQ(grant.work_mem_kb, 4096);
	EXPECT_FALSE(grant.raises);
	EXPECT_TRUE(grant.adjusts);
	ASSERT_EQ(grant.num_operators, 2);
	EXPECT_NEAR(grant.operators[0].work_mem_kb, 115000, 2);
	EXPECT_NEAR(grant.operators[1].work_mem_kb, 11500, 2);
	EXPECT_NEAR(grant.operators[1].limit_kb, 23000, 4);
	EXPECT_NEAR(static_cast<double>(grant.reservation_kb), 115000 + 23000 + 512, 20);
	EXPECT_NEAR(grant.lacking_kb, 115000 - 4096 + 23000 - 8192, 10);
	EXPECT_FLOAT_EQ(grant.coverage, 1);
	EXPECT_NEAR(grant.saved_ms, (115000 + 23000) / 400.0, 1); /* nothing is known of temporary files */
}

TEST_F(JoinGrantTest, WhatFitsStaysAtTheSessionsOwn)
{
	Needs({10, 10});
	Grant grant = Compute();
	EXPECT_FALSE(grant.raises);
	EXPECT_FALSE(grant.adjusts);
	EXPECT_EQ(grant.work_mem_kb, 4096);
	EXPECT_EQ(grant.lacking_kb, 0);
	EXPECT_EQ(grant.coverage, 1);
	EXPECT_EQ(grant.saved_ms, 0);

	Needs({100000, 100000});
	limits.max_query_kb = 1;
	grant = Compute();
	EXPECT_FALSE(grant.adjusts);
	EXPECT_EQ(grant.work_mem_kb, 4096);
	EXPECT_EQ(grant.coverage, 0);
	EXPECT_EQ(grant.reservation_kb, 4096 + 8192 + 512);
}

TEST_F(JoinGrantTest, RespectsTheUsersChoice)
{
	Needs({100000, 100000});
	limits.may_raise = false;
	limits.may_lower = true;
	for (int64_t share : {1000000, 1000}) {
		limits.max_query_kb = share;
		const Grant grant = Compute();
		EXPECT_FALSE(grant.raises);
		EXPECT_FALSE(grant.adjusts);
		EXPECT_EQ(grant.work_mem_kb, 4096);
		EXPECT_EQ(grant.reservation_kb, 4096 + 8192 + 512); /* what is used under those limits */
		EXPECT_GT(grant.lacking_kb, 0);
		EXPECT_EQ(grant.coverage, 0);
		EXPECT_EQ(grant.saved_ms, 0);
	}
}

TEST_F(JoinGrantTest, ASortGetsAllOrNothingAHashJoinAPart)
{
	Needs({100000, 100000});
	limits.max_query_kb = 512 + 60000;
	const Grant grant = Compute();
	EXPECT_EQ(grant.operators[0].work_mem_kb, 4096);
	EXPECT_NEAR(grant.operators[1].limit_kb, 60000 - 4096, 2);
	EXPECT_LE(grant.reservation_kb, limits.max_query_kb);
	EXPECT_GT(grant.coverage, 0.2f);
	EXPECT_LT(grant.coverage, 0.3f);

	limits.max_query_kb = 512 + 115010 + 8192;
	forecast->temp[0] = Certain(200000);
	EXPECT_NEAR(Compute().operators[0].work_mem_kb, 115000, 1);
}

TEST_F(JoinGrantTest, MemoryGoesWhereAKilobyteSavesMost)
{
	Needs({50000, 50000});
	limits.max_query_kb = 512 + 57510 + 8192;
	forecast->temp[0] = Certain(50000);
	forecast->temp[1] = Certain(500000); /* its outer side is long */
	Grant grant = Compute();
	EXPECT_EQ(grant.operators[0].work_mem_kb, 4096);
	EXPECT_GE(grant.operators[1].limit_kb, 57500 - 1);
	EXPECT_NEAR(grant.saved_ms, 500000 / 400.0, 1);

	forecast->temp[1] = Certain(5000);
	grant = Compute();
	EXPECT_NEAR(grant.operators[0].work_mem_kb, 57500, 1);
	EXPECT_EQ(grant.operators[1].work_mem_kb, 4096); /* the few kB that are left are not worth it */
	EXPECT_NEAR(grant.saved_ms, 50000 / 400.0, 1);
}

TEST_F(JoinGrantTest, PlannedBatchesAreChargedByNeedOnly)
{
	Needs({1000, 1000});
	plan[hash].rows = 4e6f;
	const Grant grant = Compute();
	EXPECT_GT(grant.operators[1].limit_kb, 100000);
	EXPECT_EQ(grant.operators[0].work_mem_kb, 4096);
	EXPECT_NEAR(static_cast<double>(grant.reservation_kb), 1150 + 1150 + 512, 10);
	EXPECT_EQ(grant.lacking_kb, 0);
	EXPECT_TRUE(grant.adjusts);

	limits.part = 0;
	EXPECT_FALSE(Compute().adjusts);
}

TEST_F(JoinGrantTest, APartOfWhatLacks)
{
	Needs({0, 100000});
	limits.part = 0.5f;
	Grant grant = Compute();
	EXPECT_NEAR(grant.coverage, 0.5, 0.01);
	EXPECT_NEAR(grant.operators[1].limit_kb, 8192 + (115000 - 8192) / 2, 2);
	EXPECT_EQ(grant.operators[0].work_mem_kb, 4096); /* no opinion */

	limits.part = 0;
	grant = Compute();
	EXPECT_EQ(grant.coverage, 0);
	EXPECT_FALSE(grant.adjusts);
	EXPECT_NEAR(grant.lacking_kb, 115000 - 8192, 2);
}

TEST_F(JoinGrantTest, NeedsCanBeRaisedAndRaisesAreNotTooSmall)
{
	Needs({5000, 0});
	EXPECT_NEAR(Compute().operators[0].work_mem_kb, 5750, 1);
	limits.need_factor = 2;
	EXPECT_NEAR(Compute().operators[0].work_mem_kb, 11500, 1);
	limits.min_work_mem_kb = 20000;
	const Grant grant = Compute();
	EXPECT_NEAR(grant.operators[0].work_mem_kb, 20000, 1);
	EXPECT_NEAR(grant.operators[0].expected_kb, 11500, 1);
}

TEST_F(JoinGrantTest, ASortThatCannotFitIsLeftAlone)
{
	Needs({2000000, 0});
	const Grant grant = Compute();
	EXPECT_EQ(grant.operators[0].work_mem_kb, 4096);
	EXPECT_EQ(grant.lacking_kb, 0); /* nothing that could be given would help */

	Needs({0, 3000000});
	limits.max_query_kb = 8000000;
	EXPECT_EQ(Compute().operators[1].work_mem_kb, 1048576);
}

TEST_F(JoinGrantTest, LowersWhereItCostsLeast)
{
	limits.session_work_mem_kb = 65536;
	Needs({20000, 60000}); /* both fit the session's own */
	forecast->temp[0] = Certain(20000);
	forecast->temp[1] = Certain(600000);
	limits.max_query_kb = 512 + 69000 + 10000;
	Grant grant = Compute();
	EXPECT_FALSE(grant.adjusts); /* not without leave */
	EXPECT_GT(grant.reservation_kb, limits.max_query_kb);

	limits.may_lower = true;
	grant = Compute();
	EXPECT_LE(grant.reservation_kb, limits.max_query_kb);
	EXPECT_NEAR(grant.operators[0].work_mem_kb, 10000, 1);
	EXPECT_EQ(grant.operators[1].work_mem_kb, 65536);
	EXPECT_NEAR(grant.saved_ms, -20000 / 400.0, 0.1);

	limits.max_query_kb = 1; /* floors: min_work_mem, and the batch buffers of a hash join */
	grant = Compute();
	EXPECT_EQ(grant.operators[0].work_mem_kb, 1024);
	EXPECT_EQ(grant.operators[1].work_mem_kb, 1024);
	EXPECT_EQ(grant.operators[1].limit_kb, 2048);
	limits.min_work_mem_kb = 64;
	grant = Compute();
	EXPECT_NEAR(grant.operators[1].limit_kb, std::sqrt(16 * 69000), 3);
}

TEST_F(JoinGrantTest, WithoutAnOpinionNothingChanges)
{
	Needs({100000, 100000});
	forecast->has_opinion = false;
	Grant grant = Compute();
	EXPECT_EQ(grant.num_operators, 0);
	EXPECT_FALSE(grant.raises || grant.adjusts);
	EXPECT_EQ(grant.work_mem_kb, 4096);

	forecast->has_opinion = true;
	Needs({0, 0});
	grant = Compute();
	EXPECT_FALSE(grant.raises || grant.adjusts);
	EXPECT_EQ(grant.reservation_kb, 512);
}

TEST_F(JoinGrantTest, AbsurdEstimatesAreBounded)
{
	const float values[] = {NAN, INFINITY, -INFINITY, 200, -200, 80, 0};
	limits.may_lower = true;
	for (float mean : values) {
		for (float variance : values) {
			forecast->memory[0] = Estimate{mean, variance, variance, 1};
			forecast->memory[1] = Estimate{variance, mean, 1, 1};
			forecast->temp[0] = forecast->temp[1] = forecast->query_memory = forecast->memory[0];
			const Grant grant = Compute();
			EXPECT_FALSE(grant.raises);
			EXPECT_LE(grant.reservation_kb, limits.max_query_kb);
			for (int i = 0; i < 2; i++) {
				EXPECT_LE(grant.operators[i].work_mem_kb, limits.max_work_mem_kb);
				EXPECT_GE(grant.operators[i].work_mem_kb, limits.session_work_mem_kb);
				EXPECT_TRUE(std::isfinite(grant.operators[i].expected_kb));
			}
			EXPECT_TRUE(std::isfinite(grant.saved_ms) && std::isfinite(grant.coverage) && std::isfinite(grant.lacking_kb));
		}
	}
}

TEST_F(JoinGrantTest, TheQuantileOfTheWholeQueryBoundsTheReservation)
{
	Needs({100000, 20000});
	forecast->query_memory = Certain(60000);
	EXPECT_NEAR(static_cast<double>(Compute().reservation_kb), 60512, 2);
	forecast->query_memory = Certain(600000);
	EXPECT_NEAR(static_cast<double>(Compute().reservation_kb), 115000 + 23000 + 512, 10);
}

/* Two sorts that never live together: the lower one is done when the aggregate between them has read it. */
TEST_F(GrantTest, OperatorsThatNeverCoexistShareMemory)
{
	const int16_t top = plan.AddSort(kNoNode, 10);
	const int16_t aggregate = plan.AddHashAgg(top, 10);
	const int16_t group = plan.Add(aggregate, NodeKind::kGroup);
	plan.AddSort(group, 10000);
	Needs({100000, 1000, 100000});
	limits.max_query_kb = 512 + 115010 + 1150 + 4096;

	Grant grant = Compute();
	EXPECT_NEAR(grant.operators[0].work_mem_kb, 115000, 1);
	EXPECT_EQ(grant.operators[2].work_mem_kb, 4096);

	limits.may_release = true;
	grant = Compute();
	EXPECT_NEAR(grant.operators[0].work_mem_kb, 115000, 1);
	EXPECT_EQ(grant.operators[2].work_mem_kb, 115000);
	EXPECT_TRUE(grant.operators[2].released);
	EXPECT_FALSE(grant.operators[0].released);
	EXPECT_LE(grant.reservation_kb, limits.max_query_kb);
	EXPECT_NEAR(grant.lacking_kb, 115000 - 4096, 10);
	EXPECT_FLOAT_EQ(grant.coverage, 1);
}

TEST_F(GrantTest, WorkersAndFoldedMembersCountEach)
{
	const int16_t gather = plan.Add(kNoNode, NodeKind::kGatherMerge);
	plan[gather].workers = 3;
	const int16_t append = plan.Add(gather, NodeKind::kAppend);
	const int16_t sort = plan.Add(append, NodeKind::kSort, 1000, NodeRole::kMember);
	plan[sort].memory = MemoryClass::kSort;
	plan[sort].fold_count = 5;
	Needs({10000});
	Grant grant = Compute();
	EXPECT_EQ(grant.operators[0].processes, 20);
	EXPECT_NEAR(grant.operators[0].work_mem_kb, 11500, 1);
	EXPECT_NEAR(static_cast<double>(grant.reservation_kb), 20 * 11500 + 512, 20);
	EXPECT_NEAR(grant.lacking_kb, 20 * (11500 - 4096), 20);

	limits.max_query_kb = 19 * 11500;
	EXPECT_EQ(Compute().operators[0].work_mem_kb, 4096);

	limits.max_query_kb = 1 << 20;
	limits.most_workers = 1; /* two processes share what four would have sorted */
	grant = Compute();
	EXPECT_EQ(grant.operators[0].processes, 10);
	EXPECT_NEAR(grant.operators[0].work_mem_kb, 23000, 1);
	limits.most_workers = 9;
	EXPECT_EQ(Compute().operators[0].processes, 20);
}

TEST_F(JoinGrantTest, ASortHasRoomAboveItsNeedWhichIsNotCharged)
{
	Needs({10000, 20000});
	const Grant tight = Compute();
	limits.ceiling = 4;
	Grant grant = Compute();
	EXPECT_NEAR(grant.operators[0].limit_kb, 46000, 1);
	EXPECT_EQ(grant.operators[1].limit_kb, tight.operators[1].limit_kb); /* a hash table can grow */
	EXPECT_EQ(grant.reservation_kb, tight.reservation_kb);
	EXPECT_EQ(grant.coverage, tight.coverage);
	Needs({2000, 20000}); /* fits, but perhaps it does not */
	EXPECT_NEAR(Compute().operators[0].limit_kb, 11500, 1); /* as much as the hash table */
	limits.max_work_mem_kb = 20000;
	Needs({10000, 20000});
	EXPECT_EQ(Compute().operators[0].limit_kb, 20000);
	limits.part = 0;
	EXPECT_EQ(Compute().operators[0].limit_kb, 4096);
}

TEST_F(JoinGrantTest, ASortThatProbablyFitsGetsTheMostThereIs)
{
	limits.max_query_kb = 4194304;
	Needs({100000, 20000});
	forecast->memory[0].data_variance = 4; /* 2.7 GB at the quantile, more than max_work_mem */
	EXPECT_EQ(Compute().operators[0].work_mem_kb, 1048576);
	Needs({1000000, 20000});
	forecast->memory[0].data_variance = 4; /* it probably does not */
	EXPECT_EQ(Compute().operators[0].work_mem_kb, 4096);
}

TEST_F(GrantTest, AParallelHashGetsTheQuerysWorkMem)
{
	const int16_t gather = plan.Add(kNoNode, NodeKind::kGather);
	plan[gather].workers = 2;
	const int16_t join = plan.Add(gather, NodeKind::kHashJoin);
	plan.Add(join, NodeKind::kSeqScan);
	const int16_t one = plan.AddHash(join, 1000);
	plan[one].memory = MemoryClass::kParallelHash;
	const int16_t below = plan.Add(one, NodeKind::kHashJoin);
	plan.Add(below, NodeKind::kSeqScan);
	const int16_t two = plan.AddHash(below, 1000);
	plan[two].memory = MemoryClass::kParallelHash;
	Needs({600000, 60000});
	Grant grant = Compute();
	/* 690000 kB, pooled by three processes with a multiplier of 2 */
	EXPECT_EQ(grant.work_mem_kb, 115000);
	EXPECT_TRUE(grant.raises);
	EXPECT_FALSE(grant.adjusts);
	EXPECT_EQ(grant.operators[1].work_mem_kb, 115000);
	EXPECT_NEAR(grant.operators[1].expected_kb, 69000, 1);
	EXPECT_NEAR(static_cast<double>(grant.reservation_kb), 690000 + 69000 + 512, 10);

	limits.most_workers = 0; /* nobody to pool with */
	EXPECT_EQ(Compute().work_mem_kb, 345000);
	limits.most_workers = -1;

	limits.max_query_kb = 512 + 240000;
	grant = Compute();
	EXPECT_LE(grant.reservation_kb, limits.max_query_kb);
	EXPECT_NEAR(grant.operators[0].limit_kb, 240000 - 69000, 6);
	EXPECT_EQ(grant.operators[0].work_mem_kb, grant.operators[1].work_mem_kb);
}

TEST_F(GrantTest, WhatCannotSpillIsChargedAndLeftAlone)
{
	const int16_t set = plan.Add(kNoNode, NodeKind::kSetOp);
	plan[set].memory = MemoryClass::kUnbounded;
	plan.AddSort(set, 1000);
	Needs({50000, 50000});
	limits.max_query_kb = 30000;
	limits.may_lower = true;
	const Grant grant = Compute();
	EXPECT_EQ(grant.operators[0].work_mem_kb, 4096);
	EXPECT_NEAR(grant.operators[0].expected_kb, 57500, 1);
	EXPECT_EQ(grant.operators[1].work_mem_kb, 1024);
	EXPECT_NEAR(static_cast<double>(grant.reservation_kb), 57500 + 1024 + 512, 10);
}

TEST_F(GrantTest, AnOverflowingPlanGetsTheSessionsOwn)
{
	plan.AddSort(kNoNode, 1000);
	Needs({50000});
	plan.graph()->overflow = true;
	const Grant grant = Compute();
	EXPECT_EQ(grant.num_operators, 0);
	EXPECT_EQ(grant.work_mem_kb, 4096);
}

}  // namespace
}  // namespace wlm
