/*
 * operator_features.cpp
 *
 * See operator_features.hpp. One backward pass gathers what lies below each
 * node, then rows are filled from it.
 */
#include "core/predict/operator_features.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/log_scale.hpp"
#include "core/predict/trees_numbers.hpp"

namespace wlm {

namespace {

using M = MemoryFeature;
using Q = QueryFeature;

constexpr float kBaseKb = 512; /* executor state, as the planner expert has it */

constexpr std::array<const char *, kNumTempFeatures> kMemoryNames = {
	"memory class", "operator", "formula kB", "rows", "input rows", "width", "input width", "groups", "groups per input row",
	"state bytes", "keys", "aggregates", "columns", "processes", "members", "kind of aggregate", "flags", "join above",
	"operator above", "operator below", "role", "largest relation", "relations", "selectivity of scans",
	"input rows per largest relation", "most rows below", "fewest rows below", "scans below", "joins below",
	"nested loops below", "semi-joins below", "conditions below", "aggregates below", "nodes below", "height", "depth",
	"cost", "share of start-up", "cost of the plan", "joins of the plan", "limit", "formula over limit"};

constexpr std::array<const char *, kNumQueryFeatures> kQueryNames = {
	"formula kB", "largest formula kB", "share of the largest", "sort kB", "hash kB", "hash aggregate kB", "store kB",
	"other kB", "cost", "rows", "width", "nodes", "pipelines", "memory operators", "workers", "command", "limit", "scans",
	"index scans", "joins", "nested loops", "hash joins", "merge joins", "semi-joins", "side plans", "sorts", "aggregations",
	"window functions", "conditions", "aggregates", "largest relation", "relations", "pages", "selectivity of scans",
	"most rows", "members", "height", "share of the largest pipeline", "tuples", "cost per tuple", "share of start-up",
	"catalogues only"};

/* Sums over a node and everything below it, side plans included. */
struct Below {
	float max_relation, sum_relations, pages, scan_selectivity, max_rows, least_rows;
	int scans, index_scans, joins, nest_loops, hash_joins, merge_joins, semi_joins, side_plans, sorts, aggs, windows, quals,
		aggregates, nodes, height;
	int16_t outer; /* first child that is no side plan */
};
using AllBelow = std::array<Below, kMaxPlanNodes>;

bool IsIndexScan(NodeKind kind) noexcept
{
	return kind == NodeKind::kIndexScan || kind == NodeKind::kIndexOnlyScan || kind == NodeKind::kBitmapIndexScan;
}

bool IsScan(NodeKind kind) noexcept { return kind >= NodeKind::kSeqScan && kind <= NodeKind::kCustomScan; }

Below Alone(const PlanNode &node) noexcept
{
	Below own{};
	const float rows = Tame(node.rows);
	const float relation = Tame(node.relation_rows);
	own.max_relation = own.sum_relations = relation;
	own.pages = Tame(node.relation_pages);
	if (relation > 0)
		own.scan_selectivity = std::min(LnOnePlus(rows) - LnOnePlus(relation), 0.0f);
	own.max_rows = own.least_rows = rows;
	own.scans = IsScan(node.kind) && node.kind != NodeKind::kBitmapIndexScan && node.kind != NodeKind::kSubqueryScan;
	own.index_scans = IsIndexScan(node.kind);
	own.joins = IsJoinNode(node);
	own.nest_loops = node.kind == NodeKind::kNestLoop;
	own.hash_joins = node.kind == NodeKind::kHashJoin;
	own.merge_joins = node.kind == NodeKind::kMergeJoin;
	own.semi_joins = node.join == JoinKind::kSemi || node.join == JoinKind::kAnti;
	own.side_plans = IsSideRole(node.role);
	own.sorts = node.kind == NodeKind::kSort || node.kind == NodeKind::kIncrementalSort;
	own.aggs = node.kind == NodeKind::kAgg || node.kind == NodeKind::kGroup || node.kind == NodeKind::kUnique;
	own.windows = node.kind == NodeKind::kWindowAgg;
	own.quals = node.num_quals;
	own.aggregates = node.num_aggregates;
	own.nodes = 1;
	own.outer = kNoNode;
	return own;
}

void AddChild(const Below &child, Below *into) noexcept
{
	into->max_relation = std::max(into->max_relation, child.max_relation);
	into->sum_relations = std::min(into->sum_relations + child.sum_relations, kMostPlanNumber);
	into->pages = std::min(into->pages + child.pages, kMostPlanNumber);
	into->scan_selectivity += child.scan_selectivity;
	into->max_rows = std::max(into->max_rows, child.max_rows);
	into->least_rows = std::min(into->least_rows, child.least_rows);
	into->scans += child.scans;
	into->index_scans += child.index_scans;
	into->joins += child.joins;
	into->nest_loops += child.nest_loops;
	into->hash_joins += child.hash_joins;
	into->merge_joins += child.merge_joins;
	into->semi_joins += child.semi_joins;
	into->side_plans += child.side_plans;
	into->sorts += child.sorts;
	into->aggs += child.aggs;
	into->windows += child.windows;
	into->quals += child.quals;
	into->aggregates += child.aggregates;
	into->nodes += child.nodes;
	into->height = std::max(into->height, child.height + 1);
}

void GatherBelow(const PlanGraph &graph, AllBelow *below) noexcept
{
	for (int16_t i = 0; i < graph.num_nodes; i++)
		(*below)[i] = Alone(graph.nodes[i]);
	for (int16_t i = static_cast<int16_t>(graph.num_nodes - 1); i > 0; i--) {
		const PlanNode &node = graph.nodes[i];
		Below *parent = &(*below)[node.parent];
		AddChild((*below)[i], parent);
		if (!IsSideRole(node.role) && node.role != NodeRole::kInner)
			parent->outer = i; /* going backwards, the first one comes last */
	}
}

float Share(float part, float whole) noexcept { return whole > 0 ? std::clamp(part / whole, 0.0f, 1.0f) : 0.0f; }

int Depth(const PlanGraph &graph, int16_t i) noexcept
{
	int depth = 0;
	for (int16_t at = graph.nodes[i].parent; at >= 0; at = graph.nodes[at].parent)
		depth++;
	return depth;
}

void Tidy(TreesRow *row) noexcept
{
	for (int i = 0; i < kMostTreesFeatures; i++)
		row->x[i] = WithinFeature(row->x[i]);
}

void DescribeOperator(const PlanGraph &graph, const AllBelow &all, const OperatorFeatures &op, int16_t index,
                      TreesRow *row) noexcept
{
	const PlanNode &node = graph.nodes[index];
	const Below &below = all[index];
	const PlanNode &input = graph.nodes[below.outer == kNoNode ? index : below.outer];
	const float input_rows = Tame(input.rows);
	const float groups = Tame(node.groups);
	InitTreesRow(row);
	const auto put = [row](M feature, float value) { row->x[static_cast<int>(feature)] = value; };

	put(M::kClass, static_cast<float>(node.memory));
	put(M::kKind, static_cast<float>(node.kind));
	put(M::kFormulaKb, op.log_formula_kb);
	put(M::kRows, LnOnePlus(node.rows));
	put(M::kInputRows, LnOnePlus(input_rows));
	put(M::kWidth, LnOnePlus(node.width));
	put(M::kInputWidth, LnOnePlus(input.width));
	put(M::kGroups, LnOnePlus(groups));
	put(M::kGroupShare, groups > 0 ? LnOnePlus(groups) - LnOnePlus(input_rows) : 0.0f);
	put(M::kStateBytes, LnOnePlus(node.state_bytes));
	put(M::kKeys, node.num_keys);
	put(M::kAggregates, node.num_aggregates);
	put(M::kColumns, node.num_columns);
	put(M::kProcesses, Tame(node.processes));
	put(M::kMembers, LnOnePlus(node.fold_count));
	put(M::kAggKind, static_cast<float>(node.aggregate));
	put(M::kFlags, node.flags);
	if (node.parent >= 0) {
		put(M::kJoinAbove, static_cast<float>(graph.nodes[node.parent].join));
		put(M::kParentKind, static_cast<float>(graph.nodes[node.parent].kind));
	}
	put(M::kInputKind, below.outer == kNoNode ? 0.0f : static_cast<float>(input.kind));
	put(M::kRole, static_cast<float>(node.role));
	put(M::kMaxRelation, LnOnePlus(below.max_relation));
	put(M::kSumRelations, LnOnePlus(below.sum_relations));
	put(M::kScanSelectivity, below.scan_selectivity);
	put(M::kReach, below.max_relation > 0 ? LnOnePlus(input_rows) - LnOnePlus(below.max_relation) : 0.0f);
	put(M::kMaxRows, LnOnePlus(below.max_rows));
	put(M::kLeastRows, LnOnePlus(below.least_rows));
	put(M::kScans, static_cast<float>(below.scans));
	put(M::kJoins, static_cast<float>(below.joins));
	put(M::kNestLoops, static_cast<float>(below.nest_loops));
	put(M::kSemiJoins, static_cast<float>(below.semi_joins));
	put(M::kQuals, static_cast<float>(below.quals));
	put(M::kAggsBelow, static_cast<float>(below.aggs));
	put(M::kNodes, static_cast<float>(below.nodes));
	put(M::kHeight, static_cast<float>(below.height));
	put(M::kDepth, static_cast<float>(Depth(graph, index)));
	put(M::kCost, LnOnePlus(node.total_cost));
	put(M::kStartupShare, Share(Tame(node.startup_cost), Tame(node.total_cost)));
	put(M::kPlanCost, LnOnePlus(graph.total_cost));
	put(M::kPlanJoins, static_cast<float>(all[0].joins));
	Tidy(row);
}

struct MemorySums {
	float sum = kBaseKb, largest = 0, sort = 0, hash = 0, hash_agg = 0, store = 0, other = 0, members = 1;
};

MemorySums SumFormulas(const PlanGraph &graph, const PlanFeatures &plan) noexcept
{
	MemorySums sums;
	for (int i = 0; i < plan.num_operators; i++) {
		const OperatorFeatures &op = plan.operators[i];
		const float kb = std::exp(op.log_formula_kb) * op.copies;
		sums.sum += kb;
		sums.largest = std::max(sums.largest, kb);
		switch (op.memory) {
			case MemoryClass::kSort:
			case MemoryClass::kIncrementalSort: sums.sort += kb; break;
			case MemoryClass::kHash:
			case MemoryClass::kParallelHash: sums.hash += kb; break;
			case MemoryClass::kHashAgg: sums.hash_agg += kb; break;
			case MemoryClass::kTuplestore: sums.store += kb; break;
			default: sums.other += kb; break;
		}
		sums.members = std::max(sums.members, Tame(graph.nodes[graph.memory_node[i]].fold_count));
	}
	return sums;
}

void DescribeQuery(const PlanGraph &graph, const Below &all, TreesDescription *description) noexcept
{
	const PlanFeatures &plan = description->plan;
	const PipelineTable &pipelines = description->pipelines;
	const MemorySums sums = SumFormulas(graph, plan);
	description->log_formula_sum = LogKb(sums.sum);

	float cost = 0, largest = 0, tuples = 0;
	for (int i = 0; i < pipelines.num_pipelines; i++) {
		cost += pipelines.own_ms[i];
		largest = std::max(largest, pipelines.own_ms[i]);
		tuples += std::exp(pipelines.rows[i].x[static_cast<int>(PipelineFeature::kTuples)]);
	}

	TreesRow *row = &description->query;
	InitTreesRow(row);
	const auto put = [row](Q feature, float value) { row->x[static_cast<int>(feature)] = value; };
	const auto count = [put](Q feature, int value) { put(feature, static_cast<float>(value)); };
	put(Q::kFormulaSum, description->log_formula_sum);
	put(Q::kMaxFormula, LnOnePlus(sums.largest));
	put(Q::kMaxShare, Share(sums.largest, sums.sum));
	put(Q::kSortKb, LnOnePlus(sums.sort));
	put(Q::kHashKb, LnOnePlus(sums.hash));
	put(Q::kHashAggKb, LnOnePlus(sums.hash_agg));
	put(Q::kStoreKb, LnOnePlus(sums.store));
	put(Q::kOtherKb, LnOnePlus(sums.other));
	put(Q::kCost, LnOnePlus(graph.total_cost));
	put(Q::kRows, LnOnePlus(graph.nodes[0].rows));
	put(Q::kRootWidth, LnOnePlus(graph.nodes[0].width));
	count(Q::kNodes, all.nodes);
	count(Q::kPipelines, pipelines.num_pipelines);
	count(Q::kMemoryNodes, graph.num_memory_nodes);
	put(Q::kWorkers, Tame(graph.planned_workers));
	put(Q::kCommand, static_cast<float>(graph.command));
	put(Q::kHasLimit, graph.has_limit);
	count(Q::kScans, all.scans);
	count(Q::kIndexScans, all.index_scans);
	count(Q::kJoins, all.joins);
	count(Q::kNestLoops, all.nest_loops);
	count(Q::kHashJoins, all.hash_joins);
	count(Q::kMergeJoins, all.merge_joins);
	count(Q::kSemiJoins, all.semi_joins);
	count(Q::kSideQueries, all.side_plans);
	count(Q::kSorts, all.sorts);
	count(Q::kAggs, all.aggs);
	count(Q::kWindows, all.windows);
	count(Q::kQuals, all.quals);
	count(Q::kAggregates, all.aggregates);
	put(Q::kMaxRelation, LnOnePlus(all.max_relation));
	put(Q::kSumRelations, LnOnePlus(all.sum_relations));
	put(Q::kPages, LnOnePlus(all.pages));
	put(Q::kScanSelectivity, all.scan_selectivity);
	put(Q::kMaxRows, LnOnePlus(all.max_rows));
	put(Q::kMembers, LnOnePlus(sums.members));
	count(Q::kHeight, all.height);
	put(Q::kLargestShare, Share(largest, cost));
	put(Q::kTuples, LnOnePlus(tuples));
	put(Q::kCostPerTuple, LnOnePlus(graph.total_cost) - LnOnePlus(tuples));
	put(Q::kStartupShare, Share(Tame(graph.nodes[0].startup_cost), Tame(graph.nodes[0].total_cost)));
	put(Q::kCatalogs, graph.touches_only_catalogs);
	Tidy(row);
}

}  // namespace

bool DescribeForTrees(const PlanGraph &graph, TreesDescription *description) noexcept
{
	if (!IsWalkable(graph))
		return false;
	FeaturesOfGraph(graph, true, &description->plan);
	DescribePipelines(graph, description->plan, &description->pipelines);
	AllBelow below;
	GatherBelow(graph, &below);
	for (int i = 0; i < description->plan.num_operators; i++)
		DescribeOperator(graph, below, description->plan.operators[i], graph.memory_node[i], &description->operators[i]);
	DescribeQuery(graph, below[0], description);
	return true;
}

void AddLimit(float log_formula_kb, float log_limit_kb, TreesRow *row) noexcept
{
	row->x[kTempLimit] = WithinFeature(log_limit_kb);
	row->x[kTempExcess] = WithinFeature(log_formula_kb - log_limit_kb);
}

const char *MemoryFeatureName(int feature) noexcept
{
	return feature >= 0 && feature < kNumTempFeatures ? kMemoryNames[feature] : "";
}

const char *QueryFeatureName(int feature) noexcept
{
	return feature >= 0 && feature < kNumQueryFeatures ? kQueryNames[feature] : "";
}

}  // namespace wlm
