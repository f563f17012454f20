/*
 * start_workers.cpp
 *
 * What there is to do is asked of shared memory anew each time: nothing is lost when a launcher
 * or a worker dies.
 */
#include "pg/worker/start_workers.hpp"

#include <algorithm>

extern "C" {
#include "miscadmin.h"
#include "postmaster/bgworker.h"
}

#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/worker/worker.hpp"

namespace wlm {

namespace {

constexpr double kRetryMs = 30000;    /* after a worker that could not do its work */
constexpr double kStandbyMs = 10000;  /* between readings of the configuration where no trigger tells of changes */
constexpr uint32 kBusyPermille = 900; /* saturation at which training waits */
constexpr double kPatience = 4;       /* intervals for which it waits at most */
constexpr int kDriftedPart = 10;      /* of wlm.train_statements are enough when predictions have become worse */

bool HasEnded(BackgroundWorkerHandle **worker)
{
	pid_t pid;

	if (*worker == nullptr)
		return true;
	const BgwHandleStatus status = GetBackgroundWorkerPid(*worker, &pid);
	if (status == BGWH_STARTED || status == BGWH_NOT_YET_STARTED)
		return false;
	pfree(*worker);
	*worker = nullptr;
	return true;
}

/* requested: the generation of the configuration that is wanted now. */
uint32 TasksToDo(const StartedWorkers &started, uint32 requested, double now_ms)
{
	uint64 pending;
	uint32 tasks = 0;

	LWLockAcquire(shared->state_lock, LW_SHARED);
	pending = ring->Pending(Reader::kHistory);
	const bool replayed = shared->replayed;
	const bool available = shared->history_available;
	const bool problem = shared->worker_problem[0] != '\0';
	const uint64 capacity = ring->capacity;
	LWLockRelease(shared->state_lock);

	const bool flush = pg_atomic_read_u32(&shared->flush_requested) != pg_atomic_read_u32(&shared->flush_done);
	const bool may_retry = now_ms - started.worker_started_ms >= kRetryMs;
	const bool changed = requested != pg_atomic_read_u32(&shared->workload_loaded) && (requested != started.loading || may_retry);

	if (changed || ((!available || problem) && may_retry))
		tasks |= kLoadWorkload;
	if (!replayed && (available || changed || may_retry))
		tasks |= available ? kReplay : kReplay | kLoadWorkload;
	if (flush || (pending > 0 && ((available && !problem) || may_retry) &&
	              (now_ms - started.history_written_ms >= setting::flush_interval_s * 1000.0 || pending > capacity / 2)))
		tasks |= kWriteHistory;
	return tasks;
}

/* The configuration is replicated; that it has changed is not. Models and history are read once, as on a primary. */
uint32 TasksOnStandby(const StartedWorkers &started, double now_ms)
{
	if (started.worker_started_ms > 0 && now_ms - started.worker_started_ms < kStandbyMs)
		return 0;
	pg_atomic_fetch_add_u32(&shared->workload_requested, 1);
	LWLockAcquire(shared->state_lock, LW_SHARED);
	const bool replayed = shared->replayed;
	LWLockRelease(shared->state_lock);
	return replayed ? kLoadWorkload : kLoadWorkload | kReplay;
}

/* False without a free worker process: then everything waits; backends keep what they have. */
bool Register(const char *name, uint32 tasks, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof worker);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "pg_wlm", sizeof worker.bgw_library_name);
	strlcpy(worker.bgw_function_name, "wlm_worker_main", sizeof worker.bgw_function_name);
	strlcpy(worker.bgw_name, name, sizeof worker.bgw_name);
	strlcpy(worker.bgw_type, name, sizeof worker.bgw_type);
	worker.bgw_main_arg = UInt32GetDatum(tasks);
	worker.bgw_notify_pid = MyProcPid;
	if (RegisterDynamicBackgroundWorker(&worker, handle))
		return true;
	*handle = nullptr;
	CountProblem("no background worker is free for pg_wlm; raise max_worker_processes");
	return false;
}

/*
 * Enough is new, or predictions have become worse; and the server has time for it. After kPatience intervals it must
 * find the time: the trainer's priority is the lowest anyway.
 */
bool IsTimeToTrain(const StartedWorkers &started, double now_ms)
{
	const double interval_ms = setting::train_interval_s * 1000.0;
	const double since_ms = now_ms - started.trained_ms;
	const uint64 statements = pg_atomic_read_u64(&shared->counters.experiences) - started.trained_at;

	LWLockAcquire(shared->learn_lock, LW_SHARED);
	const bool drifted = shared->drifted;
	LWLockRelease(shared->learn_lock);
	LWLockAcquire(shared->state_lock, LW_SHARED);
	const bool possible = shared->history_available && shared->replayed && !shared->training.running;
	LWLockRelease(shared->state_lock);

	if (setting::train_interval_s < 0 || !possible || since_ms < interval_ms)
		return false;
	const uint64 enough = static_cast<uint64>(setting::train_statements);
	if (statements < (drifted ? enough / kDriftedPart : enough))
		return false;
	const bool busy = pg_atomic_read_u32(&shared->saturation_permille) > kBusyPermille;
	return !busy || since_ms > kPatience * interval_ms;
}

}  // namespace

void StartWorker(StartedWorkers *started, bool standby)
{
	const double now_ms = NowMs();
	const bool had_worker = started->worker != nullptr;

	if (!HasEnded(&started->worker))
		return;
	/* It may have begun before the settings were read again that this process knows, and applied older ones after it. */
	if (had_worker)
		ConfigurePolicy();
	/* Read once: what is requested from here on is for the next worker, whatever this one is started for. */
	const uint32 requested = pg_atomic_read_u32(&shared->workload_requested);
	const uint32 tasks = standby ? TasksOnStandby(*started, now_ms) : TasksToDo(*started, requested, now_ms);
	if (tasks == 0)
		return;

	if (!Register("pg_wlm worker", tasks, &started->worker))
		return;
	started->worker_started_ms = now_ms;
	if ((tasks & kLoadWorkload) != 0)
		started->loading = requested;
	if ((tasks & kWriteHistory) != 0)
		started->history_written_ms = now_ms;
}

void StartTraining(StartedWorkers *started)
{
	const double now_ms = NowMs();

	/* wlm.reset() begins to count anew */
	started->trained_at = std::min(started->trained_at, pg_atomic_read_u64(&shared->counters.experiences));
	if (!HasEnded(&started->trainer) || !IsTimeToTrain(*started, now_ms) ||
	    !Register("pg_wlm trainer", kTrain, &started->trainer))
		return;
	started->trained_ms = now_ms;
	started->trained_at = pg_atomic_read_u64(&shared->counters.experiences);
}

}  // namespace wlm
