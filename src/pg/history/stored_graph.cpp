/*
 * stored_graph.cpp
 *
 * Histories repeat themselves: most look-ups are of few plans. So the bytes of
 * up to kMostBytes of them are kept; then everything is forgotten at once.
 */
#include "pg/history/stored_graph.hpp"

#include <span>

extern "C" {
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
}

#include "core/plan/restore_graph.hpp"

namespace wlm {

namespace {

constexpr Size kMostBytes = 32 * 1024 * 1024;

struct Entry {
	uint64 fingerprint; /* the key */
	int num_nodes;      /* 0 = there is none */
	PlanNode *nodes;
};

}  // namespace

struct StoredGraphs {
	MemoryContext context;  /* of the entries */
	HTAB *entries;
	Size bytes;
	SPIPlanPtr query;
	PlanGraph graph;
};

namespace {

void Forget(StoredGraphs *graphs)
{
	HASHCTL control = {};

	MemoryContextReset(graphs->context);
	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(Entry);
	control.hcxt = graphs->context;
	graphs->entries = hash_create("pg_wlm stored graphs", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	graphs->bytes = 0;
}

void Fetch(StoredGraphs *graphs, Entry *entry)
{
	Datum values[] = {Int64GetDatum(static_cast<int64>(entry->fingerprint)), Int16GetDatum(kGraphFormat)};
	bool null;

	entry->num_nodes = 0;
	entry->nodes = nullptr;
	graphs->bytes += sizeof(Entry);
	if (SPI_execute_plan(graphs->query, values, nullptr, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read wlm.plan");
	if (SPI_processed == 1) {
		const Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
		const bytea *graph = null ? nullptr : DatumGetByteaPP(value);
		const Size bytes = null ? 0 : VARSIZE_ANY_EXHDR(graph);

		if (bytes > 0 && bytes % sizeof(PlanNode) == 0 && bytes / sizeof(PlanNode) <= kMaxPlanNodes) {
			entry->nodes = static_cast<PlanNode *>(MemoryContextAlloc(graphs->context, bytes));
			memcpy(entry->nodes, VARDATA_ANY(graph), bytes);
			entry->num_nodes = static_cast<int>(bytes / sizeof(PlanNode));
			graphs->bytes += bytes;
		}
	}
	SPI_freetuptable(SPI_tuptable);
}

}  // namespace

StoredGraphs *OpenStoredGraphs()
{
	Oid types[] = {INT8OID, INT2OID};
	auto *graphs = static_cast<StoredGraphs *>(palloc(sizeof(StoredGraphs)));

	graphs->context = AllocSetContextCreate(CurrentMemoryContext, "pg_wlm stored graphs", ALLOCSET_DEFAULT_SIZES);
	graphs->query = SPI_prepare("SELECT graph FROM wlm.plan WHERE fingerprint = $1 AND format = $2", lengthof(types), types);
	if (graphs->query == nullptr)
		elog(ERROR, "could not prepare reading wlm.plan: %s", SPI_result_code_string(SPI_result));
	Forget(graphs);
	return graphs;
}

const PlanGraph *FindStoredGraph(StoredGraphs *graphs, uint64 fingerprint, CommandKind command)
{
	bool found;

	if (graphs->bytes > kMostBytes)
		Forget(graphs);
	auto *entry = static_cast<Entry *>(hash_search(graphs->entries, &fingerprint, HASH_ENTER, &found));
	if (!found) {
		entry->num_nodes = 0; /* should reading raise */
		Fetch(graphs, entry);
	}
	if (entry->num_nodes == 0)
		return nullptr;
	const std::span<const PlanNode> nodes(entry->nodes, static_cast<size_t>(entry->num_nodes));
	return RestoreGraph(nodes, command, &graphs->graph) ? &graphs->graph : nullptr;
}

}  // namespace wlm
