/*
 * publish.cpp
 *
 * Bytes that wait for the commit live in TopTransactionContext; at most one
 * model of each expert. The commit callback must not raise: bytes were checked
 * when they were handed in, and core checks them again before it touches the
 * model in use.
 */
#include "pg/models/publish.hpp"

#include <cstring>

extern "C" {
#include "access/xact.h"
#include "utils/memutils.h"
}

#include "pg/models/published_models.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

struct Pending {
	ModelBytes bytes;               /* data is null if there are none */
	SubTransactionId subtransaction;
};

/* A few entries of the recall store. */
constexpr size_t kRoomToGrow = 64 * 1024;

Pending pending[kNumModels];
bool callbacks_registered = false;

ModelBytes Allocate(size_t size)
{
	return {static_cast<char *>(MemoryContextAllocHuge(CurrentMemoryContext, size)), size};
}

template <typename Model>
bool Write(const Model &model, const ModelBytes &bytes)
{
	return WriteBlob(model, std::span<std::byte>(reinterpret_cast<std::byte *>(bytes.data), bytes.size));
}

template <typename Model>
ModelBytes Bytes(const Model &model)
{
	ModelBytes bytes = Allocate(BlobBytes(model));

	if (!Write(model, bytes))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not serialize a model")));
	return bytes;
}

/* Bytes of the blob that would be written now; 0 = no model. learn_lock must be held. */
size_t SizeLocked(ModelId which)
{
	switch (which) {
		case kPlannerModel: return BlobBytes(*planner_model);
		case kRecallModel: return BlobBytes(*recall_store);
		default: break;
	}
	const std::span<const std::byte> model = InPlaceLocked(which);
	return model.empty() ? 0 : InPlaceBlobBytes(model.size());
}

/* learn_lock must be held. */
bool WriteLocked(ModelId which, const ModelBytes &bytes)
{
	switch (which) {
		case kPlannerModel: return Write(*planner_model, bytes);
		case kRecallModel: return Write(*recall_store, bytes);
		default: break;
	}
	WriteInPlaceBlob(which, InPlaceLocked(which), {reinterpret_cast<std::byte *>(bytes.data), bytes.size});
	return true;
}

/* learn_lock must be held exclusively. Null, or what is wrong. */
const char *ReadLocked(ModelId which, const ModelBytes &bytes)
{
	std::span<const std::byte> model;
	BlobStatus status;

	switch (which) {
		case kPlannerModel: status = ReadBlob(AsSpan(bytes), planner_model); break;
		case kRecallModel: status = ReadBlob(AsSpan(bytes), recall_store); break;
		default:
			status = CheckInPlaceBlob(AsSpan(bytes), which, &model);
			if (status == BlobStatus::kOk && !ReplaceInPlaceLocked(which, model))
				return "a model could not be published";
			break;
	}
	return status == BlobStatus::kOk ? nullptr : BlobStatusText(status);
}

void Publish(ModelId which, const ModelBytes &bytes)
{
	LWLockAcquire(shared->learn_lock, LW_EXCLUSIVE);
	const char *problem = ReadLocked(which, bytes);
	LWLockRelease(shared->learn_lock);
	if (problem == nullptr)
		pg_atomic_fetch_add_u32(&shared->model_version, 1);
	else
		CountProblem(problem);
}

void AtTransactionEnd(XactEvent event, void *)
{
	switch (event) {
	case XACT_EVENT_COMMIT:
		/* in this order: neighbours are points of the graph model before them */
		for (int which = 0; which < kNumModels; which++) {
			if (pending[which].bytes.data != nullptr)
				Publish(static_cast<ModelId>(which), pending[which].bytes);
		}
		ForgetPending();
		break;
	case XACT_EVENT_ABORT:
	case XACT_EVENT_PREPARE:
		ForgetPending();
		break;
	case XACT_EVENT_PRE_PREPARE:
		for (const Pending &each : pending) {
			if (each.bytes.data != nullptr)
				ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				                errmsg("cannot PREPARE a transaction that has trained or rolled back a model")));
		}
		break;
	default:
		break;
	}
}

