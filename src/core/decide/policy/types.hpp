/*
 * types.hpp
 *
 * What goes into the state machine (policy.hpp) and what comes out of it:
 * configuration, requests, decisions, views, counters. Plain data.
 *
 * Units: milliseconds of the caller's monotonic clock; kB.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace wlm {

inline constexpr int kMaxQueues = 64;      /* queue 0 is `default`, always there */
inline constexpr int kNameLength = 64;

/*
 * Order within a priority: key = predicted time + kWaitCredit * arrival, smallest first. So nobody is overtaken by those who
 * arrive more than a hundred times his own predicted time after him: what bounds starvation bounds the stretch of his latency
 * (and max_wait bounds it in any case). Chosen on a trace with bursts of minutes (bench/simulate/README.md): with 0.2 the order was nearly
 * that of arrival there, with 201 % more mean latency than the best possible instead of 14 %; under 0.01 little is gained.
 */
inline constexpr double kWaitCredit = 0.01;
inline constexpr double kUnknownTimeMs = 30000.0;       /* taken for a query without prediction */
inline constexpr double kMaxKeyTimeMs = 60000.0;        /* longer predictions do not move further back: bounds overtaking to 6,000 s */
/* How often, and how long after its turn first came, a query that does not fit may be passed by others. */
inline constexpr int32_t kMaxPassed = 16;
inline constexpr double kMaxPassedMs = 10000.0;
inline constexpr double kMaxQueryShare = 0.5;           /* of the budget, for one query: so a query alone always starts */

enum class Priority : uint8_t { kLowest = 0, kLow, kNormal, kHigh, kHighest, kCritical, kNumPriorities };
inline constexpr int kNumPriorities = static_cast<int>(Priority::kNumPriorities);

enum class QueryState : uint8_t { kFree = 0, kQueued, kRunning, kReturned };
/* Maintenance: a utility that builds indexes; like the express lane without a slot, and it never waits. */
/* Superuser: the reserved lane; no slot, what memory is free, at most PolicyConfig::superuser_slots at a time. */
enum class Lane : uint8_t { kNormal = 0, kExpress, kMaintenance, kSuperuser };
/* What a queue does with statements: kPaused starts none, kDraining starts those it has and gets no more from routing. */
enum class Intake : uint8_t { kOpen = 0, kPaused, kDraining };
enum class Verdict : uint8_t { kAdmitted = 0, kQueued, kQueueFull, kTableFull };

/* Why a query waits, or waited last. */
enum class WaitReason : uint8_t {
	kNone = 0,
	kSlot,
	kMemory,
	kPassing,       /* a starved query goes first */
	kPressure,      /* real memory is short, whatever is reserved */
	kPaused,        /* its queue is paused */
	kPool,          /* the slots that automatic queues share are taken, or guaranteed to others who wait */
	kLater,         /* beside what runs now it would cost more than it gains (now or later) */
};

/* What real memory leaves, whatever is reserved; each includes those before it. */
enum class Pressure : uint8_t { kNone = 0, kNoGrowth, kNoAdmission /* of queries that want memory, while any runs */ };

/* What of the machine is full: 1 = full. Negative or NaN = not known. */
enum class Resource : uint8_t { kCpu = 0, kIoWait, kIoStall, kMemoryStall, kMemory, kNumResources };
inline constexpr int kNumResources = static_cast<int>(Resource::kNumResources);
struct Saturation {
	float of[kNumResources];

	static constexpr Saturation Cpu(double reading) noexcept
	{
		return Saturation{{static_cast<float>(reading), -1.0f, -1.0f, -1.0f, -1.0f}};
	}
};

/* Why the number of slots that automatic queues share was changed. */
enum class SlotReason : uint8_t { kStart = 0, kConfigured, kDemand /* somebody waits and nothing is full */, kSaturated };
struct SlotChange {
	double at_ms;
	int32_t before;
	int32_t after;
	SlotReason reason;
	Resource resource;          /* the fullest then */
	float saturation;           /* of it */
};
inline constexpr int kMaxSlotChanges = 64;

struct QueueLimits {
	char name[kNameLength];
	Priority priority;
	Intake intake;
	int32_t max_slots;          /* 0 = automatic: of the pool */
	float slot_share;           /* automatic: guaranteed part of the pool, 0..1 */
	float max_slot_share;       /* automatic: upper part of the pool, over 0..1 */
	float max_execution_ms;     /* 0 = none; enforced by the backend's timer */
	int32_t max_queue_length;   /* waiting queries; -1 = no limit */
	float memory_share;         /* guaranteed part of the budget, 0..1 */
	float max_memory_share;     /* upper part of the budget, 0..1 */
	float queue_timeout_ms;     /* 0 = none: bounded by max_wait and then forced */
	bool in_use;
};

