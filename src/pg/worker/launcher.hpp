/*
 * launcher.hpp
 *
 * The one process of pg_wlm that is always there: connected to shared memory
 * but to no database, so that it stands in nobody's way. Also on a standby.
 */
#pragma once

namespace wlm {

/* Registers it with the postmaster. */
void InitLauncher();

}  // namespace wlm
