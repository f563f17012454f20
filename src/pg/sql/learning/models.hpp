/*
 * models.hpp
 *
 * What the SQL functions on models share. All may raise.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/execnodes.h"
}

#include "core/learn/learner.hpp"
#include "core/learn/model_blob.hpp"

namespace wlm {

/* ERROR with the names that there are. */
ModelId ModelByName(const char *name);

void ConnectSpi();

struct RowWriter;

/* Who was judged, on what, and how good: the columns that evaluate() and expert_accuracy() begin with. */
void PutAccuracy(RowWriter *row, int judged, Target target, const AccuracyRow &summary);

/* The rows that a statement's RETURNING left in SPI_tuptable become rows of our result. */
void PutReturnedModels(ReturnSetInfo *set);

}  // namespace wlm
