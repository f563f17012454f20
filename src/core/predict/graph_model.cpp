/*
 * graph_model.cpp
 *
 * See graph_model.hpp and graph_parameters.hpp: the model as bytes that nobody trusts.
 */
#include "core/predict/graph_model.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/hash.hpp"
#include "core/predict/graph_parameters.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

constexpr float kMostParameter = 1e4f;
constexpr float kMostSupport = 1e6f;
constexpr float kMostStrangeness = 100;
constexpr uint64_t kAllCategories = (uint64_t{1} << kNumCategories) - 1;

bool IsSane(const GraphTrust &trust) noexcept
{
	return trust.support >= 0 && trust.support <= kMostSupport && trust.model_variance >= 0 &&
		trust.model_variance <= kMostVariance;
}

bool IsSane(const GraphModel &model) noexcept
{
	if (model.magic != kGraphMagic || model.format != kGraphFormat || model.num_categories != kNumCategories ||
	    model.num_numbers != kNumNumbers || model.hidden != kHidden || model.embedding != kEmbeddingSize ||
	    model.num_parameters != kNumParameters || (model.known_categories & ~kAllCategories) != 0)
		return false;
	for (int i = 0; i < kNumNumbers; i++)
		if (!(std::fabs(model.least[i]) <= kMostNumber) || !(std::fabs(model.most[i]) <= kMostNumber) ||
		    model.least[i] > model.most[i])
			return false;
	for (const GraphTrust &trust : model.memory)
		if (!IsSane(trust))
			return false;
	for (const float parameter : model.parameters)
		if (!(std::fabs(parameter) <= kMostParameter))
			return false;
	return IsSane(model.time) && IsSane(model.query_memory) && model.version == GraphChecksum(model);
}

uint64_t CombineFloats(uint64_t hash, const float *values, int count) noexcept
{
	for (int i = 0; i < count; i++)
		hash = Combine(hash, std::bit_cast<uint32_t>(values[i]));
	return hash;
}

}  // namespace

void InitGraphModel(GraphModel *model) noexcept
{
	std::memset(static_cast<void *>(model), 0, sizeof(*model));
	model->magic = kGraphMagic;
	model->format = kGraphFormat;
	model->num_categories = kNumCategories;
	model->num_numbers = kNumNumbers;
	model->hidden = kHidden;
	model->embedding = kEmbeddingSize;
	model->num_parameters = kNumParameters;
	model->version = GraphChecksum(*model);
}

uint32_t GraphChecksum(const GraphModel &model) noexcept
{
	uint64_t hash = Combine(kGraphMagic, model.known_categories);
	hash = CombineFloats(hash, model.least, kNumNumbers);
	hash = CombineFloats(hash, model.most, kNumNumbers);
	hash = CombineFloats(hash, model.parameters, kNumParameters);
	const auto checksum = static_cast<uint32_t>(hash >> 32);
	return checksum != 0 ? checksum : 1;
}

float ClampToSeen(const GraphModel &model, NodeFeatures *node) noexcept
{
	float outside = static_cast<float>(std::popcount(node->categories & ~model.known_categories));
	node->categories &= model.known_categories;
	for (int i = 0; i < kNumNumbers; i++) {
		float *number = &node->numbers[static_cast<size_t>(i)];
		const float seen = std::min(std::max(*number, model.least[i]), model.most[i]);
		outside += std::fabs(*number - seen);
		*number = seen;
	}
	return std::min(outside, kMostStrangeness);
}

size_t GraphModelBytes() noexcept { return sizeof(GraphModel); }

bool GraphModelIsSane(std::span<const std::byte> model) noexcept
{
	if (model.size() != sizeof(GraphModel))
		return false;
	GraphModel copy; /* the bytes may stand anywhere */
	std::memcpy(static_cast<void *>(&copy), model.data(), sizeof(copy));
	return IsSane(copy);
}

uint32_t GraphModelVersion(const GraphModel &model) noexcept { return model.version; }

}  // namespace wlm
