/*
 * classify.hpp
 *
 * What kind of query this is for the workload manager: its queue, priority and
 * the limits of its grant. Asked at the start of each managed query and by
 * predict(), explain() and EXPLAIN, so that all say the same. May raise
 * (catalogue look-ups); takes state_lock only to copy a changed workload.
 */
#pragma once

#include "pg/postgres.hpp"

#include "core/grant/grant.hpp"
#include "core/decide/workload.hpp"
#include "core/plan/plan_graph.hpp"
#include "core/predict/expert.hpp"

namespace wlm {

/*
 * A query counts as short if it is with a probability of 80 %: below that one in five is evicted
 * from the express lane, which costs the others little; asking for 95 % sends most of the truly
 * short ones to wait behind reports as soon as load scatters their times.
 */
inline constexpr float kLaneZ = 0.84f;

/* This process's copy of the workload, renewed when its generation has changed. */
const Workload &LocalWorkload();

/*
 * What conditions are asked about: session, current user, and the statement and its prediction; null: nothing is known of it
 * (commands that build indexes). Points into this process's copy of the workload.
 */
QueryAttributes AttributesOf(const PlanGraph *graph, const Forecast *forecast);

/* Index of the queue that such a query goes to. */
int RouteQuery(const PlanGraph *graph, const Forecast *forecast);

/* Index of the queue that a hop without a target leads it to from `queue`. */
int NextQueue(int queue, const PlanGraph *graph, const Forecast *forecast);

/* Critical is for superusers; others get highest. */
inline Priority AllowedPriority(Priority priority, bool superuser)
{
	return priority == Priority::kCritical && !superuser ? Priority::kHighest : priority;
}

/* wlm.priority, or what the current user was given, or that of the queue; critical only for superusers. */
Priority QueryPriority(int queue);

/* A superuser who has set wlm.query_group to kSuperuserGroup, as in Redshift; for others that is a group like any. */
inline constexpr const char *kSuperuserGroup = "superuser";
bool WantsSuperuserLane();

/* How long may a predicted query be and still be called short; for explain(). */
double ExpressCutoffMs();

/* From the settings in force; max_query_kb is what queue and budget allow to one query. */
void FillGrantLimits(int queue, GrantLimits *limits);

PlanContext SessionPlanContext();

/* Whether work_mem was chosen by the user, role or database (HAZARDS G6). */
bool UserChoseWorkMem();

/* Whether nobody has chosen work_mem whose choice is to be respected. */
bool MayChangeWorkMem();

}  // namespace wlm
