/*
 * workload.hpp
 *
 * The administrator's configuration as compiled by the worker from wlm.queue:
 * limits for the policy, conditions for routing. Plain data with names, not
 * OIDs: it is copied to shared memory and from there to each backend whenever
 * its generation changes.
 */
#pragma once

#include <cstdint>

#include "core/decide/policy.hpp"

namespace wlm {

inline constexpr int kMaxNamesPerQueue = 16;

/* Empty lists and empty strings match everything. All given conditions must hold. */
struct QueueConditions {
	int32_t num_roles;
	int32_t num_databases;
	char roles[kMaxNamesPerQueue][kNameLength];
	char databases[kMaxNamesPerQueue][kNameLength];
	char application_name[kNameLength]; /* LIKE pattern: % and _, backslash escapes */
	char query_group[kNameLength];      /* exact */
};

/*
 * Queue 0 is `default`; it has no conditions and is tried last. A queue keeps its index for as long
 * as its name exists, whatever happens to others, because queries refer to it by index: so there can
 * be holes (in_use false), and `order` says in which order the conditions are tried.
 */
struct Workload {
	uint32_t generation;
	int32_t num_queues;         /* highest index that was ever used, plus 1 */
	int32_t num_ordered;
	int32_t order[kMaxQueues];  /* indices of the queues in use, without 0 */
	QueueLimits limits[kMaxQueues];
	QueueConditions conditions[kMaxQueues];
};

void InitWorkload(Workload *workload) noexcept;

struct QueryAttributes {
	const char *database;
	const char *application_name;
	const char *query_group;
	/* Whether the current user is a member of one of queue i's roles; asked only if it names any. */
	bool (*has_role)(void *context, int queue);
	void *context;
};

/*
 * Index of the first queue whose conditions the query meets, 0 if none. has_role may raise in
 * the server, so this frame keeps nothing that needs unwinding.
 */
int Route(const Workload &workload, const QueryAttributes &attributes);

/* LIKE without collations: % any run, _ any byte, backslash escapes. */
bool MatchesPattern(const char *text, const char *pattern) noexcept;

const char *PriorityName(Priority priority) noexcept;
bool PriorityFromName(const char *name, Priority *priority) noexcept;

}  // namespace wlm
