/*
 * learn_accuracy_test.cpp
 *
 * Judging: quantiles of the q-error, coverage, censored outcomes, and the loop
 * predict -> judge -> learn on synthetic workloads, still and drifting.
 */
#include <gtest/gtest.h>

#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "core/learn/learner.hpp"
#include "core/predict/mixture.hpp"
#include "plan_builder.hpp"

namespace wlm {
namespace {

constexpr int kTime = static_cast<int>(Target::kTime);
constexpr int kOperator = static_cast<int>(Target::kOperatorMemory);
constexpr int kQuery = static_cast<int>(Target::kQueryMemory);
constexpr int kMixture = kNumExperts;

/* Predicted by every expert and the mixture alike: median 100, standard deviation of the logarithm `deviation`. */
std::unique_ptr<Experience> Predicted(float actual_ms, float deviation)
{
	auto experience = test::JoinExperience(1, 2, actual_ms);
	experience->num_operators = 0;
	experience->query_memory_kb = 0;
	const Estimate estimate{std::log(100.0f), deviation * deviation, 0, 1};
	experience->time = estimate;
	experience->time_answers[kPlannerExpert] = estimate;
	experience->time_share[kPlannerExpert] = 1;
	return experience;
}

class JudgeTest : public ::testing::Test {
  protected:
	JudgeTest() { InitAccuracy(&accuracy_); }

	Factors FactorsNow(Familiarity familiarity = Familiarity::kPlanSeen, int target = kTime) const
	{
		return CalibrationOf(&accuracy_, familiarity).of[target];
	}

