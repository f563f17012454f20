/*
 * prediction.cpp
 *
 * What a decision costs before a query starts, part by part and as a whole.
 * Half of the plans are known to recall and neighbours, half are not.
 */
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "allocations.hpp"
#include "commands.hpp"
#include "core/predict/plan_features.hpp"
#include "models.hpp"
#include "timing.hpp"

namespace wlm::bench {

namespace {

constexpr int kPlans = 256;
constexpr int kLearnedRuns = 3;

struct Size {
	const char *name;
	PlanShape shape;
};
constexpr Size kSizes[] = {{"5 nodes, 2 operators", kSmallPlan},
                           {"20 nodes, 4 operators", kMiddlePlan},
                           {"100 nodes, 20 operators", kLargePlan}};

struct Subject {
	std::string name;
	std::function<void(const PlanGraph &, Forecast *)> call;
	Timings timings;
	int64_t allocations = 0;
};

std::vector<Subject> Subjects(const ModelView &view)
{
	std::vector<Subject> subjects;
	const auto add = [&subjects](std::string name, std::function<void(const PlanGraph &, Forecast *)> call) {
		subjects.push_back({std::move(name), std::move(call), {}, 0});
	};
	add("(nothing)", [](const PlanGraph &, Forecast *) {});
	add("features, with formulas", [](const PlanGraph &graph, Forecast *) {
		PlanFeatures features;
		FeaturesOfGraph(graph, true, &features);
		__asm__ volatile("" : : "r"(&features) : "memory");
	});
	for (int i = 0; i < kNumExperts; i++)
		add(std::string("expert ") + kExperts[i].name, [&view, i](const PlanGraph &graph, Forecast *forecast) {
			kExperts[i].answer(view, graph, {4096, 2, true}, forecast);
		});
	add("Predict(), as served", [&view](const PlanGraph &graph, Forecast *forecast) {
		Predict(view, graph, {4096, 2, false}, forecast);
	});
	/* last: the experts' next round finds its answers, which are their priors */
	add("Predict(), everybody asked", [&view](const PlanGraph &graph, Forecast *forecast) {
		Predict(view, graph, {4096, 2, true}, forecast);
	});
	return subjects;
}

void MeasureSize(const Size &size, int rounds, Models *models)
{
	Random random(99);
	std::vector<PlanGraph> plans(kPlans);
	for (int i = 0; i < kPlans; i++) {
		MakePlan(size.shape, &random, &plans[static_cast<size_t>(i)]);
		for (int run = 0; i % 2 == 0 && run < kLearnedRuns; run++)
			models->LearnFrom(plans[static_cast<size_t>(i)], &random);
	}
	const ModelView view = models->View();
	std::vector<Subject> subjects = Subjects(view);
	for (Subject &subject : subjects)
		subject.timings.Reserve(static_cast<size_t>(rounds * kPlans));
	auto forecast = std::make_unique<Forecast>();

	/* plan by plan: the models' parts that other plans use have to come back into the caches, as on a server */
	for (int round = -1; round < rounds; round++) {
		for (const PlanGraph &plan : plans) {
			Predict(view, plan, {4096, 2, true}, forecast.get());
			for (Subject &subject : subjects) {
				const int64_t before = Allocations();
				if (round < 0)
					subject.call(plan, forecast.get());
				else
					subject.timings.Time([&] { subject.call(plan, forecast.get()); });
				subject.allocations += Allocations() - before;
			}
		}
	}
	std::printf("\n%s (%d plans, half of them known, %d rounds)\n", size.name, kPlans, rounds);
	std::printf("%-30s %10s %10s %12s\n", "", "P50 ns", "P99 ns", "allocations");
	const double overhead = subjects[0].timings.Quantile(0.5, 0);
	double experts = 0;
	for (size_t i = 1; i < subjects.size(); i++) {
		const double median = subjects[i].timings.QuantileOverPlans(kPlans, 0.5, overhead);
		if (i >= 2 && i < 2 + kNumExperts)
			experts += median;
		std::printf("%-30s %10.0f %10.0f %12lld\n", subjects[i].name.c_str(), median,
		            subjects[i].timings.QuantileOverPlans(kPlans, 0.99, overhead), static_cast<long long>(subjects[i].allocations));
	}
	const double whole = subjects.back().timings.QuantileOverPlans(kPlans, 0.5, overhead);
	std::printf("%-30s %10.0f\n", "gate, mixing and the rest", whole - experts);
}

}  // namespace

int MeasurePrediction(const Arguments &arguments)
{
	ModelSizes sizes;
	sizes.seed = arguments.seed;
	sizes.seconds = arguments.seconds;
	sizes.samples = arguments.samples != 0 ? arguments.samples : sizes.samples;
	Models models(sizes);
	for (const Size &size : kSizes)
		MeasureSize(size, arguments.rounds, &models);
	return 0;
}

}  // namespace wlm::bench
