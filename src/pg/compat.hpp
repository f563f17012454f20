/*
 * compat.hpp
 *
 * Differences between PostgreSQL 15 and 18, wrapped with the newest signature.
 * Nothing else in src/pg asks for PG_VERSION_NUM but readers of plans and plan
 * states, whose subject the differences are.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "executor/execdesc.h"
#include "executor/executor.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/wait_event.h"

/*
 * As libpq/libpq.h declares it in 15 to 18; that needs Kerberos headers, which a build machine may lack. Compare with the header before
 * another version is allowed.
 */
#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "is pq_check_connection() still declared like this?"
#endif
extern bool pq_check_connection(void);
}

namespace wlm {

/* 16 made find_option() public; before, the sorted table of all settings is. */
inline const config_generic *FindSetting(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return find_option(name, false, true, 0);
#else
	config_generic **settings = get_guc_variables();
	const int count = GetNumConfigOptions();

	for (int i = 0; i < count; i++)
		if (strcmp(settings[i]->name, name) == 0)
			return settings[i];
	return nullptr;
#endif
}

/* 17 lets extensions name their wait events. */
inline uint32 QueueWaitEvent()
{
#if PG_VERSION_NUM >= 170000
	static uint32 event = 0;
	if (event == 0)
		event = WaitEventExtensionNew("WlmQueue");
	return event;
#else
	return PG_WAIT_EXTENSION;
#endif
}

/* 18 dropped execute_once and lets ExecutorStart hooks be skipped over; both are hidden here. */
#if PG_VERSION_NUM >= 180000
#define WLM_RUN_PARAMETERS QueryDesc *query_desc, ScanDirection direction, uint64 count
#define WLM_RUN_ARGUMENTS query_desc, direction, count
#else
#define WLM_RUN_PARAMETERS QueryDesc *query_desc, ScanDirection direction, uint64 count, bool execute_once
#define WLM_RUN_ARGUMENTS query_desc, direction, count, execute_once
#endif

/* The whole result of a query that PostgreSQL alone runs. */
inline void RunWhole(QueryDesc *query_desc)
{
#if PG_VERSION_NUM >= 180000
	standard_ExecutorRun(query_desc, ForwardScanDirection, 0);
#else
	standard_ExecutorRun(query_desc, ForwardScanDirection, 0, true);
#endif
}

/* 16 turned the process's lock lists into dlists. The callback returns true to stop. */
template <typename Visit>
bool VisitOwnLocks(Visit visit)
{
	for (int partition = 0; partition < NUM_LOCK_PARTITIONS; partition++) {
		bool stop = false;
		LWLock *lock = LockHashPartitionLockByIndex(partition);

#if PG_VERSION_NUM >= 160000
		dlist_head *locks = &MyProc->myProcLocks[partition];

		if (dlist_is_empty(locks))
			continue;
		LWLockAcquire(lock, LW_SHARED);
		/* dlist_foreach() and dlist_container() do not compile as C++. */
		for (dlist_node *node = locks->head.next; node != &locks->head && !stop; node = node->next)
			stop = visit(*reinterpret_cast<PROCLOCK *>(reinterpret_cast<char *>(node) - offsetof(PROCLOCK, procLink)));
		LWLockRelease(lock);
#else
		SHM_QUEUE *locks = &MyProc->myProcLocks[partition];

		if (SHMQueueEmpty(locks))
			continue;
		LWLockAcquire(lock, LW_SHARED);
		for (PROCLOCK *held = reinterpret_cast<PROCLOCK *>(SHMQueueNext(locks, locks, offsetof(PROCLOCK, procLink)));
		     held != nullptr && !stop;
		     held = reinterpret_cast<PROCLOCK *>(SHMQueueNext(locks, &held->procLink, offsetof(PROCLOCK, procLink))))
			stop = visit(*held);
		LWLockRelease(lock);
#endif
		if (stop)
			return true;
	}
	return false;
}

/* Those who hold a lock, and those who wait for it (their holdMask may be 0). All partitions' locks must be held. */
template <typename Visit>
void VisitHolders(const LOCK &lock, Visit visit)
{
#if PG_VERSION_NUM >= 160000
	const dlist_node *const head = &lock.procLocks.head;

	for (const dlist_node *node = head->next; node != head; node = node->next)
		visit(*reinterpret_cast<const PROCLOCK *>(reinterpret_cast<const char *>(node) - offsetof(PROCLOCK, lockLink)));
#else
	const SHM_QUEUE *const locks = &lock.procLocks;

	for (const void *held = SHMQueueNext(locks, locks, offsetof(PROCLOCK, lockLink)); held != nullptr;
	     held = SHMQueueNext(locks, &static_cast<const PROCLOCK *>(held)->lockLink, offsetof(PROCLOCK, lockLink)))
		visit(*static_cast<const PROCLOCK *>(held));
#endif
}

#if PG_VERSION_NUM < 170000
#define AmAutoVacuumWorkerProcess() IsAutoVacuumWorkerProcess()
#endif

/* 17 numbers processes differently. */
inline int OwnProcNumber()
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

}  // namespace wlm
