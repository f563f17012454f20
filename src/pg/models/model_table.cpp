/*
 * model_table.cpp
 *
 * See model_table.hpp.
 */
#include "pg/models/model_table.hpp"

#include <cstring>

extern "C" {
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "pg/shared_state.hpp"

namespace wlm {

namespace {

Datum AsBytea(const ModelBytes &bytes)
{
	if (bytes.size > MaxAllocSize / 2)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("the model is too large for wlm.model: %zu bytes", bytes.size),
		                errhint("Lower wlm.model_memory.")));
	auto *content = static_cast<bytea *>(palloc(VARHDRSZ + bytes.size));

	SET_VARSIZE(content, VARHDRSZ + bytes.size);
	memcpy(VARDATA(content), bytes.data, bytes.size);
	return PointerGetDatum(content);
}

int64 ObservationsOf(ModelId which)
{
	switch (which) {
		case kPlannerModel: return static_cast<int64>(planner_model->observations);
		case kRecallModel: return static_cast<int64>(recall_store->observations);
		default: return 0;
	}
}

}  // namespace

void ExecuteSpi(const char *command, int expected, int num_values, Oid *types, Datum *values, const char *nulls)
{
	const int result = SPI_execute_with_args(command, num_values, types, values, nulls, false, 0);

	if (result != expected)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
		                errmsg("unexpected result of SPI: %s", SPI_result_code_string(result))));
}

void LockModelTable() { ExecuteSpi("LOCK TABLE wlm.model IN SHARE ROW EXCLUSIVE MODE", SPI_OK_UTILITY); }

void InsertModelRow(const ModelRow &row)
{
	Oid types[] = {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, JSONBOID, TEXTOID, BYTEAOID};
	Datum values[] = {
		CStringGetTextDatum(ModelName(row.which)),
		CStringGetTextDatum(row.state),
		Int64GetDatum(row.samples),
		TimestampTzGetDatum(row.learned_to),
		row.metrics != nullptr ? DirectFunctionCall1(jsonb_in, CStringGetDatum(row.metrics)) : Datum{0},
		row.error != nullptr ? CStringGetTextDatum(row.error) : Datum{0},
		row.content.data != nullptr ? AsBytea(row.content) : Datum{0},
	};
	const char nulls[] = {' ', ' ', ' ', row.learned_to == 0 ? 'n' : ' ', row.metrics == nullptr ? 'n' : ' ',
	                      row.error == nullptr ? 'n' : ' ', row.content.data == nullptr ? 'n' : ' ', '\0'};

	ExecuteSpi(psprintf("INSERT INTO wlm.model (expert, version, state, samples, learned_to, metrics, error, content) "
	                 "SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, coalesce($5, '{}'), $6, $7 "
	                 "FROM wlm.model WHERE expert = $1 RETURNING %s", kReturnedModelColumns),
	        SPI_OK_INSERT_RETURNING, lengthof(types), types, values, nulls);
}

void RetireChampion(ModelId which)
{
	const ModelBytes in_use = BytesInUse(which);
	Oid types[] = {TEXTOID, BYTEAOID};
	Datum values[] = {CStringGetTextDatum(ModelName(which)), in_use.data != nullptr ? AsBytea(in_use) : Datum{0}};
	const char nulls[] = {' ', in_use.data != nullptr ? ' ' : 'n', '\0'};

	ExecuteSpi("UPDATE wlm.model SET state = 'retired', content = $2, learned_to = now() "
	        "WHERE expert = $1 AND state = 'champion'", SPI_OK_UPDATE, lengthof(types), types, values, nulls);
	if (SPI_processed == 0 && in_use.data != nullptr)
		InsertModelRow({which, "retired", ObservationsOf(which), GetCurrentTimestamp(), nullptr, nullptr, in_use});
}

void DropOldModels(ModelId which)
{
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(ModelName(which))};

	ExecuteSpi("UPDATE wlm.model SET content = NULL WHERE expert = $1 AND state <> 'champion' AND content IS NOT NULL "
	        "AND version NOT IN (SELECT version FROM wlm.model WHERE expert = $1 AND state = 'retired' "
	        "AND content IS NOT NULL ORDER BY version DESC LIMIT 3)", SPI_OK_UPDATE, lengthof(types), types, values);
	ExecuteSpi("DELETE FROM wlm.model WHERE expert = $1 AND state <> 'champion' AND content IS NULL AND version NOT IN "
	        "(SELECT version FROM wlm.model WHERE expert = $1 ORDER BY version DESC LIMIT 10)",
	        SPI_OK_DELETE, lengthof(types), types, values);
}

}  // namespace wlm
