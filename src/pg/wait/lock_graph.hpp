/*
 * lock_graph.hpp
 *
 * Lock-aware admission (HAZARDS W1, W4): a queued statement for whose locks
 * somebody waits is admitted at once, because the deadlock detector does not
 * know that it waits for a slot.
 */
#pragma once

#include "pg/postgres.hpp"

namespace wlm {

/*
 * Admits every queued statement that blocks any backend. A backend that is blocked indirectly has
 * somebody directly blocked in front of it, so direct blockers are enough. Returns how many.
 */
int ForceBlockers();

/* Called by waiters once a second: does it in the launcher's place if there is none. */
void ForceBlockersIfAlone();

}  // namespace wlm
