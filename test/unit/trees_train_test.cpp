/*
 * trees_train_test.cpp
 *
 * What the trees learn: from sums over pipelines, from operators, from bounds;
 * that our walk says what XGBoost says; and that learning is deterministic.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <random>

#include "core/predict/operator_features.hpp"
#include "core/predict/trees_layout.hpp"
#include "trainer/trees_booster.hpp"
#include "trainer/trees_json.hpp"
#include "trainer/trees_objective.hpp"
#include "trainer/trees_pack.hpp"
#include "trainer/trees_train.hpp"
#include "trees_synthetic.hpp"

namespace wlm::trainer {
namespace {

#define NEEDS_XGBOOST()       \
	if (!HasTreesTrainer())   \
	GTEST_SKIP() << "built without XGBoost"

constexpr PlanContext kContext{4096, 2, true};

/* Bytes aligned as in shared memory. */
class Model {
  public:
	explicit Model(const std::vector<std::byte> &bytes) : words_((bytes.size() + 7) / 8)
	{
		std::memcpy(words_.data(), bytes.data(), bytes.size());
	}
	const TreesModel &operator*() const { return *reinterpret_cast<const TreesModel *>(words_.data()); }

  private:
	std::vector<uint64_t> words_;
};

const ExpertAnswer &Ask(const TreesModel &model, const PlanGraph &graph, Forecast *forecast, PlanContext context = kContext)
{
	ModelView models;
	models.trees = &model;
	AskTrees(models, graph, context, forecast);
	return forecast->answers[kTreesExpert];
}

constexpr int kTemplates = 60;
constexpr int kPlansEach = 10;

TreesData Gather(int templates = kTemplates, int plans = kPlansEach)
{
	test::SyntheticWorld world;
	TreesData data;
	for (int i = 0; i < templates; i++)
		for (int j = 0; j < plans; j++)
			EXPECT_TRUE(data.Add(*world.Make(static_cast<uint64_t>(i), static_cast<uint64_t>(j))));
	return data;
}

/* Trained once for all tests. */
const std::vector<std::byte> &TrainedBytes()
{
	static const std::vector<std::byte> bytes = [] {
		TreesData data = Gather();
		return TrainTreesOn(&data, Options{}, nullptr);
	}();
	return bytes;
}

template <class Visit>
void ForHeldOut(Visit visit)
{
	test::SyntheticWorld world;
	for (uint64_t i = 0; i < 40; i++)
		for (uint64_t j = 0; j < 3; j++)
			visit(*world.Make(1000 + i, j));
}

TEST(TreesTrain, WalkSaysWhatXgboostSays)
{
	NEEDS_XGBOOST();
	std::mt19937 random(5);
	std::vector<TreesRow> rows(700);
	std::vector<float> data;
	std::vector<float> wanted;
	for (TreesRow &row : rows) {
		InitTreesRow(&row);
		for (int i = 0; i < kNumQueryFeatures; i++) {
			/* many equal values, so that thresholds are met exactly */
			row.x[i] = i % 2 == 0 ? static_cast<float>(random() % 7) : static_cast<float>(random() % 100000) / 1000 - 50;
			data.push_back(row.x[i]);
		}
		wanted.push_back(row.x[0] * 0.5f + (row.x[1] > 3.14f ? row.x[2] : row.x[3] / 10));
	}
	for (const int rounds : {0, 1, 7, 8, 45}) {
		const TreesMatrix matrix(data, kNumQueryFeatures);
		Booster booster(matrix, {});
		std::vector<float> gradients(rows.size());
		std::vector<float> hessians(rows.size(), 1);
		std::vector<float> margins(rows.size(), 0);
		for (int round = 0; round < rounds; round++) {
			for (size_t i = 0; i < rows.size(); i++)
				gradients[i] = margins[i] - wanted[i];
			booster.Boost(gradients, hessians);
			margins.assign(booster.Margins().begin(), booster.Margins().end());
		}
		PackedMember member;
		PackedEnsemble &ensemble = member.ensembles[static_cast<int>(TreesTarget::kQueryMemory)][kTreesMean];
		if (rounds > 0)
			ensemble.trees = booster.Trees();
		ASSERT_EQ(ensemble.trees.size(), static_cast<size_t>(rounds));
		const Model model(PackTrees({member}, {0, 0, 0, rows.size()}));
		std::vector<float> sums(rows.size());
		std::vector<float> covers(rows.size());
		WalkTrees(*model, (*model).ensembles[static_cast<int>(TreesTarget::kQueryMemory)][0][kTreesMean], rows.data(),
		          static_cast<int>(rows.size()), sums.data(), covers.data());
		for (size_t i = 0; i < rows.size(); i++)
			ASSERT_NEAR(sums[i], margins[i], 1e-5f) << rounds << " rounds, row " << i;
	}
}

