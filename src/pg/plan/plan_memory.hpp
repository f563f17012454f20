/*
 * plan_memory.hpp
 *
 * Planning with another work_mem than the session's, where outcomes ask for it
 * (core/grant/plan_memory.hpp), and what each plan was made with. A statement
 * pays one comparison while no statement of the server is planned otherwise, and then the look at
 * one bit of a filter.
 *
 * A plan may wait in a cache for years. So it is looked at again when it is executed,
 * and a session whose cached plan is not what would be made now plans again the next time.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
}

#include "core/learn/experience.hpp"
#include "pg/managed_cost.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

/* The one comparison. */
inline bool AnyPlannedOtherwise()
{
	return shared != nullptr && pg_atomic_read_u32(&shared->num_planned_otherwise) != 0;
}

/* kB to plan this statement with; 0 = with the setting in force. Only if AnyPlannedOtherwise(). */
int WorkMemForPlan(const Query *query);

/*
 * Around planning with `kb`. Statements that functions plan meanwhile get the session's own setting (HAZARDS G17).
 * An error closes what it can by aborting the (sub)transaction; the rest is AbandonPlanning()'s, in a catch block.
 */
struct PlanningLevel {
	int nest_level;
	int outer_kb;          /* what was in force around it */
	int outer_planning_kb; /* of the planning that this one is nested in */
	int outer_session_kb;
};
PlanningLevel OpenPlanning(int kb);
void ClosePlanning(const PlanningLevel &level);
void AbandonPlanning(const PlanningLevel &level);

/* The one comparison after planning. */
inline bool MayComeToBeManaged(const PlannedStmt *statement) { return statement->planTree->total_cost >= managed_cost; }

/* Remembers with how much memory a plan that may come to be managed was made. `kb`: as WorkMemForPlan() said. */
void NotePlan(const PlannedStmt *statement, int kb);

/* kB; 0 = unknown, as the plan was made too long ago, or has no query id. */
float PlannedFor(const PlannedStmt *statement);

/*
 * When a plan is executed: drops the session's cached plans if this one, which may be one of them, would be made for
 * other memory now.
 */
void ReviewPlan(const PlannedStmt *statement);

/* Of what was learned: the outcomes of grants and of plans. learn_lock must be held. */
void LearnOutcomesLocked(const Experience &experience);
/* After some of the former, so that planning takes notice. */
void PublishOutcomesLocked();
/* Forgets them all. */
void ClearOutcomesLocked();

}  // namespace wlm
