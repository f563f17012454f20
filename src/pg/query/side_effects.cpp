/*
 * side_effects.cpp
 *
 * PostgreSQL 15 to 18 have no walker over plans, hence the list of nodes and of their expressions here. What is not
 * in it is taken to have side effects: nodes of later versions, foreign tables (another server may do anything)
 * and custom scans.
 *
 * Functions count by what they are declared to be. Stable is not enough: a function may move what its session has, such as a cursor, and
 * be declared stable, for it changes no table. Nothing but PARALLEL SAFE rules that out, of functions that PostgreSQL does not bring along.
 * Of user-defined aggregates and window functions the functions that they are
 * made of. Domains are not looked into: their checks may call anything.
 */
#include "pg/query/side_effects.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace wlm {

namespace {

bool LeavesTraces(Oid function)
{
	return OidIsValid(function) && (func_volatile(function) == PROVOLATILE_VOLATILE ||
	                                (function >= FirstNormalObjectId && func_parallel(function) != PROPARALLEL_SAFE));
}

bool FunctionLeavesTraces(Oid function, void *) { return LeavesTraces(function); }

/* An aggregate itself is always declared immutable; its functions need not be. */
bool AggregateLeavesTraces(Oid aggregate)
{
	if (aggregate < FirstNormalObjectId)
		return false;
	HeapTuple const tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	if (!HeapTupleIsValid(tuple))
		return true;
	const FormData_pg_aggregate form = *reinterpret_cast<FormData_pg_aggregate *>(GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	return LeavesTraces(form.aggtransfn) || LeavesTraces(form.aggfinalfn) || LeavesTraces(form.aggcombinefn) ||
	       LeavesTraces(form.aggserialfn) || LeavesTraces(form.aggdeserialfn) || LeavesTraces(form.aggmtransfn) ||
	       LeavesTraces(form.aggminvtransfn) || LeavesTraces(form.aggmfinalfn);
}

bool WalkExpression(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (check_functions_in_node(node, FunctionLeavesTraces, nullptr))
		return true;
	switch (nodeTag(node)) {
		case T_NextValueExpr:
		case T_CoerceToDomain:
			return true;
		case T_Aggref:
			if (AggregateLeavesTraces(reinterpret_cast<Aggref *>(node)->aggfnoid))
				return true;
			break;
		case T_WindowFunc: {
			const WindowFunc *function = reinterpret_cast<WindowFunc *>(node);
			if (function->winagg && AggregateLeavesTraces(function->winfnoid))
				return true;
			break;
		}
		default:
			break;
	}
#if PG_VERSION_NUM >= 160000
	return expression_tree_walker(node, WalkExpression, context);
#else
	/* declared without parameter types up to 15; the detour over void () says that this is meant */
	return expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(WalkExpression)), context);
#endif
}

/* An expression, a list of them, or null. */
template <typename Expression>
bool Unsafe(Expression *expression) { return WalkExpression(reinterpret_cast<Node *>(expression), nullptr); }

template <typename Type>
Type *As(Plan *plan) { return reinterpret_cast<Type *>(plan); }

bool VisitPlan(Plan *plan);

bool VisitPlans(List *plans)
{
	ListCell *cell;

	foreach (cell, plans)
		if (VisitPlan(static_cast<Plan *>(lfirst(cell))))
			return true;
	return false;
}

/* What only this kind of node has: expressions, and children that are neither outer nor inner. */
bool VisitOwn(Plan *plan)
{
	switch (nodeTag(plan)) {
		case T_ProjectSet:
		case T_RecursiveUnion:
		case T_SeqScan:
		case T_CteScan:
		case T_WorkTableScan:
		case T_Material:
		case T_Sort:
		case T_IncrementalSort:
		case T_Group:
		case T_Unique:
		case T_SetOp:
		case T_Gather:
		case T_GatherMerge:
		case T_Agg:
			return false;
		case T_Result: return Unsafe(As<Result>(plan)->resconstantqual);
		case T_Append: return VisitPlans(As<Append>(plan)->appendplans);
		case T_MergeAppend: return VisitPlans(As<MergeAppend>(plan)->mergeplans);
		case T_BitmapAnd: return VisitPlans(As<BitmapAnd>(plan)->bitmapplans);
		case T_BitmapOr: return VisitPlans(As<BitmapOr>(plan)->bitmapplans);
		case T_SubqueryScan: return VisitPlan(As<SubqueryScan>(plan)->subplan);
		case T_SampleScan: return Unsafe(As<SampleScan>(plan)->tablesample);
		case T_IndexScan: return Unsafe(As<IndexScan>(plan)->indexqual) || Unsafe(As<IndexScan>(plan)->indexorderby);
		case T_IndexOnlyScan:
			return Unsafe(As<IndexOnlyScan>(plan)->indexqual) || Unsafe(As<IndexOnlyScan>(plan)->indexorderby);
		case T_BitmapIndexScan: return Unsafe(As<BitmapIndexScan>(plan)->indexqual);
		case T_BitmapHeapScan: return Unsafe(As<BitmapHeapScan>(plan)->bitmapqualorig);
		case T_TidScan: return Unsafe(As<TidScan>(plan)->tidquals);
		case T_TidRangeScan: return Unsafe(As<TidRangeScan>(plan)->tidrangequals);
		case T_FunctionScan: return Unsafe(As<FunctionScan>(plan)->functions);
		case T_TableFuncScan: return Unsafe(As<TableFuncScan>(plan)->tablefunc);
		case T_ValuesScan: return Unsafe(As<ValuesScan>(plan)->values_lists);
		case T_NestLoop: return Unsafe(As<NestLoop>(plan)->join.joinqual);
		case T_MergeJoin: return Unsafe(As<MergeJoin>(plan)->join.joinqual) || Unsafe(As<MergeJoin>(plan)->mergeclauses);
		case T_HashJoin:
			return Unsafe(As<HashJoin>(plan)->join.joinqual) || Unsafe(As<HashJoin>(plan)->hashclauses) ||
			       Unsafe(As<HashJoin>(plan)->hashkeys);
		case T_Hash: return Unsafe(As<Hash>(plan)->hashkeys);
		case T_Memoize: return Unsafe(As<Memoize>(plan)->param_exprs);
		case T_WindowAgg:
			return Unsafe(As<WindowAgg>(plan)->startOffset) || Unsafe(As<WindowAgg>(plan)->endOffset) ||
			       Unsafe(As<WindowAgg>(plan)->runCondition);
		case T_Limit: return Unsafe(As<Limit>(plan)->limitOffset) || Unsafe(As<Limit>(plan)->limitCount);
		default: return true;
	}
}

bool VisitPlan(Plan *plan)
{
	if (plan == nullptr)
		return false;
	return Unsafe(plan->targetlist) || Unsafe(plan->qual) || Unsafe(plan->initPlan) || VisitOwn(plan) || VisitPlan(plan->lefttree) ||
	       VisitPlan(plan->righttree);
}

}  // namespace

bool HasSideEffects(const PlannedStmt *statement)
{
	return statement->commandType != CMD_SELECT || statement->utilityStmt != nullptr || statement->hasModifyingCTE ||
	       statement->hasReturning || statement->rowMarks != NIL || VisitPlan(statement->planTree) || VisitPlans(statement->subplans);
}

}  // namespace wlm
