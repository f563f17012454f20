/*
 * memory_guard.hpp
 *
 * Watches real memory, in the launcher: that of the machine or of the server's
 * control groups, and that of the processes of each managed query. Tells the
 * policy what is left whatever is reserved, and when memory is about to run out does
 * what wlm.guard_action says to the query furthest over its grant.
 */
#pragma once

#include "pg/postgres.hpp"

#include "core/grant/memory_pressure.hpp"
#include "pg/machine/machine_memory.hpp"
#include "pg/machine/process_memory.hpp"

namespace wlm {

/* Between readings of sessions that run nothing managed (20 us each), and of mappings (up to 1 ms a process); under pressure less. */
inline constexpr double kReadAllMs = 1000, kReadAllPressedMs = 200;

class MemoryGuard {
  public:
	/* Allocates in the current memory context what it needs for good. */
	void Init();

	/* Milliseconds until the next tick is due. */
	double WaitMs(double now_ms) const;
	void TickIfDue(double now_ms);

	/* How near memory was, when last read, to where growth stops: 1 = there. Negative: not known, or the guard is off. */
	double Fullness() const;

  private:
	/* A managed query at this tick. */
	struct Query {
		QueryHandle handle;
		uint32 serial;
		int pid;
		int procno;
		int64 reserved_kb;      /* also of its session's other queries, whose memory is not told apart */
		int64 granted_kb;       /* the same, but what its operators may come to hold, if that is more */
		int64 real_kb;
		bool applied;
		bool running;           /* executes, and its backend looks for requests */
		bool asked;             /* to stop */
		bool parallel;          /* its session leads parallel workers, or once did */
	};

	/* A process of the server, by its place in ProcGlobal->allProcs. */
	struct Process {
		int pid;
		int query;              /* index of the query that it works for at this tick, or -1 */
		uint64 worked_for;      /* KeyOf() the query at the last reading; 0 = none */
		int64 anonymous_kb;     /* as last read */
		int64 own_kb;           /* held by it before its query began; -1 = never seen without one */
	};

	/* Dynamic shared memory of the query that a slot served last. */
	struct Segments {
		uint32 serial;
		int64 kb;
		double read_ms;
	};

	/* Whom the guard asked to stop, until it is gone. */
	struct Victim {
		QueryHandle handle = kNoQuery;
		uint32 serial = 0;
		double asked_ms = 0;
	};

	/* memory_guard.cpp */
	void TurnOff(double now_ms);
	MemoryReading ReadMemory(double now_ms);
	bool AwaitsVictim(double now_ms);
	int32 FindCulpritAmongQueries(bool applied_only);
	void Publish(const MemoryReading &reading, int32 stop, double now_ms);
	void Report(const MemoryReading &reading, int32 culprit);
	/* memory_readings.cpp */
	void CollectQueries();
	void AssignProcesses();
	void ReadProcesses(bool all);
	void ReadSegments(double now_ms);
	int64 UnavailableKb() const;
	int64 ServerKb() const;

	MachineMemory machine_;
	MemoryPressure pressure_;
	Query *queries_ = nullptr;
	GuardedQuery *guarded_ = nullptr;
	int32 num_queries_ = 0;
	int32 num_applied_ = 0;
	Process *processes_ = nullptr;
	int32 num_processes_ = 0;
	SharedSegments *segments_ = nullptr;   /* of one query */
	SharedSegments *ours_ = nullptr;       /* of the launcher: statistics and the like, no query's */
	Segments *held_segments_ = nullptr;    /* by handle */
	uint32 *logged_ = nullptr;             /* by handle: serial about which there was a message */
	int64 postmaster_kb_ = 0;
	int64 segments_kb_ = 0;
	Victim victim_;
	double ticked_ms_ = 0;
	double read_all_ms_ = 0;
	bool on_ = true;                       /* at first: an earlier launcher may have left pressure behind */
	bool nobody_reported_ = false;
};

}  // namespace wlm
