/*
 * commands.hpp
 *
 * What bench_decision can do; each prints a plain table and returns the
 * program's status.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace wlm::bench {

struct Arguments {
	uint64_t seed = 1;
	int rounds = 40;
	double seconds = 60;  /* of each training */
	size_t samples = 0;   /* 0 = the command's own number */
};

int MeasurePrediction(const Arguments &arguments);
int MeasureLevels(const Arguments &arguments);
int MeasureTraining(const Arguments &arguments, bool trees, bool graph);

}  // namespace wlm::bench
