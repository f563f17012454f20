/*
 * queue.cpp
 *
 * One row of wlm.queue. As tolerant as configuration.cpp says; lists of networks
 * or commands of which nothing can be read match nothing, because what was meant
 * to restrict must not come to mean everybody.
 */
#include "pg/worker/configuration/parts.hpp"

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

namespace wlm {

const char *const kQueuesQuery =
	"SELECT name, priority, state, max_slots, slot_share, max_slot_share, memory_share, max_memory_share, max_queue_length, "
	"(pg_catalog.date_part('epoch', queue_timeout) * 1000)::pg_catalog.float8, "
	"(pg_catalog.date_part('epoch', max_execution_time) * 1000)::pg_catalog.float8, "
	"roles, databases, application_name, query_group, client_addresses, commands, "
	"(pg_catalog.date_part('epoch', min_predicted_time) * 1000)::pg_catalog.float8, "
	"(pg_catalog.date_part('epoch', max_predicted_time) * 1000)::pg_catalog.float8, "
	"min_predicted_memory_kb::pg_catalog.float8, max_predicted_memory_kb::pg_catalog.float8, "
	"min_cost::pg_catalog.float8, max_cost::pg_catalog.float8 "
	"FROM wlm.queue ORDER BY ordinal, name";

namespace {

enum Column : int {
	kName = 1, kPriority, kState, kMaxSlots, kSlotShare, kMaxSlotShare, kMemoryShare, kMaxMemoryShare, kMaxQueueLength,
	kTimeoutMs, kMaxExecutionMs, kRoles, kDatabases, kApplicationName, kQueryGroup, kClientAddresses, kCommands,
	kMinTimeMs, kMaxTimeMs, kMinMemoryKb, kMaxMemoryKb, kMinCost, kMaxCost
};

constexpr const char *kCommandNames[] = {"select", "insert", "update", "delete", "merge", "other"};
constexpr int kNumCommands = static_cast<int>(CommandKind::kOther) + 1;
static_assert(kNumCommands == sizeof kCommandNames / sizeof kCommandNames[0]);

Datum Value(uint64 row, int column, bool *null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, null);
}

/* Text and names alike; empty for null. */
void CopyText(uint64 row, int column, char (&target)[kNameLength])
{
	const char *text = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
	strlcpy(target, text != nullptr ? text : "", sizeof target);
}

int32 CopyNames(uint64 row, int column, const char *queue, char (&target)[kMaxNamesPerQueue][kNameLength])
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
int ReadTexts(uint64 row, int column, char ***texts)
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

void ReadClientAddresses(uint64 row, const char *queue, QueueConditions *conditions)
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
	/* one network that nobody is in */
	if (num_texts > 0 && conditions->num_addresses == 0 && !conditions->local_clients)
		conditions->num_addresses = 1;
}

/* An unknown command has a bit that no statement has. */
uint32 ReadCommands(uint64 row, const char *queue)
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
float NumberAt(uint64 row, int column)
{
	bool null;
	const Datum value = Value(row, column, &null);
	const double number = null ? 0 : DatumGetFloat8(value);
	return number > 0 ? static_cast<float>(std::min(number, 1e30)) : 0.0f;
}

PredictedRange RangeAt(uint64 row, int low, int high) { return {NumberAt(row, low), NumberAt(row, high)}; }

Intake IntakeAt(uint64 row, const char *queue)
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

float ShareAt(uint64 row, int column, float otherwise)
{
	bool null;
	const Datum value = Value(row, column, &null);
	const float share = null ? otherwise : DatumGetFloat4(value);
	return share >= 0 && share <= 1 ? share : otherwise;
}

/* A share that cannot be none. */
float PartAt(uint64 row, int column)
{
	const float share = ShareAt(row, column, 1.0f);
	return share > 0 ? share : 1.0f;
}

}  // namespace

void ReadQueueName(uint64 row, char (&name)[kNameLength]) { CopyText(row, kName, name); }

void ReadQueueLimits(uint64 row, QueueLimits *limits)
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

void ReadQueueConditions(uint64 row, const char *queue, QueueConditions *conditions)
{
	conditions->num_roles = CopyNames(row, kRoles, queue, conditions->roles);
	conditions->num_databases = CopyNames(row, kDatabases, queue, conditions->databases);
	CopyText(row, kApplicationName, conditions->application_name);
	CopyText(row, kQueryGroup, conditions->query_group);
	ReadClientAddresses(row, queue, conditions);
	conditions->commands = ReadCommands(row, queue);
	conditions->time_ms = RangeAt(row, kMinTimeMs, kMaxTimeMs);
	conditions->memory_kb = RangeAt(row, kMinMemoryKb, kMaxMemoryKb);
	conditions->cost = RangeAt(row, kMinCost, kMaxCost);
}

}  // namespace wlm
