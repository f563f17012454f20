/*
 * node_features.cpp
 *
 * See node_features.hpp. Three passes: what the children give (leaves to root),
 * what the parent asks for (root to leaves), then the numbers.
 */
#include "core/predict/node_features.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/predict/log_scale.hpp"
#include "core/predict/plan_features.hpp"

namespace wlm {

namespace {

constexpr float kMostQuantity = 1e18f; /* of rows, bytes and costs */
constexpr float kMostLogQuantity = 42;
constexpr float kMsPerUnit = 0.01f; /* a cost unit on a machine of 2020 with cached tables, as in the planner expert */
constexpr float kLeastUnits = 0.01f;
/* cpu_operator_cost: the least that a row takes, also where the planner counts nothing (Hash) */
constexpr float kUnitsPerRow = 0.0025f;

constexpr uint64_t Bit(Category category) noexcept { return uint64_t{1} << static_cast<int>(category); }

/* Of numbers of any origin; NaN and negative ones become 0. */
float Quantity(float value) noexcept { return value > 0 ? std::min(value, kMostQuantity) : 0.0f; }

float LogOf(float quantity) noexcept
{
	return quantity > 0 ? std::min(std::log(quantity), kMostLogQuantity) : -kMostLogQuantity;
}

float LogOnePlus(float quantity) noexcept
{
	return quantity > 0 ? std::min(std::log(1.0f + quantity), kMostLogQuantity) : 0.0f;
}

float Scaled(float value, float centre, float spread) noexcept
{
	return std::clamp((value - centre) / spread, -kMostNumber, kMostNumber);
}

/* What a child gives to the sums of its parent, and what its parent asks of it. */
struct Flow {
	float rows;
	float startup;
	float total;
	float input_rows; /* summed over children that feed it */
	float outer_rows;
	float consumed;  /* units, with children, after a LIMIT above has cut it short */
	float children;  /* units consumed by children whose cost the planner has counted in this node's once */
	float run_share; /* of total - startup */
	float loops;     /* executions, as planned */
	uint8_t alike[kNumMessageKinds]; /* children by the kind of their message; saturates */
};

MessageKind MessageOf(NodeRole role) noexcept
{
	switch (role) {
		case NodeRole::kInner: return MessageKind::kInner;
		case NodeRole::kMember: return MessageKind::kMember;
		case NodeRole::kInitPlan:
		case NodeRole::kSubPlan:
		case NodeRole::kHashedSubPlan: return MessageKind::kSide;
		default: return MessageKind::kOuter;
	}
}

Category GroupOf(NodeKind kind) noexcept
{
	switch (kind) {
		case NodeKind::kSeqScan:
		case NodeKind::kSampleScan: return Category::kSeqScan;
		case NodeKind::kIndexScan: return Category::kIndexScan;
		case NodeKind::kIndexOnlyScan: return Category::kIndexOnlyScan;
		case NodeKind::kBitmapIndexScan:
		case NodeKind::kBitmapAnd:
		case NodeKind::kBitmapOr: return Category::kBitmapIndex;
		case NodeKind::kBitmapHeapScan: return Category::kBitmapHeap;
		case NodeKind::kTidScan:
		case NodeKind::kTidRangeScan: return Category::kTidScan;
		case NodeKind::kFunctionScan:
		case NodeKind::kValuesScan:
		case NodeKind::kTableFuncScan: return Category::kMadeUpScan;
		case NodeKind::kSubqueryScan: return Category::kSubqueryScan;
		case NodeKind::kCteScan:
		case NodeKind::kNamedTuplestoreScan:
		case NodeKind::kWorkTableScan: return Category::kReread;
		case NodeKind::kForeignScan:
		case NodeKind::kCustomScan: return Category::kForeign;
		case NodeKind::kNestLoop: return Category::kNestLoop;
		case NodeKind::kMergeJoin: return Category::kMergeJoin;
		case NodeKind::kHashJoin: return Category::kHashJoin;
		case NodeKind::kHash: return Category::kHash;
		case NodeKind::kSort:
		case NodeKind::kIncrementalSort: return Category::kSort;
		case NodeKind::kAgg: return Category::kAgg;
		case NodeKind::kGroup:
		case NodeKind::kUnique: return Category::kGroup;
		case NodeKind::kWindowAgg: return Category::kWindow;
		case NodeKind::kSetOp: return Category::kSetOp;
		case NodeKind::kMaterial: return Category::kMaterial;
		case NodeKind::kMemoize: return Category::kMemoize;
		case NodeKind::kGather:
		case NodeKind::kGatherMerge: return Category::kGather;
		case NodeKind::kAppend:
		case NodeKind::kMergeAppend:
		case NodeKind::kRecursiveUnion: return Category::kAppend;
		case NodeKind::kModifyTable:
		case NodeKind::kLockRows: return Category::kModify;
		case NodeKind::kLimit: return Category::kLimit;
		default: return Category::kPlainResult;
	}
}

uint64_t CategoriesOf(const PlanNode &node) noexcept
{
	uint64_t bits = Bit(GroupOf(node.kind));
	switch (node.role) {
		case NodeRole::kInner: bits |= Bit(Category::kInner); break;
		case NodeRole::kMember: bits |= Bit(Category::kMember); break;
		case NodeRole::kInitPlan: bits |= Bit(Category::kInitPlan); break;
		case NodeRole::kSubPlan: bits |= Bit(Category::kSubPlan); break;
		case NodeRole::kHashedSubPlan: bits |= Bit(Category::kHashedSubPlan); break;
		default: break;
	}
	switch (node.join) {
		case JoinKind::kLeft:
		case JoinKind::kFull:
		case JoinKind::kRight: bits |= Bit(Category::kOuterJoin); break;
		case JoinKind::kSemi: bits |= Bit(Category::kSemiJoin); break;
		case JoinKind::kAnti: bits |= Bit(Category::kAntiJoin); break;
		default: break;
	}
	if (node.aggregate == AggKind::kSorted || node.aggregate == AggKind::kMixed)
		bits |= Bit(Category::kSortedAgg);
	if (node.aggregate == AggKind::kHashed || node.aggregate == AggKind::kMixed)
		bits |= Bit(Category::kHashedAgg);
	if (node.kind == NodeKind::kIncrementalSort)
		bits |= Bit(Category::kIncremental);
	if (node.kind == NodeKind::kGatherMerge || node.kind == NodeKind::kMergeAppend)
		bits |= Bit(Category::kMerge);
	if (node.memory == MemoryClass::kUnbounded)
		bits |= Bit(Category::kUnbounded);
	bits |= (node.flags & kParallelAware) ? Bit(Category::kParallelAware) : 0;
	bits |= (node.flags & kPartialAgg) ? Bit(Category::kPartialAgg) : 0;
	bits |= (node.flags & kBelowGather) ? Bit(Category::kBelowGather) : 0;
	bits |= (node.flags & kBelowLimit) ? Bit(Category::kBelowLimit) : 0;
	return bits;
}

/* A sub-plan's cost is that of one call; its parent's holds all calls. A hashed one is run once, and its parent's holds that. */
bool IsCalled(NodeRole role) noexcept { return role == NodeRole::kSubPlan; }

void GatherFromChildren(const PlanGraph &graph, Flow *flows) noexcept
{
	for (int i = 0; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		flows[i] = {};
		flows[i].rows = Quantity(node.rows);
		flows[i].total = Quantity(node.total_cost);
		flows[i].startup = std::min(Quantity(node.startup_cost), flows[i].total);
	}
	for (int i = graph.num_nodes - 1; i > 0; i--) {
		const PlanNode &node = graph.nodes[i];
		Flow *parent = &flows[node.parent];
		const MessageKind message = MessageOf(node.role);
		uint8_t *alike = &parent->alike[static_cast<int>(message)];
		*alike = static_cast<uint8_t>(std::min(*alike + 1, 255));
		if (message == MessageKind::kSide)
			continue;
		parent->input_rows = std::min(parent->input_rows + flows[i].rows, kMostQuantity);
		if (message == MessageKind::kOuter)
			parent->outer_rows = flows[i].rows;
	}
}

/*
 * Costs of children are those of taking all their rows. Below a LIMIT the same share of
 * rows is assumed to be taken all the way down to the next blocking operator.
 */
float Consumed(const PlanNode &node, const Flow &flow, const PlanNode &parent, const Flow &above) noexcept
{
	if (IsCalled(node.role) || !(node.flags & kBelowLimit))
		return flow.total;
	if (parent.kind == NodeKind::kLimit)
		return std::clamp(above.consumed, flow.startup, flow.total);
	return flow.startup + above.run_share * (flow.total - flow.startup);
}

float Loops(const PlanNode &node, const PlanNode &parent, const Flow &above) noexcept
{
	if (node.role == NodeRole::kSubPlan)
		return std::min(above.loops * std::max(above.input_rows, 1.0f), kMostQuantity);
	if (node.role == NodeRole::kInitPlan || node.role == NodeRole::kHashedSubPlan ||
	    parent.kind == NodeKind::kMaterial || parent.kind == NodeKind::kHash)
		return 1;
	if (parent.kind == NodeKind::kNestLoop && node.role == NodeRole::kInner)
		return std::min(above.loops * std::max(above.outer_rows, 1.0f), kMostQuantity);
	return above.loops;
}

void DistributeToChildren(const PlanGraph &graph, Flow *flows) noexcept
{
	for (int i = 0; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		Flow *flow = &flows[i];
		if (i == 0) {
			flow->consumed = flow->total;
			flow->loops = 1;
		} else {
			Flow *above = &flows[node.parent];
			flow->consumed = Consumed(node, *flow, graph.nodes[node.parent], *above);
			flow->loops = Loops(node, graph.nodes[node.parent], *above);
			if (!IsCalled(node.role))
				above->children = std::min(above->children + flow->consumed, kMostQuantity);
		}
		const float run = flow->total - flow->startup;
		flow->run_share = run > 0 ? std::clamp((flow->consumed - flow->startup) / run, 0.0f, 1.0f) : 1.0f;
	}
}

/* Units of the node alone. What the planner charges elsewhere (Hash: to the join) takes its time all the same. */
float OwnUnits(const Flow &flow) noexcept
{
	const float least = kUnitsPerRow * flow.run_share * (flow.rows + flow.input_rows);
	return std::max({flow.consumed - flow.children, least, kLeastUnits});
}

void FillNumbers(const PlanNode &node, const Flow &flow, float own, float plan_total, NodeFeatures *out) noexcept
{
	const auto set = [out](Number number, float value, float centre, float spread) {
		out->numbers[static_cast<size_t>(number)] = Scaled(value, centre, spread);
	};
	/* what a node does not have is 0, in the middle of those that have it */
	const auto set_if = [&set](Number number, float quantity, float centre, float spread) {
		set(number, quantity > 0 ? LogOnePlus(quantity) : centre, centre, spread);
	};
	const float relation_rows = Quantity(node.relation_rows);
	const float input = flow.input_rows > 0 ? flow.input_rows : relation_rows;
	const float width = Quantity(node.width);
	const float log_rows = LogOnePlus(flow.rows);
	const float log_input = LogOnePlus(input);
	const float log_own = LogOf(own);
	set(Number::kRows, log_rows, 7, 4);
	set(Number::kInputRows, log_input, 7, 4);
	set(Number::kWidth, LogOnePlus(width), 4, 2);
	set(Number::kBytes, LogOnePlus(flow.rows * width), 10, 5);
	set(Number::kOwnCost, log_own, 5, 4);
	set(Number::kTotalCost, LogOnePlus(flow.total), 7, 4);
	set(Number::kStartupShare, flow.total > 0 ? flow.startup / flow.total : 0.0f, 0, 1);
	set_if(Number::kRelationRows, relation_rows, 7, 4);
	set_if(Number::kRelationPages, Quantity(node.relation_pages), 5, 4);
	set_if(Number::kGroups, Quantity(node.groups), 5, 4);
	set_if(Number::kStateBytes, Quantity(node.state_bytes), 4, 2);
	set(Number::kMembers, node.fold_count > 1 ? LogOf(Quantity(node.fold_count)) : 0.0f, 0, 2);
	set(Number::kProcesses, node.processes > 1 ? LogOf(Quantity(node.processes)) : 0.0f, 0, 1);
	set(Number::kWorkers, LogOnePlus(node.workers), 0, 1);
	set(Number::kKeys, LogOnePlus(node.num_keys), 0, 1);
	set(Number::kQuals, LogOnePlus(node.num_quals), 0, 1);
	set(Number::kAggregates, LogOnePlus(node.num_aggregates), 0, 1);
	set(Number::kColumns, LogOnePlus(node.num_columns), 1.5f, 1);
	set(Number::kFormulaKb, node.memory_slot >= 0 ? out->log_formula_kb : 6.0f, 6, 4);
	set(Number::kLoops, LogOf(flow.loops), 0, 5);
	set(Number::kSelectivity, input > 0 ? log_rows - log_input : 0.0f, 0, 4);
	set(Number::kRunShare, flow.run_share, 1, 1);
	set(Number::kCostShare, log_own - LogOf(std::max(plan_total, kLeastUnits)), 0, 4);
	set(Number::kCostPerRow, log_own - LogOnePlus(flow.rows + flow.input_rows), -4, 2);
}

bool IsTree(const PlanGraph &graph) noexcept
{
	if (graph.overflow || graph.num_nodes <= 0 || graph.num_nodes > kMaxPlanNodes || graph.num_memory_nodes < 0 ||
	    graph.num_memory_nodes > kMaxMemoryNodes)
		return false;
	for (int i = 0; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		if ((i == 0) != (node.parent < 0) || node.parent >= i || node.memory_slot >= graph.num_memory_nodes)
			return false;
		if (node.memory_slot >= 0 &&
		    (graph.memory_node[node.memory_slot] != i || node.memory >= MemoryClass::kNumClasses))
			return false;
	}
	for (int slot = 0; slot < graph.num_memory_nodes; slot++) {
		const int16_t index = graph.memory_node[slot];
		if (index < 0 || index >= graph.num_nodes || graph.nodes[index].memory_slot != slot)
			return false;
	}
	return true;
}

}  // namespace

bool DescribeGraph(const PlanGraph &graph, GraphDescription *description) noexcept
{
	description->num_nodes = 0;
	if (!IsTree(graph))
		return false;
	Flow flows[kMaxPlanNodes];
	GatherFromChildren(graph, flows);
	DistributeToChildren(graph, flows);
	PlanFeatures formulas;
	FeaturesOfGraph(graph, true, &formulas);

	description->num_nodes = graph.num_nodes;
	for (int i = 0; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		NodeFeatures *out = &description->nodes[static_cast<size_t>(i)];
		const float own = OwnUnits(flows[i]);
		const OperatorFeatures *op = node.memory_slot >= 0 ? &formulas.operators[node.memory_slot] : nullptr;
		out->categories = CategoriesOf(node);
		out->log_own_ms = std::clamp(LogOf(own * kMsPerUnit), kLeastLogMs, kMostLogMs);
		out->log_formula_kb = op != nullptr ? op->log_formula_kb : 0.0f;
		out->copies = op != nullptr ? op->copies : 0.0f;
		out->parent = node.parent;
		out->memory_slot = node.memory_slot;
		out->memory = node.memory;
		out->message = i == 0 ? MessageKind::kNone : MessageOf(node.role);
		out->message_scale = i == 0
			? 1.0f
			: 1.0f / std::sqrt(static_cast<float>(flows[node.parent].alike[static_cast<int>(out->message)]));
		out->parallel = (node.flags & kBelowGather) ? std::clamp(Quantity(node.processes), 1.0f, 1024.0f) : 0.0f;
		FillNumbers(node, flows[i], own, flows[0].total, out);
	}
	return true;
}

}  // namespace wlm