	Accuracy accuracy_;
};

TEST_F(JudgeTest, EmptyWindowsHaveNoNumbers)
{
	const AccuracyRow row = Summarise(accuracy_.windows[kTime][kMixture]);
	EXPECT_EQ(row.samples, 0);
	EXPECT_TRUE(std::isnan(row.p50));
	EXPECT_TRUE(std::isnan(row.coverage));
	EXPECT_EQ(MeanCalibration(accuracy_, Target::kTime), 1);
	EXPECT_EQ(FactorsNow().lower, 1);
	EXPECT_EQ(FactorsNow().upper, 1);
}

TEST_F(JudgeTest, QuantilesOfKnownErrors)
{
	/* q-errors 1.01, 1.02 ... 3.00, above and below in turn */
	for (int i = 1; i <= 200; i++) {
		const float error = 1 + 0.01f * static_cast<float>((i * 67) % 200 + 1);
		Judge(&accuracy_, *Predicted(i % 2 ? 100 * error : 100 / error, 5));
	}
	const AccuracyRow row = Summarise(accuracy_.windows[kTime][kMixture]);
	EXPECT_NEAR(row.p50 / 2.0, 1, 0.05);
	EXPECT_NEAR(row.p90 / 2.8, 1, 0.05);
	EXPECT_NEAR(row.p95 / 2.9, 1, 0.05);
	EXPECT_EQ(row.coverage, 1);
	EXPECT_FLOAT_EQ(static_cast<float>(row.share), 1);
	EXPECT_GT(row.samples, 150);
}

TEST_F(JudgeTest, QuantilesWithinFivePercentEverywhere)
{
	for (float q = 1.005f; q < 1500; q *= 1.37f) {
		InitAccuracy(&accuracy_);
		for (int i = 0; i < 20; i++)
			Judge(&accuracy_, *Predicted(100 * q, 5));
		EXPECT_NEAR(Summarise(accuracy_.windows[kTime][kMixture]).p50 / q, 1, 0.052) << q;
	}
	InitAccuracy(&accuracy_);
	Judge(&accuracy_, *Predicted(1e30f, 5));
	EXPECT_GT(Summarise(accuracy_.windows[kTime][kMixture]).p50, 1500);
}

TEST_F(JudgeTest, ExpertsWithoutOpinionAreNotScored)
{
	Judge(&accuracy_, *Predicted(100, 1));
	EXPECT_GT(accuracy_.windows[kTime][kPlannerExpert].weight, 0);
	EXPECT_EQ(accuracy_.windows[kTime][kRecallExpert].weight, 0);
	EXPECT_EQ(accuracy_.windows[kQuery][kMixture].weight, 0);
}

TEST_F(JudgeTest, CensoredTimesCountOnlyAsProofOfTooLow)
{
	auto early = Predicted(10, 0.5f);
	early->censored = true;
	Judge(&accuracy_, *early);
	EXPECT_EQ(accuracy_.windows[kTime][kMixture].weight, 0);

	auto above = Predicted(110, 0.5f); /* above the median, inside the interval: no proof either way of coverage */
	above->final_state = FinalState::kCancelled;
	Judge(&accuracy_, *above);
	EXPECT_EQ(accuracy_.windows[kTime][kMixture].weight, 1);
	EXPECT_EQ(FactorsNow().upper, 1);

	auto late = Predicted(10000, 0.5f);
	late->final_state = FinalState::kFailed;
	Judge(&accuracy_, *late);
	EXPECT_EQ(accuracy_.windows[kTime][kMixture].weight, 1 + 0.9977f);
	EXPECT_GT(FactorsNow().upper, 1);

	auto rejected = Predicted(10000, 0.5f);
	rejected->final_state = FinalState::kRejected;
	const float before = FactorsNow().upper;
	Judge(&accuracy_, *rejected);
	EXPECT_EQ(FactorsNow().upper, before);
}

TEST_F(JudgeTest, SequenceIsEvenAfterwards)
{
	Judge(&accuracy_, *Predicted(100, 1));
	EXPECT_EQ(accuracy_.sequence.value.load() % 2, 0u);
	accuracy_.sequence.value.store(5);
	InitAccuracy(&accuracy_);
	EXPECT_EQ(accuracy_.sequence.value.load() % 2, 0u);
}

/* Calibrated answers of median 100 and this claimed deviation. */
std::unique_ptr<Experience> Calibrated(float log_error, float deviation, const Factors &factors, Familiarity familiarity)
{
	auto experience = Predicted(100 * std::exp(log_error), deviation * factors.lower);
	experience->time.upward = factors.upper / factors.lower;
	experience->familiarity = familiarity;
	return experience;
}

/* Parts of outcomes: inside the 95 % interval, below the one-sided 95 % bound. */
struct Held {
	double interval = 0;
	double bound = 0;
};

struct CalibrationCase {
	const char *name;
	float (*error)(std::mt19937 *random, int step); /* ln of outcome / median */
};
void PrintTo(const CalibrationCase &c, std::ostream *out) { *out << c.name; }

float Normal(std::mt19937 *random) { return std::normal_distribution<float>()(*random); }

const CalibrationCase kCalibrationCases[] = {
	{"twice_as_wide", [](std::mt19937 *r, int) { return Normal(r); }},
	{"laplace",
     [](std::mt19937 *r, int) { return ((*r)() % 2 ? 1.0f : -1.0f) * std::exponential_distribution<float>(2)(*r); }},
	{"heavy_tails", [](std::mt19937 *r, int) { return 0.5f * std::student_t_distribution<float>(2)(*r); }},
	{"skewed_upwards", [](std::mt19937 *r, int) { return std::exponential_distribution<float>(1)(*r) - 0.69f; }},
	{"skewed_downwards", [](std::mt19937 *r, int) { return 0.69f - std::exponential_distribution<float>(1)(*r); }},
	{"uniform", [](std::mt19937 *r, int) { return std::uniform_real_distribution<float>(-1, 1)(*r); }},
	{"widens", [](std::mt19937 *r, int step) { return (0.3f + 3e-4f * static_cast<float>(step)) * Normal(r); }},
	{"shifts",
     [](std::mt19937 *r, int step) { return 0.5f * Normal(r) + std::sin(static_cast<float>(step) * 2e-3f); }},
	{"jumps", [](std::mt19937 *r, int step) { return 0.4f * Normal(r) + (step / 1500 % 2 ? 0.5f : -0.5f); }},
};

class CalibrationStreams : public ::testing::TestWithParam<CalibrationCase> {};

/* The deviation claimed is 0.5; what is true differs, and in each class of familiarity by another factor. */
TEST_P(CalibrationStreams, FiveOfAHundredLieAbove)
{
	constexpr int kSteps = 9000;
	constexpr int kBurnIn = 300;
	constexpr float kOfClass[] = {0.6f, 1, 1.8f};
	Accuracy accuracy;
	InitAccuracy(&accuracy);
	std::mt19937 random(41);
	Held held[3];
	int count[3] = {};
	for (int step = 0; step < kSteps; step++) {
		const int which = random() % 10 < 6 ? 0 : random() % 4 ? 1 : 2; /* 60, 30 and 10 % */
		const Familiarity familiarity = static_cast<Familiarity>(which);
		const Factors factors = CalibrationOf(&accuracy, familiarity).of[kTime];
		const float error = kOfClass[which] * GetParam().error(&random, step);
		const auto experience = Calibrated(error, 0.5f, factors, familiarity);
		if (step >= kBurnIn) {
			const float value = std::log(experience->time_ms);
			held[which].interval += value >= experience->time.LogAt(-1.96f) && value <= experience->time.LogAt(1.96f);
			held[which].bound += value <= experience->time.LogAt(1.645f);
			count[which]++;
		}
		Judge(&accuracy, *experience);
	}
	Held all;
	for (int i = 0; i < 3; i++) {
		all.interval += held[i].interval / (kSteps - kBurnIn);
		all.bound += held[i].bound / (kSteps - kBurnIn);
		held[i].interval /= count[i];
		held[i].bound /= count[i];
		EXPECT_NEAR(held[i].bound, 0.95, 0.02) << "class " << i;
		EXPECT_NEAR(held[i].interval, 0.95, 0.03) << "class " << i;
	}
	std::printf("             95 %% bound %.3f (classes %.3f %.3f %.3f), 95 %% interval %.3f (%.3f %.3f %.3f)\n",
	            all.bound, held[0].bound, held[1].bound, held[2].bound, all.interval, held[0].interval,
	            held[1].interval, held[2].interval);
	EXPECT_NEAR(all.bound, 0.95, 0.01);
	/* the bound is what is anchored; the interval's upper end follows as if tails were a normal distribution's */
	EXPECT_NEAR(all.interval, 0.95, 0.025);
}

INSTANTIATE_TEST_SUITE_P(All, CalibrationStreams, ::testing::ValuesIn(kCalibrationCases),
                         [](const auto &test_case) { return std::string(test_case.param.name); });

TEST_F(JudgeTest, CalibrationFindsTheRightWidth)
{
	/* the interval is half as wide as the scatter: a factor of 2 is right, on both sides and for everybody */
	std::mt19937 random(1);
	for (int i = 0; i < 6000; i++)
		Judge(&accuracy_, *Calibrated(Normal(&random), 0.5f, FactorsNow(), Familiarity::kPlanSeen));
	EXPECT_NEAR(FactorsNow().lower, 2, 0.5);
	EXPECT_NEAR(FactorsNow().upper, 2, 0.4);
	EXPECT_NEAR(MeanCalibration(accuracy_, Target::kTime), 2, 0.4);
	/* a class of which nothing was seen borrows */
	EXPECT_GT(FactorsNow(Familiarity::kUnseen).upper, 1.1);
}

TEST_F(JudgeTest, SidesAreApart)
{
	std::mt19937 random(2);
	for (int i = 0; i < 4000; i++) {
		const float z = Normal(&random);
		Judge(&accuracy_, *Calibrated(z > 0 ? 2 * z : 0.5f * z, 1, FactorsNow(), Familiarity::kPlanSeen));
	}
	EXPECT_NEAR(FactorsNow().upper, 2, 0.4);
	EXPECT_NEAR(FactorsNow().lower, 0.5, 0.15);
}

TEST_F(JudgeTest, CalibrationStaysInBounds)
{
	for (int i = 0; i < 5000; i++)
		Judge(&accuracy_, *Predicted(1e6f, 0.01f));
	EXPECT_NEAR(FactorsNow().upper, kMostCalibration, 1e-4);
	for (int i = 0; i < 5000; i++)
		Judge(&accuracy_, *Predicted(100, 0.01f));
	EXPECT_NEAR(FactorsNow().upper, kLeastCalibration, 1e-4);
	accuracy_.calibration[kTime].upper = std::numeric_limits<float>::quiet_NaN();
	accuracy_.calibration[kTime].class_upper[0] = std::numeric_limits<float>::infinity();
	accuracy_.calibration[kTime].class_scores[0] = -std::numeric_limits<float>::infinity();
	EXPECT_EQ(FactorsNow().upper, 1);
	Judge(&accuracy_, *Predicted(100, 1));
	EXPECT_TRUE(std::isfinite(accuracy_.calibration[kTime].upper));
	EXPECT_TRUE(std::isfinite(MeanCalibration(accuracy_, Target::kTime)));
	auto hostile = Predicted(100, 1);
	hostile->familiarity = static_cast<Familiarity>(200);
	Judge(&accuracy_, *hostile);
	EXPECT_TRUE(std::isfinite(FactorsNow(static_cast<Familiarity>(200)).upper));
}

/* Templates with plans of their own speed, size and error of the planner; like a real workload most repeat. */
class Workload {
  public:
	explicit Workload(unsigned seed) : random_(seed) {}

