/*
 * index_build.cpp
 *
 * Names are resolved without locks: the statement does that again under its own
 * locks, and an estimate may be out of date. Only the size of a table is read
 * under a lock that is taken if it is free and given back at once.
 */
#include "pg/grant/index_build.hpp"

#include <algorithm>

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "optimizer/plancat.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace wlm {

namespace {

constexpr double kExpressionWidth = 32; /* bytes: get_typavgwidth()'s guess for what it does not know */

struct RelationKind {
	char kind;      /* '\0' = there is none */
	Oid access_method;
};

RelationKind KindOf(Oid relation)
{
	RelationKind kind = {'\0', InvalidOid};
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));

	if (HeapTupleIsValid(tuple)) {
		const FormData_pg_class *form = reinterpret_cast<const FormData_pg_class *>(GETSTRUCT(tuple));
		kind = {form->relkind, form->relam};
		ReleaseSysCache(tuple);
	}
	return kind;
}

bool HasOwnRows(char relation_kind) { return relation_kind == RELKIND_RELATION || relation_kind == RELKIND_MATVIEW; }

/* As the planner would say; 0 if somebody is changing the table. */
double RowsOf(Oid table)
{
	double rows = 0, all_visible;
	BlockNumber pages;

	if (!HasOwnRows(KindOf(table).kind) || !ConditionalLockRelationOid(table, AccessShareLock))
		return 0;
	Relation relation = try_relation_open(table, NoLock);
	if (relation != nullptr) {
		estimate_rel_size(relation, nullptr, &pages, &rows, &all_visible);
		relation_close(relation, NoLock);
	}
	UnlockRelationOid(table, AccessShareLock);
	return rows;
}

/* Of a partitioned table, the largest partition's: indexes are built one after the other. */
double MostRowsOf(Oid table)
{
	if (KindOf(table).kind != RELKIND_PARTITIONED_TABLE)
		return RowsOf(table);

	double most = 0;
	ListCell *cell;
	List *members = find_all_inheritors(table, NoLock, nullptr);
	foreach(cell, members)
		most = std::max(most, RowsOf(lfirst_oid(cell)));
	list_free(members);
	return most;
}

/* Bytes of an average value, from ANALYZE or else from its type. */
double WidthOf(Oid relation, AttrNumber attribute)
{
	Oid type, collation;
	int32 type_modifier;
	const int32 average = get_attavgwidth(relation, attribute);

	if (average > 0)
		return average;
	if (!SearchSysCacheExists2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(attribute)))
		return kExpressionWidth;
	get_atttypetypmodcoll(relation, attribute, &type, &type_modifier, &collation);
	return OidIsValid(type) ? get_typavgwidth(type, type_modifier) : kExpressionWidth;
}

double WidthOfName(Oid table, const char *name)
{
	const AttrNumber attribute = get_attnum(table, name);

	return attribute == InvalidAttrNumber ? 0 : WidthOf(table, attribute);
}

/*
 * B-tree: every index tuple is in memory at once (tuplesort.c): header of 8 bytes and key, the allocator's chunk header, and the
 * array of SortTuples, which grows by doubling.
 * GIN: a list of item pointers for each distinct element (ginbulk.c), doubled when full; elements of 8 bytes
 * on average make 12 bytes of list for 8 of value, entries come on top.
 * The others use the setting for a decision or not at all: a larger one does not help them.
 */
double BuildKb(Oid access_method, double rows, double width)
{
	constexpr double kIndexTupleHeader = 8, kChunkHeader = 16, kSortTuple = 24;

	if (access_method == BTREE_AM_OID)
		return rows * (static_cast<double>(MAXALIGN(static_cast<Size>(kIndexTupleHeader + width))) + kChunkHeader + 2 * kSortTuple) / 1024;
	if (access_method == GIN_AM_OID)
		return rows * 2 * width / 1024;
	return 0;
}

Oid Resolve(const RangeVar *name) { return name != nullptr ? RangeVarGetRelid(name, NoLock, true) : InvalidOid; }

/* Keys as written: nothing is parsed yet. */
double WidthOfElements(Oid table, List *elements)
{
	double width = 0;
	ListCell *cell;

	foreach(cell, elements) {
		const IndexElem *element = lfirst_node(IndexElem, cell);
		width += element->name != nullptr ? WidthOfName(table, element->name) : kExpressionWidth;
	}
	return width;
}

