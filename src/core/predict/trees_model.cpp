/*
 * trees_model.cpp
 *
 * Checks and names of the trees model. TreesModelIsSane() is the only thing
 * between bytes of any origin and a walk that follows indices: it reads them as
 * bytes, for they need not be aligned, and nothing it has not bounded.
 */
#include "core/predict/trees_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/predict/operator_features.hpp"
#include "core/predict/trees_layout.hpp"

namespace wlm {

namespace {

constexpr float kMostBias = 100;      /* ln */
constexpr float kMostLeaf = 100;
constexpr float kMostThreshold = 1e6f;

bool IsWithin(float value, float most) noexcept { return std::isfinite(value) && std::fabs(value) <= most; }

template <class T>
T Read(std::span<const std::byte> bytes, size_t at) noexcept
{
	T value;
	std::memcpy(&value, bytes.data() + at, sizeof(T));
	return value;
}

/* The nodes [first, end) are one tree; its deepest leaf, or -1 if it is not well formed. */
int CheckTree(std::span<const std::byte> nodes, uint32_t first, uint32_t end, uint32_t num_features) noexcept
{
	if (end <= first || end - first > static_cast<uint32_t>(kMostTreeNodes))
		return -1;
	const uint32_t size = end - first;
	std::array<uint8_t, kMostTreeNodes> depth{};
	int deepest = 0;
	for (uint32_t i = 0; i < size; i++) {
		const TreeNode node = Read<TreeNode>(nodes, (first + i) * sizeof(TreeNode));
		deepest = std::max<int>(deepest, depth[i]);
		if (node.left == 0) {
			if (node.feature < kMostTreesFeatures || node.feature >= kTreesRowSize || !IsWithin(node.value, kMostLeaf))
				return -1;
			continue;
		}
		if (node.feature >= num_features || !IsWithin(node.value, kMostThreshold) || i + node.left + 1 >= size)
			return -1;
		for (uint32_t child = i + node.left; child <= i + node.left + 1; child++)
			depth[child] = std::max<uint8_t>(depth[child], static_cast<uint8_t>(depth[i] + 1));
	}
	return deepest;
}

bool CheckEnsemble(std::span<const std::byte> model, const TreesModel &head, const TreesEnsemble &ensemble,
                   uint32_t num_features) noexcept
{
	if (ensemble.num_trees > head.num_trees || ensemble.first_tree > head.num_trees - ensemble.num_trees ||
	    ensemble.depth < 0 || ensemble.depth > kMostTreeDepth || !IsWithin(ensemble.bias, kMostBias))
		return false;
	const std::span<const std::byte> nodes =
		model.subspan(sizeof(TreesModel) + (size_t{head.num_trees} + 1) * sizeof(uint32_t));
	for (uint32_t tree = ensemble.first_tree; tree < ensemble.first_tree + ensemble.num_trees; tree++) {
		const size_t root = sizeof(TreesModel) + size_t{tree} * sizeof(uint32_t);
		const uint32_t first = Read<uint32_t>(model, root);
		const uint32_t end = Read<uint32_t>(model, root + sizeof(uint32_t));
		if (end > head.num_nodes)
			return false;
		const int depth = CheckTree(nodes, first, end, num_features);
		if (depth < 0 || depth > ensemble.depth)
			return false;
	}
	return true;
}

/* What the ensembles of a target look at: the variances of time look at the plan, all else at the target's rows. */
int NumFeatures(TreesTarget target, int quantity) noexcept
{
	if (target == TreesTarget::kTime && quantity == kTreesLogVariance)
		return kNumQueryFeatures;
	return NumTreesFeatures(target);
}

}  // namespace

size_t TreesModelBytes(std::span<const std::byte> model) noexcept
{
	if (model.size() < sizeof(TreesModel))
		return 0;
	return std::min<size_t>(Read<uint32_t>(model, offsetof(TreesModel, bytes)), model.size());
}

bool TreesModelIsSane(std::span<const std::byte> model) noexcept
{
	if (model.size() < sizeof(TreesModel))
		return false;
	const TreesModel head = Read<TreesModel>(model, 0);
	if (head.magic != kTreesMagic || head.format != kTreesFormat || head.bytes > model.size() ||
	    head.num_trees > kMostTrees || head.num_members < 1 || head.num_members > kMostMembers ||
	    TreesBytes(head.num_trees, head.num_nodes) != head.bytes)
		return false;
	for (int t = 0; t < kNumTreesTargets; t++) {
		const TreesTarget target = static_cast<TreesTarget>(t);
		if (head.num_features[t] != static_cast<uint32_t>(NumTreesFeatures(target)) || !IsWithin(head.samples[t], 1e15f) ||
		    head.samples[t] < 0)
			return false;
		for (const float share : head.importance[t])
			if (!(share >= 0 && share <= 1))
				return false;
		for (int member = 0; member < kMostMembers; member++)
			for (int quantity = 0; quantity < kNumTreesQuantities; quantity++)
				if (!CheckEnsemble(model, head, head.ensembles[t][member][quantity],
				                   static_cast<uint32_t>(NumFeatures(target, quantity))))
					return false;
	}
	return true;
}

const char *TreesTargetName(TreesTarget target) noexcept
{
	switch (target) {
		case TreesTarget::kTime: return "time";
		case TreesTarget::kOperatorMemory: return "operator memory";
		case TreesTarget::kOperatorTemp: return "temporary files";
		case TreesTarget::kQueryMemory: return "query memory";
		case TreesTarget::kNumTreesTargets: break;
	}
	return "";
}

int NumTreesFeatures(TreesTarget target) noexcept
{
	switch (target) {
		case TreesTarget::kTime: return kNumPipelineFeatures;
		case TreesTarget::kOperatorMemory: return kNumMemoryFeatures;
		case TreesTarget::kOperatorTemp: return kNumTempFeatures;
		case TreesTarget::kQueryMemory: return kNumQueryFeatures;
		case TreesTarget::kNumTreesTargets: break;
	}
	return 0;
}

const char *TreesFeatureName(TreesTarget target, int feature) noexcept
{
	if (feature < 0 || feature >= NumTreesFeatures(target))
		return "";
	switch (target) {
		case TreesTarget::kTime: return PipelineFeatureName(feature);
		case TreesTarget::kOperatorMemory:
		case TreesTarget::kOperatorTemp: return MemoryFeatureName(feature);
		case TreesTarget::kQueryMemory: return QueryFeatureName(feature);
		case TreesTarget::kNumTreesTargets: break;
	}
	return "";
}

float TreesFeatureImportance(const TreesModel &model, TreesTarget target, int feature) noexcept
{
	if (feature < 0 || feature >= NumTreesFeatures(target))
		return 0;
	return model.importance[static_cast<int>(target)][feature];
}

}  // namespace wlm