	std::unique_ptr<Experience> Next(float speed)
	{
		std::geometric_distribution<int> popular(0.08);
		const int which = popular(random_);
		std::mt19937 own(static_cast<unsigned>(which) * 7919u + 13u);
		const float size = std::exp(2 * Normal(own));
		const float planner_error = std::exp(1.0f * Normal(own));
		const float sort_error = std::exp(1.5f * Normal(own));
		const float hash_error = std::exp(1.5f * Normal(own));
		const float noise = 0.05f + 0.2f * std::fabs(Normal(own));
		auto experience =
			test::JoinExperience(static_cast<uint64_t>(which) / 3 + 1, (static_cast<uint64_t>(which) + 1000) * 2, 0);
		experience->total_cost = 20000 * size;
		experience->estimated_rows = 1000 * size;
		experience->time_ms =
			experience->total_cost * 0.004f * planner_error * speed * std::exp(noise * Normal(random_));
		experience->operators[0].formula_kb = 800 * size;
		experience->operators[1].formula_kb = 200 * size;
		experience->operators[0].needed_kb = 1600 * size * sort_error * std::exp(0.03f * Normal(random_));
		experience->operators[1].needed_kb = 600 * size * hash_error * std::exp(0.03f * Normal(random_));
		experience->query_memory_kb = 700 + experience->operators[0].needed_kb + experience->operators[1].needed_kb;
		return experience;
	}

