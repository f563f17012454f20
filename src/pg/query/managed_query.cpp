/*
 * managed_query.cpp
 *
 * The walk through the rooms from the first row to the end: observe -> release.
 * Its beginning is begin_query.cpp.
 */
#include "pg/query/managed_query.hpp"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
#include "tcop/dest.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "pg/observe/observe.hpp"
#include "pg/query/query_pool.hpp"
#include "pg/query/rule_actions.hpp"
#include "pg/query/rules.hpp"
#include "pg/query/stop.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/explain/explain_group.hpp"
#include "pg/wait/queueing.hpp"

namespace wlm {

void AttachQuery(ManagedQuery *query)
{
	query->release.func = [](void *argument) {
		ManagedQuery *released = static_cast<ManagedQuery *>(argument);
		ReleaseQuery(released, released->experience.final_state);
	};
	query->release.arg = query;
	MemoryContextRegisterResetCallback(query->query_desc->estate->es_query_cxt, &query->release);
	query->active_ms += NowMs() - query->started_ms;
}

void EnterQuery(ManagedQuery *query)
{
	query->started_ms = NowMs();
	if (!TryRun(query->handle)) {
		StateLock lock;
		policy->Resume(query->handle, query->started_ms);
		SetPhase(query->handle, Phase::kRunning);
	}
	ArmStopTimer(query); /* when the phase says that it runs: else the timer could go quiet */
	OpenRuleStretch(query);
}

void LeaveQuery(ManagedQuery *query, bool may_return_again)
{
	CloseRuleStretch(query);
	const double now_ms = NowMs();
	const DestReceiver *receiver = query->query_desc->dest;

	query->active_ms += now_ms - query->started_ms;

	/*
	 * In the extended protocol inside a transaction block the portal outlives its last row, often for as long as the
	 * client thinks. Elsewhere ExecutorEnd follows at once, and if not, the launcher takes the slot back.
	 */
	const bool lingers = receiver != nullptr && receiver->mydest == DestRemoteExecute && IsTransactionBlock();
	if (may_return_again || lingers) {
		const EState *estate = query->query_desc->estate;
		query_slots[query->handle].used_kb =
			static_cast<float>(MemoryContextMemAllocated(estate->es_query_cxt, true)) / 1024.0f;

		StateLock lock;
		policy->Pause(query->handle, now_ms);
		SetPhase(query->handle, Phase::kReturned);
	} else {
		SetPhase(query->handle, Phase::kIdle);
	}
	SettleStop(query);
}

void FinishQuery(ManagedQuery *query)
{
	Experience &experience = query->experience;

	if (!query->was_restartable) {
		FinishRules(query);
		ObserveLeader(query);
	}
	experience.final_state = FinalState::kCompleted;
	experience.censored = !query->ran_to_end;
	experience.time_ms = static_cast<float>(query->active_ms);
	experience.temp_bytes = query->temp_blocks * BLCKSZ;
	experience.returned_rows = query->returned_rows;
	query->observed = true;
	if (unlikely(explained_run != nullptr))
		NoteExplainedRun(*query);
}

void NoteFailure(ManagedQuery *query)
{
	CloseRuleStretch(query);
	query->active_ms += NowMs() - query->started_ms;
	if (query->experience.final_state != FinalState::kTimedOut)
		query->experience.final_state = geterrcode() == ERRCODE_QUERY_CANCELED ? FinalState::kCancelled : FinalState::kFailed;

	/*
	 * What a function was running keeps its memory until ROLLBACK, for which a client may take his time: the reservation
	 * stays with it, the slot does not.
	 */
	if (query->handle != kNoQuery) {
		StateLock lock;
		policy->Pause(query->handle, NowMs());
		SetPhase(query->handle, Phase::kReturned);
	}
}

void ReleaseQuery(ManagedQuery *query, FinalState state)
{
	Experience &experience = query->experience;

	if (query->query_desc == nullptr)
		return;
	query->query_desc = nullptr;
	query->in_stretch = 0;
	experience.finished_at = GetCurrentTimestamp();
	if (!query->observed) {
		experience.final_state = state;
		experience.censored = true;
		experience.num_operators = 0;
		experience.time_ms = static_cast<float>(query->active_ms);
		experience.temp_bytes = query->temp_blocks * BLCKSZ;
		experience.returned_rows = -1;
	}

	const bool record = !RecoveryInProgress();
	{
		StateLock lock;
		if (query->handle != kNoQuery) {
			const double now_ms = NowMs();
			const QueryView view = policy->View(query->handle);

			/* where it is now: it may have been moved, or given another priority */
			experience.queue = static_cast<int16_t>(view.queue);
			experience.priority = static_cast<uint8_t>(view.priority);
			experience.lane = static_cast<uint8_t>(view.lane);
			experience.forced = view.forced;
			experience.evicted = view.evicted;
			RecordRulesLocked(query, record);
			experience.load_beside = static_cast<float>(view.load_beside);
			if (view.state == QueryState::kQueued)
				policy->Cancel(query->handle, now_ms);
			else
				policy->Finish(query->handle, now_ms);
			query_slots[query->handle].pid = 0;
			SetPhase(query->handle, Phase::kFree);
		}
		if (record)
			ring->Put(RecordKind::kExperience, &experience, experience.BytesUsed());
	}
	if (record)
		pg_atomic_fetch_add_u64(&shared->counters.experiences, 1);
	ForgetStop(query);
	query->handle = kNoQuery;
	DelistQuery(query);
}

}  // namespace wlm
