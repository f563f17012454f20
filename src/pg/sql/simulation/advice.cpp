/*
 * advice.cpp
 *
 * Facts of the history that a simulation does not know: what spilled, who was
 * given up, which queues nobody came to, what memory cannot be reserved.
 */
#include "pg/sql/simulation/advice.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

extern "C" {
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
}

#include "pg/query/classify.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

constexpr double kMany = 0.01;              /* part of the statements of a queue that is too many to be given up */
constexpr int64 kLeastGivenUp = 10;         /* fewer are chance */
constexpr int64 kEnoughForIdle = 1000;      /* statements without one for a queue that say it gets none */
constexpr double kMuchUnavailable = 0.1;    /* of the budget */

constexpr const char *kQuery =
	"SELECT queue::text, count(*), count(*) FILTER (WHERE final_state = 'timed_out'), count(*) FILTER (WHERE final_state = 'rejected'), "
	"count(*) FILTER (WHERE applied), count(*) FILTER (WHERE forced AND queue_ms >= 0.95 * $3), "
	"coalesce(sum(actual_ms::float8), 0), coalesce(sum(actual_ms::float8) FILTER (WHERE temp_bytes > 0), 0), "
	"coalesce(sum(actual_ms::float8) FILTER (WHERE temp_bytes > 0 AND applied AND granted_work_mem_kb >= 0.95 * $4), 0) "
	"FROM wlm.history WHERE finished_at >= $1 AND finished_at < $2 GROUP BY 1";

int64 Count(uint64 row, int column)
{
	bool null;
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &null));
}

double Sum(uint64 row, int column)
{
	bool null;
	return DatumGetFloat8(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &null));
}

Advice *Advise(AdviceList *list, const char *subject, double gain)
{
	Advice *advice = AddAdvice(list, subject);

	*advice = Advice{};
	advice->subject = subject;
	advice->gain = gain;
	return advice;
}

bool HasAdvice(const AdviceList &list, const char *subject)
{
	for (int i = 0; i < list.count; i++) {
		if (strcmp(list.advice[i].subject, subject) == 0)
			return true;
	}
	return false;
}

/* Ranked by what it means for all statements. */
void AdviseQueue(const QueueLimits &limits, const QueueFacts &facts, int64 num_statements, AdviceList *list)
{
	const char *name = quote_literal_cstr(limits.name);
	const double all = static_cast<double>(std::max(num_statements, int64{1}));
	const auto share = [all](int64 given_up) { return static_cast<double>(given_up) / all; };
	const auto too_many = [&facts](int64 given_up) {
		return given_up >= kLeastGivenUp && static_cast<double>(given_up) > kMany * static_cast<double>(facts.num_statements);
	};

	if (limits.queue_timeout_ms > 0 && too_many(facts.num_timeouts)) {
		const double seconds = static_cast<double>(limits.queue_timeout_ms) / 1000;
		Advice *advice = Advise(list, psprintf("queue_timeout of queue \"%s\"", limits.name), share(facts.num_timeouts));
		advice->current = psprintf("%g s", seconds);
		advice->recommended = psprintf("%g s", 2 * seconds);
		advice->change = psprintf("SELECT wlm.alter_queue(%s, queue_timeout => '%g s')", name, 2 * seconds);
		advice->effect = "fewer statements are cancelled before they have run";
		advice->evidence = psprintf(INT64_FORMAT " of " INT64_FORMAT " statements were cancelled by the time-out", facts.num_timeouts,
		                            facts.num_statements);
	}
	if (limits.max_queue_length >= 0 && too_many(facts.num_rejected)) {
		const int32 length = std::max(2 * limits.max_queue_length, 1);
		Advice *advice = Advise(list, psprintf("max_queue_length of queue \"%s\"", limits.name), share(facts.num_rejected));
		advice->current = psprintf("%d", limits.max_queue_length);
		advice->recommended = psprintf("%d", length);
		advice->change = psprintf("SELECT wlm.alter_queue(%s, max_queue_length => %d)", name, length);
		advice->effect = "fewer statements are rejected";
		advice->evidence = psprintf(INT64_FORMAT " of " INT64_FORMAT " statements found the queue full", facts.num_rejected,
		                            facts.num_statements);
	}
}

