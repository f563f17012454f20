/*
 * pg_wlm.cpp
 *
 * Where PostgreSQL loads the module. In a server that was started without it
 * in shared_preload_libraries the SQL functions explain themselves and nothing
 * else is active.
 */
#include "pg/compat.hpp"
#include "pg/hooks.hpp"
#include "pg/query/query_pool.hpp"
#include "pg/query/stop.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/configuration.hpp"
#include "pg/sql/explain/explain_group.hpp"
#include "pg/worker/launcher.hpp"

extern "C" {
PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);
}

void _PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	wlm::InitSettings();
	wlm::InitSharedState();
	wlm::InitManagedQueries();
	wlm::InitStop();
	wlm::InitHooks();
	wlm::InitExplain();
	wlm::InitConfiguration();
	wlm::InitLauncher();
}
