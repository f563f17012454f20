/*
 * configuration.cpp
 *
 * The trigger that tells the launcher of a changed configuration, once the
 * transaction that changed it has committed; not before, because the worker
 * could not see it. A rolled back subtransaction costs one needless reload.
 *
 * DROP EXTENSION fires no trigger; it is seen through the hook for access to
 * objects, so that who waits in a queue that is gone goes on at once.
 */
#include "pg/sql/configuration.hpp"

#include "pg/guard.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "commands/trigger.h"
}

#include "pg/shared_state.hpp"

namespace wlm {

namespace {

bool changed = false;         /* by the transaction that is going on */
bool callback_registered = false;

void AtTransactionEnd(XactEvent event, void *)
{
	if (!changed)
		return;
	switch (event) {
	case XACT_EVENT_COMMIT:
		changed = false;
		pg_atomic_fetch_add_u32(&shared->workload_requested, 1);
		WakeLauncher();
		break;
	case XACT_EVENT_ABORT:
	case XACT_EVENT_PREPARE:
		changed = false;
		break;
	case XACT_EVENT_PRE_PREPARE:
		/* Nobody here would hear of its COMMIT PREPARED: refused, as NOTIFY is. */
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("cannot PREPARE a transaction that has changed the workload configuration"),
		                errhint("Commit such changes in a transaction of their own.")));
		break;
	default:
		break;
	}
}

/* Without shared memory nobody uses the configuration: nothing to tell. */
void NoteChange()
{
	if (shared == nullptr)
		return;
	if (!callback_registered) {
		RegisterXactCallback(AtTransactionEnd, nullptr);
		callback_registered = true;
	}
	changed = true;
}

object_access_hook_type previous_object_access = nullptr;

void OnObjectAccess(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *argument)
{
	if (previous_object_access != nullptr)
		previous_object_access(access, class_id, object_id, sub_id, argument);
	if (access == OAT_DROP && class_id == ExtensionRelationId && object_id == get_extension_oid("pg_wlm", true))
		NoteChange();
}

}  // namespace

void InitConfiguration()
{
	previous_object_access = object_access_hook;
	object_access_hook = OnObjectAccess;
}

}  // namespace wlm

WLM_FUNCTION(wlm_configuration_changed)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		                errmsg("wlm.configuration_changed() can only be called as a trigger")));

	wlm::NoteChange();
	PG_RETURN_POINTER(nullptr);
}