void AdviseIdleQueue(const QueueLimits &limits, int64 num_statements, AdviceList *list)
{
	Advice *advice = Advise(list, psprintf("queue \"%s\"", limits.name), static_cast<double>(limits.memory_share) / 10);

	advice->current = psprintf("guaranteed %.0f %% of memory", 100 * static_cast<double>(limits.memory_share));
	advice->recommended = "dropped, or conditions that somebody meets";
	advice->change = psprintf("SELECT wlm.drop_queue(%s)", quote_literal_cstr(limits.name));
	advice->effect = "nothing is kept for a queue that nobody comes to";
	advice->evidence = psprintf("none of " INT64_FORMAT " statements went there", num_statements);
}

}  // namespace

Advice *AddAdvice(AdviceList *list, const char *subject)
{
	for (int i = 0; i < list->count; i++) {
		if (strcmp(list->advice[i].subject, subject) == 0)
			return &list->advice[i];
	}
	if (list->count < AdviceList::kMost)
		list->count++;
	Advice *advice = &list->advice[list->count - 1];
	*advice = Advice{};
	advice->subject = pstrdup(subject);
	return advice;
}

void RankAdvice(AdviceList *list)
{
	/* By insertion: it is stable, and they are few. */
	for (int i = 1; i < list->count; i++) {
		const Advice advice = list->advice[i];
		int place = i;
		for (; place > 0 && list->advice[place - 1].gain < advice.gain; place--)
			list->advice[place] = list->advice[place - 1];
		list->advice[place] = advice;
	}
}

void ReadFacts(const TracePeriod &period, HistoryFacts *facts)
{
	Oid types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID, FLOAT8OID, FLOAT8OID};
	Datum arguments[] = {TimestampTzGetDatum(period.has_since ? period.since : DT_NOBEGIN),
	                     TimestampTzGetDatum(period.has_until ? period.until : DT_NOEND),
	                     Float8GetDatum(setting::max_wait_ms), Float8GetDatum(setting::max_work_mem_kb)};
	const Workload &workload = LocalWorkload();
	double total_ms = 0, spilled_ms = 0, capped_ms = 0;
	int64 num_applied = 0;

	*facts = HistoryFacts{};
	const int level = BeginUnmanaged();
	SPI_connect();
	if (SPI_execute_with_args(kQuery, 4, types, arguments, nullptr, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read wlm.history");
	for (uint64 row = 0; row < SPI_processed; row++) {
		const char *name = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1);

		facts->num_statements += Count(row, 2);
		num_applied += Count(row, 5);
		facts->num_waited_out += Count(row, 6);
		total_ms += Sum(row, 7);
		spilled_ms += Sum(row, 8);
		capped_ms += Sum(row, 9);
		for (int i = 0; i < workload.num_queues; i++) {
			if (workload.limits[i].in_use && name != nullptr && strcmp(workload.limits[i].name, name) == 0)
				facts->queues[i] = {Count(row, 2), Count(row, 3), Count(row, 4)};
		}
	}
	SPI_finish();
	EndUnmanaged(level);
	if (facts->num_statements > 0)
		facts->applied_share = static_cast<double>(num_applied) / static_cast<double>(facts->num_statements);
	if (total_ms > 0) {
		facts->spilled_share = spilled_ms / total_ms;
		facts->capped_share = capped_ms / total_ms;
	}
}

