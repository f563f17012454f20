/*
 * simulate_history.cpp
 *
 * wlm.history as a trace. A row says when its statement ended, how long it ran
 * and how long it had waited; so when it came, and which others ran beside it, from which
 * follows what it would have taken alone (WorkFromRecorded). Statements that took part in the
 * load but are not scheduled like others (maintenance, superusers' lane) count
 * there and are then left out.
 */
#include "pg/sql/simulation/simulation.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "pg/history/stored_codes.hpp"
#include "pg/query/classify.hpp"

namespace wlm {

namespace {

constexpr long kFetchRows = 5000;
constexpr int64 kFirstRows = 4096;

enum Column : int {
	kFinishedAt = 0, kQueueMs, kActualMs, kPredictedMs, kPredictedHighMs, kReservedKb, kPeakKb, kQueue, kPriority, kScheduled,
	kExpress, kForced, kEvicted, kRejected, kTimedOut, kNumPreempted, kWastedMs, kNumColumns
};

constexpr Oid kTypes[kNumColumns] = {TIMESTAMPTZOID, FLOAT4OID, FLOAT4OID, FLOAT4OID, FLOAT4OID, FLOAT4OID, FLOAT4OID, NAMEOID, TEXTOID,
                                     BOOLOID, BOOLOID, BOOLOID, BOOLOID, BOOLOID, BOOLOID, INT2OID, FLOAT4OID};

/* Newest first, so that a limit takes those; ended by cancel or error: it ran all the same. Those that never ran are only counted. */
constexpr const char *kQuery =
	"SELECT finished_at, queue_ms, actual_ms, predicted_ms, predicted_high_ms, reserved_kb, peak_kb, queue, priority, "
	"lane IN ('normal', 'express'), lane = 'express', forced, evicted, final_state = 'rejected', "
	"final_state = 'timed_out', num_preempted, wasted_ms "
	"FROM wlm.history "
	"WHERE (final_state IN ('rejected', 'timed_out') OR actual_ms > 0) AND finished_at >= $1 AND finished_at < $2 "
	"ORDER BY finished_at DESC, id DESC";

struct Row {
	TraceQuery query;
	RecordedRun run;
	double wasted_ms;           /* runs before it that were thrown away: when they were nobody recorded */
	int64 place;                /* counted from the newest: so that equal arrivals keep the order of the table */
	bool scheduled;
};

struct Rows {
	Row *rows;
	int64 count;
	int64 capacity;
};

Row *AddRow(Rows *rows, MemoryContext context)
{
	if (rows->count == rows->capacity) {
		rows->capacity = rows->capacity == 0 ? kFirstRows : rows->capacity * 2;
		const Size size = sizeof(Row) * static_cast<Size>(rows->capacity);
		rows->rows = static_cast<Row *>(rows->rows == nullptr ? MemoryContextAllocHuge(context, size) : repalloc_huge(rows->rows, size));
	}
	return &rows->rows[rows->count++];
}

double Positive(const Datum *values, const bool *nulls, int column)
{
	const double value = nulls[column] ? 0 : static_cast<double>(DatumGetFloat4(values[column]));
	return value > 0 && std::isfinite(value) ? value : 0;
}

bool Flag(const Datum *values, const bool *nulls, int column) { return !nulls[column] && DatumGetBool(values[column]); }

int QueueNamed(const Workload &workload, const char *name, int64 *num_unknown)
{
	for (int i = 0; i < workload.num_queues; i++) {
		if (workload.limits[i].in_use && strcmp(workload.limits[i].name, name) == 0)
			return i;
	}
	++*num_unknown;
	return 0;
}

void DecodeRow(const Workload &workload, const Datum *values, const bool *nulls, Row *row, Trace *trace)
{
	const double time_ms = Positive(values, nulls, kActualMs);
	const double queue_ms = Positive(values, nulls, kQueueMs);
	const double wasted_ms = Positive(values, nulls, kWastedMs);
	const double predicted_ms = Positive(values, nulls, kPredictedMs);
	const double high_ms = Positive(values, nulls, kPredictedHighMs);
	const double reserved_kb = Positive(values, nulls, kReservedKb);
	const double peak_kb = Positive(values, nulls, kPeakKb);
	const double end_ms = static_cast<double>(DatumGetTimestampTz(values[kFinishedAt])) / 1000;
	TraceQuery &query = row->query;

	row->place = trace->num_queries++; /* until they are counted for good */
	row->run = {end_ms - time_ms, time_ms};
	row->wasted_ms = wasted_ms;
	row->scheduled = Flag(values, nulls, kScheduled);
	query = TraceQuery{};
	query.arrival_ms = end_ms - time_ms - queue_ms - wasted_ms;
	query.recorded_queue_ms = queue_ms;
	query.memory_kb = static_cast<int64>(peak_kb > 0 ? peak_kb : reserved_kb);
	query.predicted_ms = predicted_ms;
	/* Logarithms are normal: from the upper end of the 95 % interval to the quantile that lanes look at. */
	if (predicted_ms > 0)
		query.predicted_upper_ms =
			predicted_ms * std::pow(std::max(high_ms / predicted_ms, 1.0), static_cast<double>(kLaneZ) / stored::kHalfWidth);
	query.predicted_kb = static_cast<int64>(reserved_kb > 0 ? reserved_kb : peak_kb);
	query.slots = 1;
	int64 unknown = 0;
	query.queue = nulls[kQueue] ? 0 : QueueNamed(workload, NameStr(*DatumGetName(values[kQueue])), &unknown);
	query.priority = workload.limits[query.queue].priority;
	if (!nulls[kPriority]) {
		char *name = TextDatumGetCString(values[kPriority]);
		PriorityFromName(name, &query.priority);
		pfree(name);
	}
	if (row->scheduled) {
		trace->num_unknown_queues += unknown;
		trace->num_express += Flag(values, nulls, kExpress);
		trace->num_forced += Flag(values, nulls, kForced);
		trace->num_evicted += Flag(values, nulls, kEvicted);
		trace->num_preempted += nulls[kNumPreempted] ? 0 : DatumGetInt16(values[kNumPreempted]);
	}
}

void ReadRows(const Workload &workload, const TracePeriod &period, int64 most, MemoryContext context, Rows *rows, Trace *trace)
{
	Oid types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum arguments[] = {TimestampTzGetDatum(period.has_since ? period.since : DT_NOBEGIN),
	                     TimestampTzGetDatum(period.has_until ? period.until : DT_NOEND)};

	SPI_connect();
	const Portal portal = SPI_cursor_open_with_args(nullptr, kQuery, 2, types, arguments, nullptr, true, CURSOR_OPT_NO_SCROLL);
	for (int i = 0; i < kNumColumns; i++) {
		if (TupleDescAttr(portal->tupDesc, i)->atttypid != kTypes[i])
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
			                errmsg("column \"%s\" of wlm.history has an unexpected type",
			                       NameStr(TupleDescAttr(portal->tupDesc, i)->attname)),
			                errhint("Restore the table as the extension created it.")));
	}
	while (rows->count < most) {
		SPI_cursor_fetch(portal, true, static_cast<long>(std::min(static_cast<int64>(kFetchRows), most - rows->count)));
		SPITupleTable *const table = SPI_tuptable;
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++) {
			Datum values[kNumColumns];
			bool nulls[kNumColumns];

			heap_deform_tuple(table->vals[i], table->tupdesc, values, nulls);
			trace->num_rejected += Flag(values, nulls, kRejected);
			trace->num_timeouts += Flag(values, nulls, kTimedOut);
			if (Flag(values, nulls, kRejected) || Flag(values, nulls, kTimedOut))
				continue;
			DecodeRow(workload, values, nulls, AddRow(rows, context), trace);
		}
		SPI_freetuptable(table);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
	SPI_finish();
}

