/*
 * reset.cpp
 *
 * wlm.reset(): forget. What stands in shared memory is forgotten at once, even
 * if the transaction is rolled back; the tables follow the transaction.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <cstring>

extern "C" {
#include "executor/spi.h"
}

#include "pg/models/publish.hpp"
#include "pg/models/published_models.hpp"
#include "pg/plan/plan_memory.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

struct ResetTarget {
	const char *name;
	bool statistics;
	bool models;
	bool history;
};

constexpr ResetTarget kTargets[] = {
	{"statistics", true, false, false},
	{"models", false, true, false},
	{"history", false, false, true},
	{"all", true, true, true},
};

const ResetTarget *FindTarget(const char *name)
{
	for (const ResetTarget &target : kTargets) {
		if (strcmp(target.name, name) == 0)
			return &target;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("cannot reset \"%s\"", name),
	                errhint("Choose \"statistics\", \"models\", \"history\" or \"all\".")));
}

void ResetCounters()
{
	Counters &counters = shared->counters;

	for (pg_atomic_uint64 *counter :
	     {&counters.managed, &counters.errors, &counters.unmanaged_full, &counters.no_opinion, &counters.experiences,
	      &counters.experiences_lost, &counters.lock_forced, &counters.slots_taken_back, &counters.stopped, &counters.preempted,
	      &counters.rules_fired})
		pg_atomic_write_u64(counter, 0);
}

/* Errors seen so far; with the models also how far their intervals had to be widened. */
void ResetAccuracy(bool calibration)
{
	auto *fresh = static_cast<Accuracy *>(palloc0(sizeof(Accuracy)));

	InitAccuracy(fresh);
	LWLockAcquire(shared->learn_lock, LW_EXCLUSIVE);
	accuracy->sequence.BeginWrite();
	memcpy(accuracy->windows, fresh->windows, sizeof accuracy->windows);
	if (calibration)
		memcpy(accuracy->calibration, fresh->calibration, sizeof accuracy->calibration);
	accuracy->sequence.EndWrite();
	LWLockRelease(shared->learn_lock);
	pfree(fresh);
}

void ResetModels()
{
	auto *fresh = static_cast<PlannerModel *>(palloc0(sizeof(PlannerModel)));

	ForgetPending();
	pg_atomic_fetch_add_u32(&shared->model_resets, 1);
	InitPlannerModel(fresh);
	const ModelBytes bytes = BytesOf(*fresh);

	LWLockAcquire(shared->learn_lock, LW_EXCLUSIVE);
	(void) ReadBlob({reinterpret_cast<const std::byte *>(bytes.data), bytes.size}, planner_model);
	recall_store->Clear();
	ClearOutcomesLocked();
	PublishPretrainedLocked(kTreesModel);
	PublishPretrainedLocked(kGraphModel);
	PublishPretrainedLocked(kGateModel);
	ClearNeighboursLocked();
	shared->role_shares = RoleShares{};
	InitDrift(&shared->drift);
	InitInterference(&shared->overlaps);
	shared->drifted = false;
	LWLockRelease(shared->learn_lock);
	pg_atomic_fetch_add_u32(&shared->model_version, 1);
}

/* What was observed before, but is on its way, is to be forgotten too. */
void DiscardPending(bool learner, bool history)
{
	StateLock lock;

	if (learner)
		ring->Discard(Reader::kLearner);
	if (history)
		ring->Discard(Reader::kHistory);
}

void RunCommand(const char *command)
{
	if (SPI_connect() != SPI_OK_CONNECT || SPI_execute(command, false, 0) < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not reset the workload manager's tables")));
	SPI_finish();
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_reset)
{
	wlm::RequireSharedState();
	const wlm::ResetTarget *target = wlm::FindTarget(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (target->models || target->history)
		wlm::RequireConfiguredDatabase("reset()");
	/* Tables first: they can fail, shared memory cannot. */
	if (target->models)
		wlm::RunCommand("DELETE FROM wlm.model"); /* first: train() locks it before it reads history */
	if (target->history)
		wlm::RunCommand("TRUNCATE wlm.history, wlm.history_operator, wlm.plan, wlm.rule_action");
	wlm::DiscardPending(target->models, target->history);
	if (target->models)
		wlm::ResetModels();
	if (target->statistics)
		wlm::ResetCounters();
	if (target->statistics || target->models)
		wlm::ResetAccuracy(target->models);
	PG_RETURN_VOID();
}
