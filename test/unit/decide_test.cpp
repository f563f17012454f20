/*
 * decide_test.cpp
 *
 * Routing: from conditions to a queue.
 */
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "core/decide/workload.hpp"

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
		QueryAttributes attributes{};
		attributes.database = database;
		attributes.application_name = application;
		attributes.query_group = group;
		attributes.command = CommandKind::kSelect;
		attributes.time_ms = attributes.memory_kb = attributes.cost = -1;
		attributes.has_role = [](void *context, int queue) {
			Roles *seen = static_cast<Roles *>(context);
			seen->asked++;
			return queue == seen->member_of;
		};
		attributes.context = &roles;
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

}  // namespace
}  // namespace wlm
