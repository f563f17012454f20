/*
 * queueing.cpp
 *
 * A waiter sleeps on its own latch. Whoever frees a slot grants it before it
 * wakes the waiter (StateLock), so no wake-up can be lost: the mark is set
 * under the lock, the latch after it. Sleeps are cut to a second, for what has
 * no latch: the deadline, a lost client, a launcher that is gone.
 */
#include "pg/wait/queueing.hpp"

#include <algorithm>

extern "C" {
#include "access/xlog.h"
#include "storage/latch.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

#include "pg/compat.hpp"
#include "pg/query/classify.hpp"
#include "pg/query/rule_actions.hpp"
#include "pg/query/rules.hpp"
#include "pg/query/stop.hpp"
#include "pg/wait/lock_graph.hpp"
#include "pg/wait/snapshot.hpp"
#include "pg/wait/statement_position.hpp"

namespace wlm {

namespace {

constexpr double kLongestSleepMs = 1000;

/* ConnectionLost is what the server itself sets when a client goes away while a statement runs. */
void CheckClient()
{
	if (MyProcPort != nullptr && !pq_check_connection()) {
		ClientConnectionLost = true;
		InterruptPending = true;
	}
}

[[noreturn]] void RaiseTimeout(const char *queue, double waited_ms)
{
	ereport(ERROR,
	        (errcode(ERRCODE_QUERY_CANCELED), errmsg("canceling statement due to workload queue timeout"),
	         errdetail("The statement waited %.0f ms in queue \"%s\".", waited_ms, queue),
	         errhint("Try again later, or raise the time-out: queue_timeout of the queue, or wlm.queue_timeout where the "
	                 "session sets it.")));
}

/*
 * At a time-out the policy frees the entry; its slot must be given up under the same lock, and what is watched of it before others can
 * have it. The queue it waits in may not be its first.
 */
DeadlineOutcome CheckDeadline(ManagedQuery *query, double now_ms)
{
	const bool record = !RecoveryInProgress();
	StateLock lock;
	const QueryView view = policy->View(query->handle);
	const DeadlineOutcome outcome = policy->Deadline(query->handle, now_ms);

	query->experience.queue = static_cast<int16_t>(view.queue);
	query->experience.priority = static_cast<uint8_t>(view.priority);

	if (outcome == DeadlineOutcome::kTimedOut) {
		RecordRulesLocked(query, record);
		ForgetStop(query);
		query_slots[query->handle].pid = 0;
		SetPhase(query->handle, Phase::kFree);
		query->handle = kNoQuery;
	}
	return outcome;
}

/* Another queue, or the same with another time-out, has another deadline. */
double PresentDeadline(QueryHandle handle, double otherwise_ms)
{
	LWLockAcquire(shared->state_lock, LW_SHARED);
	const double deadline_ms = policy->DeadlineMs(handle);
	LWLockRelease(shared->state_lock);
	return deadline_ms > 0 ? deadline_ms : otherwise_ms;
}

void ForceNow(ManagedQuery *query)
{
	StateLock lock;
	policy->Force(query->handle, NowMs());
}

/* In whatever state it is by now. */
void LeaveQueue(ManagedQuery *query)
{
	const bool record = !RecoveryInProgress();

	ForgetStop(query);
	StateLock lock;
	query->experience.queue = static_cast<int16_t>(policy->View(query->handle).queue);
	RecordRulesLocked(query, record);
	if (policy->View(query->handle).state == QueryState::kQueued)
		policy->Cancel(query->handle, NowMs());
	else
		policy->Finish(query->handle, NowMs());
	query_slots[query->handle].pid = 0;
	SetPhase(query->handle, Phase::kFree);
	query->handle = kNoQuery;
}

void Sleep(double until_ms)
{
	const double rest_ms = std::clamp(until_ms - NowMs(), 1.0, kLongestSleepMs);

	WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, static_cast<long>(rest_ms) + 1, QueueWaitEvent());
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Asked again after the wait: who was told that the statement is cancelled must not see it run, though it has been admitted meanwhile. */
void HeedCancel(QuerySlot &slot)
{
	pg_read_barrier();
	if (pg_atomic_read_u32(&slot.cancel_requested) != 0)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("canceling statement due to user request"),
		                errdetail("The statement was waiting in a workload queue and was removed by wlm.cancel_queued()."),
		                errhint("It has changed nothing and can be sent again.")));
}

void WaitLoop(ManagedQuery *query, double arrived_ms, double deadline_ms)
{
	QuerySlot &slot = query_slots[query->handle];
	double checked_ms = NowMs();

	while (pg_atomic_read_u32(&slot.admitted) == 0) {
		Sleep(std::min(deadline_ms, checked_ms + kLongestSleepMs));

		const double now_ms = NowMs();
		HeedCancel(slot);
		if (now_ms >= deadline_ms) {
			const DeadlineOutcome outcome = CheckDeadline(query, now_ms);
			if (outcome == DeadlineOutcome::kForced)
				break;
			if (outcome == DeadlineOutcome::kTimedOut)
				RaiseTimeout(LocalWorkload().limits[query->experience.queue].name, now_ms - arrived_ms);
			deadline_ms = now_ms + kLongestSleepMs; /* the policy's clock is a little behind ours */
		}
		if (now_ms - checked_ms >= kLongestSleepMs) {
			CheckClient();
			CHECK_FOR_INTERRUPTS();
			ForceBlockersIfAlone();
			ApplyRulesWhileQueued(query, now_ms - arrived_ms, &deadline_ms);
			deadline_ms = PresentDeadline(query->handle, deadline_ms);
			checked_ms = now_ms;
		}
	}
	HeedCancel(slot);
}

}  // namespace

