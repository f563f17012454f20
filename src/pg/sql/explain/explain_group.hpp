/*
 * explain_group.hpp
 *
 * The "Workload Manager" group of EXPLAIN, in TEXT, JSON, XML and YAML. Up to
 * PostgreSQL 17 ExplainOneQuery_hook writes it, from 18 explain_per_plan_hook.
 * It depends on costs, so EXPLAIN (COSTS OFF) leaves it out.
 */
#pragma once

#include "core/learn/experience.hpp"
#include "pg/sql/forecast.hpp"

extern "C" {
#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
}

namespace wlm {

/* For so many processes the time relative to one is shown, also by wlm.predict(). */
inline constexpr int kShownProcesses[] = {2, 4, 8};

/* What EXPLAIN ANALYZE saw of a managed statement; only the first num_operators operators are there. */
struct ExplainedRun {
	bool seen;
	Grant grant;
	Experience experience;
};

/* Writes the group where `es` stands; in TEXT a few indented lines. `run` may be null. */
void ExplainForecast(ExplainState *es, const StatementForecast &statement, const ExplainedRun *run = nullptr);

/* The statement that EXPLAIN is about to show or run, and where to put what is seen of it; null outside of it. */
extern PlannedStmt *explained_statement;
extern ExplainedRun *explained_run; /* from 18 on always null: the hook finds the query while it is there */

/* ExecutorEnd, while there is an explained_run: keeps what is to be shown if it is that statement's. */
struct ManagedQuery;
void NoteExplainedRun(const ManagedQuery &query);

void InitExplain();

}  // namespace wlm
