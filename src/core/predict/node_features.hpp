/*
 * node_features.hpp
 *
 * A plan as numbers for the graph expert: per node a set of categories, a row of
 * scaled numbers, and what PostgreSQL's own arithmetic says of its time and
 * memory, which the network corrects. No OID, no text, no identity: the numbers
 * mean the same in any database. The trainer and the server call the same code.
 *
 * Whatever the plan holds (NaN, infinite, negative), what comes out is finite and
 * within +-kMostNumber.
 */
#pragma once

#include <array>
#include <cstdint>

#include "core/plan/plan_graph.hpp"

namespace wlm {

/* How a message from a node to its parent is weighted: one matrix for each but the last. */
enum class MessageKind : uint8_t { kOuter = 0, kInner, kMember, kSide /* init plans and sub-plans */, kNone /* the root */ };
inline constexpr int kNumMessageKinds = 4;

/* Bits of NodeFeatures::categories. Models depend on their order: append, and raise the model's format. */
enum class Category : uint8_t {
	/* what the operator does: exactly one of these */
	kSeqScan = 0, kIndexScan, kIndexOnlyScan, kBitmapIndex, kBitmapHeap, kTidScan, kMadeUpScan /* functions, VALUES */,
	kSubqueryScan, kReread /* CTE and work table scans */, kForeign, kNestLoop, kMergeJoin, kHashJoin, kHash, kSort,
	kAgg, kGroup /* Group, Unique */, kWindow, kSetOp, kMaterial, kMemoize, kGather, kAppend, kModify, kLimit, kPlainResult,
	/* how it hangs on its parent; an outer child has none */
	kInner, kMember, kInitPlan, kSubPlan, kHashedSubPlan,
	kOuterJoin, kSemiJoin, kAntiJoin,
	kSortedAgg, kHashedAgg, /* a plain one has none */
	kIncremental, kMerge /* Gather Merge, Merge Append */, kUnbounded,
	kParallelAware, kPartialAgg, kBelowGather, kBelowLimit,
	kNumCategories
};
inline constexpr int kNumCategories = static_cast<int>(Category::kNumCategories);
static_assert(kNumCategories <= 64);

/* Scales and centres stand in node_features.cpp. */
enum class Number : uint8_t {
	kRows = 0, kInputRows, kWidth, kBytes, kOwnCost, kTotalCost, kStartupShare, kRelationRows, kRelationPages, kGroups,
	kStateBytes, kMembers, kProcesses, kWorkers, kKeys, kQuals, kAggregates, kColumns, kFormulaKb, kLoops, kSelectivity,
	kRunShare /* what a LIMIT above leaves of it */, kCostShare /* of the plan */, kCostPerRow,
	kNumNumbers
};
inline constexpr int kNumNumbers = static_cast<int>(Number::kNumNumbers);
inline constexpr int kNumNodeFeatures = kNumCategories + kNumNumbers;
inline constexpr float kMostNumber = 4;

struct NodeFeatures {
	uint64_t categories; /* bit set of Category */
	std::array<float, kNumNumbers> numbers;
	float log_own_ms;     /* ln(ms) of the node without its children, at the common exchange rate of cost */
	float log_formula_kb; /* ln(kB) of FormulaMemoryKb; memory nodes only, else 0 */
	float copies;         /* of its memory that live at once; memory nodes only, else 0 */
	float message_scale;  /* 1 / sqrt(siblings whose messages are weighted alike) */
	float parallel;       /* processes that share the node's time; 0 = it does not run below a Gather */
	int16_t parent;
	int16_t memory_slot;
	MemoryClass memory;
	MessageKind message;
};

struct GraphDescription {
	int num_nodes;
	std::array<NodeFeatures, kMaxPlanNodes> nodes; /* in preorder, like the graph's; only num_nodes are set */
};

/* False if the graph is empty, overflowed or no tree in preorder. */
bool DescribeGraph(const PlanGraph &graph, GraphDescription *description) noexcept;

}  // namespace wlm