TEST(TreesTrain, TimeIsLearnedFromSums)
{
	NEEDS_XGBOOST();
	const Model model(TrainedBytes());
	auto forecast = std::make_unique<Forecast>();
	auto description = std::make_unique<TreesDescription>();
	double trees = 0;
	double planner = 0;
	double shift = 0;
	int plans = 0;
	int inside = 0;
	ForHeldOut([&](const Sample &sample) {
		shift += sample.log_ms - std::log(sample.graph.total_cost);
		plans++;
	});
	shift /= plans; /* the best that one exchange rate could do, having seen the answers */
	ForHeldOut([&](const Sample &sample) {
		const Estimate &time = Ask(*model, sample.graph, forecast.get()).time;
		ASSERT_TRUE(IsUsable(time));
		EXPECT_GE(time.support, 1);
		trees += std::fabs(time.mean - sample.log_ms);
		planner += std::fabs(std::log(sample.graph.total_cost) + shift - sample.log_ms);
		inside += std::fabs(time.mean - sample.log_ms) < 1.645f * time.Deviation();
	});
	std::printf("mean |error| of ln(ms), unseen templates: trees %.3f, planner %.3f; 90 %% interval holds %.0f %%\n", trees / plans,
	            planner / plans, 100.0 * inside / plans);
	EXPECT_LT(trees / plans, 0.2);
	EXPECT_LT(trees, 0.6 * planner);
	EXPECT_GT(inside, plans * 3 / 4);
}

TEST(TreesTrain, MemoryIsLearnedPerOperator)
{
	NEEDS_XGBOOST();
	const Model model(TrainedBytes());
	auto forecast = std::make_unique<Forecast>();
	double error = 0;
	double query_error = 0;
	double temp_error = 0;
	int operators = 0;
	int plans = 0;
	int temps = 0;
	ForHeldOut([&](const Sample &sample) {
		const ExpertAnswer &answer = Ask(*model, sample.graph, forecast.get());
		for (int i = 0; i < sample.graph.num_memory_nodes; i++) {
			ASSERT_TRUE(IsUsable(answer.memory[i]));
			ASSERT_TRUE(IsUsable(answer.temp[i]));
			error += std::fabs(answer.memory[i].mean - sample.operators[i].log_needed_kb);
			operators++;
			if (sample.operators[i].spills > 0) {
				temp_error += std::fabs(answer.temp[i].mean - sample.operators[i].log_temp_kb);
				temps++;
			}
		}
		ASSERT_TRUE(IsUsable(answer.query_memory));
		query_error += std::fabs(answer.query_memory.mean - sample.log_query_kb);
		plans++;
	});
	EXPECT_LT(error / operators, 0.25); /* the formula alone is wrong by ln 4 of a hash */
	EXPECT_LT(query_error / plans, 0.35);
	ASSERT_GT(temps, 10);
	EXPECT_LT(temp_error / temps, 0.35);
}

TEST(TreesTrain, BoundsDoNotPullDown)
{
	NEEDS_XGBOOST();
	/* half of the hashes were cut short at a tenth of what they need, which is four times the formula */
	test::SyntheticWorld world;
	TreesData data;
	for (uint64_t i = 0; i < kTemplates; i++) {
		for (uint64_t j = 0; j < kPlansEach; j++) {
			const std::unique_ptr<Sample> sample = world.Make(i, j);
			for (int slot = 0; slot < sample->graph.num_memory_nodes && j % 2 == 0; slot++) {
				OperatorLabel *label = &sample->operators[slot];
				label->log_bound_kb = label->log_needed_kb - 2.3f;
				label->needed_weight = 0;
			}
			ASSERT_TRUE(data.Add(*sample));
		}
	}
	const Model model(TrainTreesOn(&data, Options{}, nullptr));
	auto forecast = std::make_unique<Forecast>();
	double bias = 0;
	int operators = 0;
	ForHeldOut([&](const Sample &sample) {
		const ExpertAnswer &answer = Ask(*model, sample.graph, forecast.get());
		for (int i = 0; i < sample.graph.num_memory_nodes; i++, operators++)
			bias += answer.memory[i].mean - sample.operators[i].log_needed_kb;
	});
	EXPECT_GT(bias / operators, -0.15);
	EXPECT_LT(bias / operators, 0.15);
}

