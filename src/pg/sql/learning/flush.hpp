/*
 * flush.hpp
 *
 * Waiting for the launcher and its worker: for wlm.flush(), and for train() and
 * evaluate(), which read what the worker has stored.
 */
#pragma once

#include "pg/postgres.hpp"

namespace wlm {

/*
 * Returns when all that was observed before the call is learned and stored. ERROR if it cannot be:
 * launcher not running, standby, tables missing, time-out. No lock may be held.
 */
void FlushObservations(int64 timeout_ms);

}  // namespace wlm
