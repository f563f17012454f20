/*
 * decide_test.cpp
 *
 * Routing and grants: from conditions to a queue, from needs to one work_mem
 * and a reservation.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "core/grant/grant.hpp"
#include "core/decide/workload.hpp"
#include "plan_builder.hpp"

namespace wlm {
namespace {

TEST(MatchesPattern, KnowsWildcardsAndEscapes)
{
	EXPECT_TRUE(MatchesPattern("metabase", "metabase"));
	EXPECT_TRUE(MatchesPattern("metabase/7", "meta%"));
	EXPECT_TRUE(MatchesPattern("metabase", "m_tab%"));
	EXPECT_TRUE(MatchesPattern("", "%"));
	EXPECT_TRUE(MatchesPattern("a%b", "a\\%b"));
	EXPECT_TRUE(MatchesPattern("aXbXc", "%X%c"));
	EXPECT_FALSE(MatchesPattern("axb", "a\\%b"));
	EXPECT_FALSE(MatchesPattern("metabase", "meta"));
	EXPECT_FALSE(MatchesPattern("", "_"));
	EXPECT_FALSE(MatchesPattern("meta", "metabase"));
}

struct Roles {
	int member_of; /* queue whose roles the user has */
	int asked = 0;
};

class RouteTest : public ::testing::Test {
  protected:
	RouteTest() : workload(std::make_unique<Workload>())
	{
		InitWorkload(workload.get());
		Add("reports");
		Add("etl");
	}

	QueueConditions &Add(const char *name)
	{
		const int index = workload->num_queues++;
		workload->limits[index] = workload->limits[0];
		std::strcpy(workload->limits[index].name, name);
		workload->order[workload->num_ordered++] = index;
		return workload->conditions[index];
	}

	int Routed(const char *database, const char *application, const char *group)
	{
		const QueryAttributes attributes{database, application, group,
		                                 [](void *context, int queue) {
			                                 Roles *seen = static_cast<Roles *>(context);
			                                 seen->asked++;
			                                 return queue == seen->member_of;
		                                 },
		                                 &roles};
		return Route(*workload, attributes);
	}

	std::unique_ptr<Workload> workload;
	Roles roles{-1};
};

TEST_F(RouteTest, FirstMatchInOrderWinsAndAllConditionsCount)
{
	std::strcpy(workload->conditions[1].application_name, "meta%");
	std::strcpy(workload->conditions[2].databases[0], "shop");
	workload->conditions[2].num_databases = 1;

	EXPECT_EQ(Routed("shop", "psql", ""), 2);
	EXPECT_EQ(Routed("shop", "metabase", ""), 1);
	EXPECT_EQ(Routed("other", "psql", ""), 0);

	std::swap(workload->order[0], workload->order[1]);
	EXPECT_EQ(Routed("shop", "metabase", ""), 2);

	std::strcpy(workload->conditions[2].query_group, "night");
	EXPECT_EQ(Routed("shop", "metabase", ""), 1);
	EXPECT_EQ(Routed("shop", "metabase", "night"), 2);
}

TEST_F(RouteTest, RolesAreAskedLastAndOnlyWhereNamed)
{
	workload->conditions[1].num_roles = 1;
	std::strcpy(workload->conditions[1].query_group, "night");
	workload->conditions[2].num_roles = 1;

	roles.member_of = 2;
	EXPECT_EQ(Routed("shop", "psql", ""), 2);
	EXPECT_EQ(roles.asked, 1);
	roles.member_of = -1;
	EXPECT_EQ(Routed("shop", "psql", ""), 0);
}

TEST_F(RouteTest, AQueueThatIsGoneKeepsItsPlaceButIsNotAsked)
{
	workload->limits[1].in_use = false;
	workload->order[0] = 2;
	workload->num_ordered = 1;
	EXPECT_EQ(Routed("shop", "psql", ""), 2);
}

/* A sort above a hash join, with a certain opinion on both. */
class GrantTest : public ::testing::Test {
  protected:
	GrantTest() : graph(std::make_unique<PlanGraph>()), forecast(std::make_unique<Forecast>())
	{
		ResetGraph(graph.get());
		PlanNode *sort = AppendNode(graph.get(), kNoNode, 0);
		sort->kind = NodeKind::kSort;
		sort->memory = MemoryClass::kSort;
		sort->rows = 1000;
		sort->width = 8;
		PlanNode *join = AppendNode(graph.get(), 0, 1);
		join->kind = NodeKind::kHashJoin;
		join->rows = 1000;
		PlanNode *scan = AppendNode(graph.get(), 1, 2);
		scan->kind = NodeKind::kSeqScan;
		scan->rows = 1000;
		PlanNode *hash = AppendNode(graph.get(), 1, 3);
		hash->kind = NodeKind::kHash;
		hash->role = NodeRole::kInner;
		hash->memory = MemoryClass::kHash;
		hash->rows = 1000;
		hash->width = 8;
		FinishGraph(graph.get());

		std::memset(static_cast<void *>(forecast.get()), 0, sizeof(Forecast));
		forecast->has_opinion = true;
		forecast->num_memory_nodes = graph->num_memory_nodes;
	}

