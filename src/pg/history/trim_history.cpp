/*
 * trim_history.cpp
 *
 * Retention. In portions, so that no transaction grows with the table and a
 * shutdown need not wait.
 */
#include "pg/history/history.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/timestamp.h"
}

#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/worker/worker.hpp"

namespace wlm {

namespace {

constexpr int64 kMaxPlans = 10000;
constexpr int64 kTrimRows = 10000;          /* deleted in one transaction */
constexpr int64 kTrimInterval = 60 * INT64CONST(1000000);

/* Runs `sql` with one bigint until it has deleted less than a full portion. */
void DeleteInPortions(const char *sql, int64 argument)
{
	bool more = true;

	while (more) {
		Oid types[] = {INT8OID, INT8OID};
		Datum values[] = {Int64GetDatum(argument), Int64GetDatum(kTrimRows)};

		BeginWork("deleting old history");
		if (SPI_execute_with_args(sql, 2, types, values, nullptr, false, 0) != SPI_OK_DELETE)
			elog(ERROR, "could not delete old history");
		more = SPI_processed >= static_cast<uint64>(kTrimRows);
		CommitWork();
		CHECK_FOR_INTERRUPTS();
	}
}

}  // namespace

void TrimHistory()
{
	LWLockAcquire(shared->state_lock, LW_SHARED);
	const TimestampTz previous = shared->worker_finished_at;
	LWLockRelease(shared->state_lock);

	/* In the first worker that ends in another minute than the one before it. */
	if (previous / kTrimInterval == GetCurrentTimestamp() / kTrimInterval)
		return;
	DeleteInPortions("DELETE FROM wlm.history WHERE id IN (SELECT id FROM wlm.history WHERE id <= "
	                 "(SELECT id FROM wlm.history ORDER BY id DESC OFFSET $1 LIMIT 1) ORDER BY id LIMIT $2)",
	                 setting::history_rows);
	DeleteInPortions("DELETE FROM wlm.history WHERE id IN (SELECT id FROM wlm.history WHERE finished_at < "
	                 "pg_catalog.now() - pg_catalog.make_interval(days => $1::pg_catalog.int4) "
	                 "ORDER BY finished_at LIMIT $2)",
	                 setting::history_days);
	/* Its times are those of one clock and one writer: as good an order as a number. */
	DeleteInPortions("DELETE FROM wlm.rule_action WHERE recorded_at IN (SELECT recorded_at FROM wlm.rule_action WHERE recorded_at <= "
	                 "(SELECT recorded_at FROM wlm.rule_action ORDER BY recorded_at DESC OFFSET $1 LIMIT 1) ORDER BY recorded_at LIMIT $2)",
	                 setting::history_rows);
	DeleteInPortions("DELETE FROM wlm.rule_action WHERE recorded_at IN (SELECT recorded_at FROM wlm.rule_action WHERE recorded_at < "
	                 "pg_catalog.now() - pg_catalog.make_interval(days => $1::pg_catalog.int4) ORDER BY recorded_at LIMIT $2)",
	                 setting::history_days);
	DeleteInPortions("DELETE FROM wlm.plan WHERE fingerprint IN (SELECT fingerprint FROM wlm.plan "
	                 "ORDER BY last_seen DESC OFFSET $1 LIMIT $2)",
	                 kMaxPlans);
}

}  // namespace wlm
