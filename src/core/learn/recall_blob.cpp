/*
 * recall_blob.cpp
 *
 * The recall store as a blob: only entries in use, only operators that they
 * have. The format stands at the head of model_blob.cpp; in the head the number of
 * experts follows that of sketch buckets, in each entry the losses (2 targets, for
 * each expert its excess, then its scores, floats) follow the scale sums.
 */
#include <initializer_list>

#include "core/learn/blob_format.hpp"
#include "core/learn/model_blob.hpp"
#include "core/predict/gate.hpp"
#include "core/predict/moments.hpp"
#include "core/predict/recall_access.hpp"

namespace wlm {

namespace {

constexpr size_t kRecallHeadBytes = 28;
constexpr size_t kMomentsBytes = 4 * sizeof(float);
constexpr size_t kEntryBytes =
	16 + 3 * kMomentsBytes + (1 + kSketchBuckets + 5) * sizeof(float) + sizeof(TemplateLosses);
constexpr size_t kOperatorBytes = kMomentsBytes + 2 * sizeof(float) + sizeof(uint32_t);

void PutEntry(BlobWriter *writer, const RecallEntry &entry) noexcept
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
	writer->Put(entry.losses);
	for (int i = 0; i < entry.num_operators; i++) {
		const OperatorMemory &op = entry.operators[i];
		writer->Put(op.needed);
		writer->Put(op.lower_bound);
		writer->Put(op.spill_share);
		writer->Put(static_cast<uint32_t>(op.kind));
	}
}

/* False if it cannot be read at all; its numbers are still to be checked. */
bool GetEntry(BlobReader *reader, RecallEntry *entry) noexcept
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
	reader->Get(&entry->losses);
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
	uint32_t experts; /* of the losses */
	uint32_t num_entries;
	uint32_t clock;
	uint64_t observations;
};

RecallHead GetRecallHead(BlobReader *reader) noexcept
{
	RecallHead head;
	reader->Get(&head.max_operators);
	reader->Get(&head.sketch_buckets);
	reader->Get(&head.experts);
	reader->Get(&head.num_entries);
	reader->Get(&head.clock);
	reader->Get(&head.observations);
	return head;
}

}  // namespace

size_t BlobBytes(const RecallStore &store) noexcept
{
	size_t bytes = kBlobHeaderBytes + kRecallHeadBytes;
	for (uint32_t i = 0; i < store.capacity; i++) {
		const RecallEntry &entry = store.entries()[i];
		if (entry.fingerprint != 0)
			bytes += kEntryBytes + static_cast<size_t>(entry.num_operators) * kOperatorBytes;
	}
	return bytes;
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

	BlobWriter writer(blob.data() + kBlobHeaderBytes);
	writer.Put(static_cast<uint32_t>(kRecallOperators));
	writer.Put(static_cast<uint32_t>(kSketchBuckets));
	writer.Put(static_cast<uint32_t>(kNumExperts));
	writer.Put(num_entries);
	writer.Put(store.clock.load(std::memory_order_relaxed));
	writer.Put(store.observations);
	for (uint32_t i = 0; i < store.capacity; i++)
		if (store.entries()[i].fingerprint != 0)
			PutEntry(&writer, store.entries()[i]);
	WriteHeader(blob.first(bytes), kRecallModel);
	return true;
}

BlobStatus ReadBlob(std::span<const std::byte> blob, RecallStore *store) noexcept
{
	const BlobStatus status = CheckHeader(blob, kRecallModel);
	if (status != BlobStatus::kOk)
		return status;
	BlobReader reader(blob.subspan(kBlobHeaderBytes));
	const RecallHead head = GetRecallHead(&reader);
	if (head.max_operators != kRecallOperators || head.sketch_buckets != kSketchBuckets ||
	    head.experts != kNumExperts)
		return BlobStatus::kForeignShape;

	/* once without touching the store, then once more for good */
	const BlobReader at_first_entry = reader;
	RecallEntry entry;
	for (uint32_t i = 0; i < head.num_entries; i++) {
		if (!GetEntry(&reader, &entry))
			return reader.ok() ? BlobStatus::kInsane : BlobStatus::kWrongLength;
		if (!IsSane(entry) || !IsSane(entry.losses.time) || !IsSane(entry.losses.operator_memory))
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
