/*
 * expressions.cpp
 *
 * Expressions as part of a template: operators, functions and columns count,
 * constants do not. An expression that only constants and external parameters
 * go into counts as one constant, because the planner folds it when it knows
 * the values and keeps it in a generic plan.
 *
 * OIDs of operators and functions stand for themselves: those of PostgreSQL
 * are fixed, those of users do not change as long as the objects exist.
 */
#include "pg/plan/plan_reader.hpp"

extern "C" {
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "utils/lsyscache.h"
}

#include <algorithm>

namespace wlm {

namespace {

constexpr uint64_t kConstant = Mix(0x636f6e7374616e74);
constexpr uint64_t kNodeSeed = Mix(0x65787072);

bool WalkExpression(Node *node, void *context);

/* Our own numbers, not NodeTag's: those change with each major version. They are part of the fingerprint. */
enum class Code : uint64_t {
	kOther = 0,
	kVar,
	kParam,
	kOperator,
	kDistinct,
	kNullIf,
	kScalarArray,
	kFunction,
	kAggregate,
	kWindowFunction,
	kBool,
	kNullTest,
	kBooleanTest,
	kMinMax,
	kValueFunction,
	kRowCompare,
	kFieldSelect,
	kSubPlan,
	kCase,
	kCoalesce,
	kArray,
	kRow,
	kSubscript,
	kRelabel,
	kCoerceViaIo,
	kArrayCoerce,
	kXml,
	kGrouping,
	kCurrentOf
};

uint64_t Hash(Code code, uint64_t detail) { return Combine(kNodeSeed + static_cast<uint64_t>(code), detail); }

void WalkParts(Node *node, PlanReader *reader)
{
#if PG_VERSION_NUM >= 160000
	expression_tree_walker(node, WalkExpression, reader);
#else
	/* declared without parameter types up to 15; the detour over void () says that this is meant */
	expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(WalkExpression)), reader);
#endif
}

uint64_t HashVar(PlanReader *reader, const Var *var)
{
	if (IS_SPECIAL_VARNO(var->varno))
		return Combine(static_cast<uint64_t>(var->varno), static_cast<uint64_t>(var->varattno));

	/* a partition's column counts as its topmost parent's */
	AttrNumber column = var->varattno;
	RelationEntry relation = LookupRelation(reader, static_cast<Index>(var->varno));
	while (relation.parent != nullptr) {
		const AppendRelInfo *info = relation.parent;
		if (column > 0 && column <= info->num_child_cols)
			column = info->parent_colnos[column - 1];
		relation = LookupRelation(reader, info->parent_relid);
	}
	return Combine(relation.identity, static_cast<uint64_t>(column));
}

void RememberSubPlan(PlanReader *reader, SubPlan *sub_plan)
{
	for (int i = 0; i < reader->num_pending; i++) {
		if (reader->pending[i]->plan_id == sub_plan->plan_id)
			return;
	}
	if (reader->num_pending >= kMaxPendingSubPlans)
		reader->graph->overflow = true;
	else
		reader->pending[reader->num_pending++] = sub_plan;
}

/* The kind of node, and what distinguishes two of a kind. */
uint64_t HashNode(PlanReader *reader, Node *node)
{
	switch (nodeTag(node)) {
		case T_OpExpr: return Hash(Code::kOperator, reinterpret_cast<OpExpr *>(node)->opno);
		case T_DistinctExpr: return Hash(Code::kDistinct, reinterpret_cast<DistinctExpr *>(node)->opno);
		case T_NullIfExpr: return Hash(Code::kNullIf, reinterpret_cast<NullIfExpr *>(node)->opno);
		case T_ScalarArrayOpExpr:
			return Hash(Code::kScalarArray,
			            Combine(reinterpret_cast<ScalarArrayOpExpr *>(node)->opno,
			                    reinterpret_cast<ScalarArrayOpExpr *>(node)->useOr));
		case T_FuncExpr: return Hash(Code::kFunction, reinterpret_cast<FuncExpr *>(node)->funcid);
		case T_Aggref: {
			const Aggref *aggregate = reinterpret_cast<Aggref *>(node);
			reader->num_aggregates = std::max(reader->num_aggregates, aggregate->aggno + 1);
			return Hash(Code::kAggregate, Combine(aggregate->aggfnoid, aggregate->aggdistinct != NIL));
		}
		case T_WindowFunc:
			reader->num_aggregates++;
			return Hash(Code::kWindowFunction, reinterpret_cast<WindowFunc *>(node)->winfnoid);
		case T_BoolExpr: return Hash(Code::kBool, reinterpret_cast<BoolExpr *>(node)->boolop);
		case T_NullTest: return Hash(Code::kNullTest, reinterpret_cast<NullTest *>(node)->nulltesttype);
		case T_BooleanTest: return Hash(Code::kBooleanTest, reinterpret_cast<BooleanTest *>(node)->booltesttype);
		case T_MinMaxExpr: return Hash(Code::kMinMax, reinterpret_cast<MinMaxExpr *>(node)->op);
		case T_SQLValueFunction: return Hash(Code::kValueFunction, reinterpret_cast<SQLValueFunction *>(node)->op);
		case T_RowCompareExpr:
			return Hash(Code::kRowCompare, list_length(reinterpret_cast<RowCompareExpr *>(node)->opnos));
		case T_FieldSelect:
			return Hash(Code::kFieldSelect, static_cast<uint64_t>(reinterpret_cast<FieldSelect *>(node)->fieldnum));
		case T_SubPlan:
			RememberSubPlan(reader, reinterpret_cast<SubPlan *>(node));
			return Hash(Code::kSubPlan, reinterpret_cast<SubPlan *>(node)->subLinkType);
		case T_CaseExpr: return Hash(Code::kCase, 0);
		case T_CoalesceExpr: return Hash(Code::kCoalesce, 0);
		case T_ArrayExpr: return Hash(Code::kArray, 0);
		case T_RowExpr: return Hash(Code::kRow, 0);
		case T_SubscriptingRef: return Hash(Code::kSubscript, 0);
		case T_RelabelType: return Hash(Code::kRelabel, 0);
		case T_CoerceViaIO: return Hash(Code::kCoerceViaIo, reinterpret_cast<CoerceViaIO *>(node)->resulttype);
		case T_ArrayCoerceExpr: return Hash(Code::kArrayCoerce, 0);
		case T_XmlExpr: return Hash(Code::kXml, reinterpret_cast<XmlExpr *>(node)->op);
		case T_GroupingFunc: return Hash(Code::kGrouping, 0);
		case T_CurrentOfExpr: return Hash(Code::kCurrentOf, 0);
		default: return Hash(Code::kOther, 0);
	}
}

