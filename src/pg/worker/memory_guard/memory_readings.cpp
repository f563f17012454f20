/*
 * memory_readings.cpp
 *
 * What the memory guard knows of this server: its managed queries, the processes that work
 * for them, and what these hold.
 */
#include "pg/worker/memory_guard/memory_guard.hpp"

#include <algorithm>

extern "C" {
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "storage/pg_shmem.h"
#include "storage/proc.h"
}

#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

constexpr int64 kFreshSessionKb = 8192;  /* catalogue caches and the like */

/* A PGPROC keeps the pid of who had it; its latch knows whether somebody has it now. */
int LivePid(const PGPROC &proc) { return proc.pid != 0 && proc.procLatch.owner_pid == proc.pid ? proc.pid : 0; }

/* shared_buffers and all else in main shared memory, whether touched already or not. */
int64 MainSharedMemoryKb()
{
	const auto *header = static_cast<const PGShmemHeader *>(UsedShmemSegAddr);
	return header != nullptr ? static_cast<int64>(header->totalsize / 1024) : static_cast<int64>(NBuffers) * (BLCKSZ / 1024);
}

/* Serials count from 1. */
uint64 KeyOf(QueryHandle handle, uint32 serial) { return static_cast<uint64>(handle) << 32 | serial; }

}  // namespace

/* A sort's ceiling is above what it is charged, and within it nobody is over his grant. */
static int64 CeilingOf(const QuerySlot &slot)
{
	return static_cast<int64>(slot.granted_kb) + pg_atomic_read_u32(const_cast<pg_atomic_uint32 *>(&slot.grown_kb));
}

void MemoryGuard::CollectQueries()
{
	num_queries_ = num_applied_ = 0;
	LWLockAcquire(shared->state_lock, LW_SHARED);
	if (policy->num_active() > 0) {
		for (QueryHandle handle = 0; handle < policy->max_queries(); handle++) {
			const QuerySlot &slot = query_slots[handle];
			if (SlotPhase(slot) == Phase::kFree || SlotPhase(slot) == Phase::kQueued || slot.pid == 0)
				continue;
			const QueryView view = policy->View(handle);
			Query &query = queries_[num_queries_++];
			query.handle = handle;
			query.serial = slot.serial;
			query.pid = slot.pid;
			query.procno = slot.procno;
			query.reserved_kb = view.reserved_kb;
			query.granted_kb = std::max(view.reserved_kb, CeilingOf(slot));
			query.real_kb = 0;
			query.applied = slot.applied;
			query.running = SlotPhase(slot) == Phase::kRunning && view.lane != Lane::kMaintenance;
			query.asked = pg_atomic_read_u32(const_cast<pg_atomic_uint32 *>(&slot.stop_requested)) != 0;
			query.parallel = false;
			num_applied_ += slot.applied;
		}
	}
	LWLockRelease(shared->state_lock);
}

/* Which query a process works for: that of its session, or as a parallel worker that of its leader's. */
void MemoryGuard::AssignProcesses()
{
	for (int32 i = 0; i < num_processes_; i++) {
		const int pid = LivePid(ProcGlobal->allProcs[i]);
		Process &process = processes_[i];

		if (process.pid != pid)
			process = Process{.pid = pid, .query = -1, .worked_for = 0, .anonymous_kb = 0, .own_kb = -1};
		process.query = -1;
	}
	/* Of several in one session (cursors), the one that executes. */
	for (int32 i = 0; i < num_queries_; i++) {
		const Query &query = queries_[i];
		Process &process = processes_[query.procno];

		if (process.pid == query.pid && (process.query < 0 || query.running))
			process.query = i;
	}
	for (int32 i = 0; i < num_queries_; i++) {
		const int query = processes_[queries_[i].procno].query;
		if (query >= 0 && query != i && queries_[query].pid == queries_[i].pid) {
			queries_[query].reserved_kb += queries_[i].reserved_kb;
			queries_[query].granted_kb += queries_[i].granted_kb;
		}
	}
	for (int32 i = 0; i < num_processes_; i++) {
		const PGPROC &proc = ProcGlobal->allProcs[i];
		const PGPROC *const leader = proc.lockGroupLeader;

		if (processes_[i].pid == 0 || leader == nullptr)
			continue;
		/* A leader counts too: he holds the query's segments also when no worker came, or all are gone. */
		const int query = processes_[leader - ProcGlobal->allProcs].query;
		processes_[i].query = query;
		if (query >= 0)
			queries_[query].parallel = true;
	}
}

