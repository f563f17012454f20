/*
 * trees_layout.hpp
 *
 * How the trees model lies in memory, for its walker, its checker and its
 * trainer. One block, without pointers, aligned to 8 bytes:
 *
 *     TreesModel          head: counts, ensembles, importance
 *     uint32_t roots[]    index of each tree's first node; one more marks the end
 *     TreeNode nodes[]    tree after tree, each in breadth-first order
 *
 * Rows of features end in kCoverSteps constants of minus infinity. A leaf "splits" on one of
 * them and never moves, so that a walk is a fixed number of steps without a branch; which of
 * them it is tells how many samples the leaf has seen.
 */
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/predict/trees_model.hpp"

namespace wlm {

inline constexpr uint32_t kTreesMagic = 0x746d6c77u; /* "wlmt" on a little-endian machine */
inline constexpr uint32_t kTreesFormat = 1;          /* to be raised when features change their meaning */

inline constexpr int kMostTreesFeatures = 48;
inline constexpr int kCoverSteps = 16;               /* powers of two */
inline constexpr int kTreesRowSize = kMostTreesFeatures + kCoverSteps;
inline constexpr float kMostTreesFeature = 1e4f;     /* features are finite and within +-this */

inline constexpr int kMostTreeDepth = 6;
inline constexpr int kMostTreeNodes = 2 * (1 << kMostTreeDepth) - 1;
inline constexpr int kMostMembers = 5;
inline constexpr uint32_t kMostTrees = 8192;
inline constexpr int kNumTreesTargets = static_cast<int>(TreesTarget::kNumTreesTargets);

/* What an ensemble of trees says of its target. */
enum TreesQuantity : uint8_t { kTreesMean = 0, kTreesLogVariance, kNumTreesQuantities };

struct TreesRow {
	std::array<float, kTreesRowSize> x;
};

inline void InitTreesRow(TreesRow *row) noexcept
{
	for (int i = 0; i < kMostTreesFeatures; i++)
		row->x[i] = 0;
	for (int i = kMostTreesFeatures; i < kTreesRowSize; i++)
		row->x[i] = -std::numeric_limits<float>::infinity();
}

/* x[feature] < value goes to node + left, all else to node + left + 1. A leaf has left = 0. */
struct TreeNode {
	uint16_t feature; /* of a leaf: kMostTreesFeatures + floor(log2(cover)) */
	uint16_t left;
	float value;      /* threshold; of a leaf: what it adds */
};
static_assert(sizeof(TreeNode) == 8);

/* bias + sum over trees. */
struct TreesEnsemble {
	uint32_t first_tree;
	uint32_t num_trees;
	float bias;
	int32_t depth; /* steps that reach a leaf in all of its trees */
};

struct TreesModel {
	uint32_t magic;
	uint32_t format;
	uint32_t bytes;   /* of the whole model */
	uint32_t num_trees;
	uint32_t num_nodes;
	uint32_t num_members;
	uint32_t num_features[kNumTreesTargets];
	float samples[kNumTreesTargets];   /* that were learned from; 0 = no opinion on this target */
	TreesEnsemble ensembles[kNumTreesTargets][kMostMembers][kNumTreesQuantities];
	float importance[kNumTreesTargets][kMostTreesFeatures];
};
static_assert(std::is_trivially_copyable_v<TreesModel> && alignof(TreesModel) <= 8);

inline const uint32_t *TreeRoots(const TreesModel &model) noexcept
{
	return reinterpret_cast<const uint32_t *>(&model + 1);
}

inline const TreeNode *TreeNodes(const TreesModel &model) noexcept
{
	return reinterpret_cast<const TreeNode *>(TreeRoots(model) + model.num_trees + 1);
}

/* Bytes of a model with that many trees and nodes. */
inline constexpr uint64_t TreesBytes(uint64_t num_trees, uint64_t num_nodes) noexcept
{
	return sizeof(TreesModel) + (num_trees + 1) * sizeof(uint32_t) + num_nodes * sizeof(TreeNode);
}

/*
 * Sends rows through an ensemble: sums[i] = bias + leaves, covers[i] = mean of the leaves'
 * log2(cover), 0 without trees. Only for models that TreesModelIsSane() has accepted.
 */
void WalkTrees(const TreesModel &model, const TreesEnsemble &ensemble, const TreesRow *rows, int num_rows, float *sums,
               float *covers) noexcept;

}  // namespace wlm
