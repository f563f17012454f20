/*
 * decide_test.cpp
 *
 * Routing: from conditions to a queue.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <random>
#include <utility>

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
		attributes.command = CommandKind::kSelect;
		attributes.time_ms = attributes.memory_kb = attributes.cost = -1;
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

	/* With everything that can be known of it. */
	Mismatch Fails(int queue)
	{
		Routed("shop", "psql", "");
		return Meets(*workload, queue, attributes);
	}

	int Routed(const char *database, const char *application, const char *group)
	{
		attributes.database = database;
		attributes.application_name = application;
		attributes.query_group = group;
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
	QueryAttributes attributes{};
};

NetworkAddress Net4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint8_t bits = 32)
{
	return NetworkAddress{4, bits, {a, b, c, d}};
}

NetworkAddress Net6(std::initializer_list<uint8_t> start, uint8_t bits = 128, std::initializer_list<uint8_t> end = {})
{
	NetworkAddress address{6, bits, {}};
	std::copy(start.begin(), start.end(), address.bytes);
	std::copy(end.begin(), end.end(), address.bytes + 16 - end.size());
	return address;
}

NetworkAddress Mapped(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint8_t bits = 128)
{
	return Net6({}, bits, {0xff, 0xff, a, b, c, d});
}

TEST(Contains, ComparesAsManyBitsAsTheNetworkHas)
{
	EXPECT_TRUE(Contains(Net4(10, 0, 0, 0, 8), Net4(10, 200, 3, 4)));
	EXPECT_FALSE(Contains(Net4(10, 0, 0, 0, 8), Net4(11, 0, 0, 0)));
	EXPECT_TRUE(Contains(Net4(10, 1, 2, 128, 25), Net4(10, 1, 2, 200)));
	EXPECT_FALSE(Contains(Net4(10, 1, 2, 128, 25), Net4(10, 1, 2, 127)));
	EXPECT_TRUE(Contains(Net4(10, 1, 2, 3), Net4(10, 1, 2, 3)));
	EXPECT_FALSE(Contains(Net4(10, 1, 2, 3), Net4(10, 1, 2, 2)));
	EXPECT_TRUE(Contains(Net4(0, 0, 0, 0, 0), Net4(1, 2, 3, 4)));
	EXPECT_TRUE(Contains(Net6({0x20, 0x01, 0x0d, 0xb8}, 32), Net6({0x20, 0x01, 0x0d, 0xb8, 7, 7})));
	EXPECT_FALSE(Contains(Net6({0x20, 0x01, 0x0d, 0xb8}, 32), Net6({0x20, 0x01, 0x0d, 0xb9, 7, 7})));
	EXPECT_TRUE(Contains(Net6({}, 128, {1}), Net6({}, 128, {1})));
	EXPECT_FALSE(Contains(Net6({}, 128, {1}), Net6({}, 128, {2})));
}

TEST(Contains, AMappedAddressIsAnIPv4Address)
{
	EXPECT_TRUE(Contains(Net4(10, 0, 0, 0, 8), Mapped(10, 9, 8, 7)));
	EXPECT_TRUE(Contains(Mapped(10, 0, 0, 0, 104), Net4(10, 9, 8, 7)));
	EXPECT_FALSE(Contains(Mapped(10, 0, 0, 0, 104), Net4(11, 9, 8, 7)));
	EXPECT_TRUE(Contains(Net6({}, 96, {0xff, 0xff, 0, 0, 0, 0}), Net4(1, 2, 3, 4)));
	EXPECT_FALSE(Contains(Net6({}, 0), Net4(1, 2, 3, 4))) << "families are apart otherwise";
	EXPECT_FALSE(Contains(Net4(0, 0, 0, 0, 0), Net6({0x20, 1})));
}

TEST(Contains, WhatIsNoAddressIsInNoNetwork)
{
	const NetworkAddress socket{};
	EXPECT_FALSE(Contains(socket, socket));
	EXPECT_FALSE(Contains(Net4(0, 0, 0, 0, 0), socket));
	EXPECT_FALSE(Contains(socket, Net4(1, 2, 3, 4)));
	EXPECT_FALSE(Contains(Net4(1, 2, 3, 4, 200), Net4(1, 2, 3, 4, 255))) << "more bits than an address has";
}

bool SameStart(const NetworkAddress &network, const NetworkAddress &address)
{
	for (int bit = 0; bit < network.bits; bit++)
		if (((network.bytes[bit / 8] ^ address.bytes[bit / 8]) >> (7 - bit % 8) & 1) != 0)
			return false;
	return true;
}

