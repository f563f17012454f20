/*
 * grant.hpp
 *
 * How much memory each operator of a query gets: from the distribution of its
 * need to the limit in force when PostgreSQL reads work_mem for it, and to the
 * reservation that admission counts. A grant is a ceiling, a reservation is a
 * quantile of what the whole query will hold at its fullest moment; they differ
 * on purpose (ALGORITHMS.md, section 6).
 *
 * Where not everything fits, memory goes first where a kilobyte saves most
 * predicted time. What cannot spill is never lowered (HAZARDS G11); what can, is
 * lowered below the session's own setting only if the query's share is smaller than that, and never below the
 * point where batch buffers would cost more than it saves (G8).
 */
#pragma once

#include <cstdint>

#include "core/grant/lifetimes.hpp"
#include "core/plan/plan_graph.hpp"
#include "core/predict/forecast.hpp"

namespace wlm {

struct GrantLimits {
	int64_t session_work_mem_kb; /* what the plan was made for */
	int64_t min_work_mem_kb;     /* a changed work_mem is at least this (HAZARDS G8) */
	int64_t max_work_mem_kb;
	int64_t max_query_kb;        /* all operators of all processes, at the fullest moment */
	double hash_mem_multiplier;
	double need_factor = 1;      /* on predicted needs */
	float z;                     /* NormalQuantile(wlm.grant_quantile) */
	float part = 1;              /* of the memory lacked under the session's own setting: 0 = leave it, 1 = all */
	float ceiling = 1;           /* what cannot grow once it has begun may have this times its need, uncharged until it is used */
	int most_workers = -1;       /* of each Gather; negative = as planned */
	bool may_raise;              /* false: the user chose work_mem himself (HAZARDS G6) */
	bool may_lower = false;      /* below the session's setting, where max_query_kb asks for it */
	bool per_operator = true;    /* false: one work_mem for all operators */
	bool may_release = false;    /* operators' memory is freed as phases end */
};

struct OperatorGrant {
	int32_t plan_node_id;
	int16_t memory_slot;
	bool released;               /* freed when the operator that reads it has all it needs */
	float processes;             /* times folded members */
	float work_mem_kb;           /* to be in force when PostgreSQL reads the setting for this operator */
	float limit_kb;              /* what that allows each process: hash_mem_multiplier, and pooling by Parallel Hash, included */
	float need_kb;               /* quantile of the predicted need of one process; 0 = no opinion */
	float expected_kb;           /* min(limit, need): what it is charged */
};

struct Grant {
	int64_t session_work_mem_kb; /* GrantLimits' */
	int64_t work_mem_kb;         /* for the whole query: what Parallel Hash and all without a limit of their own find */
	int64_t reservation_kb;      /* what admission should count */
	bool raises;                 /* work_mem_kb differs from the session's */
	bool adjusts;                /* some operator's work_mem_kb differs from work_mem_kb */
	float lacking_kb;            /* predicted need beyond the session's own limits, at the fullest moment; 0 = nothing to decide */
	float coverage;              /* part of it that is granted, 0..1; 1 if nothing lacks */
	float saved_ms;              /* predicted time that this grant saves against the session's own limits */
	int16_t num_operators;
	OperatorGrant operators[kMaxMemoryNodes];
	Lifetimes lifetimes;
};

/* Never fails: without an opinion the grant is the session's own work_mem. */
void ComputeGrant(const PlanGraph &graph, const Forecast &forecast, const GrantLimits &limits, Grant *grant) noexcept;

/* 1, or hash_mem_multiplier for what PostgreSQL multiplies (HAZARDS G7). */
double LimitMultiplier(MemoryClass memory, double hash_mem_multiplier) noexcept;

}  // namespace wlm
