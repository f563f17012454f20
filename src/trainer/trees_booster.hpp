/*
 * trees_booster.hpp
 *
 * The only door to XGBoost: a matrix of features, trees boosted on gradients of
 * our own, and these trees as the nodes that the trees expert walks. One
 * thread, deterministic from the seed. Everything throws std::runtime_error:
 * with XGBoost's reason, or because it was not there at build time.
 */
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/predict/trees_layout.hpp"

namespace wlm::trainer {

bool HasXgboost();

/* Rows of features, one after the other. The data is copied. */
class TreesMatrix {
  public:
	TreesMatrix(std::span<const float> data, int num_features);
	~TreesMatrix();
	TreesMatrix(const TreesMatrix &) = delete;
	TreesMatrix &operator=(const TreesMatrix &) = delete;

	size_t size() const { return size_; }
	int num_features() const { return num_features_; }
	void *handle() const { return handle_; }

  private:
	void *handle_ = nullptr;
	size_t size_;
	int num_features_;
};

struct BoosterOptions {
	int depth = kMostTreeDepth;
	float rate = 0.12f;           /* shrinkage */
	float lambda = 2;             /* L2 on leaves */
	float least_child_weight = 2; /* hessian */
	float columns = 0.7f;         /* part of the features that a tree may see */
	uint64_t seed = 1;
};

/* One tree, numbered breadth first; samples seen are sums of hessians. */
struct BoostedTree {
	std::vector<TreeNode> nodes;
	std::vector<double> gains; /* per feature */
	int depth = 0;
};

class Booster {
  public:
	Booster(const TreesMatrix &matrix, const BoosterOptions &options); /* the matrix must outlive it */
	~Booster();
	Booster(const Booster &) = delete;
	Booster &operator=(const Booster &) = delete;

	/* Adds one tree that goes down the gradients; rows with neither gradient nor hessian do not count. */
	void Boost(std::span<float> gradients, std::span<float> hessians);
	/* Sum of the trees for each row of the matrix. */
	std::span<const float> Margins();
	std::vector<BoostedTree> Trees();

  private:
	void *handle_ = nullptr;
	const TreesMatrix &matrix_;
};

}  // namespace wlm::trainer
