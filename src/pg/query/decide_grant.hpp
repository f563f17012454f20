/*
 * decide_grant.hpp
 *
 * The decision about a query's memory and workers: what it lacks, what giving it has been worth, how much it is to be
 * given, and with how many of its planned workers it runs. Asked at the start of each managed query and by
 * EXPLAIN, predict() and explain(), so that all say the same. No lock, no allocation; may raise only as classify.hpp does.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/plannodes.h"
}

#include "core/grant/choose_level.hpp"
#include "core/grant/grant.hpp"
#include "core/grant/outcomes.hpp"
#include "core/grant/parallelism.hpp"

namespace wlm {

struct GrantDecision {
	GrantLimits limits;    /* with which `grant` was computed */
	GrantOutcomes outcomes; /* template_fingerprint 0: none known */
	GrantCurve curve;
	LevelChoice choice;
	WorkerChoice workers;
	Grant grant;
};

/* `may_release`: nobody will look at operators after their phase, and nobody can ask for their rows again. */
void DecideGrant(const PlannedStmt *statement, const PlanGraph &graph, const Forecast &forecast, int queue, bool may_release,
                 GrantDecision *decision);

/* The same decision with at most max_query_kb, which is all that could be reserved. */
void ShrinkGrant(const PlanGraph &graph, const Forecast &forecast, int64 max_query_kb, GrantDecision *decision);

}  // namespace wlm
