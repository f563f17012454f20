/*
 * model_in_place.cpp
 *
 * Blobs whose payload is the model: what they must satisfy beyond a sound
 * header is said by each model's own check.
 */
#include <cstring>

#include "core/learn/blob_format.hpp"
#include "core/learn/model_blob.hpp"
#include "core/predict/gate.hpp"
#include "core/predict/graph_model.hpp"
#include "core/predict/neighbour_store.hpp"
#include "core/predict/trees_model.hpp"

namespace wlm {

namespace {

constexpr uintptr_t kModelAlignment = 8;

bool HasTreesLength(std::span<const std::byte> model) noexcept { return TreesModelBytes(model) == model.size(); }
bool HasGraphLength(std::span<const std::byte> model) noexcept { return GraphModelBytes() == model.size(); }

/* How a model is judged; the models that are not used in place have no line. */
struct InPlace {
	ModelId which;
	bool (*has_right_length)(std::span<const std::byte> model) noexcept; /* null = is_sane says it */
	bool (*is_sane)(std::span<const std::byte> model) noexcept;
	BlobStatus wrong_length;
};

constexpr InPlace kInPlace[] = {
	{kTreesModel, HasTreesLength, TreesModelIsSane, BlobStatus::kWrongLength},
	{kGraphModel, HasGraphLength, GraphModelIsSane, BlobStatus::kForeignShape},
	{kNeighboursModel, nullptr, NeighbourStoreIsSane, BlobStatus::kWrongLength},
	{kGateModel, nullptr, GateModelIsSane, BlobStatus::kWrongLength},
};

const InPlace *FindInPlace(ModelId which) noexcept
{
	for (const InPlace &in_place : kInPlace)
		if (in_place.which == which)
			return &in_place;
	return nullptr;
}

}  // namespace

size_t InPlaceBlobBytes(size_t model_bytes) noexcept { return kBlobHeaderBytes + model_bytes; }

void WriteInPlaceBlob(ModelId which, std::span<const std::byte> model, std::span<std::byte> blob) noexcept
{
	std::memcpy(blob.data() + kBlobHeaderBytes, model.data(), model.size());
	WriteHeader(blob.first(InPlaceBlobBytes(model.size())), which);
}

BlobStatus CheckInPlaceBlob(std::span<const std::byte> blob, ModelId which, std::span<const std::byte> *model) noexcept
{
	const InPlace *in_place = FindInPlace(which);
	if (in_place == nullptr)
		return BlobStatus::kOtherExpert;
	const BlobStatus status = CheckHeader(blob, which);
	if (status != BlobStatus::kOk)
		return status;
	if (reinterpret_cast<uintptr_t>(blob.data()) % kModelAlignment != 0)
		return BlobStatus::kMisaligned;
	const std::span<const std::byte> payload = blob.subspan(kBlobHeaderBytes);
	if (in_place->has_right_length != nullptr && !in_place->has_right_length(payload))
		return in_place->wrong_length;
	if (!in_place->is_sane(payload))
		return BlobStatus::kInsane;
	*model = payload;
	return BlobStatus::kOk;
}

}  // namespace wlm
