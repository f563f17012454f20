/*
 * publish.hpp
 *
 * A model's bytes -> shared memory, at the commit of the transaction that also
 * writes its row of wlm.model, so that table and memory say the same.
 */
#pragma once

#include "pg/postgres.hpp"

#include <cstddef>
#include <span>

#include "core/learn/model_blob.hpp"

namespace wlm {

/* A model as a blob; in the current memory context. */
struct ModelBytes {
	char *data;
	size_t size;
};

inline std::span<const std::byte> AsSpan(const ModelBytes &bytes)
{
	return {reinterpret_cast<const std::byte *>(bytes.data), bytes.size};
}

ModelBytes BytesOf(const PlannerModel &model);
ModelBytes BytesOf(const RecallStore &store);
/* Trees, graph, neighbours and gate, from their bytes in place. */
ModelBytes BytesOf(ModelId which, std::span<const std::byte> model);
/* The model that is in use now; no data if there is none. Takes learn_lock. */
ModelBytes BytesInUse(ModelId which);

/* A copy whose model stands at a multiple of eight bytes, as models in place must: a bytea's content does not. */
ModelBytes AlignedCopy(const void *data, size_t size);

/* What is wrong with them, or null. Costs a private copy of some models. */
const char *CheckBytes(ModelId which, const ModelBytes &bytes);

/* Copies the bytes and publishes them if the transaction commits. */
void PublishAtCommit(ModelId which, const ModelBytes &bytes);
/* What waits for the commit is not published. */
void ForgetPending();

}  // namespace wlm
