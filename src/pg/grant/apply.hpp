/*
 * apply.hpp
 *
 * The one place where memory settings are changed for a query and changed
 * back. All that PostgreSQL reads it reads through the setting work_mem, which
 * also travels to parallel workers (HAZARDS G1), so a grant is a GUC nest
 * level that is opened and closed inside each hook call (G4). Inside of it, nodes with a limit of
 * their own assign the variable around the moments at which it is read for them (wrappers.hpp).
 */
#pragma once

#include "pg/query/managed_query.hpp"

namespace wlm {

inline constexpr int kNoLevel = 0;

struct OpenedGrant {
	int nest_level;              /* kNoLevel: nothing was changed */
	int outer_work_mem;          /* kB, as it was */
	int outer_in_force;
};

/*
 * The work_mem that pg_wlm has put in force last, in kB: the query's, or in a window that of one of its nodes. 0 = none. What
 * differs from it was chosen by somebody else.
 */
extern int in_force_kb;

/*
 * Start: what PostgreSQL reads while it initialises the plan (CTEs), for Run and Finish the query's value. Attempts: a run whose attempts
 * (pg/query/restart.hpp) open stretches of their own, outside of which the session's settings are in force.
 */
enum class Stretch { kStart, kRun, kAttempts };

/* Whether anything is set for this query at all. */
bool ChangesSettings(const ManagedQuery *query, Stretch stretch = Stretch::kRun);

/* The grant in force for what runs below. */
OpenedGrant OpenGrant(const ManagedQuery *query, Stretch stretch);

/* Ends it, keeping what the query itself has SET meanwhile (G5). Not to be called after an error: abort does it. */
void CloseGrant(const ManagedQuery *query, const OpenedGrant &level);

/*
 * Inside a query whose grant is in force: the session's own settings again, for nested planning and
 * execution (G17). Does nothing if somebody below has chosen another work_mem.
 */
int OpenSession(const ManagedQuery *query);
void CloseSession(int level);

/* After a large query: free memory goes back to the system instead of staying in this process (G10). */
void GiveMemoryBack(const ManagedQuery *query);

}  // namespace wlm
