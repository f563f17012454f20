/*
 * memory_pressure.hpp
 *
 * What the memory guard decides: how near real memory is to its limit, what
 * follows from that, and which query is to blame. Pressure first stops growth, then
 * admissions; only when memory is about to run out is something done to a
 * query, and then to the one furthest over its grant. If nobody is over it, nothing is done:
 * an innocent query is never stopped.
 *
 * Readings come in; no file is read here. Units: kB, milliseconds.
 */
#pragma once

#include <cstdint>
#include <span>

#include "core/decide/policy/policy.hpp"

namespace wlm {

/* Shares of the limit at which each level begins. Below them lies what page cache, small statements and errors of readings need. */
inline constexpr double kGrowthStopsAt = 0.85;
inline constexpr double kAdmissionStopsAt = 0.92;
inline constexpr double kActionAt = 0.97;
/* A level that was reached stays until memory has fallen this far below where it begins, or decisions would flicker. */
inline constexpr double kHysteresis = 0.03;
/*
 * One process was measured to take 1.25 GB/s (array_agg of short texts, PostgreSQL 15, two processors), so 3 % of a small limit
 * are gone between two readings. Therefore readings follow each other the faster the less room there is, and what
 * will be used is foretold from the growth since the last one, above a share of the limit: farther from it growth can still end.
 */
inline constexpr double kFastestKbPerMs = 2000;
inline constexpr double kReadingsToFull = 4;         /* at that rate */
inline constexpr double kForetellFrom = 0.3;
inline constexpr double kIdlePeriodMs[2] = {100, 1000}; /* at least, at most: while no managed query runs */
inline constexpr double kBusyPeriodMs[2] = {50, 200};
/* Shares of time in which all processes were stalled for memory (PSI "full") that stop growth and admissions if memory is rather full. */
inline constexpr double kStallStopsGrowth = 0.10;
inline constexpr double kStallStopsAdmission = 0.25;
inline constexpr double kStallCountsFrom = 0.70;
/* What a process may hold beyond its grant: the larger one. Allocators round up, and executor nodes need some memory of their own. */
inline constexpr int64_t kNoiseKb = 4096;
inline constexpr double kNoiseShare = 0.10;

enum class GuardLevel : uint8_t { kNone = 0, kNoGrowth, kNoAdmission, kAction };
const char *GuardLevelName(GuardLevel level) noexcept; /* none, no growth, no admission, action */
Pressure PressureOf(GuardLevel level) noexcept;        /* as the policy knows it */

struct MemoryReading {
	int64_t limit_kb;   /* at most 0: unknown, then there is never pressure */
	int64_t used_kb;    /* what could not be reclaimed */
	double stalled;     /* share of time since the last reading, 0..1; 0 = unknown */
};

class MemoryPressure {
  public:
	/* `reaction_ms`: how long what is decided now takes until it has an effect. */
	GuardLevel Observe(const MemoryReading &reading, double now_ms, double reaction_ms) noexcept;
	GuardLevel level() const noexcept { return level_; }
	int64_t foretold_kb() const noexcept { return foretold_kb_; }
	/* Milliseconds until the next reading should be taken. */
	double PeriodMs(bool busy) const noexcept;

  private:
	double ForetoldKb(const MemoryReading &reading, double now_ms, double reaction_ms) const noexcept;

	double previous_ms_ = -1;
	int64_t previous_kb_ = 0;
	int64_t previous_limit_kb_ = 0;
	int64_t foretold_kb_ = 0;
	GuardLevel level_ = GuardLevel::kNone;
};

/* One managed query as the guard sees it. */
struct GuardedQuery {
	int64_t real_kb;     /* held by its processes for it */
	int64_t granted_kb;  /* its reservation or the ceilings of its operators, whichever is more; growth included */
	bool stoppable;      /* executes now, and has not been asked to stop yet */
};

/* By how much a query holds more than it was granted; 0 within the noise. */
int64_t OverGrantKb(const GuardedQuery &query) noexcept;

/* The stoppable one furthest over its grant, or -1 if none is over it. */
int32_t FindCulprit(std::span<const GuardedQuery> queries) noexcept;

}  // namespace wlm
