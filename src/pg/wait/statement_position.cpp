/*
 * statement_position.cpp
 *
 * See HAZARDS W1 to W3, W6, W14. Counting nesting levels would cost every
 * cheap statement a counter and every error a repair; instead the position is
 * read off PostgreSQL's own state, and only for statements above min_cost.
 */
#include "pg/wait/statement_position.hpp"

#include <algorithm>

extern "C" {
#include "executor/spi.h"
#include "tcop/pquery.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "nodes/pg_list.h"
#include "storage/lock.h"
#include "tcop/dest.h"
}

#include "pg/compat.hpp"
#include "pg/sql/explain/explain_group.hpp"

namespace wlm {

Portal utility_portal = nullptr;

bool RunsStatementForUser(const Node *utility)
{
	switch (nodeTag(utility)) {
		case T_ExecuteStmt:
		case T_DeclareCursorStmt:
		case T_CreateTableAsStmt:
		case T_ExplainStmt:
			return true;
		case T_CopyStmt:
			return reinterpret_cast<const CopyStmt *>(utility)->query != nullptr;
		default:
			return false;
	}
}

namespace {

/*
 * Whatever a function or procedure runs comes through SPI. SPI does not say whether it is in use, but gives back another error for a
 * name that nothing can have.
 */
bool InsideSpi() { return SPI_unregister_relation("") != SPI_ERROR_UNCONNECTED; }

/*
 * A client's own statement belongs to the active portal, or is what the active utility statement
 * runs. A function's statements come from cached plans of SPI, whatever portal they run under; a
 * function's cursors have portals of their own. Snapshots below them do not tell these apart everywhere: after a COMMIT in a procedure
 * there are none, and EXECUTE and EXPLAIN evaluate functions where their own statement begins, for arguments and while planning.
 */
bool SentByClient(QueryDesc *query_desc)
{
	if (!PortalIsValid(ActivePortal))
		return false;
	if (list_member_ptr(ActivePortal->stmts, query_desc->plannedstmt))
		return true;
	if (utility_portal == nullptr || ActivePortal != utility_portal)
		return false;
	return query_desc->dest->mydest == DestIntoRel || query_desc->dest->mydest == DestCopyOut ||
	       query_desc->plannedstmt == explained_statement;
}

}  // namespace

bool MayWait(QueryDesc *query_desc, bool session_has_other_queries)
{
	return !session_has_other_queries && !TransactionIdIsValid(GetTopTransactionIdIfAny()) && !IsInParallelMode() &&
	       InterruptHoldoffCount == 0 && CritSectionCount == 0 && SentByClient(query_desc) && !InsideSpi();
}

bool HoldsForeignLocks(QueryDesc *query_desc)
{
	LOCKMODE own_mode = AccessShareLock;
	ListCell *cell;

	foreach(cell, query_desc->plannedstmt->rtable) {
		const RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
		if (entry->rtekind == RTE_RELATION)
			own_mode = std::max(own_mode, static_cast<LOCKMODE>(entry->rellockmode));
	}

	/*
	 * Locks on the fast path are not seen: they are weak, and when somebody wants a conflicting one they move to where
	 * the lock graph sees them.
	 */
	return VisitOwnLocks([own_mode](const PROCLOCK &held) {
		const LOCKTAG &tag = held.tag.myLock->tag;

		if (held.holdMask == 0 || tag.locktag_type == LOCKTAG_VIRTUALTRANSACTION)
			return false;
		if (tag.locktag_type == LOCKTAG_ADVISORY || tag.locktag_type == LOCKTAG_USERLOCK)
			return true;
		return held.holdMask >= LOCKBIT_ON(own_mode + 1);
	});
}

}  // namespace wlm
