/*
 * train.hpp
 *
 * (model, samples) -> model: the trainers of trees and graph. Deterministic
 * from the seed, bounded in time; each keeps a part of the templates apart to
 * know when to stop. Throw std::runtime_error with a reason.
 */
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "trainer/samples.hpp"

namespace wlm::trainer {

struct Options {
	uint64_t seed = 1;
	double seconds = 600;                 /* stop early, with the best so far, when they are over (CPU time) */
	std::vector<std::byte> start;         /* a model to go on from (graph only); empty = anew */
	/* Now and then: part done in 0..1, and the loss on what was kept apart. */
	std::function<void(double done, double loss)> progress;
};

struct Report {
	size_t samples = 0;
	size_t kept_apart = 0;
	int rounds = 0;
	double loss = 0;                      /* on what was kept apart */
	double seconds = 0;
};

/* The model's bytes, as CheckInPlaceBlob() gives them. */
std::vector<std::byte> TrainGraph(const Samples &samples, const Options &options, Report *report);

/* Throws "built without XGBoost" where the library was not found at build time. */
std::vector<std::byte> TrainTrees(const Samples &samples, const Options &options, Report *report);
bool HasTreesTrainer();

}  // namespace wlm::trainer
