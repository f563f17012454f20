/*
 * history.cpp
 *
 * One batch is one transaction. The tables are locked first, so that waiting
 * for somebody's ALTER TABLE costs nothing; then records are copied out of the
 * ring in slices, so that state_lock is never held for long; then they are
 * stored. What was copied out and did not commit is lost, and counted.
 */
#include "pg/history/history.hpp"

#include <algorithm>
#include <cstring>

extern "C" {
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "pg/history/stored_experience.hpp"
#include "pg/history/stored_graph.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/worker/worker.hpp"

namespace wlm {

namespace {

constexpr int kBatchRecords = 256;
constexpr size_t kBatchBytes = 1024 * 1024;
constexpr size_t kSliceBytes = 64 * 1024;   /* copied under one hold of state_lock */

struct Batch {
	int num_records;
	int num_plans;              /* distinct fingerprints below */
	size_t bytes;               /* used of the buffer */
	uint64 consumed;            /* bytes of the ring */
	RecordHeader headers[kBatchRecords];
	size_t offsets[kBatchRecords];
	struct {
		uint64 fingerprint;
		int64 executions;
		TimestampTz last_seen;
	} plans[kBatchRecords];
	Workload workload;          /* for names of queues */
	alignas(8) char buffer[kBatchBytes + kMaxRecordBytes];
};

/* Records that were taken from the ring and are not committed. */
int num_in_flight = 0;

SPIPlanPtr insert_history = nullptr;
SPIPlanPtr insert_operator = nullptr;
SPIPlanPtr insert_plan = nullptr;
SPIPlanPtr update_plan = nullptr;
SPIPlanPtr insert_rule_action = nullptr;

/* Kept for the life of the process; PostgreSQL plans again if a table changes. */
void Prepare(SPIPlanPtr *plan, const char *sql, int num_types, Oid *types)
{
	if (*plan != nullptr)
		return;
	SPIPlanPtr prepared = SPI_prepare(sql, num_types, types);
	if (prepared == nullptr)
		elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	SPI_keepplan(prepared);
	*plan = prepared;
}

void PrepareAll()
{
	Oid types[kNumHistoryColumns];
	Oid plan_types[] = {INT8OID, INT8OID, INT2OID, BYTEAOID, FLOAT4OID, INT2OID};
	Oid action_types[] = {TIMESTAMPTZOID, INT4OID, INT8OID, NAMEOID, NAMEOID, TEXTOID, BOOLOID, TEXTOID, FLOAT8OID, NAMEOID, NAMEOID};
	Oid update_types[] = {INT8OID, INT8OID, TIMESTAMPTZOID};

	char *sql = InsertStatement("history", kHistoryColumns, kNumHistoryColumns, types);
	Prepare(&insert_history, psprintf("%s RETURNING id", sql), kNumHistoryColumns, types);
	sql = InsertStatement("history_operator", kOperatorColumns, kNumOperatorColumns, types);
	Prepare(&insert_operator, sql, kNumOperatorColumns, types);
	Prepare(&insert_plan,
	        "INSERT INTO wlm.plan AS p (fingerprint, template, format, graph, total_cost, nodes) "
	        "VALUES ($1, $2, $3, $4, $5, $6) "
	        "ON CONFLICT (fingerprint) DO UPDATE SET last_seen = excluded.last_seen",
	        lengthof(plan_types), plan_types);
	Prepare(&update_plan,
	        "UPDATE wlm.plan SET executions = executions + $2, last_seen = GREATEST(last_seen, $3) "
	        "WHERE fingerprint = $1",
	        lengthof(update_types), update_types);
	Prepare(&insert_rule_action,
	        "INSERT INTO wlm.rule_action (recorded_at, pid, query_id, queue, rule, action, applied, metric, metric_value, database, role) "
	        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
	        lengthof(action_types), action_types);
}

void Execute(SPIPlanPtr plan, Datum *values, const char *nulls, int expected)
{
	const int result = SPI_execute_plan(plan, values, nulls, false, 0);
	if (result != expected)
		elog(ERROR, "could not store history: %s", SPI_result_code_string(result));
}

/* Is the record what its kind says? Only our own code writes to the ring, but a wrong length here would be a crash. */
bool IsWhole(const RecordHeader &header, const char *payload)
{
	if (header.kind == RecordKind::kExperience && header.bytes >= offsetof(Experience, operators)) {
		const Experience *experience = reinterpret_cast<const Experience *>(payload);
		return experience->num_operators >= 0 && experience->num_operators <= kMaxMemoryNodes &&
			experience->BytesUsed() <= header.bytes;
	}
	if (header.kind == RecordKind::kPlan && header.bytes >= offsetof(PlanRecord, nodes)) {
		const PlanRecord *plan = reinterpret_cast<const PlanRecord *>(payload);
		return plan->num_nodes >= 0 && plan->num_nodes <= kMaxPlanNodes && plan->BytesUsed() <= header.bytes;
	}
	if (header.kind == RecordKind::kRuleAction && header.bytes == sizeof(RuleActionRecord)) {
		const RuleActionRecord *action = reinterpret_cast<const RuleActionRecord *>(payload);
		return action->metric < kNumMetrics && action->action <= static_cast<uint8>(RuleAction::kAbort) &&
			memchr(action->rule, '\0', sizeof action->rule) != nullptr;
	}
	return false;
}

/* Up to `limit` bytes of the ring, in slices. */
void TakeBatch(Batch *batch, uint64 limit)
{
	bool more = true;

	batch->num_records = 0;
	batch->num_plans = 0;
	batch->bytes = 0;
	batch->consumed = 0;
	while (more) {
		const size_t slice_start = batch->bytes;

		LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
		if (slice_start == 0)
			memcpy(&batch->workload, &shared->workload, sizeof batch->workload);
		while (batch->bytes - slice_start < kSliceBytes) {
			RecordHeader *header = &batch->headers[batch->num_records];
			const uint64 pending = ring->Pending(Reader::kHistory);

			if (batch->num_records == kBatchRecords || batch->bytes >= kBatchBytes || batch->consumed >= limit ||
			    !ring->Take(Reader::kHistory, header, batch->buffer + batch->bytes)) {
				more = false;
				break;
			}
			batch->consumed += pending - ring->Pending(Reader::kHistory);
			batch->offsets[batch->num_records++] = batch->bytes;
			batch->bytes += MAXALIGN(header->bytes);
		}
		num_in_flight = batch->num_records;
		LWLockRelease(shared->state_lock);
	}
}

/* One update per plan and batch. */
void CountExecution(Batch *batch, const Experience &experience)
{
	int i = 0;
	while (i < batch->num_plans && batch->plans[i].fingerprint != experience.plan_fingerprint)
		i++;
	if (i == batch->num_plans) {
		batch->num_plans++;
		batch->plans[i] = {experience.plan_fingerprint, 0, experience.finished_at};
	}
	batch->plans[i].executions++;
	batch->plans[i].last_seen = std::max(batch->plans[i].last_seen, experience.finished_at);
}

void StoreExperience(const Experience &experience, const Workload &workload)
{
	StoredRow row;
	bool null;

	EncodeExperience(experience, workload, &row);
	Execute(insert_history, row.values, row.nulls, SPI_OK_INSERT_RETURNING);
	if (SPI_processed != 1)
		return; /* a rule or trigger of the administrator's did not want it */
	const int64 id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null));
	SPI_freetuptable(SPI_tuptable);

	for (int i = 0; i < experience.num_operators; i++) {
		if (!WorthStoring(experience.operators[i]))
			continue;
		EncodeOperator(experience.operators[i], id, &row);
		Execute(insert_operator, row.values, row.nulls, SPI_OK_INSERT);
	}
}

void StorePlan(const PlanRecord &plan)
{
	const size_t graph_bytes = sizeof(PlanNode) * static_cast<size_t>(plan.num_nodes);
	bytea *graph = static_cast<bytea *>(palloc(VARHDRSZ + graph_bytes));

	SET_VARSIZE(graph, VARHDRSZ + graph_bytes);
	memcpy(VARDATA(graph), plan.nodes, graph_bytes);
	Datum values[] = {
		Int64GetDatum(static_cast<int64>(plan.plan_fingerprint)),
		Int64GetDatum(static_cast<int64>(plan.template_fingerprint)),
		Int16GetDatum(kGraphFormat),
		PointerGetDatum(graph),
		Float4GetDatum(plan.total_cost),
		Int16GetDatum(plan.num_nodes),
	};
	Execute(insert_plan, values, nullptr, SPI_OK_INSERT);
}

Datum NameFrom(const char *text)
{
	Name name = static_cast<Name>(palloc0(NAMEDATALEN));

	strlcpy(NameStr(*name), text, NAMEDATALEN);
	return NameGetDatum(name);
}

void StoreRuleAction(const RuleActionRecord &action, const Workload &workload)
{
	const char *database = get_database_name(action.database_oid);
	const char *role = GetUserNameFromId(action.role_oid, true);
	const int queue = action.queue >= 0 && action.queue < workload.num_queues ? action.queue : 0;
	char nulls[] = "           ";
	Datum values[] = {
		TimestampTzGetDatum(action.recorded_at),
		Int32GetDatum(action.pid),
		Int64GetDatum(static_cast<int64>(action.query_id)),
		NameFrom(workload.limits[queue].name),
		NameFrom(action.rule),
		CStringGetTextDatum(RuleActionName(static_cast<RuleAction>(action.action))),
		BoolGetDatum(action.applied),
		CStringGetTextDatum(MetricName(static_cast<Metric>(action.metric))),
		Float8GetDatum(action.value),
		database != nullptr ? NameFrom(database) : Datum{0},
		role != nullptr ? NameFrom(role) : Datum{0},
	};

	static_assert(lengthof(values) + 1 == sizeof nulls);
	nulls[9] = database != nullptr ? ' ' : 'n';
	nulls[10] = role != nullptr ? ' ' : 'n';
	Execute(insert_rule_action, values, nulls, SPI_OK_INSERT);
}

/* In a memory context of its own, reset after each record: the batch may have many operators. */
void StoreBatch(Batch *batch)
{
	const MemoryContext record_context =
		AllocSetContextCreate(CurrentMemoryContext, "pg_wlm record", ALLOCSET_DEFAULT_SIZES);
	const MemoryContext outer_context = MemoryContextSwitchTo(record_context);

	for (int i = 0; i < batch->num_records; i++) {
		const char *payload = batch->buffer + batch->offsets[i];

		if (!IsWhole(batch->headers[i], payload)) {
			CountProblem("a record of unknown shape in the ring");
		} else if (batch->headers[i].kind == RecordKind::kExperience) {
			const Experience &experience = *reinterpret_cast<const Experience *>(payload);
			StoreExperience(experience, batch->workload);
			CountExecution(batch, experience);
		} else if (batch->headers[i].kind == RecordKind::kRuleAction) {
			StoreRuleAction(*reinterpret_cast<const RuleActionRecord *>(payload), batch->workload);
		} else {
			StorePlan(*reinterpret_cast<const PlanRecord *>(payload));
		}
		MemoryContextReset(record_context);
	}
	for (int i = 0; i < batch->num_plans; i++) {
		Datum values[] = {
			Int64GetDatum(static_cast<int64>(batch->plans[i].fingerprint)),
			Int64GetDatum(batch->plans[i].executions),
			TimestampTzGetDatum(batch->plans[i].last_seen),
		};
		Execute(update_plan, values, nullptr, SPI_OK_UPDATE);
		if (SPI_processed == 0)
			pg_atomic_write_u64(&shared->wanted_plans[batch->plans[i].fingerprint % kWantedPlans],
			                    batch->plans[i].fingerprint);
	}
	MemoryContextSwitchTo(outer_context);
	MemoryContextDelete(record_context);
}

/* What writers overwrote before it was read. */
void CountOverwritten()
{
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	uint64_t &lost = ring->lost[static_cast<int>(Reader::kHistory)];
	pg_atomic_fetch_add_u64(&shared->counters.experiences_lost, static_cast<int64>(lost));
	lost = 0;
	LWLockRelease(shared->state_lock);
}

}  // namespace

