/*
 * trees_walk.cpp
 *
 * The walk of the trees expert. A step waits for its node, then for the
 * feature, then for the comparison; eight trees at once fill those waits, and
 * all rows pass the same eight trees while these are in the cache.
 */
#include "core/predict/trees_layout.hpp"

#include <algorithm>

namespace wlm {

namespace {

inline const TreeNode *Step(const TreeNode *node, const float *x) noexcept
{
	return node + node->left + !(x[node->feature] < node->value);
}

struct Leaves {
	float sum;
	int cover;
};

inline Leaves WalkOne(const TreeNode *node, int depth, const float *x) noexcept
{
	for (int step = 0; step < depth; step++)
		node = Step(node, x);
	return {node->value, node->feature};
}

inline Leaves WalkEight(const TreeNode *nodes, const uint32_t *roots, int depth, const float *x) noexcept
{
	const TreeNode *a = nodes + roots[0], *b = nodes + roots[1], *c = nodes + roots[2], *d = nodes + roots[3];
	const TreeNode *e = nodes + roots[4], *f = nodes + roots[5], *g = nodes + roots[6], *h = nodes + roots[7];
	for (int step = 0; step < depth; step++) {
		a = Step(a, x);
		b = Step(b, x);
		c = Step(c, x);
		d = Step(d, x);
		e = Step(e, x);
		f = Step(f, x);
		g = Step(g, x);
		h = Step(h, x);
	}
	return {(a->value + b->value) + (c->value + d->value) + ((e->value + f->value) + (g->value + h->value)),
	        a->feature + b->feature + c->feature + d->feature + e->feature + f->feature + g->feature + h->feature};
}

}  // namespace

void WalkTrees(const TreesModel &model, const TreesEnsemble &ensemble, const TreesRow *rows, int num_rows, float *sums,
               float *covers) noexcept
{
	const uint32_t *roots = TreeRoots(model) + ensemble.first_tree;
	const TreeNode *nodes = TreeNodes(model);
	const int num_trees = static_cast<int>(ensemble.num_trees);
	std::fill_n(sums, num_rows, ensemble.bias);
	std::fill_n(covers, num_rows, 0.0f);

	int tree = 0;
	for (; tree + 8 <= num_trees; tree += 8) {
		for (int row = 0; row < num_rows; row++) {
			const Leaves leaves = WalkEight(nodes, roots + tree, ensemble.depth, rows[row].x.data());
			sums[row] += leaves.sum;
			covers[row] += static_cast<float>(leaves.cover - 8 * kMostTreesFeatures);
		}
	}
	for (; tree < num_trees; tree++) {
		for (int row = 0; row < num_rows; row++) {
			const Leaves leaves = WalkOne(nodes + roots[tree], ensemble.depth, rows[row].x.data());
			sums[row] += leaves.sum;
			covers[row] += static_cast<float>(leaves.cover - kMostTreesFeatures);
		}
	}
	if (num_trees > 0)
		for (int row = 0; row < num_rows; row++)
			covers[row] /= static_cast<float>(num_trees);
}

}  // namespace wlm
