/*
 * shared_state.hpp
 *
 * Everything pg_wlm keeps in main shared memory, allocated once at server start.
 *
 * Locks
 *   state_lock (LWLock, tranche "pg_wlm", 0): policy, ring, query slots' entry
 *       fields, workload. Held for a few microseconds: once when a query is
 *       admitted or queued, once when it ends. Nothing that may raise, wait,
 *       allocate or touch the catalogue happens under it.
 *   learn_lock (LWLock, tranche "pg_wlm", 1): one writer of the models at a
 *       time (launcher, replay, reset, train). Never taken by a user's query;
 *       readers use sequence counters. Taken before state_lock if both.
 *   QuerySlot::mutex (spinlock): what parallel workers report to their leader.
 *   Counters are atomics without a lock; a reader may see them a moment apart.
 *
 * Single writers: a QuerySlot belongs to the backend that holds its handle.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/spin.h"
}

#include "core/decide/policy/policy.hpp"
#include "core/decide/workload.hpp"
#include "core/grant/memory_pressure.hpp"
#include "core/learn/drift.hpp"
#include "core/learn/learner.hpp"
#include "core/learn/role_share.hpp"
#include "core/predict/gate.hpp"
#include "pg/observe/ring.hpp"

namespace wlm {

struct GrantOutcomeStore;
struct PlanMemoryStore;

/* Where a managed query is, as its backend says it; the policy's state is in Policy. */
enum class Phase : uint32 {
	kFree = 0,
	kQueued,
	kAdmitted,   /* has a slot, has not run yet (between Bind and Execute) */
	kRunning,
	kIdle,       /* ran and went back to its client; still holds its slot */
	kReturned,   /* gave its slot back; must Resume before it runs on */
};

/* What one parallel worker, or several, saw of one operator. */
struct WorkerReport {
	int32 plan_node_id;
	uint8 processes;
	uint8 flags;             /* OperatorFlag */
	float peak_kb;           /* largest */
	float needed_kb;         /* largest */
	float temp_kb;           /* largest */
	float total_peak_kb;     /* summed over workers */
	float grown_kb;          /* by which the limit has grown, largest */
};

/* The grant as parallel workers find it, by plan_node_id; written by the leader before it starts them. */
struct NodeLimit {
	float work_mem_kb;       /* as OperatorGrant::work_mem_kb; 0 = none of its own */
	bool released;
};
struct NodeLimits {
	int16 max_plan_node_id;  /* -1: no limits */
	uint8 slot_of_plan_id[kMaxPlanNodeIds];
	NodeLimit limits[kMaxMemoryNodes];
};

/*
 * Why a running query is to end itself; kNone = it is not. kGiveWay and kHop do not end it: it is rolled back to its beginning, waits
 * (after kHop in its new queue) and starts again (pg/query/restart.hpp); who has sent a row meanwhile goes on.
 */
enum class StopReason : uint32 { kNone = 0, kMemoryGuard, kExecutionTime, kRule, kGiveWay, kHop };

/* What parallel workers add to the metrics of rules; their leader's own part it knows itself. Written by their timers and at their end. */
struct WorkerMetrics {
	pg_atomic_uint64 cpu_us;
	pg_atomic_uint64 temp_blocks;
	pg_atomic_uint64 blocks_read;
	pg_atomic_uint64 scan_rows;
	pg_atomic_uint64 join_rows;
	pg_atomic_uint64 nested_loop_rows;
};

/* What there is to do and to record where a rule has fired: nobody needs the rule set, which may be another by then. */
struct FiredRule {
	char name[kRuleNameLength];
	float value;                    /* FiringValue() */
	RuleAction action;
	Metric metric;                  /* whose value that is */
	uint8 new_priority;
	int32 new_queue;                /* of a hop: where it leads, in the workload of `rules_generation` */
};

