/*
 * plan_text.hpp
 *
 * SQL text -> PlannedStmt, as if the caller were about to run it: parsed,
 * analysed, rewritten (views, row security) and planned with his privileges and
 * settings, but not run. For wlm.predict() and wlm.explain().
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/plannodes.h"
}

namespace wlm {

/*
 * ERROR unless the text is exactly one statement with a plan, without parameters, that the caller
 * may run. `function` names the caller in messages. Takes the locks that planning takes.
 */
PlannedStmt *PlanText(const char *sql, const char *function);

}  // namespace wlm
