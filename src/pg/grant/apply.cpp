/*
 * apply.cpp
 *
 * Applying a grant to a stretch of a query: the GUC level around it. Limits per node live inside
 * of that level and need it, so that an error restores the session's value.
 */
#include "pg/grant/apply.hpp"

#include <algorithm>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

extern "C" {
#include "utils/guc.h"
}

#include "pg/grant/nodes.hpp"
#include "pg/settings.hpp"

namespace wlm {

int in_force_kb = 0;

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

/* What nodes without a limit of their own find. */
int BaseWorkMem(const ManagedQuery *query) { return Raises(query) ? static_cast<int>(query->grant.work_mem_kb) : work_mem; }

/* Tuplestores of CTEs take their limit when they are initialised, and so do the first two of recursive unions. */
bool ReadsAtStart(NodeKind kind) { return kind == NodeKind::kCteScan || kind == NodeKind::kRecursiveUnion; }

int WorkMemAtStart(const ManagedQuery *query)
{
	double start = BaseWorkMem(query);

	for (int i = 0; query->applied && query->grant.adjusts && i < query->grant.num_operators; i++) {
		const OperatorGrant &granted = query->grant.operators[i];
		const int slot = granted.memory_slot;
		if (slot >= 0 && slot < query->experience.num_operators && ReadsAtStart(query->experience.operators[slot].kind))
			start = std::max(start, static_cast<double>(granted.work_mem_kb));
	}
	return static_cast<int>(std::min(start, static_cast<double>(MAX_KILOBYTES)));
}

/* Whether work_mem is ours for a stretch of the query, the same value or not. */
bool HoldsWorkMem(const ManagedQuery *query, Stretch stretch)
{
	return Raises(query) || (stretch == Stretch::kStart ? WorkMemAtStart(query) != work_mem : NeedsWindows(query));
}

bool IsOurs(const ManagedQuery *query, int value_kb)
{
	const Grant &grant = query->grant;

	if (Raises(query) && value_kb == grant.work_mem_kb)
		return true;
	for (int i = 0; i < grant.num_operators; i++)
		if (value_kb == static_cast<int>(grant.operators[i].work_mem_kb))
			return true;
	return false;
}

}  // namespace

bool ChangesSettings(const ManagedQuery *query, Stretch stretch)
{
	return stretch == Stretch::kAttempts || HoldsWorkMem(query, stretch) || HasWorkers(query);
}

OpenedGrant OpenGrant(const ManagedQuery *query, Stretch stretch)
{
	OpenedGrant level = {kNoLevel, work_mem, in_force_kb};

	in_force_kb = 0;
	if (stretch == Stretch::kAttempts || !ChangesSettings(query, stretch))
		return level;
	level.nest_level = NewGUCNestLevel();
	if (HoldsWorkMem(query, stretch)) {
		const int work_mem_kb = stretch == Stretch::kStart ? WorkMemAtStart(query) : BaseWorkMem(query);
		SetSaved("work_mem", work_mem_kb, GUC_ACTION_SAVE);
		in_force_kb = work_mem_kb;
	}
	if (HasWorkers(query))
		SetSaved("wlm.query_serial", query->handle + 1, GUC_ACTION_SAVE);
	return level;
}

void CloseGrant(const ManagedQuery *query, const OpenedGrant &level)
{
	const int ours = in_force_kb;
	const int left_behind = work_mem;

	in_force_kb = level.outer_in_force;
	if (level.nest_level == kNoLevel)
		return;
	AtEOXact_GUC(true, level.nest_level);
	if (ours == 0)
		return;

	/*
	 * A plain SET inside the query survives the level, as it should. Two cases do not come out right by themselves. A
	 * SET LOCAL is lost, because PostgreSQL's stack cannot tell it from ours: it is done again where the query's
	 * caller would have found it. And who reads the setting and sets it back to what he read, sets our value, perhaps that of
	 * a node: that becomes the session's own again.
	 */
	if (left_behind != ours && left_behind != work_mem && !IsOurs(query, left_behind))
		SetSaved("work_mem", left_behind, GUC_ACTION_LOCAL);
	else if (work_mem != level.outer_work_mem && (work_mem == ours || IsOurs(query, work_mem)))
		SetSaved("work_mem", level.outer_work_mem, GUC_ACTION_SET);
}

int OpenSession(const ManagedQuery *query)
{
	if (in_force_kb == 0 && setting::query_serial == 0)
		return kNoLevel;

	const int level = NewGUCNestLevel();
	if (in_force_kb != 0 && work_mem == in_force_kb)
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
	/* one that gives way has not been observed, but it was let in for what it reserves */
	if (std::max(query->experience.query_memory_kb, query->observed ? 0 : query->experience.reserved_kb) >= kTrimKb)
		malloc_trim(0);
#else
	(void) query;
#endif
}

}  // namespace wlm