  private:
	template <class Generator>
	static float Normal(Generator &generator)
	{
		return std::normal_distribution<float>()(generator);
	}

	std::mt19937 random_;
};

class LoopTest : public JudgeTest {
  protected:
	LoopTest() : memory_(RecallStore::BytesNeeded(1024) / 8)
	{
		store_ = RecallStore::Init(std::as_writable_bytes(std::span(memory_)), 1024);
		InitPlannerModel(&planner_);
		InitGate(&gate_);
	}

	struct Result {
		double coverage[3];
		double mixture_p50, mixture_p90, best_p50, best_p90;
	};

	static bool Inside(const Estimate &estimate, float value)
	{
		return std::log(value) >= estimate.LogAt(-1.96f) && std::log(value) <= estimate.LogAt(1.96f);
	}

	Result Run(Workload *workload, int steps, float from_speed, float to_speed)
	{
		int covered[3] = {};
		for (int i = 0; i < steps; i++) {
			const float speed =
				from_speed + (to_speed - from_speed) * static_cast<float>(i) / static_cast<float>(steps);
			auto experience = workload->Next(speed);
			PredictAgain({.planner = &planner_, .recall = store_, .gate = &gate_, .accuracy = &accuracy_, .version = 1},
			             nullptr, experience.get());
			covered[0] += Inside(experience->time, experience->time_ms);
			covered[1] += Inside(experience->operators[0].mixture, experience->operators[0].needed_kb);
			covered[2] += Inside(experience->query_memory, experience->query_memory_kb);
			Learn({.planner = &planner_, .recall = store_, .gate = &gate_, .accuracy = &accuracy_}, *experience);
		}
		Result result{};
		for (int i = 0; i < 3; i++)
			result.coverage[i] = static_cast<double>(covered[i]) / steps;
		const AccuracyRow mixture = Summarise(accuracy_.windows[kTime][kMixture]);
		const AccuracyRow planner = Summarise(accuracy_.windows[kTime][kPlannerExpert]);
		const AccuracyRow recall = Summarise(accuracy_.windows[kTime][kRecallExpert]);
		result.mixture_p50 = mixture.p50;
		result.mixture_p90 = mixture.p90;
		result.best_p50 = std::min(planner.p50, recall.p50);
		result.best_p90 = std::min(planner.p90, recall.p90);
		return result;
	}

