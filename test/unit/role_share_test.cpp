/*
 * role_share_test.cpp
 *
 * The limit on what one role teaches, and what a role that lies about
 * everything can do to the others' predictions.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>

#include "core/learn/learner.hpp"
#include "core/learn/role_share.hpp"
#include "core/learn/sample_pool.hpp"
#include "plan_builder.hpp"

namespace wlm {
namespace {

/* Part of the weight of `steps` experiences that role 1, which runs `percent` of them, gets. */
double ShareOfRoleOne(RoleShares *shares, int percent, int steps)
{
	std::mt19937 random(5);
	double sums[2] = {};
	for (int i = 0; i < steps; i++) {
		const int role = static_cast<int>(random() % 100) < percent ? 1 : 2 + static_cast<int>(random() % 3);
		const float weight = WeightOfRole(shares, static_cast<uint64_t>(role));
		EXPECT_GT(weight, 0);
		EXPECT_LE(weight, 1);
		sums[role == 1 ? 0 : 1] += static_cast<double>(weight);
	}
	return sums[0] / (sums[0] + sums[1]);
}

TEST(RoleShares, AloneIsNotHeldBack)
{
	RoleShares shares{};
	for (int i = 0; i < 5000; i++)
		EXPECT_EQ(WeightOfRole(&shares, 77), 1);
}

TEST(RoleShares, NoRoleHasMoreThanHalf)
{
	for (const int percent : {60, 80, 95, 99}) {
		RoleShares shares{};
		ShareOfRoleOne(&shares, percent, 3000);
		EXPECT_NEAR(ShareOfRoleOne(&shares, percent, 20000), kMostRoleShare, 0.03) << percent;
	}
	RoleShares shares{};
	EXPECT_NEAR(ShareOfRoleOne(&shares, 30, 20000), 0.3, 0.02); /* nobody is held back */
}

TEST(RoleShares, AStrayQueryDoesNotStopLearning)
{
	RoleShares shares{};
	for (int i = 0; i < 10000; i++)
		EXPECT_EQ(WeightOfRole(&shares, i % 1000 == 999 ? 2 : 1), 1);
}

TEST(RoleShares, OthersComeAndGo)
{
	RoleShares shares{};
	ShareOfRoleOne(&shares, 100, 5000);
	EXPECT_LT(ShareOfRoleOne(&shares, 90, 2000), 0.55); /* at once, however long it was alone */
	ShareOfRoleOne(&shares, 100, 7000);
	EXPECT_EQ(WeightOfRole(&shares, 1), 1);
}

TEST(RoleShares, DamagedCountersRecover)
{
	RoleShares shares{};
	shares.experiences[3] = std::numeric_limits<float>::quiet_NaN();
	shares.experiences[4] = std::numeric_limits<float>::infinity();
	shares.experiences[5] = -1e30f;
	for (uint64_t role = 0; role < 200; role++) {
		const float weight = WeightOfRole(&shares, role);
		EXPECT_TRUE(weight > 0 && weight <= 1);
	}
}

/*
 * How far, in ln, the planner's prediction for honest queries is moved by a role whose queries, 99 of 100, look
 * like the honest ones and take 10^7 times as long. In the long run: half of the way is what no estimate of one
 * number can avoid when half of the weight lies; soon after the flood began it may be more.
 */
double ShiftByAdversary(bool weighted)
{
	PlannerModel planner;
	InitPlannerModel(&planner);
	RoleShares shares{};
	std::mt19937 random(11);
	std::normal_distribution<float> noise(0, 0.2f);
	const auto honest_ms = [&] { return 120 * std::exp(noise(random)); };
	const auto predicted = [&] {
		auto question = test::JoinExperience(1, 2, 0);
		PredictAgain({.planner = &planner}, nullptr, question.get());
		return static_cast<double>(question->time_answers[kPlannerExpert].mean);
	};
	for (int i = 0; i < 500; i++)
		Learn({.planner = &planner}, *test::JoinExperience(1, 2, honest_ms()), WeightOfRole(&shares, 1));
	const double before = predicted();
	double sum = 0;
	int count = 0;
	for (int i = 0; i < 150000; i++) {
		const bool honest = i % 100 == 0;
		const float weight = WeightOfRole(&shares, honest ? 1 : 2);
		if (honest && i >= 100000) {
			sum += predicted() - before;
			count++;
		}
		auto experience = test::JoinExperience(1, 2, honest ? honest_ms() : 1.2e9f);
		Learn({.planner = &planner}, *experience, weighted ? weight : 1);
	}
	return std::fabs(sum / count);
}

TEST(RoleShares, AnAdversaryMovesThePlannerByABoundedAmount)
{
	const double held_back = ShiftByAdversary(true);
	const double free = ShiftByAdversary(false);
	std::printf("             ln shift of the prediction: %.2f held back, %.2f free, of %.2f\n", held_back, free,
	            std::log(1e7));
	EXPECT_LE(held_back, 0.6 * std::log(1e7));
	EXPECT_LT(held_back, free * 0.7);
}

}  // namespace
}  // namespace wlm
