/*
 * gate_test.cpp
 *
 * The gate on synthetic experts: no single expert beats the mixture by more than
 * noise on P50 or P90, still or right after a change; how fast it turns; and what
 * it does with numbers of any absurdity.
 */
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <limits>
#include <thread>

#include "gate_streams.hpp"

namespace wlm {
namespace {

using test::GateLoop;
using test::Normal;
using test::Question;
using test::Random;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

/* After a change, and after the start, that many scores are not judged. */
constexpr int kBurnIn = 50;
constexpr int kChange = 1000;
constexpr double kMostRatio = 1.02;

/* Independent errors on top of what nobody can know; `claimed` is what the experts say their deviation is. */
void Say(Random *random, Question *question, const float (&deviations)[kNumExperts],
         const float (&claimed)[kNumExperts], float unknowable = 0.1f)
{
	const float common = Normal(random, unknowable);
	for (int e = 0; e < kNumExperts; e++) {
		question->said.error[e] = common + Normal(random, deviations[e]);
		question->said.claimed[e] = claimed[e];
	}
}

struct Case {
	const char *name;
	test::Stream stream;
	int from;
	int to;
	float most_p50 = kMostRatio; /* tighter where the mixture has to be better than the best */
	float most_p90 = kMostRatio;
};

void PrintTo(const Case &c, std::ostream *out) { *out << c.name; }

constexpr float kHonest[kNumExperts] = {0.5f, 0.5f, 0.5f, 0.5f, 0.5f};

Case Still(const char *name, test::Stream stream) { return {name, std::move(stream), kBurnIn, 2000}; }
Case Changing(const char *name, test::Stream stream)
{
	return {name, std::move(stream), kChange + kBurnIn, kChange + 450};
}
Case Complementary(const char *name, test::Stream stream)
{
	return {name, std::move(stream), kBurnIn, 2000, 0.97f, 0.7f};
}

const Case kCases[] = {
	Still("one_best",
          [](Random *r, Question *q) {
			  Say(r, q, {0.8f, 0.15f, 0.3f, 0.5f, 1.2f}, {0.8f, 0.18f, 0.32f, 0.51f, 1.2f});
		  }),
	Still("one_best_and_all_lie_about_it",
          [](Random *r, Question *q) { Say(r, q, {0.8f, 0.15f, 0.3f, 0.5f, 1.2f}, {0.1f, 0.8f, 0.4f, 0.3f, 0.05f}); }),
	Still("all_close", [](Random *r, Question *q) { Say(r, q, {0.30f, 0.33f, 0.36f, 0.39f, 0.42f}, kHonest); }),
	Still("all_equal", [](Random *r, Question *q) { Say(r, q, {0.3f, 0.3f, 0.3f, 0.3f, 0.3f}, kHonest); }),
	Still("all_the_same", [](Random *r, Question *q) { Say(r, q, {0, 0, 0, 0, 0}, kHonest, 0.3f); }),
	Still("biased",
          [](Random *r, Question *q) {
			  Say(r, q, {0.2f, 0.2f, 0.2f, 0.2f, 0.2f}, kHonest);
			  constexpr float kBias[kNumExperts] = {0, 0.3f, 0.6f, -0.5f, 1};
			  for (int e = 0; e < kNumExperts; e++)
				  q->said.error[e] += kBias[e];
		  }),
	Still("precise",
          [](Random *r, Question *q) {
			  Say(r, q, {0.3f, 0.01f, 0.1f, 0.05f, 0.02f}, {0.3f, 0.1f, 0.1f, 0.02f, 0.02f}, 0.01f);
		  }),
	Still("heavy_tails",
          [](Random *r, Question *q) {
			  const float outlier = 0.2f * std::student_t_distribution<float>(2)(*r);
			  Say(r, q, {0.8f, 0.15f, 0.3f, 0.5f, 1.2f}, kHonest);
			  for (float &error : q->said.error)
				  error += outlier;
		  }),
	Still("best_sleeps_two_of_five_times",
          [](Random *r, Question *q) {
			  Say(r, q, {0.8f, 0.1f, 0.3f, 0.5f, 1.2f}, {0.5f, 0.2f, 0.4f, 0.5f, 0.9f});
			  if ((*r)() % 5 < 2) {
				  q->said.claimed[1] = 0;
				  q->familiarity = Familiarity::kUnseen;
			  }
		  }),
	Complementary("by_template",
                  [](Random *r, Question *q) {
					  const bool odd = q->template_number % 2 != 0;
					  Say(r, q, {odd ? 0.1f : 1, odd ? 1 : 0.1f, 0.6f, 0.7f, 0.8f}, {0.3f, 0.3f, 0.6f, 0.6f, 0.6f});
				  }),
	Complementary("by_cost",
                  [](Random *r, Question *q) {
					  const bool cheap = (*r)() % 2 != 0;
					  q->template_number = static_cast<int>((*r)() % 1000);
					  q->cost = cheap ? 1000 : 1e6f;
					  Say(r, q, {cheap ? 0.1f : 1, cheap ? 1 : 0.1f, 0.6f, 0.7f, 0.8f},
		                  {0.3f, 0.3f, 0.6f, 0.6f, 0.6f});
				  }),
	Complementary("by_familiarity",
                  [](Random *r, Question *q) {
					  const bool seen = (*r)() % 2 != 0;
					  q->template_number = static_cast<int>((*r)() % 1000);
					  q->familiarity = seen ? Familiarity::kPlanSeen : Familiarity::kUnseen;
					  Say(r, q, {seen ? 0.1f : 1, seen ? 1 : 0.1f, 0.6f, 0.7f, 0.8f},
		                  {0.3f, 0.3f, 0.6f, 0.6f, 0.6f});
				  }),
	Changing("another_becomes_best",
             [](Random *r, Question *q) {
				 const bool before = q->step < kChange;
				 Say(r, q, {before ? 0.1f : 0.8f, before ? 0.8f : 0.1f, 0.5f, 0.5f, 0.6f},
	                 {0.2f, 0.6f, 0.5f, 0.5f, 0.6f});
			 }),
	Changing("another_becomes_best_by_little",
             [](Random *r, Question *q) {
				 const bool before = q->step < kChange;
				 Say(r, q, {before ? 0.2f : 0.3f, before ? 0.3f : 0.2f, 0.5f, 0.5f, 0.6f},
	                 {0.2f, 0.3f, 0.5f, 0.5f, 0.6f});
			 }),
	Changing("four_of_five_are_eight_times_too_low",
             [](Random *r, Question *q) {
				 Say(r, q, {0.1f, 0.3f, 0.5f, 0.5f, 0.6f}, {0.1f, 0.3f, 0.5f, 0.5f, 0.6f});
				 for (const int e : {0, 2, 3, 4})
					 q->said.error[e] -= q->step < kChange ? 0 : 2.08f;
			 }),
	Changing("best_turns_into_garbage",
             [](Random *r, Question *q) {
				 const bool before = q->step < kChange;
				 Say(r, q, {before ? 0.1f : 4, 0.3f, 0.5f, 0.5f, 0.6f}, {0.01f, 0.3f, 0.5f, 0.5f, 0.6f});
			 }),
	Changing("garbage_turns_into_best",
             [](Random *r, Question *q) {
				 const bool before = q->step < kChange;
				 Say(r, q, {before ? 4 : 0.05f, 0.3f, 0.5f, 0.5f, 0.6f}, {1, 0.3f, 0.5f, 0.5f, 0.6f});
			 }),
	Still("drifts_slowly",
          [](Random *r, Question *q) {
			  const float done = static_cast<float>(q->step) / 2000;
			  Say(r, q, {0.1f + 0.6f * done, 0.7f - 0.6f * done, 0.5f, 0.5f, 0.6f}, kHonest);
		  }),
	/* what nobody can know hides who is wrong: it takes longer to see */
	{"a_bias_hidden_by_noise",
     [](Random *r, Question *q) {
		 Say(r, q, {0.05f, 0.05f, 0.5f, 0.5f, 0.6f}, kHonest, 0.6f);
		 q->said.error[q->step < kChange ? 1 : 0] += 0.5f;
	 },
     kChange + 150, kChange + 1000},
	Changing("regions_swap",
             [](Random *r, Question *q) {
				 const bool odd = (q->template_number % 2 != 0) == (q->step < kChange);
				 Say(r, q, {odd ? 0.1f : 1, odd ? 1 : 0.1f, 0.3f, 0.7f, 0.8f}, {0.3f, 0.3f, 0.3f, 0.6f, 0.6f});
			 }),
};

class GateStreams : public ::testing::TestWithParam<Case> {};

TEST_P(GateStreams, NoExpertBeatsTheMixture)
{
	constexpr int kSeeds = 4;
	const Case &c = GetParam();
	double p50 = 0;
	double p90 = 0;
	for (unsigned seed = 1; seed <= kSeeds; seed++) {
		GateLoop loop;
		const test::Errors errors = loop.Run(c.stream, c.to, seed * 1009);
		const test::Ratio middle = AgainstBest(errors, c.from, c.to, 0.5, seed, 0.5);
		const test::Ratio high = AgainstBest(errors, c.from, c.to, 0.9, seed, 0.5);
		EXPECT_LT(middle.lower, kMostRatio) << "P50, seed " << seed << ", expert " << middle.best;
		EXPECT_LT(high.lower, kMostRatio) << "P90, seed " << seed << ", expert " << high.best;
		p50 += middle.measured / kSeeds;
		p90 += high.measured / kSeeds;
	}
	std::printf("             P50 %.3f, P90 %.3f of the best expert's\n", p50, p90);
	EXPECT_LT(p50, static_cast<double>(c.most_p50));
	EXPECT_LT(p90, static_cast<double>(c.most_p90));
}

INSTANTIATE_TEST_SUITE_P(All, GateStreams, ::testing::ValuesIn(kCases),
                         [](const auto &test_case) { return std::string(test_case.param.name); });

/* Scores that it takes until what was best and is garbage now has lost, and what was garbage has won. */
TEST(Gate, TurnsWithinTens)
{
	GateLoop loop;
	const test::Errors errors = loop.Run(
		[](Random *r, Question *q) {
			const bool before = q->step < kChange;
			Say(r, q, {before ? 0.1f : 3, before ? 3 : 0.1f, 0.5f, 0.5f, 0.6f}, {0.1f, 0.1f, 0.5f, 0.5f, 0.6f});
		},
		kChange + 200, 5);
	EXPECT_GT(errors.share[0][kChange - 1], 0.9f);
	int lost = 0;
	int won = 0;
	for (size_t i = kChange; i < kChange + 200; i++) {
		lost += errors.share[0][i] > 0.1f;
		won += errors.share[1][i] < 0.9f;
	}
	std::printf("             lost after %d scores, the other won after %d\n", lost, won);
	EXPECT_LT(lost, 20);
	EXPECT_LT(won, 50);
}

const Estimate kSome[kNumExperts] = {{1, 0.5f, 0.2f, 2}, {1.5f, 0.1f, 0.3f, 0.4f}, {}, {3, 2, 0, 10}, {0.5f, 1, 1, 1}};

class GateTest : public ::testing::Test {
  protected:
	GateTest() { InitGate(&gate_); }

