/*
 * trees_train.hpp
 *
 * The trainer of trees over rows that have been gathered already: the core of
 * TrainTrees().
 */
#pragma once

#include <cstddef>
#include <vector>

#include "trainer/train.hpp"
#include "trainer/trees_data.hpp"

namespace wlm::trainer {

/* Empties `data` on its way: XGBoost has a copy of its own. Throws std::runtime_error. */
std::vector<std::byte> TrainTreesOn(TreesData *data, const Options &options, Report *report);

}  // namespace wlm::trainer
