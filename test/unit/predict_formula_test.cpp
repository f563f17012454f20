/*
 * predict_formula_test.cpp
 *
 * PostgreSQL's memory arithmetic against values worked out by hand from its
 * source, and the quantile of the normal distribution against tables.
 */
#include <gtest/gtest.h>

#include <limits>
#include <utility>

#include "core/estimate.hpp"
#include "core/predict/planner_model.hpp"
#include "plan_builder.hpp"

namespace wlm {
namespace {

using test::PlanBuilder;

TEST(NormalQuantile, Tables)
{
	EXPECT_FLOAT_EQ(NormalQuantile(0.5f), 0);
	EXPECT_NEAR(NormalQuantile(0.95f), 1.644854, 1e-5);
	EXPECT_NEAR(NormalQuantile(0.975f), 1.959964, 1e-5);
	EXPECT_NEAR(NormalQuantile(0.84134475f), 1.0, 1e-5);
	EXPECT_NEAR(NormalQuantile(0.001f), -3.090232, 1e-4);
	EXPECT_NEAR(NormalQuantile(1e-10f), -6.361341, 1e-4);
	EXPECT_NEAR(NormalQuantile(0.4999f), -NormalQuantile(0.5001f), 1e-6);
}

TEST(NormalQuantile, OutsideIsFinite)
{
	for (const float p : {0.0f, 1.0f, -1.0f, 2.0f, std::numeric_limits<float>::infinity()})
		EXPECT_TRUE(std::isfinite(NormalQuantile(p)));
	EXPECT_EQ(NormalQuantile(std::numeric_limits<float>::quiet_NaN()), 0);
	EXPECT_LT(NormalQuantile(0), -10);
	EXPECT_GT(NormalQuantile(1), 5);
}

TEST(MemoryFormula, Hash)
{
	PlanBuilder plan;
	const int16_t hash = plan.AddHash(kNoNode, 1000000, 36);
	/* 10^6 x (16 + 16 + 40) bytes of tuples, 2^20 buckets of 8 */
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), hash), (72e6 + 8388608) / 1024, 0.01);
	plan[hash].rows = 10; /* 1024 buckets at least */
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), hash), (720 + 8192) / 1024.0, 0.01);
	plan[hash].rows = 0; /* unknown: 1000 rows */
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), hash), (72000 + 8192) / 1024.0, 0.01);
}

TEST(MemoryFormula, FoldedHashIsThatOfOneMember)
{
	PlanBuilder plan;
	const int16_t hash = plan.AddHash(kNoNode, 1000000, 36);
	const double one = FormulaMemoryKb(plan.Finish(), hash);
	plan[hash].rows *= 8;
	plan[hash].fold_count = 8;
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), hash), one, 1e-6);
}

TEST(MemoryFormula, ParallelHashCountsAllParticipants)
{
	PlanBuilder plan;
	const int16_t gather = plan.Add(kNoNode, NodeKind::kGather);
	plan[gather].workers = 2;
	const int16_t hash = plan.AddHash(gather, 100000, 36);
	plan[hash].role = NodeRole::kOuter;
	plan[hash].memory = MemoryClass::kParallelHash;
	/* divisor 2 + (1 - 0.6) = 2.4: 240,000 rows, 2^18 buckets */
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), hash), (240000 * 72.0 + 262144 * 8) / 1024, 1);
	plan[hash].memory = MemoryClass::kHash;
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), hash), (100000 * 72.0 + 131072 * 8) / 1024, 1);
}

TEST(MemoryFormula, Sort)
{
	PlanBuilder plan;
	const int16_t sort = plan.AddSort(kNoNode, 100000, 20);
	/* 2^17 SortTuples of 24, tuples of 16 + 24 with a header of 24 */
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), sort), (131072 * 24 + 100000 * 64) / 1024.0, 0.01);
	plan[sort].num_columns = 1; /* one column by value: sorted as a Datum */
	plan[sort].width = 8;
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), sort), 131072 * 24 / 1024.0, 0.01);
}

TEST(MemoryFormula, TopNSortIsBoundedByLimit)
{
	PlanBuilder plan;
	const int16_t limit = plan.Add(kNoNode, NodeKind::kLimit, 2000);
	const int16_t result = plan.Add(limit, NodeKind::kResult);
	const int16_t sort = plan.AddSort(result, 1e6, 20);
	/* 4000 rows in 4096 SortTuples; tuples of 40 in chunks of 64 + 16 */
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), sort), (4096 * 24 + 1.7 * 2000 * 80) / 1024.0, 0.01);
	plan[sort].rows = 3000; /* too few for a heap */
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), sort), (4096 * 24 + 3000 * 80) / 1024.0, 0.01);
	plan[sort].rows = 1e6;
	plan[result].kind = NodeKind::kUnique; /* stops the bound */
	EXPECT_GT(FormulaMemoryKb(plan.Finish(), sort), 80000);
}

/*
 * "Memory" as EXPLAIN ANALYZE of PostgreSQL 15 gave it for 100,000 rows with exact estimates:
 * a integer, b integer (1,000 values), c md5 text.
 */
