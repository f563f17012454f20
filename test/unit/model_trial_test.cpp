/*
 * model_trial_test.cpp
 *
 * Champion or challenger: chance must not decide, and a model that says less is
 * no better one.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/learn/model_trial.hpp"

namespace wlm {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/* Errors of champion and challenger that differ by `gain` in the mean, and by chance. */
struct Errors {
	std::vector<float> champion;
	std::vector<float> challenger;

	Errors(int plans, float gain, float scatter, unsigned seed)
	{
		std::mt19937 random(seed);
		std::exponential_distribution<float> error(2);
		std::normal_distribution<float> noise(0, std::max(scatter, 1e-6f));
		for (int i = 0; i < plans; i++) {
			champion.push_back(error(random) + 1);
			challenger.push_back(std::max(champion.back() - gain + noise(random), 0.0f));
		}
	}
};

bool IsBetter(const Errors &errors)
{
	Comparison comparison;
	comparison.Add(errors.challenger, errors.champion);
	return comparison.IsBetter();
}

TEST(ModelTrialTest, ClearlyBetterAndClearlyWorse)
{
	EXPECT_TRUE(IsBetter(Errors(30, 0.3f, 0.2f, 1)));
	EXPECT_FALSE(IsBetter(Errors(30, -0.3f, 0.2f, 1)));
	EXPECT_FALSE(IsBetter(Errors(30, 0, 0, 1))); /* the same */
}

TEST(ModelTrialTest, ChanceDecidesInOneOfTwenty)
{
	int published = 0;
	for (unsigned seed = 0; seed < 2000; seed++)
		published += IsBetter(Errors(20, 0, 0.5f, seed));
	EXPECT_LT(published, 2000 / 20 * 1.4);
	EXPECT_GT(published, 0);
}

TEST(ModelTrialTest, FewPlansDecideNothing)
{
	EXPECT_FALSE(IsBetter(Errors(9, 1, 0.01f, 1)));
	EXPECT_TRUE(IsBetter(Errors(10, 1, 0.01f, 1)));
	EXPECT_FALSE(Comparison().IsBetter());
}

TEST(ModelTrialTest, AGainUnderOnePercentIsNone)
{
	EXPECT_FALSE(IsBetter(Errors(1000, 0.005f, 0, 1)));
	EXPECT_TRUE(IsBetter(Errors(1000, 0.02f, 0, 1)));
}

TEST(ModelTrialTest, WhoSaysLessIsNotBetter)
{
	Errors errors(100, 0.5f, 0.1f, 1);
	for (size_t i = 0; i < 5; i++)
		errors.challenger[i] = kNan;
	EXPECT_TRUE(IsBetter(errors));
	errors.challenger[5] = kNan;
	EXPECT_FALSE(IsBetter(errors));
	/* where the champion said nothing, nothing is asked of the challenger */
	for (size_t i = 0; i < 50; i++)
		errors.champion[i] = kNan;
	EXPECT_TRUE(IsBetter(errors));
}

TEST(ModelTrialTest, TargetsAddUp)
{
	Comparison comparison;
	const Errors better(40, 0.3f, 0.1f, 1);
	const Errors worse(40, -0.5f, 0.1f, 2);
	comparison.Add(better.challenger, better.champion);
	EXPECT_TRUE(comparison.IsBetter());
	comparison.Add(worse.challenger, worse.champion);
	EXPECT_FALSE(comparison.IsBetter());
	EXPECT_EQ(comparison.targets, 2);
}

TEST(ModelTrialTest, Quantiles)
{
	std::vector<float> errors = {kNan, std::log(4.0f), 0, std::log(2.0f), kNan};
	const TargetScore score = Summarise(errors);
	EXPECT_EQ(score.count, 3);
	EXPECT_NEAR(score.p50, 2, 1e-5);
	EXPECT_NEAR(score.p90, 4, 1e-5);
	EXPECT_EQ(Summarise(std::span<float>()).count, 0);
}

}  // namespace

}  // namespace wlm
