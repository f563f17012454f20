/*
 * scalability_test.cpp
 *
 * Amdahl's curve: what it says of intervals and useful processes, and that f is
 * recovered without bias from noisy runs with different numbers of workers.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "core/predict/expert.hpp"
#include "core/predict/recall_expert.hpp"
#include "core/predict/scalability.hpp"
#include "unit/plan_builder.hpp"

namespace wlm {
namespace {

Estimate FractionOf(double fraction, float variance = 0)
{
	return {static_cast<float>(std::log(fraction / (1 - fraction))), variance, 0, 1};
}

double Fraction(float logit) { return 1 / (1 + std::exp(-static_cast<double>(logit))); }

TEST(RelativeTimeTest, IsAmdahls)
{
	const RelativeTime time = RelativeTimeWith(FractionOf(0.9), 3, 0);
	EXPECT_NEAR(time.at, 0.1 + 0.9 / 3, 1e-6);
	EXPECT_DOUBLE_EQ(time.low, time.at);
	EXPECT_DOUBLE_EQ(time.high, time.at);
	EXPECT_NEAR(RelativeTimeWith(FractionOf(0.9), 1, 2).at, 1, 1e-9);
}

TEST(RelativeTimeTest, IntervalsAreOrderedWhateverComes)
{
	const float nan = std::numeric_limits<float>::quiet_NaN();
	const float infinite = std::numeric_limits<float>::infinity();
	for (const float mean : {-1e30f, -4.0f, 0.0f, 4.0f, 1e30f, nan, infinite})
		for (const float variance : {0.0f, 1.0f, 100.0f, nan, -1.0f})
			for (const float processes : {-infinite, 0.0f, 1.0f, 2.0f, 9.0f, infinite, nan})
				for (const float z : {-2.0f, 0.0f, 2.0f, nan, infinite}) {
					const RelativeTime time = RelativeTimeWith({mean, variance, 0, 1}, processes, z);
					EXPECT_GT(time.low, 0);
					EXPECT_LE(time.low, time.at);
					EXPECT_LE(time.at, time.high);
					EXPECT_LE(time.high, 1 + 1e-9);
				}
}

TEST(RelativeTimeTest, NoOpinionPromisesNothing)
{
	const RelativeTime time = RelativeTimeWith(Estimate{}, 4, 2);
	EXPECT_EQ(time.at, 1);
	EXPECT_EQ(time.low, 0.25);
	EXPECT_EQ(time.high, 1);
}

/* What recall says of f after noisy runs of one plan. */
class RecallScalability : public ::testing::Test {
  protected:
	static constexpr uint64_t kPlan = 1234;

	Estimate Learn(double fraction, double noise, int runs, const std::vector<int> &processes, uint32_t seed,
	               double trend = 1)
	{
		std::vector<std::byte> memory(RecallStore::BytesNeeded(8));
		RecallStore *store = RecallStore::Init(memory, 8);
		std::mt19937 random(seed);
		std::normal_distribution<double> normal;
		double whole = 800;
		for (int i = 0; i < runs; i++) {
			const int w = processes[random() % processes.size()];
			auto experience = test::JoinExperience(4321, kPlan, 0);
			experience->time_ms = static_cast<float>(whole * (1 - fraction + fraction / w) * std::exp(noise * normal(random)));
			experience->workers_launched = static_cast<int16_t>(w - 1);
			Remember(store, *experience);
			whole *= trend;
		}
		test::PlanBuilder plan = test::JoinPlan();
		plan.Finish();
		plan.graph()->plan_fingerprint = kPlan;
		plan.graph()->template_fingerprint = 4321;
		auto forecast = std::make_unique<Forecast>();
		ModelView models;
		models.recall = store;
		AskRecall(models, *plan.graph(), {}, forecast.get());
		return forecast->answers[kRecallExpert].parallel_fraction;
	}
};

TEST_F(RecallScalability, IsExactWithoutNoise)
{
	for (const double fraction : {0.3, 0.6, 0.9, 0.95})
		EXPECT_NEAR(Fraction(Learn(fraction, 0, 40, {1, 2, 3, 5}, 1).mean), fraction, 0.002) << fraction;
}

TEST_F(RecallScalability, HasNoBiasAndCovers)
{
	constexpr int kSeeds = 200;
	for (const double fraction : {0.3, 0.6, 0.8, 0.9, 0.95}) {
		for (const double noise : {0.05, 0.15, 0.3}) {
			double sum = 0;
			double squares = 0;
			int covered = 0;
			for (int seed = 1; seed <= kSeeds; seed++) {
				const Estimate estimate = Learn(fraction, noise, 60, {1, 2, 3, 5}, static_cast<uint32_t>(seed));
				ASSERT_TRUE(estimate.HasOpinion());
				const double error = Fraction(estimate.mean) - fraction;
				sum += error;
				squares += error * error;
				/* the fit's own uncertainty */
				const float half = 1.96f * std::sqrt(estimate.model_variance);
				if (Fraction(estimate.mean - half) <= fraction && fraction <= Fraction(estimate.mean + half))
					covered++;
			}
			const double bias = sum / kSeeds;
			const double coverage = static_cast<double>(covered) / kSeeds;
			std::printf("f %.2f noise %.2f: bias %+.3f rmse %.3f coverage %.3f\n", fraction, noise, bias,
			            std::sqrt(squares / kSeeds), coverage);
			EXPECT_LT(std::fabs(bias), 0.03) << fraction << " " << noise;
			EXPECT_GT(coverage, 0.9) << fraction << " " << noise;
		}
	}
}

TEST_F(RecallScalability, SurvivesGrowthAndCollapse)
{
	/* the data grow or shrink by 2 % a run, or jump absurdly: opinions stay usable */
	EXPECT_NEAR(Fraction(Learn(0.8, 0.05, 100, {1, 2, 3, 5}, 3, 1.02).mean), 0.8, 0.1);
	EXPECT_NEAR(Fraction(Learn(0.8, 0.05, 100, {1, 2, 3, 5}, 3, 0.98).mean), 0.8, 0.1);
	for (const double trend : {1e-3, 0.1, 10.0, 1e3}) {
		const Estimate estimate = Learn(0.8, 0.05, 100, {1, 2, 3, 5}, 3, trend);
		EXPECT_TRUE(std::isfinite(estimate.mean) && std::isfinite(estimate.model_variance));
	}
}

TEST_F(RecallScalability, OneNumberOfProcessesTeachesNothing)
{
	EXPECT_FALSE(Learn(0.8, 0.1, 50, {3}, 1).HasOpinion());
}

TEST(FitParallelFraction, HostileSums)
{
	const float nan = std::numeric_limits<float>::quiet_NaN();
	for (const float a : {nan, -1e30f, -1.0f, 0.0f, 1.0f, 1e30f})
		for (const float b : {nan, -1e30f, 0.0f, 0.5f, 1e30f})
			for (const float c : {nan, -1.0f, 0.0f, 2.0f, 1e30f}) {
				const Estimate estimate = FitParallelFraction({10, a, b, c, a}, 20, c);
				EXPECT_TRUE(!estimate.HasOpinion() || (std::isfinite(estimate.mean) && estimate.model_variance >= 0));
			}
}

}  // namespace
}  // namespace wlm
