/*
 * lock_graph.cpp
 *
 * Run once a second by one process for all waiters, never by each waiter. Most
 * seconds nobody waits for a lock, which a pass over the process array without
 * any lock finds out.
 */
#include "pg/wait/lock_graph.hpp"

extern "C" {
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/memutils.h"
}

#include "pg/compat.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

bool SomebodyWaitsForALock()
{
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
		if (ProcGlobal->allProcs[i].waitLock != nullptr)
			return true;
	return false;
}

/* Whether `holder` holds what `waiter` waits for. */
bool Blocks(const LockInstanceData &holder, const LockInstanceData &waiter)
{
	if (holder.pid == waiter.pid || memcmp(&holder.locktag, &waiter.locktag, sizeof holder.locktag) != 0)
		return false;
	const LockMethod method = GetLockTagsMethodTable(&waiter.locktag);
	return (method->conflictTab[waiter.waitLockMode] & holder.holdMask) != 0;
}

bool BlocksAnybody(int pid, const LockData &locks)
{
	for (int i = 0; i < locks.nelements; i++) {
		if (locks.locks[i].pid != pid || locks.locks[i].holdMask == 0)
			continue;
		for (int j = 0; j < locks.nelements; j++)
			if (locks.locks[j].waitLockMode != NoLock && Blocks(locks.locks[i], locks.locks[j]))
				return true;
	}
	return false;
}

int ForcePid(int pid)
{
	int forced = 0;
	const double now_ms = NowMs();
	StateLock lock;

	for (QueryHandle handle = 0; handle < policy->max_queries(); handle++) {
		if (query_slots[handle].pid == pid && policy->View(handle).state == QueryState::kQueued) {
			policy->Force(handle, now_ms);
			forced++;
		}
	}
	return forced;
}

/* Pids of queued statements, copied so that nothing is decided under the lock. */
int QueuedPids(int *pids, int capacity)
{
	int count = 0;

	LWLockAcquire(shared->state_lock, LW_SHARED);
	for (QueryHandle handle = 0; handle < policy->max_queries() && count < capacity; handle++)
		if (SlotPhase(query_slots[handle]) == Phase::kQueued)
			pids[count++] = query_slots[handle].pid;
	LWLockRelease(shared->state_lock);
	return count;
}

}  // namespace

int ForceBlockers()
{
	if (policy->num_queued() == 0 || !SomebodyWaitsForALock())
		return 0;

	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "pg_wlm lock graph", ALLOCSET_DEFAULT_SIZES);
	MemoryContext const caller = MemoryContextSwitchTo(scratch);
	const int capacity = policy->max_queries();
	int *pids = static_cast<int *>(palloc(sizeof(int) * static_cast<Size>(capacity)));
	const int count = QueuedPids(pids, capacity);
	const LockData *locks = GetLockStatusData();
	int forced = 0;

	for (int i = 0; i < count; i++)
		if (BlocksAnybody(pids[i], *locks))
			forced += ForcePid(pids[i]);
	if (forced > 0)
		pg_atomic_fetch_add_u64(&shared->counters.lock_forced, static_cast<uint64>(forced));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return forced;
}

void ForceBlockersIfAlone()
{
	if (shared->launcher_procno < 0)
		ForceBlockers();
}

}  // namespace wlm
