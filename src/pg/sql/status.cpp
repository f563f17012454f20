/*
 * status.cpp
 *
 * wlm.status(), wlm.expert_accuracy(), wlm.version(): the state of the whole.
 * status() answers also in a server that runs without pg_wlm in
 * shared_preload_libraries: then `loaded` is false and the rest is null.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <cmath>
#include <cstring>

#include "core/learn/learner.hpp"
#include "pg/query/classify.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/learning/models.hpp"

namespace wlm {

namespace {

constexpr char kVersion[] = "1.0";

/* What is read under state_lock. */
struct StateCopy {
	bool launcher_running;
	bool worker_running;
	bool history_available;
	bool replayed;
	TimestampTz worker_started_at;
	TimestampTz worker_finished_at;
	char worker_problem[256];
	int64 budget_kb;
	int64 reserved_kb;
	int64 forced_kb;
	int32 active;
	int32 queued;
	uint64 learner_pending;
	uint64 history_pending;
	GuardView guard;
	int64 unavailable_kb;
	uint64 num_grown;
	uint64 num_growth_refused;
	double express_correction;
};

void CopyState(StateCopy *copy)
{
	LWLockAcquire(shared->state_lock, LW_SHARED);
	copy->launcher_running = shared->launcher_procno >= 0;
	copy->worker_running = shared->worker_running;
	copy->history_available = shared->history_available;
	copy->replayed = shared->replayed;
	copy->worker_started_at = shared->worker_started_at;
	copy->worker_finished_at = shared->worker_finished_at;
	strlcpy(copy->worker_problem, shared->worker_problem, sizeof copy->worker_problem);
	copy->budget_kb = policy->config().budget_kb;
	copy->reserved_kb = policy->reserved_kb();
	copy->forced_kb = policy->forced_kb();
	copy->active = policy->num_active();
	copy->queued = policy->num_queued();
	copy->learner_pending = ring->Pending(Reader::kLearner);
	copy->history_pending = ring->Pending(Reader::kHistory);
	copy->guard = shared->guard;
	copy->unavailable_kb = policy->unavailable_kb();
	copy->num_grown = policy->num_grown();
	copy->num_growth_refused = policy->num_growth_refused();
	copy->express_correction = policy->express_correction();
	LWLockRelease(shared->state_lock);
}

const char *ModeName()
{
	switch (static_cast<Mode>(setting::mode)) {
	case Mode::kOff:
		return "off";
	case Mode::kObserve:
		return "observe";
	case Mode::kAuto:
		return "auto";
	}
	return nullptr;
}

void PutTime(RowWriter *row, TimestampTz time)
{
	if (time == 0)
		row->Null();
	else
		row->Put(TimestampTzGetDatum(time));
}

void PutCounter(RowWriter *row, pg_atomic_uint64 *counter)
{
	row->Int8(static_cast<int64>(pg_atomic_read_u64(counter)));
}

void PutStatus(ReturnSetInfo *set)
{
	StateCopy state;
	RowWriter row;

	CopyState(&state);
	row.Text(kVersion);
	row.Boolean(true);
	row.Text(ModeName());
	row.Name(setting::database);
	row.Boolean(state.launcher_running);
	row.Boolean(state.worker_running);
	PutTime(&row, state.worker_started_at);
	PutTime(&row, state.worker_finished_at);
	row.Text(state.worker_problem[0] != '\0' ? state.worker_problem : nullptr);
	row.Boolean(state.history_available);
	row.Boolean(state.replayed);
	row.Int4(static_cast<int32>(pg_atomic_read_u32(&shared->workload_generation)));
	row.Int8(state.budget_kb);
	row.Int8(state.reserved_kb);
	row.Int8(state.forced_kb);
	row.Int4(state.active);
	row.Int4(state.queued);
	row.Float8(ExpressCutoffMs());
	row.Float8(static_cast<double>(pg_atomic_read_u32(&shared->saturation_permille)) / 1000.0);
	row.Int4(static_cast<int32>(pg_atomic_read_u32(&shared->model_version)));
	row.Int8(static_cast<int64>(planner_model->observations));
	row.Int8(static_cast<int64>(recall_store->used));
	row.Int8(static_cast<int64>(recall_store->capacity));
	row.Int8(static_cast<int64>(state.learner_pending));
	row.Int8(static_cast<int64>(state.history_pending));
	PutCounter(&row, &shared->counters.managed);
	PutCounter(&row, &shared->counters.unmanaged_full);
	PutCounter(&row, &shared->counters.no_opinion);
	PutCounter(&row, &shared->counters.experiences);
	PutCounter(&row, &shared->counters.experiences_lost);
	PutCounter(&row, &shared->counters.lock_forced);
	PutCounter(&row, &shared->counters.slots_taken_back);
	PutCounter(&row, &shared->counters.errors);
	if (state.guard.limit_kb > 0) {
		row.Int8(state.guard.limit_kb);
		row.Int8(state.guard.used_kb);
		row.Text(GuardLevelName(state.guard.level));
	} else {
		row.Null();
		row.Null();
		row.Null();
	}
	row.Int8(state.unavailable_kb);
	row.Int8(static_cast<int64>(state.num_grown));
	row.Int8(static_cast<int64>(state.num_growth_refused));
	PutCounter(&row, &shared->counters.stopped);
	PutCounter(&row, &shared->counters.preempted);
	PutCounter(&row, &shared->counters.rules_fired);
	row.Float8(state.express_correction);
	row.Emit(set);
}

void PutNotLoaded(ReturnSetInfo *set)
{
	RowWriter row;

	row.Text(kVersion);
	row.Boolean(false);
	while (row.column < set->setDesc->natts)
		row.Null();
	row.Emit(set);
}

/* The learner writes in microseconds; a reader that meets it a thousand times takes what it got. */
void CopyAccuracy(Accuracy *copy)
{
	for (int attempt = 0; attempt < 1000; attempt++) {
		const uint32 before = accuracy->sequence.BeginRead();

		memcpy(static_cast<void *>(copy), static_cast<const void *>(accuracy), sizeof *copy);
		if (accuracy->sequence.EndRead(before))
			return;
		pg_usleep(10);
	}
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_status)
{
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);

	if (wlm::shared == nullptr)
		wlm::PutNotLoaded(set);
	else
		wlm::PutStatus(set);
	return static_cast<Datum>(0);
}

WLM_FUNCTION(wlm_expert_accuracy)
{
	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	auto *copy = static_cast<wlm::Accuracy *>(palloc(sizeof(wlm::Accuracy)));

	wlm::CopyAccuracy(copy);
	for (int target = 0; target < static_cast<int>(wlm::Target::kNumTargets); target++) {
		for (int judged = 0; judged < wlm::kNumJudged; judged++) {
			const wlm::AccuracyRow summary = wlm::Summarise(copy->windows[target][judged]);
			wlm::RowWriter row;

			wlm::PutAccuracy(&row, judged, static_cast<wlm::Target>(target), summary);
			row.Number(summary.share);
			if (judged == wlm::kNumExperts)
				row.Number(static_cast<double>(wlm::MeanCalibration(*copy, static_cast<wlm::Target>(target))));
			else
				row.Null();
			row.Emit(set);
		}
	}
	return static_cast<Datum>(0);
}

WLM_FUNCTION(wlm_version)
{
	PG_RETURN_TEXT_P(cstring_to_text(wlm::kVersion));
}
