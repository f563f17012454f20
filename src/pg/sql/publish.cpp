/*
 * publish.cpp
 *
 * Bytes that wait for the commit live in TopTransactionContext; at most one
 * model of each expert. The commit callback must not raise: bytes were checked
 * when they were handed in, and core checks them again before it touches the
 * model in use.
 */
#include "pg/sql/publish.hpp"

#include <cstring>

extern "C" {
#include "access/xact.h"
#include "utils/memutils.h"
}

#include "pg/shared_state.hpp"

namespace wlm {

namespace {

struct Pending {
	ModelBytes bytes;               /* data is null if there are none */
	SubTransactionId subtransaction;
};

/* A few entries of the recall store. */
constexpr size_t kRoomToGrow = 64 * 1024;

Pending pending[kNumExperts];
bool callbacks_registered = false;

std::span<const std::byte> AsSpan(const ModelBytes &bytes)
{
	return {reinterpret_cast<const std::byte *>(bytes.data), bytes.size};
}

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

size_t SizeInUse(ExpertId expert)
{
	LWLockAcquire(shared->learn_lock, LW_SHARED);
	const size_t size = expert == kPlannerExpert ? BlobBytes(*planner_model) : BlobBytes(*recall_store);
	LWLockRelease(shared->learn_lock);
	return size;
}

void Publish(ExpertId expert, const ModelBytes &bytes)
{
	LWLockAcquire(shared->learn_lock, LW_EXCLUSIVE);
	const BlobStatus status = expert == kPlannerExpert ? ReadBlob(AsSpan(bytes), planner_model)
	                                                   : ReadBlob(AsSpan(bytes), recall_store);
	LWLockRelease(shared->learn_lock);
	if (status == BlobStatus::kOk)
		pg_atomic_fetch_add_u32(&shared->model_version, 1);
	else
		CountProblem(BlobStatusText(status));
}

void Forget()
{
	for (Pending &each : pending)
		each = {};
}

void AtTransactionEnd(XactEvent event, void *)
{
	switch (event) {
	case XACT_EVENT_COMMIT:
		for (int expert = 0; expert < kNumExperts; expert++) {
			if (pending[expert].bytes.data != nullptr)
				Publish(static_cast<ExpertId>(expert), pending[expert].bytes);
		}
		Forget();
		break;
	case XACT_EVENT_ABORT:
	case XACT_EVENT_PREPARE:
		Forget();
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

ModelBytes BytesOf(const PlannerModel &model) { return Bytes(model); }
ModelBytes BytesOf(const RecallStore &store) { return Bytes(store); }

ModelBytes BytesInUse(ExpertId expert)
{
	/* A store may grow between asking for its size and writing it: then once more, with room to spare. */
	for (int attempt = 0; attempt < 10; attempt++) {
		ModelBytes bytes = Allocate(SizeInUse(expert) + kRoomToGrow);
		size_t size = 0;
		bool written = false;

		LWLockAcquire(shared->learn_lock, LW_SHARED);
		if (expert == kPlannerExpert) {
			size = BlobBytes(*planner_model);
			written = size <= bytes.size && Write(*planner_model, bytes);
		} else {
			size = BlobBytes(*recall_store);
			written = size <= bytes.size && Write(*recall_store, bytes);
		}
		LWLockRelease(shared->learn_lock);
		if (written)
			return {bytes.data, size};
		pfree(bytes.data);
	}
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not serialize the model in use")));
}

const char *CheckBytes(ExpertId expert, const ModelBytes &bytes)
{
	BlobStatus status;

	if (expert == kPlannerExpert) {
		auto *model = static_cast<PlannerModel *>(palloc0(sizeof(PlannerModel)));

		InitPlannerModel(model);
		status = ReadBlob(AsSpan(bytes), model);
		pfree(model);
	} else {
		/* A small store will do: all numbers are checked before any is taken. */
		const uint32 capacity = 64;
		const size_t size = RecallStore::BytesNeeded(capacity);
		void *memory = MemoryContextAllocHuge(CurrentMemoryContext, size);
		RecallStore *store = RecallStore::Init(std::span<std::byte>(static_cast<std::byte *>(memory), size), capacity);

		status = store == nullptr ? BlobStatus::kForeignShape : ReadBlob(AsSpan(bytes), store);
		pfree(memory);
	}
	return status == BlobStatus::kOk ? nullptr : BlobStatusText(status);
}

void PublishAtCommit(ExpertId expert, const ModelBytes &bytes)
{
	if (!callbacks_registered) {
		RegisterXactCallback(AtTransactionEnd, nullptr);
		RegisterSubXactCallback(AtSubtransactionEnd, nullptr);
		callbacks_registered = true;
	}

	auto *copy = static_cast<char *>(MemoryContextAllocHuge(TopTransactionContext, bytes.size));

	memcpy(copy, bytes.data, bytes.size);
	pending[expert].bytes = {copy, bytes.size};
	pending[expert].subtransaction = GetCurrentSubTransactionId();
}

}  // namespace wlm