/* One per policy entry, same index. */
struct QuerySlot {
	pg_atomic_uint32 phase;         /* Phase in the low byte, above it a count of changes; see SlotPhase() */
	pg_atomic_uint32 admitted;      /* set by the waker, under state_lock, before the latch */
	pg_atomic_uint32 cancel_requested; /* set by cancel_queued(), heeded by the waiter */
	pg_atomic_uint32 stop_requested;   /* StopReason, for the query of `serial`; heeded by the backend's own timer */
	pg_atomic_uint32 grown_kb;         /* by which operators of all its processes have grown */
	pg_atomic_uint32 rules_fired;      /* bit = index in `fired`; set by the backend (a signal handler too) */
	pg_atomic_uint32 rules_done;       /* those whose action the launcher, or the waiter itself, has carried out */
	uint32 rules_generation;           /* of the workload when it began, whose indices of queues its rules have */
	uint32 metrics_asked;              /* bits of Metric that its rules want from workers too; 0 = no rules */
	bool rules_act;                    /* else what they would do is only recorded */
	FiredRule fired[kMaxRules];        /* written before the bit in rules_fired */
	WorkerMetrics worker_metrics;
	uint32 serial;                     /* counts the queries that this slot has served */
	bool elastic;                      /* wlm.elastic when it began */
	NodeLimits node_limits;
	int pid;
	int procno;                     /* index in ProcGlobal->allProcs, to find the latch */
	Oid role;
	Oid database;
	uint64 query_id;
	uint64 plan_fingerprint;
	TimestampTz arrived_at;
	float predicted_ms;
	float requested_kb;             /* reservation wanted */
	float granted_work_mem_kb;      /* largest of any operator */
	float granted_kb;               /* CeilingKb() of the grant */
	int16 workers_granted;
	float used_kb;                  /* peak seen so far */
	float real_kb;                  /* what its processes hold for it as the guard saw it last; 0 = not yet */
	bool applied;                   /* mode auto: the grant is in force */
	bool own_priority;              /* wlm.priority was set: what its role is given does not count */
	bool superuser;                 /* `role` is: may be critical */

	slock_t mutex;                  /* guards the fields below */
	float worker_memory_kb;         /* context memory of workers, summed over those that ended */
	int num_reports;
	WorkerReport reports[kMaxMemoryNodes];
};

inline Phase SlotPhase(const QuerySlot &slot)
{
	return static_cast<Phase>(pg_atomic_read_u32(const_cast<pg_atomic_uint32 *>(&slot.phase)) & 0xff);
}

struct Counters {
	pg_atomic_uint64 managed;            /* statements that went through the loop */
	pg_atomic_uint64 errors;             /* failures inside pg_wlm that no query noticed */
	pg_atomic_uint64 unmanaged_full;     /* let through because the table, or their session's part of it, was full */
	pg_atomic_uint64 no_opinion;         /* plans too large, or without any expert's opinion */
	pg_atomic_uint64 experiences;        /* written to the ring */
	pg_atomic_uint64 experiences_lost;   /* overwritten before they were stored */
	pg_atomic_uint64 lock_forced;        /* admitted because somebody waited for a lock of theirs */
	pg_atomic_uint64 slots_taken_back;   /* from sessions idle between Bind and Execute, or with an open portal */
	pg_atomic_uint64 stopped;            /* asked to stop: memory guard, rules, execution time */
	pg_atomic_uint64 preempted;          /* gave way and began again */
	pg_atomic_uint64 rules_fired;
};

/* What wlm.training() shows: of the training that runs, or else of the last one. */
struct TrainingState {
	bool running;
	int pid;                              /* of the process that waits for the trainer */
	TimestampTz started_at;               /* 0 = never */
	TimestampTz finished_at;
	char phase[32];                       /* "collecting samples", "training trees", ... */
	float progress;                       /* of the phase, 0..1 */
	float loss;                           /* of the phase, NaN = none yet */
	int64 samples;
	char problem[256];                    /* why it failed, or empty */
	char reason[64];                      /* why it was started */
};

/* One bit for each statement that may be planned with another work_mem than its session's, by its key: no bit, no look-up. */
inline constexpr int kPlannedOtherwiseBits = 4096;

