/*
 * training.cpp
 *
 * How long the trainers take and how much memory, on synthetic samples. Peak
 * memory is the process's, so each trainer is measured in a run of its own.
 */
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <exception>

#include "commands.hpp"
#include "models.hpp"
#include "trainer/train.hpp"

namespace wlm::bench {

namespace {

constexpr size_t kTreesSamples = 100000;
constexpr size_t kGraphSamples = 10000;

double PeakMb()
{
	rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return static_cast<double>(usage.ru_maxrss) / 1024;
}

int Measure(const char *name, decltype(trainer::TrainGraph) *train, size_t count, const Arguments &arguments)
{
	trainer::Samples samples;
	MakeSamples(count, arguments.seed, &samples);
	const double before = PeakMb();
	trainer::Options options;
	options.seed = arguments.seed;
	options.seconds = arguments.seconds;
	trainer::Report report;
	const auto start = std::chrono::steady_clock::now();
	size_t bytes = 0;
	try {
		bytes = train(samples, options, &report).size();
	} catch (const std::exception &error) {
		std::fprintf(stderr, "%s: %s\n", name, error.what());
		return 1;
	}
	const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
	std::printf("%-8s %9s %9s %9s %11s %10s %12s %10s\n", "trainer", "samples", "seconds", "rounds", "s per round", "samples MB",
	            "peak MB more", "model kB");
	std::printf("%-8s %9zu %9.1f %9d %11.3f %10.1f %12.1f %10zu\n", name, count, elapsed.count(), report.rounds,
	            report.rounds > 0 ? elapsed.count() / report.rounds : 0.0,
	            static_cast<double>(samples.bytes()) / (1024 * 1024), PeakMb() - before, bytes / 1024);
	return 0;
}

}  // namespace

int MeasureTraining(const Arguments &arguments, bool trees, bool graph)
{
	const size_t samples = arguments.samples;
	int status = 0;
	if (trees)
		status |= Measure("trees", trainer::TrainTrees, samples != 0 ? samples : kTreesSamples, arguments);
	if (graph)
		status |= Measure("graph", trainer::TrainGraph, samples != 0 ? samples : kGraphSamples, arguments);
	return status;
}

}  // namespace wlm::bench
