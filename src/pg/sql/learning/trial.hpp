/*
 * trial.hpp
 *
 * A fresh set of models that goes through the stored history once, oldest
 * first, and is asked about each statement before it learns from it. What
 * train() publishes and evaluate() reports. In the calling backend, in memory
 * of its own: nothing in shared memory is touched.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

#include "core/learn/learner.hpp"
#include "core/learn/role_share.hpp"

namespace wlm {

struct Trial {
	int64 total;                /* statements in the history */
	int64 seen;                 /* so far */
	int64 judge_after;          /* the first so many are learned, but not judged */
	TimestampTz learned_to;     /* when the newest of them finished */
	PlannerModel *planner;
	RecallStore *recall;
	GateModel *gate;            /* begins as the one that ships */
	RoleShares role_shares;
	NeighbourStore *neighbours; /* null without a graph model */
	Accuracy *fresh;            /* of this trial's models */
	Accuracy *incumbent;        /* of what had been predicted when the statements came */
};

/*
 * Runs it in the current memory context. Judges the newest `judged_part` of the history. ERROR if
 * there is too little of it. SPI must be connected.
 */
Trial *RunTrial(double judged_part);

/* Sum over targets of ln(P50) + ln(P90) of the fresh models' answers less the incumbents': negative is better. */
double CompareExpert(const Trial &trial, int expert, int *targets);

/* Whether a fresh model may replace the one in use. */
bool NotWorse(const Trial &trial, int expert);

}  // namespace wlm
