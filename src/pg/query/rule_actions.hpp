/*
 * rule_actions.hpp
 *
 * What rules that have fired do to a query's place among others, and their records in
 * wlm.rule_action. A rule that fires sets its bit in the query's slot, after what is to be done
 * (FiredRule). Bits of rules_fired that are not in rules_done want to be carried out and
 * recorded: by the launcher, or else when the query ends.
 */
#pragma once

#include "pg/query/managed_query.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

/*
 * Of the actions of `bits` the severest is carried out. An abort that is posted is left to the query's end, which knows
 * what came of it. Under state_lock; `record` is false on a standby, here and below.
 */
void CarryOutLocked(QueryHandle handle, uint32 bits, bool record, double now_ms);

/* The slot goes back: what has fired and nobody has recorded. Under state_lock. */
void RecordRulesLocked(ManagedQuery *query, bool record);

/* Launcher: carries out and records what has fired since the last call. */
void ActOnRules();

}  // namespace wlm
