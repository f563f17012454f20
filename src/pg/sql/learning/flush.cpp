/*
 * flush.cpp
 *
 * The request is a ticket: the launcher raises flush_done to the highest ticket
 * that it saw before it emptied the ring, so two callers never mix up.
 */
#include "pg/guard.hpp"
#include "pg/sql/learning/flush.hpp"

extern "C" {
#include "access/xlog.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

/* The launcher does not know who waits for it, so we look now and then. */
constexpr long kPollMs = 20;

struct WorkerState {
	bool launcher_running;
	bool history_available;
	char problem[256];
};

void CopyWorkerState(WorkerState *state)
{
	LWLockAcquire(shared->state_lock, LW_SHARED);
	state->launcher_running = shared->launcher_procno >= 0;
	state->history_available = shared->history_available;
	strlcpy(state->problem, shared->worker_problem, sizeof state->problem);
	LWLockRelease(shared->state_lock);
}

void RequireLauncher(const WorkerState &state)
{
	if (!state.launcher_running)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("the launcher of pg_wlm is not running"),
		                errhint("It starts again by itself within seconds; see the server log.")));
}

bool Done(uint32 ticket)
{
	return static_cast<int32>(pg_atomic_read_u32(&shared->flush_done) - ticket) >= 0;
}

}  // namespace

void FlushObservations(int64 timeout_ms)
{
	const TimestampTz started = GetCurrentTimestamp();
	WorkerState state;

	if (RecoveryInProgress())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("recovery is in progress"),
		                errdetail("A standby predicts and admits, but stores no observations."),
		                errhint("Call it on the primary.")));
	CopyWorkerState(&state);
	RequireLauncher(state);

	const uint32 ticket = pg_atomic_add_fetch_u32(&shared->flush_requested, 1);

	WakeLauncher();
	while (!Done(ticket)) {
		CHECK_FOR_INTERRUPTS();
		CopyWorkerState(&state);
		RequireLauncher(state);
		if (TimestampDifferenceExceeds(started, GetCurrentTimestamp(), static_cast<int>(timeout_ms)))
			ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
			                errmsg("observations were not stored within %lld ms", static_cast<long long>(timeout_ms)),
			                state.problem[0] != '\0' ? errdetail("The worker has this problem: %s.", state.problem) : 0,
			                errhint("See wlm.status() and the server log.")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kPollMs, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	CopyWorkerState(&state);
	if (!state.history_available)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("there are no tables to store observations in"),
		                state.problem[0] != '\0' ? errdetail("The worker has this problem: %s.", state.problem) : 0,
		                errhint("Run CREATE EXTENSION pg_wlm in database \"%s\".", setting::database)));
}

}  // namespace wlm

WLM_FUNCTION(wlm_flush)
{
	const Interval *timeout = PG_GETARG_INTERVAL_P(0);
	const int64 timeout_ms = timeout->time / 1000 + (timeout->day + static_cast<int64>(timeout->month) * 30) * 86400000;

	wlm::RequireSharedState();
	if (timeout_ms <= 0 || timeout_ms > PG_INT32_MAX)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("the time-out of wlm.flush() must be between 1 ms and 24 days")));
	wlm::FlushObservations(timeout_ms);
	PG_RETURN_VOID();
}