	void Needs(double sort_kb, double hash_kb)
	{
		forecast->memory[0] = Estimate{static_cast<float>(std::log(sort_kb)), 0, 0, 1};
		forecast->memory[1] = Estimate{static_cast<float>(std::log(hash_kb)), 0, 0, 1};
	}

	Grant Compute(const GrantLimits &limits) const
	{
		Grant grant;
		ComputeGrant(*graph, *forecast, limits, &grant);
		return grant;
	}

	GrantLimits limits{4096, 1024, 1048576, 1048576, 2.0, 1.645f, true};
	std::unique_ptr<PlanGraph> graph;
	std::unique_ptr<Forecast> forecast;
};

TEST_F(GrantTest, CoversTheLargestNeedWithHeadroom)
{
	Needs(100000, 20000);
	const Grant grant = Compute(limits);
	EXPECT_TRUE(grant.raises);
	EXPECT_NEAR(static_cast<double>(grant.work_mem_kb), 115000, 10);
	EXPECT_NEAR(static_cast<double>(grant.reservation_kb), 115000 + 23000 + 512, 20);
	EXPECT_FLOAT_EQ(grant.operators[1].limit_kb, 2 * static_cast<float>(grant.work_mem_kb));
}

TEST_F(GrantTest, CountsHashMemMultiplier)
{
	Needs(1000, 100000);
	EXPECT_NEAR(static_cast<double>(Compute(limits).work_mem_kb), 57500, 10);
	limits.hash_mem_multiplier = 1;
	EXPECT_NEAR(static_cast<double>(Compute(limits).work_mem_kb), 115000, 10);
}

TEST_F(GrantTest, NeverBelowTheSessionsOwn)
{
	Needs(10, 10);
	const Grant grant = Compute(limits);
	EXPECT_FALSE(grant.raises);
	EXPECT_EQ(grant.work_mem_kb, 4096);

	Needs(100000, 100000);
	limits.max_query_kb = 1;
	EXPECT_EQ(Compute(limits).work_mem_kb, 4096);
}

TEST_F(GrantTest, RespectsTheUsersChoice)
{
	Needs(100000, 100000);
	limits.may_raise = false;
	const Grant grant = Compute(limits);
	EXPECT_FALSE(grant.raises);
	EXPECT_EQ(grant.work_mem_kb, 4096);
	EXPECT_EQ(grant.reservation_kb, 4096 + 8192 + 512); /* what is used under those limits */
}

TEST_F(GrantTest, FitsTheShareOfOneQuery)
{
	Needs(100000, 100000);
	limits.max_query_kb = 60512;
	const Grant grant = Compute(limits);
	EXPECT_LE(grant.reservation_kb, 60512);
	/* w + 2 w = 60000 */
	EXPECT_NEAR(static_cast<double>(grant.work_mem_kb), 20000, 100);
}

TEST_F(GrantTest, AHashGetsWhatItsPlannedBatchesWant)
{
	Needs(1000, 1000);
	graph->nodes[3].rows = 4e6f; /* overestimated: it would begin with many batches */
	const Grant grant = Compute(limits);
	EXPECT_GT(grant.work_mem_kb, 50000);
	EXPECT_NEAR(static_cast<double>(grant.reservation_kb), 1150 + 1150 + 512, 10);
}

TEST_F(GrantTest, WithoutAnOpinionNothingChanges)
{
	forecast->has_opinion = false;
	EXPECT_FALSE(Compute(limits).raises);
	EXPECT_EQ(Compute(limits).work_mem_kb, 4096);

	forecast->has_opinion = true;
	forecast->memory[0] = forecast->memory[1] = Estimate{};
	EXPECT_FALSE(Compute(limits).raises);
}

TEST_F(GrantTest, AbsurdEstimatesAreBounded)
{
	forecast->memory[0] = Estimate{200, 1e6f, 1e6f, 1};
	forecast->memory[1] = Estimate{NAN, 1, 1, 1};
	const Grant grant = Compute(limits);
	EXPECT_LE(grant.work_mem_kb, limits.max_work_mem_kb);
	EXPECT_LE(grant.reservation_kb, limits.max_query_kb + 1024);
	EXPECT_GE(grant.work_mem_kb, limits.session_work_mem_kb);
}

}  // namespace
}  // namespace wlm
