/*
 * finish_graph.cpp
 *
 * What follows from the whole plan: participating processes, LIMITs above,
 * memory slots, pipelines and the two fingerprints. One forward pass, parents
 * before children, and one for the fingerprints.
 *
 * Fingerprints are keys of tables: nothing here may change their value for a
 * given graph without a new kFingerprintVersion (which makes all history novel).
 */
#include "core/plan/plan_graph.hpp"

#include <algorithm>
#include <cmath>

#include "core/hash.hpp"

namespace wlm {

namespace {

constexpr uint64_t kFingerprintVersion = 1;
constexpr uint64_t kTemplateSeed = Mix(0x77616c6d74656d70u ^ kFingerprintVersion);
constexpr uint64_t kPlanSeed = Mix(0x77616c6d706c616eu ^ kFingerprintVersion);

bool IsGather(const PlanNode &node) noexcept
{
	return node.kind == NodeKind::kGather || node.kind == NodeKind::kGatherMerge;
}

/* Runs apart from its parent's rows: on demand, or once before. */
bool IsSidePlan(NodeRole role) noexcept
{
	return role == NodeRole::kInitPlan || role == NodeRole::kSubPlan || role == NodeRole::kHashedSubPlan;
}

/* Takes in its whole input before it returns a row. */
bool IsBlocking(const PlanNode &node) noexcept
{
	switch (node.kind) {
		case NodeKind::kSort:
		case NodeKind::kIncrementalSort: /* group by group, but its memory bounds a stretch all the same */
		case NodeKind::kHash:
		case NodeKind::kMaterial:
		case NodeKind::kSetOp: return true;
		case NodeKind::kAgg: return node.aggregate != AggKind::kSorted;
		default: return false;
	}
}

/* Returns rows one by one, so that a LIMIT above also cuts its input short. */
bool PassesLimit(const PlanNode &node) noexcept
{
	return node.kind == NodeKind::kIncrementalSort || node.kind == NodeKind::kMaterial || !IsBlocking(node);
}

void InheritFromParent(const PlanGraph &graph, PlanNode *node) noexcept
{
	node->processes = 1;
	node->flags &= static_cast<uint8_t>(~(kBelowGather | kBelowLimit));
	if (node->parent == kNoNode)
		return;

	const PlanNode &parent = graph.nodes[node->parent];
	if (IsGather(parent) && node->role == NodeRole::kOuter) {
		node->processes = 1.0f + parent.workers;
		node->flags |= kBelowGather;
	} else if (parent.flags & kBelowGather) {
		node->processes = parent.processes;
		node->flags |= kBelowGather;
	}

	/* the inner side of a hash join is built as a whole */
	const bool limited = parent.kind == NodeKind::kLimit || ((parent.flags & kBelowLimit) && PassesLimit(parent));
	if (limited && !IsSidePlan(node->role) && node->kind != NodeKind::kHash)
		node->flags |= kBelowLimit;
}

void AssignPipeline(PlanGraph *graph, PlanNode *node) noexcept
{
	const bool starts = node->parent == kNoNode || IsSidePlan(node->role) || IsBlocking(graph->nodes[node->parent]);
	if (starts && graph->num_pipelines < kMaxPipelines)
		node->pipeline = graph->num_pipelines++;
	else
		node->pipeline = node->parent == kNoNode ? int16_t{0} : graph->nodes[node->parent].pipeline;
}

void AssignMemorySlot(PlanGraph *graph, int16_t index) noexcept
{
	PlanNode *node = &graph->nodes[index];
	node->memory_slot = kNoNode;
	if (node->memory == MemoryClass::kNone)
		return;
	if (graph->num_memory_nodes >= kMaxMemoryNodes) {
		graph->overflow = true;
		return;
	}
	node->memory_slot = graph->num_memory_nodes;
	graph->memory_node[graph->num_memory_nodes++] = index;
}

/* Preorder plus the distance to the parent determines the tree. */
uint64_t TemplateFingerprint(const PlanGraph &graph) noexcept
{
	uint64_t hash = Combine(kTemplateSeed, static_cast<uint64_t>(graph.command));
	for (int16_t i = 0; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		const uint64_t distance = node.parent == kNoNode ? 0 : static_cast<uint64_t>(i - node.parent);
		const uint64_t shape = static_cast<uint64_t>(node.kind) | static_cast<uint64_t>(node.role) << 8 |
			static_cast<uint64_t>(node.join) << 16 | static_cast<uint64_t>(node.aggregate) << 24 | distance << 32;
		hash = Combine(Combine(hash, shape), node.identity);
	}
	return hash != 0 ? hash : 1;
}

/*
 * floor(log2(rows)): estimates within a factor of two share a step. By the
 * float's exponent, so that no mathematical library can change it.
 */
uint64_t RowStep(float rows) noexcept
{
	if (std::isnan(rows))
		return 255;
	if (rows < 1)
		return 0;
	if (std::isinf(rows))
		return 254;
	return 1 + static_cast<uint64_t>(std::ilogb(rows));
}

/* Even; keys of templates in the recall store are odd. */
uint64_t PlanFingerprint(const PlanGraph &graph, uint64_t template_fingerprint) noexcept
{
	uint64_t hash = Combine(kPlanSeed, template_fingerprint);
	for (int16_t i = 0; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		hash = Combine(hash, RowStep(node.rows) | static_cast<uint64_t>(node.workers) << 8);
	}
	hash &= ~uint64_t{1};
	return hash != 0 ? hash : 2;
}

}  // namespace

void FinishGraph(PlanGraph *graph) noexcept
{
	graph->num_nodes = std::clamp<int16_t>(graph->num_nodes, 0, kMaxPlanNodes);
	graph->num_memory_nodes = 0;
	graph->num_pipelines = 0;
	graph->planned_workers = 0;
	for (int16_t i = 0; i < graph->num_nodes; i++) {
		PlanNode *node = &graph->nodes[i];
		if (node->parent < kNoNode || node->parent >= i) {
			graph->overflow = true; /* not in preorder: not a plan that we understand */
			node->parent = kNoNode;
		}
		InheritFromParent(*graph, node);
		AssignPipeline(graph, node);
		AssignMemorySlot(graph, i);
		if (IsGather(*node))
			graph->planned_workers += node->workers;
		if (node->kind == NodeKind::kLimit)
			graph->has_limit = true;
	}
	if (graph->num_nodes > 0 && !(graph->total_cost > 0))
		graph->total_cost = graph->nodes[0].total_cost;

	graph->template_fingerprint = TemplateFingerprint(*graph);
	graph->plan_fingerprint = PlanFingerprint(*graph, graph->template_fingerprint);
}

}  // namespace wlm
