/*
 * side_effects.hpp
 *
 * Whether a plan may be begun, thrown away and begun again without anybody noticing.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/plannodes.h"
}

namespace wlm {

/*
 * False only for a SELECT that changes and locks nothing, whose expressions are stable, and that reads nothing of
 * another server. Looks functions up in the catalogue; may raise.
 */
bool HasSideEffects(const PlannedStmt *statement);

}  // namespace wlm
