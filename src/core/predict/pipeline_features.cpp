/*
 * pipeline_features.cpp
 *
 * See pipeline_features.hpp. Numbers are added up per pipeline as they are and
 * turned into logarithms at the end.
 */
#include "core/predict/pipeline_features.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/trees_numbers.hpp"

namespace wlm {

namespace {

using F = PipelineFeature;

constexpr float kMsPerUnit = 0.01f; /* as the planner expert has it */
constexpr float kLeastUnitsPerTuple = 0.001f; /* 10 ns: whatever the planner thinks, a tuple is not free */

enum class Scale : uint8_t { kLn /* of one plus the sum */, kPlain };

struct FeatureInfo {
	const char *name;
	Scale scale;
};

constexpr std::array<FeatureInfo, kNumPipelineFeatures> kInfo = {{
	{"tuples", Scale::kLn},
	{"rows out", Scale::kLn},
	{"selectivity", Scale::kPlain},
	{"seq scan tuples", Scale::kLn},
	{"seq scan pages", Scale::kLn},
	{"index scan rows", Scale::kLn},
	{"index-only scan rows", Scale::kLn},
	{"bitmap heap rows", Scale::kLn},
	{"bitmap index rows", Scale::kLn},
	{"other scan rows", Scale::kLn},
	{"foreign rows", Scale::kLn},
	{"rows read back", Scale::kLn},
	{"bytes read back", Scale::kLn},
	{"filter work", Scale::kLn},
	{"nested loops", Scale::kLn},
	{"nested loop cost", Scale::kLn},
	{"hash probes", Scale::kLn},
	{"kB of tables probed", Scale::kLn},
	{"merge join rows", Scale::kLn},
	{"memoize rows", Scale::kLn},
	{"sorted aggregate rows", Scale::kLn},
	{"window rows", Scale::kLn},
	{"gathered rows", Scale::kLn},
	{"modified rows", Scale::kLn},
	{"rows passed on", Scale::kLn},
	{"hash build rows", Scale::kLn},
	{"hash build kB", Scale::kLn},
	{"sort rows", Scale::kLn},
	{"sort kB", Scale::kLn},
	{"hash aggregate rows", Scale::kLn},
	{"hash aggregate kB", Scale::kLn},
	{"groups", Scale::kLn},
	{"stored rows", Scale::kLn},
	{"width", Scale::kLn},
	{"cost", Scale::kLn},
	{"cost per tuple", Scale::kPlain},
	{"share of the sink", Scale::kPlain},
	{"nodes", Scale::kPlain},
	{"joins", Scale::kPlain},
	{"conditions", Scale::kPlain},
	{"keys", Scale::kPlain},
	{"aggregates", Scale::kPlain},
	{"processes", Scale::kPlain},
	{"share that runs", Scale::kPlain},
	{"depth", Scale::kPlain},
	{"kind of side plan", Scale::kPlain},
	{"share of the plan's cost", Scale::kPlain},
	{"cost of the plan", Scale::kPlain},
}};

/* What is known of each node before its pipeline is described. */
struct Node {
	float below_cost;    /* total cost of the children that the node's own cost contains */
	float run;           /* part of its rows that a LIMIT above asks for */
	int16_t pipeline;
	int16_t outer;       /* first child that is no side plan; kNoNode if none */
	int16_t inner;
};
using Nodes = std::array<Node, kMaxPlanNodes>;

bool FillsBeforeItReturns(const PlanNode &node) noexcept
{
	switch (node.kind) {
		case NodeKind::kSort:
		case NodeKind::kIncrementalSort:
		case NodeKind::kHash:
		case NodeKind::kMaterial:
		case NodeKind::kSetOp: return true;
		case NodeKind::kAgg: return node.aggregate != AggKind::kSorted;
		default: return false;
	}
}

float Ratio(float part, float whole) noexcept
{
	part = Tame(part);
	whole = Tame(whole);
	return whole > 0 ? std::clamp(part / whole, 0.0f, 1.0f) : 1.0f;
}

float RunShare(const PlanGraph &graph, const Nodes &nodes, int16_t i) noexcept
{
	const PlanNode &node = graph.nodes[i];
	if (node.parent < 0 || !(node.flags & kBelowLimit))
		return 1;
	const PlanNode &parent = graph.nodes[node.parent];
	const float above = nodes[node.parent].run;
	return parent.kind == NodeKind::kLimit ? above * Ratio(parent.rows, node.rows) : above;
}

/* Pipelines, children and shares. Returns the number of pipelines. */
int CutIntoPipelines(const PlanGraph &graph, Nodes *nodes) noexcept
{
	int pipelines = 0;
	for (int16_t i = 0; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		Node &own = (*nodes)[i];
		own = {0, RunShare(graph, *nodes, i), 0, kNoNode, kNoNode};
		if (node.parent < 0) {
			own.pipeline = static_cast<int16_t>(pipelines++);
			continue;
		}
		const PlanNode &parent = graph.nodes[node.parent];
		Node &above = (*nodes)[node.parent];
		const bool cut = node.pipeline != parent.pipeline || (IsGatherNode(parent) && !IsSideRole(node.role));
		own.pipeline = cut && pipelines < kMaxPipelines ? static_cast<int16_t>(pipelines++) : above.pipeline;

		if (!IsSideRole(node.role)) {
			if (above.outer == kNoNode && node.role != NodeRole::kInner)
				above.outer = i;
			else if (above.inner == kNoNode)
				above.inner = i;
		}
		/* a sub-plan's calls are in its parent's own cost, all else the parent has added up */
		if (node.role == NodeRole::kSubPlan)
			continue;
		above.below_cost += Tame(node.total_cost);
	}
	return pipelines;
}

/* Rows that enter a node, of one process. */
float InputRows(const PlanGraph &graph, const Nodes &nodes, int16_t i) noexcept
{
	const int16_t outer = nodes[i].outer;
	return outer == kNoNode ? Tame(graph.nodes[i].rows) : Tame(graph.nodes[outer].rows) * nodes[outer].run;
}

class Describer {
  public:
	Describer(const PlanGraph &graph, const PlanFeatures &plan, PipelineTable *table) noexcept
		: graph_(graph), plan_(plan), table_(table)
	{
	}

