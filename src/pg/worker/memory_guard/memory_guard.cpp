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
#include "pg/worker/memory_guard/memory_guard.hpp"

#include <algorithm>

extern "C" {
#include "storage/proc.h"
}

#include "pg/query/stop.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

constexpr double kCancelMs = 50;         /* from a backend's noticing a request to its memory being free, about */
constexpr double kVictimPatienceMs = 10000;

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

/* This process alone writes what it reads, so it needs no lock. */
double MemoryGuard::Fullness() const
{
	const GuardView &seen = shared->guard;
	return seen.limit_kb > 0 ? static_cast<double>(seen.used_kb) / (static_cast<double>(seen.limit_kb) * kGrowthStopsAt) : -1;
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
	policy->SetUse(-1, now_ms);
	shared->guard = GuardView{.limit_kb = 0, .used_kb = 0, .level = GuardLevel::kNone};
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
		guarded_[i] = GuardedQuery{.real_kb = queries_[i].real_kb, .granted_kb = queries_[i].granted_kb,
		                           .stoppable = queries_[i].running && !queries_[i].asked && (queries_[i].applied || !applied_only)};
	return FindCulprit({guarded_, static_cast<size_t>(num_queries_)});
}

void MemoryGuard::Publish(const MemoryReading &reading, int32 stop, double now_ms)
{
	const int64 unavailable_kb = UnavailableKb();
	int64 used_kb = 0;
	StateLock lock;

	policy->SetPressure(PressureOf(pressure_.level()), unavailable_kb, now_ms);
	shared->guard = GuardView{.limit_kb = reading.limit_kb, .used_kb = reading.used_kb, .level = pressure_.level()};
	for (int32 i = 0; i < num_queries_; i++)
		used_kb += queries_[i].real_kb;
	policy->SetUse(used_kb, now_ms);
	for (int32 i = 0; i < num_queries_; i++) {
		QuerySlot &slot = query_slots[queries_[i].handle];
		if (slot.serial != queries_[i].serial || slot.pid != queries_[i].pid)
			continue;
		slot.real_kb = static_cast<float>(queries_[i].real_kb);
		/* A cursor that was asked and has not run since: there is no reason any more. Requests of others stay. */
		uint32 mine = static_cast<uint32>(StopReason::kMemoryGuard);
		if (queries_[i].asked && !queries_[i].running && pressure_.level() == GuardLevel::kNone)
			pg_atomic_compare_exchange_u32(&slot.stop_requested, &mine, static_cast<uint32>(StopReason::kNone));
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
		                        Long(query.real_kb), Long(query.granted_kb), Long(reading.used_kb), Long(reading.limit_kb)),
		              errhint("In mode auto and with wlm.guard_action = cancel it would be ended.")));
		return;
	}
	if (nobody_reported_)
		return;
	nobody_reported_ = true;
	for (int32 i = 0; i < num_queries_; i++) {
		held_kb += queries_[i].real_kb;
		granted_kb += queries_[i].granted_kb;
	}
	ereport(LOG, (errmsg("memory is about to run out, and no running statement is over its grant"),
	              errdetail("%lld kB of %lld kB are in use; %d managed statements hold %lld kB and were granted %lld kB.",
	                        Long(reading.used_kb), Long(reading.limit_kb), num_queries_, Long(held_kb), Long(granted_kb)),
	              errhint("Lower wlm.memory, or what else uses memory here.")));
}

}  // namespace wlm
