/*
 * node_table.hpp
 *
 * The plan nodes that pg_wlm has wrapped, and how a wrapper finds what it knows of
 * its node. PlanState has no place for extensions, so each query has a small
 * open-addressing table in es_query_cxt, and the process a list of the tables that are
 * alive: cursors interleave several. A callback of that context takes a table off the
 * list, at the end of the query as after an error.
 *
 * What is wrapped is PlanState.ExecProcNodeReal: ExecProcNodeFirst and the start of Parallel Hash
 * overwrite ExecProcNode, and instrumentation keeps counting around Real. A wrapper that has nothing left
 * to do takes itself away.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/execnodes.h"
#include "nodes/plannodes.h"
}

#include "pg/observe/operators.hpp"
#include "pg/query/managed_query.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

struct NodeEntry;
using NodeHandler = TupleTableSlot *(*)(NodeEntry *entry, PlanState *state);

struct NodeEntry {
	PlanState *state;          /* null = a free place */
	NodeHandler handler;       /* as_child, else as_node, else CallReal: what the wrapper calls */
	ExecProcNodeMtd real;      /* what the wrapper stands for */
	NodeHandler as_node;       /* its own limit; null = none */
	NodeHandler as_child;      /* what `parent` wants to know; null = nothing */
	NodeEntry *parent;
	struct NodeGrants *grants;
	uint64 next_groups;        /* feeds an Agg: number of groups at which to look again */
	uint32 rows_left;          /* ... and rows until then */
	int32 limit_kb;            /* work_mem to be in force for the node */
	int32 outside_kb;          /* while its window is open: what was in force before */
	bool open;                 /* its limit is in force */
	bool may_rescan;           /* may be executed again from its start */
	bool elastic;              /* as child: asks for more before the limit is reached */
	bool built;                /* its first input is complete */
	bool released;             /* its memory is gone; `reading` is what it had used */
	uint8 slot;                /* memory slot, or kNoSlot */
	float allowed_kb;          /* limit that its table has grown to, for the next one after a rescan; 0 = has not */
	float grown_kb;            /* by which, in all */
	OperatorReading reading;
};

/* One for each managed query that has wrapped nodes, or the one of a parallel worker. */
struct NodeGrants {
	NodeGrants *next;
	MemoryContextCallback callback;
	ManagedQuery *query;       /* null in a worker */
	EState *estate;
	QueryHandle handle;        /* of the query, also in its workers */
	int leader_pid;
	uint32 serial;             /* of the slot, when it began */
	int32 base_kb;             /* work_mem for nodes without a limit of their own */
	bool elastic;
	bool may_release;
	int num_windows;           /* nodes that need another work_mem in force */
	int16 max_plan_node_id;    /* -1: no limits are known */
	const uint8 *slot_of_plan_id;
	NodeLimit limits[kMaxMemoryNodes];
	uint16 unbuilt[kMaxMemoryNodes];     /* nodes of a slot whose input is not complete; folded members are many */
	uint16 unreleased[kMaxMemoryNodes];
	int64 reserved_kb;         /* what the policy keeps for the query, as far as known here */
	float others[kMaxMemoryNodes];       /* part of a slot's charge that other processes use */
	float grown_kb[kMaxMemoryNodes];     /* by which a slot's limit has grown, largest node */
	float used_kb[kMaxMemoryNodes];      /* of those that are built */
	float peak_kb;             /* of the executor's memory, when something was released */
	uint32 mask;
	uint32 num_entries;
	NodeEntry *entries;        /* mask + 1 places, at most half of them in use */
};

/* Room for `num_entries`; in the current memory context, which must be es_query_cxt. */
NodeGrants *CreateNodeTable(EState *estate, int num_entries);

/* The entry of a node, made if there is none; null if the table is full. */
NodeEntry *AddEntry(NodeGrants *grants, PlanState *state);

/* Of any live table; null if the node is not known. */
NodeEntry *FindEntry(const PlanState *state);

/* The table of a running query; null if it has none. */
NodeGrants *FindTable(const EState *estate);

/* Installs, changes or removes (null) a role of the node. */
void SetNodeHandler(NodeEntry *entry, NodeHandler handler);
void SetChildHandler(NodeEntry *entry, NodeEntry *parent, NodeHandler handler);

/* What runs below the child's role. */
inline TupleTableSlot *CallNode(NodeEntry *entry, PlanState *state)
{
	return entry->as_node != nullptr ? entry->as_node(entry, state) : entry->real(state);
}

/* The memory slot of a plan node, or kNoSlot. */
uint8 SlotOfNode(const NodeGrants *grants, int32 plan_node_id);
inline uint8 SlotOfNode(const NodeGrants *grants, const PlanState *state) { return SlotOfNode(grants, state->plan->plan_node_id); }

}  // namespace wlm