	void Describe() noexcept
	{
		table_->num_pipelines = CutIntoPipelines(graph_, &nodes_);
		for (int i = 0; i < table_->num_pipelines; i++) {
			InitTreesRow(&table_->rows[i]);
			sink_cost_[i] = 0;
			last_[i] = kNoNode;
			table_->processes[i] = 1;
		}
		for (int16_t i = 0; i < graph_.num_nodes; i++)
			AddNode(i);
		float plan_cost = 0;
		for (int i = 0; i < table_->num_pipelines; i++)
			plan_cost += At(i, F::kCost);
		for (int i = 0; i < table_->num_pipelines; i++)
			Finish(i, plan_cost);
	}

  private:
	float &At(int pipeline, F feature) noexcept { return table_->rows[pipeline].x[static_cast<int>(feature)]; }
	void Add(int pipeline, F feature, float value) noexcept { At(pipeline, feature) += Tame(value); }
	void Raise(int pipeline, F feature, float value) noexcept
	{
		float &at = At(pipeline, feature);
		at = std::max(at, Tame(value));
	}

	float FormulaKb(const PlanNode &node) const noexcept
	{
		const bool has = node.memory_slot >= 0 && node.memory_slot < plan_.num_operators;
		return has ? std::exp(plan_.operators[node.memory_slot].log_formula_kb) : 0.0f;
	}

	/* The pipeline that fills the node: the one of its input. */
	int Filler(int16_t i) const noexcept { return nodes_[nodes_[i].outer == kNoNode ? i : nodes_[i].outer].pipeline; }

	void AddNode(int16_t i) noexcept
	{
		const PlanNode &node = graph_.nodes[i];
		const int at = nodes_[i].pipeline;
		if (last_[at] == kNoNode) {
			last_[at] = i;
			At(at, F::kRunShare) = nodes_[i].run;
			At(at, F::kSide) = node.role == NodeRole::kInitPlan ? 1.0f : node.role == NodeRole::kSubPlan ? 2.0f
				: node.role == NodeRole::kHashedSubPlan                                               ? 3.0f
																									  : 0.0f;
			At(at, F::kDepth) = node.parent < 0 ? 0.0f : At(nodes_[node.parent].pipeline, F::kDepth) + 1;
		}
		table_->processes[at] = std::max(table_->processes[at], std::min(Tame(node.processes), 1024.0f));
		Raise(at, F::kWidth, node.width);
		Add(at, F::kNodes, 1);
		Add(at, F::kJoins, IsJoinNode(node));
		Add(at, F::kQuals, node.num_quals);
		Add(at, F::kKeys, node.num_keys);
		Add(at, F::kAggregates, node.num_aggregates);
		AddCost(i);
		AddStage(i);
	}

