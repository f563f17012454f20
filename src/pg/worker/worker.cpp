/*
 * worker.cpp
 *
 * Entry point of the short-lived worker: connect, find the extension, do the
 * tasks, say what went wrong. Runs as the bootstrap superuser, unmanaged.
 *
 * An ERROR is not swallowed: its text is kept for the launcher and for
 * status(), then it ends the process as it would end any background worker.
 */
#include "pg/worker/worker.hpp"

#include <cstdio>
#include <cstring>

extern "C" {
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

#include "pg/guard.hpp"
#include "pg/history/history.hpp"
#include "pg/learning/replay.hpp"
#include "pg/learning/training.hpp"
#include "pg/learning/training_state.hpp"
#include "pg/models/model_table.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/worker/configuration/configuration.hpp"

namespace wlm {

namespace {

/* Of this process. */
uint32 flush_ticket = 0;  /* requests up to this one are served, or given up */
bool connected = false;
bool replaying = false;

void SetProblem(const char *text)
{
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	strlcpy(shared->worker_problem, text, sizeof shared->worker_problem);
	LWLockRelease(shared->state_lock);
}

void NoteStart()
{
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	shared->worker_running = true;
	shared->worker_started_at = GetCurrentTimestamp();
	LWLockRelease(shared->state_lock);
}

/* Whoever waits in wlm.flush() looks at history_available and worker_problem next. */
void EndFlush() { pg_atomic_write_u32(&shared->flush_done, flush_ticket); }

/* At exit of any kind but a crash. */
void BeforeExit(int, Datum)
{
	CountLostRecords();
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	shared->worker_running = false;
	shared->worker_finished_at = GetCurrentTimestamp();
	if (!connected)
		shared->history_available = false;
	LWLockRelease(shared->state_lock);
	if (!connected)
		EndFlush();
}

void Override(const char *name, const char *value) { SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE); }

/* What ALTER DATABASE SET may have chosen for others must not matter here. */
void ChooseSettings()
{
	Override("search_path", "pg_catalog, pg_temp");
	Override("application_name", "pg_wlm worker");
	Override("wlm.bypass", "on");
	Override("synchronous_commit", "off"); /* a crash may lose the last seconds of history anyway */
	Override("default_transaction_read_only", "off");
	Override("default_transaction_isolation", "read committed");
	Override("session_replication_role", "origin");
	Override("jit", "off");
	/* Foreign keys are checked with a plan that may have been made when the table was still empty. */
	Override("enable_seqscan", "off");
	Override("lock_timeout", "5s"); /* somebody may hold our tables for long; the launcher tries again */
}

/* False, with the problem noted, when pg_wlm was never created in this database or has been dropped. */
bool FindExtension()
{
	BeginWork("looking for the extension");
	const bool found = OidIsValid(get_extension_oid("pg_wlm", true));
	CommitWork();

	if (!found) {
		char problem[sizeof shared->worker_problem];
		snprintf(problem, sizeof problem, "extension pg_wlm is not installed in database \"%s\"", setting::database);
		SetProblem(problem);
	}
	return found;
}

void DoTasks(uint32 tasks)
{
	const bool present = FindExtension();

	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	const bool was_present = shared->history_available;
	const bool replayed = shared->replayed;
	shared->history_available = present;
	LWLockRelease(shared->state_lock);

	/* CREATE and DROP EXTENSION fire no trigger of ours. */
	if ((tasks & kLoadWorkload) != 0 || present != was_present)
		LoadWorkload(present);

	if (!present) {
		DiscardHistory();
	} else {
		/* What this start of the server has seen is learned from the ring: history is read before it is added to. */
		if (!replayed && (tasks & (kReplay | kWriteHistory)) != 0) {
			replaying = true;
			Replay();
			replaying = false;
		}
		if ((tasks & kWriteHistory) != 0) {
			WriteHistory();
			TrimHistory();
		}
	}
	if ((tasks & kWriteHistory) != 0 || !present)
		EndFlush();
}

/* Somebody else's lock, or somebody who wants this to stop: next time it may work. */
bool MayPass(const ErrorData &error)
{
	return error.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || error.sqlerrcode == ERRCODE_QUERY_CANCELED;
}

/* The text of the current ERROR into shared memory. */
void KeepError(MemoryContext context)
{
	MemoryContextSwitchTo(context);
	ErrorData *error = CopyErrorData();
	SetProblem(error->message != nullptr ? error->message : "unknown error");
	if (!MayPass(*error)) {
		/* History is written only after it has been read: a table that cannot be read must not stop that for ever. */
		if (replaying)
			EndReplay();
		EndFlush();
	}
	FreeErrorData(error);
}

void TrainOnSchedule()
{
	const MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pg_wlm training", ALLOCSET_DEFAULT_SIZES);
	const char *problem;

	LWLockAcquire(shared->learn_lock, LW_SHARED);
	const bool drifted = shared->drifted;
	LWLockRelease(shared->learn_lock);

	BeginWork("collecting samples");
	MemoryContextSwitchTo(context);
	Training *training = CollectSamples(kNumModels, drifted ? "predictions have become worse" : "new statements", &problem);
	CommitWork();
	if (training == nullptr) {
		ereport(DEBUG1, (errmsg("pg_wlm does not train models: %s", problem)));
		return;
	}

	pgstat_report_activity(STATE_RUNNING, "training models");
	TrainModels(training);
	pgstat_report_activity(STATE_IDLE, nullptr);

	Override("lock_timeout", "60s"); /* what took so long is worth more patience */
	BeginWork("judging and publishing models");
	MemoryContextSwitchTo(context);
	LockModelTable();
	ConcludeTraining(training, nullptr, nullptr);
	CommitWork();
}

/* In a process of its own: what goes wrong is seen in wlm.training() and in the server's log. */
void RunTrainingWorker()
{
	if (shared == nullptr || setting::database == nullptr || setting::database[0] == '\0')
		return;
	BackgroundWorkerInitializeConnection(setting::database, nullptr, 0);
	ChooseSettings();
	if (!FindExtension())
		return;
	PG_TRY();
	{
		TrainOnSchedule();
	}
	PG_CATCH();
	{
		NoteTrainingFailure();
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void RunWorker(uint32 tasks)
{
	if (shared == nullptr)
		return;
	if (setting::database == nullptr || setting::database[0] == '\0') {
		SetProblem("wlm.database is not set");
		return;
	}
	flush_ticket = pg_atomic_read_u32(&shared->flush_requested);
	NoteStart();
	before_shmem_exit(BeforeExit, Datum{0});

	/* A database that is not there ends this process with a FATAL: say so now, take it back afterwards. */
	char problem[sizeof shared->worker_problem];
	snprintf(problem, sizeof problem, "cannot connect to database \"%s\"", setting::database);
	SetProblem(problem);
	BackgroundWorkerInitializeConnection(setting::database, nullptr, 0);
	connected = true;
	SetProblem("");
	ChooseSettings();

	const MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pg_wlm worker", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		DoTasks(tasks);
	}
	PG_CATCH();
	{
		KeepError(context);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

}  // namespace

namespace {

/* DROP EXTENSION locks it before our tables, so that neither waits for a table of the other: it would be the victim of that deadlock. */
void KeepExtension()
{
	const Oid extension = get_extension_oid("pg_wlm", true);

	if (OidIsValid(extension))
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
}

}  // namespace

void BeginWork(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	KeepExtension();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
}

void CommitWork()
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, nullptr);
}

}  // namespace wlm

void wlm_worker_main(Datum tasks)
{
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	wlm::Guarded<void>([tasks] {
		if (DatumGetUInt32(tasks) == wlm::kTrain)
			wlm::RunTrainingWorker();
		else
			wlm::RunWorker(DatumGetUInt32(tasks));
	});
}
