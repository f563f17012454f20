/*
 * result_rows.hpp
 *
 * Rows of a set-returning function, filled column by column in the order of
 * its OUT parameters. Plain data: it may live in frames that raise.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
}

namespace wlm {

struct RowWriter {
	static constexpr int kMaxColumns = 64;

	int column = 0;
	Datum values[kMaxColumns];
	bool nulls[kMaxColumns];

	void Put(Datum value)
	{
		values[column] = value;
		nulls[column++] = false;
	}
	void Null()
	{
		values[column] = static_cast<Datum>(0);
		nulls[column++] = true;
	}
	void Int4(int32 value) { Put(Int32GetDatum(value)); }
	void Int8(int64 value) { Put(Int64GetDatum(value)); }
	void Boolean(bool value) { Put(BoolGetDatum(value)); }
	void Float8(double value) { Put(Float8GetDatum(value)); }
	/* NULL for NaN: nothing was measured. */
	void Number(double value) { value != value ? Null() : Float8(value); }
	/* NULL for 0: nobody has looked yet. */
	void Kilobytes(float value) { value > 0 ? Int8(static_cast<int64>(value)) : Null(); }
	void Text(const char *value) { value == nullptr ? Null() : Put(CStringGetTextDatum(value)); }
	void Name(const char *value)
	{
		value == nullptr ? Null() : Put(DirectFunctionCall1(namein, CStringGetDatum(value)));
	}
	/* An interval from milliseconds. */
	void Milliseconds(double value)
	{
		auto *interval = static_cast<Interval *>(palloc0(sizeof(Interval)));

		interval->time = static_cast<TimeOffset>((value > 0 ? value : 0) * 1000.0);
		Put(PointerGetDatum(interval));
	}
	void Emit(ReturnSetInfo *set)
	{
		Assert(column == set->setDesc->natts);
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
		column = 0;
	}
};

/* Prepares the result set of a function that returns SETOF. */
inline ReturnSetInfo *BeginRows(FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	return reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
}

/* For SETOF of a plain type. */
inline ReturnSetInfo *BeginValues(FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	return reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
}

/* Whether the current user may see what all others do here: pg_monitor, pg_read_all_stats, wlm_admin. */
bool MaySeeAll();
/* Whether he is a superuser or a member of wlm_admin. */
bool IsAdministrator();

/* ERROR with a HINT unless the current database is wlm.database. */
void RequireConfiguredDatabase(const char *function);

}  // namespace wlm
