/*
 * protocol_test.cpp
 *
 * The protocol between the Policy and the processes of the server, simulated:
 * backends that arrive, wait, run, give way and die, a launcher and an
 * administrator, on a clock of their own, with random configurations and faults
 * (lost wake-ups, dead wakers, death at every step, a launcher that is gone,
 * clocks that jump). protocol_books.hpp says what is checked after every event.
 *
 * WLM_SEED=n WLM_EVENTS=n choose the runs; a run of seed s is the first one of
 * WLM_SEED=s, so a failure is repeated alone.
 */
#include <gtest/gtest.h>

#include <cstdlib>

#include "protocol_run.hpp"

namespace wlm {
namespace {

using test::ProtocolCoverage;
using test::ProtocolRun;

constexpr uint64_t kEventsPerRun = 8000;

uint64_t FromEnvironment(const char *name, uint64_t otherwise)
{
	const char *const text = std::getenv(name);
	return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

bool IsCrowd(uint64_t seed) { return seed % 16 == 7; }

TEST(ProtocolTest, AMillionEventsWithFaults)
{
	const uint64_t first_seed = FromEnvironment("WLM_SEED", 1);
	const uint64_t num_events = FromEnvironment("WLM_EVENTS", 1000000);
	ProtocolCoverage coverage;
	for (uint64_t seed = first_seed; coverage.events < num_events; seed++) {
		ProtocolRun run(seed, IsCrowd(seed), &coverage);
		const std::string &problem = run.Run(kEventsPerRun);
		ASSERT_EQ("", problem) << "WLM_SEED=" << seed << " WLM_EVENTS=1, " << run.num_sessions << " sessions, table of "
							   << run.max_queries << "; the last events:\n" << run.trace().Text();
	}
	for (const auto &[what, count] : coverage.Named())
		std::printf("%llu %s, ", static_cast<unsigned long long>(count), what.c_str());
	std::printf("%llu events, %llu runs\n", static_cast<unsigned long long>(coverage.events),
		static_cast<unsigned long long>(coverage.runs));
	if (num_events >= 1000000) {
		/* A fault that never happened proves nothing. */
		for (const auto &[what, count] : coverage.Named())
			EXPECT_GE(count, 10u) << what;
	}
}

TEST(ProtocolTest, ARunIsRepeatedFromItsSeed)
{
	uint64_t fingerprints[3];
	for (int i = 0; i < 3; i++) {
		ProtocolCoverage coverage;
		ProtocolRun run(i < 2 ? 42 : 43, false, &coverage);
		ASSERT_EQ("", run.Run(2000));
		fingerprints[i] = run.trace().fingerprint();
	}
	EXPECT_EQ(fingerprints[0], fingerprints[1]);
	EXPECT_NE(fingerprints[0], fingerprints[2]);
}

}  // namespace
}  // namespace wlm