void AtSubtransactionEnd(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *)
{
	for (Pending &each : pending) {
		if (each.bytes.data == nullptr || each.subtransaction != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			each.subtransaction = parent;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
			each = {};
	}
}

}  // namespace

void ForgetPending()
{
	for (Pending &each : pending)
		each = {};
}

ModelBytes AlignedCopy(const void *data, size_t size)
{
	const ModelBytes bytes = Allocate(size);

	memcpy(bytes.data, data, size);
	return bytes;
}

ModelBytes BytesOf(const PlannerModel &model) { return Bytes(model); }
ModelBytes BytesOf(const RecallStore &store) { return Bytes(store); }

ModelBytes BytesOf(ModelId which, std::span<const std::byte> model)
{
	const ModelBytes bytes = Allocate(InPlaceBlobBytes(model.size()));

	WriteInPlaceBlob(which, model, {reinterpret_cast<std::byte *>(bytes.data), bytes.size});
	return bytes;
}

ModelBytes BytesInUse(ModelId which)
{
	/* A store may grow between asking for its size and writing it: then once more, with room to spare. */
	for (int attempt = 0; attempt < 10; attempt++) {
		LWLockAcquire(shared->learn_lock, LW_SHARED);
		const size_t expected = SizeLocked(which);
		LWLockRelease(shared->learn_lock);
		if (expected == 0)
			return {nullptr, 0};
		const ModelBytes room = Allocate(expected + (which == kRecallModel ? kRoomToGrow : 0));

		LWLockAcquire(shared->learn_lock, LW_SHARED);
		const size_t size = SizeLocked(which);
		const bool written = size > 0 && size <= room.size && WriteLocked(which, {room.data, size});
		LWLockRelease(shared->learn_lock);
		if (written)
			return {room.data, size};
		pfree(room.data);
	}
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not serialize the model in use")));
}

const char *CheckBytes(ModelId which, const ModelBytes &bytes)
{
	BlobStatus status;

	if (which == kPlannerModel) {
		auto *model = static_cast<PlannerModel *>(palloc0(sizeof(PlannerModel)));

		InitPlannerModel(model);
		status = ReadBlob(AsSpan(bytes), model);
		pfree(model);
	} else if (which == kRecallModel) {
		/* A small store will do: all numbers are checked before any is taken. */
		const uint32 capacity = 64;
		const size_t size = RecallStore::BytesNeeded(capacity);
		void *memory = MemoryContextAllocHuge(CurrentMemoryContext, size);
		RecallStore *store = RecallStore::Init(std::span<std::byte>(static_cast<std::byte *>(memory), size), capacity);

		status = store == nullptr ? BlobStatus::kForeignShape : ReadBlob(AsSpan(bytes), store);
		pfree(memory);
	} else {
		std::span<const std::byte> model;

		status = CheckInPlaceBlob(AsSpan(bytes), which, &model);
		if (status == BlobStatus::kOk && model.size() > InPlaceCapacity(which))
			return "model does not fit into its part of wlm.model_memory";
	}
	return status == BlobStatus::kOk ? nullptr : BlobStatusText(status);
}

void PublishAtCommit(ModelId which, const ModelBytes &bytes)
{
	if (!callbacks_registered) {
		RegisterXactCallback(AtTransactionEnd, nullptr);
		RegisterSubXactCallback(AtSubtransactionEnd, nullptr);
		callbacks_registered = true;
	}

	auto *copy = static_cast<char *>(MemoryContextAllocHuge(TopTransactionContext, bytes.size));

	memcpy(copy, bytes.data, bytes.size);
	pending[which].bytes = {copy, bytes.size};
	pending[which].subtransaction = GetCurrentSubTransactionId();
}

}  // namespace wlm
