/*
 * privileges.cpp
 *
 * Who may see and do what, and where: shared by the SQL-callable functions.
 * The grants in pg_wlm--1.0.sql decide who may call a function; this decides
 * what he sees. Roles are looked up by name at each call: wlm_admin may have
 * been dropped and created anew.
 */
#include "pg/sql/result_rows.hpp"

extern "C" {
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "utils/acl.h"
}

#include <cstring>

#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

bool IsAdministrator()
{
	const Oid role = get_role_oid("wlm_admin", true);

	return superuser() || (OidIsValid(role) && has_privs_of_role(GetUserId(), role));
}

bool MaySeeAll()
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) || IsAdministrator();
}

void RequireConfiguredDatabase(const char *function)
{
	const char *name = get_database_name(MyDatabaseId);

	if (name == nullptr || setting::database == nullptr || strcmp(name, setting::database) != 0)
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("wlm.%s must be called in database \"%s\"", function, setting::database),
		         errdetail("The workload manager keeps its tables in the database that wlm.database names."),
		         errhint("Connect to database \"%s\", or change wlm.database and restart the server.",
		                 setting::database)));
}

}  // namespace wlm
