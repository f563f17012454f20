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
#include "core/predict/forecast.hpp"

namespace wlm {

/* The bytes of an expert's model; in the current memory context. */
struct ModelBytes {
	char *data;
	size_t size;
};

ModelBytes BytesOf(const PlannerModel &model);
ModelBytes BytesOf(const RecallStore &store);
/* The model that is in use now. Takes learn_lock. */
ModelBytes BytesInUse(ExpertId expert);

/* What is wrong with them, or null. Costs a private copy of the model. */
const char *CheckBytes(ExpertId expert, const ModelBytes &bytes);

/* Copies the bytes and publishes them if the transaction commits. */
void PublishAtCommit(ExpertId expert, const ModelBytes &bytes);

}  // namespace wlm
