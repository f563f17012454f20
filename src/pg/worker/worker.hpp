/*
 * worker.hpp
 *
 * The short-lived background worker that connects to wlm.database, does what
 * the launcher asks of it and ends: a permanent connection would block DROP
 * DATABASE and CREATE DATABASE ... TEMPLATE.
 *
 * The launcher starts it with function "wlm_worker_main" and a set of tasks in
 * bgw_main_arg, one worker at a time. Each task is one or more transactions of
 * its own. An ERROR ends the worker after the reason has been written to
 * SharedState::worker_problem; whoever is started next goes on from there.
 */
#pragma once

#include "pg/postgres.hpp"

namespace wlm {

/* Bits of bgw_main_arg. */
enum WorkerTask : uint32 {
	kLoadWorkload = 1, /* wlm.queue -> shared memory */
	kWriteHistory = 2, /* ring -> tables */
	kReplay = 4,       /* models and history -> shared memory, once after start */
	kTrain = 8,        /* history -> pg_wlm_trainer -> models; by a worker of its own */
};

/* Around each transaction of a worker's task: a snapshot and SPI, and what pg_stat_activity shows. */
void BeginWork(const char *activity);
void CommitWork();

}  // namespace wlm

extern "C" PGDLLEXPORT void wlm_worker_main(Datum tasks);
