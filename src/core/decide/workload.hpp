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

#include "core/decide/policy/policy.hpp"
#include "core/decide/rules.hpp"
#include "core/plan/plan_graph.hpp"

namespace wlm {

inline constexpr int kMaxNamesPerQueue = 16;
inline constexpr int kMaxAddressesPerQueue = 8;
inline constexpr int kMaxUserPriorities = 64;

/* A network: the first `bits` bits of an address. Family 4 or 6; 0 = not an address (a Unix socket), which no network has. */
struct NetworkAddress {
	uint8_t family;
	uint8_t bits;
	uint8_t bytes[16];          /* in network order */
};

/* What is predicted must be at least `low` and under `high`; 0 and infinity do not restrict. An unknown prediction meets no restriction. */
struct PredictedRange {
	float low;
	float high;
};

/* Empty lists and empty strings match everything. All given conditions must hold. */
struct QueueConditions {
	int32_t num_roles;
	int32_t num_databases;
	int32_t num_addresses;      /* of clients; "local" for Unix sockets is `local_clients` */
	bool local_clients;
	uint32_t commands;          /* one bit for each CommandKind; 0 = all */
	PredictedRange time_ms;
	PredictedRange memory_kb;
	PredictedRange cost;
	NetworkAddress addresses[kMaxAddressesPerQueue];
	char roles[kMaxNamesPerQueue][kNameLength];
	char databases[kMaxNamesPerQueue][kNameLength];
	char application_name[kNameLength]; /* LIKE pattern: % and _, backslash escapes */
	char query_group[kNameLength];      /* exact */
};

struct UserPriority {
	char role[kNameLength];
	Priority priority;
};

/*
 * Queue 0 is `default`; it has no conditions and is tried last. A queue keeps its index for as long
 * as its name exists, whatever happens to others, because queries refer to it by index: so there can
 * be holes (in_use false), and `order` says in which order the conditions are tried. An index can come
 * to another queue: `since` has the generation from which on it is the present one's.
 */
struct Workload {
	uint32_t generation;
	int32_t num_queues;         /* highest index that was ever used, plus 1 */
	int32_t num_ordered;
	int32_t order[kMaxQueues];  /* indices of the queues in use, without 0 */
	uint32_t since[kMaxQueues];
	QueueLimits limits[kMaxQueues];
	QueueConditions conditions[kMaxQueues];
	int32_t num_user_priorities;
	UserPriority user_priorities[kMaxUserPriorities]; /* wlm.change_user_priority() */
	RuleSet rules;
};

void InitWorkload(Workload *workload) noexcept;

/* Index of the queue in use, or -1. */
int QueueByName(const Workload &workload, const char *name) noexcept;

/* Sets `since` of all queues, by what was in force before. */
void DateQueues(const Workload &before, Workload *after) noexcept;

/* Whether the queue that had this index in `generation` still has it. */
bool IsSameQueue(const Workload &workload, int queue, uint32_t generation) noexcept;

struct QueryAttributes {
	const char *database;
	const char *application_name;
	const char *query_group;
	NetworkAddress client;      /* bits = all of it */
	CommandKind command;
	float time_ms;              /* predicted median; negative = unknown, as the next */
	float memory_kb;            /* predicted median of the whole statement, before any queue's limit shrinks its grant */
	float cost;                 /* the planner's */
	/* Whether the current user is a member of one of queue i's roles; asked only if it names any. */
	bool (*has_role)(void *context, int queue);
	void *context;
};

/* The first condition of a queue that a query fails, in the order in which they are looked at. */
enum class Mismatch : uint8_t {
	kNone = 0, kDraining, kQueryGroup, kDatabase, kApplicationName, kClientAddress, kCommand, kTime, kMemory, kCost, kRole
};

/* Whether queue i takes the query, kNone, or why not. has_role may raise in the server: this frame keeps nothing to be unwound. */
Mismatch Meets(const Workload &workload, int queue, const QueryAttributes &attributes);

/* Index of the first queue in order that takes the query, 0 if none does. Raises as Meets() does. */
int Route(const Workload &workload, const QueryAttributes &attributes);

/* The first queue after `queue` in the order that takes it, 0 if none does: where a hop without a target leads. Raises as Meets(). */
int RouteAfter(const Workload &workload, int queue, const QueryAttributes &attributes);

/* Whether all of `address`, which may be a network too, is in `network`. An IPv4 address mapped to IPv6 is an IPv4 address. */
bool Contains(const NetworkAddress &network, const NetworkAddress &address) noexcept;

/* LIKE without collations: % any run, _ any byte, backslash escapes. */
bool MatchesPattern(const char *text, const char *pattern) noexcept;

const char *PriorityName(Priority priority) noexcept;
bool PriorityFromName(const char *name, Priority *priority) noexcept;

}  // namespace wlm
