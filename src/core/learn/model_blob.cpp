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
#include <initializer_list>
#include <type_traits>

#include "core/hash.hpp"
#include "core/predict/forecast.hpp"
#include "core/predict/moments.hpp"
#include "core/predict/recall_access.hpp"
#include "core/predict/regression.hpp"
#include "core/predict/shared_words.hpp"

namespace wlm {

namespace {

constexpr uint64_t kMagic = 0x6c65646f6d6d6c77u; /* "wlmmodel" on a little-endian machine */
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 32;
constexpr size_t kChecksumAt = 24;
constexpr uint32_t kNumClasses = static_cast<uint32_t>(MemoryClass::kNumClasses);

constexpr size_t kRegressionBytes = (kMaxRegressors + kMaxRegressors * kMaxRegressors + 2) * sizeof(float);
constexpr size_t kPlannerBytes = 16 + (2 + kNumClasses) * kRegressionBytes;
constexpr size_t kRecallHeadBytes = 24;
constexpr size_t kMomentsBytes = 4 * sizeof(float);
constexpr size_t kEntryBytes = 16 + 3 * kMomentsBytes + (1 + kSketchBuckets + 5) * sizeof(float);
constexpr size_t kOperatorBytes = kMomentsBytes + 2 * sizeof(float) + sizeof(uint32_t);

/* Appends fields; the caller has made sure that they fit. */
class Writer {
  public:
	explicit Writer(std::byte *at) noexcept : at_(at) {}

	template <class T>
	void Put(const T &value) noexcept
	{
		static_assert(std::is_trivially_copyable_v<T>);
		std::memcpy(at_, &value, sizeof(T));
		at_ += sizeof(T);
	}

  private:
	std::byte *at_;
};

/* Takes fields off the front; once there is too little left, every further field is zero and ok() false. */
class Reader {
  public:
	explicit Reader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

	template <class T>
	void Get(T *value) noexcept
	{
		static_assert(std::is_trivially_copyable_v<T>);
		if (bytes_.size() < sizeof(T)) {
			ok_ = false;
			*value = T{};
			return;
		}
		std::memcpy(value, bytes_.data(), sizeof(T));
		bytes_ = bytes_.subspan(sizeof(T));
	}
	bool ok() const noexcept { return ok_; }
	bool AtEnd() const noexcept { return ok_ && bytes_.empty(); }

