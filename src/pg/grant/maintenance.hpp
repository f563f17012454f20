/*
 * maintenance.hpp
 *
 * Memory for building indexes, from the same budget as queries: what a build is
 * expected to use is reserved, and where that is more than the session's
 * maintenance_work_mem, the statement finds it there. It never waits: what is not
 * free it does not get, and then runs as without pg_wlm. So it may hold locks and an xid, and
 * nothing can wait for it through us.
 *
 * From ProcessUtility at the top level, for statements of one transaction
 * only: the setting is changed in a nest level that ends with the statement.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/plannodes.h"
}

namespace wlm {

struct Maintenance {
	int nest_level;           /* 0: nothing was changed */
	int outer_kb;             /* maintenance_work_mem as it was */
	int granted_kb;           /* ... as it is inside */
};

/* Whether OpenMaintenance() should be asked; a few comparisons. */
bool IsManagedMaintenance(const PlannedStmt *statement);

/* Reserves and sets. May raise what the statement itself would; ReleaseMaintenance() follows in any case. */
Maintenance OpenMaintenance(const PlannedStmt *statement);

/* After success: the setting as it was, or as the statement's own functions have SET it. */
void CloseMaintenance(const Maintenance &maintenance);

/* Gives the reservation back, after success and after an error; at FATAL it happens by itself. Never raises. */
void ReleaseMaintenance();

}  // namespace wlm
