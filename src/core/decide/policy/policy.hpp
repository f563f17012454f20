/*
 * policy.hpp
 *
 * Who runs now, who waits, with how much memory: the workload manager's state
 * machine. Events in, admissions out; no clock, no lock, no I/O, no pointer
 * into the process. The server runs it in shared memory under one LWLock, the
 * property test and the simulator run the same code on a virtual clock.
 *
 *                 Arrive
 *      +------------+-------------+----------------+
 *      v            v   GiveWay   v                v
 *   rejected     queued <------> running <----> returned      (Pause, Resume)
 *                 |  Admit/Force   |               |
 *                 v                v               v
 *               Cancel           Finish          Finish
 *
 * A slot is held while a query runs; a memory reservation from admission to
 * Finish, also while it is returned (a cursor that waits for its client).
 *
 * Rules, in the order in which they are applied (ALGORITHMS.md, section 6):
 *   - a query that may not wait, or whose deadline has come, is admitted at
 *     once; if there was no room it is counted as forced. So is, one after the
 *     other, who waits in a queue that stands still (max_standstill_ms): under
 *     load a queue moves and waits are long, behind what waits for the one who
 *     waits nobody starts in his turn any more;
 *   - a predicted-short query takes the express lane: no slot, only memory;
 *   - otherwise it needs a slot of its queue and its reservation must fit;
 *   - waiting queries start by stride scheduling over priorities, within a
 *     priority by key = predicted time + kWaitCredit * arrival, so nobody can be
 *     overtaken by a query that arrives later than his own predicted
 *     time / kWaitCredit after him;
 *   - a large request whose turn has come and that does not fit may be
 *     passed by smaller ones only until it has been passed kMaxPassed times
 *     or has waited kMaxPassedMs; then everyone behind it waits;
 *   - slots: a queue has a fixed number, or it draws on a pool that all automatic
 *     queues share; of the pool it is guaranteed a part, which is lent while
 *     nobody waits in it, and may take at most another;
 *   - a guarantee of memory is lent while its queue is idle, and, as long as real
 *     use leaves room and there is no pressure, while its queue does not want it;
 *   - a superuser who asks for it has lanes of his own: no slot, what memory is free; if all are taken he
 *     waits as critical, and for a lane;
 *   - a paused queue starts nobody but those whose time has come; one that drains
 *     starts whom it has, and routing sends nobody there any more;
 *   - a query that waits behind a running one of lower priority that has sent nothing and
 *     can be restarted may have it give way (preempt.cpp);
 *   - maintenance neither waits nor takes a slot: it gets what is free;
 *   - real memory (SetPressure) shrinks the budget, stops growth, and then
 *     those that wait for memory, but one may always run.
 *
 * Units: milliseconds of the caller's monotonic clock; kB.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/decide/interference.hpp"
#include "core/decide/policy/types.hpp"

namespace wlm {

class Policy {
  public:
	static size_t BytesNeeded(int32_t max_queries) noexcept;
	/* nullptr if the span is too small or not aligned to 8. The object lives in the span. */
	static Policy *Init(std::span<std::byte> memory, int32_t max_queries, const PolicyConfig &config) noexcept;

	/* Running queries keep what they have; queued ones of a queue that is gone move to queue 0. */
	void Configure(const PolicyConfig &config, double now_ms) noexcept;
	const PolicyConfig &config() const noexcept;

	Decision Arrive(const QueryRequest &request, double now_ms) noexcept;
	/* The query is gone, in whatever state it was. Frees the entry. */
	void Finish(QueryHandle handle, double now_ms) noexcept;
	/* Queued only: leaves the queue and is freed, counted as cancelled. */
	void Cancel(QueryHandle handle, double now_ms) noexcept;
	/*
	 * Queued only. A time-out of the queue wins over max_wait when both have come. kTooEarly also if it
	 * runs by now; if it still waits (max_wait was raised meanwhile), DeadlineMs() says when to call again.
	 */
	DeadlineOutcome Deadline(QueryHandle handle, double now_ms) noexcept;
	/* Queued only: starts it over every limit. */
	void Force(QueryHandle handle, double now_ms) noexcept;
	/* Running -> returned: the slot is given back, the memory kept. */
	void Pause(QueryHandle handle, double now_ms) noexcept;
	/* Returned -> running: takes a slot, over the limit if none is free (counted as forced). */
	void Resume(QueryHandle handle, double now_ms) noexcept;
	/* Lowers or raises the reservation to what is known to be used. */
	void Reserve(QueryHandle handle, int64_t memory_kb, double now_ms) noexcept;
	/*
	 * More for an admitted query that is about to need it: wanted_kb if the budget and its queue's share have it, nobody is starved of
	 * memory and there is no pressure; half of it, down to least_kb, if only that is there; else 0. Never forced. No query gets over
	 * kMaxQueryShare so; one of the express lane that grows over what the lane takes (2 % of the budget) is evicted from it.
	 */
	int64_t Grow(QueryHandle handle, int64_t wanted_kb, int64_t least_kb, double now_ms) noexcept;
	/*
	 * What the memory guard sees: unavailable_kb is memory that processes still hold without a reservation; the budget shrinks by it.
	 * Whatever it is, one query of the normal lane may run with memory. Holds until the next call.
	 */
	void SetPressure(Pressure pressure, int64_t unavailable_kb, double now_ms) noexcept;
	/*
	 * What managed queries really hold of what they have reserved; negative = not known. While it leaves room and nobody stops for
	 * pressure, guarantees of memory that their queues do not use are lent. Holds until the next call.
	 */
	void SetUse(int64_t used_kb, double now_ms) noexcept;
	/* Queued, running or returned. A waiting query takes the place in the other level that its key gives it. False: no such query. */
	bool ChangePriority(QueryHandle handle, Priority priority, double now_ms) noexcept;
	/*
	 * To another queue, in whatever state. A waiting one keeps the time of its arrival, but has the time-out of the new queue
	 * (DeadlineMs()); if as many wait there as may, it stays where it is, with its turn (kQueueFull). A running one keeps what it has: its
	 * slots and memory count there from now on, over the limit if need be.
	 */
	MoveOutcome Move(QueryHandle handle, int32_t queue, double now_ms) noexcept;
	/* Can it be restarted and nobody notices: true before each attempt (older requests are over), false from its first row on. */
	void SetRestartable(QueryHandle handle, bool restartable) noexcept;
	/* The next query that is to be asked to give way, or kNoQuery; each request is returned once. It may go on if it cannot any more. */
	QueryHandle TakeVictim() noexcept;
	/*
	 * Its owner has stopped it and thrown away what it has executed, which is charged whatever the answer is: slot and memory go back,
	 * and it waits with the key it had (kWaits), unless there is room.
	 */
	Preemption GiveWay(QueryHandle handle, double now_ms) noexcept;
	/* The same after Move(): its owner has stopped it because its new queue has no room for it. Waits there; kRefused: room by now. */
	Preemption Requeue(QueryHandle handle, double now_ms) noexcept;
	/*
	 * About once a second: evicts express queries that overran the cut-off, moves the pool of slots
	 * (additive increase while somebody waits for one and nothing is full, halved when something is over-full),
	 * looks for queries that should give way, forces whom the caller forgot to call Deadline() for and, of each queue that stands
	 * still, the one who waits longest.
	 */
	void Tick(double now_ms, const Saturation &saturation) noexcept;
	/* Feeds the express lane's cut-off, and its correction. */
	void ObserveEnd(const ObservedEnd &end) noexcept;
	/* How queries slow each other, learned elsewhere (interference.hpp). Holds until the next call. */
	void SetInterference(const Interference &interference) noexcept;

	/* The next query that an event has admitted since it was queued, or kNoQuery; each is returned once. */
	QueryHandle TakeAdmitted() noexcept;

	QueryView View(QueryHandle handle) const noexcept;      /* any index in [0, max_queries) */
	/* Of each handle: its place in its queue, 1 = next; 0 if it does not wait. One pass over all that wait. */
	void Positions(std::span<int32_t> positions) const noexcept;
	double DeadlineMs(QueryHandle handle) const noexcept;   /* of a queued query, under the present configuration; else 0 */
	QueueCounters Counters(int32_t queue) const noexcept;
	bool IsFull(int32_t queue) const noexcept;      /* as many wait in it as may */
	bool IsOverSlots(int32_t queue) const noexcept; /* more is taken than it may use: Requeue() would have its query wait */
	int32_t max_queries() const noexcept;
	int32_t num_active() const noexcept;                    /* entries in use */
	int32_t num_queued() const noexcept;
	int64_t reserved_kb() const noexcept;
	int64_t forced_kb() const noexcept;                     /* part of it that was forced over the budget */
	double express_cutoff_ms() const noexcept;              /* correction included */
	double express_correction() const noexcept;             /* factor on the cut-off that the cost of misrouting has led to; 1 = none */
	int32_t pool_slots() const noexcept;                    /* limit in force of all automatic queues together */
	int32_t pool_used() const noexcept;
	int32_t num_superusers() const noexcept;                /* in the superusers' lane */
	/* The latest changes of the pool, oldest first; how many. */
	int SlotChanges(std::span<SlotChange, kMaxSlotChanges> changes) const noexcept;
	Pressure pressure() const noexcept;
	int64_t unavailable_kb() const noexcept;
	int64_t free_kb() const noexcept;                       /* of the budget less unavailable_kb; the express lane's part included */
	uint64_t num_grown() const noexcept;                    /* successful Grow() */
	uint64_t num_growth_refused() const noexcept;

	/* Recomputes everything from the entries; false with a reason in `why` (at least 128 bytes) if they disagree. */
	bool CheckInvariants(char *why, size_t size) const noexcept;

  private:
	enum Flag : uint8_t {
		kForcedFlag = 1,
		kEvictedFlag = 2,
		kMayWaitFlag = 4,
		kUntakenFlag = 8,       /* in the admitted FIFO */
		kRestartableFlag = 16,
		kAskedFlag = 32,        /* running: it was asked to give way, and has not answered */
		kVictimFlag = 64,       /* ... and its owner does not know yet: in victims_ */
		kSuperuserFlag = 128,   /* may run in the superusers' lane */
	};

	struct Entry {
		double key;
		double arrived_ms;          /* internal clock, as all times here */
		double queued_ms;           /* queued: since when it waits; running: since when it is asked to give way */
		double waited_ms;           /* earlier waits */
		double admitted_ms;
		double since_ms;            /* queued: when its turn first came, or kNever; running: since when it runs */
		double time_ms;
		double load_mark;           /* running: load_integral_ since when it runs */
		int64_t memory_kb;          /* wanted while queued; reserved from admission on */
		int64_t wish_kb;            /* admitted: what it wanted while queued, and wants again if it gives way */
		float timeout_ms;           /* its own; negative = that of its queue */
		float ran_ms;               /* sum of its running stretches before since_ms */
		float load;                 /* processors; 0 = unknown */
		float beside;               /* processors x ms of the others in its running stretches before since_ms */
		float wasted_ms;            /* execution thrown away when it gave way */
		int32_t slots;              /* wanted */
		int32_t held;               /* slots it holds now: min(wanted, limit at that time) while running in the normal lane */
		int32_t passed;             /* times others started although its turn had come */
		int32_t previous;           /* its wait list, the admitted FIFO or victims_; `next` also the free list */
		int32_t next;
		int32_t partner;            /* queued: who was asked to give way to it; running: to whom; or kNoQuery */
		QueryState state;
		Lane lane;
		Priority priority;
		WaitReason reason;
		uint8_t flags;
		uint8_t queue;
		uint16_t num_preempted;
	};

	/* Intrusive, doubly linked. */
	struct EntryList {
		int32_t head;
		int32_t tail;
		int32_t length;
	};

	struct QueueState {
		QueueCounters counters;     /* counters.slots is the fixed limit; 0 if automatic (view.cpp works it out) */
		int64_t guarantee_kb;
		int64_t max_kb;
		int64_t query_cap_kb;       /* most that one query may reserve */
		int64_t withheld_kb;        /* its part of withheld_kb_ */
		int64_t lendable_kb;        /* of that, what nobody who waits could use now: its part of lendable_kb_ */
		double started_ms;          /* when somebody last started here in his turn, or kNever */
		double let_in_ms;           /* when somebody was last let in because nobody does, or kNever */
		int64_t waiting_slots;      /* sum of what its waiting queries want */
		int32_t guaranteed_slots;   /* of the pool; 0 unless automatic, as the next two */
		int32_t most_slots;         /* at least 1 and the guaranteed ones */
		int32_t withheld_slots;     /* its part of withheld_slots_ */
		EntryList waiting[kNumPriorities];
		QueryHandle claimant;       /* the starved query that its slots and share are kept for */
		uint8_t in_use;
		uint8_t automatic;
		uint8_t paused;
		uint8_t padding[5];
	};

	/* One priority: stride scheduling's pass, and which queues have waiters in it. */
	struct Level {
		uint64_t queues;
		uint64_t pass;
	};

	static constexpr int kNumBuckets = 112;         /* of the cut-off's histogram: 4 per doubling, from 1 ms to 3 days */

	Policy() = default;

	/* policy.cpp */
	double Advance(double now_ms) noexcept;
	double TimeoutMs(const Entry &entry) const noexcept; /* 0 = none */
	void Release(QueryHandle handle) noexcept;
	void LetIn() noexcept;
	bool StandsStill(const QueueState &queue) const noexcept;
	Decision Admitted(QueryHandle handle) const noexcept;
	/* configure.cpp */
	void Adopt(const PolicyConfig &config) noexcept;
	void SetLimits(int queue, double guarantee_scale) noexcept;
	/* entries.cpp */
	Entry *entries() noexcept { return reinterpret_cast<Entry *>(this + 1); }
	const Entry *entries() const noexcept { return reinterpret_cast<const Entry *>(this + 1); }
	bool InUse(QueryHandle handle) const noexcept;
	QueryHandle Allocate() noexcept;
	void Free(QueryHandle handle) noexcept;
	void Append(EntryList &list, QueryHandle handle) noexcept;
	void Remove(EntryList &list, QueryHandle handle) noexcept;
	void Link(QueryHandle handle) noexcept;
	void Unlink(QueryHandle handle) noexcept;
	void Enqueue(QueryHandle handle) noexcept;
	void Dequeue(QueryHandle handle) noexcept;
	void Tell(QueryHandle handle) noexcept;
	void DropUntaken(QueryHandle handle) noexcept;
	/* room.hpp, room.cpp */
	double WaitedMs(const Entry &entry) const noexcept;
	int32_t SlotsNeeded(const Entry &entry) const noexcept;
	bool SlotFree(const Entry &entry) const noexcept;
	bool OverSlots(const QueueState &queue) const noexcept;
	bool Paused(const Entry &entry) const noexcept;
	bool RoomNow(const Entry &entry) const noexcept;
	int32_t PoolRoom() const noexcept;
	bool PoolFits(const QueueState &queue, int32_t wanted, bool with_guarantees) const noexcept;
	int64_t Wanted(const Entry &entry) const noexcept;
	bool ShareFits(const Entry &entry) const noexcept;
	bool BudgetFits(const Entry &entry, Lane lane, bool with_guarantees) const noexcept;
	bool FitsIn(const Entry &entry, int64_t limit_kb, bool with_guarantees) const noexcept;
	bool HoldsMemory(const Entry &entry) const noexcept;
	bool MemoryStopped() const noexcept;
	bool Stopped(const Entry &entry) const noexcept;
	bool LoanFits(const QueueState &queue, int64_t wanted, int64_t limit_kb) const noexcept;
	bool Heeded(QueryHandle claimant) const noexcept;
	bool PoolHeeded() const noexcept;
	WaitReason SlotReasonOf(const Entry &entry) const noexcept;
	WaitReason ReasonOf(QueryHandle handle) const noexcept;
	void UpdateWithheld(int queue) noexcept;
	void ChangeReserved(int queue, int64_t change_kb, bool forced) noexcept;
	void ChangeMemory(Entry &entry, int64_t change_kb, bool forced) noexcept;
	/* admission.cpp */
	void Start(QueryHandle handle, Lane lane, bool forced) noexcept;
	void StartQueued(QueryHandle handle, bool forced, bool tell) noexcept;
	void Claim(QueryHandle handle, bool budget, bool pool) noexcept;
	bool SlotInTurn(QueryHandle handle) const noexcept;
	bool StartNext() noexcept;
	struct Scan;
	struct Beside;
	QueryHandle FirstNotStopped(QueryHandle handle) const noexcept;
	bool StartFromLevel(int level, Scan &scan) noexcept;
	bool TryStart(QueryHandle handle, Scan &scan) noexcept;
	void StartAbove(int level) noexcept;
	void Dispatch() noexcept;
	void DispatchIfStopped() noexcept;
	/* priorities.cpp */
	int OrderLevels(int (&order)[kNumPriorities]) const noexcept;
	void ChargeLevel(int level) noexcept;
	void LevelBecomesBusy(int level) noexcept;
	/* express.cpp */
	bool ExpressFits(const Entry &entry, double time_upper_ms) const noexcept;
	void Evict(Entry &entry) noexcept;
	void EvictOverrun() noexcept;
	void UpdateCutoff() noexcept;
	void WeighMisrouting(const ObservedEnd &end) noexcept;
	/* preempt.cpp */
	struct Seeker;
	void InitPreemption() noexcept;
	bool IsRestartable(const Entry &entry) const noexcept;
	void CountRestartable(const Entry &entry, int32_t change) noexcept;
	bool Lacks(QueryHandle handle) const noexcept;
	bool MaySeek(QueryHandle handle) const noexcept;
	double LostMs(const Entry &entry) const noexcept;
	bool MayBeginAgain(const Entry &entry) const noexcept;
	void ThrowAway(Entry &entry) noexcept;
	Preemption BeginAgain(QueryHandle handle) noexcept;
	bool MayGiveWay(const Entry &entry) const noexcept;
	bool FitsInPlaceOf(QueryHandle waiter, QueryHandle victim) noexcept;
	bool AskVictims(Seeker *seekers, int count) noexcept;
	void LookForVictim(QueryHandle waiter) noexcept;
	void LookForVictims() noexcept;
	void Unask(QueryHandle handle) noexcept;
	void Part(QueryHandle waiter) noexcept;
	void LeaveRunning(QueryHandle handle) noexcept;
	void EarnWaste(const Entry &entry) noexcept;
	bool SomebodyNeeds(QueryHandle victim, QueryHandle asked_for) noexcept;
	double Draw() noexcept;
	/* later.cpp */
	void GatherBeside(Beside &beside) const noexcept;
	bool StartsLater(const Entry &entry, Beside &beside) const noexcept;
	void EnterMachine(Entry &entry) noexcept;
	void LeaveMachine(Entry &entry) noexcept;
	double BesideNow(const Entry &entry) const noexcept;
	/* growth.cpp */
	bool MemoryClaimed(const QueueState &queue) const noexcept;
	int64_t RoomKb(const Entry &entry, int64_t limit_kb) const noexcept;
	int64_t MaintenanceKb(const Entry &entry) const noexcept;
	/* slots.cpp */
	void TakeSlots(Entry &entry) noexcept;
	void GiveSlots(Entry &entry) noexcept;
	void ChangeSlots(int queue, int32_t change) noexcept;
	void MovePool(const Saturation &saturation) noexcept;
	int32_t GrownPool() const noexcept;
	void SetPool(int32_t slots, SlotReason reason, Resource resource, float saturation) noexcept;
	void ConfigurePool(bool was_automatic) noexcept;
	void ShareOutPool() noexcept;
	int32_t LeastSlots() const noexcept;
	int32_t MostSlots() const noexcept;
	int32_t SlotsNow(const QueueState &queue) const noexcept;
	bool SomebodyWaitsForPool() const noexcept;
	/* control.cpp */
	void Count(const Entry &entry, int sign) noexcept;
	bool MayWaitIn(const Entry &entry, int32_t queue) const noexcept;
	bool SuperuserStarts(QueryHandle handle, bool may_wait) noexcept;
	bool StartSuperuser() noexcept;
	/* invariants.cpp */
	struct Recount;
	const char *CheckFixed() const noexcept;
	const char *CheckGivingWay(QueryHandle handle) const noexcept;
	const char *CheckPool() const noexcept;
	const char *CheckEntries(Recount &recount) const noexcept;
	const char *CheckLists() const noexcept;
	const char *CheckQueues(const Recount &recount) const noexcept;

	uint64_t num_bytes_;            /* BytesNeeded(max_queries_): a check on max_queries_ */
	int32_t max_queries_;
	int32_t num_active_;
	int32_t num_queued_;
	int32_t free_;                  /* head of the free list */
	int32_t num_without_memory_;    /* of the queued ones, those that want none */
	int32_t num_holders_;           /* queries that run in the normal lane and have memory */
	Pressure pressure_;
	uint32_t started_;              /* the clock has been set */
	EntryList untaken_;             /* admitted, not yet returned by TakeAdmitted() */
	QueryHandle claimant_;          /* the starved query that free memory is kept for */
	QueryHandle pool_claimant_;     /* the starved query that free slots of the pool are kept for */
	int32_t pool_slots_;            /* limit of the pool */
	int32_t automatic_used_;        /* slots that automatic queues hold: together */
	int32_t fixed_used_;            /* those that the others hold */
	int32_t withheld_slots_;        /* unused guarantees of automatic queues in which somebody waits */
	int32_t ceiling_;               /* limit of the pool when it last saturated the machine; 0 = not yet, or left behind since */
	int32_t num_superusers_;        /* that run in their lane */
	int32_t num_lane_waiters_;      /* queued ones that may run in it */
	uint32_t num_slot_changes_;     /* ever; the latest are in slot_changes_ */
	double clock_ms_;               /* caller's clock + offset_ms_; never goes back */
	double offset_ms_;
	int64_t budget_kb_;
	int64_t normal_kb_;         /* what the normal lane may reserve: the budget less the express lane's part */
	int64_t reserved_kb_;
	int64_t forced_kb_;
	int64_t express_kb_;            /* reserved by express queries */
	int64_t withheld_kb_;           /* unused guarantees of queues that have queries */
	int64_t lendable_kb_;           /* the part of it that a loan may take */
	int64_t used_kb_;               /* really used at the last SetUse(), plus all that was reserved since; negative = not known */
	int64_t unavailable_kb_;
	uint64_t num_grown_;
	uint64_t num_growth_refused_;
	int32_t restartable_[kNumPriorities];   /* queries that run in the normal lane, can be restarted and were not asked */
	EntryList victims_;             /* asked to give way, not yet returned by TakeVictim() */
	uint64_t random_;               /* state of Draw() */
	double waste_credit_ms_;        /* execution that may still be thrown away: grows with what is executed */
	double seek_after_ms_;          /* nobody was found: an arrival does not look again before */
	Interference interference_;
	double total_load_;             /* of those that run, in every lane */
	double load_integral_;          /* of total_load_ over the internal clock */
	double correction_;             /* of the cut-off */
	double let_in_ms_;              /* fading sums: the cost of misrouting into the express lane */
	double kept_out_ms_;            /* and out of it */
	uint64_t num_weighed_;          /* ends that were weighed so */
	double cutoff_ms_;
	double time_weight_;            /* weight of the next observation: grows, so older ones fade */
	double time_total_;
	uint64_t virtual_time_;         /* pass of the level that was served last */
	Level levels_[kNumPriorities];
	SlotChange slot_changes_[kMaxSlotChanges];
	float times_[kNumBuckets];
	QueueState queues_[kMaxQueues];
	PolicyConfig config_;
};

}  // namespace wlm