TEST(TreesTrain, BoundsPullUp)
{
	Multiplicity once{1};
	std::vector<TreesLabel> labels = {{0, 0, 1, 1, 0, false}, {0, 0, 1, 1, 0, false}, {0, 0, 5, 1, 0, true}, {0, 0, -5, 1, 0, true}};
	RowObjective objective(labels, once);
	EXPECT_EQ(objective.Bias(), 1);
	const std::vector<float> margins(4, 0.0f);
	std::vector<float> gradients(4);
	std::vector<float> hessians(4);
	objective.Gradients(margins, gradients, hessians);
	EXPECT_EQ(gradients[0], 0);
	EXPECT_LT(gradients[2], 0); /* XGBoost goes against the gradient: up */
	EXPECT_EQ(gradients[3], 0); /* what is above its bound is no error */
	EXPECT_EQ(hessians[3], 0);
}

TEST(TreesTrain, GradientOfTimeIsThatOfTheLoss)
{
	TreesData data;
	test::SyntheticWorld world;
	for (uint64_t i = 0; i < 12; i++)
		data.Add(*world.Make(i, 1));
	const Multiplicity taught(data.num_groups(), 1);
	const Multiplicity apart(data.num_groups(), 0);
	TimeObjective objective(data, taught);
	TimeObjective judge(data, apart); /* the same loss, but of what is kept apart; without a bias of its own */
	const size_t rows = data.own_ms.size();
	std::vector<float> margins(rows);
	for (size_t i = 0; i < rows; i++)
		margins[i] = 0.3f * static_cast<float>(i % 5);
	std::vector<float> gradients(rows);
	std::vector<float> hessians(rows);
	objective.Gradients(margins, gradients, hessians);
	const double n = static_cast<double>(data.plans.labels.size());
	std::vector<float> shifted = margins;
	for (float &margin : shifted)
		margin += objective.Bias() - judge.Bias();
	for (size_t i = 0; i < rows; i++) {
		const float at = shifted[i];
		shifted[i] = at + 0.05f;
		const double up = judge.Loss(shifted);
		shifted[i] = at - 0.05f;
		const double down = judge.Loss(shifted);
		shifted[i] = at;
		EXPECT_NEAR((up - down) / 0.1 * n, gradients[i], 0.01) << i;
		EXPECT_GE(hessians[i], 0);
	}
	/* a step that trusts the hessians makes nothing worse, although all pipelines move at once */
	const double before = judge.Loss(shifted);
	for (size_t i = 0; i < rows; i++)
		if (hessians[i] > 0)
			shifted[i] -= gradients[i] / hessians[i];
	EXPECT_LE(judge.Loss(shifted), before);
}

TEST(TreesTrain, IsDeterministicFromTheSeed)
{
	NEEDS_XGBOOST();
	const auto train = [](uint64_t seed) {
		TreesData data = Gather(20, 4);
		Options options;
		options.seed = seed;
		return TrainTreesOn(&data, options, nullptr);
	};
	const std::vector<std::byte> first = train(1);
	EXPECT_EQ(first, train(1));
	EXPECT_NE(first, train(2));
}

TEST(TreesTrain, OutOfTimeStillGivesAModel)
{
	NEEDS_XGBOOST();
	TreesData data = Gather(20, 4);
	Options options;
	options.seconds = 0;
	Report report;
	const Model model(TrainTreesOn(&data, options, &report));
	EXPECT_EQ((*model).num_members, 1u);
	auto forecast = std::make_unique<Forecast>();
	test::SyntheticWorld world;
	EXPECT_TRUE(IsUsable(Ask(*model, world.Make(3, 3)->graph, forecast.get()).time));
}

