/*
 * rule_metrics.cpp
 *
 * Rows are counted by PostgreSQL's own Instrumentation, without timers, and only in scans and joins: it is hung into
 * their nodes before their first call, which then chooses the instrumented path (ExecProcNodeFirst). The query as a
 * whole stays uninstrumented (es_instrument), so that nothing is collected from workers and shown to nobody.
 *
 * A counter may be read while InstrEndLoop() adds a loop to its sum: then that loop counts twice, for this reading.
 * Who acts on rows looks twice (query/rules.cpp).
 */
#include "pg/observe/rule_metrics.hpp"

#include <ctime>

extern "C" {
#include "access/parallel.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "tcop/dest.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
}

#include "pg/observe/observe.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

enum class RowKind : uint8 { kScan, kJoin, kNestedLoop };

struct CountedNode {
	const Instrumentation *instrument;
	RowKind kind;
};

struct RowCounters {
	int num_nodes;
	CountedNode nodes[FLEXIBLE_ARRAY_MEMBER];
};

namespace {

constexpr int kWorkerReportMs = 250;

struct Rows {
	double scan, join, nested_loop;
};

struct CountWalk {
	RowCounters *counters;      /* null = only count the nodes */
	int num_nodes;
};

/* Scans of what lies outside of the query: those of subqueries, CTEs and work tables pass on what others have returned. */
bool KindOf(const PlanState *state, RowKind *kind)
{
	switch (nodeTag(state)) {
		case T_SeqScanState:
		case T_SampleScanState:
		case T_IndexScanState:
		case T_IndexOnlyScanState:
		case T_BitmapHeapScanState:
		case T_TidScanState:
		case T_TidRangeScanState:
		case T_FunctionScanState:
		case T_TableFuncScanState:
		case T_ValuesScanState:
		case T_NamedTuplestoreScanState:
		case T_ForeignScanState:
		case T_CustomScanState:
			*kind = RowKind::kScan;
			return true;
		case T_NestLoopState:
			*kind = RowKind::kNestedLoop;
			return true;
		case T_MergeJoinState:
		case T_HashJoinState:
			*kind = RowKind::kJoin;
			return true;
		default:
			return false;
	}
}

bool CountNode(PlanState *state, void *context)
{
	CountWalk *walk = static_cast<CountWalk *>(context);
	RowKind kind;

	if (KindOf(state, &kind)) {
		if (walk->counters != nullptr) {
			if (state->instrument == nullptr)
				state->instrument = InstrAlloc(1, INSTRUMENT_ROWS, state->async_capable);
			walk->counters->nodes[walk->num_nodes] = CountedNode{state->instrument, kind};
		}
		walk->num_nodes++;
	}
#if PG_VERSION_NUM >= 160000
	planstate_tree_walker(state, CountNode, context);
#else
	planstate_tree_walker(state, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(CountNode)), context);
#endif
	return false;
}

Rows SumRows(const RowCounters *counters)
{
	Rows rows = {0, 0, 0};

	for (int i = 0; counters != nullptr && i < counters->num_nodes; i++) {
		const Instrumentation *instrument = counters->nodes[i].instrument;
		const double count = instrument->ntuples + instrument->tuplecount;

		switch (counters->nodes[i].kind) {
			case RowKind::kScan:
				rows.scan += count;
				break;
			case RowKind::kNestedLoop:
				rows.nested_loop += count;
				rows.join += count;
				break;
			case RowKind::kJoin:
				rows.join += count;
				break;
		}
	}
	return rows;
}

/* The clock of the process is a system call: only where somebody asks. */
int64 CpuUs()
{
	timespec time;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0)
		return 0;
	return static_cast<int64>(time.tv_sec) * 1000000 + time.tv_nsec / 1000;
}

ResourceUse ReadUse(uint32 asked)
{
	return ResourceUse{.cpu_us = (asked & MetricBit(Metric::kCpuTime)) != 0 ? CpuUs() : 0,
	                   .temp_blocks = pgBufferUsage.temp_blks_written,
	                   .blocks_read = pgBufferUsage.shared_blks_read + pgBufferUsage.local_blks_read};
}

/* In earlier stretches and, if there is one, in the present. */
ResourceUse UseOf(const MetricSource &source, bool in_stretch)
{
	ResourceUse use = source.before;

	if (in_stretch) {
		const ResourceUse now = ReadUse(source.asked);
		use.cpu_us += now.cpu_us - source.at_start.cpu_us;
		use.temp_blocks += now.temp_blocks - source.at_start.temp_blocks;
		use.blocks_read += now.blocks_read - source.at_start.blocks_read;
	}
	return use;
}

/* Parts that workers take back may be gone before they appear elsewhere. */
double Load(const pg_atomic_uint64 &part)
{
	return static_cast<double>(static_cast<int64>(pg_atomic_read_u64(const_cast<pg_atomic_uint64 *>(&part))));
}

/* ---- worker ---- */

/* What this worker has added to its leader's slot. */
struct WorkerParts {
	int64 cpu_us, temp_blocks, blocks_read, scan_rows, join_rows, nested_loop_rows;
};

struct WatchedWorker {
	QuerySlot *volatile slot;       /* null = the handler does nothing */
	const EState *estate;
	MetricSource source;
	WorkerParts added;
	MemoryContextCallback forget;
};

WatchedWorker worker;
bool registered = false;
TimeoutId timer;

/* The slot's leader does not end before its workers, so the slot is his as long as this process runs the plan. */
void AddPart(pg_atomic_uint64 *sum, int64 *added, int64 now)
{
	if (now != *added)
		pg_atomic_fetch_add_u64(sum, now - *added);
	*added = now;
}