struct PolicyConfig {
	int64_t budget_kb;          /* already times oversubscription */
	double max_wait_ms;         /* after this a waiting query is forced */
	double max_standstill_ms;   /* after this also one whose queue started nobody in his turn for so long; 0 = none */
	double express_floor_ms;    /* least cut-off of the express lane; negative = no lane */
	double express_share;       /* part of the budget that only the express lane may use, 0..0.5 */
	int32_t processors;
	int32_t total_slots;        /* of the pool that automatic queues share; 0 = follows saturation */
	int32_t superuser_slots;    /* statements at a time in the superusers' lane; 0 = no lane */
	bool preemption;
	bool tune_express;          /* moves the cut-off of the express lane by the measured cost of misrouting */
	bool now_or_later;
	int32_t num_queues;         /* at least 1 */
	QueueLimits queues[kMaxQueues];
};

struct QueryRequest {
	int32_t queue;
	Priority priority;
	bool may_wait;
	int32_t slots;              /* at least 1 */
	double time_ms;             /* predicted, median; 0 = unknown, taken for long */
	double time_upper_ms;       /* predicted, upper quantile */
	int64_t memory_kb;          /* reservation wanted */
	double queue_timeout_ms = -1; /* 0 = none; negative = that of the queue */
	bool maintenance = false;     /* Lane::kMaintenance: admitted at once, with what is free of memory_kb, perhaps nothing */
	bool superuser_lane = false;  /* takes Lane::kSuperuser if it would have to wait, at once or when there is room in it */
	float load = 0;               /* how much it keeps the machine busy beside others, processors; 0 = unknown, taken for 1 */
};

/* Index into the table, or kNoQuery. The caller keeps it from Arrive to Finish. */
using QueryHandle = int32_t;
inline constexpr QueryHandle kNoQuery = -1;

struct Decision {
	Verdict verdict;
	QueryHandle handle;         /* kNoQuery if rejected or the table is full */
	Lane lane;
	bool forced;
	WaitReason reason;          /* why it waits, if queued */
	int64_t reserved_kb;        /* at most what was wanted; less if a queue or the budget is smaller */
	double deadline_ms;         /* when the caller must call Deadline() if still queued */
};

/* What a deadline means to its query. */
enum class DeadlineOutcome : uint8_t { kTooEarly = 0, kForced, kTimedOut /* the queue wants an error; the entry is freed */ };

enum class MoveOutcome : uint8_t { kNone = 0 /* no such query or queue */, kMoved, kQueueFull };

/* What becomes of a query that was asked to give way. */
enum class Preemption : uint8_t {
	kWaits = 0,
	kAdmitted,  /* there is room again by now */
	kRefused    /* not running any more, or it may not: goes on from its beginning */
};

/* What an end teaches the express lane (express.cpp). */
struct ObservedEnd {
	double time_ms;             /* execution, without waiting */
	double queue_ms;
	Lane lane;                  /* in which it began */
	bool evicted;
};

struct QueryView {
	QueryState state;
	Lane lane;
	Priority priority;
	WaitReason reason;
	bool forced;
	bool evicted;               /* left the express lane by overrunning its cut-off */
	bool may_wait;
	int32_t queue;
	int32_t slots;              /* wanted */
	int32_t held;               /* in use by it now */
	int32_t num_preempted;      /* how often it gave way */
	bool restartable;
	int64_t reserved_kb;
	double arrived_ms;
	double admitted_ms;
	double time_ms;
	double load_beside;         /* admitted: mean load of the others while it ran so far, processors */
};

struct QueueCounters {
	int32_t slots;              /* limit in force; of an automatic queue the most it may use now, however much of that it does */
	int32_t slots_used;         /* by the normal lane alone */
	int32_t guaranteed_slots;   /* of the pool; 0 unless automatic */
	int32_t most_slots;         /* that it can ever have: its fixed limit, or the upper part of the pool */
	int32_t num_running;        /* in every lane: express and maintenance too */
	int32_t num_express;
	int32_t num_returned;
	int32_t num_queued;
	int64_t reserved_kb;
	uint64_t num_executed;
	uint64_t num_forced;
	uint64_t num_let_in;        /* because the queue stood still; in num_forced too, but for those for whom there was room */
	uint64_t num_timeouts;
	uint64_t num_rejected;
	uint64_t num_cancelled;
	uint64_t num_evicted;
	uint64_t num_preempted;
	double total_queue_ms;
	double total_wasted_ms;     /* execution thrown away by giving way */
};

}  // namespace wlm
