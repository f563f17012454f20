/*
 * trees_pack.cpp
 *
 * See trees_pack.hpp; the layout stands at the head of trees_layout.hpp.
 */
#include "trainer/trees_pack.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace wlm::trainer {

namespace {

/* Total gain of the trees that predict means, summing to one per target. */
void Importance(const std::vector<PackedMember> &members, TreesModel *head)
{
	for (int target = 0; target < kNumTreesTargets; target++) {
		std::vector<double> gains(kMostTreesFeatures);
		double sum = 0;
		for (const PackedMember &member : members) {
			for (const BoostedTree &tree : member.ensembles[target][kTreesMean].trees) {
				for (size_t i = 0; i < tree.gains.size() && i < gains.size(); i++) {
					gains[i] += std::max(tree.gains[i], 0.0);
					sum += std::max(tree.gains[i], 0.0);
				}
			}
		}
		for (size_t i = 0; sum > 0 && i < gains.size(); i++)
			head->importance[target][i] = static_cast<float>(std::min(gains[i] / sum, 1.0));
	}
}

}  // namespace

std::vector<std::byte> PackTrees(const std::vector<PackedMember> &members, const std::array<size_t, kNumTreesTargets> &samples)
{
	if (members.empty() || members.size() > static_cast<size_t>(kMostMembers))
		throw std::runtime_error("a trees model needs one to five members");
	TreesModel head{};
	std::vector<uint32_t> roots;
	std::vector<TreeNode> nodes;
	for (int target = 0; target < kNumTreesTargets; target++) {
		head.num_features[target] = static_cast<uint32_t>(NumTreesFeatures(static_cast<TreesTarget>(target)));
		head.samples[target] = static_cast<float>(samples[target]);
		/* in the order of the walk */
		for (size_t member = 0; member < members.size(); member++) {
			for (int quantity = 0; quantity < kNumTreesQuantities; quantity++) {
				const PackedEnsemble &from = members[member].ensembles[target][quantity];
				TreesEnsemble *to = &head.ensembles[target][member][quantity];
				*to = {static_cast<uint32_t>(roots.size()), static_cast<uint32_t>(from.trees.size()), from.bias, 0};
				for (const BoostedTree &tree : from.trees) {
					roots.push_back(static_cast<uint32_t>(nodes.size()));
					nodes.insert(nodes.end(), tree.nodes.begin(), tree.nodes.end());
					to->depth = std::max(to->depth, tree.depth);
				}
			}
		}
	}
	head.magic = kTreesMagic;
	head.format = kTreesFormat;
	head.num_members = static_cast<uint32_t>(members.size());
	head.num_trees = static_cast<uint32_t>(roots.size());
	head.num_nodes = static_cast<uint32_t>(nodes.size());
	head.bytes = static_cast<uint32_t>(TreesBytes(roots.size(), nodes.size()));
	roots.push_back(head.num_nodes);
	Importance(members, &head);

	std::vector<std::byte> model(head.bytes);
	std::memcpy(model.data(), &head, sizeof(head));
	std::memcpy(model.data() + sizeof(head), roots.data(), roots.size() * sizeof(uint32_t));
	if (!nodes.empty())
		std::memcpy(model.data() + sizeof(head) + roots.size() * sizeof(uint32_t), nodes.data(),
		            nodes.size() * sizeof(TreeNode));
	if (!TreesModelIsSane(model))
		throw std::runtime_error("what was learned is no sane trees model");
	return model;
}

}  // namespace wlm::trainer