void AddParts(QuerySlot *slot, const ResourceUse &use, const Rows &rows)
{
	WorkerMetrics *sums = &slot->worker_metrics;

	AddPart(&sums->cpu_us, &worker.added.cpu_us, use.cpu_us);
	AddPart(&sums->temp_blocks, &worker.added.temp_blocks, use.temp_blocks);
	AddPart(&sums->blocks_read, &worker.added.blocks_read, use.blocks_read);
	AddPart(&sums->scan_rows, &worker.added.scan_rows, static_cast<int64>(rows.scan));
	AddPart(&sums->join_rows, &worker.added.join_rows, static_cast<int64>(rows.join));
	AddPart(&sums->nested_loop_rows, &worker.added.nested_loop_rows, static_cast<int64>(rows.nested_loop));
}

/* Signal handler. */
void OnWorkerTimer()
{
	QuerySlot *const slot = worker.slot;

	if (slot == nullptr)
		return;
	AddParts(slot, UseOf(worker.source, true), SumRows(worker.source.rows));
	enable_timeout_after(timer, kWorkerReportMs);
}

}  // namespace

void ResetSource(MetricSource *source, uint32 asked)
{
	source->asked = asked;
	source->before = source->at_start = ResourceUse{};
	source->processed = nullptr;
	source->rows = nullptr;
}

void OpenStretch(MetricSource *source) { source->at_start = ReadUse(source->asked); }

void CloseStretch(MetricSource *source) { source->before = UseOf(*source, true); }

void CountRows(MetricSource *source, const QueryDesc *query_desc)
{
	CountWalk walk = {nullptr, 0};

	if ((source->asked & kRowMetrics) == 0 || query_desc->planstate == nullptr)
		return;
	MemoryContext caller = MemoryContextSwitchTo(query_desc->estate->es_query_cxt);
	CountNode(query_desc->planstate, &walk);
	RowCounters *const counters = static_cast<RowCounters *>(
		palloc(offsetof(RowCounters, nodes) + sizeof(CountedNode) * static_cast<Size>(walk.num_nodes)));
	walk = {counters, 0};
	CountNode(query_desc->planstate, &walk);
	counters->num_nodes = walk.num_nodes;
	pg_compiler_barrier();
	source->rows = counters;
	MemoryContextSwitchTo(caller);
}

void ReadSource(const MetricSource &source, const QuerySlot &slot, bool in_stretch, RuleMetrics *metrics)
{
	const WorkerMetrics &workers = slot.worker_metrics;
	const ResourceUse use = UseOf(source, in_stretch);
	const auto set = [&](Metric metric, double value) {
		metrics->value[static_cast<int>(metric)] = (source.asked & MetricBit(metric)) != 0 ? value : -1;
	};

	set(Metric::kCpuTime, (static_cast<double>(use.cpu_us) + Load(workers.cpu_us)) / 1000);
	set(Metric::kTempBlocks, static_cast<double>(use.temp_blocks) + Load(workers.temp_blocks));
	set(Metric::kBlocksRead, static_cast<double>(use.blocks_read) + Load(workers.blocks_read));

	const RowCounters *counters = source.rows;
	const Rows rows = SumRows(counters);
	const auto set_rows = [&](Metric metric, double leader, const pg_atomic_uint64 &others) {
		set(metric, counters != nullptr ? leader + Load(others) : -1);
	};
	set_rows(Metric::kScanRows, rows.scan, workers.scan_rows);
	set_rows(Metric::kJoinRows, rows.join, workers.join_rows);
	set_rows(Metric::kNestedLoopRows, rows.nested_loop, workers.nested_loop_rows);
}

void WatchWorker(QueryDesc *query_desc)
{
	/* a query inside a function is none of the leader's plan */
	if (query_desc->dest == nullptr || query_desc->dest->mydest != DestTupleQueue || query_desc->planstate == nullptr ||
	    worker.slot != nullptr)
		return;
	QuerySlot *const slot = LeaderSlot();
	if (slot == nullptr || (slot->metrics_asked & kWorkerMetrics) == 0)
		return;

	ResetSource(&worker.source, slot->metrics_asked);
	CountRows(&worker.source, query_desc);
	OpenStretch(&worker.source);
	worker.source.at_start.cpu_us = 0; /* this process exists for the query alone */
	worker.added = WorkerParts{};
	worker.estate = query_desc->estate;
	worker.forget.func = [](void *) { worker.slot = nullptr; };
	worker.forget.arg = nullptr;
	MemoryContextRegisterResetCallback(query_desc->estate->es_query_cxt, &worker.forget);
	if (!registered) {
		timer = RegisterTimeout(USER_TIMEOUT, OnWorkerTimer);
		registered = true;
	}
	pg_compiler_barrier();
	worker.slot = slot;
	enable_timeout_after(timer, kWorkerReportMs);
}

void UnwatchWorker(const QueryDesc *query_desc)
{
	QuerySlot *const slot = worker.slot;

	if (slot == nullptr || worker.estate != query_desc->estate)
		return;
	worker.slot = nullptr;
	pg_compiler_barrier();

	/* the leader gets these by itself, when it waits for this process */
	ResourceUse use = UseOf(worker.source, true);
	use.temp_blocks = use.blocks_read = 0;
	const bool collected = query_desc->estate->es_instrument != 0;
	AddParts(slot, use, collected ? Rows{0, 0, 0} : SumRows(worker.source.rows));
}

}  // namespace wlm
