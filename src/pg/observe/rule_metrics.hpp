/*
 * rule_metrics.hpp
 *
 * The numbers that rules look at while a query runs. Nothing is timed or counted that no rule asks for, and what is, is
 * read where it lies: counters of this process, and of the executor's nodes. All readings are plain loads, atomics and
 * clock_gettime(), so that a signal handler may take them between any two instructions.
 *
 * Parallel workers add their parts to their leader's QuerySlot::worker_metrics. At their end they take back what the
 * executor hands to the leader by itself (blocks; rows where it counts them): for a moment less is seen, never more.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "executor/execdesc.h"
#include "executor/instrument.h"
}

#include "core/decide/rules.hpp"

namespace wlm {

struct QuerySlot;
struct RowCounters;

/* What a process has used. */
struct ResourceUse {
	int64 cpu_us;
	int64 temp_blocks;              /* written */
	int64 blocks_read;              /* of relations, not found in shared or local buffers */
};

/* What one managed query, or one parallel worker, is read from. */
struct MetricSource {
	uint32 asked;                   /* bits of Metric */
	ResourceUse before;             /* in earlier stretches */
	ResourceUse at_start;           /* of the process, when the present stretch began */
	const uint64 *volatile processed; /* rows of the present run; null outside of one */
	RowCounters *volatile rows;     /* in es_query_cxt; null = not counted */
};

inline constexpr uint32 MetricBit(Metric metric) { return uint32{1} << static_cast<int>(metric); }

inline constexpr uint32 kRowMetrics = MetricBit(Metric::kScanRows) | MetricBit(Metric::kJoinRows) | MetricBit(Metric::kNestedLoopRows);
inline constexpr uint32 kWorkerMetrics = kRowMetrics | MetricBit(Metric::kCpuTime) | MetricBit(Metric::kTempBlocks) |
	MetricBit(Metric::kBlocksRead);

/* Before the query starts. */
void ResetSource(MetricSource *source, uint32 asked);

/* Around each stretch in which the query executes; the handler must not look between the two steps of either. */
void OpenStretch(MetricSource *source);
void CloseStretch(MetricSource *source);

/* After ExecutorStart, if rules ask for rows: has scans and joins counted from the first row on. May raise for want of memory. */
void CountRows(MetricSource *source, const QueryDesc *query_desc);

/* What is known of the query: those parts of `metrics` that come from processes. In a signal handler too. */
void ReadSource(const MetricSource &source, const QuerySlot &slot, bool in_stretch, RuleMetrics *metrics);

/* In a parallel worker, before its plan runs and before ExecutorEnd frees it. The first may raise for want of memory. */
void WatchWorker(QueryDesc *query_desc);
void UnwatchWorker(const QueryDesc *query_desc);

}  // namespace wlm