	void AddCost(int16_t i) noexcept
	{
		const PlanNode &node = graph_.nodes[i];
		const Node &own = nodes_[i];
		const float cost = Tame(Tame(node.total_cost) - own.below_cost);
		const bool fills = FillsBeforeItReturns(node) && own.outer != kNoNode;
		int filler = own.pipeline;
		float filling = 0;
		if (fills) {
			filler = Filler(i);
			filling = node.startup_cost - own.below_cost;
		} else if (node.kind == NodeKind::kHashJoin && own.outer != kNoNode && own.inner != kNoNode) {
			/* the planner counts the building of the table in the join */
			filler = Filler(own.inner);
			filling = node.startup_cost - graph_.nodes[own.outer].startup_cost - graph_.nodes[own.inner].total_cost;
		}
		filling = std::min(Tame(filling), cost);
		const float running = (cost - filling) * own.run;
		Add(filler, F::kCost, filling);
		Add(own.pipeline, F::kCost, running);
		sink_cost_[filler] += filling;
		if (node.kind == NodeKind::kNestLoop)
			Add(own.pipeline, F::kLoopCost, running);
	}

	void AddSource(int at, F feature, float tuples) noexcept
	{
		Add(at, feature, tuples);
		Raise(at, F::kTuples, tuples);
	}

	void AddStage(int16_t i) noexcept
	{
		const PlanNode &node = graph_.nodes[i];
		const Node &own = nodes_[i];
		const int at = own.pipeline;
		const float rows = Tame(node.rows) * own.run;
		const float input = InputRows(graph_, nodes_, i);
		const int filler = Filler(i);

		if (FillsBeforeItReturns(node) && node.kind != NodeKind::kHash && own.outer != kNoNode) {
			AddSource(at, F::kReadBackRows, rows);
			Add(at, F::kReadBackBytes, rows * Tame(node.width));
		}
		switch (node.kind) {
			case NodeKind::kSeqScan:
			case NodeKind::kSampleScan: {
				const float share = own.run / ((node.flags & kParallelAware) ? std::max(Tame(node.processes), 1.0f) : 1.0f);
				const float tuples = std::max(Tame(node.relation_rows) * share, rows);
				AddSource(at, F::kSeqScanTuples, tuples);
				Add(at, F::kSeqScanPages, Tame(node.relation_pages) * share);
				Add(at, F::kFilterWork, tuples * node.num_quals);
				break;
			}
			case NodeKind::kIndexScan: AddScan(at, F::kIndexRows, rows, node); break;
			case NodeKind::kIndexOnlyScan: AddScan(at, F::kIndexOnlyRows, rows, node); break;
			case NodeKind::kBitmapHeapScan: AddScan(at, F::kBitmapRows, std::max(rows, input), node); break;
			case NodeKind::kBitmapIndexScan: AddSource(at, F::kBitmapEntries, rows); break;
			case NodeKind::kForeignScan: AddScan(at, F::kForeignRows, rows, node); break;
			case NodeKind::kTidScan:
			case NodeKind::kTidRangeScan:
			case NodeKind::kFunctionScan:
			case NodeKind::kValuesScan:
			case NodeKind::kTableFuncScan:
			case NodeKind::kCteScan:
			case NodeKind::kNamedTuplestoreScan:
			case NodeKind::kWorkTableScan:
			case NodeKind::kCustomScan: AddScan(at, F::kOtherScanRows, rows, node); break;
			case NodeKind::kNestLoop:
				Add(at, F::kLoops, input);
				Add(at, F::kFilterWork, rows * node.num_quals);
				break;
			case NodeKind::kHashJoin:
				Add(at, F::kProbeRows, input);
				if (own.inner != kNoNode)
					Add(at, F::kProbeKb, FormulaKb(graph_.nodes[own.inner]));
				break;
			case NodeKind::kMergeJoin: Add(at, F::kMergeRows, input + (own.inner != kNoNode ? graph_.nodes[own.inner].rows : 0)); break;
			case NodeKind::kHash: AddSink(filler, F::kBuildRows, F::kBuildKb, input, node); break;
			case NodeKind::kSort:
			case NodeKind::kIncrementalSort: AddSink(filler, F::kSortRows, F::kSortKb, input, node); break;
			case NodeKind::kAgg:
				if (node.aggregate == AggKind::kHashed || node.aggregate == AggKind::kMixed)
					AddSink(filler, F::kHashAggRows, F::kHashAggKb, input, node);
				else
					Add(filler, F::kAggRows, input);
				Add(filler, F::kGroups, node.groups > 0 ? node.groups : node.rows);
				break;
			case NodeKind::kMaterial:
			case NodeKind::kSetOp: Add(filler, F::kStoreRows, input); break;
			case NodeKind::kMemoize: Add(at, F::kMemoizeRows, rows); break;
			case NodeKind::kWindowAgg: Add(at, F::kWindowRows, input); break;
			case NodeKind::kGather:
			case NodeKind::kGatherMerge:
				Add(at, F::kGatherRows, rows);
				AddSource(at, F::kReadBackRows, rows);
				break;
			case NodeKind::kModifyTable: Add(at, F::kModifyRows, input); break;
			default: Add(at, F::kPassRows, rows); break;
		}
	}