TEST(TreesTrain, ReportsAndImportance)
{
	NEEDS_XGBOOST();
	TreesData data = Gather(30, 5);
	Report report;
	Options options;
	int calls = 0;
	double last = 0;
	options.progress = [&](double done, double loss) {
		EXPECT_GE(done, last);
		EXPECT_LE(done, 1);
		EXPECT_GE(loss, 0);
		last = done;
		calls++;
	};
	const Model model(TrainTreesOn(&data, options, &report));
	EXPECT_GT(calls, 0);
	EXPECT_EQ(report.samples, 150u);
	EXPECT_GT(report.kept_apart, 20u);
	EXPECT_GT(report.rounds, 0);
	EXPECT_GT(report.loss, 0);
	for (const TreesTarget target : {TreesTarget::kTime, TreesTarget::kOperatorMemory}) {
		float sum = 0;
		for (int i = 0; i < NumTreesFeatures(target); i++)
			sum += TreesFeatureImportance(*model, target, i);
		EXPECT_NEAR(sum, 1, 1e-3f);
	}
}

TEST(TreesTrain, RefusesTooLittle)
{
	NEEDS_XGBOOST();
	TreesData data = Gather(1, 1);
	EXPECT_THROW(TrainTreesOn(&data, Options{}, nullptr), std::runtime_error);
}

TEST(TreesTrain, TakesEncodedSamplesOfFewTemplates)
{
	NEEDS_XGBOOST();
	test::SyntheticWorld world;
	Samples samples;
	for (uint64_t i = 0; i < 3; i++)
		for (uint64_t j = 0; j < 30; j++)
			samples.Add(*world.Make(i, j));
	Report report;
	const Model model(TrainTrees(samples, Options{}, &report));
	EXPECT_EQ(report.samples, 90u);
	EXPECT_GT(report.kept_apart, 15u); /* with three templates, plans are left out instead */
	auto forecast = std::make_unique<Forecast>();
	const std::unique_ptr<Sample> known = world.Make(1, 100);
	EXPECT_NEAR(Ask(*model, known->graph, forecast.get()).time.mean, known->log_ms, 0.7);
}

TEST(TreesTrain, TemporaryFilesDependOnTheLimit)
{
	NEEDS_XGBOOST();
	/* what does not fit is written: the limit decides whether once, or twice */
	test::SyntheticWorld world;
	TreesData data;
	for (uint64_t i = 0; i < kTemplates; i++) {
		for (uint64_t j = 0; j < kPlansEach; j++) {
			const std::unique_ptr<Sample> sample = world.Make(i, j);
			for (int slot = 0; slot < sample->graph.num_memory_nodes; slot++) {
				OperatorLabel *label = &sample->operators[slot];
				label->log_limit_kb = LogKb(j % 2 == 0 ? 1024 : 65536);
				label->log_temp_kb = label->log_needed_kb + (j % 2 == 0 ? 1.0f : 0.0f);
				label->spills = 1;
			}
			ASSERT_TRUE(data.Add(*sample));
		}
	}
	const Model model(TrainTreesOn(&data, Options{}, nullptr));
	auto forecast = std::make_unique<Forecast>();
	double difference = 0;
	int operators = 0;
	ForHeldOut([&](const Sample &sample) {
		for (int slot = 0; slot < sample.graph.num_memory_nodes; slot++, operators++) {
			const float tight = Ask(*model, sample.graph, forecast.get(), {1024, 1, true}).temp[slot].mean;
			difference += tight - Ask(*model, sample.graph, forecast.get(), {65536, 1, true}).temp[slot].mean;
		}
	});
	EXPECT_NEAR(difference / operators, 1, 0.2);
}

TEST(TreesTrain, SaysThatXgboostIsMissing)
{
	if (HasTreesTrainer())
		GTEST_SKIP() << "built with XGBoost";
	EXPECT_THROW(TrainTrees(Samples{}, Options{}, nullptr), std::runtime_error);
}

