/*
 * plan_trials.cpp
 *
 * wlm.plan_memory(): statements whose plan is followed, and what has come of
 * planning them with another work_mem.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <algorithm>
#include <cmath>

#include "core/grant/plan_memory.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

/* All entries in use, copied under the lock. */
int CopyEntries(PlanMemory *copy)
{
	int count = 0;

	LWLockAcquire(shared->learn_lock, LW_SHARED);
	for (uint32 i = 0; i < plan_memory_store->capacity; i++)
		if (plan_memory_store->entries()[i].statement != 0)
			memcpy(static_cast<void *>(&copy[count++]), static_cast<const void *>(&plan_memory_store->entries()[i]), sizeof *copy);
	LWLockRelease(shared->learn_lock);
	return count;
}

/* Runs, and their mean time (geometric). */
void PutOutcome(RowWriter *row, const OutcomeMoments &moments)
{
	row->Float8(std::round(10 * static_cast<double>(moments.weight)) / 10);
	row->Number(moments.weight > 0 ? std::exp(static_cast<double>(moments.mean)) : std::nan(""));
}

void PutTemplate(RowWriter *row, uint64 fingerprint)
{
	if (fingerprint != 0)
		row->Int8(static_cast<int64>(fingerprint));
	else
		row->Null();
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_plan_memory)
{
	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	const bool all = PG_ARGISNULL(0);
	const uint64 wanted = all ? 0 : wlm::StatementKey(static_cast<uint64>(PG_GETARG_INT64(0)), MyDatabaseId);
	auto *entries = static_cast<wlm::PlanMemory *>(palloc0(sizeof(wlm::PlanMemory) * wlm::plan_memory_store->capacity));
	const int count = wlm::CopyEntries(entries);

	for (int i = 0; i < count; i++) {
		const wlm::PlanMemory &entry = entries[i];
		wlm::RowWriter row;

		if (!all && entry.statement != wanted)
			continue;
		row.Int8(static_cast<int64>(entry.statement));
		row.Text(wlm::PlanTrialName(entry.trial));
		row.Int4(static_cast<int32>(std::min<uint32>(entry.executions, INT_MAX)));
		row.Kilobytes(entry.session_kb);
		row.Kilobytes(entry.other_kb);
		wlm::PutTemplate(&row, entry.own_template);
		wlm::PutTemplate(&row, entry.other_template);
		wlm::PutOutcome(&row, entry.own);
		wlm::PutOutcome(&row, entry.other);
		row.Int4(entry.reversals);
		row.Emit(set);
	}
	return static_cast<Datum>(0);
}
