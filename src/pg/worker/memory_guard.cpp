/*
 * memory_guard.cpp
 *
 * One tick: which queries are there (state_lock, shared), which processes work for
 * them (the process array, without a lock: a backend that starts or ends meanwhile is seen at the next tick), what
 * these hold (/proc), what the machine has left, what follows from it (core), and
 * then the news to policy and slots (state_lock). No file is read under the lock.
 *
 * What a query holds is what its processes hold beyond what its session held before it began,
 * with its dynamic shared memory. What sessions hold without running anything
 * managed, beyond what a fresh one needs, is not there for others: the budget shrinks by it.
 */
#include "pg/worker/memory_guard.hpp"

#include <algorithm>

extern "C" {
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "storage/pg_shmem.h"
#include "storage/proc.h"
}

#include "pg/query/stop.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

constexpr double kCancelMs = 50;         /* from a backend's noticing a request to its memory being free, about */
/* Between readings of sessions that run nothing managed (20 us each), and of mappings (up to 1 ms a process); under pressure less. */
constexpr double kReadAllMs = 1000, kReadAllPressedMs = 200;
constexpr double kVictimPatienceMs = 10000;
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

long long Long(int64 number) { return static_cast<long long>(number); }

}  // namespace

void MemoryGuard::Init()
{
	const Size max_queries = static_cast<Size>(policy->max_queries());

	num_processes_ = static_cast<int32>(ProcGlobal->allProcCount);
	queries_ = static_cast<Query *>(palloc(sizeof(Query) * max_queries));
	guarded_ = static_cast<GuardedQuery *>(palloc(sizeof(GuardedQuery) * max_queries));
	held_segments_ = static_cast<Segments *>(palloc0(sizeof(Segments) * max_queries));
	logged_ = static_cast<uint32 *>(palloc0(sizeof(uint32) * max_queries));
	processes_ = static_cast<Process *>(palloc0(sizeof(Process) * static_cast<Size>(num_processes_)));
	segments_ = static_cast<SharedSegments *>(palloc0(sizeof(SharedSegments)));
	ours_ = static_cast<SharedSegments *>(palloc0(sizeof(SharedSegments)));
}

double MemoryGuard::WaitMs(double now_ms) const
{
	return std::max(0.0, ticked_ms_ + pressure_.PeriodMs(num_applied_ > 0) - now_ms);
}

void MemoryGuard::TickIfDue(double now_ms)
{
	if (WaitMs(now_ms) > 0)
		return;
	ticked_ms_ = now_ms;
	if (setting::guard_limit_kb == 0) {
		if (on_)
			TurnOff(now_ms);
		return;
	}
	on_ = true;

	const bool pressed = pressure_.level() != GuardLevel::kNone;
	const bool all = now_ms - read_all_ms_ >= (setting::guard_limit_kb > 0 && pressed ? kReadAllPressedMs : kReadAllMs);
	CollectQueries();
	AssignProcesses();
	ReadProcesses(all);
	ReadSegments(now_ms);
	if (all)
		read_all_ms_ = now_ms;

	const MemoryReading reading = ReadMemory(now_ms);
	const GuardLevel level = pressure_.Observe(reading, now_ms, pressure_.PeriodMs(true) + kStopTimerMs + kCancelMs);
	const bool act = level == GuardLevel::kAction && !AwaitsVictim(now_ms);
	const bool cancels = static_cast<GuardAction>(setting::guard_action) == GuardAction::kCancel;
	const int32 to_stop = act && cancels ? FindCulpritAmongQueries(true) : -1;
	const int32 culprit = act && to_stop < 0 ? FindCulpritAmongQueries(false) : to_stop;

	Publish(reading, to_stop, now_ms);
	if (act)
		Report(reading, culprit);
	if (level != GuardLevel::kAction)
		nobody_reported_ = false;
}

