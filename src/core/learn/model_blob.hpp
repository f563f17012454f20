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

#include "core/predict/planner_model.hpp"
#include "core/predict/recall_store.hpp"

namespace wlm {

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

}  // namespace wlm
