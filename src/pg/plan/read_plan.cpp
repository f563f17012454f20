/*
 * read_plan.cpp
 *
 * The walk over a PlannedStmt: which nodes there are and how they hang
 * together. Preorder: init-plans, outer, inner, members, then the sub-plans
 * found in the node's expressions.
 */
#include "pg/plan/read_plan.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "nodes/pg_list.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
}

#include <algorithm>

#include "pg/plan/plan_reader.hpp"

namespace wlm {

bool MarkPlanId(PlanReader *reader, uint64_t *bits, int plan_id)
{
	if (plan_id <= 0 || plan_id > kMaxSubPlans) {
		reader->graph->overflow = true;
		return false;
	}
	const uint64_t bit = uint64_t{1} << ((plan_id - 1) % 64);
	uint64_t *word = &bits[(plan_id - 1) / 64];
	const bool was_clear = (*word & bit) == 0;
	*word |= bit;
	return was_clear;
}

namespace {

/* Members of one Append that look different and may each take in others. */
constexpr int kMaxShapes = 8;

void ReadSubtree(PlanReader *reader, Plan *plan, int16_t parent, NodeRole role);

void ReadSubPlan(PlanReader *reader, SubPlan *sub_plan, int16_t parent, NodeRole role)
{
	List *plans = reader->statement->subplans;
	if (!MarkPlanId(reader, reader->seen_plans, sub_plan->plan_id) || sub_plan->plan_id > list_length(plans))
		return;
	ReadSubtree(reader, static_cast<Plan *>(list_nth(plans, sub_plan->plan_id - 1)), parent, role);
}

/* Whether the members are partitions of one table; those of a UNION ALL are not. */
bool MembersArePartitions(PlanReader *reader, Bitmapset *relids)
{
	const int rti = bms_next_member(relids, -1);
	if (rti <= 0 || rti > list_length(reader->statement->rtable))
		return false;
	return rt_fetch(rti, reader->statement->rtable)->rtekind == RTE_RELATION;
}

/*
 * Partition-wise aggregates do not say whose partitions they read, but partitions have the identity
 * of their table: what agrees in every node is one thing done many times.
 */
bool SameIdentities(const PlanGraph *graph, int16_t first, int16_t second)
{
	for (int16_t i = 0; second + i < graph->num_nodes; i++) {
		if (first + i >= second || graph->nodes[first + i].identity != graph->nodes[second + i].identity)
			return false;
	}
	return true;
}

void ReadMembers(PlanReader *reader, List *plans, int16_t parent, bool partitions)
{
	int16_t shapes[kMaxShapes];
	int num_shapes = 0;
	PlanGraph *graph = reader->graph;
	ListCell *cell;

	foreach (cell, plans) {
		const int16_t start = graph->num_nodes;
		ReadSubtree(reader, static_cast<Plan *>(lfirst(cell)), parent, NodeRole::kMember);
		if (graph->overflow)
			return;
		if (graph->num_nodes == start)
			continue;

		bool folded = false;
		for (int i = 0; i < num_shapes && !folded; i++) {
			if (partitions || SameIdentities(graph, shapes[i], start))
				folded = FoldSubtree(graph, shapes[i], start);
		}
		if (!folded && num_shapes < kMaxShapes)
			shapes[num_shapes++] = start;
	}
}

void ReadChildren(PlanReader *reader, Plan *plan, int16_t index)
{
	switch (nodeTag(plan)) {
		case T_Append: {
			Append *append = reinterpret_cast<Append *>(plan);
			ReadMembers(reader, append->appendplans, index, MembersArePartitions(reader, append->apprelids));
			break;
		}
		case T_MergeAppend: {
			MergeAppend *append = reinterpret_cast<MergeAppend *>(plan);
			ReadMembers(reader, append->mergeplans, index, MembersArePartitions(reader, append->apprelids));
			break;
		}
		case T_BitmapAnd: ReadMembers(reader, reinterpret_cast<BitmapAnd *>(plan)->bitmapplans, index, false); break;
		case T_BitmapOr: ReadMembers(reader, reinterpret_cast<BitmapOr *>(plan)->bitmapplans, index, false); break;
		case T_CustomScan: ReadMembers(reader, reinterpret_cast<CustomScan *>(plan)->custom_plans, index, false); break;
		case T_SubqueryScan:
			ReadSubtree(reader, reinterpret_cast<SubqueryScan *>(plan)->subplan, index, NodeRole::kSubqueryRoot);
			break;
		case T_ForeignScan:
			/* its outer plan only rechecks rows that were updated meanwhile */
			return;
		default: break;
	}
	ReadSubtree(reader, plan->lefttree, index, NodeRole::kOuter);
	ReadSubtree(reader, plan->righttree, index, NodeRole::kInner);
}

void ReadSubtree(PlanReader *reader, Plan *plan, int16_t parent, NodeRole role)
{
	if (plan == nullptr || reader->graph->overflow)
		return;
	check_stack_depth();

	PlanNode *node = AppendNode(reader->graph, parent, plan->plan_node_id);
	if (node == nullptr)
		return;
	const int16_t index = static_cast<int16_t>(node - reader->graph->nodes);
	const int first_pending = reader->num_pending;
	reader->graph->max_plan_node_id =
		std::max(reader->graph->max_plan_node_id, static_cast<int16_t>(plan->plan_node_id));

	node->role = role;
	ReadNodeDetails(reader, plan, node);
	if (role == NodeRole::kHashedSubPlan && node->memory == MemoryClass::kNone)
		node->memory = MemoryClass::kUnbounded;

	const int end_pending = reader->num_pending;
	ListCell *cell;
	foreach (cell, plan->initPlan)
		ReadSubPlan(reader, static_cast<SubPlan *>(lfirst(cell)), index, NodeRole::kInitPlan);
	ReadChildren(reader, plan, index);
	for (int i = first_pending; i < end_pending; i++) {
		SubPlan *sub_plan = reader->pending[i];
		ReadSubPlan(reader, sub_plan, index, sub_plan->useHashTable ? NodeRole::kHashedSubPlan : NodeRole::kSubPlan);
	}
	reader->num_pending = first_pending;
}

CommandKind CommandOf(const PlannedStmt *statement)
{
	/* a WITH that writes makes of a SELECT what it is */
	switch (statement->commandType) {
		case CMD_SELECT: return statement->hasModifyingCTE ? CommandKind::kOther : CommandKind::kSelect;
		case CMD_INSERT: return CommandKind::kInsert;
		case CMD_UPDATE: return CommandKind::kUpdate;
		case CMD_DELETE: return CommandKind::kDelete;
		case CMD_MERGE: return CommandKind::kMerge;
		default: return CommandKind::kOther;
	}
}

/* Who looks at the workload manager when nothing moves must not wait for it. Anybody may call a schema wlm: the extension decides. */
bool IsOwnRelation(Oid relation)
{
	const Oid schema = get_namespace_oid("wlm", true);

	if (!OidIsValid(schema) || get_rel_namespace(relation) != schema)
		return false;
	const Oid extension = getExtensionOfObject(RelationRelationId, relation);
	return OidIsValid(extension) && extension == get_extension_oid("pg_wlm", true);
}

bool TouchesOnlyCatalogs(const PlannedStmt *statement)
{
	ListCell *cell;
	foreach (cell, statement->relationOids) {
		if (lfirst_oid(cell) >= FirstNormalObjectId && !IsOwnRelation(lfirst_oid(cell)))
			return false;
	}
	return statement->relationOids != NIL;
}

}  // namespace

void ReadPlan(PlannedStmt *statement, PlanGraph *graph)
{
	PlanReader reader;
	memset(&reader, 0, sizeof(reader));
	reader.statement = statement;
	reader.graph = graph;

	ResetGraph(graph);
	graph->max_plan_node_id = 0;
	graph->command = CommandOf(statement);
	graph->touches_only_catalogs = TouchesOnlyCatalogs(statement);
	if (statement->planTree == nullptr)
		graph->overflow = true;
	else
		ReadSubtree(&reader, statement->planTree, kNoNode, NodeRole::kRoot);
	FinishGraph(graph);
}

}  // namespace wlm