void MemoryGuard::TurnOff(double now_ms)
{
	on_ = false;
	num_queries_ = num_applied_ = 0;
	pressure_ = MemoryPressure();
	StateLock lock;
	policy->SetPressure(Pressure::kNone, 0, now_ms);
	shared->guard = GuardView{.limit_kb = 0, .used_kb = 0, .level = GuardLevel::kNone};
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
		if (query >= 0 && query != i && queries_[query].pid == queries_[i].pid)
			queries_[query].reserved_kb += queries_[i].reserved_kb;
	}
	for (int32 i = 0; i < num_processes_; i++) {
		const PGPROC &proc = ProcGlobal->allProcs[i];
		const PGPROC *const leader = proc.lockGroupLeader;

		if (processes_[i].pid == 0 || leader == nullptr || leader == &proc)
			continue;
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

MemoryReading MemoryGuard::ReadMemory(double now_ms)
{
	if (setting::guard_limit_kb > 0)
		return {.limit_kb = setting::guard_limit_kb, .used_kb = ServerKb(), .stalled = 0};
	return machine_.Read(now_ms);
}

/* One at a time: memory must be read again after he is gone, before anybody else is to blame. */
bool MemoryGuard::AwaitsVictim(double now_ms)
{
	if (victim_.handle == kNoQuery)
		return false;
	for (int32 i = 0; i < num_queries_; i++)
		if (queries_[i].handle == victim_.handle && queries_[i].serial == victim_.serial)
			return now_ms - victim_.asked_ms < kVictimPatienceMs;
	victim_.handle = kNoQuery;
	return false;
}

/* Statements in mode observe are only reported. */
int32 MemoryGuard::FindCulpritAmongQueries(bool applied_only)
{
	for (int32 i = 0; i < num_queries_; i++)
		guarded_[i] = GuardedQuery{.real_kb = queries_[i].real_kb, .granted_kb = queries_[i].reserved_kb,
		                           .stoppable = queries_[i].running && !queries_[i].asked && (queries_[i].applied || !applied_only)};
	return FindCulprit({guarded_, static_cast<size_t>(num_queries_)});
}

void MemoryGuard::Publish(const MemoryReading &reading, int32 stop, double now_ms)
{
	const int64 unavailable_kb = UnavailableKb();
	StateLock lock;

	policy->SetPressure(PressureOf(pressure_.level()), unavailable_kb, now_ms);
	shared->guard = GuardView{.limit_kb = reading.limit_kb, .used_kb = reading.used_kb, .level = pressure_.level()};
	for (int32 i = 0; i < num_queries_; i++) {
		QuerySlot &slot = query_slots[queries_[i].handle];
		if (slot.serial == queries_[i].serial && slot.pid == queries_[i].pid)
			slot.real_kb = static_cast<float>(queries_[i].real_kb);
	}
	if (stop < 0 || !RequestStopLocked(queries_[stop].handle, queries_[stop].serial, StopReason::kMemoryGuard))
		return;
	victim_ = Victim{.handle = queries_[stop].handle, .serial = queries_[stop].serial, .asked_ms = now_ms};
	pg_atomic_fetch_add_u64(&shared->counters.stopped, 1);
}

/* Action log: one message about each query. When there is nobody to blame: one, until memory was free again. */
void MemoryGuard::Report(const MemoryReading &reading, int32 culprit)
{
	int64 held_kb = 0, granted_kb = 0;

	if (culprit >= 0) {
		const Query &query = queries_[culprit];
		if (victim_.handle == query.handle || logged_[query.handle] == query.serial)
			return;
		logged_[query.handle] = query.serial;
		ereport(LOG, (errmsg("statement of process %d holds more memory than it was granted", query.pid),
		              errdetail("It holds %lld kB and was granted %lld kB; %lld kB of %lld kB of memory are in use.",
		                        Long(query.real_kb), Long(query.reserved_kb), Long(reading.used_kb), Long(reading.limit_kb)),
		              errhint("In mode auto and with wlm.guard_action = cancel it would be ended.")));
		return;
	}
	if (nobody_reported_)
		return;
	nobody_reported_ = true;
	for (int32 i = 0; i < num_queries_; i++) {
		held_kb += queries_[i].real_kb;
		granted_kb += queries_[i].reserved_kb;
	}
	ereport(LOG, (errmsg("memory is about to run out, and no running statement is over its grant"),
	              errdetail("%lld kB of %lld kB are in use; %d managed statements hold %lld kB and were granted %lld kB.",
	                        Long(reading.used_kb), Long(reading.limit_kb), num_queries_, Long(held_kb), Long(granted_kb)),
	              errhint("Lower wlm.memory, or what else uses memory here.")));
}

}  // namespace wlm
