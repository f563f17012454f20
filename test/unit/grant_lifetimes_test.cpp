/*
 * grant_lifetimes_test.cpp
 *
 * Which operators live together: known shapes, and random plans run by a model of
 * the executor (executor_model.hpp).
 */
#include <gtest/gtest.h>

#include <bit>
#include <set>

#include "executor_model.hpp"

namespace wlm {
namespace {

using test::ExecutorModel;
using test::PlanBuilder;
using test::RandomPlan;

Lifetimes Find(PlanBuilder &plan, bool may_release = true)
{
	Lifetimes lifetimes;
	FindLifetimes(plan.Finish(), may_release, &lifetimes);
	return lifetimes;
}

std::set<SlotSet> Moments(const Lifetimes &lifetimes) { return {lifetimes.moments, lifetimes.moments + lifetimes.num_moments}; }

int16_t Join(PlanBuilder &plan, int16_t parent, JoinKind kind, NodeRole role = NodeRole::kOuter)
{
	const int16_t join = plan.Add(parent, NodeKind::kHashJoin, 100, role);
	plan[join].join = kind;
	return join;
}

TEST(Lifetimes, AChainOfSortsLivesInPairs)
{
	PlanBuilder plan;
	const int16_t top = plan.AddSort(kNoNode, 1);
	const int16_t middle = plan.AddHashAgg(plan.Add(top, NodeKind::kResult), 1);
	plan.AddSort(plan.Add(middle, NodeKind::kLimit), 1);
	const Lifetimes lifetimes = Find(plan);
	EXPECT_EQ(Moments(lifetimes), (std::set<SlotSet>{0b011, 0b110}));
	EXPECT_EQ(lifetimes.released, 0b110u);
	EXPECT_EQ(lifetimes.released_by[0], kNoNode);
	EXPECT_EQ(lifetimes.released_by[1], 0);
	EXPECT_EQ(lifetimes.released_by[2], 1);

	EXPECT_EQ(Moments(Find(plan, false)), (std::set<SlotSet>{0b111}));
	EXPECT_EQ(Find(plan, false).released, 0u);
}

TEST(Lifetimes, NothingWithoutMemory)
{
	PlanBuilder plan;
	plan.Add(kNoNode, NodeKind::kSeqScan);
	EXPECT_EQ(Find(plan).num_moments, 0);
}

/* Hash join with an aggregate (slot 0, its hash join's table in 1) outside and the same inside (2: hash, 3: aggregate, 4: table). */
class JoinOfAggregates : public ::testing::Test {
  protected:
	JoinOfAggregates()
	{
		join = Join(plan, kNoNode, JoinKind::kRight);
		outer = plan.AddHashAgg(join, 1);
		Scans(Join(plan, outer, JoinKind::kRight));
		hash = plan.AddHash(join, 1);
		Scans(Join(plan, plan.AddHashAgg(hash, 1), JoinKind::kRight));
	}
	void Scans(int16_t below)
	{
		plan.Add(below, NodeKind::kSeqScan);
		plan.Add(plan.AddHash(below, 1), NodeKind::kSeqScan);
	}

