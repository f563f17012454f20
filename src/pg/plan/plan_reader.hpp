/*
 * plan_reader.hpp
 *
 * What the files of src/pg/plan share while one plan is read. A PlanReader
 * lives on the stack of ReadPlan() and is plain data, because an ERROR of
 * PostgreSQL may jump over it at any call.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
}

#include "core/hash.hpp"
#include "core/plan/plan_graph.hpp"

namespace wlm {

inline constexpr int kMaxSubPlans = 1024;
inline constexpr int kMaxPendingSubPlans = 64; /* met in expressions, not yet read, along one path */
inline constexpr int kRelationCacheSize = 64;  /* direct-mapped by range table index */

/* One range table entry. A partition has the identity of its topmost parent and numbers of its own. */
struct RelationEntry {
	Index rti;             /* 0 = empty */
	AppendRelInfo *parent; /* not null if it is a child of another relation */
	uint64_t identity;
	float rows; /* pg_class.reltuples */
	float pages;
};

struct PlanReader {
	PlannedStmt *statement;
	PlanGraph *graph;

	/* Of the node being read. */
	uint64_t hash;
	bool varies; /* an expression that more than constants go into */
	int num_aggregates;

	SubPlan *pending[kMaxPendingSubPlans];
	int num_pending;
	uint64_t seen_plans[kMaxSubPlans / 64]; /* by plan_id: each sub-plan is read once */
	uint64_t owned_ctes[kMaxSubPlans / 64]; /* by plan_id: has a CteScan that owns its tuplestore */

	int append_cursor; /* where the last AppendRelInfo was found */
	RelationEntry relations[kRelationCacheSize];
};

/* Sets the bit; true if it was clear. Out of range counts as overflow of the graph. */
bool MarkPlanId(PlanReader *reader, uint64_t *bits, int plan_id);

/* relations.cpp */
RelationEntry LookupRelation(PlanReader *reader, Index rti);
/* Adds a scanned relation to the node's identity and numbers. */
void AddRelation(PlanReader *reader, PlanNode *node, Index rti);
/* Adds the index's name to the identity; partitions' indexes have names of their own and are left out. */
void AddIndex(PlanReader *reader, PlanNode *node, Index rti, Oid index);

/*
 * expressions.cpp: structure into reader->hash, constants ignored, so that a literal and a parameter
 * are the same. SubPlans met go to reader->pending.
 */
void AddExpression(PlanReader *reader, Node *expression);
/* Only what is computed: plain columns are skipped. */
void AddTargetList(PlanReader *reader, List *target_list);

/* node_details.cpp: everything about one node but its children. */
void ReadNodeDetails(PlanReader *reader, Plan *plan, PlanNode *node);

}  // namespace wlm
