/*
 * plan_names.cpp
 *
 * What EXPLAIN calls a node (the text of its "Node Type", with the strategy of
 * an Agg), and the names of memory classes in views.
 */
#include "core/plan/plan_graph.hpp"

#include <cstddef>

namespace wlm {

namespace {

constexpr const char *kNodeNames[] = {
	"Other",
	"Result", "ProjectSet", "ModifyTable", "Append", "Merge Append", "Recursive Union",
	"BitmapAnd", "BitmapOr",
	"Seq Scan", "Sample Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan", "Bitmap Heap Scan",
	"Tid Scan", "Tid Range Scan", "Subquery Scan", "Function Scan", "Values Scan", "Table Function Scan",
	"CTE Scan", "Named Tuplestore Scan", "WorkTable Scan", "Foreign Scan", "Custom Scan",
	"Nested Loop", "Merge Join", "Hash Join",
	"Materialize", "Memoize", "Sort", "Incremental Sort", "Group", "Aggregate", "WindowAgg", "Unique",
	"Gather", "Gather Merge", "Hash", "SetOp", "LockRows", "Limit",
};
static_assert(sizeof(kNodeNames) / sizeof(kNodeNames[0]) == static_cast<size_t>(NodeKind::kNumKinds));

constexpr const char *kMemoryClassNames[] = {
	"none", "sort", "incremental sort", "hash", "parallel hash",
	"hash aggregate", "memoize", "tuplestore", "bitmap", "unbounded",
};
static_assert(sizeof(kMemoryClassNames) / sizeof(kMemoryClassNames[0]) ==
			  static_cast<size_t>(MemoryClass::kNumClasses));

}  // namespace

const char *NodeName(const PlanNode &node) noexcept
{
	if (node.kind == NodeKind::kAgg)
	{
		switch (node.aggregate)
		{
			case AggKind::kSorted:
				return "GroupAggregate";
			case AggKind::kHashed:
				return "HashAggregate";
			case AggKind::kMixed:
				return "MixedAggregate";
			case AggKind::kNone:
			case AggKind::kPlain:
				break;
		}
	}
	if (node.kind == NodeKind::kSetOp && node.memory != MemoryClass::kNone)
		return "HashSetOp";
	if (node.kind >= NodeKind::kNumKinds)
		return kNodeNames[0];
	return kNodeNames[static_cast<int>(node.kind)];
}

const char *MemoryClassName(MemoryClass memory) noexcept
{
	if (memory >= MemoryClass::kNumClasses)
		return kMemoryClassNames[0];
	return kMemoryClassNames[static_cast<int>(memory)];
}

}  // namespace wlm
