/*
 * policy_property_test.cpp
 *
 * A million random events over random configurations: arrivals, ends in every
 * state, deadlines, forcing, reservations, growth, pressure, maintenance,
 * moves, changes of priority, superusers, pauses of queues, giving way, now or later, Configure
 * under load, clocks that jump. After each event the Policy's own invariants and the books of an
 * independent shadow are checked; at the end of each run everyone leaves and
 * every account must be zero.
 *
 * WLM_SEED=n repeats a failure, WLM_EVENTS=n sets the number of events.
 */
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "policy_driver.hpp"

namespace wlm {
namespace {

using test::Coverage;
using test::Driver;

uint64_t FromEnvironment(const char *name, uint64_t otherwise)
{
	const char *const text = std::getenv(name);
	return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(PolicyPropertyTest, AMillionRandomEvents)
{
	const uint64_t seed = FromEnvironment("WLM_SEED", 1);
	const uint64_t num_events = FromEnvironment("WLM_EVENTS", 1000000);
	Coverage coverage;
	std::mt19937_64 random(seed);
	for (uint64_t run = 0; coverage.events < num_events; run++) {
		const bool crowd = run % 8 == 7;
		const int32_t max_queries = crowd ? 1200 : static_cast<int32_t>(1 + random() % 64);
		const uint64_t events = std::min<uint64_t>(num_events - coverage.events, crowd ? 8000 : 12000);
		Driver driver(random(), max_queries, crowd, &coverage);
		const std::string &problem = driver.Run(events);
		ASSERT_EQ("", problem) << "WLM_SEED=" << seed << " WLM_EVENTS=" << num_events << ", run " << run << ", event "
							   << coverage.events << ", table of " << max_queries;
	}
	std::printf("%llu events: at most %lld waiting at once", static_cast<unsigned long long>(coverage.events),
		static_cast<long long>(coverage.most_waiting));
	for (const auto &[what, count] : coverage.Named())
		std::printf(", %llu %s", static_cast<unsigned long long>(count), what);
	std::printf("\n");
	if (num_events >= 1000000) {
		/* A test that does not reach the rare states proves nothing. */
		EXPECT_GE(coverage.most_waiting, 900);
		for (const auto &[what, count] : coverage.Named())
			EXPECT_GE(count, 100u) << what;
	}
}

}  // namespace
}  // namespace wlm
