/*
 * grant_parallelism_test.cpp
 *
 * How many of the planned workers a query should have.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "core/grant/parallelism.hpp"

namespace wlm {
namespace {

class ParallelismTest : public ::testing::Test {
  protected:
	ParallelismTest() : forecast(std::make_unique<Forecast>()), outcomes(std::make_unique<GrantOutcomes>())
	{
		std::memset(static_cast<void *>(forecast.get()), 0, sizeof(Forecast));
		std::memset(static_cast<void *>(outcomes.get()), 0, sizeof(GrantOutcomes));
		forecast->has_opinion = true;
		forecast->time = Estimate{8, 0.1f, 0.1f, 5};
	}

	void Fraction(double fraction, float variance = 0)
	{
		forecast->parallel_fraction = Estimate{static_cast<float>(std::log(fraction / (1 - fraction))), variance, 0, 5};
	}
	WorkerChoice Choose(int planned) const { return ChooseWorkers(*forecast, planned, load, outcomes.get()); }

	std::unique_ptr<Forecast> forecast;
	std::unique_ptr<GrantOutcomes> outcomes;
	ParallelLoad load{16, 0, 0};
};

TEST_F(ParallelismTest, AsPlannedWithoutAReason)
{
	for (int planned : {0, -1}) {
		EXPECT_EQ(Choose(planned).workers, 0);
		EXPECT_EQ(Choose(planned).reason, WorkerReason::kAsPlanned);
	}
	EXPECT_EQ(Choose(4).workers, 4); /* no opinion on how it scales */
	Fraction(0.97);
	EXPECT_EQ(Choose(4).workers, 4);
	EXPECT_EQ(Choose(4).reason, WorkerReason::kAsPlanned);
	forecast->has_opinion = false;
	Fraction(0.05);
	EXPECT_EQ(Choose(4).workers, 4);
}

TEST_F(ParallelismTest, WorkersThatSaveNothingStay)
{
	Fraction(0.5);
	/* the 8th process saves 0.5 / 56 of 0.5625: 1.6 %; the 5th 0.025 of 0.6: 4.2 %; the 6th 0.0167 of 0.583: 2.9 % */
	EXPECT_EQ(Choose(7).workers, 4);
	EXPECT_EQ(Choose(7).reason, WorkerReason::kScalability);
	EXPECT_EQ(Choose(2).workers, 2);
	Fraction(0.5, 4); /* it may as well scale much better */
	EXPECT_EQ(Choose(7).workers, 7);
	Fraction(0.03);
	EXPECT_EQ(Choose(7).workers, 0);
}

TEST_F(ParallelismTest, AFairShareUnderLoad)
{
	Fraction(0.99);
	load = ParallelLoad{8, 3, 0.9f};
	EXPECT_EQ(Choose(6).workers, 1);
	EXPECT_EQ(Choose(6).reason, WorkerReason::kLoad);
	load.saturation = 0.7f;
	EXPECT_EQ(Choose(6).workers, 6);
	load.saturation = NAN;
	EXPECT_EQ(Choose(6).workers, 6);
	load = ParallelLoad{8, 100, 1};
	EXPECT_EQ(Choose(6).workers, 0);
	load = ParallelLoad{8, 1, 1};
	EXPECT_EQ(Choose(6).workers, 3);
	EXPECT_EQ(Choose(2).workers, 2);
	load = ParallelLoad{8, 0, 1};
	EXPECT_EQ(Choose(6).workers, 6); /* nobody else is there */
	load = ParallelLoad{8, 3, 0.9f};
	forecast->time = Estimate{};
	EXPECT_EQ(Choose(6).workers, 6);
}

TEST_F(ParallelismTest, WithdrawnWhereItWasSlower)
{
	Fraction(0.03);
	outcomes->as_planned = {10, 0.1f, 0.04f};
	outcomes->fewer_workers = {5, 0.6f, 0.04f};
	EXPECT_EQ(Choose(4).workers, 4);
	EXPECT_EQ(Choose(4).reason, WorkerReason::kWithdrawn);
	EXPECT_EQ(ChooseWorkers(*forecast, 4, load, nullptr).workers, 0);

	outcomes->fewer_workers = {2, 0.6f, 0.04f}; /* too few */
	EXPECT_EQ(Choose(4).workers, 0);
	outcomes->fewer_workers = {5, 0.18f, 0.0001f}; /* too little */
	EXPECT_EQ(Choose(4).workers, 0);
	outcomes->fewer_workers = {5, 0.6f, 2}; /* noise */
	EXPECT_EQ(Choose(4).workers, 0);
	outcomes->fewer_workers = {5, NAN, 2};
	EXPECT_EQ(Choose(4).workers, 0);
	outcomes->fewer_workers = {5, 0.6f, 0.04f};
	load = ParallelLoad{8, 7, 1}; /* what others need is not withdrawn */
	EXPECT_EQ(Choose(4).workers, 0);
	load = ParallelLoad{16, 0, 0};
	Fraction(0.97); /* nothing to withdraw */
	outcomes->fewer_workers = {5, 0.6f, 0.04f};
	EXPECT_EQ(Choose(4).reason, WorkerReason::kAsPlanned);
}

TEST_F(ParallelismTest, NeverMoreThanPlanned)
{
	for (int planned = 1; planned < 40; planned++)
		for (double fraction = 0.01; fraction < 1; fraction += 0.07)
			for (int running : {-1, 0, 1, 5, 50}) {
				Fraction(fraction, 0.5f);
				load = ParallelLoad{12, running, 1};
				const WorkerChoice choice = Choose(planned);
				EXPECT_GE(choice.workers, 0);
				EXPECT_LE(choice.workers, planned);
				EXPECT_EQ(choice.workers == planned, choice.reason == WorkerReason::kAsPlanned);
			}
}

TEST_F(ParallelismTest, ReasonsHaveNames)
{
	EXPECT_STREQ(WorkerReasonName(WorkerReason::kAsPlanned), "as planned");
	EXPECT_STREQ(WorkerReasonName(WorkerReason::kScalability), "scalability");
	EXPECT_STREQ(WorkerReasonName(WorkerReason::kLoad), "load");
	EXPECT_STREQ(WorkerReasonName(WorkerReason::kWithdrawn), "withdrawn");
}

}  // namespace
}  // namespace wlm
