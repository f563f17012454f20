/*
 * start_workers.hpp
 *
 * When the launcher starts a short-lived worker (worker.hpp), and for which tasks: to read the
 * configuration or models, to write history, to train. At most one for training, which takes longer
 * than history may wait, and one for all else. They are the launcher's, in a context that outlives them.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace wlm {

struct StartedWorkers {
	BackgroundWorkerHandle *worker = nullptr;
	BackgroundWorkerHandle *trainer = nullptr;
	double worker_started_ms = 0;
	double history_written_ms = 0;
	double trained_ms = 0;          /* when the last training was started, or this launcher */
	uint64 trained_at = 0;          /* statements observed until then */
	uint32 loading = 0;             /* generation that the running worker was started to load */
};

/* If there is something to do and the last one has ended. */
void StartWorker(StartedWorkers *started, bool standby);

/* If it is time to train. Not on a standby. */
void StartTraining(StartedWorkers *started);

}  // namespace wlm
