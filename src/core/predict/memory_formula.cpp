/*
 * memory_formula.cpp
 *
 * PostgreSQL's own memory arithmetic, asked the other way round: not "how much
 * fits the limit" but "what would it take to stay in memory", so no limit enters.
 * Sizes are those of PostgreSQL 15 on 64-bit machines, from nodeHash.c, tuplesort.c,
 * tuplestore.c, nodeAgg.c, nodeMemoize.c and tidbitmap.c. Later versions differ by
 * a few bytes per tuple; the planner expert's regression absorbs that.
 */
#include <algorithm>
#include <cmath>

#include "core/predict/planner_model.hpp"

namespace wlm {

namespace {

constexpr double kMinimalTupleHeader = 16; /* MAXALIGN(SizeofMinimalTupleHeader) */
constexpr double kHeapTupleHeader = 24;    /* MAXALIGN(SizeofHeapTupleHeader) */
constexpr double kHashTupleOverhead = 16;  /* HJTUPLE_OVERHEAD */
constexpr double kPointer = 8;
constexpr double kAllocChunkHeader = 16;
constexpr double kGenerationChunkHeader = 24;
constexpr double kAllocChunkLimit = 8192; /* larger chunks are not rounded to a power of two */
constexpr double kSortTuple = 24;
constexpr double kFirstSortArray = 1024;  /* INITIAL_MEMTUPSIZE, elements */
constexpr double kFirstStoreArray = 2048; /* tuplestore's, elements */
constexpr double kLeastHashBuckets = 1024;
constexpr double kMostHashBuckets = 134217728; /* MaxAllocSize / 8, rounded down to a power of two */
constexpr double kTupleHashEntry = 24;
constexpr double kPerGroupState = 16;     /* AggStatePerGroupData */
constexpr double kMemoizeEntry = 24 + 24; /* MemoizeEntry, MemoizeKey */
constexpr double kMemoizeTuple = 16;
constexpr double kMemoizeDefaultEntries = 1024;
constexpr double kBitmapEntry = 48 + 2 * kPointer;
constexpr double kLeastBitmapEntries = 128;
constexpr double kHeapRows = 1.7;       /* rows per row of the bound still counted once the heap stands (measured) */
constexpr double kSimpleHashFill = 0.9; /* SH_FILLFACTOR */
constexpr double kFullSortGroup = 64;   /* DEFAULT_MAX_FULL_SORT_GROUP_SIZE */

constexpr double kMostRows = 1e15;
constexpr double kMostWidth = 1e9;
constexpr double kMostKb = 1e12;

/* Planner numbers come from floats of any origin: NaN, negative and infinite ones are tamed. */
double Clean(double value, double least, double most) noexcept
{
	return value >= least ? std::min(value, most) : least;
}

double MaxAlign(double bytes) noexcept { return 8 * std::ceil(bytes / 8); }

double NextPowerOfTwo(double value) noexcept { return std::exp2(std::ceil(std::log2(std::max(value, 1.0)))); }

/* An AllocSet chunk with its header. */
double AllocChunk(double bytes) noexcept
{
	const double size = bytes <= kAllocChunkLimit ? std::max(NextPowerOfTwo(bytes), 8.0) : MaxAlign(bytes);
	return size + kAllocChunkHeader;
}

struct Input {
	double rows;   /* of one member and one process */
	double width;  /* bytes */
	double groups; /* likewise; 0 = unknown */
};

double HashBytes(const Input &input) noexcept
{
	/* ExecChooseHashTableSize takes 1000 rows where it knows nothing */
	const double rows = input.rows > 0 ? input.rows : 1000;
	const double tuple = kHashTupleOverhead + kMinimalTupleHeader + MaxAlign(input.width);
	const double buckets = std::min(NextPowerOfTwo(std::max(std::ceil(rows), kLeastHashBuckets)), kMostHashBuckets);
	return rows * tuple + buckets * kPointer;
}

/* get_parallel_divisor(): planned rows are those of one process, the leader helping a little. */
double ParallelDivisor(double processes) noexcept
{
	const double workers = std::max(processes - 1, 0.0);
	return std::max(workers + std::max(1.0 - 0.3 * workers, 0.0), 1.0);
}

double SortBytes(double rows, double width, bool single_datum) noexcept
{
	const double array = std::max(NextPowerOfTwo(rows), kFirstSortArray) * kSortTuple;
	const double tuple = kMinimalTupleHeader + MaxAlign(width) + kGenerationChunkHeader;
	return array + (single_datum ? 0 : rows * tuple);
}

/* A sort that knows its LIMIT collects twice as many rows before it turns into a heap of `bound` rows. */
double TopNBytes(double rows, double bound, double width) noexcept
{
	const double collected = std::min(rows, 2 * bound);
	const double kept = rows > 2 * bound ? kHeapRows * bound : collected;
	const double array = std::max(NextPowerOfTwo(collected), kFirstSortArray) * kSortTuple;
	return array + kept * AllocChunk(kMinimalTupleHeader + MaxAlign(width));
}

/* Rows that a LIMIT lets through to this sort (ExecSetTupleBound); 0 = no bound. */
double TupleBound(const PlanGraph &graph, const PlanNode &sort) noexcept
{
	const PlanNode *node = &sort;
	while (node->parent >= 0 && node->role != NodeRole::kInitPlan && node->role != NodeRole::kSubPlan) {
		node = &graph.nodes[node->parent];
		switch (node->kind) {
			case NodeKind::kLimit: return Clean(node->rows, 1, kMostRows);
			case NodeKind::kAppend:
			case NodeKind::kMergeAppend:
			case NodeKind::kResult:
			case NodeKind::kGather:
			case NodeKind::kGatherMerge: break;
			case NodeKind::kSubqueryScan:
				if (node->num_quals > 0)
					return 0;
				break;
			default: return 0;
		}
	}
	return 0;
}

const PlanNode *OuterChild(const PlanGraph &graph, int16_t parent) noexcept
{
	for (int16_t i = static_cast<int16_t>(parent + 1); i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		if (node.parent < parent)
			break;
		if (node.parent == parent && (node.role == NodeRole::kOuter || node.role == NodeRole::kSubqueryRoot))
			return &node;
	}
	return nullptr;
}

/*
 * Rows that one prefix group of an incremental sort holds. The plan does not say, but
 * its start-up cost is that of the first group and its run cost that of the others.
 */
double GroupRows(const PlanNode &sort, const PlanNode *child, double rows) noexcept
{
	if (child == nullptr)
		return rows;
	const double first = static_cast<double>(sort.startup_cost) - child->startup_cost;
	const double all = static_cast<double>(sort.total_cost) - child->startup_cost;
	if (!(first > 0) || !(all >= first) || std::isinf(all))
		return rows;
	return std::clamp(rows * first / all, std::min(rows, kFullSortGroup), std::max(rows, kFullSortGroup));
}

/*
 * The parts of hash_agg_entry_size(), each as large as it is really allocated, for the limit is
 * checked against allocated memory. Also for tables of groups that have no limit.
 */
double GroupBytes(double groups, double width, double num_states, double state_bytes) noexcept
{
	const double table = NextPowerOfTwo(groups / kSimpleHashFill) * kTupleHashEntry;
	const double tuple = AllocChunk(kMinimalTupleHeader + width);
	const double per_group = num_states > 0 ? AllocChunk(num_states * kPerGroupState) : 0;
	const double states = state_bytes > 0 ? AllocChunk(state_bytes) : 0;
	return table + groups * (tuple + per_group + states);
}

double MemoizeBytes(const Input &input) noexcept
{
	const double entries = input.groups > 0 ? input.groups : kMemoizeDefaultEntries;
	const double tuple = MaxAlign(input.width) + kHeapTupleHeader + kMemoizeTuple;
	return entries * (kMemoizeEntry + std::max(input.rows, 1.0) * tuple);
}

double TuplestoreBytes(const Input &input) noexcept
{
	const double array = std::max(NextPowerOfTwo(input.rows), kFirstStoreArray) * kPointer;
	return array + input.rows * AllocChunk(kMinimalTupleHeader + MaxAlign(input.width));
}

/* Pages touched by Mackert and Lohman's approximation, as compute_bitmap_pages() has it. */
double BitmapBytes(double rows, double pages) noexcept
{
	double entries = rows;
	if (pages > 0)
		entries = std::min({rows, pages, 2 * pages * rows / (2 * pages + rows)});
	return std::max(entries, kLeastBitmapEntries) * kBitmapEntry;
}

double Bytes(const PlanGraph &graph, const PlanNode &node, int16_t index) noexcept
{
	const double members = Clean(node.fold_count, 1, 1e6);
	const PlanNode *child = OuterChild(graph, index);
	const Input input{Clean(node.rows, 0, kMostRows) / members, Clean(node.width, 0, kMostWidth),
	                  Clean(node.groups, 0, kMostRows) / members};
	/* groups are kept with the columns of the input that they need */
	const double group_width = child != nullptr ? Clean(child->width, 0, kMostWidth) : input.width;
	const double groups = input.groups > 0 ? input.groups : std::max(input.rows, 1.0);

	switch (node.memory) {
		case MemoryClass::kSort: {
			const double bound = TupleBound(graph, node);
			if (bound > 0 && bound < input.rows)
				return TopNBytes(input.rows, bound, input.width);
			return SortBytes(input.rows, input.width, node.num_columns == 1 && input.width <= kPointer);
		}
		case MemoryClass::kIncrementalSort: {
			/* one sort for small groups and one for large ones live side by side */
			const double rows = GroupRows(node, child, input.rows);
			return SortBytes(std::min(input.rows, kFullSortGroup), input.width, false) +
				SortBytes(rows, input.width, false);
		}
		case MemoryClass::kHash: return HashBytes(input);
		case MemoryClass::kParallelHash:
			return HashBytes({input.rows * ParallelDivisor(Clean(node.processes, 1, 1024)), input.width, 0});
		case MemoryClass::kHashAgg:
			return GroupBytes(groups, group_width, node.num_aggregates, Clean(node.state_bytes, 0, kMostWidth));
		case MemoryClass::kMemoize: return MemoizeBytes(input);
		case MemoryClass::kTuplestore: return TuplestoreBytes(input);
		case MemoryClass::kBitmap: return BitmapBytes(input.rows, Clean(node.relation_pages, 0, kMostRows) / members);
		case MemoryClass::kUnbounded: return GroupBytes(groups, input.width, 0, 0);
		case MemoryClass::kNone:
		case MemoryClass::kNumClasses: break;
	}
	return 0;
}

}  // namespace

double FormulaMemoryKb(const PlanGraph &graph, int16_t node) noexcept
{
	if (node < 0 || node >= graph.num_nodes || node >= kMaxPlanNodes)
		return 0;
	const PlanNode &plan_node = graph.nodes[node];
	if (plan_node.memory == MemoryClass::kNone || plan_node.memory >= MemoryClass::kNumClasses)
		return 0;
	return Clean(Bytes(graph, plan_node, node) / 1024, 1, kMostKb);
}

}  // namespace wlm
