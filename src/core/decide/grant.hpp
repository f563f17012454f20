/*
 * grant.hpp
 *
 * How much memory a query gets: from the distribution of its operators' needs
 * to one work_mem that is worth having, and to the reservation that admission
 * counts. A grant is a ceiling, a reservation is a quantile of what the whole
 * query will use; they differ on purpose (ALGORITHMS.md, section 6).
 *
 * After planning a limit is only ever raised above the session's own: what
 * cannot spill would not shrink (HAZARDS G11), and a plan chosen for the
 * session's memory should find at least that.
 */
#pragma once

#include <cstdint>

#include "core/plan/plan_graph.hpp"
#include "core/predict/forecast.hpp"

namespace wlm {

struct GrantLimits {
	int64_t session_work_mem_kb; /* what the plan was made for; the floor */
	int64_t min_work_mem_kb;     /* a raised work_mem is at least this (HAZARDS G8) */
	int64_t max_work_mem_kb;
	int64_t max_query_kb;        /* all operators of all processes together */
	double hash_mem_multiplier;
	float z;                     /* NormalQuantile(wlm.grant_quantile) */
	bool may_raise;              /* false: the user chose work_mem himself (HAZARDS G6) */
};

struct OperatorGrant {
	int32_t plan_node_id;
	int16_t memory_slot;
	float processes;             /* times folded members */
	float limit_kb;              /* of each process, multiplier included */
	float expected_kb;           /* quantile of the need, at most the limit */
};

struct Grant {
	int64_t work_mem_kb;         /* to be in force while the query runs */
	int64_t reservation_kb;      /* what admission should count */
	bool raises;                 /* work_mem_kb differs from the session's */
	int16_t num_operators;
	OperatorGrant operators[kMaxMemoryNodes];
};

/* Never fails: without an opinion the grant is the session's own work_mem. */
void ComputeGrant(const PlanGraph &graph, const Forecast &forecast, const GrantLimits &limits, Grant *grant) noexcept;

/* 1, or hash_mem_multiplier for what PostgreSQL multiplies (HAZARDS G7). */
double LimitMultiplier(MemoryClass memory, double hash_mem_multiplier) noexcept;

}  // namespace wlm
