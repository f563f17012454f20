/*
 * overlap_test.cpp
 *
 * How much ran beside whom: the policy's integral of load over time, and what an
 * execution says to the learner.
 */
#include "core/learn/overlap.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "policy_fixture.hpp"

namespace wlm {
namespace {

using test::Make;
using test::OneQueue;

class OverlapTest : public test::PolicyFixture {
  protected:
	QueryHandle Begin(float load, double at_ms)
	{
		QueryRequest request = Make({});
		request.load = load;
		return policy->Arrive(request, at_ms).handle;
	}

	double Beside(QueryHandle handle) const { return policy->View(handle).load_beside; }
};

TEST_F(OverlapTest, MeanOfWhatTheOthersKeepBusy)
{
	config = OneQueue(10);
	Start(16);
	const QueryHandle first = Begin(1, 1000);
	policy->Tick(2000, Saturation::Cpu(0));
	EXPECT_DOUBLE_EQ(0, Beside(first));                     /* its own load does not count */
	const QueryHandle second = Begin(3, 2000);
	policy->Tick(3000, Saturation::Cpu(0));
	EXPECT_DOUBLE_EQ(1.5, Beside(first));                   /* 3 for half of its time */
	EXPECT_DOUBLE_EQ(1, Beside(second));
	policy->Finish(first, 3000);
	policy->Tick(5000, Saturation::Cpu(0));
	EXPECT_NEAR(1.0 / 3, Beside(second), 1e-6);
}

TEST_F(OverlapTest, WaitingAndReturnedQueriesAreNoLoad)
{
	config = OneQueue(1);
	Start(16);
	const QueryHandle first = Begin(1, 1000);
	const QueryHandle waiting = Begin(1, 1000);
	ASSERT_EQ(QueryState::kQueued, policy->View(waiting).state);
	policy->Tick(2000, Saturation::Cpu(0));
	EXPECT_DOUBLE_EQ(0, Beside(first));
	policy->Pause(first, 2000);                             /* the other starts in its place */
	policy->Tick(4000, Saturation::Cpu(0));
	EXPECT_DOUBLE_EQ(0, Beside(waiting));
	EXPECT_DOUBLE_EQ(0, Beside(first));                     /* and while it does not run nobody is beside it */
	policy->Resume(first, 4000);
	policy->Tick(6000, Saturation::Cpu(0));
	EXPECT_NEAR(0.5, Beside(waiting), 1e-6);
	EXPECT_NEAR(2.0 / 3, Beside(first), 1e-6);              /* 1 s alone, 2 s together */
}

TEST_F(OverlapTest, UnknownLoadCountsAsOneProcess)
{
	config = OneQueue(10);
	Start(16);
	const QueryHandle first = Begin(1, 1000);
	Begin(0, 1000);
	Begin(std::nanf(""), 1000);
	policy->Tick(2000, Saturation::Cpu(0));
	EXPECT_DOUBLE_EQ(2, Beside(first));
}

Experience Completed(float predicted_ms, float actual_ms, float deviation, float load)
{
	Experience experience{};
	experience.final_state = FinalState::kCompleted;
	experience.time = Estimate{};
	experience.time.mean = std::log(predicted_ms);
	experience.time.data_variance = deviation * deviation;
	experience.time.support = 1;
	experience.time_ms = actual_ms;
	experience.load_beside = load;
	return experience;
}

TEST(OverlapOfTest, RatioLoadAndTrust)
{
	Overlap overlap;
	ASSERT_TRUE(OverlapOf(Completed(100, 250, 0.5f, 3), &overlap));
	EXPECT_NEAR(2.5, overlap.ratio, 1e-5);
	EXPECT_EQ(3, overlap.load);
	EXPECT_NEAR(0.5, overlap.weight, 1e-5);
	Overlap surer;
	ASSERT_TRUE(OverlapOf(Completed(100, 250, 0.1f, 3), &surer));
	EXPECT_GT(surer.weight, overlap.weight);
}

TEST(OverlapOfTest, SaysNothingWhenCutShortOrTooShortOrUnknown)
{
	Overlap overlap;
	EXPECT_FALSE(OverlapOf(Completed(100, 10, 0.5f, 3), &overlap));
	EXPECT_FALSE(OverlapOf(Completed(100, 250, 0.5f, -1), &overlap));
	Experience censored = Completed(100, 250, 0.5f, 3);
	censored.censored = true;
	EXPECT_FALSE(OverlapOf(censored, &overlap));
	Experience failed = Completed(100, 250, 0.5f, 3);
	failed.final_state = FinalState::kFailed;
	EXPECT_FALSE(OverlapOf(failed, &overlap));
	Experience unknown = Completed(100, 250, 0.5f, 3);
	unknown.time = Estimate{};
	EXPECT_FALSE(OverlapOf(unknown, &overlap));
}

}  // namespace
}  // namespace wlm
