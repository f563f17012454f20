/*
 * attempt.cpp
 *
 * By PostgreSQL's standard functions, below the hooks, which see the outer QueryDesc alone. The inner one sends its
 * rows straight to the client's receiver.
 *
 * What pg_wlm knows of the plan state (grants, limits of nodes, workers, observation) belongs to the inner QueryDesc while there is one:
 * query->query_desc points to it.
 */
#include "pg/query/attempt.hpp"

extern "C" {
#include "access/xact.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "jit/jit.h"
#include "tcop/dest.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
}

#include "pg/compat.hpp"
#include "pg/grant/apply.hpp"
#include "pg/grant/nodes.hpp"
#include "pg/grant/workers.hpp"
#include "pg/observe/observe.hpp"
#include "pg/query/rules.hpp"
#include "pg/query/stop.hpp"
namespace wlm {

namespace {

/* ---- for tests: `SET wlm_test.give_way = 'times, milliseconds'` makes each statement begin again so often ---- */

#ifdef USE_ASSERT_CHECKING
bool ReadTestPoint(int *times, int *after_ms)
{
	const char *value = GetConfigOption("wlm_test.give_way", true, false);
	return value != nullptr && sscanf(value, "%d, %d", times, after_ms) == 2;
}

void ArmTestPoint(const ManagedQuery *query)
{
	static TimeoutId timer = MAX_TIMEOUTS;
	int times, after_ms;

	if (!ReadTestPoint(&times, &after_ms) || query->experience.num_preempted >= times)
		return;
	if (after_ms == 0) {
		PostRestart();
		return;
	}
	if (timer == MAX_TIMEOUTS)
		timer = RegisterTimeout(USER_TIMEOUT, PostRestart);
	enable_timeout_after(timer, after_ms);
}
#else
void ArmTestPoint(const ManagedQuery *) {}
#endif

/* ---- rows ---- */

/* What the inner query sends to. The struct's first member is what PostgreSQL sees. */
struct Receiver {
	DestReceiver interface;
	DestReceiver *client;
	MemoryContext context;       /* where the client's receiver was started, and keeps what it allocates */
	ManagedQuery *query;
};

void Ignore(DestReceiver *) {}
void IgnoreStart(DestReceiver *, int, TupleDesc) {}

bool PassRow(TupleTableSlot *slot, DestReceiver *self)
{
	const Receiver *const receiver = reinterpret_cast<Receiver *>(self);
	MemoryContext const inner = MemoryContextSwitchTo(receiver->context);
	const bool more = receiver->client->receiveSlot(slot, receiver->client);

	MemoryContextSwitchTo(inner);
	return more;
}

/* With the first row, or with the end of a result that has none: from here on the query cannot begin again. */
void EndOffer(ManagedQuery *query)
{
	if (!ForbidRestart(query))
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("canceling statement due to user request")));
	StateLock lock;
	policy->SetRestartable(query->handle, false);
}

bool PassFirstRow(TupleTableSlot *slot, DestReceiver *self)
{
	EndOffer(reinterpret_cast<Receiver *>(self)->query);
	self->receiveSlot = PassRow;
	return PassRow(slot, self);
}

/* The handler of the timer reads what rules look at: the counters of the inner query, while there is one. */
void WatchInner(ManagedQuery *query, const QueryDesc *inner)
{
	if (!query->watched)
		return;
	query->watch->source.rows = nullptr;
	query->watch->source.processed = &inner->estate->es_processed;
	CountRows(&query->watch->source, inner);
}

void UnwatchInner(ManagedQuery *query, const QueryDesc *outer)
{
	if (!query->watched)
		return;
	query->watch->source.rows = nullptr;
	query->watch->source.processed = &outer->estate->es_processed;
}

/* In its own subtransaction and memory context. */
void RunInner(ManagedQuery *query, QueryDesc *outer)
{
	Receiver receiver = {};
	receiver.interface.receiveSlot = PassFirstRow;
	receiver.interface.rStartup = IgnoreStart;
	receiver.interface.rShutdown = Ignore;
	receiver.interface.rDestroy = Ignore;
	receiver.interface.mydest = outer->dest->mydest;
	receiver.client = outer->dest;
	receiver.context = outer->estate->es_query_cxt;
	receiver.query = query;

	QueryDesc *const inner = CreateQueryDesc(outer->plannedstmt, outer->sourceText, outer->snapshot, InvalidSnapshot, &receiver.interface,
	                                         outer->params, outer->queryEnv, query->sampled ? INSTRUMENT_ROWS : 0);

	query->query_desc = inner;
	query->limited_gathers = nullptr;
	PrepareNodeGrants(query, 0);

	const OpenedGrant start = OpenGrant(query, Stretch::kStart);
	standard_ExecutorStart(inner, 0);
	if (query->most_workers >= 0)
		LimitWorkers(query, query->most_workers);
	AttachNodeGrants(query);
	WatchInner(query, inner);
	CloseGrant(query, start);

	const OpenedGrant run = OpenGrant(query, Stretch::kRun);
	RunWhole(inner);
	if (receiver.interface.receiveSlot == PassFirstRow)
		EndOffer(query);
	CloseGrant(query, run);

	outer->estate->es_processed = inner->estate->es_processed;
	if (outer->estate->es_jit != nullptr && inner->estate->es_jit != nullptr)
		InstrJitAgg(&outer->estate->es_jit->instr, &inner->estate->es_jit->instr);
	ShowPlannedWorkers(query);
	standard_ExecutorFinish(inner);
	query->ran_to_end = true;
	FinishRules(query);
	ObserveLeader(query);
	UnwatchInner(query, outer);
	query->query_desc = outer;
	standard_ExecutorEnd(inner);
	FreeQueryDesc(inner);
}

/* The policy may ask from now on. */
void OfferRestart(const ManagedQuery *query)
{
	AllowRestart(query);
	ArmTestPoint(query);
	StateLock lock;
	policy->SetRestartable(query->handle, true);
}

}  // namespace

bool IsRestartTested()
{
#ifdef USE_ASSERT_CHECKING
	int times, after_ms;
	return ReadTestPoint(&times, &after_ms);
#else
	return false;
#endif
}

StopReason RunAttempt(ManagedQuery *query, QueryDesc *outer)
{
	MemoryContext const context = CurrentMemoryContext;
	ResourceOwner const owner = CurrentResourceOwner;
	struct LimitedGather *const outer_gathers = query->limited_gathers;
	const int outer_in_force = in_force_kb;
	volatile StopReason reason = StopReason::kNone;

	BeginInternalSubTransaction(nullptr);
	PG_TRY();
	{
		OfferRestart(query);
		RunInner(query, outer);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		UnwatchInner(query, outer);
		query->query_desc = outer;
		query->limited_gathers = outer_gathers;
		in_force_kb = outer_in_force;
		MemoryContextSwitchTo(context);
		ErrorData *const error = CopyErrorData();
		FlushErrorState();
		reason = TakeRestartRequest(query, error);
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (reason == StopReason::kNone)
			ReThrowError(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	query->limited_gathers = outer_gathers;
	return reason;
}

}  // namespace wlm
