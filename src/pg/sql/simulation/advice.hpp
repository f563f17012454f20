/*
 * advice.hpp
 *
 * What wlm.recommend() collects before it answers: changes, each with what speaks for
 * it. Plain data in the current memory context.
 */
#pragma once

#include "pg/postgres.hpp"

#include "pg/sql/result_rows.hpp"
#include "pg/sql/simulation/simulation.hpp"

namespace wlm {

/* Part of execution time in statements that write temporary files from which on it is worth a word. */
inline constexpr double kMuchSpilling = 0.2;

struct Advice {
	const char *subject;        /* setting, or attribute of a queue */
	const char *current;
	const char *recommended;
	const char *change;         /* a statement, or null */
	const char *effect;         /* if it was not simulated */
	const char *evidence;
	double gain;                /* by which they are ranked: about the part of waiting and latency that it saves */
	bool simulated;
	SimulationResult before;
	SimulationResult after;
};

struct AdviceList {
	static constexpr int kMost = 256;

	int count;
	Advice advice[kMost];
};

/* Part that is saved. Differences of less than a millisecond are nothing to gain. */
inline double Gain(double before_ms, double after_ms) { return 1 - (after_ms + 1) / (before_ms + 1); }

/* The one on this subject, new if there is none; the last one again if there are too many. */
Advice *AddAdvice(AdviceList *list, const char *subject);

/* Best first; of equal gain in the order in which they were added. */
void RankAdvice(AdviceList *list);

struct QueueFacts {
	int64 num_statements;       /* that came: also those that never ran */
	int64 num_timeouts;
	int64 num_rejected;
};

struct HistoryFacts {
	int64 num_statements;
	double applied_share;       /* of statements, in mode auto */
	double spilled_share;       /* of execution time, in statements that wrote temporary files */
	double capped_share;        /* of execution time, in statements that spilled although they were given wlm.max_work_mem */
	int64 num_waited_out;       /* forced after wlm.max_wait */
	QueueFacts queues[kMaxQueues];
};

/* From wlm.history, with the caller's privileges. */
void ReadFacts(const TracePeriod &period, HistoryFacts *facts);

/* What no simulation knows. */
void AdviseFromFacts(const WhatIf &present, const HistoryFacts &facts, AdviceList *list);

/* As rows of wlm.recommend(). */
void EmitAdvice(ReturnSetInfo *set, const AdviceList &list);

}  // namespace wlm
