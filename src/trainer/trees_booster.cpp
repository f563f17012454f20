/*
 * trees_booster.cpp
 *
 * See trees_booster.hpp. Written against XGBoost 1.7's C API.
 */
#include "trainer/trees_booster.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "trainer/trees_json.hpp"

#ifdef WLM_HAVE_XGBOOST
#include <xgboost/c_api.h>
#endif

namespace wlm::trainer {

#ifdef WLM_HAVE_XGBOOST

namespace {

constexpr char kBins[] = "64"; /* per feature: half the time of 256, the same errors */

void Check(int result)
{
	if (result != 0)
		throw std::runtime_error(std::string("XGBoost: ") + XGBGetLastError());
}

uint16_t CoverFeature(float cover)
{
	const int step = cover >= 1 ? std::min(static_cast<int>(std::log2(cover)), kCoverSteps - 1) : 0;
	return static_cast<uint16_t>(kMostTreesFeatures + step);
}

struct TreeArrays {
	const std::vector<float> &left, &right, &feature, &value, &gain, &cover;

	explicit TreeArrays(const Json &tree)
		: left(tree.At("left_children").numbers),
		  right(tree.At("right_children").numbers),
		  feature(tree.At("split_indices").numbers),
		  value(tree.At("split_conditions").numbers),
		  gain(tree.At("loss_changes").numbers),
		  cover(tree.At("sum_hessian").numbers)
	{
		const size_t size = left.size();
		if (size == 0 || right.size() != size || feature.size() != size || value.size() != size || gain.size() != size ||
		    cover.size() != size)
			throw std::runtime_error("a tree of XGBoost has arrays of different lengths");
	}
	size_t Index(float index) const
	{
		if (!(index >= 0 && index < static_cast<float>(left.size())))
			throw std::runtime_error("a tree of XGBoost leads nowhere");
		return static_cast<size_t>(index);
	}
};

BoostedTree Convert(const Json &json, int num_features)
{
	const TreeArrays from(json);
	BoostedTree tree;
	tree.gains.resize(static_cast<size_t>(num_features));

	/* breadth first: the children of a node stand side by side, behind it */
	std::vector<size_t> source{0};
	std::vector<int> depth{0};
	for (size_t i = 0; i < source.size(); i++) {
		const size_t at = source[i];
		tree.depth = std::max(tree.depth, depth[i]);
		if (from.left[at] < 0) {
			tree.nodes.push_back({CoverFeature(from.cover[at]), 0, from.value[at]});
			continue;
		}
		const int feature = static_cast<int>(from.feature[at]);
		if (source.size() + 2 > static_cast<size_t>(kMostTreeNodes) || feature < 0 || feature >= num_features)
			throw std::runtime_error("a tree of XGBoost is larger than it was allowed to be");
		tree.gains[static_cast<size_t>(feature)] += from.gain[at];
		tree.nodes.push_back(
			{static_cast<uint16_t>(feature), static_cast<uint16_t>(source.size() - i), from.value[at]});
		source.push_back(from.Index(from.left[at]));
		source.push_back(from.Index(from.right[at]));
		depth.insert(depth.end(), 2, depth[i] + 1);
	}
	return tree;
}

}  // namespace

bool HasXgboost() { return true; }

TreesMatrix::TreesMatrix(std::span<const float> data, int num_features)
	: size_(data.size() / static_cast<size_t>(num_features)), num_features_(num_features)
{
	Check(XGDMatrixCreateFromMat_omp(data.data(), size_, static_cast<bst_ulong>(num_features),
	                                 std::numeric_limits<float>::quiet_NaN(), &handle_, 1));
}

TreesMatrix::~TreesMatrix() { XGDMatrixFree(handle_); }

Booster::Booster(const TreesMatrix &matrix, const BoosterOptions &options) : matrix_(matrix)
{
	const DMatrixHandle matrices[] = {matrix.handle()};
	Check(XGBoosterCreate(matrices, 1, &handle_));
	const auto set = [this](const char *name, const std::string &value) {
		Check(XGBoosterSetParam(handle_, name, value.c_str()));
	};
	try {
		set("verbosity", "0");
		set("nthread", "1");
		set("booster", "gbtree");
		set("tree_method", "hist");
		set("objective", "reg:squarederror"); /* gradients are ours; this one leaves margins as they are */
		set("base_score", "0");
		set("max_bin", kBins);
		set("max_depth", std::to_string(options.depth));
		set("eta", std::to_string(options.rate));
		set("lambda", std::to_string(options.lambda));
		set("min_child_weight", std::to_string(options.least_child_weight));
		set("colsample_bytree", std::to_string(options.columns));
		set("seed", std::to_string(options.seed % 1000000007));
	} catch (...) {
		XGBoosterFree(handle_);
		throw;
	}
}

Booster::~Booster() { XGBoosterFree(handle_); }

void Booster::Boost(std::span<float> gradients, std::span<float> hessians)
{
	if (gradients.size() != matrix_.size() || hessians.size() != matrix_.size())
		throw std::runtime_error("as many gradients as rows are needed");
	Check(XGBoosterBoostOneIter(handle_, matrix_.handle(), gradients.data(), hessians.data(), gradients.size()));
}

std::span<const float> Booster::Margins()
{
	bst_ulong size = 0;
	const float *margins = nullptr;
	Check(XGBoosterPredict(handle_, matrix_.handle(), 1 /* margin */, 0, 0, &size, &margins));
	if (size != matrix_.size())
		throw std::runtime_error("XGBoost predicted another number of rows");
	return {margins, size};
}

std::vector<BoostedTree> Booster::Trees()
{
	bst_ulong size = 0;
	const char *text = nullptr;
	Check(XGBoosterSaveModelToBuffer(handle_, "{\"format\": \"json\"}", &size, &text));
	const Json document = ParseJson({text, size});
	std::vector<BoostedTree> trees;
	for (const Json &tree : document.At("learner").At("gradient_booster").At("model").At("trees").items)
		trees.push_back(Convert(tree, matrix_.num_features()));
	return trees;
}

#else

namespace {

[[noreturn]] void Refuse() { throw std::runtime_error("pg_wlm_trainer was built without XGBoost"); }

}  // namespace

bool HasXgboost() { return false; }
TreesMatrix::TreesMatrix(std::span<const float>, int num_features) : size_(0), num_features_(num_features) { Refuse(); }
TreesMatrix::~TreesMatrix() = default;
Booster::Booster(const TreesMatrix &matrix, const BoosterOptions &) : matrix_(matrix) { Refuse(); }
Booster::~Booster() = default;
void Booster::Boost(std::span<float>, std::span<float>) { Refuse(); }
std::span<const float> Booster::Margins() { Refuse(); }
std::vector<BoostedTree> Booster::Trees() { Refuse(); }

#endif

}  // namespace wlm::trainer
