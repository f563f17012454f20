/*
 * plan_fingerprint_test.cpp
 *
 * Fingerprints are keys of tables that outlive restarts, upgrades and machines:
 * golden values, what they must not depend on, what they must.
 */
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "plan_builder.hpp"

namespace wlm {
namespace {

using test::JoinPlan;
using test::PlanBuilder;

/*
 * If this fails, the history of every installation would become novel. Do not adapt the
 * values: undo the change, or raise kFingerprintVersion and say so in the CHANGELOG.
 */
TEST(Fingerprint, GoldenValues)
{
	PlanBuilder plan = JoinPlan();
	const PlanGraph &graph = plan.Finish();
	EXPECT_EQ(graph.template_fingerprint, 14898047599437086713u);
	EXPECT_EQ(graph.plan_fingerprint, 13257840093224290108u);

	PlanBuilder empty;
	EXPECT_EQ(empty.Finish().template_fingerprint, 57386583743292681u);
	EXPECT_EQ(empty.Finish().plan_fingerprint, 13473274308370298246u);
}

TEST(Fingerprint, TemplateIgnoresNumbers)
{
	PlanBuilder plan = JoinPlan();
	const uint64_t expected = plan.Finish().template_fingerprint;
	for (int16_t i = 0; i < plan.graph()->num_nodes; i++) {
		PlanNode &node = plan[i];
		node.rows *= 17;
		node.width += 3;
		node.total_cost *= 5;
		node.startup_cost += 1;
		node.relation_rows += 1000;
		node.relation_pages += 1000;
		node.groups += 2;
		node.fold_count += 3;
		node.plan_node_id += 100;
		node.num_quals++;
		node.workers++;
	}
	EXPECT_EQ(plan.Finish().template_fingerprint, expected);
	EXPECT_NE(plan.graph()->plan_fingerprint, JoinPlan().Finish().plan_fingerprint);
}

TEST(Fingerprint, TemplateIgnoresNumberOfPartitionsAndWorkers)
{
	uint64_t fingerprints[2];
	for (int run = 0; run < 2; run++) {
		PlanBuilder plan;
		const int16_t gather = plan.Add(kNoNode, NodeKind::kGather);
		plan[gather].workers = static_cast<uint8_t>(2 + run);
		const int16_t append = plan.Add(gather, NodeKind::kAppend);
		const int16_t first = plan.Add(append, NodeKind::kSeqScan, 10, NodeRole::kMember);
		for (int i = 0; i < 3 + 4 * run; i++) {
			const int16_t next = plan.Add(append, NodeKind::kSeqScan, 10, NodeRole::kMember);
			plan[next].identity = static_cast<uint64_t>(i);
			ASSERT_TRUE(FoldSubtree(plan.graph(), first, next));
		}
		fingerprints[run] = plan.Finish().template_fingerprint;
	}
	EXPECT_EQ(fingerprints[0], fingerprints[1]);
}

TEST(Fingerprint, TemplateSeesShape)
{
	std::set<uint64_t> seen;
	seen.insert(JoinPlan().Finish().template_fingerprint);
	for (int16_t i = 0; i < 5; i++) {
		PlanBuilder plan = JoinPlan();
		plan[i].kind = NodeKind::kUnique;
		seen.insert(plan.Finish().template_fingerprint);
		plan = JoinPlan();
		plan[i].role = NodeRole::kSubPlan;
		seen.insert(plan.Finish().template_fingerprint);
		plan = JoinPlan();
		plan[i].join = JoinKind::kAnti;
		seen.insert(plan.Finish().template_fingerprint);
		plan = JoinPlan();
		plan[i].aggregate = AggKind::kMixed;
		seen.insert(plan.Finish().template_fingerprint);
		plan = JoinPlan();
		plan[i].identity += 1000;
		seen.insert(plan.Finish().template_fingerprint);
	}
	PlanBuilder moved = JoinPlan();
	moved[4].parent = 1; /* the same nodes in the same order, another tree */
	seen.insert(moved.Finish().template_fingerprint);
	PlanBuilder deleting = JoinPlan();
	deleting.graph()->command = CommandKind::kDelete;
	seen.insert(deleting.Finish().template_fingerprint);
	EXPECT_EQ(seen.size(), 1u + 5 * 5 + 2);
}

TEST(Fingerprint, PlanSeesRowsInStepsOfTwo)
{
	auto of = [](float rows) {
		PlanBuilder plan = JoinPlan(10000);
		plan[0].rows = rows;
		return plan.Finish().plan_fingerprint;
	};
	EXPECT_EQ(of(1024), of(2047));
	EXPECT_NE(of(1023), of(1024));
	EXPECT_NE(of(2047), of(2048));
	EXPECT_EQ(of(0), of(0.5f));
	EXPECT_EQ(of(0), of(-3));
	EXPECT_NE(of(0), of(1));
	EXPECT_NE(of(std::numeric_limits<float>::quiet_NaN()), of(0));
	EXPECT_NE(of(std::numeric_limits<float>::infinity()), of(std::numeric_limits<float>::max()));
}

TEST(Fingerprint, PlanSeesWorkers)
{
	auto of = [](uint8_t workers) {
		PlanBuilder plan;
		const int16_t gather = plan.Add(kNoNode, NodeKind::kGather);
		plan[gather].workers = workers;
		plan.Add(gather, NodeKind::kSeqScan);
		return plan.Finish().plan_fingerprint;
	};
	EXPECT_NE(of(2), of(3));
}

TEST(Fingerprint, NeverZeroAndPlansAreEven)
{
	for (uint64_t relation = 0; relation < 2000; relation++) {
		PlanBuilder plan = JoinPlan(100, relation);
		const PlanGraph &graph = plan.Finish();
		EXPECT_NE(graph.template_fingerprint, 0u);
		EXPECT_NE(graph.plan_fingerprint, 0u);
		EXPECT_EQ(graph.plan_fingerprint % 2, 0u);
	}
}

}  // namespace
}  // namespace wlm