	void AddScan(int at, F feature, float rows, const PlanNode &node) noexcept
	{
		AddSource(at, feature, rows);
		Add(at, F::kFilterWork, rows * node.num_quals);
	}

	void AddSink(int at, F rows_feature, F kb_feature, float rows, const PlanNode &node) noexcept
	{
		Add(at, rows_feature, rows);
		Add(at, kb_feature, FormulaKb(node));
	}

	void Finish(int at, float plan_cost) noexcept
	{
		const float tuples = At(at, F::kTuples);
		const float least = kLeastUnitsPerTuple * (1 + tuples);
		const float cost = std::max(Tame(At(at, F::kCost)), least);
		table_->own_ms[at] = cost * kMsPerUnit;

		const float out = last_[at] == kNoNode ? 0 : Tame(graph_.nodes[last_[at]].rows) * nodes_[last_[at]].run;
		At(at, F::kOutRows) = out;
		At(at, F::kSinkShare) = Ratio(sink_cost_[at], cost);
		At(at, F::kProcesses) = table_->processes[at];
		At(at, F::kRunShare) = std::log(std::max(At(at, F::kRunShare), 1e-9f));
		At(at, F::kSelectivity) = LnOnePlus(out) - LnOnePlus(tuples);
		At(at, F::kCostPerTuple) = std::log(cost / (1 + tuples));
		At(at, F::kCostShare) = std::log(Ratio(cost, std::max(plan_cost, cost)) + 1e-6f);
		At(at, F::kPlanCost) = LnOnePlus(plan_cost);
		for (int i = 0; i < kNumPipelineFeatures; i++) {
			float &x = table_->rows[at].x[i];
			x = kInfo[i].scale == Scale::kLn ? (x > 0 ? LnOnePlus(x) : 0.0f) : WithinFeature(x);
		}
	}

	const PlanGraph &graph_;
	const PlanFeatures &plan_;
	PipelineTable *table_;
	Nodes nodes_;
	std::array<float, kMaxPipelines> sink_cost_;
	std::array<int16_t, kMaxPipelines> last_; /* the node that hands on what the pipeline makes: its first in preorder */
};

}  // namespace

void DescribePipelines(const PlanGraph &graph, const PlanFeatures &plan, PipelineTable *table) noexcept
{
	table->num_pipelines = 0;
	if (IsWalkable(graph))
		Describer(graph, plan, table).Describe();
}

const char *PipelineFeatureName(int feature) noexcept
{
	return feature >= 0 && feature < kNumPipelineFeatures ? kInfo[feature].name : "";
}

}  // namespace wlm
