/*
 * training_state.cpp
 *
 * Under state_lock. Whoever trains says so until the training or the process has ended, so that no
 * second one begins and nobody waits for one that is gone.
 */
#include "pg/learning/training_state.hpp"

#include <cmath>
#include <cstring>

extern "C" {
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "pg/shared_state.hpp"

namespace wlm {

namespace {

bool exit_callback_registered = false;

void NoteExit(int, Datum)
{
	if (shared->training.running && shared->training.pid == MyProcPid)
		NoteTrainingEnd("the process that trained has ended");
}

}  // namespace

bool NoteTrainingStart(const char *reason)
{
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	TrainingState &state = shared->training;
	const bool free = !state.running;
	if (free) {
		memset(&state, 0, sizeof state);
		state.running = true;
		state.pid = MyProcPid;
		state.started_at = GetCurrentTimestamp();
		state.loss = std::nanf("");
		strlcpy(state.reason, reason, sizeof state.reason);
		strlcpy(state.phase, "collecting samples", sizeof state.phase);
	}
	LWLockRelease(shared->state_lock);
	if (free && !exit_callback_registered) {
		before_shmem_exit(NoteExit, Datum{0});
		exit_callback_registered = true;
	}
	return free;
}

void NoteTrainingPhase(const char *phase, double progress, double loss)
{
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	strlcpy(shared->training.phase, phase, sizeof shared->training.phase);
	shared->training.progress = static_cast<float>(progress);
	shared->training.loss = static_cast<float>(loss);
	LWLockRelease(shared->state_lock);
}

void NoteTrainingEnd(const char *problem)
{
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	TrainingState &state = shared->training;
	state.running = false;
	state.finished_at = GetCurrentTimestamp();
	state.progress = 1;
	strlcpy(state.phase, problem[0] == '\0' ? "done" : "failed", sizeof state.phase);
	strlcpy(state.problem, problem, sizeof state.problem);
	LWLockRelease(shared->state_lock);
}

void NoteTrainingFailure()
{
	if (!shared->training.running || shared->training.pid != MyProcPid)
		return;
	const MemoryContext outer = MemoryContextSwitchTo(TopMemoryContext);
	ErrorData *error = CopyErrorData();
	NoteTrainingEnd(error->message != nullptr ? error->message : "unknown error");
	FreeErrorData(error);
	MemoryContextSwitchTo(outer);
}

}  // namespace wlm
