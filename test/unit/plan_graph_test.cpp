/*
 * plan_graph_test.cpp
 *
 * Building, folding and finishing plan graphs: limits, ids, processes, LIMITs,
 * memory slots, pipelines, names.
 */
#include <gtest/gtest.h>

#include <string>

#include "plan_builder.hpp"

namespace wlm {
namespace {

using test::PlanBuilder;

TEST(PlanGraph, ResetForgetsEverything)
{
	PlanBuilder plan = test::JoinPlan();
	plan.Finish();
	ResetGraph(plan.graph());
	EXPECT_EQ(plan.graph()->num_nodes, 0);
	EXPECT_EQ(plan.graph()->template_fingerprint, 0u);
	EXPECT_EQ(plan.graph()->node_of_plan_id[0], kNoNode);
	EXPECT_FALSE(plan.graph()->overflow);
}

TEST(PlanGraph, AppendGivesNeutralNodes)
{
	PlanBuilder plan;
	const PlanNode *root = AppendNode(plan.graph(), kNoNode, 12);
	ASSERT_NE(root, nullptr);
	EXPECT_EQ(root->role, NodeRole::kRoot);
	EXPECT_EQ(root->fold_count, 1);
	EXPECT_EQ(root->processes, 1);
	EXPECT_EQ(root->memory_slot, kNoNode);
	EXPECT_EQ(root->memory, MemoryClass::kNone);
	EXPECT_EQ(plan.graph()->node_of_plan_id[12], 0);
}

TEST(PlanGraph, TooManyNodesOverflow)
{
	PlanBuilder plan;
	for (int i = 0; i < kMaxPlanNodes; i++)
		ASSERT_NE(AppendNode(plan.graph(), static_cast<int16_t>(i - 1), i), nullptr);
	EXPECT_FALSE(plan.graph()->overflow);
	EXPECT_EQ(AppendNode(plan.graph(), 0, 999), nullptr);
	EXPECT_TRUE(plan.graph()->overflow);
	plan.Finish(); /* must not read past the arena */
	EXPECT_NE(plan.graph()->plan_fingerprint, 0u);
}

TEST(PlanGraph, ForeignIdsAndParentsOverflow)
{
	PlanBuilder plan;
	EXPECT_EQ(AppendNode(plan.graph(), kNoNode, kMaxPlanNodeIds), nullptr);
	EXPECT_TRUE(plan.graph()->overflow);
	ResetGraph(plan.graph());
	EXPECT_EQ(AppendNode(plan.graph(), 0, 0), nullptr);
	EXPECT_TRUE(plan.graph()->overflow);
	ResetGraph(plan.graph());
	EXPECT_NE(AppendNode(plan.graph(), kNoNode, -1), nullptr); /* no id: only not found by id */
	EXPECT_FALSE(plan.graph()->overflow);
}

TEST(PlanGraph, MoreMemoryNodesThanSlotsOverflow)
{
	PlanBuilder plan;
	int16_t parent = kNoNode;
	for (int i = 0; i < kMaxMemoryNodes; i++)
		parent = plan.AddSort(parent, 10);
	plan.Finish();
	EXPECT_FALSE(plan.graph()->overflow);
	EXPECT_EQ(plan.graph()->num_memory_nodes, kMaxMemoryNodes);
	plan.AddSort(parent, 10);
	plan.Finish();
	EXPECT_TRUE(plan.graph()->overflow);
}

/* Append over members, each a Sort over a SeqScan. */
PlanBuilder FoldedPlan(int members)
{
	PlanBuilder plan;
	const int16_t append = plan.Add(kNoNode, NodeKind::kAppend, 0);
	int16_t first = kNoNode;
	for (int i = 0; i < members; i++) {
		const int16_t sort = plan.AddSort(append, 100.0f * static_cast<float>(i + 1));
		plan[sort].role = NodeRole::kMember;
		const int16_t scan = plan.Add(sort, NodeKind::kSeqScan, 100.0f * static_cast<float>(i + 1));
		plan[scan].identity = 5;
		plan[scan].relation_pages = 10;
		if (first == kNoNode)
			first = sort;
		else
			EXPECT_TRUE(FoldSubtree(plan.graph(), first, sort));
	}
	return plan;
}

TEST(PlanGraph, FoldingAddsNumbersAndRemapsIds)
{
	PlanBuilder plan = FoldedPlan(3);
	const PlanGraph &graph = plan.Finish();
	ASSERT_EQ(graph.num_nodes, 3);
	EXPECT_EQ(graph.nodes[1].rows, 600);
	EXPECT_EQ(graph.nodes[1].fold_count, 3);
	EXPECT_EQ(graph.nodes[1].width, 20);
	EXPECT_EQ(graph.nodes[2].total_cost, 600);
	EXPECT_EQ(graph.nodes[2].relation_pages, 30);
	for (int member = 0; member < 3; member++) {
		EXPECT_EQ(graph.node_of_plan_id[1 + 2 * member], 1);
		EXPECT_EQ(graph.node_of_plan_id[2 + 2 * member], 2);
	}
	EXPECT_EQ(graph.num_memory_nodes, 1);
}

TEST(PlanGraph, FoldingKeepsIdsOfEarlierFoldsInside)
{
	/* Append of two Appends of two scans each */
	PlanBuilder plan;
	const int16_t top = plan.Add(kNoNode, NodeKind::kAppend);
	int16_t inner[2];
	for (int16_t &append : inner) {
		append = plan.Add(top, NodeKind::kAppend, 10, NodeRole::kMember);
		const int16_t a = plan.Add(append, NodeKind::kSeqScan, 10, NodeRole::kMember);
		const int16_t b = plan.Add(append, NodeKind::kSeqScan, 20, NodeRole::kMember);
		ASSERT_TRUE(FoldSubtree(plan.graph(), a, b));
	}
	ASSERT_TRUE(FoldSubtree(plan.graph(), inner[0], inner[1]));
	EXPECT_EQ(plan.graph()->num_nodes, 3);
	EXPECT_EQ(plan[2].fold_count, 4);
	EXPECT_EQ(plan[2].rows, 60);
	for (const int id : {2, 3, 5, 6})
		EXPECT_EQ(plan.graph()->node_of_plan_id[id], 2);
}

TEST(PlanGraph, UnlikeSubtreesAreNotFolded)
{
	PlanBuilder plan;
	const int16_t append = plan.Add(kNoNode, NodeKind::kAppend);
	const int16_t first = plan.Add(append, NodeKind::kSeqScan, 10, NodeRole::kMember);
	const int16_t second = plan.Add(append, NodeKind::kIndexScan, 10, NodeRole::kMember);
	EXPECT_FALSE(FoldSubtree(plan.graph(), first, second));
	const int16_t third = plan.AddSort(append, 10);
	plan[third].role = NodeRole::kMember;
	plan.Add(third, NodeKind::kSeqScan);
	EXPECT_FALSE(FoldSubtree(plan.graph(), first, third));
	EXPECT_FALSE(FoldSubtree(plan.graph(), third, first));
	EXPECT_FALSE(FoldSubtree(plan.graph(), append, first));
	EXPECT_FALSE(FoldSubtree(plan.graph(), -1, 2));
	EXPECT_FALSE(FoldSubtree(plan.graph(), 0, 99));
	EXPECT_EQ(plan.graph()->num_nodes, 5);

	/* a smaller tree at the end is not the beginning of a larger one */
	PlanBuilder other;
	const int16_t top = other.Add(kNoNode, NodeKind::kAppend);
	const int16_t large = other.Add(top, NodeKind::kMaterial, 10, NodeRole::kMember);
	other.Add(large, NodeKind::kSeqScan);
	const int16_t small = other.Add(top, NodeKind::kMaterial, 10, NodeRole::kMember);
	EXPECT_FALSE(FoldSubtree(other.graph(), large, small));
}

TEST(PlanGraph, ProcessesAreThoseOfTheGatherAbove)
{
	PlanBuilder plan;
	const int16_t agg = plan.Add(kNoNode, NodeKind::kAgg);
	const int16_t gather = plan.Add(agg, NodeKind::kGather);
	plan[gather].workers = 3;
	const int16_t init = plan.Add(gather, NodeKind::kResult, 1, NodeRole::kInitPlan);
	const int16_t sort = plan.AddSort(gather, 50);
	const int16_t scan = plan.Add(sort, NodeKind::kSeqScan);
	const PlanGraph &graph = plan.Finish();
	EXPECT_EQ(graph.nodes[agg].processes, 1);
	EXPECT_EQ(graph.nodes[gather].processes, 1);
	EXPECT_EQ(graph.nodes[init].processes, 1); /* an init plan runs in the leader */
	EXPECT_EQ(graph.nodes[sort].processes, 4);
	EXPECT_EQ(graph.nodes[scan].processes, 4);
	EXPECT_FALSE(graph.nodes[gather].flags & kBelowGather);
	EXPECT_TRUE(graph.nodes[scan].flags & kBelowGather);
	EXPECT_EQ(graph.planned_workers, 3);
}

TEST(PlanGraph, LimitReachesDownToWhatTakesItsInputWhole)
{
	PlanBuilder plan;
	const int16_t limit = plan.Add(kNoNode, NodeKind::kLimit, 10);
	const int16_t join = plan.Add(limit, NodeKind::kHashJoin);
	const int16_t sort = plan.AddSort(join, 100);
	const int16_t below = plan.Add(sort, NodeKind::kSeqScan);
	const int16_t hash = plan.AddHash(join, 100);
	const PlanGraph &graph = plan.Finish();
	EXPECT_TRUE(graph.has_limit);
	EXPECT_FALSE(graph.nodes[limit].flags & kBelowLimit);
	EXPECT_TRUE(graph.nodes[join].flags & kBelowLimit);
	EXPECT_TRUE(graph.nodes[sort].flags & kBelowLimit);
	EXPECT_FALSE(graph.nodes[below].flags & kBelowLimit);
	EXPECT_FALSE(graph.nodes[hash].flags & kBelowLimit);
}

TEST(PlanGraph, PipelinesEndAtBlockingOperators)
{
	PlanBuilder plan;
	const int16_t agg = plan.AddHashAgg(kNoNode, 10);
	const int16_t sub = plan.Add(agg, NodeKind::kSeqScan, 10, NodeRole::kSubPlan);
	const int16_t join = plan.Add(agg, NodeKind::kHashJoin);
	const int16_t outer = plan.Add(join, NodeKind::kSeqScan);
	const int16_t hash = plan.AddHash(join, 100);
	const int16_t inner = plan.Add(hash, NodeKind::kAgg);
	plan[inner].aggregate = AggKind::kSorted;
	const int16_t leaf = plan.Add(inner, NodeKind::kIndexScan);
	const PlanGraph &graph = plan.Finish();
	EXPECT_EQ(graph.num_pipelines, 4);
	EXPECT_EQ(graph.nodes[agg].pipeline, 0);
	EXPECT_EQ(graph.nodes[sub].pipeline, 1);
	EXPECT_EQ(graph.nodes[join].pipeline, 2);
	EXPECT_EQ(graph.nodes[outer].pipeline, 2);
	EXPECT_EQ(graph.nodes[hash].pipeline, 2);
	EXPECT_EQ(graph.nodes[inner].pipeline, 3);
	EXPECT_EQ(graph.nodes[leaf].pipeline, 3);
}

TEST(PlanGraph, PipelinesAreBounded)
{
	PlanBuilder plan;
	int16_t parent = kNoNode;
	for (int i = 0; i < kMaxPipelines + 20; i++)
		parent = plan.Add(parent, NodeKind::kMaterial);
	const PlanGraph &graph = plan.Finish();
	EXPECT_EQ(graph.num_pipelines, kMaxPipelines);
	for (int i = 0; i < graph.num_nodes; i++)
		EXPECT_LT(graph.nodes[i].pipeline, kMaxPipelines);
}

TEST(PlanGraph, NamesAreThoseOfExplain)
{
	PlanNode node{};
	for (int kind = 0; kind < static_cast<int>(NodeKind::kNumKinds); kind++) {
		node.kind = static_cast<NodeKind>(kind);
		EXPECT_GT(std::string(NodeName(node)).size(), 2u);
	}
	node.kind = NodeKind::kHashJoin;
	EXPECT_STREQ(NodeName(node), "Hash Join");
	node.kind = NodeKind::kLimit;
	EXPECT_STREQ(NodeName(node), "Limit");
	node.kind = NodeKind::kMaterial;
	EXPECT_STREQ(NodeName(node), "Materialize");
	node.kind = NodeKind::kAgg;
	EXPECT_STREQ(NodeName(node), "Aggregate");
	node.aggregate = AggKind::kHashed;
	EXPECT_STREQ(NodeName(node), "HashAggregate");
	node.aggregate = AggKind::kSorted;
	EXPECT_STREQ(NodeName(node), "GroupAggregate");
	node.kind = static_cast<NodeKind>(200);
	EXPECT_STREQ(NodeName(node), "Other");
	EXPECT_STREQ(MemoryClassName(MemoryClass::kUnbounded), "unbounded");
	EXPECT_STREQ(MemoryClassName(static_cast<MemoryClass>(77)), "none");
}

}  // namespace
}  // namespace wlm
