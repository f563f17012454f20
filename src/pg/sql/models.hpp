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

#include "core/learn/model_blob.hpp"

namespace wlm {

/* ERROR with the names that there are. */
ModelId ModelByName(const char *name);

void ConnectSpi();

/* The rows that a statement's RETURNING left in SPI_tuptable become rows of our result. */
void PutReturnedModels(ReturnSetInfo *set);

}  // namespace wlm
