/*
 * snapshot.hpp
 *
 * A statement that waits lets go of its snapshots and takes fresh ones
 * afterwards: it holds back no VACUUM and sees what was committed meanwhile
 * (HAZARDS W5). Possible in READ COMMITTED, for a client's own statement.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "executor/execdesc.h"
}

namespace wlm {

inline constexpr int kMaxOwnSnapshots = 2; /* the statement's, and that of the utility statement around it */

struct ReleasedSnapshots {
	bool released;               /* false: the transaction's isolation keeps its snapshot */
	int depth;                   /* active snapshots that were popped */
	bool utility_held;           /* utility_portal had a hold snapshot */
	bool active_held;            /* ActivePortal had one */
	bool utility_is_bottom;      /* the bottom of the stack was utility_portal's */
};

/*
 * False if snapshots of somebody else lie below the statement's: it runs inside a function and must
 * not wait. Everything is as it was then.
 */
bool ReleaseSnapshots(QueryDesc *query_desc, ReleasedSnapshots *state);

/* Fresh snapshots in the same places. */
void RenewSnapshots(QueryDesc *query_desc, const ReleasedSnapshots &state);

}  // namespace wlm
