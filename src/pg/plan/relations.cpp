/*
 * relations.cpp
 *
 * Names and sizes of relations, read in place from the syscache. Names, not
 * OIDs, make the identity: it survives dump and restore. Which partitions are
 * left after pruning must not show in it.
 */
#include "pg/plan/plan_reader.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "parser/parsetree.h"
#include "utils/syscache.h"
}

#include <algorithm>
#include <cstring>

namespace wlm {

namespace {

constexpr uint64_t kRelationSeed = Mix(0x72656c6174696f6e);
constexpr uint64_t kEntrySeed = Mix(0x7274656e747279);

/* The AppendRelInfo of a child, or null. Children come in order mostly: go on where the last one was. */
AppendRelInfo *FindParent(PlanReader *reader, Index rti)
{
	List *infos = reader->statement->appendRelations;
	const int length = list_length(infos);
	int i = reader->append_cursor;

	for (int step = 0; step < length; step++, i++) {
		if (i >= length)
			i = 0;
		AppendRelInfo *info = static_cast<AppendRelInfo *>(list_nth(infos, i));
		if (info == nullptr || info->child_relid != rti)
			continue;
		reader->append_cursor = i + 1;
		const Index parent = info->parent_relid;
		if (parent == 0 || parent > static_cast<Index>(list_length(reader->statement->rtable)))
			return nullptr;
		/* the members of a UNION ALL have a sub-query for a parent: they keep their names */
		return rt_fetch(parent, reader->statement->rtable)->rtekind == RTE_RELATION ? info : nullptr;
	}
	return nullptr;
}

uint64_t NamespaceIdentity(Oid oid)
{
	uint64_t hash = kRelationSeed;
	HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return hash;
	const char *name = NameStr(reinterpret_cast<Form_pg_namespace>(GETSTRUCT(tuple))->nspname);
	/* every session has a number of its own in the name */
	hash = CombineText(hash, strncmp(name, "pg_temp_", 8) == 0 ? "pg_temp" : name);
	ReleaseSysCache(tuple);
	return hash;
}

/* Numbers always, the name's identity only if it has none from a parent. */
void ReadClass(Oid oid, bool named, RelationEntry *entry)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return;
	const FormData_pg_class *relation = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
	entry->rows = std::max(relation->reltuples, 0.0f); /* -1 = never analysed */
	entry->pages = static_cast<float>(std::max(relation->relpages, 0));
	if (named)
		entry->identity = CombineText(NamespaceIdentity(relation->relnamespace), NameStr(relation->relname));
	ReleaseSysCache(tuple);
}

}  // namespace

RelationEntry LookupRelation(PlanReader *reader, Index rti)
{
	RelationEntry *slot = &reader->relations[rti % kRelationCacheSize];
	if (slot->rti == rti)
		return *slot;

	RelationEntry entry = {};
	entry.rti = rti;
	entry.identity = kEntrySeed;
	if (rti == 0 || rti > static_cast<Index>(list_length(reader->statement->rtable)))
		return entry;

	const RangeTblEntry *rte = rt_fetch(rti, reader->statement->rtable);
	entry.identity = Combine(kEntrySeed, rte->rtekind);
	if (rte->rtekind == RTE_RELATION) {
		entry.parent = FindParent(reader, rti);
		/* a parent's range table entry always comes before its children's: this ends */
		if (entry.parent != nullptr && entry.parent->parent_relid < rti)
			entry.identity = LookupRelation(reader, entry.parent->parent_relid).identity;
		else
			entry.parent = nullptr;
		ReadClass(rte->relid, entry.parent == nullptr, &entry);
	}
	*slot = entry;
	return entry;
}

void AddRelation(PlanReader *reader, PlanNode *node, Index rti)
{
	if (rti == 0) /* a join pushed down to a foreign server */
		return;
	const RelationEntry entry = LookupRelation(reader, rti);
	reader->hash = Combine(reader->hash, entry.identity);
	node->relation_rows = entry.rows;
	node->relation_pages = entry.pages;
}

void AddIndex(PlanReader *reader, PlanNode *node, Index rti, Oid index)
{
	AddRelation(reader, node, rti);
	if (LookupRelation(reader, rti).parent != nullptr)
		return;
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple))
		return;
	reader->hash = CombineText(reader->hash, NameStr(reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relname));
	ReleaseSysCache(tuple);
}

}  // namespace wlm