  private:
	std::span<const std::byte> bytes_;
	bool ok_ = true;
};

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

/* The payload is in place already. */
void WriteHeader(std::span<std::byte> blob, ExpertId expert) noexcept
{
	Writer writer(blob.data());
	writer.Put(kMagic);
	writer.Put(kVersion);
	writer.Put(static_cast<uint32_t>(expert));
	writer.Put(static_cast<uint64_t>(blob.size() - kHeaderBytes));
	writer.Put(Checksum(blob));
}

BlobStatus CheckHeader(std::span<const std::byte> blob, ExpertId expert) noexcept
{
	if (blob.size() < kHeaderBytes)
		return BlobStatus::kTooShort;
	Reader reader(blob);
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
	if (payload_bytes != blob.size() - kHeaderBytes)
		return BlobStatus::kWrongLength;
	return checksum == Checksum(blob) ? BlobStatus::kOk : BlobStatus::kDamaged;
}

void PutRegression(Writer *writer, const Regression &regression) noexcept
{
	writer->Put(regression.weights);
	writer->Put(regression.covariance);
	writer->Put(regression.noise_variance);
	writer->Put(regression.evidence);
}

void GetRegression(Reader *reader, Regression *regression) noexcept
{
	for (float &weight : regression->weights)
		reader->Get(&weight);
	for (auto &row : regression->covariance)
		for (float &covariance : row)
			reader->Get(&covariance);
	reader->Get(&regression->noise_variance);
	reader->Get(&regression->evidence);
}

void PutEntry(Writer *writer, const RecallEntry &entry) noexcept
{
	writer->Put(entry.fingerprint);
	writer->Put(entry.last_used);
	writer->Put(static_cast<uint32_t>(entry.num_operators));
	writer->Put(entry.time);
	writer->Put(entry.query_memory);
	writer->Put(entry.temp_bytes);
	writer->Put(entry.time_sketch);
	for (const float sum : {entry.scale_weight, entry.scale_x, entry.scale_y, entry.scale_xx, entry.scale_xy})
		writer->Put(sum);
	for (int i = 0; i < entry.num_operators; i++) {
		const OperatorMemory &op = entry.operators[i];
		writer->Put(op.needed);
		writer->Put(op.lower_bound);
		writer->Put(op.spill_share);
		writer->Put(static_cast<uint32_t>(op.kind));
	}
}

/* False if it cannot be read at all; its numbers are still to be checked. */
bool GetEntry(Reader *reader, RecallEntry *entry) noexcept
{
	uint64_t fingerprint;
	uint32_t num_operators;
	reader->Get(&fingerprint);
	InitEntry(entry, fingerprint);
	reader->Get(&entry->last_used);
	reader->Get(&num_operators);
	if (num_operators > kRecallOperators)
		return false;
	entry->num_operators = static_cast<int16_t>(num_operators);
	reader->Get(&entry->time);
	reader->Get(&entry->query_memory);
	reader->Get(&entry->temp_bytes);
	reader->Get(&entry->time_sketch);
	for (float *sum : {&entry->scale_weight, &entry->scale_x, &entry->scale_y, &entry->scale_xx, &entry->scale_xy})
		reader->Get(sum);
	for (uint32_t i = 0; i < num_operators; i++) {
		OperatorMemory *op = &entry->operators[i];
		uint32_t kind;
		reader->Get(&op->needed);
		reader->Get(&op->lower_bound);
		reader->Get(&op->spill_share);
		reader->Get(&kind);
		op->kind = kind < static_cast<uint32_t>(NodeKind::kNumKinds) ? static_cast<uint8_t>(kind) : uint8_t{255};
	}
	return reader->ok();
}

struct RecallHead {
	uint32_t max_operators;
	uint32_t sketch_buckets;
	uint32_t num_entries;
	uint32_t clock;
	uint64_t observations;
};

RecallHead GetRecallHead(Reader *reader) noexcept
{
	RecallHead head;
	reader->Get(&head.max_operators);
	reader->Get(&head.sketch_buckets);
	reader->Get(&head.num_entries);
	reader->Get(&head.clock);
	reader->Get(&head.observations);
	return head;
}

}  // namespace

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

size_t BlobBytes(const PlannerModel &) noexcept { return kHeaderBytes + kPlannerBytes; }

size_t BlobBytes(const RecallStore &store) noexcept
{
	size_t bytes = kHeaderBytes + kRecallHeadBytes;
	for (uint32_t i = 0; i < store.capacity; i++) {
		const RecallEntry &entry = store.entries()[i];
		if (entry.fingerprint != 0)
			bytes += kEntryBytes + static_cast<size_t>(entry.num_operators) * kOperatorBytes;
	}
	return bytes;
}

bool WriteBlob(const PlannerModel &shared, std::span<std::byte> blob) noexcept
{
	PlannerModel model;
	if (blob.size() < BlobBytes(shared) || !ReadShared(shared, &model))
		return false;
	Writer writer(blob.data() + kHeaderBytes);
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

bool WriteBlob(const RecallStore &store, std::span<std::byte> blob) noexcept
{
	const size_t bytes = BlobBytes(store);
	if (blob.size() < bytes)
		return false;
	uint32_t num_entries = 0;
	for (uint32_t i = 0; i < store.capacity; i++)
		if (store.entries()[i].fingerprint != 0)
			num_entries++;

	Writer writer(blob.data() + kHeaderBytes);
	writer.Put(static_cast<uint32_t>(kRecallOperators));
	writer.Put(static_cast<uint32_t>(kSketchBuckets));
	writer.Put(num_entries);
	writer.Put(store.clock.load(std::memory_order_relaxed));
	writer.Put(store.observations);
	for (uint32_t i = 0; i < store.capacity; i++)
		if (store.entries()[i].fingerprint != 0)
			PutEntry(&writer, store.entries()[i]);
	WriteHeader(blob.first(bytes), kRecallExpert);
	return true;
}

BlobStatus ReadBlob(std::span<const std::byte> blob, PlannerModel *target) noexcept
{
	const BlobStatus status = CheckHeader(blob, kPlannerExpert);
	if (status != BlobStatus::kOk)
		return status;
	Reader reader(blob.subspan(kHeaderBytes));
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

BlobStatus ReadBlob(std::span<const std::byte> blob, RecallStore *store) noexcept
{
	const BlobStatus status = CheckHeader(blob, kRecallExpert);
	if (status != BlobStatus::kOk)
		return status;
	Reader reader(blob.subspan(kHeaderBytes));
	const RecallHead head = GetRecallHead(&reader);
	if (head.max_operators != kRecallOperators || head.sketch_buckets != kSketchBuckets)
		return BlobStatus::kForeignShape;

	/* once without touching the store, then once more for good */
	const Reader at_first_entry = reader;
	RecallEntry entry;
	for (uint32_t i = 0; i < head.num_entries; i++) {
		if (!GetEntry(&reader, &entry))
			return reader.ok() ? BlobStatus::kInsane : BlobStatus::kWrongLength;
		if (!IsSane(entry))
			return BlobStatus::kInsane;
	}
	if (!reader.AtEnd())
		return BlobStatus::kWrongLength;

	store->Clear();
	store->clock.store(head.clock, std::memory_order_relaxed);
	store->observations = head.observations;
	reader = at_first_entry;
	for (uint32_t i = 0; i < head.num_entries; i++) {
		GetEntry(&reader, &entry);
		InsertEntry(store, entry);
	}
	return BlobStatus::kOk;
}

}  // namespace wlm
