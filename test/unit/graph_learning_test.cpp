/*
 * graph_learning_test.cpp
 *
 * The graph trainer on plans under a known law: templates never seen, plans
 * twice as large as any seen, fine-tuning, bounds, limits of time, determinism.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "trainer/graph_train.hpp"
#include "unit/graph_plans.hpp"

namespace wlm {
namespace {

using test::MakePlan;
using trainer::GraphData;
using trainer::Options;
using trainer::Report;

constexpr uint64_t kNeverSeen = 1000000; /* first seed of templates that training never sees */

GraphData ManyPlans(int templates, int most_joins)
{
	GraphData data;
	trainer::Random random(3);
	for (int i = 0; i < templates * 3; i++)
		data.Add(*MakePlan(static_cast<uint64_t>(i / 3), std::exp(3 * random.Uniform()), most_joins));
	return data;
}

struct Model {
	std::vector<std::byte> bytes;
	Report report;

	Forecast Ask(const PlanGraph &graph) const
	{
		Forecast forecast = {};
		ModelView models;
		models.graph = reinterpret_cast<const GraphModel *>(bytes.data());
		AskGraph(models, graph, {4096, 2, true}, &forecast);
		return forecast;
	}
};

Model Train(GraphData data, const Options &options = {})
{
	Model model;
	model.bytes = trainer::TrainGraphOn(&data, options, &model.report);
	return model;
}

const Model &Trained()
{
	static const Model model = Train(ManyPlans(150, 4));
	return model;
}

struct Quality {
	float median = 0;
	float p90 = 0;
};
Quality QualityOf(std::vector<float> log_errors)
{
	for (float &error : log_errors)
		error = std::exp(std::fabs(error));
	std::sort(log_errors.begin(), log_errors.end());
	return {log_errors[log_errors.size() / 2], log_errors[log_errors.size() * 9 / 10]};
}

struct Errors {
	std::vector<float> time;
	std::vector<float> time_by_cost; /* at the best single exchange rate */
	std::vector<float> memory;
	std::vector<float> memory_by_formula;
	int covered = 0;
};

Errors ErrorsOf(const Model &model, int most_joins)
{
	Errors errors;
	for (uint64_t i = 0; i < 150; i++) {
		const auto sample = MakePlan(kNeverSeen + i, 2, most_joins);
		if (most_joins > 4 && sample->graph.num_nodes < 20)
			continue;
		const Forecast forecast = model.Ask(sample->graph);
		const ExpertAnswer &answer = forecast.answers[kGraphExpert];
		EXPECT_TRUE(IsUsable(answer.time));
		errors.time.push_back(answer.time.mean - sample->log_ms);
		errors.covered += std::fabs(errors.time.back()) < 2 * answer.time.Deviation();
		errors.time_by_cost.push_back(std::log(sample->graph.total_cost) - sample->log_ms);
		for (int slot = 0; slot < sample->graph.num_memory_nodes; slot++) {
			errors.memory.push_back(answer.memory[slot].mean - sample->operators[slot].log_needed_kb);
			errors.memory_by_formula.push_back(LogKb(FormulaMemoryKb(sample->graph, sample->graph.memory_node[slot])) -
			                                   sample->operators[slot].log_needed_kb);
		}
	}
	std::vector<float> sorted = errors.time_by_cost;
	std::sort(sorted.begin(), sorted.end());
	for (float &error : errors.time_by_cost)
		error -= sorted[sorted.size() / 2];
	return errors;
}

void ExpectBetterThanThePlanner(const Errors &errors, float time_p90, float memory_p90)
{
	const Quality time = QualityOf(errors.time);
	const Quality by_cost = QualityOf(errors.time_by_cost);
	const Quality memory = QualityOf(errors.memory);
	const Quality by_formula = QualityOf(errors.memory_by_formula);
	std::printf("q-error P50, P90: time %.2f, %.2f (cost %.2f, %.2f); memory %.2f, %.2f (formula %.2f, %.2f); "
	            "%d of %zu within 2 deviations\n",
	            static_cast<double>(time.median), static_cast<double>(time.p90), static_cast<double>(by_cost.median),
	            static_cast<double>(by_cost.p90), static_cast<double>(memory.median), static_cast<double>(memory.p90),
	            static_cast<double>(by_formula.median), static_cast<double>(by_formula.p90), errors.covered,
	            errors.time.size());
	EXPECT_LT(time.median, by_cost.median);
	EXPECT_LT(time.p90, std::min(time_p90, by_cost.p90));
	EXPECT_LT(memory.median, by_formula.median);
	EXPECT_LT(memory.p90, std::min(memory_p90, by_formula.p90));
	EXPECT_GT(static_cast<double>(errors.covered), 0.8 * static_cast<double>(errors.time.size()));
}

TEST(GraphLearning, TemplatesNeverSeen) { ExpectBetterThanThePlanner(ErrorsOf(Trained(), 4), 1.5f, 1.3f); }

TEST(GraphLearning, PlansTwiceAsLarge) { ExpectBetterThanThePlanner(ErrorsOf(Trained(), 12), 1.7f, 1.5f); }

