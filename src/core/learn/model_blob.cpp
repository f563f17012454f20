/*
 * model_blob.cpp
 *
 * Format, version 1. Numbers are in the byte order and float format of the
 * machine that wrote them; a machine with another order does not know the magic.
 * There is no padding: fields follow each other without gaps.
 *
 *   offset  bytes  field
 *        0      8  magic, "wlmmodel" as one 64-bit number
 *        8      4  format version
 *       12      4  model (ModelId)
 *       16      8  bytes of the payload
 *       24      8  checksum over bytes 0..23 and the payload
 *       32         payload
 *
 * Payload of the planner:
 *        0      4  number of memory classes
 *        4      4  regressors per regression
 *        8      8  observations
 *       16         regressions: time, query memory, one per memory class; each is
 *                  weights[R], covariance[R][R], noise variance, evidence (floats)
 *
 * Payload of recall:
 *        0      4  operators per entry at most
 *        4      4  sketch buckets
 *        8      4  experts in the losses
 *       12      4  entries that follow
 *       16      4  clock
 *       20      8  observations
 *       28         entries that are in use, in the order of the table; each is
 *                  fingerprint (8), last_used (4), number of operators (4),
 *                  time, query memory, temp bytes (4 floats each), sketch (1 + 16 floats),
 *                  scale sums (5 floats), losses (time, operator memory: for each
 *                  expert its excess, then its scores; floats), and for each operator
 *                  needed (4 floats), lower bound, spill share (floats), kind (4)
 *
 * Payload of trees, graph, neighbours and gate: the model itself, byte by byte, as
 * its own header file says (model_in_place.cpp).
 *
 * The checksum is ChainedChecksum() of blob_format.hpp.
 */
#include "core/learn/model_blob.hpp"

#include <cstdint>

#include "core/learn/blob_format.hpp"
#include "core/predict/regression.hpp"
#include "core/predict/shared_words.hpp"

namespace wlm {

namespace {

constexpr uint64_t kMagic = 0x6c65646f6d6d6c77u; /* "wlmmodel" on a little-endian machine */
constexpr uint32_t kVersion = 1;
constexpr size_t kChecksumAt = 24;
constexpr uint32_t kNumClasses = static_cast<uint32_t>(MemoryClass::kNumClasses);

constexpr size_t kRegressionBytes = (kMaxRegressors + kMaxRegressors * kMaxRegressors + 2) * sizeof(float);
constexpr size_t kPlannerBytes = 16 + (2 + kNumClasses) * kRegressionBytes;

/* Over all but itself. */
uint64_t Checksum(std::span<const std::byte> blob) noexcept
{
	return ChainedChecksum(ChainedChecksum(kMagic, blob.first(kChecksumAt)), blob.subspan(kBlobHeaderBytes));
}

struct BlobHead {
	uint64_t magic;
	uint32_t version;
	uint32_t model;
	uint64_t payload_bytes;
	uint64_t checksum;
};

BlobHead GetHead(std::span<const std::byte> blob) noexcept
{
	BlobReader reader(blob);
	BlobHead head;
	reader.Get(&head.magic);
	reader.Get(&head.version);
	reader.Get(&head.model);
	reader.Get(&head.payload_bytes);
	reader.Get(&head.checksum);
	return head;
}

void PutRegression(BlobWriter *writer, const Regression &regression) noexcept
{
	writer->Put(regression.weights);
	writer->Put(regression.covariance);
	writer->Put(regression.noise_variance);
	writer->Put(regression.evidence);
}

void GetRegression(BlobReader *reader, Regression *regression) noexcept
{
	for (float &weight : regression->weights)
		reader->Get(&weight);
	for (auto &row : regression->covariance)
		for (float &covariance : row)
			reader->Get(&covariance);
	reader->Get(&regression->noise_variance);
	reader->Get(&regression->evidence);
}

}  // namespace

void WriteHeader(std::span<std::byte> blob, ModelId model) noexcept
{
	BlobWriter writer(blob.data());
	writer.Put(kMagic);
	writer.Put(kVersion);
	writer.Put(static_cast<uint32_t>(model));
	writer.Put(static_cast<uint64_t>(blob.size() - kBlobHeaderBytes));
	writer.Put(Checksum(blob));
}

BlobStatus CheckHeader(std::span<const std::byte> blob, ModelId model) noexcept
{
	if (blob.size() < kBlobHeaderBytes)
		return BlobStatus::kTooShort;
	const BlobHead head = GetHead(blob);
	if (head.magic != kMagic)
		return BlobStatus::kNotAModel;
	if (head.version != kVersion)
		return BlobStatus::kForeignVersion;
	if (head.model != model)
		return BlobStatus::kOtherExpert;
	if (head.payload_bytes != blob.size() - kBlobHeaderBytes)
		return BlobStatus::kWrongLength;
	return head.checksum == Checksum(blob) ? BlobStatus::kOk : BlobStatus::kDamaged;
}

ModelId BlobModel(std::span<const std::byte> blob) noexcept
{
	const BlobHead head = GetHead(blob);
	const bool known = head.magic == kMagic && head.version == kVersion && head.model < kNumModels;
	return known ? static_cast<ModelId>(head.model) : kNumModels;
}

size_t BlobLength(std::span<const std::byte> header) noexcept
{
	const BlobHead head = GetHead(header);
	if (header.size() < kBlobHeaderBytes || head.magic != kMagic || head.version != kVersion ||
	    head.payload_bytes > SIZE_MAX - kBlobHeaderBytes)
		return 0;
	return kBlobHeaderBytes + static_cast<size_t>(head.payload_bytes);
}

size_t BlobBytes(const PlannerModel &) noexcept { return kBlobHeaderBytes + kPlannerBytes; }

bool WriteBlob(const PlannerModel &shared, std::span<std::byte> blob) noexcept
{
	PlannerModel model;
	if (blob.size() < BlobBytes(shared) || !ReadShared(shared, &model))
		return false;
	BlobWriter writer(blob.data() + kBlobHeaderBytes);
	writer.Put(kNumClasses);
	writer.Put(static_cast<uint32_t>(kMaxRegressors));
	writer.Put(model.observations);
	PutRegression(&writer, model.time);
	PutRegression(&writer, model.query_memory);
	for (const Regression &regression : model.memory)
		PutRegression(&writer, regression);
	WriteHeader(blob.first(BlobBytes(shared)), kPlannerModel);
	return true;
}

BlobStatus ReadBlob(std::span<const std::byte> blob, PlannerModel *target) noexcept
{
	const BlobStatus status = CheckHeader(blob, kPlannerModel);
	if (status != BlobStatus::kOk)
		return status;
	BlobReader reader(blob.subspan(kBlobHeaderBytes));
	uint32_t num_classes;
	uint32_t num_regressors;
	reader.Get(&num_classes);
	reader.Get(&num_regressors);
	if (num_classes != kNumClasses || num_regressors != kMaxRegressors)
		return BlobStatus::kForeignShape;

	PlannerModel model;
	reader.Get(&model.observations);
	GetRegression(&reader, &model.time);
	GetRegression(&reader, &model.query_memory);
	for (Regression &regression : model.memory)
		GetRegression(&reader, &regression);
	if (!reader.AtEnd())
		return BlobStatus::kWrongLength;
	if (!PlannerModelIsSane(model))
		return BlobStatus::kInsane;
	PublishShared(target, model);
	return BlobStatus::kOk;
}

}  // namespace wlm
