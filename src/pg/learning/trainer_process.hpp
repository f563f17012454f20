/*
 * trainer_process.hpp
 *
 * pg_wlm_trainer as a process of its own: samples in through a pipe, models out
 * through another. Whatever it does (crash, hang, write rubbish), the caller gets
 * an error text and goes on. It has no shared memory and no descriptor of ours,
 * and it does not outlive the process that started it.
 */
#pragma once

#include "pg/postgres.hpp"

#include <cstddef>
#include <span>

namespace wlm {

struct TrainerRequest {
	const char *experts;      /* "trees", "graph" or "trees,graph" */
	uint64 seed;
	int seconds;              /* of CPU; it is killed some time after as much wall clock time */
	int memory_mb;
	Size most_output;         /* bytes of models; more is an error */
	bool start_first;         /* the first chunk is a blob: the graph model to go on from */
	int num_chunks;           /* what it is fed, in this order */
	std::span<const std::byte> (*chunk)(void *context, int index);
	/* Called for each line of progress; must not raise. */
	void (*progress)(void *context, const char *expert, double done, double loss);
	void *context;
};

inline constexpr int kMostTrainerFailures = 4;

struct TrainerOutput {
	char *models;             /* blobs one after the other, in the current memory context; may hold some although it failed */
	Size size;
	char error[512];          /* why it failed as a whole, empty if it did not; plain ASCII */
	int num_failures;         /* what it said itself: "<expert>: <reason>" */
	char failures[kMostTrainerFailures][256];
};

/*
 * Waits for it, heeding interrupts (which kill it). Raises only for those; everything that goes wrong
 * with the trainer itself is in output->error.
 */
void RunTrainer(const TrainerRequest &request, TrainerOutput *output);

/* Where the program is expected: wlm.trainer, looked for beside the server's own programs. */
void TrainerPath(char *path, Size size);

}  // namespace wlm
