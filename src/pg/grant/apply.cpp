/*
 * apply.cpp
 *
 * Applying a grant per query. A later patch of PostgreSQL for limits per node,
 * or wrappers around nodes, would change this file only.
 */
#include "pg/grant/apply.hpp"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

extern "C" {
#include "utils/guc.h"
}

#include "pg/settings.hpp"

namespace wlm {

namespace {

/* Below this, what malloc keeps is worth more for the next statement than for the machine. */
constexpr float kTrimKb = 4 * 1024;

void SetSaved(const char *name, int64 value, GucAction action)
{
	char text[32];

	pg_snprintf(text, sizeof text, INT64_FORMAT, value);
	(void) set_config_option(name, text, PGC_SUSET, PGC_S_SESSION, action, true, 0, false);
}

bool HasWorkers(const ManagedQuery *query) { return query->experience.workers_planned > 0; }

bool Raises(const ManagedQuery *query) { return query->applied && query->grant.raises; }

}  // namespace

bool ChangesSettings(const ManagedQuery *query) { return Raises(query) || HasWorkers(query); }

GrantLevel OpenGrant(const ManagedQuery *query)
{
	GrantLevel level = {kNoLevel, work_mem};

	if (!ChangesSettings(query))
		return level;
	level.nest_level = NewGUCNestLevel();
	if (Raises(query))
		SetSaved("work_mem", query->grant.work_mem_kb, GUC_ACTION_SAVE);
	if (HasWorkers(query))
		SetSaved("wlm.query_serial", query->handle + 1, GUC_ACTION_SAVE);
	return level;
}

void CloseGrant(const ManagedQuery *query, const GrantLevel &level)
{
	if (level.nest_level == kNoLevel)
		return;

	const int left_behind = work_mem;
	AtEOXact_GUC(true, level.nest_level);
	if (!Raises(query))
		return;

	/*
	 * A plain SET inside the query survives the level, as it should. Two cases do not come out right by themselves. A
	 * SET LOCAL is lost, because PostgreSQL's stack cannot tell it from ours: it is done again where the query's
	 * caller would have found it. And who reads the setting and sets it back to what he read, sets our value: that
	 * becomes the session's own again.
	 */
	if (left_behind != query->grant.work_mem_kb && left_behind != work_mem)
		SetSaved("work_mem", left_behind, GUC_ACTION_LOCAL);
	else if (work_mem == query->grant.work_mem_kb && level.outer_work_mem != work_mem)
		SetSaved("work_mem", level.outer_work_mem, GUC_ACTION_SET);
}

int OpenSession(const ManagedQuery *query)
{
	if (!ChangesSettings(query))
		return kNoLevel;

	const int level = NewGUCNestLevel();
	if (Raises(query) && work_mem == query->grant.work_mem_kb)
		SetSaved("work_mem", query->session_work_mem_kb, GUC_ACTION_SAVE);
	if (setting::query_serial != 0)
		SetSaved("wlm.query_serial", 0, GUC_ACTION_SAVE);
	return level;
}

void CloseSession(int level)
{
	if (level != kNoLevel)
		AtEOXact_GUC(true, level);
}

void GiveMemoryBack(const ManagedQuery *query)
{
#if defined(__GLIBC__)
	if (query->experience.query_memory_kb >= kTrimKb)
		malloc_trim(0);
#else
	(void) query;
#endif
}

}  // namespace wlm
