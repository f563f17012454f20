/*
 * operators.hpp
 *
 * What one operator of this process used and would have needed, read from its
 * PlanState before ExecutorEnd frees it. Nothing here raises, allocates or
 * touches shared memory: parallel hash tables are gone by then in the leader.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/execnodes.h"
}

namespace wlm {

struct OperatorReading {
	int32 plan_node_id;
	uint8 flags;     /* OperatorFlag */
	float peak_kb;   /* of this process */
	float needed_kb; /* to have stayed in memory; a lower bound if kCensored */
	float temp_kb;   /* written to temporary files, of a hash join only its inner side; 0 if it did not spill */
};

/*
 * False if the operator did not run or has nothing to say. `limit_kb` is the memory limit that was
 * in force (multiplier included), 0 = the session's. `cut_short` says that rows above may have been
 * enough before the input ended: a LIMIT above, or a portal closed early.
 */
bool ReadOperator(const PlanState *state, double limit_kb, bool cut_short, OperatorReading *reading);

/* The same for the hash table of a hashed sub-plan; the reading belongs to the sub-plan's root. */
bool ReadHashedSubPlan(const SubPlanState *state, OperatorReading *reading);

/* Whether a LIMIT above `state` also cuts short what feeds it. */
bool PassesCut(const PlanState *state);

}  // namespace wlm
