/*
 * workload.cpp
 *
 * Routing: the first queue whose conditions a query meets.
 */
#include "core/decide/workload.hpp"

#include <cmath>
#include <cstring>

namespace wlm {

namespace {

constexpr const char *kPriorityNames[kNumPriorities] = {"lowest", "low", "normal", "high", "highest", "critical"};

bool Lists(const char (*names)[kNameLength], int32_t num_names, const char *wanted) noexcept
{
	for (int32_t i = 0; i < num_names; i++)
		if (std::strcmp(names[i], wanted) == 0)
			return true;
	return false;
}

/* What 0 and infinity leave open restricts nothing. An unknown value, negative or not a number, is in no range. */
bool InRange(const PredictedRange &range, float value) noexcept
{
	const bool from = range.low > 0;
	const bool to = range.high > 0 && std::isfinite(range.high);

	if (!from && !to)
		return true;
	return value >= 0 && (!from || value >= range.low) && (!to || value < range.high);
}

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* ::ffff:a.b.c.d is a.b.c.d: which of them a client has depends only on how the server listens. */
NetworkAddress Unmapped(const NetworkAddress &address) noexcept
{
	if (address.family != 6 || address.bits < 96 || std::memcmp(address.bytes, kMappedPrefix, sizeof kMappedPrefix) != 0)
		return address;

	NetworkAddress short_form{};
	short_form.family = 4;
	short_form.bits = static_cast<uint8_t>(address.bits - 96);
	std::memcpy(short_form.bytes, address.bytes + sizeof kMappedPrefix, 4);
	return short_form;
}

bool FromThere(const QueueConditions &wanted, const NetworkAddress &client) noexcept
{
	if (wanted.num_addresses == 0 && !wanted.local_clients)
		return true;
	if (client.family == 0)
		return wanted.local_clients;
	for (int32_t i = 0; i < wanted.num_addresses; i++)
		if (Contains(wanted.addresses[i], client))
			return true;
	return false;
}

int FirstFrom(const Workload &workload, int position, const QueryAttributes &attributes)
{
	for (; position < workload.num_ordered; position++) {
		if (Meets(workload, workload.order[position], attributes) == Mismatch::kNone)
			return workload.order[position];
	}
	return 0;
}

}  // namespace

void InitWorkload(Workload *workload) noexcept
{
	std::memset(workload, 0, sizeof *workload);
	workload->num_queues = 1;

	QueueLimits &fallback = workload->limits[0];
	std::strcpy(fallback.name, "default");
	fallback.priority = Priority::kNormal;
	fallback.max_queue_length = -1;
	fallback.max_memory_share = 1.0f;
	fallback.max_slot_share = 1.0f;
	fallback.in_use = true;
}

int QueueByName(const Workload &workload, const char *name) noexcept
{
	for (int i = 0; i < workload.num_queues; i++)
		if (workload.limits[i].in_use && std::strcmp(workload.limits[i].name, name) == 0)
			return i;
	return -1;
}

void DateQueues(const Workload &before, Workload *after) noexcept
{
	for (int i = 0; i < after->num_queues; i++) {
		const bool there = i < before.num_queues && before.limits[i].in_use;
		const bool is_new = !there || std::strcmp(before.limits[i].name, after->limits[i].name) != 0;
		after->since[i] = after->limits[i].in_use && is_new ? after->generation : before.since[i];
	}
}

bool IsSameQueue(const Workload &workload, int queue, uint32_t generation) noexcept
{
	return queue >= 0 && queue < workload.num_queues && workload.limits[queue].in_use &&
	       static_cast<int32_t>(generation - workload.since[queue]) >= 0;
}

Mismatch Meets(const Workload &workload, int queue, const QueryAttributes &attributes)
{
	const QueueConditions &wanted = workload.conditions[queue];

	if (workload.limits[queue].intake == Intake::kDraining)
		return Mismatch::kDraining;
	if (wanted.query_group[0] != '\0' && std::strcmp(wanted.query_group, attributes.query_group) != 0)
		return Mismatch::kQueryGroup;
	if (wanted.num_databases > 0 && !Lists(wanted.databases, wanted.num_databases, attributes.database))
		return Mismatch::kDatabase;
	if (wanted.application_name[0] != '\0' && !MatchesPattern(attributes.application_name, wanted.application_name))
		return Mismatch::kApplicationName;
	if (!FromThere(wanted, attributes.client))
		return Mismatch::kClientAddress;
	if (wanted.commands != 0 && (wanted.commands & (uint32_t{1} << static_cast<int>(attributes.command))) == 0)
		return Mismatch::kCommand;
	if (!InRange(wanted.time_ms, attributes.time_ms))
		return Mismatch::kTime;
	if (!InRange(wanted.memory_kb, attributes.memory_kb))
		return Mismatch::kMemory;
	if (!InRange(wanted.cost, attributes.cost))
		return Mismatch::kCost;
	if (wanted.num_roles > 0 && !attributes.has_role(attributes.context, queue))
		return Mismatch::kRole;
	return Mismatch::kNone;
}

int Route(const Workload &workload, const QueryAttributes &attributes)
{
	return FirstFrom(workload, 0, attributes);
}

int RouteAfter(const Workload &workload, int queue, const QueryAttributes &attributes)
{
	/* One that is not in the order any more is behind all: there is only `default` left. */
	int position = 0;
	while (position < workload.num_ordered && workload.order[position] != queue)
		position++;
	return FirstFrom(workload, position + 1, attributes);
}

bool Contains(const NetworkAddress &network, const NetworkAddress &address) noexcept
{
	const NetworkAddress wide = Unmapped(network);
	const NetworkAddress narrow = Unmapped(address);
	const int most_bits = wide.family == 4 ? 32 : 128;

	if (wide.family == 0 || wide.family != narrow.family || wide.bits > narrow.bits || wide.bits > most_bits)
		return false;
	const int whole = wide.bits / 8;
	const int rest = wide.bits % 8;
	if (std::memcmp(wide.bytes, narrow.bytes, static_cast<size_t>(whole)) != 0)
		return false;
	return rest == 0 || ((wide.bytes[whole] ^ narrow.bytes[whole]) >> (8 - rest)) == 0;
}

/* Greedy with one point to return to: linear in practice, never recursive. */
bool MatchesPattern(const char *text, const char *pattern) noexcept
{
	const char *resume_pattern = nullptr;
	const char *resume_text = nullptr;

	while (*text != '\0') {
		if (*pattern == '%') {
			resume_pattern = ++pattern;
			resume_text = text;
			continue;
		}
		const bool escaped = *pattern == '\\' && pattern[1] != '\0';
		const char expected = escaped ? pattern[1] : *pattern;

		if (expected != '\0' && (expected == *text || (!escaped && expected == '_'))) {
			pattern += escaped ? 2 : 1;
			text++;
		} else if (resume_pattern != nullptr) {
			pattern = resume_pattern;
			text = ++resume_text;
		} else {
			return false;
		}
	}
	while (*pattern == '%')
		pattern++;
	return *pattern == '\0';
}

const char *PriorityName(Priority priority) noexcept
{
	const int index = static_cast<int>(priority);
	return index < kNumPriorities ? kPriorityNames[index] : "normal";
}

bool PriorityFromName(const char *name, Priority *priority) noexcept
{
	for (int i = 0; i < kNumPriorities; i++) {
		if (std::strcmp(name, kPriorityNames[i]) == 0) {
			*priority = static_cast<Priority>(i);
			return true;
		}
	}
	return false;
}

}  // namespace wlm