TEST(GraphLearning, AddsUpTheWholeQuery)
{
	std::vector<float> errors;
	for (uint64_t i = 0; i < 100; i++) {
		const auto sample = MakePlan(kNeverSeen + i, 1);
		errors.push_back(Trained().Ask(sample->graph).answers[kGraphExpert].query_memory.mean - sample->log_query_kb);
	}
	EXPECT_LT(QualityOf(errors).p90, 1.4f);
}

TEST(GraphLearning, ReportsAndTrusts)
{
	const Report &report = Trained().report;
	EXPECT_EQ(report.samples, 450u);
	EXPECT_GT(report.kept_apart, 30u);
	EXPECT_LT(report.kept_apart, 150u);
	EXPECT_GT(report.rounds, 10);
	EXPECT_GT(report.seconds, 0);
	EXPECT_TRUE(GraphModelIsSane(Trained().bytes));
	const auto *model = reinterpret_cast<const GraphModel *>(Trained().bytes.data());
	EXPECT_GT(model->time.support, 200);
	/* no sample had a memoize node */
	EXPECT_EQ(model->memory[static_cast<int>(MemoryClass::kMemoize)].support, 0);
	EXPECT_GT(model->memory[static_cast<int>(MemoryClass::kMemoize)].model_variance,
	          model->memory[static_cast<int>(MemoryClass::kHash)].model_variance);
}

TEST(GraphLearning, LessSureOfWhatIsUnlikeAllThatWasSeen)
{
	const auto sample = MakePlan(kNeverSeen, 1);
	const Estimate usual = Trained().Ask(sample->graph).answers[kGraphExpert].time;
	for (int i = 0; i < sample->graph.num_nodes; i++) {
		sample->graph.nodes[i].kind = NodeKind::kForeignScan;
		sample->graph.nodes[i].rows *= 1e6f;
	}
	const Estimate strange = Trained().Ask(sample->graph).answers[kGraphExpert].time;
	EXPECT_GT(strange.model_variance, 1.5f * usual.model_variance);
	EXPECT_LT(strange.support, usual.support);
}

TEST(GraphLearning, SameSeedSameBytes)
{
	Options options;
	const auto train = [&options] { return Train(ManyPlans(20, 2), options).bytes; };
	const auto first = train();
	EXPECT_EQ(first, train());
	options.seed = 2;
	EXPECT_NE(first, train());
}

TEST(GraphLearning, GoesOnFromAModel)
{
	Options options;
	options.start = Trained().bytes;
	/* another machine: everything takes four times as long */
	GraphData data = ManyPlans(40, 4);
	for (size_t i = 0; i < data.size(); i++)
		data.mutable_plan(i)->time.value += std::log(4.0f);
	const Model tuned = Train(std::move(data), options);
	EXPECT_NE(tuned.bytes, Trained().bytes);
	std::vector<float> errors;
	for (uint64_t i = 0; i < 100; i++) {
		const auto sample = MakePlan(kNeverSeen + i, 1);
		errors.push_back(tuned.Ask(sample->graph).answers[kGraphExpert].time.mean - sample->log_ms - std::log(4.0f));
	}
	EXPECT_LT(QualityOf(errors).p90, 1.6f);

	options.start.back() = std::byte{1};
	options.start[100] = std::byte{0xff};
	EXPECT_THROW(Train(ManyPlans(40, 4), options), std::runtime_error);
}

/* Half of the plans are cut short at a quarter of their time: their bounds may not pull the rest down. */
TEST(GraphLearning, BoundsOnlyPushUpwards)
{
	GraphData data = ManyPlans(60, 3);
	for (size_t i = 0; i < data.size(); i += 2) {
		trainer::GraphTarget *time = &data.mutable_plan(i)->time;
		*time = {0, time->value - std::log(4.0f), false, true};
	}
	const Model model = Train(std::move(data));
	std::vector<float> errors;
	for (uint64_t i = 0; i < 100; i++) {
		const auto sample = MakePlan(kNeverSeen + i, 2, 3);
		errors.push_back(model.Ask(sample->graph).answers[kGraphExpert].time.mean - sample->log_ms);
	}
	std::sort(errors.begin(), errors.end());
	EXPECT_NEAR(errors[50], 0, 0.25f);
}

TEST(GraphLearning, StopsInTimeAndTellsHowFarItIs)
{
	Options options;
	options.seconds = 0.2;
	double last = 0;
	options.progress = [&last](double done, double loss) {
		EXPECT_GE(done, last);
		EXPECT_TRUE(std::isfinite(loss));
		last = done;
	};
	const Model model = Train(ManyPlans(100, 4), options);
	EXPECT_TRUE(GraphModelIsSane(model.bytes));
	EXPECT_LT(model.report.seconds, 2);
	EXPECT_GT(last, 0);
}

TEST(GraphLearning, RefusesTooLittle)
{
	EXPECT_THROW(Train(GraphData{}), std::runtime_error);
	EXPECT_THROW(Train(ManyPlans(3, 2)), std::runtime_error);
}

/* Plans of a single template are split among themselves, and trusted less. */
TEST(GraphLearning, OneTemplateIsEnough)
{
	GraphData data;
	for (int i = 0; i < 40; i++)
		data.Add(*MakePlan(7, std::exp(static_cast<float>(i) / 10)));
	const Model model = Train(std::move(data));
	EXPECT_GE(reinterpret_cast<const GraphModel *>(model.bytes.data())->time.model_variance, 1);
}

}  // namespace
}  // namespace wlm
