/*
 * configuration.cpp
 *
 * The tables have constraints, but nothing here relies on them: what makes no
 * sense becomes harmless with a WARNING, because the alternative would be a
 * configuration that nobody can apply. Conditions that name roles or databases
 * which do not exist match nothing.
 */
#include "pg/worker/configuration.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

extern "C" {
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
}

#include "pg/shared_state.hpp"
#include "pg/worker/worker.hpp"

namespace wlm {

namespace {

constexpr const char *kQuery =
	"SELECT name, priority, max_slots, memory_share, max_memory_share, max_queue_length, "
	"(pg_catalog.date_part('epoch', queue_timeout) * 1000)::pg_catalog.float8, "
	"roles, databases, application_name, query_group "
	"FROM wlm.queue ORDER BY ordinal, name";

enum Column : int {
	kName = 1, kPriority, kMaxSlots, kMemoryShare, kMaxMemoryShare, kMaxQueueLength, kTimeoutMs,
	kRoles, kDatabases, kApplicationName, kQueryGroup
};

struct Tuple {
	HeapTuple tuple;
	TupleDesc description;
};

Datum Value(const Tuple &row, int column, bool *null)
{
	return SPI_getbinval(row.tuple, row.description, column, null);
}

/* Text and names alike; empty for null. */
void CopyText(const Tuple &row, int column, char (&target)[kNameLength])
{
	const char *text = SPI_getvalue(row.tuple, row.description, column);
	strlcpy(target, text != nullptr ? text : "", sizeof target);
}

int32 CopyNames(const Tuple &row, int column, const char *queue, char (&target)[kMaxNamesPerQueue][kNameLength])
{
	bool null;
	const Datum array = Value(row, column, &null);
	Datum *elements;
	bool *element_nulls;
	int num_elements;
	int32 count = 0;

	if (null)
		return 0;
	deconstruct_array(DatumGetArrayTypeP(array), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &elements, &element_nulls,
	                  &num_elements);
	for (int i = 0; i < num_elements; i++) {
		if (element_nulls[i])
			continue;
		if (count == kMaxNamesPerQueue) {
			ereport(WARNING,
			        (errmsg("workload queue \"%s\" names more than %d roles or databases", queue, kMaxNamesPerQueue),
			         errdetail("The others are ignored.")));
			break;
		}
		strlcpy(target[count++], NameStr(*DatumGetName(elements[i])), kNameLength);
	}
	return count;
}

float ShareAt(const Tuple &row, int column, float otherwise)
{
	bool null;
	const Datum value = Value(row, column, &null);
	const float share = null ? otherwise : DatumGetFloat4(value);
	return share >= 0 && share <= 1 ? share : otherwise;
}

void ReadLimits(const Tuple &row, QueueLimits *limits)
{
	bool null;
	char priority[kNameLength];

	CopyText(row, kPriority, priority);
	limits->priority = Priority::kNormal;
	if (!PriorityFromName(priority, &limits->priority))
		ereport(WARNING, (errmsg("workload queue \"%s\" has an unknown priority \"%s\"", limits->name, priority),
		                  errdetail("Priority \"normal\" is used instead.")));

	const int32 max_slots = DatumGetInt32(Value(row, kMaxSlots, &null));
	limits->max_slots = null ? 0 : std::max(max_slots, 1);
	const int32 max_queue_length = DatumGetInt32(Value(row, kMaxQueueLength, &null));
	limits->max_queue_length = null ? -1 : std::max(max_queue_length, 0);
	limits->memory_share = ShareAt(row, kMemoryShare, 0.0f);
	limits->max_memory_share = std::max(ShareAt(row, kMaxMemoryShare, 1.0f), limits->memory_share);

	const Datum timeout = Value(row, kTimeoutMs, &null);
	const double timeout_ms = null ? 0 : DatumGetFloat8(timeout);
	limits->queue_timeout_ms = timeout_ms > 0 ? static_cast<float>(std::min(timeout_ms, 1e12)) : 0.0f;
	limits->in_use = true;
}

/*
 * The queue's index as it was; else one that was never used, so that a record on its way to history
 * still finds the name it was made under; else one that is free again. -1 if all are taken. A name that
 * comes later in the table may own a free index: those are marked in `kept` beforehand.
 */
int ChooseIndex(const Workload &before, Workload *after, const char *name, const bool *kept)
{
	for (int i = 1; i < before.num_queues; i++) {
		if (kept[i] && strcmp(before.limits[i].name, name) == 0)
			return i;
	}
	if (after->num_queues < kMaxQueues)
		return after->num_queues++;
	for (int i = 1; i < kMaxQueues; i++) {
		if (!kept[i] && !after->limits[i].in_use)
			return i;
	}
	return -1;
}

/* Which of the old indices keep their names. */
void MarkKept(const Workload &before, bool *kept)
{
	memset(kept, 0, sizeof(bool) * kMaxQueues);
	for (uint64 row = 0; row < SPI_processed; row++) {
		const Tuple tuple = {SPI_tuptable->vals[row], SPI_tuptable->tupdesc};
		char name[kNameLength];

		CopyText(tuple, kName, name);
		for (int i = 1; i < before.num_queues; i++)
			kept[i] = kept[i] || strcmp(before.limits[i].name, name) == 0;
	}
}

/* An index that lost its name stays known by it until it is used again: history may still ask. */
void InheritIndices(const Workload &before, Workload *after)
{
	after->num_queues = std::clamp(before.num_queues, 1, kMaxQueues);
	for (int i = 1; i < after->num_queues; i++)
		strlcpy(after->limits[i].name, before.limits[i].name, kNameLength);
}

void ReadQueues(const Workload &before, Workload *after)
{
	bool kept[kMaxQueues];
	int skipped = 0;

	if (SPI_execute(kQuery, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read wlm.queue");
	MarkKept(before, kept);
	InheritIndices(before, after);

	for (uint64 row = 0; row < SPI_processed; row++) {
		const Tuple tuple = {SPI_tuptable->vals[row], SPI_tuptable->tupdesc};
		char name[kNameLength];

		CopyText(tuple, kName, name);
		if (strcmp(name, after->limits[0].name) == 0) {
			ReadLimits(tuple, &after->limits[0]);
			continue;
		}
		const int index = after->num_ordered < kMaxQueues - 1 ? ChooseIndex(before, after, name, kept) : -1;
		if (index < 0) {
			skipped++;
			continue;
		}
		QueueConditions *conditions = &after->conditions[index];
		strlcpy(after->limits[index].name, name, kNameLength);
		ReadLimits(tuple, &after->limits[index]);
		conditions->num_roles = CopyNames(tuple, kRoles, name, conditions->roles);
		conditions->num_databases = CopyNames(tuple, kDatabases, name, conditions->databases);
		CopyText(tuple, kApplicationName, conditions->application_name);
		CopyText(tuple, kQueryGroup, conditions->query_group);
		after->order[after->num_ordered++] = index;
	}
	if (skipped > 0)
		ereport(WARNING, (errmsg("%d workload queues are ignored", skipped),
		                  errdetail("At most %d queues beside \"default\" can be in use.", kMaxQueues - 1),
		                  errhint("Drop queues that are not needed with wlm.drop_queue().")));
}

}  // namespace

void LoadWorkload(bool extension_present)
{
	Workload *before = static_cast<Workload *>(palloc(sizeof(Workload)));
	Workload *after = static_cast<Workload *>(palloc(sizeof(Workload)));

	/* Before the snapshot: whoever raises it later has committed something that this may not see. */
	const uint32 generation = pg_atomic_read_u32(&shared->workload_requested);
	pg_read_barrier();
	LWLockAcquire(shared->state_lock, LW_SHARED);
	memcpy(before, &shared->workload, sizeof *before);
	LWLockRelease(shared->state_lock);

	InitWorkload(after);
	if (extension_present) {
		BeginWork("loading the configuration");
		ReadQueues(*before, after);
		CommitWork();
	} else {
		InheritIndices(*before, after);
	}
	after->generation = generation;

	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	memcpy(&shared->workload, after, sizeof *after);
	pg_atomic_write_u32(&shared->workload_generation, generation);
	LWLockRelease(shared->state_lock);
	ConfigurePolicy();

	pfree(before);
	pfree(after);
}

}  // namespace wlm