	bool IsSaneNow() const { return GateModelIsSane(std::as_bytes(std::span(&gate_, 1))); }

	GateModel gate_;
};

TEST_F(GateTest, AFreshGateMixesByPrecision)
{
	float expected[kNumExperts];
	float shares[kNumExperts];
	PrecisionShares(kSome, expected);
	for (int target = 0; target < kNumTargets; target++)
		for (const Familiarity familiarity : {Familiarity::kPlanSeen, Familiarity::kUnseen}) {
			GateShares(gate_.view, static_cast<Target>(target), MakeGateQuery(familiarity, 0.5f, 1000, 5), kSome, shares);
			for (int e = 0; e < kNumExperts; e++)
				EXPECT_NEAR(shares[e], expected[e], 1e-4);
		}
	EXPECT_TRUE(IsSaneNow());
}

TEST_F(GateTest, NobodyAndOnlyOne)
{
	const Estimate nobody[kNumExperts] = {};
	float shares[kNumExperts];
	GateShares(gate_.view, Target::kTime, GateQuery{}, nobody, shares);
	for (const float share : shares)
		EXPECT_EQ(share, 0);
	const Estimate one[kNumExperts] = {{}, {}, {7, 1, 1, 0.1f}};
	GateShares(gate_.view, Target::kTime, GateQuery{}, one, shares);
	EXPECT_FLOAT_EQ(shares[2], 1);
}

std::unique_ptr<Experience> Outcome(float time_ms)
{
	auto experience = std::make_unique<Experience>();
	experience->final_state = FinalState::kCompleted;
	experience->time_ms = time_ms;
	experience->total_cost = 100;
	experience->num_nodes = 3;
	for (int e = 0; e < kNumExperts; e++)
		experience->time_answers[e] = {std::log(100.0f) + static_cast<float>(e), 0.5f, 0, 1};
	return experience;
}

TEST_F(GateTest, CensoredOutcomesOnlyPushUp)
{
	const auto mean = [&] {
		float shares[kNumExperts];
		const auto asked = Outcome(0);
		GateShares(gate_.view, Target::kTime, MakeGateQuery(Familiarity::kPlanSeen, 0, 100, 3), asked->time_answers, shares);
		return Combine(asked->time_answers, shares, {}).mean;
	};
	const float before = mean();
	auto cut = Outcome(50);
	cut->censored = true;
	for (int i = 0; i < 50; i++)
		LearnGate(&gate_, nullptr, *cut, 1);
	EXPECT_NEAR(mean(), before, 1e-4);
	cut->time_ms = 3000;
	for (int i = 0; i < 50; i++)
		LearnGate(&gate_, nullptr, *cut, 1);
	EXPECT_GT(mean(), before + 0.5f);
}

/* One role cannot teach the network faster than its share; whom to believe follows recent errors, whoever made them. */
TEST_F(GateTest, WeightsScaleTheNetworksStep)
{
	GateModel slow;
	InitGate(&slow);
	for (int i = 0; i < 10; i++) {
		LearnGate(&gate_, nullptr, *Outcome(100), 1);
		LearnGate(&slow, nullptr, *Outcome(100), 0.01f);
	}
	EXPECT_GT(gate_.view.records[0][0].losses.excess[4], 0.5f);
	EXPECT_EQ(slow.view.records[0][0].losses.scores[4], gate_.view.records[0][0].losses.scores[4]);
	const auto moved = [](const GateModel &gate) {
		double sum = 0;
		for (int e = 0; e < kNumExperts; e++)
			sum += std::fabs(gate.view.weights.score_query[0][e][7] - FirstGateWeights().score_query[0][e][7]);
		return sum;
	};
	EXPECT_GT(moved(gate_), 0);
	EXPECT_LT(moved(slow), 0.1 * moved(gate_));
	const GateView before = slow.view;
	LearnGate(&slow, nullptr, *Outcome(100), 0);
	LearnGate(&slow, nullptr, *Outcome(100), kNan);
	EXPECT_EQ(std::memcmp(&slow.view, &before, sizeof before), 0);
}

TEST_F(GateTest, TemplatesHaveLossesOfTheirOwn)
{
	std::vector<uint64_t> memory(RecallStore::BytesNeeded(64) / 8);
	RecallStore *recall = RecallStore::Init(std::as_writable_bytes(std::span(memory)), 64);
	auto first = Outcome(100);
	first->template_fingerprint = 7;
	TemplateLosses losses;
	LearnGate(&gate_, recall, *first, 1);
	EXPECT_FALSE(recall->FindLosses(7, &losses)); /* no entry: nothing is kept */
	for (int i = 0; i < 20; i++)
		Learn({.recall = recall, .gate = &gate_}, *first);
	ASSERT_TRUE(recall->FindLosses(7, &losses));
	EXPECT_TRUE(recall->Has(TemplateKey(7)));
	EXPECT_FALSE(recall->Has(7));
	EXPECT_GT(losses.time.excess[4], losses.time.excess[0] + 1);
	EXPECT_GT(losses.time.scores[4], 10);
	EXPECT_EQ(losses.operator_memory.scores[0], 0);
	EXPECT_FALSE(recall->FindLosses(8, &losses));
	EXPECT_EQ(losses.time.scores[4], 0);
}

TEST(Gate, Deterministic)
{
	const test::Stream stream = kCases[0].stream;
	GateLoop first;
	GateLoop second;
	first.Run(stream, 500, 3);
	second.Run(stream, 500, 3);
	EXPECT_EQ(std::memcmp(&first.gate(), &second.gate(), sizeof(GateModel)), 0);
}

TEST_F(GateTest, AbsurdNumbersLeaveItSane)
{
	constexpr float kValues[] = {0, 1, -1, 1e-38f, 1e38f, -1e38f, kNan, kInf, -kInf, 1e10f, 5, 1e-10f, 20};
	Random random(9);
	const auto number = [&] { return kValues[random() % std::size(kValues)]; };
	auto experience = std::make_unique<Experience>();
	for (int i = 0; i < 20000; i++) {
		experience->final_state = static_cast<FinalState>(random() % 6);
		experience->familiarity = static_cast<Familiarity>(random() % 250);
		experience->novelty = number();
		experience->total_cost = number();
		experience->num_nodes = static_cast<int16_t>(random());
		experience->time_ms = number();
		experience->query_memory_kb = number();
		experience->censored = random() % 3 == 0;
		experience->num_operators = static_cast<int16_t>(random() % 70);
		for (int e = 0; e < kNumExperts; e++) {
			experience->time_answers[e] = {number(), number(), number(), number()};
			experience->query_memory_answers[e] = {number(), number(), number(), number()};
			experience->operators[0].answers[e] = {number(), number(), number(), number()};
		}
		experience->operators[0].flags = static_cast<uint8_t>(random() % 8);
		experience->operators[0].needed_kb = number();
		LearnGate(&gate_, nullptr, *experience, number());
		float shares[kNumExperts];
		GateShares(gate_.view, Target::kTime, MakeGateQuery(experience->familiarity, number(), number(), -5),
		           experience->time_answers, shares);
		float total = 0;
		for (const float share : shares) {
			ASSERT_TRUE(share >= 0 && share <= 1.0001f);
			total += share;
		}
		ASSERT_TRUE(total == 0 || std::fabs(total - 1) < 1e-3f);
		if (i % 100 == 0) {
			ASSERT_TRUE(IsSaneNow()) << i;
		}
	}
	EXPECT_TRUE(IsSaneNow());
}

TEST_F(GateTest, InsaneModelsAreFound)
{
	const auto bytes = std::as_bytes(std::span(&gate_, 1));
	EXPECT_TRUE(GateModelIsSane(bytes));
	EXPECT_FALSE(GateModelIsSane(bytes.first(bytes.size() - 1)));
	EXPECT_FALSE(GateModelIsSane({}));
	for (const float poison : {kNan, kInf, 1e30f, -1e30f}) {
		for (float *place : {&gate_.view.weights.score_answer[1][2], &gate_.view.records[2][1].choices[1],
		                     &gate_.view.records[1][0].losses.excess[3], &gate_.view.records[0][2].loss, &gate_.gradient_mean[7],
		                     &gate_.gradient_square[kNumGateWeights - 1]}) {
			const float good = std::exchange(*place, poison);
			EXPECT_FALSE(IsSaneNow());
			*place = good;
		}
	}
	gate_.shape++;
	EXPECT_FALSE(IsSaneNow());
	gate_.shape--;
	gate_.sequence.BeginWrite();
	EXPECT_FALSE(IsSaneNow());
	GateView view;
	EXPECT_FALSE(ReadGate(gate_, &view));
	gate_.sequence.EndWrite();
	EXPECT_TRUE(IsSaneNow());
}

TEST_F(GateTest, ReplacingKeepsTheCounterEven)
{
	GateModel learned;
	InitGate(&learned);
	for (int i = 0; i < 30; i++)
		LearnGate(&learned, nullptr, *Outcome(100), 1);
	const uint32_t before = gate_.sequence.value.load();
	ReplaceGate(&gate_, learned);
	EXPECT_EQ(gate_.sequence.value.load(), before + 2);
	EXPECT_EQ(std::memcmp(&gate_.view, &learned.view, sizeof gate_.view), 0);
	EXPECT_TRUE(IsSaneNow());
}

/* Choices sum to 1 in every whole copy; a torn one would not. */
TEST_F(GateTest, ReadersBesideTheWriterSeeWholeGates)
{
	std::atomic<bool> stop{false};
	std::atomic<int> read{0};
	std::atomic<int> torn{0};
	std::thread reader([&] {
		GateView view;
		while (!stop.load(std::memory_order_relaxed)) {
			if (!ReadGate(gate_, &view))
				continue;
			read++;
			/* every loss is folded with the same outcome: scores of all experts are equal */
			for (int e = 1; e < kNumExperts; e++)
				if (view.records[0][0].losses.scores[e] != view.records[0][0].losses.scores[0])
					torn++;
		}
	});
	for (int i = 0; i < 5000 || (read.load() == 0 && i < 2000000); i++)
		LearnGate(&gate_, nullptr, *Outcome(50 + static_cast<float>(i % 200)), i % 2 ? 1 : 0.5f);
	stop = true;
	reader.join();
	EXPECT_GT(read.load(), 0);
	EXPECT_EQ(torn.load(), 0);
}

/* Prints, asserts nothing: tests never depend on how fast the machine is. */
TEST_F(GateTest, Measure)
{
	constexpr int kRounds = 20000;
	using Clock = std::chrono::steady_clock;
	const auto experience = Outcome(100);
	const GateQuery query = MakeGateQuery(Familiarity::kPlanSeen, 0, 100, 3);
	float shares[kNumExperts];
	float sum = 0;
	const auto start = Clock::now();
	for (int i = 0; i < kRounds; i++) {
		GateShares(gate_.view, Target::kTime, query, experience->time_answers, shares);
		sum += shares[0];
	}
	const auto asked = Clock::now();
	for (int i = 0; i < kRounds; i++)
		LearnGate(&gate_, nullptr, *experience, 1);
	const auto learned = Clock::now();
	const auto us = [](Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count() / kRounds; };
	std::printf("             view %zu bytes, shares of one target %.2f us, learning one target %.2f us (%g)\n",
	            sizeof(GateView), us(asked - start), us(learned - asked), static_cast<double>(sum) / kRounds);
}

}  // namespace
}  // namespace wlm
