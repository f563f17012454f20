/*
 * configuration.hpp
 *
 * wlm.queue -> Workload in shared memory, by the worker.
 */
#pragma once

#include "pg/postgres.hpp"

namespace wlm {

/*
 * Compiles the tables as they are now, in one snapshot, and applies them: all or nothing. Without the
 * extension in this database there is only the built-in queue. Outside a transaction.
 */
void LoadWorkload(bool extension_present);

}  // namespace wlm
