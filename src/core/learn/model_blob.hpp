/*
 * model_blob.hpp
 *
 * Models as contiguous bytes: rows of wlm.model, the recall expert's snapshot,
 * files of the trainer. The format stands at the head of model_blob.cpp.
 *
 * ReadBlob() trusts nothing: it checks length, checksum, version, shape and
 * every number before it touches its target, which therefore stays as it was
 * unless the status is kOk. Caller: the learning worker (the models' one writer).
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/predict/forecast.hpp"
#include "core/predict/planner_model.hpp"
#include "core/predict/recall_store.hpp"

namespace wlm {

/* What can be stored: the experts' models under the experts' ids, and the gate's. */
enum ModelId : uint8_t {
	kPlannerModel = kPlannerExpert,
	kRecallModel = kRecallExpert,
	kTreesModel = kTreesExpert,
	kGraphModel = kGraphExpert,
	kNeighboursModel = kNeighboursExpert,
	kGateModel = kNumExperts,
	kNumModels
};
const char *ModelName(ModelId model) noexcept; /* "planner", ..., "gate" */

enum class BlobStatus : uint8_t {
	kOk = 0,
	kTooShort,       /* shorter than a header */
	kNotAModel,      /* another magic: not ours, or of a machine with another byte order */
	kForeignVersion, /* written by another format version */
	kOtherExpert,    /* a model, but of another expert */
	kWrongLength,    /* truncated or with bytes to spare */
	kDamaged,        /* the checksum does not fit */
	kForeignShape,   /* other numbers of regressors, operators or buckets */
	kInsane,         /* NaN, infinite or absurd numbers */
	kMisaligned,     /* used in place, but not at a multiple of 8 bytes: the caller's mistake */
	kNumStatuses
};

/* One sentence for the error column and for messages. */
const char *BlobStatusText(BlobStatus status) noexcept;

size_t BlobBytes(const PlannerModel &model) noexcept;
size_t BlobBytes(const RecallStore &store) noexcept;

/* Fills the first BlobBytes() of the span; false if it is shorter, or the model was being written all the time. */
bool WriteBlob(const PlannerModel &model, std::span<std::byte> blob) noexcept;
bool WriteBlob(const RecallStore &store, std::span<std::byte> blob) noexcept;

BlobStatus ReadBlob(std::span<const std::byte> blob, PlannerModel *model) noexcept;
/* The store may be smaller than the one that was written: the most recently used entries win. */
BlobStatus ReadBlob(std::span<const std::byte> blob, RecallStore *store) noexcept;

/*
 * Trees, graph, neighbours and gate are used in place: the payload of their blob is the model, byte by byte,
 * to be copied to memory aligned to 8 bytes.
 */
size_t InPlaceBlobBytes(size_t model_bytes) noexcept;
void WriteInPlaceBlob(ModelId which, std::span<const std::byte> model, std::span<std::byte> blob) noexcept;
/*
 * Header, checksum and every number of the model. On kOk *model is the payload inside of blob. The blob itself
 * must stand at a multiple of 8 bytes (the header is 32 bytes long).
 */
BlobStatus CheckInPlaceBlob(std::span<const std::byte> blob, ModelId which, std::span<const std::byte> *model) noexcept;

/* Which model a blob says it is, by its header alone; kNumModels if it is no blob of this format version. */
ModelId BlobModel(std::span<const std::byte> blob) noexcept;
/* Bytes of the whole blob as its header says, for cutting a stream of blobs; 0 if it is no header. */
size_t BlobLength(std::span<const std::byte> header) noexcept;

}  // namespace wlm
