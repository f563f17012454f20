/*
 * launcher.cpp
 *
 * Once a second: the policy's tick, slots of idle sessions, lock-aware
 * admission, learning from what has ended, and a worker with a database where
 * tables are to be read or written. The memory guard has its own, shorter beat.
 * It holds no lock while it computes.
 *
 * It may die and be started again at any time: all state is in shared memory.
 */
#include "pg/worker/launcher.hpp"

#include "pg/postgres.hpp"

#include <cmath>

extern "C" {
#include "access/xlog.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "core/learn/learner.hpp"
#include "pg/compat.hpp"
#include "pg/guard.hpp"
#include "pg/learning/interference.hpp"
#include "pg/machine/saturation.hpp"
#include "pg/models/published_models.hpp"
#include "pg/observe/observe.hpp"
#include "pg/plan/plan_memory.hpp"
#include "pg/query/rule_actions.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/wait/lock_graph.hpp"
#include "pg/wait/queueing.hpp"
#include "pg/worker/memory_guard/memory_guard.hpp"
#include "pg/worker/start_workers.hpp"

extern "C" PGDLLEXPORT void wlm_launcher_main(Datum);

namespace wlm {

namespace {

constexpr double kTickMs = 1000;
constexpr double kFitMs = 10000;     /* between fits of how statements slow each other */
constexpr int kLearnBatch = 64;

struct Launcher {
	double ticked_ms = 0;
	double fitted_ms = 0;
	uint32 *seen_phases = nullptr;  /* words of all slots at the last tick */
	void *record = nullptr;         /* kMaxRecordBytes */
	SaturationMeter saturation;
	MemoryGuard guard;
	StartedWorkers workers;
};

void Announce(int, Datum) { shared->launcher_procno = -1; }

/*
 * Sessions that went idle with a slot: between Bind and Execute, or with a portal that has returned
 * its rows and is not closed. A slot is taken back when nothing has moved between two ticks.
 */
void TakeBackIdleSlots(Launcher *launcher, double now_ms)
{
	StateLock lock;

	for (QueryHandle handle = 0; handle < policy->max_queries(); handle++) {
		pg_atomic_uint32 *word = &query_slots[handle].phase;
		uint32 seen = pg_atomic_read_u32(word);
		const Phase phase = static_cast<Phase>(seen & 0xff);
		const bool idle = phase == Phase::kAdmitted || phase == Phase::kIdle;
		const bool unchanged = launcher->seen_phases[handle] == seen;

		launcher->seen_phases[handle] = seen;
		if (!idle || !unchanged)
			continue;
		const uint32 returned = (((seen >> 8) + 1) << 8) | static_cast<uint32>(Phase::kReturned);
		if (pg_atomic_compare_exchange_u32(word, &seen, returned)) {
			policy->Pause(handle, now_ms);
			pg_atomic_fetch_add_u64(&shared->counters.slots_taken_back, 1);
		}
	}
}

/*
 * A command that builds indexes reserves before it has its locks. While it waits for one, what it reserved is lent to others;
 * afterwards it is reserved again, if it is still there.
 */
void LendWhileWaitingForLocks(double now_ms)
{
	StateLock lock;

	for (QueryHandle handle = 0; policy->num_active() > 0 && handle < policy->max_queries(); handle++) {
		const QueryView view = policy->View(handle);
		const QuerySlot &slot = query_slots[handle];

		if (view.state != QueryState::kRunning || view.lane != Lane::kMaintenance || slot.pid == 0)
			continue;
		/*
		 * For its table, that is: what functions of the index wait for comes later. Read without locks, for a tick early or late
		 * does not matter, and what a lock's place holds by now is some lock's tag.
		 */
		const PGPROC *const proc = GetPGProcByNumber(slot.procno);
		const LOCK *const lock_waited_for = proc->waitLock;
		const bool waits = proc->waitStatus == PROC_WAIT_STATUS_WAITING && lock_waited_for != nullptr &&
			lock_waited_for->tag.locktag_type == LOCKTAG_RELATION;
		const int64 wanted_kb = static_cast<int64>(slot.granted_kb);
		if (waits && view.reserved_kb > 0)
			policy->Reserve(handle, 0, now_ms);
		else if (!waits && view.reserved_kb == 0 && wanted_kb > 0)
			policy->Grow(handle, wanted_kb, wanted_kb, now_ms);
	}
}

void Tick(Launcher *launcher)
{
	const double now_ms = NowMs();
	const Saturation saturation = launcher->saturation.Measure(launcher->guard.Fullness(), now_ms);

	pg_atomic_write_u32(&shared->saturation_permille, static_cast<uint32>(Fullest(saturation) * 1000));
	{
		StateLock lock;
		shared->saturation = saturation;
		policy->Tick(now_ms, saturation);
	}
	TakeBackIdleSlots(launcher, now_ms);
	LendWhileWaitingForLocks(now_ms);
	ForceBlockers();
	if (now_ms - launcher->fitted_ms >= kFitMs) {
		PublishInterference();
		launcher->fitted_ms = now_ms;
	}
	launcher->ticked_ms = now_ms;
}

/* False when there is none. learn_lock may be held. */
bool TakeRecord(Launcher *launcher, RecordHeader *header)
{
	StateLock lock;
	return ring->Take(Reader::kLearner, header, launcher->record);
}

/* Up to kLearnBatch records under one hold of learn_lock, so that the neighbours are copied once for all. */
bool LearnBatch(Launcher *launcher)
{
	LearningModels models = {
		.planner = planner_model, .recall = recall_store, .gate = gate_model, .accuracy = accuracy};
	RecordHeader header;
	bool more = false, learned = false;

	LWLockAcquire(shared->learn_lock, LW_EXCLUSIVE);
	for (int i = 0; i < kLearnBatch && (more = TakeRecord(launcher, &header)); i++) {
		if (header.kind != RecordKind::kExperience)
			continue;
		const Experience &experience = *static_cast<const Experience *>(launcher->record);
		if (experience.final_state == FinalState::kRejected || experience.final_state == FinalState::kTimedOut)
			continue; /* never ran */
		if (experience.final_state == FinalState::kCompleted && !experience.censored) {
			StateLock lock;
			policy->ObserveEnd(EndOf(experience));
		}
		if (models.neighbours == nullptr && experience.embedding_version != 0)
			models.neighbours = reinterpret_cast<NeighbourStore *>(CopyForChangeLocked(kNeighboursModel).data());
		if (ObserveDrift(&shared->drift, experience))
			shared->drifted = true;
		Learn(models, experience, WeightOfRole(&shared->role_shares, experience.role_oid));
		LearnOutcomesLocked(experience);
		LearnOverlapLocked(experience);
		learned = true;
	}
	if (learned)
		PublishOutcomesLocked();
	if (models.neighbours != nullptr)
		PublishChangedLocked(kNeighboursModel);
	LWLockRelease(shared->learn_lock);
	return more;
}

void LearnFromRing(Launcher *launcher)
{
	while (LearnBatch(launcher)) {
		CHECK_FOR_INTERRUPTS();
		launcher->guard.TickIfDue(NowMs());
	}
}

/* Who turns management off for the server wants nobody to wait for it any longer. One lock for each: it is held for microseconds. */
void ReleaseWaiting()
{
	for (QueryHandle handle = 0; handle < policy->max_queries(); handle++) {
		if (SlotPhase(query_slots[handle]) != Phase::kQueued)
			continue;
		StateLock lock;
		policy->Force(handle, NowMs());
	}
}

void ReloadSettings()
{
	const bool managed = setting::mode == static_cast<int>(Mode::kAuto);

	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	ConfigurePolicy();
	if (managed && setting::mode != static_cast<int>(Mode::kAuto))
		ReleaseWaiting();
}

/* A standby answers from what it knows and learns nothing. */
void DiscardOnStandby()
{
	StateLock lock;
	ring->Discard(Reader::kLearner);
	ring->Discard(Reader::kHistory);
}

void RunLauncher()
{
	Launcher launcher;

	launcher.record = palloc(kMaxRecordBytes);
	launcher.workers.trained_ms = NowMs();
	launcher.seen_phases = static_cast<uint32 *>(palloc0(sizeof(uint32) * static_cast<Size>(policy->max_queries())));
	shared->launcher_procno = OwnProcNumber();
	launcher.guard.Init();
	before_shmem_exit(Announce, 0);

	ConfigurePolicy(); /* a reload while no launcher was there */

	/* What lives longer than a round is allocated above; everything else goes with the round. */
	MemoryContext round = AllocSetContextCreate(CurrentMemoryContext, "pg_wlm launcher round", ALLOCSET_DEFAULT_SIZES);
	MemoryContext const home = CurrentMemoryContext;

	for (;;) {
		const long wait_ms = static_cast<long>(std::ceil(std::min(kTickMs, launcher.guard.WaitMs(NowMs()))));
		const int events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait_ms, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ShutdownRequestPending)
			proc_exit(1); /* 0 would mean that it is not to be started again */
		if (ConfigReloadPending)
			ReloadSettings();
		launcher.guard.TickIfDue(NowMs());
		ActOnRules();

		/* The guard looks more often than there is other work. */
		const bool tick = NowMs() - launcher.ticked_ms >= kTickMs;
		if (!tick && (events & WL_LATCH_SET) == 0)
			continue;
		MemoryContextSwitchTo(round);
		if (tick)
			Tick(&launcher);
		const bool standby = RecoveryInProgress();
		if (standby)
			DiscardOnStandby();
		else
			LearnFromRing(&launcher);
		MemoryContextSwitchTo(home); /* the worker's handle outlives the round */
		StartWorker(&launcher.workers, standby);
		if (!standby)
			StartTraining(&launcher.workers);
		MemoryContextReset(round);
	}
}

}  // namespace

void InitLauncher()
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof worker);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "pg_wlm", sizeof worker.bgw_library_name);
	strlcpy(worker.bgw_function_name, "wlm_launcher_main", sizeof worker.bgw_function_name);
	strlcpy(worker.bgw_name, "pg_wlm launcher", sizeof worker.bgw_name);
	strlcpy(worker.bgw_type, "pg_wlm launcher", sizeof worker.bgw_type);
	RegisterBackgroundWorker(&worker);
}

}  // namespace wlm

void wlm_launcher_main(Datum)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	wlm::Guarded<void>([] { wlm::RunLauncher(); });
}
