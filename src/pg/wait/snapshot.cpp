/*
 * snapshot.cpp
 *
 * The stack of active snapshots of a client's own statement is known exactly:
 *
 *     simple or extended protocol          statement
 *     EXECUTE, DECLARE, CTAS, COPY,
 *     EXPLAIN ANALYZE                      utility's portal, statement
 *
 * Anything else means that a function runs it. Beside the stack there are the
 * QueryDesc's registered snapshot and, for portals that keep their result, a
 * hold snapshot.
 */
#include "pg/wait/snapshot.hpp"

extern "C" {
#include "tcop/pquery.h"
#include "access/xact.h"
#include "utils/portal.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
}

#include "pg/wait/statement_position.hpp"

namespace wlm {

namespace {

bool DropHold(Portal portal)
{
	if (portal == nullptr || portal->holdSnapshot == nullptr || portal->resowner == nullptr)
		return false;
	UnregisterSnapshotFromOwner(portal->holdSnapshot, portal->resowner);
	portal->holdSnapshot = nullptr;
	return true;
}

}  // namespace

bool ReleaseSnapshots(QueryDesc *query_desc, ReleasedSnapshots *state)
{
	Snapshot stack[kMaxOwnSnapshots];
	const int expected = utility_portal != nullptr ? 2 : 1;
	int depth = 0;

	/*
	 * Below a savepoint that a function has set, snapshots of an outer level cannot be put back as they were: leave
	 * them alone.
	 */
	if (utility_portal != nullptr && utility_portal->createLevel != GetCurrentTransactionNestLevel())
		return false;

	/* Registered while off the stack, so that popping does not free them before we know. */
	while (depth < expected && ActiveSnapshotSet()) {
		stack[depth++] = RegisterSnapshot(GetActiveSnapshot());
		PopActiveSnapshot();
	}

	const bool own = depth == expected && !ActiveSnapshotSet() && query_desc->snapshot != InvalidSnapshot;
	const bool keep = !own || IsolationUsesXactSnapshot() || query_desc->crosscheck_snapshot != InvalidSnapshot;

	state->released = !keep;
	state->depth = depth;
	state->utility_is_bottom = depth == 2 && utility_portal->portalSnapshot != nullptr;
	state->utility_held = state->active_held = false;

	if (keep) {
		for (int i = depth - 1; i >= 0; i--) {
			PushActiveSnapshot(stack[i]);
			if (i == 1 && state->utility_is_bottom)
				utility_portal->portalSnapshot = GetActiveSnapshot();
			UnregisterSnapshot(stack[i]);
		}
		return own;
	}

	for (int i = 0; i < depth; i++)
		UnregisterSnapshot(stack[i]);
	if (state->utility_is_bottom)
		utility_portal->portalSnapshot = nullptr;
	state->utility_held = DropHold(utility_portal);
	state->active_held = ActivePortal != utility_portal && DropHold(ActivePortal);
	UnregisterSnapshot(query_desc->snapshot);
	query_desc->snapshot = InvalidSnapshot;
	InvalidateCatalogSnapshot();
	return true;
}

void RenewSnapshots(QueryDesc *query_desc, const ReleasedSnapshots &state)
{
	if (!state.released)
		return;
	if (state.depth == 2) {
		PushActiveSnapshot(GetTransactionSnapshot());
		if (state.utility_is_bottom)
			utility_portal->portalSnapshot = GetActiveSnapshot();
	}
	/* A copy: some callers go on to change its command id. */
	PushCopiedSnapshot(GetTransactionSnapshot());
	query_desc->snapshot = RegisterSnapshot(GetActiveSnapshot());
	if (state.utility_held)
		utility_portal->holdSnapshot = RegisterSnapshotOnOwner(GetTransactionSnapshot(), utility_portal->resowner);
	if (state.active_held)
		ActivePortal->holdSnapshot = RegisterSnapshotOnOwner(GetTransactionSnapshot(), ActivePortal->resowner);
}

}  // namespace wlm