void AdviseFromFacts(const WhatIf &present, const HistoryFacts &facts, AdviceList *list)
{
	for (int i = 0; i < present.policy.num_queues; i++) {
		if (!present.policy.queues[i].in_use)
			continue;
		AdviseQueue(present.policy.queues[i], facts.queues[i], facts.num_statements, list);
		if (i > 0 && facts.num_statements >= kEnoughForIdle && facts.queues[i].num_statements == 0)
			AdviseIdleQueue(present.policy.queues[i], facts.num_statements, list);
	}
	if (facts.capped_share > kMuchSpilling) {
		Advice *advice = Advise(list, "wlm.max_work_mem", facts.capped_share / 2);
		advice->current = psprintf("%d MB", setting::max_work_mem_kb / 1024);
		advice->recommended = psprintf("%lld MB", 2LL * setting::max_work_mem_kb / 1024);
		advice->change = psprintf("ALTER SYSTEM SET wlm.max_work_mem = '%lldMB'", 2LL * setting::max_work_mem_kb / 1024);
		advice->effect = "statements that spill with all the memory that one may have get more";
		advice->evidence = psprintf("%.0f %% of all execution time was in statements that spilled with as much as they may have",
		                            100 * facts.capped_share);
	}
	const double waited_out = static_cast<double>(facts.num_waited_out) / static_cast<double>(std::max(facts.num_statements, int64{1}));
	/* Not over what a simulation says of the same. */
	if (waited_out > kMany && !HasAdvice(*list, "wlm.max_wait")) {
		Advice *advice = Advise(list, "wlm.max_wait", waited_out / 2);
		advice->current = psprintf("%d s", setting::max_wait_ms / 1000);
		advice->recommended = psprintf("%lld s", 2LL * setting::max_wait_ms / 1000);
		advice->change = psprintf("ALTER SYSTEM SET wlm.max_wait = %lld", std::min(2LL * setting::max_wait_ms, 2147483647LL));
		advice->effect = "fewer statements start over the limits";
		advice->evidence = psprintf(INT64_FORMAT " of " INT64_FORMAT " statements started over the limits after waiting that long",
		                            facts.num_waited_out, facts.num_statements);
	}

	LWLockAcquire(shared->state_lock, LW_SHARED);
	const int64 unavailable_kb = policy->unavailable_kb();
	const int64 budget_kb = policy->config().budget_kb;
	LWLockRelease(shared->state_lock);
	if (static_cast<double>(unavailable_kb) > kMuchUnavailable * static_cast<double>(budget_kb)) {
		const int64 left_kb = std::max(present.memory_kb - unavailable_kb, int64{64 * 1024});
		Advice *advice = Advise(list, "wlm.memory", static_cast<double>(unavailable_kb) / static_cast<double>(budget_kb));
		advice->current = psprintf(INT64_FORMAT " MB", present.memory_kb / 1024);
		advice->recommended = psprintf(INT64_FORMAT " MB", left_kb / 1024);
		advice->change = psprintf("ALTER SYSTEM SET wlm.memory = '" INT64_FORMAT "MB'", left_kb / 1024);
		advice->effect = "what others hold is not promised again";
		advice->evidence = psprintf("processes hold " INT64_FORMAT " MB that nobody reserved", unavailable_kb / 1024);
	}
}

void EmitAdvice(ReturnSetInfo *set, const AdviceList &list)
{
	for (int i = 0; i < list.count; i++) {
		const Advice &advice = list.advice[i];
		RowWriter row;
		const auto pair = [&row, &advice](double before, double after) {
			row.Number(advice.simulated ? before : NAN);
			row.Number(advice.simulated ? after : NAN);
		};

		row.Int4(i + 1);
		row.Text(advice.subject);
		row.Text(advice.current);
		row.Text(advice.recommended);
		row.Text(advice.change);
		if (advice.simulated)
			row.Text(psprintf("mean latency %+.0f %%, mean queue time %+.0f %%, 95th percentile of short statements %+.0f %%",
			                  -100 * Gain(advice.before.latency_ms.mean, advice.after.latency_ms.mean),
			                  -100 * Gain(advice.before.queue_ms.mean, advice.after.queue_ms.mean),
			                  -100 * Gain(advice.before.short_latency_ms.p95, advice.after.short_latency_ms.p95)));
		else
			row.Text(advice.effect);
		pair(advice.before.latency_ms.mean, advice.after.latency_ms.mean);
		pair(advice.before.queue_ms.mean, advice.after.queue_ms.mean);
		pair(advice.before.queue_ms.p90, advice.after.queue_ms.p90);
		pair(advice.before.short_latency_ms.p95, advice.after.short_latency_ms.p95);
		if (advice.simulated) {
			row.Int8(advice.before.peak_memory_kb);
			row.Int8(advice.after.peak_memory_kb);
		} else {
			row.Null();
			row.Null();
		}
		row.Text(advice.evidence);
		row.Emit(set);
	}
}

}  // namespace wlm
