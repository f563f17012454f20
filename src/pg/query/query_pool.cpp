/*
 * query_pool.cpp
 *
 * Objects are allocated when all are in use, and never freed: a process has as
 * many as it ever had statements open at once.
 */
#include "pg/query/query_pool.hpp"

extern "C" {
#include "storage/ipc.h"
#include "utils/memutils.h"
}

namespace wlm {

int num_managed_queries = 0;

namespace {

/* Everything here is of this process and lives as long as it. */
dlist_head active_queries;
dlist_head free_queries;
bool exit_callback_registered = false;

/* dlist_container() does not compile as C++. */
ManagedQuery *QueryOf(dlist_node *node)
{
	static_assert(offsetof(ManagedQuery, link) == 0);
	return reinterpret_cast<ManagedQuery *>(node);
}

void ReleaseAllAtExit(int, Datum)
{
	while (num_managed_queries > 0)
		ReleaseQuery(QueryOf(dlist_head_node(&active_queries)), FinalState::kFailed);
}

}  // namespace

void InitManagedQueries()
{
	dlist_init(&active_queries);
	dlist_init(&free_queries);
}

void PrepareQueryPool()
{
	if (exit_callback_registered)
		return;
	before_shmem_exit(ReleaseAllAtExit, 0);
	exit_callback_registered = true;
}

ManagedQuery *FindQuery(const QueryDesc *query_desc)
{
	dlist_node *const end = &active_queries.head;

	for (dlist_node *node = end->next; node != end; node = node->next)
		if (QueryOf(node)->query_desc == query_desc)
			return QueryOf(node);
	return nullptr;
}

ManagedQuery *FindQueryOf(const PlannedStmt *statement)
{
	dlist_node *const end = &active_queries.head;

	for (dlist_node *node = end->next; node != end; node = node->next)
		if (QueryOf(node)->query_desc->plannedstmt == statement)
			return QueryOf(node);
	return nullptr;
}

ManagedQuery *TakeQuery()
{
	if (dlist_is_empty(&free_queries))
		return static_cast<ManagedQuery *>(MemoryContextAllocZero(TopMemoryContext, sizeof(ManagedQuery)));
	return QueryOf(dlist_pop_head_node(&free_queries));
}

void PutQueryBack(ManagedQuery *query) { dlist_push_head(&free_queries, &query->link); }

void EnlistQuery(ManagedQuery *query)
{
	dlist_push_head(&active_queries, &query->link);
	num_managed_queries++;
}

void DelistQuery(ManagedQuery *query)
{
	dlist_delete(&query->link);
	num_managed_queries--;
	PutQueryBack(query);
}

}  // namespace wlm
