/*
 * trees_pack.hpp
 *
 * Boosted trees to the bytes of a TreesModel.
 */
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "core/predict/trees_layout.hpp"
#include "trainer/trees_booster.hpp"

namespace wlm::trainer {

struct PackedEnsemble {
	float bias = 0;
	std::vector<BoostedTree> trees;
};

/* One bootstrap's trees for all targets. */
struct PackedMember {
	std::array<std::array<PackedEnsemble, kNumTreesQuantities>, kNumTreesTargets> ensembles;
};

/* `samples`: what each target was learned from, 0 = not at all. Throws std::runtime_error if the result is not sane. */
std::vector<std::byte> PackTrees(const std::vector<PackedMember> &members, const std::array<size_t, kNumTreesTargets> &samples);

}  // namespace wlm::trainer