	std::vector<uint64_t> memory_;
	RecallStore *store_;
	PlannerModel planner_;
	GateModel gate_;
};

TEST_F(LoopTest, CoverageConverges)
{
	Workload workload(11);
	Run(&workload, 500, 1, 1);
	const Result result = Run(&workload, 4000, 1, 1);
	for (const double coverage : result.coverage)
		EXPECT_NEAR(coverage, 0.95, 0.02);
	EXPECT_NEAR(Summarise(accuracy_.windows[kOperator][kMixture]).coverage, 0.95, 0.03);
}

TEST_F(LoopTest, CoverageHoldsUnderDrift)
{
	Workload workload(12);
	Run(&workload, 500, 1, 1);
	const Result slower = Run(&workload, 2000, 1, 8);
	EXPECT_NEAR(slower.coverage[0], 0.95, 0.025);
	const Result jump = Run(&workload, 1000, 1, 1); /* eight times faster from one query to the next */
	EXPECT_GT(jump.coverage[0], 0.90);
}

TEST_F(LoopTest, MixtureIsAsGoodAsItsBestExpert)
{
	Workload workload(13);
	const Result result = Run(&workload, 3000, 1, 1);
	EXPECT_LT(result.mixture_p50, result.best_p50 * 1.03);
	EXPECT_LT(result.mixture_p90, result.best_p90 * 1.03);
	EXPECT_LT(result.mixture_p50, 1.2);
	const AccuracyRow recall = Summarise(accuracy_.windows[kTime][kRecallExpert]);
	EXPECT_GT(recall.share, 0.8);
}

/* Nothing known yet of most plans: neither expert alone, but the mixture, and its intervals hold all the same. */
TEST_F(LoopTest, TheFirstHundredQueries)
{
	Workload workload(21);
	const Result result = Run(&workload, 150, 1, 1);
	EXPECT_LT(result.mixture_p90, result.best_p90);
	for (const double coverage : result.coverage)
		EXPECT_GT(coverage, 0.9);
}

TEST_F(LoopTest, DeterministicFromTheSameHistory)
{
	Workload first(14);
	Run(&first, 300, 1, 2);
	const PlannerModel &model = planner_;
	const float weight = model.time.weights[0];
	const float calibration = accuracy_.calibration[kTime].upper;
	InitPlannerModel(&planner_);
	InitAccuracy(&accuracy_);
	InitGate(&gate_);
	store_->Clear();
	Workload second(14);
	Run(&second, 300, 1, 2);
	EXPECT_EQ(planner_.time.weights[0], weight);
	EXPECT_EQ(accuracy_.calibration[kTime].upper, calibration);
}

TEST(Names, OfTargetsAndJudged)
{
	EXPECT_STREQ(TargetName(Target::kTime), "time");
	EXPECT_STREQ(TargetName(Target::kOperatorMemory), "operator_memory");
	EXPECT_STREQ(TargetName(Target::kQueryMemory), "query_memory");
	EXPECT_STREQ(TargetName(Target::kNumTargets), "unknown");
	EXPECT_STREQ(JudgedName(kPlannerExpert), "planner");
	EXPECT_STREQ(JudgedName(kRecallExpert), "recall");
	EXPECT_STREQ(JudgedName(kNumExperts), "mixture");
	EXPECT_STREQ(JudgedName(-1), "unknown");
	EXPECT_STREQ(JudgedName(99), "unknown");
}

}  // namespace
}  // namespace wlm
