/*
 * main.cpp
 *
 *     bench_decision predict [--rounds N] [--seconds S] [--samples N] [--seed N]
 *     bench_decision train-trees | train-graph [--seconds S] [--samples N] [--seed N]
 *     bench_decision levels [--rounds N] [--samples N] [--seed N]
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "commands.hpp"

namespace {

int Usage()
{
	std::fprintf(stderr, "usage: bench_decision predict|train-trees|train-graph|levels "
	                     "[--rounds N] [--seconds S] [--samples N] [--seed N]\n");
	return 2;
}

}  // namespace

int main(int argc, char **argv)
{
	if (argc < 2 || argc % 2 != 0)
		return Usage();
	wlm::bench::Arguments arguments;
	for (int i = 2; i < argc; i += 2) {
		const char *value = argv[i + 1];
		if (std::strcmp(argv[i], "--rounds") == 0)
			arguments.rounds = std::atoi(value);
		else if (std::strcmp(argv[i], "--seconds") == 0)
			arguments.seconds = std::atof(value);
		else if (std::strcmp(argv[i], "--samples") == 0)
			arguments.samples = std::strtoull(value, nullptr, 10);
		else if (std::strcmp(argv[i], "--seed") == 0)
			arguments.seed = std::strtoull(value, nullptr, 10);
		else
			return Usage();
	}
	if (arguments.rounds < 1 || !(arguments.seconds > 0))
		return Usage();
	if (std::strcmp(argv[1], "predict") == 0)
		return wlm::bench::MeasurePrediction(arguments);
	if (std::strcmp(argv[1], "train-trees") == 0)
		return wlm::bench::MeasureTraining(arguments, true, false);
	if (std::strcmp(argv[1], "train-graph") == 0)
		return wlm::bench::MeasureTraining(arguments, false, true);
	if (std::strcmp(argv[1], "levels") == 0)
		return wlm::bench::MeasureLevels(arguments);
	return Usage();
}