TEST(Contains, ComparesBitByBit)
{
	std::mt19937 random(7);
	int num_inside = 0;

	for (int round = 0; round < 100000; round++) {
		NetworkAddress network{};
		network.family = random() % 2 == 0 ? 4 : 6;
		const unsigned most = network.family == 4 ? 32 : 128;
		network.bits = static_cast<uint8_t>(random() % (most + 1));
		for (unsigned i = 0; i < most / 8; i++)
			network.bytes[i] = static_cast<uint8_t>(random() | 1); /* never a mapped one */
		NetworkAddress address = network;
		address.bits = static_cast<uint8_t>(most);
		for (unsigned flips = random() % 3; flips > 0; flips--) {
			const unsigned bit = random() % most;
			address.bytes[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
		}
		ASSERT_EQ(Contains(network, address), SameStart(network, address)) << "round " << round;
		num_inside += Contains(network, address);
	}
	EXPECT_GT(num_inside, 30000);
	EXPECT_LT(num_inside, 90000);
}

bool Matches(const char *text, const char *pattern)
{
	if (*pattern == '\0')
		return *text == '\0';
	if (*pattern == '%')
		return Matches(text, pattern + 1) || (*text != '\0' && Matches(text + 1, pattern));
	if (*text == '\0')
		return false;
	if (*pattern == '\\' && pattern[1] != '\0')
		return *text == pattern[1] && Matches(text + 1, pattern + 2);
	return (*pattern == '_' || *pattern == *text) && Matches(text + 1, pattern + 1);
}

TEST(MatchesPattern, IsWhatItsDefinitionSays)
{
	std::mt19937 random(11);
	int num_matches = 0;

	for (int round = 0; round < 100000; round++) {
		char text[8] = {};
		char pattern[8] = {};
		for (unsigned i = 0, length = random() % 7; i < length; i++)
			text[i] = "ab_%"[random() % 4];
		for (unsigned i = 0, length = random() % 7; i < length; i++)
			pattern[i] = "ab%%_\\"[random() % 6];
		ASSERT_EQ(MatchesPattern(text, pattern), Matches(text, pattern)) << text << " " << pattern;
		num_matches += Matches(text, pattern);
	}
	EXPECT_GT(num_matches, 5000);
}

TEST_F(RouteTest, ClientsByNetworkAndLocalOnes)
{
	QueueConditions &wanted = workload->conditions[1];
	wanted.addresses[0] = Net4(192, 168, 1, 0, 24);
	wanted.addresses[1] = Net6({0xfd}, 8);
	wanted.num_addresses = 2;

	EXPECT_EQ(Fails(1), Mismatch::kClientAddress) << "a Unix socket";
	attributes.client = Net4(192, 168, 1, 77);
	EXPECT_EQ(Fails(1), Mismatch::kNone);
	attributes.client = Mapped(192, 168, 1, 77);
	EXPECT_EQ(Fails(1), Mismatch::kNone);
	attributes.client = Net6({0xfd, 5}, 128, {9});
	EXPECT_EQ(Fails(1), Mismatch::kNone);
	attributes.client = Net4(192, 168, 2, 77);
	EXPECT_EQ(Fails(1), Mismatch::kClientAddress);

	wanted.local_clients = true;
	EXPECT_EQ(Fails(1), Mismatch::kClientAddress);
	attributes.client = NetworkAddress{};
	EXPECT_EQ(Fails(1), Mismatch::kNone);
	wanted.num_addresses = 0;
	EXPECT_EQ(Fails(1), Mismatch::kNone);
	attributes.client = Net4(127, 0, 0, 1);
	EXPECT_EQ(Fails(1), Mismatch::kClientAddress) << "local means the socket, not the address";
}

TEST_F(RouteTest, AListOfNetworksThatAreNoneMatchesNobody)
{
	workload->conditions[1].num_addresses = 1;
	EXPECT_EQ(Fails(1), Mismatch::kClientAddress);
	attributes.client = Net4(127, 0, 0, 1);
	EXPECT_EQ(Fails(1), Mismatch::kClientAddress);
}

TEST_F(RouteTest, CommandsByKind)
{
	workload->conditions[1].commands = 1u << static_cast<int>(CommandKind::kInsert) | 1u << static_cast<int>(CommandKind::kMerge);
	EXPECT_EQ(Fails(1), Mismatch::kCommand);
	attributes.command = CommandKind::kMerge;
	EXPECT_EQ(Fails(1), Mismatch::kNone);
	attributes.command = CommandKind::kOther;
	EXPECT_EQ(Fails(1), Mismatch::kCommand);
}

TEST_F(RouteTest, PredictionsFromAndUnder)
{
	struct Case {
		PredictedRange QueueConditions::*range;
		float QueryAttributes::*value;
		Mismatch mismatch;
	};
	for (const Case &c : {Case{&QueueConditions::time_ms, &QueryAttributes::time_ms, Mismatch::kTime},
	                      Case{&QueueConditions::memory_kb, &QueryAttributes::memory_kb, Mismatch::kMemory},
	                      Case{&QueueConditions::cost, &QueryAttributes::cost, Mismatch::kCost}}) {
		PredictedRange &range = workload->conditions[1].*c.range;
		range = {100, 1000};
		EXPECT_EQ(Fails(1), c.mismatch) << "what is not known meets no restriction";
		attributes.*c.value = std::nanf("");
		EXPECT_EQ(Fails(1), c.mismatch);
		for (const auto &[value, meets] : {std::pair{99.0f, false}, {100.0f, true}, {999.0f, true}, {1000.0f, false}}) {
			attributes.*c.value = value;
			EXPECT_EQ(Fails(1), meets ? Mismatch::kNone : c.mismatch) << value;
		}
		range = {100, INFINITY};
		EXPECT_EQ(Fails(1), Mismatch::kNone);
		range = {0, 1000};
		EXPECT_EQ(Fails(1), c.mismatch);
		attributes.*c.value = 0;
		EXPECT_EQ(Fails(1), Mismatch::kNone);
		attributes.*c.value = -1;
		EXPECT_EQ(Fails(1), c.mismatch);
		range = {0, INFINITY};
		EXPECT_EQ(Fails(1), Mismatch::kNone) << "no restriction";
		range = {0, 0};
	}
}

TEST_F(RouteTest, AQueueThatDrainsTakesNobodyAPausedOneDoes)
{
	EXPECT_EQ(Routed("shop", "psql", ""), 1);
	workload->limits[1].intake = Intake::kDraining;
	EXPECT_EQ(Routed("shop", "psql", ""), 2);
	EXPECT_EQ(Fails(1), Mismatch::kDraining);
	workload->limits[1].intake = Intake::kPaused;
	EXPECT_EQ(Routed("shop", "psql", ""), 1);
}

TEST_F(RouteTest, RolesAreNotLookedUpIfAnythingElseDoesNotMatch)
{
	workload->conditions[1].num_roles = workload->conditions[2].num_roles = 1;
	workload->conditions[1].commands = 1u << static_cast<int>(CommandKind::kDelete);
	workload->conditions[2].cost = {1e6f, 0};
	attributes.cost = 10;
	EXPECT_EQ(Routed("shop", "psql", ""), 0);
	EXPECT_EQ(roles.asked, 0);
}

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

TEST_F(RouteTest, AHopLeadsToTheNextThatMatches)
{
	Add("more");
	std::strcpy(workload->conditions[2].query_group, "night");
	Routed("shop", "psql", "");
	EXPECT_EQ(RouteAfter(*workload, 1, attributes), 3);
	EXPECT_EQ(RouteAfter(*workload, 2, attributes), 3);
	EXPECT_EQ(RouteAfter(*workload, 3, attributes), 0);
	EXPECT_EQ(RouteAfter(*workload, 0, attributes), 0) << "behind the last";
	EXPECT_EQ(RouteAfter(*workload, 17, attributes), 0);
	Routed("shop", "psql", "night");
	EXPECT_EQ(RouteAfter(*workload, 1, attributes), 2);
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

TEST_F(RouteTest, QueuesAreFoundByNameWhileTheyAreInUse)
{
	EXPECT_EQ(QueueByName(*workload, "default"), 0);
	EXPECT_EQ(QueueByName(*workload, "etl"), 2);
	EXPECT_EQ(QueueByName(*workload, "other"), -1);
	workload->limits[2].in_use = false;
	EXPECT_EQ(QueueByName(*workload, "etl"), -1);
}

TEST_F(RouteTest, AnIndexThatComesToAnotherQueueIsNotTheSame)
{
	const auto before = std::make_unique<Workload>(*workload);
	const auto after = std::make_unique<Workload>(*workload);
	before->generation = 7;
	DateQueues(*workload, before.get());
	EXPECT_TRUE(IsSameQueue(*before, 1, 7));
	EXPECT_TRUE(IsSameQueue(*before, 2, 7));

	after->generation = 9;
	std::strcpy(after->limits[1].name, "another");
	after->limits[2].in_use = false;
	DateQueues(*before, after.get());
	EXPECT_TRUE(IsSameQueue(*after, 0, 7));
	EXPECT_FALSE(IsSameQueue(*after, 1, 7));
	EXPECT_FALSE(IsSameQueue(*after, 1, 8));
	EXPECT_TRUE(IsSameQueue(*after, 1, 9));
	EXPECT_FALSE(IsSameQueue(*after, 2, 9));
	EXPECT_FALSE(IsSameQueue(*after, -1, 9));
	EXPECT_FALSE(IsSameQueue(*after, after->num_queues, 9));

	/* back again: who knew the one before is not sent to this one */
	const auto again = std::make_unique<Workload>(*after);
	again->generation = 11;
	again->limits[2].in_use = true;
	DateQueues(*after, again.get());
	EXPECT_FALSE(IsSameQueue(*again, 2, 7));
	EXPECT_TRUE(IsSameQueue(*again, 2, 11));
}

}  // namespace
}  // namespace wlm
