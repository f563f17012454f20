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

/* Of a sane one: it may stand in more memory than it needs, but a blob has no bytes to spare. */
bool HasNeighboursLength(std::span<const std::byte> model) noexcept
{
	const auto *store = reinterpret_cast<const NeighbourStore *>(model.data());
	return NeighbourStoreBytes(NeighbourCapacity(*store)) == model.size();
}

bool AnyLength(std::span<const std::byte>) noexcept { return true; }

/* How a model is judged; the models that are not used in place have no line. */
struct InPlace {
	ModelId which;
	bool (*may_be)(std::span<const std::byte> model) noexcept;
	BlobStatus otherwise;
	bool (*is_sane)(std::span<const std::byte> model) noexcept;
	bool (*is_whole)(std::span<const std::byte> sane) noexcept;
};

constexpr InPlace kInPlace[] = {
	{kTreesModel, HasTreesLength, BlobStatus::kWrongLength, TreesModelIsSane, AnyLength},
	{kGraphModel, HasGraphLength, BlobStatus::kForeignShape, GraphModelIsSane, AnyLength},
	{kNeighboursModel, AnyLength, BlobStatus::kOk, NeighbourStoreIsSane, HasNeighboursLength},
	{kGateModel, AnyLength, BlobStatus::kOk, GateModelIsSane, AnyLength},
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
	if (!in_place->may_be(payload))
		return in_place->otherwise;
	if (!in_place->is_sane(payload))
		return BlobStatus::kInsane;
	if (!in_place->is_whole(payload))
		return BlobStatus::kWrongLength;
	*model = payload;
	return BlobStatus::kOk;
}

}  // namespace wlm
