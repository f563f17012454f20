/*
 * graph_train.hpp
 *
 * The core of TrainGraph() (train.hpp), over samples that were described before.
 */
#pragma once

#include <cstddef>
#include <vector>

#include "trainer/graph_data.hpp"
#include "trainer/train.hpp"

namespace wlm::trainer {

/* Brings the data into the ranges of what is learned from. Throws std::runtime_error if there is too little. */
std::vector<std::byte> TrainGraphOn(GraphData *data, const Options &options, Report *report);

}  // namespace wlm::trainer
