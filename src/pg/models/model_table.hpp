/*
 * model_table.hpp
 *
 * Rows of wlm.model. For train(), rollback() and import_model() in a backend,
 * and for the training worker. SPI must be connected; everything may raise.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

#include "pg/models/publish.hpp"

namespace wlm {

/* Columns of a row as SQL functions return it, after RETURNING. */
inline constexpr char kReturnedModelColumns[] = "expert, version, state, trained_at, samples, metrics, error";

struct ModelRow {
	ModelId which;
	const char *state;
	int64 samples;
	TimestampTz learned_to;   /* 0 = unknown */
	const char *metrics;      /* JSON, or null for {} */
	const char *error;        /* or null */
	ModelBytes content;       /* no data = none */
};

/* A command with parameters; ERROR unless its result is as expected. `nulls` as for SPI_execute_with_args(). */
void ExecuteSpi(const char *command, int expected, int num_values = 0, Oid *types = nullptr, Datum *values = nullptr,
                const char *nulls = nullptr);

/* One writer at a time until the end of the transaction; readers are not disturbed. */
void LockModelTable();

/* Inserts the model's next version; kReturnedModelColumns are in SPI_tuptable afterwards. */
void InsertModelRow(const ModelRow &row);

/*
 * Makes room for a champion. The model that has been in use until now may have gone on learning since it was
 * stored, or was never stored: keeps what it is now, that is what rollback() should bring back.
 */
void RetireChampion(ModelId which);

/* Contents are large: the three newest retired ones are enough to go back to, and of the others ten rows to look at. */
void DropOldModels(ModelId which);

}  // namespace wlm
