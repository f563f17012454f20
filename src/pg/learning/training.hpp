/*
 * training.hpp
 *
 * From wlm.history and wlm.plan to models of trees and graph, in three steps,
 * so that the middle one, which takes long, needs no transaction:
 *     CollectSamples()   history -> pool of distinct plans, the newest kinds kept apart
 *     TrainModels()      pool -> pg_wlm_trainer -> blobs
 *     ConcludeTraining() blobs -> judged against the champions, rows of wlm.model, published at commit
 *
 * By train() in a backend, in one transaction, and by the training worker.
 */
#pragma once

#include "pg/postgres.hpp"

#include "core/learn/model_blob.hpp"
#include "pg/models/publish.hpp"

namespace wlm {

struct Training;

inline bool IsTrained(ModelId which) { return which == kTreesModel || which == kGraphModel; }

/*
 * In the current memory context. `only` chooses one model, kNumModels both. Null if there is too little to learn
 * from; then *problem says so. SPI connected, with a snapshot.
 */
Training *CollectSamples(ModelId only, const char *reason, const char **problem);

/* Never raises but for interrupts. */
void TrainModels(Training *training);

/*
 * One row per model, whose kReturnedModelColumns go to `put_row` while they are in SPI_tuptable. SPI connected,
 * with a snapshot, in the same or another transaction.
 */
void ConcludeTraining(Training *training, void (*put_row)(void *context), void *context);

/*
 * The neighbours' examples are points of one graph model: for another one they are made anew from history, and published
 * with it. `graph` is a blob that has been checked. SPI connected, with a snapshot.
 */
void PublishNeighboursOf(const ModelBytes &graph);

}  // namespace wlm