void WriteHistory()
{
	LWLockAcquire(shared->state_lock, LW_SHARED);
	uint64 remaining = ring->Pending(Reader::kHistory);
	LWLockRelease(shared->state_lock);

	CountOverwritten();
	if (remaining == 0)
		return;
	Batch *batch = static_cast<Batch *>(MemoryContextAlloc(TopMemoryContext, sizeof(Batch)));
	while (remaining > 0) {
		BeginWork("storing history");
		if (SPI_execute("LOCK TABLE wlm.history, wlm.history_operator, wlm.plan, wlm.rule_action IN ROW EXCLUSIVE MODE", false, 0) !=
		    SPI_OK_UTILITY)
			elog(ERROR, "could not lock the tables of history");
		PrepareAll();
		TakeBatch(batch, remaining);
		StoreBatch(batch);
		CommitWork();
		num_in_flight = 0;
		/* Overwritten meanwhile: less is left than was counted. */
		remaining = batch->num_records == 0 ? 0 : remaining - std::min(remaining, batch->consumed);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(batch);
}

void DiscardHistory()
{
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	ring->Discard(Reader::kHistory);
	LWLockRelease(shared->state_lock);
}

void CountLostRecords()
{
	if (num_in_flight > 0)
		pg_atomic_fetch_add_u64(&shared->counters.experiences_lost, num_in_flight);
	num_in_flight = 0;
}

}  // namespace wlm