/* What the memory guard saw last. */
struct GuardView {
	int64 limit_kb;                       /* 0 = unknown, or the guard is off */
	int64 used_kb;                        /* that cannot be reclaimed */
	GuardLevel level;
};

inline constexpr int kWantedPlans = 64; /* one place for each fingerprint modulo this */

struct SharedState {
	LWLock *state_lock;
	LWLock *learn_lock;
	Counters counters;

	pg_atomic_uint32 workload_requested; /* raised by each committed change of configuration */
	pg_atomic_uint32 workload_loaded;    /* what was requested by then has been read */
	pg_atomic_uint32 workload_generation; /* of `workload`: the request that changed it last; backends compare it without a lock */
	pg_atomic_uint32 model_version;
	pg_atomic_uint32 model_resets;        /* wlm.reset() of models: what is being trained is of the past then */
	pg_atomic_uint32 flush_requested;
	pg_atomic_uint32 flush_done;          /* all that was in the ring at flush_requested is stored or given up */
	pg_atomic_uint32 rules_news;          /* grows whenever a rule fires; never set back, unlike the counter: the launcher goes by it */
	pg_atomic_uint32 saturation_permille; /* the launcher's last reading of the fullest resource */


	/* Fingerprints whose row wlm.plan lacks although recall knows them; the next execution sends the plan again. */
	pg_atomic_uint64 wanted_plans[kWantedPlans];

	/* Written under learn_lock, read by every planning without one. */
	pg_atomic_uint32 num_planned_otherwise; /* entries of plan_memory_store that are being tried or were accepted */
	pg_atomic_uint64 planned_otherwise[kPlannedOtherwiseBits / 64];

	/* Under learn_lock. */
	RoleShares role_shares;
	DriftState drift;
	InterferenceLearner overlaps;
	bool drifted;                         /* since the last training */

	/* Under state_lock. */
	int launcher_procno;                  /* -1 = not running */
	bool worker_running;
	TimestampTz worker_started_at;
	TimestampTz worker_finished_at;
	char worker_problem[256];             /* why the last worker could not do its work, or empty */
	bool history_available;               /* the extension was found in wlm.database */
	bool replayed;                        /* history has been read back after start */
	TrainingState training;
	GuardView guard;
	Saturation saturation;                /* the launcher's last readings */

	Workload workload;
};

/* Null in a server that was started without pg_wlm in shared_preload_libraries. */
WLM_HOT extern SharedState *shared;
extern Policy *policy;
extern QuerySlot *query_slots;            /* policy->max_queries() of them */
extern Ring *ring;
extern PlannerModel *planner_model;
extern RecallStore *recall_store;
extern Accuracy *accuracy;
extern GateModel *gate_model;
extern GrantOutcomeStore *grant_outcomes; /* written under learn_lock, read without a lock; so is the next */
extern PlanMemoryStore *plan_memory_store;

void InitSharedState();                   /* from _PG_init: hooks for request and startup */

/* Those that are not used in place; ModelsInUse (models/published_models.hpp) adds the others. */
ModelView PublishedModels();

/* Milliseconds of a monotonic clock, the same in all processes. */
double NowMs();

/* Applies settings and workload to the policy; takes state_lock. */
void ConfigurePolicy();

/*
 * state_lock for the length of a block. On the way out it marks whom the policy has admitted
 * meanwhile, and wakes them after the lock is free. Nothing in the block may raise.
 */
class StateLock {
  public:
	StateLock();
	~StateLock();
	StateLock(const StateLock &) = delete;
	StateLock &operator=(const StateLock &) = delete;
};

/* While no worker of the slot's query runs. */
void ClearWorkerMetrics(WorkerMetrics *metrics);

/* Wakes the launcher, if it runs. Any process, no lock needed. */
void WakeLauncher();

/* Counts an internal failure and logs the first since the server started. Never raises. */
void CountProblem(const char *text) noexcept;

/* ERROR with a HINT unless pg_wlm is in shared_preload_libraries. */
void RequireSharedState();

}  // namespace wlm
