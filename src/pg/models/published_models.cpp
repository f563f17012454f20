/*
 * published_models.cpp
 *
 * Layout: Published | marks, one cache line per process | buffers, two per model.
 *
 * A mark holds one byte per model: 0, or the number (1, 2) of the buffer that
 * the process reads. It is set before the numbers of the active buffers are read
 * again; a publisher changes the number first and looks at the marks afterwards.
 * Both sides have a full barrier in between, so that one of them sees the other.
 */
#include "pg/models/published_models.hpp"

#include <algorithm>
#include <cstring>

extern "C" {
#include "access/twophase.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
}

#include "core/predict/gate.hpp"
#include "core/predict/graph_model.hpp"
#include "core/predict/neighbour_store.hpp"
#include "pg/compat.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

constexpr int kNumPublished = lengthof(kPublishedModels);

struct Buffers {
	pg_atomic_uint32 active; /* 0 = no model, 1 or 2 */
	Size capacity;           /* of one buffer */
	Size offset[2];          /* from the beginning of Published */
	Size bytes[2];           /* used */
};

struct Published {
	Buffers models[kNumPublished];
	int num_marks;
	Size marks_offset;
};

/* What of wlm.model_memory they may take; the rest is recall's. */
constexpr Size kTreesPart = 10; /* one tenth for each buffer */
constexpr Size kNeighboursPart = 24;
constexpr uint32 kMostNeighbours = 2048;
constexpr uint32 kLeastNeighbours = 64;

constexpr int kPublishAttempts = 10000; /* a second: a whole model is worth it */
constexpr int kChangeAttempts = 10;     /* the launcher has other things to do, and tries again */
constexpr long kPublishPauseUs = 100;

Published *published = nullptr;

int IndexOf(ModelId which) { return which - kTreesModel; }

char *Base() { return reinterpret_cast<char *>(published); }

pg_atomic_uint32 *MarkOf(int procno)
{
	return reinterpret_cast<pg_atomic_uint32 *>(Base() + published->marks_offset +
	                                            static_cast<Size>(procno) * PG_CACHE_LINE_SIZE);
}

int NumMarks() { return MaxBackends + NUM_AUXILIARY_PROCS + max_prepared_xacts; }

Size CapacityOf(ModelId which, Size model_memory)
{
	switch (which) {
		case kTreesModel: return model_memory / kTreesPart;
		case kGraphModel: return GraphModelBytes();
		case kNeighboursModel: return NeighbourStoreBytes(NeighboursThatFit(model_memory / kNeighboursPart));
		default: return 0;
	}
}

std::span<std::byte> BufferOf(ModelId which, uint32 number)
{
	const Buffers &model = published->models[IndexOf(which)];
	return {reinterpret_cast<std::byte *>(Base() + model.offset[number - 1]), model.capacity};
}

bool IsRead(int index, uint32 number)
{
	for (int i = 0; i < published->num_marks; i++)
		if (((pg_atomic_read_u32(MarkOf(i)) >> (8 * index)) & 0xff) == number)
			return true;
	return false;
}

/* The buffer that is not in use, once nobody reads it any more; 0 if somebody does all the time. */
uint32 FreeBuffer(ModelId which, int attempts = kPublishAttempts)
{
	const int index = IndexOf(which);
	const uint32 number = pg_atomic_read_u32(&published->models[index].active) == 1 ? 2 : 1;

	pg_memory_barrier();
	for (int attempt = 0; attempt < attempts; attempt++) {
		if (!IsRead(index, number)) {
			pg_memory_barrier();
			return number;
		}
		pg_usleep(kPublishPauseUs);
	}
	return 0;
}

void Activate(ModelId which, uint32 number, Size bytes)
{
	Buffers &model = published->models[IndexOf(which)];

	if (number > 0)
		model.bytes[number - 1] = bytes;
	pg_memory_barrier();
	pg_atomic_write_u32(&model.active, number);
	pg_memory_barrier();
}

uint32 ActiveNumbers()
{
	uint32 numbers = 0;

	for (int i = 0; i < kNumPublished; i++)
		numbers |= pg_atomic_read_u32(&published->models[i].active) << (8 * i);
	return numbers;
}

/* It is small, read through its sequence counter, and written by one at a time. */
bool ReplaceGateLocked(std::span<const std::byte> model)
{
	GateModel fresh;

	if (model.size() != sizeof fresh)
		return false;
	memcpy(static_cast<void *>(&fresh), model.data(), sizeof fresh);
	ReplaceGate(gate_model, fresh);
	return true;
}

/* Points of another graph model mean nothing. */
void KeepNeighboursOnlyOf(const GraphModel *graph)
{
	const uint32 number = pg_atomic_read_u32(&published->models[IndexOf(kNeighboursModel)].active);

	if (number != 0) {
		const auto *store = reinterpret_cast<const NeighbourStore *>(BufferOf(kNeighboursModel, number).data());
		if (NeighbourEmbeddingVersion(*store) == GraphModelVersion(*graph))
			return;
	}
	ClearNeighboursLocked();
}

template <typename Model>
const Model *ModelOf(ModelId which, uint32 numbers)
{
	const uint32 number = (numbers >> (8 * IndexOf(which))) & 0xff;
	return number == 0 ? nullptr : reinterpret_cast<const Model *>(BufferOf(which, number).data());
}

}  // namespace

uint32 NeighboursThatFit(Size bytes)
{
	uint32 capacity = kLeastNeighbours;
	while (capacity * 2 <= kMostNeighbours && NeighbourStoreBytes(capacity * 2) <= bytes)
		capacity *= 2;
	return capacity;
}