/* Whether the planner folds this node when its inputs are constants. */
bool IsFoldable(Node *node)
{
	switch (nodeTag(node)) {
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr: return func_volatile(reinterpret_cast<OpExpr *>(node)->opfuncid) != PROVOLATILE_VOLATILE;
		case T_FuncExpr: {
			const FuncExpr *function = reinterpret_cast<FuncExpr *>(node);
			return function->args != NIL && !function->funcretset &&
				func_volatile(function->funcid) != PROVOLATILE_VOLATILE;
		}
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_CoerceToDomain:
		case T_ArrayExpr:
		case T_List: return true;
		default: return false;
	}
}

bool WalkExpression(Node *node, void *context)
{
	PlanReader *reader = static_cast<PlanReader *>(context);
	if (node == nullptr)
		return false;

	switch (nodeTag(node)) {
		case T_Const: reader->hash = Combine(reader->hash, kConstant); return false;
		case T_Param:
			if (reinterpret_cast<Param *>(node)->paramkind == PARAM_EXTERN) {
				reader->hash = Combine(reader->hash, kConstant);
				return false;
			}
			reader->hash = Combine(reader->hash, Hash(Code::kParam, 0));
			reader->varies = true;
			return false;
		case T_Var:
			reader->hash = Combine(reader->hash, Hash(Code::kVar, HashVar(reader, reinterpret_cast<Var *>(node))));
			reader->varies = true;
			return false;
		default: break;
	}

	const uint64_t hash_so_far = reader->hash;
	const bool varied = reader->varies;
	reader->hash = HashNode(reader, node);
	reader->varies = false;
	WalkParts(node, reader);
	if (!reader->varies && IsFoldable(node)) {
		reader->hash = Combine(hash_so_far, kConstant);
		reader->varies = varied;
	} else {
		reader->hash = Combine(hash_so_far, reader->hash);
		reader->varies = true;
	}
	return false;
}

}  // namespace

void AddExpression(PlanReader *reader, Node *expression)
{
	if (expression == nullptr)
		return;
	if (IsA(expression, List)) {
		/* the planner orders quals by cost, which depends on constants: a sum has no order */
		const uint64_t hash_so_far = reader->hash;
		uint64_t sum = 0;
		ListCell *cell;
		foreach (cell, reinterpret_cast<List *>(expression)) {
			reader->hash = kNodeSeed;
			WalkExpression(static_cast<Node *>(lfirst(cell)), reader);
			sum += reader->hash;
		}
		reader->hash = Combine(hash_so_far, sum);
		return;
	}
	WalkExpression(expression, reader);
}

void AddTargetList(PlanReader *reader, List *target_list)
{
	ListCell *cell;
	foreach (cell, target_list) {
		Expr *expression = static_cast<TargetEntry *>(lfirst(cell))->expr;
		if (expression == nullptr || IsA(expression, Var) || IsA(expression, Const))
			continue;
		/* an external parameter, and what is made of one, is what elsewhere is a Const */
		const uint64_t hash_so_far = reader->hash;
		reader->varies = false;
		WalkExpression(reinterpret_cast<Node *>(expression), reader);
		if (!reader->varies)
			reader->hash = hash_so_far;
	}
}

}  // namespace wlm