TEST(TreesData, MissingWorkersAreMadeUpFor)
{
	test::PlanBuilder plan;
	plan.Add(kNoNode, NodeKind::kGather, 100);
	plan[0].workers = 3;
	plan.Add(0, NodeKind::kSeqScan, 1000);
	plan[1].total_cost = 100;
	plan[0].total_cost = 300;
	auto sample = std::make_unique<Sample>();
	sample->graph = plan.Finish();
	sample->weight = sample->time_weight = 1;
	sample->log_ms = 1;
	TreesData data;
	for (const float launched : {3.0f, 1.0f, 0.0f}) {
		sample->workers_launched = launched;
		ASSERT_TRUE(data.Add(*sample));
	}
	ASSERT_EQ(data.own_ms.size(), 6u);
	EXPECT_FLOAT_EQ(data.own_ms[0], data.own_ms[4]);
	EXPECT_FLOAT_EQ(data.own_ms[3], 2 * data.own_ms[1]);
	EXPECT_FLOAT_EQ(data.own_ms[5], 4 * data.own_ms[1]);
}

TEST(TreesData, TakesWhatTeaches)
{
	test::SyntheticWorld world;
	uint64_t with_hash = 0;
	while (world.Make(with_hash, 0)->graph.num_memory_nodes == 0)
		with_hash++;
	TreesData data;
	const std::unique_ptr<Sample> sample = world.Make(with_hash, 0);
	const size_t slots = static_cast<size_t>(sample->graph.num_memory_nodes);
	ASSERT_TRUE(data.Add(*sample));
	EXPECT_EQ(data.plans.labels.size(), 1u);
	EXPECT_EQ(data.operators.labels.size(), slots);
	EXPECT_EQ(data.queries.labels.size(), 1u);
	EXPECT_EQ(data.first_pipeline.size(), 2u);
	EXPECT_EQ(data.pipelines.size(), data.own_ms.size() * kNumPipelineFeatures);

	sample->time_weight = sample->query_kb_weight = 0;
	sample->operators[0].needed_weight = 0;
	ASSERT_TRUE(data.Add(*sample)); /* nothing is known of its time, nor of the first operator */
	EXPECT_EQ(data.plans.labels.size(), 1u);
	EXPECT_EQ(data.operators.labels.size(), 2 * slots - 1);
	EXPECT_EQ(data.queries.labels.size(), 1u);

	sample->log_ms_bound = 9;
	ASSERT_TRUE(data.Add(*sample));
	ASSERT_EQ(data.plans.labels.size(), 2u);
	EXPECT_TRUE(data.plans.labels[1].bound);

	sample->weight = std::numeric_limits<float>::quiet_NaN();
	ASSERT_TRUE(data.Add(*sample));
	EXPECT_EQ(data.plans.labels.size(), 2u);
	EXPECT_EQ(data.num_groups(), 1u);
}

TEST(TreesTrain, ChoosesEvenlyOverTemplates)
{
	std::vector<PlanKey> plans;
	for (uint64_t i = 0; i < 1000; i++)
		plans.push_back({i < 990 ? 1 : i, i});
	const std::vector<size_t> chosen = ChoosePlans(plans, 20, 1);
	ASSERT_EQ(chosen.size(), 20u);
	EXPECT_EQ(std::count_if(chosen.begin(), chosen.end(), [](size_t i) { return i >= 990; }), 10);
	EXPECT_EQ(chosen, ChoosePlans(plans, 20, 1));
	EXPECT_EQ(ChoosePlans(plans, 5000, 1).size(), 1000u);
}

TEST(TreesJson, IsStrict)
{
	const Json json = ParseJson(R"({"a": [1, -2.5, 3E-1], "b": {"c": "x\"y"}, "d": [], "e": [{"f": null}, true]})");
	EXPECT_EQ(json.At("a").numbers, (std::vector<float>{1, -2.5f, 0.3f}));
	EXPECT_EQ(json.At("b").At("c").text, "x\"y");
	EXPECT_EQ(json.At("e").items.size(), 2u);
	EXPECT_THROW(json.At("z"), std::runtime_error);
	for (const char *wrong : {"", "{", "[1,]", "[1 2]", "{\"a\" 1}", "{\"a\":1}x", "\"abc", "tru", "[1,\"a\"]", "\"\\u0041\""})
		EXPECT_THROW(ParseJson(wrong), std::runtime_error) << wrong;
	EXPECT_THROW(ParseJson(std::string(1000, '[')), std::runtime_error);
}

}  // namespace
}  // namespace wlm::trainer