Size PublishedModelsBytes(Size model_memory)
{
	Size size = CACHELINEALIGN(sizeof(Published)) + static_cast<Size>(NumMarks()) * PG_CACHE_LINE_SIZE;

	for (const ModelId which : kPublishedModels)
		size = add_size(size, 2 * CACHELINEALIGN(CapacityOf(which, model_memory)));
	return size;
}

void CreatePublishedModels(char *memory, Size model_memory)
{
	published = reinterpret_cast<Published *>(memory);
	published->num_marks = NumMarks();
	published->marks_offset = CACHELINEALIGN(sizeof(Published));
	Size offset = published->marks_offset + static_cast<Size>(published->num_marks) * PG_CACHE_LINE_SIZE;

	for (int i = 0; i < published->num_marks; i++)
		pg_atomic_init_u32(MarkOf(i), 0);
	for (const ModelId which : kPublishedModels) {
		Buffers &model = published->models[IndexOf(which)];

		pg_atomic_init_u32(&model.active, 0);
		model.capacity = CapacityOf(which, model_memory);
		for (Size &buffer : model.offset) {
			buffer = offset;
			offset += CACHELINEALIGN(model.capacity);
		}
	}
	PublishPretrainedLocked(kTreesModel);
	PublishPretrainedLocked(kGraphModel);
	PublishPretrainedLocked(kGateModel);
}

void AttachPublishedModels(char *memory) { published = reinterpret_cast<Published *>(memory); }

ModelsInUse::ModelsInUse()
{
	pg_atomic_uint32 *mark = MarkOf(OwnProcNumber());
	uint32 numbers = ActiveNumbers();

	for (;;) {
		pg_atomic_write_u32(mark, numbers);
		pg_memory_barrier();
		const uint32 again = ActiveNumbers();
		if (again == numbers)
			break;
		numbers = again;
	}
	view_ = PublishedModels();
	view_.trees = ModelOf<TreesModel>(kTreesModel, numbers);
	view_.graph = ModelOf<GraphModel>(kGraphModel, numbers);
	view_.neighbours = ModelOf<NeighbourStore>(kNeighboursModel, numbers);
}

ModelsInUse::~ModelsInUse()
{
	pg_memory_barrier(); /* all reads are over */
	pg_atomic_write_u32(MarkOf(OwnProcNumber()), 0);
}

std::span<const std::byte> InPlaceLocked(ModelId which)
{
	Assert(LWLockHeldByMe(shared->learn_lock));
	if (which == kGateModel)
		return {reinterpret_cast<const std::byte *>(gate_model), sizeof(GateModel)};

	const Buffers &model = published->models[IndexOf(which)];
	const uint32 number = pg_atomic_read_u32(const_cast<pg_atomic_uint32 *>(&model.active));
	if (number == 0)
		return {};
	return BufferOf(which, number).first(model.bytes[number - 1]);
}

Size InPlaceCapacity(ModelId which)
{
	return which == kGateModel ? sizeof(GateModel) : published->models[IndexOf(which)].capacity;
}

bool ReplaceInPlaceLocked(ModelId which, std::span<const std::byte> model)
{
	if (which == kGateModel)
		return ReplaceGateLocked(model);
	if (model.empty()) {
		Activate(which, 0, 0);
		return true;
	}
	if (model.size() > InPlaceCapacity(which))
		return false;
	const uint32 number = FreeBuffer(which);
	if (number == 0)
		return false;
	memcpy(BufferOf(which, number).data(), model.data(), model.size());
	Activate(which, number, model.size());
	if (which == kGraphModel)
		KeepNeighboursOnlyOf(reinterpret_cast<const GraphModel *>(BufferOf(which, number).data()));
	return true;
}

std::span<std::byte> CopyForChangeLocked(ModelId which)
{
	const std::span<const std::byte> in_use = InPlaceLocked(which);
	const uint32 number = in_use.empty() ? 0 : FreeBuffer(which, kChangeAttempts);

	if (number == 0)
		return {};
	const std::span<std::byte> copy = BufferOf(which, number).first(in_use.size());
	memcpy(copy.data(), in_use.data(), in_use.size());
	return copy;
}

void PublishChangedLocked(ModelId which)
{
	const Buffers &model = published->models[IndexOf(which)];
	const uint32 number = pg_atomic_read_u32(const_cast<pg_atomic_uint32 *>(&model.active));

	Activate(which, 3 - number, model.bytes[number - 1]);
}

void PublishPretrainedLocked(ModelId which)
{
	std::span<const std::byte> model;
	const std::span<const std::byte> blob = PretrainedBlob(which);

	if (!blob.empty() && CheckInPlaceBlob(blob, which, &model) == BlobStatus::kOk && ReplaceInPlaceLocked(which, model))
		return;
	if (which == kGateModel)
		InitGate(gate_model);
	else
		ReplaceInPlaceLocked(which, {});
}

void ClearNeighboursLocked()
{
	const Buffers &graph = published->models[IndexOf(kGraphModel)];
	const uint32 graph_number = pg_atomic_read_u32(const_cast<pg_atomic_uint32 *>(&graph.active));
	const uint32 number = graph_number == 0 ? 0 : FreeBuffer(kNeighboursModel);

	if (number == 0) {
		Activate(kNeighboursModel, 0, 0);
		return;
	}
	const GraphModel *model = reinterpret_cast<const GraphModel *>(BufferOf(kGraphModel, graph_number).data());
	const std::span<std::byte> buffer = BufferOf(kNeighboursModel, number);
	const uint32 capacity = NeighboursThatFit(buffer.size());
	const bool made = InitNeighbourStore(buffer, capacity, GraphModelVersion(*model)) != nullptr;
	Activate(kNeighboursModel, made ? number : 0, NeighbourStoreBytes(capacity));
}

}  // namespace wlm
