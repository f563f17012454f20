/*
 * configuration.cpp
 *
 * The tables have constraints, but nothing here relies on them: what makes no
 * sense becomes harmless with a WARNING, because the alternative would be a
 * configuration that nobody can apply. Conditions that name roles or databases
 * which do not exist match nothing, and so do lists of networks or commands of
 * which nothing can be read. Rules and priorities: configuration_rules.cpp.
 */
#include "pg/worker/configuration.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <sys/socket.h>

extern "C" {
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inet.h"
}

#include "pg/shared_state.hpp"
#include "pg/worker/configuration_rules.hpp"
#include "pg/worker/worker.hpp"

namespace wlm {

namespace {

constexpr const char *kQuery =
	"SELECT name, priority, state, max_slots, slot_share, max_slot_share, memory_share, max_memory_share, max_queue_length, "
	"(pg_catalog.date_part('epoch', queue_timeout) * 1000)::pg_catalog.float8, "
	"(pg_catalog.date_part('epoch', max_execution_time) * 1000)::pg_catalog.float8, "
	"roles, databases, application_name, query_group, client_addresses, commands, "
	"(pg_catalog.date_part('epoch', min_predicted_time) * 1000)::pg_catalog.float8, "
	"(pg_catalog.date_part('epoch', max_predicted_time) * 1000)::pg_catalog.float8, "
	"min_predicted_memory_kb::pg_catalog.float8, max_predicted_memory_kb::pg_catalog.float8, "
	"min_cost::pg_catalog.float8, max_cost::pg_catalog.float8 "
	"FROM wlm.queue ORDER BY ordinal, name";

enum Column : int {
	kName = 1, kPriority, kState, kMaxSlots, kSlotShare, kMaxSlotShare, kMemoryShare, kMaxMemoryShare, kMaxQueueLength,
	kTimeoutMs, kMaxExecutionMs, kRoles, kDatabases, kApplicationName, kQueryGroup, kClientAddresses, kCommands,
	kMinTimeMs, kMaxTimeMs, kMinMemoryKb, kMaxMemoryKb, kMinCost, kMaxCost
};

constexpr const char *kCommandNames[] = {"select", "insert", "update", "delete", "merge", "other"};
constexpr int kNumCommands = static_cast<int>(CommandKind::kOther) + 1;
static_assert(kNumCommands == sizeof kCommandNames / sizeof kCommandNames[0]);

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

/* Texts of an array, in the current memory context; null elements are left out. */
int ReadTexts(const Tuple &row, int column, char ***texts)
{
	bool null;
	const Datum array = Value(row, column, &null);
	Datum *elements;
	bool *element_nulls;
	int num_elements;
	int count = 0;

	*texts = nullptr;
	if (null)
		return 0;
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, &element_nulls, &num_elements);
	*texts = static_cast<char **>(palloc(sizeof(char *) * static_cast<size_t>(std::max(num_elements, 1))));
	for (int i = 0; i < num_elements; i++)
		if (!element_nulls[i])
			(*texts)[count++] = TextDatumGetCString(elements[i]);
	return count;
}

/* As inet reads it, but without its ERROR. */
bool ParseNetwork(const char *text, NetworkAddress *network)
{
	const bool long_form = strchr(text, ':') != nullptr;
	uint8 bytes[16] = {};
	const int bits = pg_inet_net_pton(long_form ? PGSQL_AF_INET6 : PGSQL_AF_INET, text, bytes, static_cast<size_t>(-1));

	if (bits < 0 || bits > (long_form ? 128 : 32))
		return false;
	network->family = long_form ? 6 : 4;
	network->bits = static_cast<uint8>(bits);
	memcpy(network->bytes, bytes, sizeof bytes);
	return true;
}

void ReadClientAddresses(const Tuple &row, const char *queue, QueueConditions *conditions)
{
	char **texts;
	const int num_texts = ReadTexts(row, kClientAddresses, &texts);

	for (int i = 0; i < num_texts; i++) {
		NetworkAddress network = {};

		if (strcmp(texts[i], "local") == 0) {
			conditions->local_clients = true;
		} else if (!ParseNetwork(texts[i], &network)) {
			ereport(WARNING, (errmsg("workload queue \"%s\" has an invalid client address \"%s\"", queue, texts[i]),
			                  errdetail("It matches no client.")));
		} else if (conditions->num_addresses == kMaxAddressesPerQueue) {
			ereport(WARNING, (errmsg("workload queue \"%s\" names more than %d client addresses", queue, kMaxAddressesPerQueue),
			                  errdetail("The others are ignored.")));
			break;
		} else {
			conditions->addresses[conditions->num_addresses++] = network;
		}
	}
	/* What was meant to restrict must not come to mean everybody: one network that nobody is in. */
	if (num_texts > 0 && conditions->num_addresses == 0 && !conditions->local_clients)
		conditions->num_addresses = 1;
}

/* An unknown command has a bit that no statement has. */
uint32 ReadCommands(const Tuple &row, const char *queue)
{
	char **texts;
	const int num_texts = ReadTexts(row, kCommands, &texts);
	uint32 commands = 0;

	for (int i = 0; i < num_texts; i++) {
		int kind = 0;
		while (kind < kNumCommands && strcmp(kCommandNames[kind], texts[i]) != 0)
			kind++;
		if (kind == kNumCommands)
			ereport(WARNING, (errmsg("workload queue \"%s\" has an unknown command \"%s\"", queue, texts[i]),
			                  errdetail("It matches no statement.")));
		commands |= uint32{1} << kind;
	}
	return commands;
}

/* 0 for null and for what makes no sense. */
float NumberAt(const Tuple &row, int column)
{
	bool null;
	const Datum value = Value(row, column, &null);
	const double number = null ? 0 : DatumGetFloat8(value);
	return number > 0 ? static_cast<float>(std::min(number, 1e30)) : 0.0f;
}

PredictedRange RangeAt(const Tuple &row, int low, int high) { return {NumberAt(row, low), NumberAt(row, high)}; }

Intake IntakeAt(const Tuple &row, const char *queue)
{
	char state[kNameLength];

	CopyText(row, kState, state);
	if (strcmp(state, "paused") == 0)
		return Intake::kPaused;
	if (strcmp(state, "draining") == 0)
		return Intake::kDraining;
	if (strcmp(state, "open") != 0)
		ereport(WARNING, (errmsg("workload queue \"%s\" has an unknown state \"%s\"", queue, state),
		                  errdetail("It is open.")));
	return Intake::kOpen;
}

float ShareAt(const Tuple &row, int column, float otherwise)
{
	bool null;
	const Datum value = Value(row, column, &null);
	const float share = null ? otherwise : DatumGetFloat4(value);
	return share >= 0 && share <= 1 ? share : otherwise;
}

/* A share that cannot be none. */
float PartAt(const Tuple &row, int column)
{
	const float share = ShareAt(row, column, 1.0f);
	return share > 0 ? share : 1.0f;
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

	limits->slot_share = ShareAt(row, kSlotShare, 0.0f);
	limits->max_slot_share = std::max(PartAt(row, kMaxSlotShare), limits->slot_share);
	limits->queue_timeout_ms = std::min(NumberAt(row, kTimeoutMs), 1e12f);
	limits->max_execution_ms = std::min(NumberAt(row, kMaxExecutionMs), 1e12f);
	limits->intake = IntakeAt(row, limits->name);
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
			/* nobody else would take its statements */
			if (after->limits[0].intake == Intake::kDraining)
				after->limits[0].intake = Intake::kPaused;
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
		ReadClientAddresses(tuple, name, conditions);
		conditions->commands = ReadCommands(tuple, name);
		conditions->time_ms = RangeAt(tuple, kMinTimeMs, kMaxTimeMs);
		conditions->memory_kb = RangeAt(tuple, kMinMemoryKb, kMaxMemoryKb);
		conditions->cost = RangeAt(tuple, kMinCost, kMaxCost);
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
		ReadRules(after);
		ReadUserPriorities(after);
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
