/*
 * managed_cost.cpp
 *
 * Two things decide: what the settings say, and whether a query runs whose settings
 * nested statements must not see. Each is kept, so that the other may change.
 */
#include "pg/managed_cost.hpp"

#include <cmath>

#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

double managed_cost = HUGE_VAL;

namespace {

double configured_cost = HUGE_VAL;
bool watching_all = false;

/* Assign hooks run before the variable changes, so each passes on what it will be. */
void Recompute(int mode, bool bypass, double min_cost)
{
	const bool active = shared != nullptr && mode != static_cast<int>(Mode::kOff) && !bypass;

	configured_cost = active ? min_cost : HUGE_VAL;
	managed_cost = watching_all ? -HUGE_VAL : configured_cost;
}

}  // namespace

void AssignBypass(bool value, void *) { Recompute(setting::mode, value, setting::min_cost); }
void AssignMinCost(double value, void *) { Recompute(setting::mode, setting::bypass, value); }
void AssignMode(int value, void *) { Recompute(value, setting::bypass, setting::min_cost); }

void ComputeManagedCost() { Recompute(setting::mode, setting::bypass, setting::min_cost); }

bool WatchAllStatements(bool watch)
{
	const bool before = watching_all;

	watching_all = watch;
	managed_cost = watch ? -HUGE_VAL : configured_cost;
	return before;
}

}  // namespace wlm
