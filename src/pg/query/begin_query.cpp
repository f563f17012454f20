/*
 * begin_query.cpp
 *
 * The walk through the rooms at a statement's start: plan -> predict -> decide ->
 * wait -> grant. Each step is a call into its room.
 */
#include "pg/query/begin_query.hpp"

extern "C" {
#include "access/parallel.h"
#include "access/xlog.h"
#include "executor/executor.h"
#include "nodes/plannodes.h"
#include "postmaster/autovacuum.h"
#include "replication/walsender.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "core/grant/totals.hpp"
#include "pg/compat.hpp"
#include "pg/grant/nodes.hpp"
#include "pg/models/published_models.hpp"
#include "pg/observe/observe.hpp"
#include "pg/plan/plan_memory.hpp"
#include "pg/plan/read_plan.hpp"
#include "pg/query/classify.hpp"
#include "pg/query/decide_grant.hpp"
#include "pg/query/query_pool.hpp"
#include "pg/query/record.hpp"
#include "pg/query/rules.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/wait/queueing.hpp"
#include "pg/wait/statement_position.hpp"

namespace wlm {

namespace {

/* Of this process, for as long as it lives: a plan and what was predicted for it. */
PlanGraph *scratch_graph = nullptr;
Forecast *scratch_forecast = nullptr;

/* First managed statement of this process. */
void PrepareProcess()
{
	if (scratch_forecast != nullptr)
		return;
	scratch_graph = static_cast<PlanGraph *>(MemoryContextAlloc(TopMemoryContext, sizeof(PlanGraph)));
	scratch_forecast = static_cast<Forecast *>(MemoryContextAlloc(TopMemoryContext, sizeof(Forecast)));
	PrepareQueryPool();
}

/*
 * Open cursors each keep an entry of the shared table and a reservation. One session must not fill
 * the table for all: what it opens beyond this runs unmanaged.
 */
constexpr int kMaxOpenPerProcess = 8;

bool IsManageable(int eflags)
{
	return shared != nullptr && (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && !IsParallelWorker() &&
	       !AmAutoVacuumWorkerProcess() && !am_walsender && ::Mode == NormalProcessing && !proc_exit_inprogress;
}

void ResetQuery(ManagedQuery *query, QueryDesc *query_desc)
{
	query->query_desc = query_desc;
	query->limited_gathers = nullptr;
	query->handle = kNoQuery;
	query->applied = setting::mode == static_cast<int>(Mode::kAuto);
	query->superuser = superuser();
	query->observed = query->sampled = query->ran_to_end = query->was_restartable = false;
	query->nodes = nullptr;
	query->in_stretch = 0;
	query->session_work_mem_kb = work_mem;
	query->active_ms = 0;
	query->temp_blocks = 0;
	query->returned_rows = 0;
}

/* The slot's descriptive fields, for views; before the policy can show the entry to anybody. */
void FillSlotLocked(const ManagedQuery *query, const Decision &decision)
{
	QuerySlot &slot = query_slots[query->handle];

	slot.pid = MyProcPid;
	slot.procno = OwnProcNumber();
	slot.role = GetUserId();
	slot.database = MyDatabaseId;
	slot.query_id = query->experience.query_id;
	slot.plan_fingerprint = query->experience.plan_fingerprint;
	slot.arrived_at = GetCurrentTimestamp();
	slot.predicted_ms = query->experience.time.HasOpinion() ? query->experience.time.At(0) : 0;
	slot.requested_kb = static_cast<float>(query->grant.reservation_kb);
	slot.granted_work_mem_kb = static_cast<float>(query->grant.work_mem_kb);
	slot.granted_kb = CeilingKb(query->grant);
	slot.workers_granted = query->experience.workers_granted;
	slot.used_kb = slot.real_kb = 0;
	slot.serial++;
	slot.elastic = setting::elastic;
	slot.node_limits.max_plan_node_id = -1;
	pg_atomic_write_u32(&slot.stop_requested, 0);
	pg_atomic_write_u32(&slot.grown_kb, 0);
	InitRuleSlotLocked(query, &slot);
	slot.applied = query->applied;
	slot.own_priority = setting::priority >= 0;
	slot.superuser = query->superuser;
	slot.worker_memory_kb = 0;
	slot.num_reports = 0;
	pg_atomic_write_u32(&slot.admitted, decision.verdict == Verdict::kAdmitted);
	pg_atomic_write_u32(&slot.cancel_requested, 0);
	SetPhase(query->handle, decision.verdict == Verdict::kQueued ? Phase::kQueued : Phase::kAdmitted);
}

[[noreturn]] void RaiseQueueFull(int queue)
{
	const QueueLimits &limits = LocalWorkload().limits[queue];

	ereport(ERROR,
	        (errcode(ERRCODE_TOO_MANY_CONNECTIONS), errmsg("workload queue \"%s\" is full", limits.name),
	         errdetail_plural("%d statement is waiting in it already.", "%d statements are waiting in it already.",
	                          static_cast<unsigned long>(limits.max_queue_length), limits.max_queue_length),
	         errhint("Try again later, or raise max_queue_length with wlm.alter_queue().")));
}

/* Decide: one lock. The plan of a query that recall does not know goes to wlm.plan with it. */
Decision Decide(ManagedQuery *query, bool may_wait, double now_ms)
{
	const Forecast &forecast = *scratch_forecast;
	QueryRequest request;
	Decision decision;

	request.queue = query->experience.queue;
	request.priority = static_cast<Priority>(query->experience.priority);
	request.may_wait = may_wait;
	request.slots = setting::slot_count;
	request.time_ms = forecast.time.HasOpinion() ? static_cast<double>(forecast.time.At(0)) : 0;
	request.time_upper_ms = forecast.time.HasOpinion() ? static_cast<double>(forecast.time.At(kLaneZ)) : 0;
	request.memory_kb = query->grant.reservation_kb;
	request.queue_timeout_ms = setting::queue_timeout_ms;
	request.superuser_lane = WantsSuperuserLane();
	request.load = 1 + scratch_graph->planned_workers;

	const bool novel = IsNovel(forecast, *scratch_graph);
	PlanRecord *record = novel ? PreparePlanRecord(*scratch_graph, query->experience.query_id) : nullptr;
	{
		StateLock lock;
		decision = policy->Arrive(request, now_ms);
		query->handle = decision.handle;
		if (decision.handle != kNoQuery)
			FillSlotLocked(query, decision);
		if (record != nullptr)
			ring->Put(RecordKind::kPlan, record, record->BytesUsed());
	}
	return decision;
}

/* It never ran: there is nothing to learn, but something to be seen in wlm.history. */
void RecordRejection(ManagedQuery *query)
{
	Experience &experience = query->experience;

	query->query_desc = nullptr;
	experience.final_state = FinalState::kRejected;
	experience.censored = true;
	experience.num_operators = 0;
	experience.finished_at = GetCurrentTimestamp();
	if (RecoveryInProgress())
		return;
	StateLock lock;
	ring->Put(RecordKind::kExperience, &experience, experience.BytesUsed());
}

/* A waiting query has no reservation yet; it gets one with its slot. */
int64 ReservedAfterWait(QueryHandle handle)
{
	LWLockAcquire(shared->state_lock, LW_SHARED);
	const int64 reserved_kb = policy->View(handle).reserved_kb;
	LWLockRelease(shared->state_lock);
	return reserved_kb;
}

/* Operators' memory can be freed as phases end if nobody rewinds the query, and nobody but us looks at it afterwards. */
bool MayRelease(const QueryDesc *query_desc, int eflags)
{
	return (eflags & (EXEC_FLAG_REWIND | EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK)) == 0 && query_desc->instrument_options == 0 &&
	       !InstrumentsLater();
}

/*
 * Never what a user would write: so that what a function inside the query SETs can be told from what was granted, which is
 * taken back afterwards.
 */
template <typename Number>
Number NotRound(Number work_mem_kb, int64 session_kb)
{
	const int64 whole = static_cast<int64>(work_mem_kb);

	if (whole == session_kb || whole % 1024 != 0)
		return work_mem_kb;
	return static_cast<Number>(whole > session_kb ? whole - 1 : whole + 1);
}

/* The grant as it is now, in the query. Only the query-level value is compared with the session's: a plan may want more. */
void TakeGrant(ManagedQuery *query, const GrantDecision &decision)
{
	const int64 session_kb = query->session_work_mem_kb;

	query->grant = decision.grant;
	query->grant.work_mem_kb = NotRound(query->grant.work_mem_kb, session_kb);
	for (int i = 0; i < query->grant.num_operators; i++)
		query->grant.operators[i].work_mem_kb = NotRound(query->grant.operators[i].work_mem_kb, session_kb);
	query->grant.raises = query->grant.work_mem_kb != query->session_work_mem_kb;
}

/* What the policy could not reserve is not granted either. */
void TakeReserved(ManagedQuery *query, int64 reserved_kb, GrantDecision *decision)
{
	query->experience.reserved_kb = static_cast<float>(reserved_kb);
	if (reserved_kb >= query->grant.reservation_kb)
		return;
	ShrinkGrant(*scratch_graph, *scratch_forecast, reserved_kb, decision);
	TakeGrant(query, *decision);
}

/* For views. */
void ShowGrant(const ManagedQuery *query)
{
	QuerySlot &slot = query_slots[query->handle];

	slot.granted_work_mem_kb = query->experience.granted_work_mem_kb;
	slot.granted_kb = CeilingKb(query->grant);
}

void PutInForce(ManagedQuery *query, int64 reserved_kb, GrantDecision *grant)
{
	TakeReserved(query, reserved_kb, grant);
	RecordGrant(query, *grant);
	OpenLedger(query->grant, &query->ledger);
	const bool fewer = query->applied && grant->workers.reason != WorkerReason::kAsPlanned;
	query->most_workers = static_cast<int16>(fewer ? grant->workers.workers : -1);
	ShowGrant(query);
}

}  // namespace

ManagedQuery *BeginQuery(QueryDesc *query_desc, int eflags)
{
	if (!IsManageable(eflags))
		return nullptr;
	if (NumManagedQueries() >= kMaxOpenPerProcess) {
		pg_atomic_fetch_add_u64(&shared->counters.unmanaged_full, 1);
		return nullptr;
	}
	PrepareProcess();

	ReviewPlan(query_desc->plannedstmt);
	ReadPlan(query_desc->plannedstmt, scratch_graph);
	if (scratch_graph->touches_only_catalogs)
		return nullptr;

	const PlanContext context = SessionPlanContext();
	{
		const ModelsInUse models;
		Predict(models.view(), *scratch_graph, context, scratch_forecast);
	}
	if (!scratch_forecast->has_opinion)
		pg_atomic_fetch_add_u64(&shared->counters.no_opinion, 1);

	const int queue = RouteQuery(scratch_graph, scratch_forecast);
	const Priority priority = QueryPriority(queue);
	const int next_queue = AskForNextQueue(LocalWorkload().rules) ? NextQueue(queue, scratch_graph, scratch_forecast) : 0;
	ManagedQuery *query = TakeQuery();
	ResetQuery(query, query_desc);
	GrantDecision grant;
	DecideGrant(query_desc->plannedstmt, *scratch_graph, *scratch_forecast, queue, MayRelease(query_desc, eflags), &grant);
	TakeGrant(query, grant);
	RecordPrediction(query, *scratch_graph, *scratch_forecast, queue, priority);

	BeginRules(query, LocalWorkload(), next_queue);

	const double arrived_ms = NowMs();
	const bool may_wait = query->applied && MayWait(query_desc, HasManagedQueries());
	const Decision decision = Decide(query, may_wait, arrived_ms);

	if (decision.handle == kNoQuery) {
		PutQueryBack(query);
		if (decision.verdict == Verdict::kQueueFull) {
			RecordRejection(query);
			RaiseQueueFull(queue);
		}
		pg_atomic_fetch_add_u64(&shared->counters.unmanaged_full, 1);
		return nullptr;
	}
	EnlistQuery(query);
	pg_atomic_fetch_add_u64(&shared->counters.managed, 1);
	int64 reserved_kb = decision.reserved_kb;
	if (decision.verdict == Verdict::kQueued) {
		query->experience.queue_ms = static_cast<float>(WaitForAdmission(query, arrived_ms, decision.deadline_ms));
		SetPhase(query->handle, Phase::kAdmitted);
		reserved_kb = ReservedAfterWait(query->handle);
	}
	PutInForce(query, reserved_kb, &grant);

	query->sampled = DecideSample();
	if (query->sampled)
		query_desc->instrument_options |= INSTRUMENT_ROWS;
	query->started_ms = NowMs();
	return query;
}

void GrantAgain(ManagedQuery *query)
{
	PlannedStmt *statement = query->query_desc->plannedstmt;
	GrantDecision grant;

	/* others may have been planned with the same scratch meanwhile */
	ReadPlan(statement, scratch_graph);
	{
		const ModelsInUse models;
		Predict(models.view(), *scratch_graph, SessionPlanContext(), scratch_forecast);
	}
	DecideGrant(statement, *scratch_graph, *scratch_forecast, query->experience.queue, !InstrumentsLater(), &grant);
	TakeGrant(query, grant);
	query->experience.workers_granted = query->experience.workers_planned;
	PutInForce(query, ReservedAfterWait(query->handle), &grant);
}

}  // namespace wlm
