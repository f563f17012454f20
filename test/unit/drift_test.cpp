/*
 * drift_test.cpp
 *
 * How often the detector errs while nothing changes, whatever the distribution of
 * losses, and how soon it notices that they have doubled.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>

#include "core/learn/drift.hpp"

namespace wlm {
namespace {

using Random = std::mt19937;

struct Case {
	const char *name;
	std::function<float(Random *)> loss;
	int most_delay; /* median, after losses have doubled */
};
void PrintTo(const Case &c, std::ostream *out) { *out << c.name; }

float Normal(Random *random) { return std::normal_distribution<float>()(*random); }

const Case kCases[] = {
	{"normal", [](Random *r) { return std::fabs(Normal(r)); }, 110},
	{"laplace", [](Random *r) { return std::exponential_distribution<float>(1)(*r); }, 110},
	{"uniform", [](Random *r) { return std::uniform_real_distribution<float>(0, 1)(*r); }, 110},
	/* two e-folds wide: twice as much is little beside that, and is noticed later */
	{"lognormal", [](Random *r) { return std::exp(Normal(r)); }, 200},
	{"cauchy", [](Random *r) { return std::fabs(std::cauchy_distribution<float>()(*r)); }, 250},
	{"mostly_zero", [](Random *r) { return (*r)() % 2 ? 0.0f : std::fabs(Normal(r)); }, 100000},
	{"constant", [](Random *) { return 0.7f; }, 60},
};

class DriftStreams : public ::testing::TestWithParam<Case> {};

TEST_P(DriftStreams, FewFalseAlarms)
{
	constexpr int kObservations = 400000;
	Random random(7);
	DriftState state;
	InitDrift(&state);
	for (int i = 0; i < kObservations; i++)
		Observe(&state, GetParam().loss(&random));
	std::printf("             %d false alarms in %d\n", static_cast<int>(state.alarms), kObservations);
	EXPECT_LT(state.alarms, kObservations / 10000);
}

/* Many short lives, in which what is normal is known least. */
TEST_P(DriftStreams, FewFalseAlarmsWhileYoung)
{
	constexpr int kLives = 200;
	constexpr int kLife = 1000;
	Random random(8);
	uint64_t alarms = 0;
	for (int life = 0; life < kLives; life++) {
		DriftState state;
		InitDrift(&state);
		for (int i = 0; i < kLife; i++)
			Observe(&state, GetParam().loss(&random));
		alarms += state.alarms;
	}
	std::printf("             %d false alarms in %d lives of %d\n", static_cast<int>(alarms), kLives, kLife);
	EXPECT_LT(alarms, kLives * kLife / 10000);
}

TEST_P(DriftStreams, NoticesDoubledLosses)
{
	constexpr int kRuns = 41;
	std::vector<int> delays;
	for (unsigned seed = 1; seed <= kRuns; seed++) {
		Random random(seed);
		DriftState state;
		InitDrift(&state);
		for (int i = 0; i < 1500; i++)
			Observe(&state, GetParam().loss(&random));
		int delay = 1;
		while (delay < 5000 && !Observe(&state, 2 * GetParam().loss(&random)))
			delay++;
		delays.push_back(delay);
	}
	std::sort(delays.begin(), delays.end());
	std::printf("             noticed after %d (median), %d (9 of 10)\n", delays[kRuns / 2], delays[kRuns * 9 / 10]);
	EXPECT_LE(delays[kRuns / 2], GetParam().most_delay);
}

INSTANTIATE_TEST_SUITE_P(All, DriftStreams, ::testing::ValuesIn(kCases),
                         [](const auto &test_case) { return std::string(test_case.param.name); });

TEST(Drift, BetterIsNoAlarm)
{
	Random random(3);
	DriftState state;
	InitDrift(&state);
	for (int i = 0; i < 4000; i++)
		ASSERT_FALSE(Observe(&state, (i < 2000 ? 1.0f : 0.2f) * std::fabs(Normal(&random))));
}

TEST(Drift, AfterAnAlarmTheNewNormalIsLearned)
{
	Random random(4);
	DriftState state;
	InitDrift(&state);
	for (int i = 0; i < 5000; i++)
		Observe(&state, (i < 1000 ? 1.0f : 5.0f) * std::fabs(Normal(&random)));
	EXPECT_EQ(state.alarms, 1u);
	EXPECT_EQ(state.observations, 5000u);
}

TEST(Drift, AbsurdLossesAreIgnoredAndSlowQueriesAreLosses)
{
	DriftState state;
	InitDrift(&state);
	for (const float absurd : {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
		EXPECT_FALSE(Observe(&state, absurd));
	EXPECT_EQ(state.observations, 0u);
	EXPECT_FALSE(Observe(&state, 0));
	EXPECT_FALSE(Observe(&state, 3e38f));
	EXPECT_EQ(state.observations, 2u);

	auto experience = std::make_unique<Experience>();
	experience->final_state = FinalState::kCompleted;
	experience->time = {std::log(100.0f), 0.25f, 0, 1};
	ObserveDrift(&state, *experience); /* no time */
	EXPECT_EQ(state.observations, 2u);
	experience->time_ms = 100;
	ObserveDrift(&state, *experience);
	EXPECT_EQ(state.observations, 3u);
	experience->censored = true;
	experience->time_ms = 90;
	ObserveDrift(&state, *experience); /* proves nothing */
	EXPECT_EQ(state.observations, 3u);
	experience->time_ms = 9000;
	ObserveDrift(&state, *experience);
	EXPECT_EQ(state.observations, 4u);
	experience->final_state = FinalState::kRejected;
	ObserveDrift(&state, *experience);
	EXPECT_EQ(state.observations, 4u);
}

TEST(Drift, Deterministic)
{
	DriftState states[2];
	for (DriftState &state : states) {
		Random random(6);
		InitDrift(&state);
		for (int i = 0; i < 3000; i++)
			Observe(&state, std::fabs(Normal(&random)));
	}
	EXPECT_EQ(std::memcmp(&states[0], &states[1], sizeof(DriftState)), 0);
}

}  // namespace
}  // namespace wlm
