/*
 * forecast.hpp
 *
 * What the workload manager would do with a planned statement, without doing
 * it: plan -> predict -> decide, the same steps that BeginQuery takes. For
 * EXPLAIN, wlm.predict() and wlm.explain(); runs in the backend, may raise.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/plannodes.h"
}

#include "core/decide/policy/policy.hpp"
#include "core/predict/expert.hpp"
#include "pg/query/decide_grant.hpp"

namespace wlm {

struct StatementForecast {
	bool managed;                 /* mode is not off and the statement costs at least wlm.min_cost */
	const char *unmanaged_reason; /* one clause, null if managed */
	int queue;
	char queue_name[kNameLength];
	Priority priority;
	Lane lane;
	PlanContext context;
	Forecast forecast;
	GrantDecision decision;
	PlanGraph graph;
};

/*
 * In the current memory context: some 60 kB. RequireSharedState() must hold. `ask_everybody`: also those experts that
 * would not be asked before the statement runs because they think for too long.
 */
StatementForecast *ForecastStatement(PlannedStmt *statement, bool ask_everybody);

/* Whether a hook should look at the statement at all. */
bool WouldBeManaged(const PlannedStmt *statement);

/* Largest cost among the statement's plan tree: what wlm.min_cost is compared with. */
double StatementCost(const PlannedStmt *statement);

/* normal, express, superuser, maintenance */
const char *LaneName(Lane lane);

/* exp(mean + z * deviation) with the result kept finite. */
double QuantityAt(const Estimate &estimate, double z);
/* The same for an estimate over a logit: 0..1. */
double FractionAt(const Estimate &estimate, double z);

/* z of both ends of a 95 % interval. */
inline constexpr double kIntervalZ = 1.959964;

}  // namespace wlm
