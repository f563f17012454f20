/*
 * wrappers.hpp
 *
 * What the wrappers of single nodes share: the window in which a node's own limit is in force, and the
 * three things they do: keep limits (limits.cpp, moments.cpp), let tables grow (elastic.cpp), free what a finished
 * phase leaves (release.cpp). Inside src/pg/grant only.
 */
#pragma once

#include "pg/grant/apply.hpp"
#include "pg/grant/node_table.hpp"

namespace wlm {

/* PlanState is the first member of each. */
template <typename State>
State *As(PlanState *state) { return reinterpret_cast<State *>(state); }

/*
 * A window: work_mem is assigned around the moment at which PostgreSQL reads it, and set back if it is still ours.
 * Where a function of the query has chosen another value, that stays. An error inside leaves it to the GUC level
 * that is open around the stretch.
 */
inline void OpenWindow(NodeEntry *entry)
{
	if (work_mem != in_force_kb || entry->limit_kb == in_force_kb || entry->open)
		return;
	entry->outside_kb = in_force_kb;
	in_force_kb = work_mem = entry->limit_kb;
	entry->open = true;
}

inline void CloseWindow(NodeEntry *entry)
{
	if (!entry->open)
		return;
	entry->open = false;
	if (work_mem == entry->limit_kb)
		work_mem = entry->outside_kb;
	in_force_kb = entry->outside_kb;
}

/* limits.cpp: gives the node its handlers and limits, if it needs any. */
void AttachNode(NodeGrants *grants, PlanState *state, bool may_rescan);

/* elastic.cpp: roles of inputs, whose owner is the parent's Hash or the parent itself. */
TupleTableSlot *FeedHash(NodeEntry *entry, PlanState *state);
TupleTableSlot *FeedAgg(NodeEntry *entry, PlanState *state);

/* Memory of a hashed Agg as PostgreSQL counts it against its limit, in bytes. */
Size AggBytes(const AggState *agg);

/* Whether the inputs of hash tables are watched row by row. */
inline bool WatchesRows(const NodeGrants *grants) { return grants->elastic || grants->may_release; }

/* release.cpp: the node (of a Hash its join) is one of its slot, and InputComplete() will be called for it. */
void ExpectNode(NodeEntry *entry);

/* Whether it matters when the node has all its input. */
bool FollowsPhase(const NodeEntry *entry);

/* A Sort, HashAgg or HashJoin has all the input that it keeps: what that came from can be freed. Idempotent. */
void InputComplete(NodeEntry *entry);

/* Whether AttachNode() would look at the node: for the size of the table. */
int EntriesNeeded(const PlanState *state);

}  // namespace wlm
