/*
 * training_state.hpp
 *
 * What wlm.training() shows, and that only one process trains at a time. Said by the one
 * that waits for the trainer.
 */
#pragma once

#include "pg/postgres.hpp"

namespace wlm {

/* False if another process is at it. From here until one of the ends below, or that of the process, this one is. */
bool NoteTrainingStart(const char *reason);

/* `progress` 0..1, of the phase; `loss` NaN = none yet. */
void NoteTrainingPhase(const char *phase, double progress, double loss);

/* `problem` is empty if all went well. */
void NoteTrainingEnd(const char *problem);

/* In a PG_CATCH(): this process's training, if it has one, ended by the current ERROR. */
void NoteTrainingFailure();

}  // namespace wlm