	PlanBuilder plan;
	int16_t join, outer, hash;
};

TEST_F(JoinOfAggregates, InnerFirst)
{
	const Lifetimes lifetimes = Find(plan);
	EXPECT_EQ(lifetimes.released, 0b11010u);
	EXPECT_EQ(Moments(lifetimes), (std::set<SlotSet>{0b11000, 0b01100, 0b00111}));
}

TEST_F(JoinOfAggregates, ALeftJoinFetchesAnOuterRowBefore)
{
	plan[join].join = JoinKind::kLeft;
	EXPECT_EQ(Moments(Find(plan)), (std::set<SlotSet>{0b00011, 0b11001, 0b01101}));
}

TEST_F(JoinOfAggregates, AnInnerJoinDependsOnCosts)
{
	plan[join].join = JoinKind::kInner;
	plan[outer].startup_cost = 10;
	plan[hash].total_cost = 5;
	EXPECT_EQ(Moments(Find(plan)), (std::set<SlotSet>{0b11000, 0b01100, 0b00111}));
	plan[hash].total_cost = 20;
	EXPECT_EQ(Moments(Find(plan)), (std::set<SlotSet>{0b00011, 0b11001, 0b01101}));
	plan[hash].total_cost = 10; /* a matter of rounding: both */
	EXPECT_EQ(Moments(Find(plan)), (std::set<SlotSet>{0b00111, 0b11001, 0b01101}));
}

TEST_F(JoinOfAggregates, AParallelHashStays)
{
	plan[hash].memory = MemoryClass::kParallelHash;
	const Lifetimes lifetimes = Find(plan);
	EXPECT_EQ(lifetimes.released, 0b10010u); /* it frees nothing either */
	EXPECT_EQ(lifetimes.released_by[3], kNoNode);
}

TEST(Lifetimes, WhatMayRunAgainIsNotReleased)
{
	for (const NodeKind kind : {NodeKind::kNestLoop, NodeKind::kMergeJoin}) {
		PlanBuilder plan;
		const int16_t top = plan.AddSort(kNoNode, 1);
		const int16_t join = plan.Add(top, kind);
		plan.AddSort(plan.AddHashAgg(join, 1), 1);
		const int16_t inner = plan.Add(join, NodeKind::kSort, 1, NodeRole::kInner);
		plan[inner].memory = MemoryClass::kSort;
		plan.AddHashAgg(inner, 1);
		EXPECT_EQ(Find(plan).released, kind == NodeKind::kNestLoop ? 0b00110u : 0b11110u);
	}
	for (const NodeRole role : {NodeRole::kInitPlan, NodeRole::kSubPlan, NodeRole::kHashedSubPlan}) {
		PlanBuilder plan;
		const int16_t top = plan.AddSort(kNoNode, 1);
		const int16_t result = plan.AddHashAgg(top, 1);
		const int16_t side = plan.Add(result, NodeKind::kSort, 1, role);
		plan[side].memory = MemoryClass::kSort;
		plan.AddHashAgg(side, 1);
		const int16_t below = plan.AddSort(result, 1);
		plan.Add(below, NodeKind::kSeqScan);
		const Lifetimes lifetimes = Find(plan);
		EXPECT_EQ(lifetimes.released, 0b10010u);
		EXPECT_EQ(Moments(lifetimes), (std::set<SlotSet>{0b01111, 0b11110}));
	}
}

TEST(Lifetimes, NothingIsFreedThroughAParallelHash)
{
	PlanBuilder plan;
	const int16_t join = Join(plan, plan.AddSort(kNoNode, 1), JoinKind::kInner);
	plan.AddSort(join, 1);
	const int16_t hash = plan.AddHash(join, 1);
	plan[hash].memory = MemoryClass::kParallelHash;
	plan.AddSort(hash, 1);
	EXPECT_EQ(Find(plan).released, 0b0010u);
}

TEST(Lifetimes, AnAppendKeepsWhatItsMembersBuilt)
{
	PlanBuilder plan;
	const int16_t append = plan.Add(kNoNode, NodeKind::kAppend);
	for (int i = 0; i < 3; i++) {
		const int16_t sort = plan.Add(append, NodeKind::kSort, 1, NodeRole::kMember);
		plan[sort].memory = MemoryClass::kSort;
		plan.AddHashAgg(sort, 1);
	}
	EXPECT_EQ(Moments(Find(plan)), (std::set<SlotSet>{0b000011, 0b001101, 0b110101}));
	plan[append].flags |= kParallelAware;
	EXPECT_EQ(Moments(Find(plan)), (std::set<SlotSet>{0b010111, 0b011101, 0b110101}));
}

TEST(Lifetimes, FoldedMembersFreeNothingBelowThemselves)
{
	PlanBuilder plan;
	const int16_t top = plan.AddSort(kNoNode, 1);
	const int16_t append = plan.Add(top, NodeKind::kAppend);
	const int16_t member = plan.Add(append, NodeKind::kSort, 1, NodeRole::kMember);
	plan[member].memory = MemoryClass::kSort;
	const int16_t aggregate = plan.AddHashAgg(member, 1);
	plan[member].fold_count = plan[aggregate].fold_count = 4;
	const Lifetimes lifetimes = Find(plan);
	EXPECT_EQ(lifetimes.released_by[1], 0);
	EXPECT_EQ(lifetimes.released_by[2], 0);
	EXPECT_EQ(Moments(lifetimes), (std::set<SlotSet>{0b111}));
}

TEST(Lifetimes, SixtyFourOperatorsInAChain)
{
	PlanBuilder plan;
	int16_t above = kNoNode;
	for (int i = 0; i < kMaxMemoryNodes; i++)
		above = plan.AddSort(above, 1);
	const Lifetimes lifetimes = Find(plan);
	EXPECT_EQ(lifetimes.num_moments, kMaxMemoryNodes - 1);
	EXPECT_EQ(std::popcount(lifetimes.released), kMaxMemoryNodes - 1);
}

TEST(Lifetimes, HoldEverySetThatIsEverAlive)
{
	int released = 0, several = 0;
	for (uint32_t seed = 0; seed < 6000; seed++) {
		RandomPlan random(seed);
		const PlanGraph &graph = random.plan().Finish();
		ASSERT_FALSE(graph.overflow);
		Lifetimes lifetimes;
		FindLifetimes(graph, seed % 8 != 0, &lifetimes);
		released += lifetimes.released != 0;
		several += lifetimes.num_moments > 1;

		SlotSet mentioned = 0;
		for (int i = 0; i < lifetimes.num_moments; i++) {
			mentioned |= lifetimes.moments[i];
			for (int j = 0; j < lifetimes.num_moments; j++)
				ASSERT_TRUE(i == j || (lifetimes.moments[i] & ~lifetimes.moments[j]) != 0) << seed;
		}
		ASSERT_EQ(std::popcount(mentioned), graph.num_memory_nodes) << seed;

		for (uint32_t run = 0; run < 12; run++) {
			bool held = true;
			ExecutorModel model(graph, lifetimes, seed * 100 + run, [&](SlotSet alive) {
				bool inside = alive == 0;
				for (int i = 0; i < lifetimes.num_moments; i++)
					inside |= (alive & ~lifetimes.moments[i]) == 0;
				held &= inside;
			});
			ASSERT_TRUE(model.Run()) << "freed too early, seed " << seed;
			ASSERT_TRUE(held) << "seed " << seed;
		}
	}
	EXPECT_GT(released, 2000);
	EXPECT_GT(several, 1000);
}

}  // namespace
}  // namespace wlm
