/*
 * plan_graph.hpp
 *
 * The plan as data: what an expert may know of a query. Filled by src/pg/plan
 * from a PlannedStmt in one pass, or from wlm.plan by the trainer. A fixed
 * arena: a plan that does not fit sets `overflow` and nobody has an opinion.
 *
 * Nodes stand in preorder, so a parent's index is always below its children's:
 * walk forwards from the root down, backwards from the leaves up.
 *
 * Features hold no OID and no text: they mean the same in any database.
 * `identity` does depend on names; it feeds the fingerprints only.
 */
#pragma once

#include <cstdint>
#include <type_traits>

namespace wlm {

inline constexpr int kMaxPlanNodes = 256;
inline constexpr int kMaxPlanNodeIds = 2048; /* folded partitions keep their ids */
inline constexpr int kMaxMemoryNodes = 64;   /* operators with a memory limit of their own */
inline constexpr int kMaxPipelines = 64;
inline constexpr int16_t kNoNode = -1;

enum class NodeKind : uint8_t {
	kOther = 0,
	kResult, kProjectSet, kModifyTable, kAppend, kMergeAppend, kRecursiveUnion,
	kBitmapAnd, kBitmapOr,
	kSeqScan, kSampleScan, kIndexScan, kIndexOnlyScan, kBitmapIndexScan, kBitmapHeapScan,
	kTidScan, kTidRangeScan, kSubqueryScan, kFunctionScan, kValuesScan, kTableFuncScan,
	kCteScan, kNamedTuplestoreScan, kWorkTableScan, kForeignScan, kCustomScan,
	kNestLoop, kMergeJoin, kHashJoin,
	kMaterial, kMemoize, kSort, kIncrementalSort, kGroup, kAgg, kWindowAgg, kUnique,
	kGather, kGatherMerge, kHash, kSetOp, kLockRows, kLimit,
	kNumKinds
};

/* How a node hangs on its parent. */
enum class NodeRole : uint8_t {
	kRoot = 0, kOuter, kInner, kMember /* of an Append or BitmapAnd/Or */,
	kInitPlan, kSubPlan, kHashedSubPlan, kSubqueryRoot
};

enum class JoinKind : uint8_t { kNone = 0, kInner, kLeft, kFull, kRight, kSemi, kAnti, kOther };
enum class AggKind : uint8_t { kNone = 0, kPlain, kSorted, kHashed, kMixed };

/* Which memory limit of PostgreSQL a node obeys. */
enum class MemoryClass : uint8_t {
	kNone = 0,
	kSort,          /* work_mem */
	kIncrementalSort,
	kHash,          /* work_mem * hash_mem_multiplier */
	kParallelHash,  /* the same, pooled by all participants */
	kHashAgg,       /* work_mem * hash_mem_multiplier */
	kMemoize,       /* work_mem * hash_mem_multiplier */
	kTuplestore,    /* Material, CTE, WindowAgg, functions: work_mem */
	kBitmap,        /* work_mem; becomes lossy instead of spilling */
	kUnbounded,     /* hashed sub-plan, SetOp, RecursiveUnion: cannot spill */
	kNumClasses
};

enum class CommandKind : uint8_t { kSelect = 0, kInsert, kUpdate, kDelete, kMerge, kOther };

enum NodeFlag : uint8_t {
	kParallelAware = 1,
	kPartialAgg = 2,    /* partial mode of a split aggregate */
	kBelowGather = 4,   /* runs in every participating process */
	kBelowLimit = 8,    /* may be stopped before it has returned all rows */
};

struct PlanNode {
	uint64_t identity;      /* relation names and keys, without constants */
	float rows;             /* estimated output rows, of one process, summed over folded members */
	float width;            /* bytes */
	float startup_cost;     /* planner units, summed over folded members like total_cost */
	float total_cost;
	float relation_rows;    /* reltuples of the scanned relation, 0 if none */
	float relation_pages;
	float groups;           /* Agg: numGroups; Memoize: est_entries; else 0 */
	float state_bytes;      /* Agg: bytes of transition states per group */
	float fold_count;       /* like siblings folded into this node, at least 1 */
	float processes;        /* processes that each run this node, leader included; set by FinishGraph */
	int32_t plan_node_id;
	int16_t parent;         /* index, kNoNode for the root */
	int16_t pipeline;       /* the stretch between blocking operators; set by FinishGraph */
	int16_t memory_slot;    /* index among memory nodes, kNoNode if none; set by FinishGraph */
	NodeKind kind;
	NodeRole role;
	JoinKind join;
	AggKind aggregate;
	MemoryClass memory;
	uint8_t flags;          /* NodeFlag; kBelowGather and kBelowLimit are set by FinishGraph */
	uint8_t workers;        /* Gather, GatherMerge: planned workers; else 0 */
	uint8_t num_keys;       /* sort, hash, group or join keys; saturates */
	uint8_t num_quals;
	uint8_t num_aggregates;
	uint8_t num_columns;    /* of the output */
};

struct PlanGraph {
	uint64_t template_fingerprint; /* operators, relations, keys; no constant, no cardinality */
	uint64_t plan_fingerprint;     /* template + quantised cardinalities */
	float total_cost;
	float planned_workers;         /* summed over Gathers */
	int16_t num_nodes;
	int16_t num_memory_nodes;
	int16_t num_pipelines;
	CommandKind command;
	int16_t max_plan_node_id;      /* largest id seen; bounds node_of_plan_id */
	bool overflow;                 /* did not fit: no opinion */
	bool has_limit;
	bool touches_only_catalogs;    /* every relation is a system catalogue, or one of pg_wlm's own */
	int16_t memory_node[kMaxMemoryNodes];         /* slot -> node index */
	int16_t node_of_plan_id[kMaxPlanNodeIds];     /* [0, max_plan_node_id] -> node index, kNoNode if none */
	PlanNode nodes[kMaxPlanNodes];
};

static_assert(std::is_trivially_copyable_v<PlanGraph> && alignof(PlanGraph) <= 8);

/* An empty graph; does not touch the unused part of the arena. */
void ResetGraph(PlanGraph *graph) noexcept;

/* The next free node, initialised to neutral values, or nullptr after setting overflow. */
PlanNode *AppendNode(PlanGraph *graph, int16_t parent, int32_t plan_node_id) noexcept;

/*
 * Tries to fold the subtree that starts at `second` (the last one in the arena)
 * into the like-shaped subtree that starts at `first`: kinds and roles must agree
 * node by node. Numbers are added, ids remapped, the arena is cut back. Used for
 * the children of partitioned Appends.
 */
bool FoldSubtree(PlanGraph *graph, int16_t first, int16_t second) noexcept;

/* To be called once after the last node: processes, memory slots, pipelines, fingerprints. */
void FinishGraph(PlanGraph *graph) noexcept;

/* "Hash Join", "HashAggregate", ...: as EXPLAIN calls it. */
const char *NodeName(const PlanNode &node) noexcept;
const char *MemoryClassName(MemoryClass memory) noexcept;

}  // namespace wlm