TEST(MemoryFormula, AgreesWithPostgres)
{
	PlanBuilder sorts;
	const int16_t limit = sorts.Add(kNoNode, NodeKind::kLimit, 1e9f);
	const int16_t sort = sorts.AddSort(limit, 100000, 41);
	EXPECT_NEAR(FormulaMemoryKb(sorts.Finish(), sort), 11666, 1); /* a, b, c */
	sorts[sort].width = 8;
	EXPECT_NEAR(FormulaMemoryKb(sorts.Finish(), sort), 7760, 1); /* a, b */
	sorts[sort].num_columns = 1;
	sorts[sort].width = 4;
	EXPECT_NEAR(FormulaMemoryKb(sorts.Finish(), sort), 3073, 1.1); /* a */
	sorts[sort].num_columns = 3;
	sorts[sort].width = 41;
	for (const auto &[bound, kb] : {std::pair{100.f, 38}, {400.f, 77}, {500.f, 91}, {3000.f, 590}}) {
		sorts[limit].rows = bound;
		EXPECT_NEAR(FormulaMemoryKb(sorts.Finish(), sort) / kb, 1, 0.03) << bound;
	}

	PlanBuilder hashes;
	const int16_t hash = hashes.AddHash(kNoNode, 100000, 4);
	EXPECT_NEAR(FormulaMemoryKb(hashes.Finish(), hash) / 4540, 1, 0.1); /* the planner aligns, the executor does not */

	PlanBuilder groups;
	const int16_t agg = groups.AddHashAgg(kNoNode, 1000, 2);
	const int16_t scan = groups.Add(agg, NodeKind::kSeqScan);
	groups[scan].width = 8;
	EXPECT_NEAR(FormulaMemoryKb(groups.Finish(), agg) / 193, 1, 0.3); /* by b; blocks are not filled */
	groups[agg].groups = 100000;
	groups[agg].num_aggregates = 1;
	groups[scan].width = 33;
	EXPECT_NEAR(FormulaMemoryKb(groups.Finish(), agg) / 22545, 1, 0.4); /* by c */
}

TEST(MemoryFormula, IncrementalSortHoldsOneGroup)
{
	PlanBuilder plan;
	const int16_t sort = plan.Add(kNoNode, NodeKind::kIncrementalSort, 100000);
	plan[sort].memory = MemoryClass::kIncrementalSort;
	plan[sort].width = 20;
	plan[sort].num_columns = 2;
	plan[sort].startup_cost = 110;
	plan[sort].total_cost = 1010;
	const int16_t scan = plan.Add(sort, NodeKind::kIndexScan, 100000);
	plan[scan].startup_cost = 10;
	/* the first group costs a tenth: 10,000 rows in 2^14 slots; and 64 rows in the smallest array */
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), sort), (1024 * 24 + 64 * 64 + 16384 * 24 + 10000 * 64) / 1024.0, 0.1);
}

TEST(MemoryFormula, HashAggregate)
{
	PlanBuilder plan;
	const int16_t agg = plan.AddHashAgg(kNoNode, 1000, 1);
	const int16_t scan = plan.Add(agg, NodeKind::kSeqScan);
	plan[scan].width = 4;
	/* 2^11 entries of 24; chunks of 32 + 16 for the tuple of 16 + 4, of 16 + 16 for one state */
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), agg), (2048 * 24 + 1000 * 80) / 1024.0, 0.01);
	plan[agg].state_bytes = 48;
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), agg), (2048 * 24 + 1000 * (80 + 80)) / 1024.0, 0.01);
}

TEST(MemoryFormula, MemoizeTuplestoreBitmapUnbounded)
{
	PlanBuilder plan;
	const int16_t node = plan.Add(kNoNode, NodeKind::kMemoize, 2);
	plan[node].memory = MemoryClass::kMemoize;
	plan[node].groups = 100;
	/* entry and key 48, two tuples of 8 + 24 + 16 */
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), node), 100 * 144 / 1024.0, 0.01);

	plan[node].memory = MemoryClass::kTuplestore;
	plan[node].rows = 5000;
	plan[node].width = 12;
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), node), (8192 * 8 + 5000 * 48) / 1024.0, 0.01);

	plan[node].memory = MemoryClass::kBitmap;
	plan[node].rows = 10000;
	plan[node].relation_pages = 500;
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), node), 500 * 64 / 1024.0, 0.01);

	plan[node].memory = MemoryClass::kUnbounded;
	plan[node].groups = 0;
	plan[node].rows = 1000;
	EXPECT_NEAR(FormulaMemoryKb(plan.Finish(), node), (2048 * 24 + 1000 * 48) / 1024.0, 0.01);
}

TEST(MemoryFormula, AbsurdInput)
{
	const float values[] = {0,
	                        -1,
	                        1e-30f,
	                        1e38f,
	                        std::numeric_limits<float>::infinity(),
	                        -std::numeric_limits<float>::infinity(),
	                        std::numeric_limits<float>::quiet_NaN()};
	PlanBuilder plan = test::JoinPlan();
	for (int memory = 0; memory < 12; memory++)
		for (const float rows : values)
			for (const float other : values) {
				plan[0].memory = static_cast<MemoryClass>(memory);
				plan[0].rows = rows;
				plan[0].width = plan[0].groups = plan[0].fold_count = plan[0].startup_cost = other;
				plan[0].processes = other;
				const double kb = FormulaMemoryKb(*plan.graph(), 0);
				EXPECT_TRUE(std::isfinite(kb)) << memory << ' ' << rows << ' ' << other;
				EXPECT_GE(kb, 0);
			}
	EXPECT_EQ(FormulaMemoryKb(*plan.graph(), -1), 0);
	EXPECT_EQ(FormulaMemoryKb(*plan.graph(), 1000), 0);
}

}  // namespace
}  // namespace wlm
