/*
 * operator_features.hpp
 *
 * What the trees expert knows of an operator with a memory limit, and of a plan
 * as a whole, each as one row of numbers. Memory goes wrong where cardinalities
 * do, so most of an operator's row describes what its input has been through.
 */
#pragma once

#include <array>
#include <cstdint>

#include "core/plan/plan_graph.hpp"
#include "core/predict/pipeline_features.hpp"
#include "core/predict/plan_features.hpp"
#include "core/predict/trees_layout.hpp"

namespace wlm {

/* Models depend on their order: append, and raise kTreesFormat. ln = natural logarithm of one plus the number. */
enum class MemoryFeature : uint8_t {
	kClass = 0, kKind, kFormulaKb /* ln(kB) */, kRows /* ln */, kInputRows /* ln */, kWidth /* ln */, kInputWidth /* ln */,
	kGroups /* ln */, kGroupShare /* ln of groups / input rows */, kStateBytes /* ln */, kKeys, kAggregates, kColumns,
	kProcesses, kMembers /* ln */, kAggKind, kFlags, kJoinAbove /* of a Hash: the join's kind */, kParentKind, kInputKind,
	kRole,
	/* of the subtree below */
	kMaxRelation /* ln rows */, kSumRelations /* ln rows */, kScanSelectivity /* sum of ln(rows / relation rows) */,
	kReach /* ln of input rows / largest relation */, kMaxRows /* ln: largest of any node below */, kLeastRows /* ln: smallest */,
	kScans, kJoins, kNestLoops, kSemiJoins, kQuals, kAggsBelow, kNodes, kHeight, kDepth, kCost /* ln */,
	kStartupShare, kPlanCost /* ln */, kPlanJoins,
	kNumFeatures
};
inline constexpr int kNumMemoryFeatures = static_cast<int>(MemoryFeature::kNumFeatures);

/* Temporary files: the same, and the limit; so much is written as does not fit, or more than once if it is far from fitting. */
inline constexpr int kTempLimit = kNumMemoryFeatures;      /* ln(kB) */
inline constexpr int kTempExcess = kNumMemoryFeatures + 1; /* ln(formula / limit) */
inline constexpr int kNumTempFeatures = kNumMemoryFeatures + 2;
static_assert(kNumTempFeatures <= kMostTreesFeatures);

enum class QueryFeature : uint8_t {
	kFormulaSum = 0 /* ln(kB): operators x copies + base */, kMaxFormula /* ln(kB) */, kMaxShare /* of the largest */,
	kSortKb /* ln */, kHashKb /* ln */, kHashAggKb /* ln */, kStoreKb /* ln */, kOtherKb /* ln */, kCost /* ln */, kRows /* ln */,
	kRootWidth /* ln */, kNodes, kPipelines, kMemoryNodes, kWorkers, kCommand, kHasLimit, kScans, kIndexScans, kJoins, kNestLoops,
	kHashJoins, kMergeJoins, kSemiJoins, kSideQueries, kSorts, kAggs, kWindows, kQuals, kAggregates, kMaxRelation /* ln */,
	kSumRelations /* ln */, kPages /* ln */, kScanSelectivity, kMaxRows /* ln */, kMembers /* ln: largest fold */, kHeight,
	kLargestShare /* of a pipeline in the cost */, kTuples /* ln: of all pipelines */, kCostPerTuple, kStartupShare, kCatalogs,
	kNumFeatures
};
inline constexpr int kNumQueryFeatures = static_cast<int>(QueryFeature::kNumFeatures);
static_assert(kNumQueryFeatures <= kMostTreesFeatures);

/* All that the trees expert looks at. About 50 kB: on the stack of the caller. */
struct TreesDescription {
	PlanFeatures plan;
	PipelineTable pipelines;
	std::array<TreesRow, kMaxMemoryNodes> operators; /* by memory slot; the places of the limit hold 0 */
	TreesRow query;
	float log_formula_sum;                           /* ln(kB): where query memory starts from */
};

/* False, and nothing described, for a graph that is not in preorder or too long. */
bool DescribeForTrees(const PlanGraph &graph, TreesDescription *description) noexcept;

/* Turns an operator's row into one for temporary files. */
void AddLimit(float log_formula_kb, float log_limit_kb, TreesRow *row) noexcept;

const char *MemoryFeatureName(int feature) noexcept; /* also of temporary files */
const char *QueryFeatureName(int feature) noexcept;

}  // namespace wlm
