/*
 * workload.cpp
 *
 * Routing: the first queue whose conditions a query meets.
 */
#include "core/decide/workload.hpp"

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
	fallback.in_use = true;
}

Mismatch Meets(const Workload &workload, int queue, const QueryAttributes &attributes)
{
	const QueueConditions &wanted = workload.conditions[queue];

	if (wanted.query_group[0] != '\0' && std::strcmp(wanted.query_group, attributes.query_group) != 0)
		return Mismatch::kQueryGroup;
	if (wanted.num_databases > 0 && !Lists(wanted.databases, wanted.num_databases, attributes.database))
		return Mismatch::kDatabase;
	if (wanted.application_name[0] != '\0' && !MatchesPattern(attributes.application_name, wanted.application_name))
		return Mismatch::kApplicationName;
	if (wanted.num_roles > 0 && !attributes.has_role(attributes.context, queue))
		return Mismatch::kRole;
	return Mismatch::kNone;
}

int Route(const Workload &workload, const QueryAttributes &attributes)
{
	for (int position = 0; position < workload.num_ordered; position++) {
		if (Meets(workload, workload.order[position], attributes) == Mismatch::kNone)
			return workload.order[position];
	}
	return 0;
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