double WaitForAdmission(ManagedQuery *query, double arrived_ms, double deadline_ms)
{
	PG_TRY();
	{
		ReleasedSnapshots snapshots;

		if (HoldsForeignLocks(query->query_desc) || !ReleaseSnapshots(query->query_desc, &snapshots)) {
			ForceNow(query);
			HeedCancel(query_slots[query->handle]);
		} else {
			WaitLoop(query, arrived_ms, deadline_ms);
			RenewSnapshots(query->query_desc, snapshots);
		}
	}
	PG_CATCH();
	{
		query->experience.queue_ms = static_cast<float>(NowMs() - arrived_ms);
		if (query->handle != kNoQuery)
			ReleaseQuery(query, FinalState::kCancelled);
		else
			ReleaseQuery(query, FinalState::kTimedOut);
		PG_RE_THROW();
	}
	PG_END_TRY();

	return NowMs() - arrived_ms;
}

double WaitAgain(ManagedQuery *query, double deadline_ms)
{
	const double since_ms = NowMs();
	QueryDesc *const query_desc = query->query_desc;
	EState *const estate = query_desc->estate;

	PG_TRY();
	{
		ReleasedSnapshots snapshots;

		if (HoldsForeignLocks(query_desc) || !ReleaseSnapshots(query_desc, &snapshots)) {
			ForceNow(query);
			HeedCancel(query_slots[query->handle]);
		} else {
			if (snapshots.released) {
				UnregisterSnapshot(estate->es_snapshot);
				estate->es_snapshot = InvalidSnapshot;
			}
			WaitLoop(query, since_ms, deadline_ms);
			RenewSnapshots(query_desc, snapshots);
			if (snapshots.released)
				estate->es_snapshot = RegisterSnapshot(query_desc->snapshot);
		}
	}
	PG_CATCH();
	{
		const double now_ms = NowMs();
		query->experience.queue_ms += static_cast<float>(now_ms - since_ms);
		query->started_ms = now_ms; /* nothing of it was execution (NoteFailure) */
		if (query->handle == kNoQuery) {
			query->experience.final_state = FinalState::kTimedOut;
		} else {
			/* known before its rules are recorded: an abort has been applied then */
			query->experience.final_state = geterrcode() == ERRCODE_QUERY_CANCELED ? FinalState::kCancelled : FinalState::kFailed;
			LeaveQueue(query);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();

	return NowMs() - since_ms;
}

void SetPhase(QueryHandle handle, Phase phase)
{
	pg_atomic_uint32 *word = &query_slots[handle].phase;
	const uint32 changes = (pg_atomic_read_u32(word) >> 8) + 1;

	pg_atomic_write_u32(word, (changes << 8) | static_cast<uint32>(phase));
}

bool TryRun(QueryHandle handle)
{
	pg_atomic_uint32 *word = &query_slots[handle].phase;
	uint32 seen = pg_atomic_read_u32(word);

	for (;;) {
		if (static_cast<Phase>(seen & 0xff) == Phase::kReturned)
			return false;
		const uint32 running = (((seen >> 8) + 1) << 8) | static_cast<uint32>(Phase::kRunning);
		if (pg_atomic_compare_exchange_u32(word, &seen, running))
			return true;
	}
}

}  // namespace wlm