/* What each would have taken alone. In frames that do not raise but for memory. */
void FindWorks(const Rows &rows, double processors)
{
	const auto count = static_cast<size_t>(rows.count);
	auto *runs = static_cast<RecordedRun *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(RecordedRun) * count));
	auto *works = static_cast<double *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * count));
	auto *order = static_cast<int64_t *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64_t) * 2 * count));

	/* Relative to the first: milliseconds since 2000 leave too few bits for what is short. */
	double first = rows.rows[0].run.start_ms;
	for (size_t i = 0; i < count; i++)
		first = std::min(first, rows.rows[i].run.start_ms);
	for (size_t i = 0; i < count; i++)
		runs[i] = {rows.rows[i].run.start_ms - first, rows.rows[i].run.time_ms};
	WorkFromRecorded({runs, count}, processors, {works, count}, {order, 2 * count});
	for (size_t i = 0; i < count; i++)
		rows.rows[i].query.work_ms = works[i];
	pfree(runs);
	pfree(works);
	pfree(order);
}

}  // namespace

int BeginUnmanaged()
{
	const int level = NewGUCNestLevel();
	set_config_option("wlm.bypass", "on", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

void EndUnmanaged(int level) { AtEOXact_GUC(true, level); }

void ReadHistoryTrace(const Workload &workload, const TracePeriod &period, double processors, int64 most, Trace *trace)
{
	Rows rows = {};
	*trace = Trace{};
	trace->from_history = true;

	const bool newest = most < kMaxTraceQueries;
	const int level = BeginUnmanaged();
	ReadRows(workload, period, newest ? most : kMaxTraceQueries + 1, CurrentMemoryContext, &rows, trace);
	EndUnmanaged(level);
	if (rows.count > kMaxTraceQueries)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("too many statements to simulate"),
		                errdetail("The period has more than " INT64_FORMAT ".", kMaxTraceQueries),
		                errhint("Give a shorter period with since and until.")));
	if (rows.count == 0)
		return;
	FindWorks(rows, processors);

	const auto count = static_cast<Size>(rows.count);
	std::sort(rows.rows, rows.rows + rows.count, [](const Row &a, const Row &b) {
		return a.query.arrival_ms != b.query.arrival_ms ? a.query.arrival_ms < b.query.arrival_ms : a.place > b.place;
	});
	trace->queries = static_cast<TraceQuery *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TraceQuery) * count));
	trace->execution_ms = static_cast<double *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * count));
	trace->num_queries = 0;
	for (int64 i = 0; i < rows.count; i++) {
		if (!rows.rows[i].scheduled)
			continue;
		trace->queries[trace->num_queries] = rows.rows[i].query;
		trace->execution_ms[trace->num_queries++] = rows.rows[i].run.time_ms + rows.rows[i].wasted_ms;
	}
	pfree(rows.rows);
	BeginAtZero(trace);
}

}  // namespace wlm
