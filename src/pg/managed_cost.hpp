/*
 * managed_cost.hpp
 *
 * The one number by which the hooks let cheap statements pass. It follows from
 * settings and from what the process does, and changes with them.
 */
#pragma once

#include "pg/postgres.hpp"

namespace wlm {

/*
 * What a plan must cost for the hooks to look at it: the only thing that a cheap statement compares
 * with. wlm.min_cost, or infinite while pg_wlm has nothing to do in this process, or minus infinite
 * while a query runs whose settings nested statements must not see.
 */
WLM_HOT extern double managed_cost;

/* From the settings in force. */
void ComputeManagedCost();

/* Whether hooks should look at every statement; returns what it was before. */
bool WatchAllStatements(bool watch);

/* Assign hooks of wlm.bypass, wlm.min_cost and wlm.mode. */
void AssignBypass(bool value, void *);
void AssignMinCost(double value, void *);
void AssignMode(int value, void *);

}  // namespace wlm