double CreateIndexKb(const IndexStmt *statement)
{
	if (statement->concurrent || statement->relation == nullptr)
		return 0;
	const Oid table = Resolve(statement->relation);
	if (!OidIsValid(table) || (!statement->relation->inh && KindOf(table).kind == RELKIND_PARTITIONED_TABLE))
		return 0;
	const double width = WidthOfElements(table, statement->indexParams) + WidthOfElements(table, statement->indexIncludingParams);

	return BuildKb(get_index_am_oid(statement->accessMethod, true), MostRowsOf(table), width);
}

/* The index as it is; `rows` are those of its table. */
double RebuildKb(const FormData_pg_index *index, double rows)
{
	double width = 0;

	for (int i = 0; i < index->indnatts; i++) {
		const AttrNumber attribute = index->indkey.values[i];
		width += attribute != 0 ? WidthOf(index->indrelid, attribute)
		                        : WidthOf(index->indexrelid, static_cast<AttrNumber>(i + 1)); /* an expression has statistics of its own */
	}
	return BuildKb(KindOf(index->indexrelid).access_method, rows, width);
}

double ReindexIndexKb(Oid index)
{
	HeapTuple tuple = OidIsValid(index) && KindOf(index).kind == RELKIND_INDEX
	                      ? SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index)) : nullptr;
	if (!HeapTupleIsValid(tuple))
		return 0;
	const FormData_pg_index *form = reinterpret_cast<const FormData_pg_index *>(GETSTRUCT(tuple));
	const double kb = RebuildKb(form, RowsOf(form->indrelid));

	ReleaseSysCache(tuple);
	return kb;
}

/* All indexes of a table. */
double ReindexTableKb(Oid table)
{
	ScanKeyData key;
	HeapTuple tuple;
	double most = 0;

	if (!OidIsValid(table) || !HasOwnRows(KindOf(table).kind))
		return 0;
	const double rows = RowsOf(table);
	Relation catalog = table_open(IndexRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	SysScanDesc scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, nullptr, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		most = std::max(most, RebuildKb(reinterpret_cast<const FormData_pg_index *>(GETSTRUCT(tuple)), rows));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return most;
}

double ReindexKb(const ReindexStmt *statement)
{
	ListCell *cell;

	foreach(cell, statement->params)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "concurrently") == 0)
			return 0;
	if (statement->kind == REINDEX_OBJECT_INDEX)
		return ReindexIndexKb(Resolve(statement->relation));
	return statement->kind == REINDEX_OBJECT_TABLE ? ReindexTableKb(Resolve(statement->relation)) : 0;
}

/* CONCURRENTLY changes rows in place and builds nothing. Rows are expected to be as many as there were. */
double RefreshKb(const RefreshMatViewStmt *statement)
{
	return statement->concurrent || statement->skipData ? 0 : ReindexTableKb(Resolve(statement->relation));
}

double AddedConstraintKb(Oid table, const Constraint *constraint)
{
	double width = 0;
	ListCell *cell;

	if ((constraint->contype != CONSTR_PRIMARY && constraint->contype != CONSTR_UNIQUE) || constraint->indexname != nullptr)
		return 0;
	foreach(cell, constraint->keys)
		width += WidthOfName(table, strVal(lfirst(cell)));
	foreach(cell, constraint->including)
		width += WidthOfName(table, strVal(lfirst(cell)));
	return BuildKb(BTREE_AM_OID, MostRowsOf(table), width);
}

double AlterTableKb(const AlterTableStmt *statement)
{
	double most = 0;
	ListCell *cell;

	foreach(cell, statement->cmds) {
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype != AT_AddConstraint || command->def == nullptr || !IsA(command->def, Constraint))
			continue;
		const Oid table = Resolve(statement->relation);
		if (OidIsValid(table))
			most = std::max(most, AddedConstraintKb(table, reinterpret_cast<const Constraint *>(command->def)));
	}
	return most;
}

}  // namespace

bool MayBuildIndexes(const Node *utility)
{
	switch (nodeTag(utility)) {
		case T_IndexStmt:
		case T_ReindexStmt:
		case T_RefreshMatViewStmt:
		case T_AlterTableStmt:
			return true;
		default:
			return false;
	}
}

double IndexBuildKb(const Node *utility)
{
	switch (nodeTag(utility)) {
		case T_IndexStmt:
			return CreateIndexKb(reinterpret_cast<const IndexStmt *>(utility));
		case T_ReindexStmt:
			return ReindexKb(reinterpret_cast<const ReindexStmt *>(utility));
		case T_RefreshMatViewStmt:
			return RefreshKb(reinterpret_cast<const RefreshMatViewStmt *>(utility));
		case T_AlterTableStmt:
			return AlterTableKb(reinterpret_cast<const AlterTableStmt *>(utility));
		default:
			return 0;
	}
}

}  // namespace wlm
