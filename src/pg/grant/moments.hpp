/*
 * moments.hpp
 *
 * At which moments PostgreSQL reads work_mem for a node, one handler each. Inside src/pg/grant only.
 *
 * Set with SetNodeHandler() by limits.cpp; each takes itself away when the node will not read its limit again. What nodes
 * read while they are initialised: limits.cpp and, of CTEs and recursive unions, apply.cpp. Parallel Hash must find the same
 * value in all its participants, hashed sub-plans and SetOp cannot spill: the query's value for all of them.
 */
#pragma once

#include "pg/grant/wrappers.hpp"

namespace wlm {

/* At the first call of each scan; over when their input is asked for its first row. */
TupleTableSlot *RunSort(NodeEntry *entry, PlanState *state);
TupleTableSlot *RunMaterial(NodeEntry *entry, PlanState *state);

/* The Hash's limit when the table is created, inside the first call, perhaps after one row of the outer side. */
TupleTableSlot *RunHashJoin(NodeEntry *entry, PlanState *state);

/* When each of its two sorts is created. */
TupleTableSlot *RunIncrementalSort(NodeEntry *entry, PlanState *state);

/*
 * WindowAgg: at the start of each partition. Agg with ordered and DISTINCT aggregates: at the start of each group; they sort
 * again what the Sort below has sorted, and get its limit.
 */
TupleTableSlot *RunByGroups(NodeEntry *entry, PlanState *state);

/* When a round ends: each but the first makes a table for what it will find. Its first two are made while it is initialised. */
TupleTableSlot *RunRecursiveUnion(NodeEntry *entry, PlanState *state);

/* Its BitmapIndexScans' limit, at the first call of each scan. */
TupleTableSlot *RunBitmapHeapScan(NodeEntry *entry, PlanState *state);

/* FunctionScan, TableFuncScan: at the first call of each scan. */
TupleTableSlot *RunOnce(NodeEntry *entry, PlanState *state);

/* The table is filled under the fields that were set when it was attached; reading a batch back looks at work_mem. */
TupleTableSlot *RunHashAgg(NodeEntry *entry, PlanState *state);

}  // namespace wlm
