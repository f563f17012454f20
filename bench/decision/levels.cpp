/*
 * levels.cpp
 *
 * What it brings to send the nodes of many plans through the graph network
 * level by level, against one recursion per plan.
 */
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "commands.hpp"
#include "core/predict/graph_parameters.hpp"
#include "models.hpp"
#include "timing.hpp"
#include "trainer/graph_data.hpp"
#include "trainer/graph_forward.hpp"

namespace wlm::bench {

namespace {

constexpr size_t kPlans = 2000;

struct Way {
	const char *name;
	std::function<float()> run;
	Timings timings;
};

}  // namespace

int MeasureLevels(const Arguments &arguments)
{
	trainer::Samples samples;
	MakeSamples(arguments.samples != 0 ? arguments.samples : kPlans, arguments.seed, &samples);
	trainer::GraphData data;
	auto sample = std::make_unique<Sample>();
	for (size_t i = 0; i < samples.size(); i++) {
		samples.Get(i, sample.get());
		data.Add(*sample);
	}
	std::vector<size_t> indices(data.size());
	std::iota(indices.begin(), indices.end(), 0);
	/* small numbers, which keep activations in range; what they are changes no timing */
	Random random(arguments.seed);
	std::uniform_real_distribution<float> uniform(-0.1f, 0.1f);
	std::vector<float> parameters(kNumParameters);
	for (float &parameter : parameters)
		parameter = uniform(random);

	std::vector<Way> ways;
	const auto add = [&ways](const char *name, std::function<float()> run) { ways.push_back({name, std::move(run), {}}); };
	add("forward, a recursion per plan", [&] { return trainer::ForwardRecursively(parameters.data(), data, indices)[0]; });
	add("forward by levels, 1 plan", [&] { return trainer::ForwardByLevels(parameters.data(), data, indices, 1)[0]; });
	add("forward by levels, 64 plans", [&] { return trainer::ForwardByLevels(parameters.data(), data, indices, 64)[0]; });
	add("forward by levels, 512 plans", [&] { return trainer::ForwardByLevels(parameters.data(), data, indices, 512)[0]; });
	add("with gradients, a recursion per plan", [&] { return trainer::GradientsRecursively(parameters.data(), data, indices)[0]; });
	add("with gradients, 1 plan", [&] { return trainer::GradientsByLevels(parameters.data(), data, indices, 1)[0]; });
	add("with gradients, 64 plans", [&] { return trainer::GradientsByLevels(parameters.data(), data, indices, 64)[0]; });
	add("with gradients, 512 plans", [&] { return trainer::GradientsByLevels(parameters.data(), data, indices, 512)[0]; });
	float sum = 0;
	for (int round = 0; round < arguments.rounds; round++)
		for (Way &way : ways)
			way.timings.Time([&] { sum += way.run(); });

	std::printf("%-38s %12s %10s   (%zu plans, checksum %g)\n", "", "us per plan", "ratio", data.size(),
	            static_cast<double>(sum));
	double base = 0;
	for (const Way &way : ways) {
		const double median = way.timings.Quantile(0.5, 0);
		/* each kind against its own recursion */
		if (std::strstr(way.name, "recursion") != nullptr)
			base = median;
		std::printf("%-38s %12.2f %10.2f\n", way.name, median / 1000 / static_cast<double>(data.size()), base / median);
	}
	return 0;
}

}  // namespace wlm::bench