void MemoryGuard::ReadProcesses(bool all)
{
	for (int32 i = 0; i < num_processes_; i++) {
		Process &process = processes_[i];

		if (process.pid == 0 || (process.query < 0 && !all && process.own_kb >= 0))
			continue;
		const int64 before_kb = process.anonymous_kb;
		const uint64 before = process.worked_for;
		process.anonymous_kb = AnonymousKb(process.pid);
		process.worked_for = process.query < 0 ? 0 : KeyOf(queries_[process.query].handle, queries_[process.query].serial);
		if (process.query < 0) {
			process.own_kb = process.anonymous_kb;
			continue;
		}
		/*
		 * Not seen before its query: taken for a fresh session. One query after the other: what the first held may still be
		 * there, and is not the second's fault. What has been freed meanwhile is no longer its own.
		 */
		if (process.own_kb < 0)
			process.own_kb = kFreshSessionKb;
		else if (before != 0 && before != process.worked_for)
			process.own_kb = before_kb;
		process.own_kb = std::min(process.own_kb, process.anonymous_kb);
		queries_[process.query].real_kb += process.anonymous_kb - process.own_kb;
	}
	if (setting::guard_limit_kb > 0)
		postmaster_kb_ = AnonymousKb(PostmasterPid);
}

/* Dynamic shared memory of parallel queries: what leader or workers map and the launcher does not, each segment once. */
void MemoryGuard::ReadSegments(double now_ms)
{
	const double period_ms = pressure_.level() == GuardLevel::kNone ? kReadAllMs : kReadAllPressedMs;
	bool ours_known = false;

	segments_kb_ = 0;
	for (int32 i = 0; i < num_queries_; i++) {
		Query &query = queries_[i];
		Segments &held = held_segments_[query.handle];

		if (!query.parallel)
			continue;
		if (held.serial != query.serial || now_ms - held.read_ms >= period_ms) {
			if (!ours_known) {
				ours_->count = 0;
				AddSharedSegments(MyProcPid, nullptr, ours_);
				ours_known = true;
			}
			segments_->count = 0;
			for (int32 j = 0; j < num_processes_; j++)
				if (processes_[j].query == i && processes_[j].pid != 0)
					AddSharedSegments(processes_[j].pid, ours_, segments_);
			held = Segments{.serial = query.serial, .kb = segments_->TotalKb(), .read_ms = now_ms};
		}
		query.real_kb += held.kb;
		segments_kb_ += held.kb;
	}
}

/* What processes hold that no reservation covers. */
int64 MemoryGuard::UnavailableKb() const
{
	int64 total = 0;

	for (int32 i = 0; i < num_processes_; i++) {
		const Process &process = processes_[i];
		const int64 own_kb = process.query < 0 ? process.anonymous_kb : process.own_kb;
		if (process.pid != 0 && own_kb > kFreshSessionKb)
			total += own_kb - kFreshSessionKb;
	}
	for (int32 i = 0; i < num_queries_; i++)
		total += OverGrantKb({.real_kb = queries_[i].real_kb, .granted_kb = queries_[i].reserved_kb, .stoppable = false});
	return total;
}

/* All that this server holds: what wlm.guard_limit is compared with. */
int64 MemoryGuard::ServerKb() const
{
	int64 total = MainSharedMemoryKb() + segments_kb_ + postmaster_kb_;

	for (int32 i = 0; i < num_processes_; i++)
		if (processes_[i].pid != 0)
			total += processes_[i].anonymous_kb;
	return total;
}

}  // namespace wlm
