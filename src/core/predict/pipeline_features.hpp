/*
 * pipeline_features.hpp
 *
 * A plan cut into pipelines, each one row of numbers: what the trees expert
 * knows when it says how long a tuple takes. T3's representation (Rieger and
 * Neumann, SIGMOD 2025): rows per stage of the pipeline, tuples that drive it.
 *
 * A pipeline here ends at blocking operators, as FinishGraph() has it, and at a Gather, for
 * what lies below runs in several processes. What it costs to fill a sort, a hash table or an
 * aggregate counts for the pipeline that fills it; reading back for the one that reads.
 */
#pragma once

#include <array>
#include <cstdint>

#include "core/plan/plan_graph.hpp"
#include "core/predict/plan_features.hpp"
#include "core/predict/trees_layout.hpp"

namespace wlm {

/* Models depend on their order: append, and raise kTreesFormat. ln = natural logarithm of one plus the number. */
enum class PipelineFeature : uint8_t {
	kTuples = 0,     /* ln: the largest of its sources, before filters */
	kOutRows,        /* ln: of its last node */
	kSelectivity,    /* ln of out rows / tuples */
	/* sources, ln rows */
	kSeqScanTuples, kSeqScanPages, kIndexRows, kIndexOnlyRows, kBitmapRows, kBitmapEntries, kOtherScanRows, kForeignRows,
	kReadBackRows,   /* from a sort, an aggregate, a materialisation or a Gather */
	kReadBackBytes,
	/* stages passed, ln rows */
	kFilterWork,     /* quals x tuples they look at */
	kLoops,          /* outer rows of nested loops */
	kLoopCost,       /* ln cost units: their inner sides, executed again and again */
	kProbeRows, kProbeKb /* of the tables probed */, kMergeRows, kMemoizeRows, kAggRows /* plain and sorted */, kWindowRows,
	kGatherRows, kModifyRows, kPassRows /* all else */,
	/* sinks, ln rows, ln kB by formula */
	kBuildRows, kBuildKb, kSortRows, kSortKb, kHashAggRows, kHashAggKb, kGroups, kStoreRows,
	/* shape */
	kWidth, kCost /* ln units */, kCostPerTuple /* ln */, kSinkShare /* of the cost */, kNodes, kJoins, kQuals, kKeys, kAggregates,
	kProcesses, kRunShare /* ln of what LIMIT leaves */, kDepth, kSide /* 1 init plan, 2 sub-plan, 3 hashed */, kCostShare /* ln */,
	kPlanCost,
	kNumFeatures
};
inline constexpr int kNumPipelineFeatures = static_cast<int>(PipelineFeature::kNumFeatures);
static_assert(kNumPipelineFeatures <= kMostTreesFeatures);

struct PipelineTable {
	int num_pipelines;
	std::array<TreesRow, kMaxPipelines> rows;
	std::array<float, kMaxPipelines> own_ms;    /* at the common exchange rate of cost; at least a little per tuple */
	std::array<float, kMaxPipelines> processes; /* that share it; 1 = not below a Gather */
};

/* `plan` with formulas. Everything is finite, whatever the graph holds, as long as it is in preorder. */
void DescribePipelines(const PlanGraph &graph, const PlanFeatures &plan, PipelineTable *table) noexcept;

const char *PipelineFeatureName(int feature) noexcept;

}  // namespace wlm
