/*
 * lock_graph.cpp
 *
 * Run once a second by one process for all waiters, never by each waiter. Most
 * seconds nobody waits for a lock, which a pass over the process array without
 * any lock finds out. Else only the locks that are waited for are looked at: a
 * thousand waiters may hold a hundred thousand others, those of partitions.
 */
#include "pg/wait/lock_graph.hpp"

#include <algorithm>

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

/* The modes that keep those waiting who wait for this lock. */
LOCKMASK ConflictingModes(const LOCK &lock)
{
	const LockMethod method = GetLockTagsMethodTable(&lock.tag);
	LOCKMASK conflicts = 0;

	for (LOCKMODE mode = 1; mode <= method->numLockModes; mode++)
		if ((lock.waitMask & LOCKBIT_ON(mode)) != 0)
			conflicts |= method->conflictTab[mode];
	return conflicts;
}

/*
 * Says in `blocks`, by the number of the process, who holds what others wait for. `awaited` has room for one lock a process.
 * Who waits for his own upgrade is among them: he is in no queue. Locks on the fast path have moved before anybody waits for them.
 */
void FindBlockers(const LOCK **awaited, bool *blocks)
{
	const PGPROC *const processes = ProcGlobal->allProcs;
	const ptrdiff_t num_processes = ProcGlobal->allProcCount;
	int count = 0;

	for (int partition = 0; partition < NUM_LOCK_PARTITIONS; partition++)
		LWLockAcquire(LockHashPartitionLockByIndex(partition), LW_SHARED);
	for (ptrdiff_t i = 0; i < num_processes; i++)
		if (processes[i].waitLock != nullptr)
			awaited[count++] = processes[i].waitLock;
	std::sort(awaited, awaited + count);
	const LOCK *const *const end = std::unique(awaited, awaited + count);
	for (const LOCK *const *lock = awaited; lock < end; lock++) {
		const LOCKMASK conflicts = ConflictingModes(**lock);
		VisitHolders(**lock, [=](const PROCLOCK &held) {
			const ptrdiff_t process = held.tag.myProc - processes;
			if ((held.holdMask & conflicts) != 0 && process < num_processes) /* those of prepared transactions come after */
				blocks[process] = true;
		});
	}
	for (int partition = NUM_LOCK_PARTITIONS; --partition >= 0;)
		LWLockRelease(LockHashPartitionLockByIndex(partition));
}

struct QueuedStatement {
	QueryHandle handle;
	int pid;
};

/* Those of processes that block others. Returns how many; `queued` has room for all handles. */
int QueuedBlockers(const bool *blocks, QueuedStatement *queued)
{
	int count = 0;

	LWLockAcquire(shared->state_lock, LW_SHARED);
	for (QueryHandle handle = 0; handle < policy->max_queries(); handle++) {
		const QuerySlot &slot = query_slots[handle];
		if (SlotPhase(slot) == Phase::kQueued && blocks[slot.procno])
			queued[count++] = {handle, slot.pid};
	}
	LWLockRelease(shared->state_lock);
	return count;
}

/* If it still waits, or by now another statement of the same process does. */
bool ForceStatement(const QueuedStatement &statement)
{
	const double now_ms = NowMs();
	StateLock lock;

	if (query_slots[statement.handle].pid != statement.pid || policy->View(statement.handle).state != QueryState::kQueued)
		return false;
	policy->Force(statement.handle, now_ms);
	return true;
}

}  // namespace

int ForceBlockers()
{
	if (policy->num_queued() == 0 || !SomebodyWaitsForALock())
		return 0;

	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "pg_wlm lock graph", ALLOCSET_DEFAULT_SIZES);
	MemoryContext const caller = MemoryContextSwitchTo(scratch);
	const Size num_processes = ProcGlobal->allProcCount;
	const LOCK **awaited = static_cast<const LOCK **>(palloc(sizeof(LOCK *) * num_processes));
	bool *blocks = static_cast<bool *>(palloc0(sizeof(bool) * num_processes));
	QueuedStatement *queued =
		static_cast<QueuedStatement *>(palloc(sizeof(QueuedStatement) * static_cast<Size>(policy->max_queries())));
	FindBlockers(awaited, blocks);
	const int count = QueuedBlockers(blocks, queued);
	int forced = 0;

	for (int i = 0; i < count; i++)
		forced += ForceStatement(queued[i]) ? 1 : 0;
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
