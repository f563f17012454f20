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
 *       12      4  expert (ExpertId)
 *       16      8  bytes of the payload
 *       24      8  checksum over bytes 0..23 and the payload
 *       32         payload
 *
 * Payload of the planner expert:
 *        0      4  number of memory classes
 *        4      4  regressors per regression
 *        8      8  observations
 *       16         regressions: time, query memory, one per memory class; each is
 *                  weights[R], covariance[R][R], noise variance, evidence (floats)
 *
 * Payload of the recall expert:
 *        0      4  operators per entry at most
 *        4      4  sketch buckets
 *        8      4  entries that follow
 *       12      4  clock
 *       16      8  observations
 *       24         entries that are in use, in the order of the table; each is
 *                  fingerprint (8), last_used (4), number of operators (4),
 *                  time, query memory, temp bytes (4 floats each), sketch (1 + 16 floats),
 *                  scale sums (5 floats), and for each operator needed (4 floats),
 *                  lower bound, spill share (floats), kind (4)
 *
 * The checksum is 64 bits of chained SplitMix64 over 8-byte words, the last one
 * filled with zeros. It guards against damage, not against an adversary.
 */
#include "core/learn/model_blob.hpp"

#include <algorithm>
#include <cstring>

#include "core/hash.hpp"
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

uint64_t Checksum(std::span<const std::byte> blob) noexcept
{
	uint64_t sum = kMagic;
	for (size_t i = 0; i < blob.size(); i += sizeof(uint64_t)) {
		if (i == kChecksumAt)
			continue;
		uint64_t word = 0;
		std::memcpy(&word, blob.data() + i, std::min(sizeof(word), blob.size() - i));
		sum = Combine(sum, word);
	}
	return sum;
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

void WriteHeader(std::span<std::byte> blob, ExpertId expert) noexcept
{
	BlobWriter writer(blob.data());
	writer.Put(kMagic);
	writer.Put(kVersion);
	writer.Put(static_cast<uint32_t>(expert));
	writer.Put(static_cast<uint64_t>(blob.size() - kBlobHeaderBytes));
	writer.Put(Checksum(blob));
}

BlobStatus CheckHeader(std::span<const std::byte> blob, ExpertId expert) noexcept
{
	if (blob.size() < kBlobHeaderBytes)
		return BlobStatus::kTooShort;
	BlobReader reader(blob);
	uint64_t magic;
	uint64_t payload_bytes;
	uint64_t checksum;
	uint32_t version;
	uint32_t blob_expert;
	reader.Get(&magic);
	reader.Get(&version);
	reader.Get(&blob_expert);
	reader.Get(&payload_bytes);
	reader.Get(&checksum);
	if (magic != kMagic)
		return BlobStatus::kNotAModel;
	if (version != kVersion)
		return BlobStatus::kForeignVersion;
	if (blob_expert != expert)
		return BlobStatus::kOtherExpert;
	if (payload_bytes != blob.size() - kBlobHeaderBytes)
		return BlobStatus::kWrongLength;
	return checksum == Checksum(blob) ? BlobStatus::kOk : BlobStatus::kDamaged;
}

const char *BlobStatusText(BlobStatus status) noexcept
{
	switch (status) {
		case BlobStatus::kOk: return "model is valid";
		case BlobStatus::kTooShort: return "model is shorter than its header";
		case BlobStatus::kNotAModel: return "not a pg_wlm model, or written on a machine with another byte order";
		case BlobStatus::kForeignVersion: return "model has a format version that this pg_wlm does not know";
		case BlobStatus::kOtherExpert: return "model belongs to another expert";
		case BlobStatus::kWrongLength: return "model is truncated or has bytes to spare";
		case BlobStatus::kDamaged: return "model is damaged: its checksum does not match";
		case BlobStatus::kForeignShape: return "model was built for other dimensions than this pg_wlm uses";
		case BlobStatus::kInsane: return "model holds numbers that cannot be right";
		case BlobStatus::kNumStatuses: break;
	}
	return "unknown model status";
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
	WriteHeader(blob.first(BlobBytes(shared)), kPlannerExpert);
	return true;
}

BlobStatus ReadBlob(std::span<const std::byte> blob, PlannerModel *target) noexcept
{
	const BlobStatus status = CheckHeader(blob, kPlannerExpert);
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
