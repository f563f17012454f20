/*
 * lifetimes.cpp
 *
 * Two passes over the plan. Between two rows a subtree holds at most what it has
 * built and not freed, its `kept` set; while it is asked for a row it may hold
 * more, but never more than one of its moments. So whatever runs beside a subtree
 * (operators above, siblings already open) adds a set to all its moments, and
 * nothing of the kind needs to be stored per node: upwards the kept sets, downwards what
 * runs beside. A moment ends only where a consumer frees something; those and the
 * root are all the moments there are.
 *
 * An operator counts from its first row on. What is allocated before (the bucket array of a hash table) is a small
 * part of it and within the headroom of grants.
 */
#include "core/grant/lifetimes.hpp"

#include <algorithm>

namespace wlm {

namespace {

enum class Prefetch : uint8_t { kNo, kMaybe, kYes };

struct Subtree {
	SlotSet kept;      /* held between rows, and from the last row on */
	SlotSet inputs;    /* union of what the inputs keep */
	SlotSet pooled;    /* Parallel Hash tables */
	SlotSet beside;    /* what else is held while this subtree works */
	SlotSet opened;    /* kept by the inputs that the second pass has seen */
	SlotSet freed;     /* by this node, when it has all its input */
	bool frees;        /* somewhere in the subtree */
	bool late;         /* may free something after its first row: until then it holds more than `kept` */
	bool plain;        /* runs once, from the first row to the last */
};

struct Walk {
	const PlanGraph *graph;
	SlotSet everywhere; /* of sub-plans: nobody knows when they run */
	Subtree nodes[kMaxPlanNodes];
};

bool IsSidePlan(NodeRole role) noexcept
{
	return role == NodeRole::kInitPlan || role == NodeRole::kSubPlan || role == NodeRole::kHashedSubPlan;
}

SlotSet OwnSlot(const PlanNode &node) noexcept
{
	return node.memory_slot == kNoNode ? 0 : SlotSet{1} << node.memory_slot;
}

/* With grouping sets of both kinds (kMixed) rows come out while others go in. */
bool IsHashedAggregate(const PlanNode &node) noexcept
{
	return node.kind == NodeKind::kAgg && node.aggregate == AggKind::kHashed;
}

/* Reads its whole input before it returns a row. */
bool IsBlocking(const PlanNode &node) noexcept
{
	return node.kind == NodeKind::kSort || node.kind == NodeKind::kHash || IsHashedAggregate(node) ||
	       (node.kind == NodeKind::kAgg && node.aggregate == AggKind::kPlain);
}

/* What is freed, and what makes others be freed. */
bool IsReleasable(const PlanNode &node) noexcept
{
	return (node.kind == NodeKind::kSort && node.memory == MemoryClass::kSort) ||
	       (node.kind == NodeKind::kHash && node.memory == MemoryClass::kHash) ||
	       (IsHashedAggregate(node) && node.memory == MemoryClass::kHashAgg);
}

/* Does the node read this input once, and never ask for it again? */
bool ReadsOnce(const PlanNode &parent, const PlanNode &child) noexcept
{
	if (IsSidePlan(child.role))
		return false;
	switch (parent.kind) {
		case NodeKind::kNestLoop: return child.role != NodeRole::kInner;
		case NodeKind::kMemoize:
		case NodeKind::kRecursiveUnion:
		case NodeKind::kForeignScan:
		case NodeKind::kCustomScan:
		case NodeKind::kOther: return false;
		default: return true;
	}
}

/* Does a hash join fetch an outer row before it builds its table? (ExecHashJoinImpl, HJ_BUILD_HASHTABLE) */
Prefetch FetchesOuterFirst(const PlanNode &join, const PlanNode &outer, const PlanNode &hash) noexcept
{
	if (join.join == JoinKind::kRight || join.join == JoinKind::kFull || hash.memory == MemoryClass::kParallelHash)
		return Prefetch::kNo;
	if (join.join == JoinKind::kLeft || join.join == JoinKind::kAnti)
		return Prefetch::kYes;
	const float margin = 1e-5f * hash.total_cost; /* PostgreSQL compares doubles */
	const bool known = join.join == JoinKind::kInner || join.join == JoinKind::kSemi;
	if (!known || join.fold_count > 1 || !(outer.startup_cost > hash.total_cost + margin || outer.startup_cost < hash.total_cost - margin))
		return Prefetch::kMaybe;
	return outer.startup_cost < hash.total_cost ? Prefetch::kYes : Prefetch::kNo;
}

/* Through these nothing is freed (pg/grant/release.cpp), though they read their input once. */
bool StopsRelease(const PlanNode &node) noexcept
{
	return node.kind == NodeKind::kLockRows || node.kind == NodeKind::kModifyTable || node.memory == MemoryClass::kParallelHash;
}

/* The consumer above that frees this operator, or kNoNode. One folded from several ends several times: it frees nothing. */
int16_t FindConsumer(const Walk &walk, int16_t index) noexcept
{
	const PlanGraph &graph = *walk.graph;
	if (!walk.nodes[index].plain || !IsReleasable(graph.nodes[index]))
		return kNoNode;
	for (int16_t above = graph.nodes[index].parent; above != kNoNode; above = graph.nodes[above].parent) {
		if (IsReleasable(graph.nodes[above]) && graph.nodes[above].fold_count <= 1)
			return above;
		if (StopsRelease(graph.nodes[above]))
			break;
	}
	return kNoNode;
}

void FindReleased(Walk *walk, Lifetimes *lifetimes) noexcept
{
	const PlanGraph &graph = *walk->graph;
	for (int16_t i = 0; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		Subtree *subtree = &walk->nodes[i];
		*subtree = Subtree{};
		subtree->plain = node.parent == kNoNode || (walk->nodes[node.parent].plain && ReadsOnce(graph.nodes[node.parent], node));
		const int16_t consumer = node.memory_slot == kNoNode ? kNoNode : FindConsumer(*walk, i);
		if (consumer == kNoNode)
			continue;
		walk->nodes[consumer].freed |= OwnSlot(node);
		lifetimes->released |= OwnSlot(node);
		lifetimes->released_by[node.memory_slot] = graph.nodes[consumer].memory_slot;
	}
}

/* After all its inputs have been added. */
void FinishSubtree(Walk *walk, int16_t index) noexcept
{
	const PlanNode &node = walk->graph->nodes[index];
	Subtree *subtree = &walk->nodes[index];
	const SlotSet own = OwnSlot(node);

	/* all scans of a CTE share the tuplestore of one of them, whoever comes first fills it */
	if (node.kind == NodeKind::kCteScan)
		walk->everywhere |= own;
	if (node.memory == MemoryClass::kParallelHash)
		subtree->pooled |= own;
	subtree->kept = own | (subtree->inputs & ~subtree->freed);
	/* rows come from any process, while others have not got as far (Gather Merge waits for all of them) */
	if (node.kind == NodeKind::kGather)
		subtree->late = subtree->frees;
	if (subtree->freed != 0)
		subtree->frees = true;
	if (IsBlocking(node))
		subtree->late = false;
}

void AddInput(Walk *walk, int16_t index) noexcept
{
	const PlanNode &node = walk->graph->nodes[index];
	const Subtree &subtree = walk->nodes[index];
	if (IsSidePlan(node.role)) {
		walk->everywhere |= subtree.kept;
		return;
	}
	if (node.parent == kNoNode)
		return;
	Subtree *parent = &walk->nodes[node.parent];
	const PlanNode &above = walk->graph->nodes[node.parent];
	/* an Append opens all but its first member after it has returned rows; in parallel in any order */
	const bool opened_late = above.kind == NodeKind::kAppend && (index != node.parent + 1 || (above.flags & kParallelAware) != 0);
	parent->inputs |= subtree.kept;
	parent->pooled |= subtree.pooled;
	parent->frees |= subtree.frees;
	parent->late |= subtree.late || (opened_late && subtree.frees);
}

int16_t FindInput(const PlanGraph &graph, int16_t parent, NodeRole role) noexcept
{
	for (int16_t i = static_cast<int16_t>(parent + 1); i < graph.num_nodes && graph.nodes[i].parent >= parent; i++) {
		if (graph.nodes[i].parent == parent && graph.nodes[i].role == role)
			return i;
	}
	return kNoNode;
}

SlotSet BesideInHashJoin(const Walk &walk, int16_t join, int16_t index) noexcept
{
	const PlanGraph &graph = *walk.graph;
	const int16_t outer = FindInput(graph, join, NodeRole::kOuter);
	const int16_t hash = FindInput(graph, join, NodeRole::kInner);
	if (outer == kNoNode || hash == kNoNode)
		return walk.nodes[join].inputs & ~walk.nodes[index].kept;
	const Prefetch prefetch = FetchesOuterFirst(graph.nodes[join], graph.nodes[outer], graph.nodes[hash]);
	if (index == hash)
		return prefetch == Prefetch::kNo ? 0 : walk.nodes[outer].kept;
	return prefetch == Prefetch::kYes && !walk.nodes[outer].late ? 0 : walk.nodes[hash].kept;
}

/* What the other inputs of its parent, and the parent itself, hold while this subtree works. */
SlotSet BesideInParent(const Walk &walk, int16_t index) noexcept
{
	const PlanGraph &graph = *walk.graph;
	const PlanNode &node = graph.nodes[index];
	const PlanNode &parent = graph.nodes[node.parent];
	const Subtree &subtree = walk.nodes[index];
	const Subtree &above = walk.nodes[node.parent];
	const SlotSet own = OwnSlot(parent);
	const SlotSet others = above.inputs & ~subtree.kept;

	switch (parent.kind) {
		case NodeKind::kHashJoin: return BesideInHashJoin(walk, node.parent, index);
		case NodeKind::kNestLoop:
		case NodeKind::kMergeJoin:
			/* the first outer row comes before the first inner one */
			return node.role == NodeRole::kOuter && !subtree.late ? 0 : others;
		case NodeKind::kAppend: return (parent.flags & kParallelAware) != 0 ? others : above.opened;
		case NodeKind::kMergeAppend: return subtree.late ? others : above.opened;
		case NodeKind::kGather:
		case NodeKind::kGatherMerge:
			/* a table that another process has already begun is there while this one is not as far */
			return own | subtree.pooled;
		default: return others | (subtree.late ? own : 0);
	}
}

void AddMoment(SlotSet moment, Lifetimes *lifetimes) noexcept
{
	int kept = 0;
	for (int i = 0; i < lifetimes->num_moments; i++) {
		if ((moment & ~lifetimes->moments[i]) == 0)
			return;
		if ((lifetimes->moments[i] & ~moment) != 0)
			lifetimes->moments[kept++] = lifetimes->moments[i];
	}
	if (kept == kMaxMoments)
		moment |= lifetimes->moments[--kept];
	lifetimes->moments[kept++] = moment;
	lifetimes->num_moments = static_cast<int16_t>(kept);
}

}  // namespace

void FindLifetimes(const PlanGraph &graph, bool may_release, Lifetimes *lifetimes) noexcept
{
	Walk walk;

	lifetimes->num_moments = 0;
	lifetimes->released = 0;
	std::fill_n(lifetimes->released_by, kMaxMemoryNodes, kNoNode);
	if (graph.num_memory_nodes <= 0)
		return;
	const SlotSet all = ~SlotSet{0} >> (64 - graph.num_memory_nodes);
	walk.graph = &graph;
	walk.everywhere = 0;
	if (may_release && !graph.overflow)
		FindReleased(&walk, lifetimes);
	if (lifetimes->released == 0) {
		AddMoment(all, lifetimes);
		return;
	}

	for (int16_t i = static_cast<int16_t>(graph.num_nodes - 1); i >= 0; i--) {
		FinishSubtree(&walk, i);
		AddInput(&walk, i);
	}
	AddMoment(walk.nodes[0].kept | walk.everywhere, lifetimes);
	for (int16_t i = 1; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		if (!IsSidePlan(node.role)) {
			walk.nodes[i].beside = walk.nodes[node.parent].beside | BesideInParent(walk, i);
			walk.nodes[node.parent].opened |= walk.nodes[i].kept;
		}
	}
	for (int16_t i = 0; i < graph.num_nodes; i++) {
		const Subtree &subtree = walk.nodes[i];
		if (subtree.freed != 0)
			AddMoment(OwnSlot(graph.nodes[i]) | subtree.inputs | subtree.beside | walk.everywhere, lifetimes);
	}
}

}  // namespace wlm
