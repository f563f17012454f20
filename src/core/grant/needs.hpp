/*
 * needs.hpp
 *
 * What one operator needs, what its limit may be, and what time that is predicted
 * to save: from the forecast to the numbers that the split works with. Private to core/grant.
 *
 * kB and limits are those of one process; memory and time are multiplied by `processes`.
 */
#pragma once

#include "core/grant/grant.hpp"

namespace wlm {

/* Allocation is in powers of two in places (hash tables, tuplesort's array): leave room for it. */
inline constexpr double kHeadroom = 1.15;

/* What an executor needs beside its operators: expression states, slots, catalog caches. */
inline constexpr double kBaseKb = 512;

/*
 * Milliseconds that a kB of temporary file costs, written once and read once: 400 kB/ms = 400 MB/s, a page cache's copy both
 * ways with packing and unpacking of tuples, as sorts and hash joins of PostgreSQL 15 reach it. An ordinary disk makes it more;
 * what it is on this server, per template, is learned from outcomes.
 */
inline constexpr double kSpillMsPerKb = 1.0 / 400;

struct OperatorNeed {
	double need_kb;      /* upper quantile; 0 = no opinion */
	double wanted_kb;    /* limit under which it neither spills nor plans to */
	double floor_kb;     /* least limit, if it may be lowered */
	double session_kb;   /* limit under the session's own setting */
	double most_kb;      /* limit under max_work_mem */
	double multiplier;   /* limit = work_mem * multiplier */
	double processes;    /* times folded members */
	double spill_ms;     /* in all, if it spills */
	bool whole;          /* gains nothing before its whole need fits */
	bool lowerable;
	bool unlimited;      /* uses what it needs whatever the limit is */
};

/* session_kb etc. of one operator, from forecast and planner. Never NaN or infinite. */
void FindNeed(const PlanGraph &graph, const Forecast &forecast, const GrantLimits &limits, int16_t slot, OperatorNeed *need) noexcept;

/* Memory of all its processes under a limit. */
double ChargeKb(const OperatorNeed &need, double limit_kb) noexcept;

/* Predicted time saved against the session's own limit; negative below it. */
double SavedMs(const OperatorNeed &need, double limit_kb) noexcept;

/* The limit that would be asked for if there were room: session_kb if more brings nothing. */
double TargetKb(const OperatorNeed &need) noexcept;

}  // namespace wlm
