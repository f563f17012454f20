/*
 * node_details.cpp
 *
 * One plan node -> one PlanNode: kind, numbers, memory class and identity. A
 * node type that is not known here stays NodeKind::kOther, with its costs.
 */
#include "pg/plan/plan_reader.hpp"

extern "C" {
#include "nodes/extensible.h"
#include "nodes/pg_list.h"
}

#include <algorithm>

namespace wlm {

namespace {

constexpr uint64_t kIdentitySeed = Mix(0x6e6f6465);

uint8_t Saturate(int64_t count) { return static_cast<uint8_t>(std::clamp<int64_t>(count, 0, 255)); }

template <typename Type>
Type *As(Plan *plan)
{
	return reinterpret_cast<Type *>(plan);
}

Node *AsNode(List *list) { return reinterpret_cast<Node *>(list); }

void Add(PlanReader *reader, uint64_t value) { reader->hash = Combine(reader->hash, value); }

JoinKind JoinKindOf(JoinType type)
{
	switch (type) {
		case JOIN_INNER: return JoinKind::kInner;
		case JOIN_LEFT: return JoinKind::kLeft;
		case JOIN_FULL: return JoinKind::kFull;
		case JOIN_RIGHT: return JoinKind::kRight;
		case JOIN_SEMI:
#if PG_VERSION_NUM >= 180000
		case JOIN_RIGHT_SEMI:
#endif
			return JoinKind::kSemi;
		case JOIN_ANTI:
#if PG_VERSION_NUM >= 160000
		case JOIN_RIGHT_ANTI:
#endif
			return JoinKind::kAnti;
		default: return JoinKind::kOther;
	}
}

void ReadJoin(PlanReader *reader, Join *join, PlanNode *node)
{
	node->join = JoinKindOf(join->jointype);
	node->num_quals = Saturate(node->num_quals + list_length(join->joinqual));
	Add(reader, join->inner_unique);
	AddExpression(reader, AsNode(join->joinqual));
}

/* Keys of sorts and groups: columns of the input, and operators if there are any. */
void AddKeys(PlanReader *reader, PlanNode *node, int num_keys, const AttrNumber *columns, const Oid *operators)
{
	node->num_keys = Saturate(node->num_keys + num_keys);
	for (int i = 0; i < num_keys; i++) {
		const uint64_t column = static_cast<uint64_t>(columns[i]);
		Add(reader, operators != nullptr ? Combine(column, operators[i]) : column);
	}
}

void AddClauseKeys(PlanReader *reader, PlanNode *node, List *clauses)
{
	node->num_keys = Saturate(node->num_keys + list_length(clauses));
	AddExpression(reader, AsNode(clauses));
}

void AddScanQuals(PlanReader *reader, PlanNode *node, List *quals)
{
	node->num_quals = Saturate(node->num_quals + list_length(quals));
	AddExpression(reader, AsNode(quals));
}

void ReadSort(PlanReader *reader, const Sort *sort, PlanNode *node)
{
	AddKeys(reader, node, sort->numCols, sort->sortColIdx, sort->sortOperators);
	for (int i = 0; i < sort->numCols; i++)
		Add(reader, sort->nullsFirst[i]);
}

void ReadAgg(PlanReader *reader, Agg *agg, PlanNode *node)
{
	switch (agg->aggstrategy) {
		case AGG_PLAIN: node->aggregate = AggKind::kPlain; break;
		case AGG_SORTED: node->aggregate = AggKind::kSorted; break;
		case AGG_HASHED: node->aggregate = AggKind::kHashed; break;
		case AGG_MIXED: node->aggregate = AggKind::kMixed; break;
	}
	if (agg->aggstrategy == AGG_HASHED || agg->aggstrategy == AGG_MIXED)
		node->memory = MemoryClass::kHashAgg;
	if (DO_AGGSPLIT_SKIPFINAL(agg->aggsplit))
		node->flags |= kPartialAgg;
	node->groups = static_cast<float>(agg->numGroups);
	node->state_bytes = static_cast<float>(agg->transitionSpace);
	Add(reader, agg->aggsplit);
	AddKeys(reader, node, agg->numCols, agg->grpColIdx, agg->grpOperators);

	/* grouping sets beyond the first: the hash tables all live together in this node */
	ListCell *cell;
	foreach (cell, agg->chain) {
		const Agg *set = static_cast<Agg *>(lfirst(cell));
		Add(reader, set->aggstrategy);
		AddKeys(reader, node, set->numCols, set->grpColIdx, set->grpOperators);
		if (set->aggstrategy == AGG_HASHED)
			node->groups += static_cast<float>(set->numGroups);
	}
}

void ReadModifyTable(PlanReader *reader, ModifyTable *modify, PlanNode *node)
{
	Index rti = modify->rootRelation;
	if (rti == 0 && modify->resultRelations != NIL)
		rti = static_cast<Index>(linitial_int(modify->resultRelations));
	Add(reader, modify->operation);
	Add(reader, modify->onConflictAction);
	AddRelation(reader, node, rti);
	AddExpression(reader, AsNode(modify->onConflictSet));
	AddExpression(reader, modify->onConflictWhere);
	/* one list for each partition: the first stands for all */
	if (modify->returningLists != NIL)
		AddTargetList(reader, static_cast<List *>(linitial(modify->returningLists)));
	if (modify->withCheckOptionLists != NIL)
		AddExpression(reader, static_cast<Node *>(linitial(modify->withCheckOptionLists)));
	if (modify->mergeActionLists != NIL)
		AddExpression(reader, static_cast<Node *>(linitial(modify->mergeActionLists)));
}

void ReadFunctions(PlanReader *reader, FunctionScan *scan, PlanNode *node)
{
	ListCell *cell;
	foreach (cell, scan->functions)
		AddExpression(reader, static_cast<RangeTblFunction *>(lfirst(cell))->funcexpr);
	node->memory = MemoryClass::kTuplestore;
}

void ReadCte(PlanReader *reader, CteScan *scan, PlanNode *node)
{
	/* all readers of a CTE share the tuplestore of the first */
	if (MarkPlanId(reader, reader->owned_ctes, scan->ctePlanId))
		node->memory = MemoryClass::kTuplestore;
}

Index ScanRelation(Plan *plan) { return As<Scan>(plan)->scanrelid; }

/* The scans; false if it is something else. */
bool ReadScan(PlanReader *reader, Plan *plan, PlanNode *node)
{
	switch (nodeTag(plan)) {
		case T_SeqScan:
			node->kind = NodeKind::kSeqScan;
			AddRelation(reader, node, ScanRelation(plan));
			return true;
		case T_SampleScan:
			node->kind = NodeKind::kSampleScan;
			AddRelation(reader, node, ScanRelation(plan));
			Add(reader, As<SampleScan>(plan)->tablesample->tsmhandler);
			return true;
		case T_IndexScan:
			node->kind = NodeKind::kIndexScan;
			AddIndex(reader, node, ScanRelation(plan), As<IndexScan>(plan)->indexid);
			AddScanQuals(reader, node, As<IndexScan>(plan)->indexqualorig);
			AddExpression(reader, AsNode(As<IndexScan>(plan)->indexorderbyorig));
			return true;
		case T_IndexOnlyScan:
			node->kind = NodeKind::kIndexOnlyScan;
			AddIndex(reader, node, ScanRelation(plan), As<IndexOnlyScan>(plan)->indexid);
			AddScanQuals(reader, node, As<IndexOnlyScan>(plan)->indexqual);
			AddExpression(reader, AsNode(As<IndexOnlyScan>(plan)->indexorderby));
			return true;
		case T_BitmapIndexScan:
			node->kind = NodeKind::kBitmapIndexScan;
			node->memory = MemoryClass::kBitmap; /* here, not in the heap scan that consumes it */
			AddIndex(reader, node, ScanRelation(plan), As<BitmapIndexScan>(plan)->indexid);
			AddScanQuals(reader, node, As<BitmapIndexScan>(plan)->indexqualorig);
			return true;
		case T_BitmapHeapScan:
			/* the index conditions below are those that it rechecks */
			node->kind = NodeKind::kBitmapHeapScan;
			AddRelation(reader, node, ScanRelation(plan));
			return true;
		case T_TidScan:
			node->kind = NodeKind::kTidScan;
			AddRelation(reader, node, ScanRelation(plan));
			AddScanQuals(reader, node, As<TidScan>(plan)->tidquals);
			return true;
		case T_TidRangeScan:
			node->kind = NodeKind::kTidRangeScan;
			AddRelation(reader, node, ScanRelation(plan));
			AddScanQuals(reader, node, As<TidRangeScan>(plan)->tidrangequals);
			return true;
		case T_SubqueryScan: node->kind = NodeKind::kSubqueryScan; return true;
		case T_FunctionScan:
			node->kind = NodeKind::kFunctionScan;
			ReadFunctions(reader, As<FunctionScan>(plan), node);
			return true;
		case T_ValuesScan:
			/* rows of constants: however many, one template */
			node->kind = NodeKind::kValuesScan;
			return true;
		case T_TableFuncScan:
			node->kind = NodeKind::kTableFuncScan;
			node->memory = MemoryClass::kTuplestore;
			AddExpression(reader, As<TableFuncScan>(plan)->tablefunc->docexpr);
			AddExpression(reader, As<TableFuncScan>(plan)->tablefunc->rowexpr);
			return true;
		case T_CteScan:
			node->kind = NodeKind::kCteScan;
			ReadCte(reader, As<CteScan>(plan), node);
			return true;
		case T_NamedTuplestoreScan:
			node->kind = NodeKind::kNamedTuplestoreScan;
			reader->hash = CombineText(reader->hash, As<NamedTuplestoreScan>(plan)->enrname);
			return true;
		case T_WorkTableScan: node->kind = NodeKind::kWorkTableScan; return true;
		case T_ForeignScan:
			node->kind = NodeKind::kForeignScan;
			Add(reader, As<ForeignScan>(plan)->operation);
			AddRelation(reader, node, ScanRelation(plan));
			AddExpression(reader, AsNode(As<ForeignScan>(plan)->fdw_exprs));
			return true;
		case T_CustomScan:
			node->kind = NodeKind::kCustomScan;
			AddRelation(reader, node, ScanRelation(plan));
			reader->hash = CombineText(reader->hash, As<CustomScan>(plan)->methods->CustomName);
			AddExpression(reader, AsNode(As<CustomScan>(plan)->custom_exprs));
			return true;
		default: return false;
	}
}

bool ReadJoinOrHash(PlanReader *reader, Plan *plan, PlanNode *node)
{
	switch (nodeTag(plan)) {
		case T_NestLoop:
			node->kind = NodeKind::kNestLoop;
			node->num_keys = Saturate(list_length(As<NestLoop>(plan)->nestParams));
			ReadJoin(reader, As<Join>(plan), node);
			return true;
		case T_MergeJoin:
			node->kind = NodeKind::kMergeJoin;
			ReadJoin(reader, As<Join>(plan), node);
			AddClauseKeys(reader, node, As<MergeJoin>(plan)->mergeclauses);
			return true;
		case T_HashJoin:
			node->kind = NodeKind::kHashJoin;
			ReadJoin(reader, As<Join>(plan), node);
			AddClauseKeys(reader, node, As<HashJoin>(plan)->hashclauses);
			return true;
		case T_Hash:
			/* its keys are the other half of the join's clauses */
			node->kind = NodeKind::kHash;
			node->memory = plan->parallel_aware ? MemoryClass::kParallelHash : MemoryClass::kHash;
			node->num_keys = Saturate(list_length(As<Hash>(plan)->hashkeys));
			return true;
		default: return false;
	}
}

void ReadOther(PlanReader *reader, Plan *plan, PlanNode *node)
{
	switch (nodeTag(plan)) {
		case T_Result:
			node->kind = NodeKind::kResult;
			AddExpression(reader, As<Result>(plan)->resconstantqual);
			break;
		case T_ProjectSet: node->kind = NodeKind::kProjectSet; break;
		case T_ModifyTable:
			node->kind = NodeKind::kModifyTable;
			ReadModifyTable(reader, As<ModifyTable>(plan), node);
			break;
		case T_Append: node->kind = NodeKind::kAppend; break;
		case T_MergeAppend:
			node->kind = NodeKind::kMergeAppend;
			AddKeys(reader, node, As<MergeAppend>(plan)->numCols, As<MergeAppend>(plan)->sortColIdx,
			        As<MergeAppend>(plan)->sortOperators);
			break;
		case T_RecursiveUnion: {
			/* without duplicates to remove it only has tuplestores */
			const RecursiveUnion *recursive = As<RecursiveUnion>(plan);
			node->kind = NodeKind::kRecursiveUnion;
			node->memory = recursive->numCols > 0 ? MemoryClass::kUnbounded : MemoryClass::kTuplestore;
			AddKeys(reader, node, recursive->numCols, recursive->dupColIdx, recursive->dupOperators);
			break;
		}
		case T_BitmapAnd: node->kind = NodeKind::kBitmapAnd; break;
		case T_BitmapOr: node->kind = NodeKind::kBitmapOr; break;
		case T_Material:
			node->kind = NodeKind::kMaterial;
			node->memory = MemoryClass::kTuplestore;
			break;
		case T_Memoize:
			node->kind = NodeKind::kMemoize;
			node->memory = MemoryClass::kMemoize;
			node->groups = static_cast<float>(As<Memoize>(plan)->est_entries);
			node->num_keys = Saturate(As<Memoize>(plan)->numKeys);
			AddExpression(reader, AsNode(As<Memoize>(plan)->param_exprs));
			break;
		case T_Sort:
			node->kind = NodeKind::kSort;
			node->memory = MemoryClass::kSort;
			ReadSort(reader, As<Sort>(plan), node);
			break;
		case T_IncrementalSort:
			node->kind = NodeKind::kIncrementalSort;
			node->memory = MemoryClass::kIncrementalSort;
			ReadSort(reader, As<Sort>(plan), node);
			Add(reader, static_cast<uint64_t>(As<IncrementalSort>(plan)->nPresortedCols));
			break;
		case T_Group:
			node->kind = NodeKind::kGroup;
			AddKeys(reader, node, As<Group>(plan)->numCols, As<Group>(plan)->grpColIdx, As<Group>(plan)->grpOperators);
			break;
		case T_Agg:
			node->kind = NodeKind::kAgg;
			ReadAgg(reader, As<Agg>(plan), node);
			break;
		case T_WindowAgg: {
			const WindowAgg *window = As<WindowAgg>(plan);
			node->kind = NodeKind::kWindowAgg;
			node->memory = MemoryClass::kTuplestore;
			AddKeys(reader, node, window->partNumCols, window->partColIdx, window->partOperators);
			AddKeys(reader, node, window->ordNumCols, window->ordColIdx, window->ordOperators);
			Add(reader, static_cast<uint64_t>(window->frameOptions));
			break;
		}
		case T_Unique:
			node->kind = NodeKind::kUnique;
			AddKeys(reader, node, As<Unique>(plan)->numCols, As<Unique>(plan)->uniqColIdx, nullptr);
			break;
		case T_Gather:
			node->kind = NodeKind::kGather;
			node->workers = Saturate(As<Gather>(plan)->num_workers);
			break;
		case T_GatherMerge:
			node->kind = NodeKind::kGatherMerge;
			node->workers = Saturate(As<GatherMerge>(plan)->num_workers);
			AddKeys(reader, node, As<GatherMerge>(plan)->numCols, As<GatherMerge>(plan)->sortColIdx,
			        As<GatherMerge>(plan)->sortOperators);
			break;
		case T_SetOp:
			node->kind = NodeKind::kSetOp;
			node->num_keys = Saturate(As<SetOp>(plan)->numCols);
			node->memory = As<SetOp>(plan)->strategy == SETOP_HASHED ? MemoryClass::kUnbounded : MemoryClass::kNone;
			Add(reader, As<SetOp>(plan)->cmd);
			Add(reader, As<SetOp>(plan)->strategy);
			break;
		case T_LockRows: node->kind = NodeKind::kLockRows; break;
		case T_Limit:
			node->kind = NodeKind::kLimit;
			reader->graph->has_limit = true;
			Add(reader, (As<Limit>(plan)->limitCount != nullptr) | (As<Limit>(plan)->limitOffset != nullptr) << 1);
			break;
		default: node->kind = NodeKind::kOther; break;
	}
}

}  // namespace

void ReadNodeDetails(PlanReader *reader, Plan *plan, PlanNode *node)
{
	reader->hash = kIdentitySeed;
	reader->num_aggregates = 0;

	node->rows = static_cast<float>(plan->plan_rows);
	node->width = static_cast<float>(plan->plan_width);
	node->startup_cost = static_cast<float>(plan->startup_cost);
	node->total_cost = static_cast<float>(plan->total_cost);
	node->num_quals = Saturate(list_length(plan->qual));
	node->num_columns = Saturate(list_length(plan->targetlist));
	if (plan->parallel_aware)
		node->flags |= kParallelAware;

	if (!ReadScan(reader, plan, node) && !ReadJoinOrHash(reader, plan, node))
		ReadOther(reader, plan, node);

	AddExpression(reader, AsNode(plan->qual));
	AddTargetList(reader, plan->targetlist);
	node->num_aggregates = Saturate(reader->num_aggregates);
	node->identity = reader->hash;
}

}  // namespace wlm
