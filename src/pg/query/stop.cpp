/*
 * stop.cpp
 *
 * The timer is one of PostgreSQL's own (utils/timeout.h), so its handler runs in a signal handler between
 * any two instructions of this process: it reads an array of this process
 * and atomics of shared memory, and sets flags. It arms itself again while a managed query
 * executes and is quiet otherwise; error recovery disables all timers, the next
 * managed stretch enables it again.
 *
 * The stop itself is a query cancel, which PostgreSQL honours at the next safe point. SQLSTATE 57014, as of
 * statement_timeout: PL/pgSQL's WHEN OTHERS does not catch it, else a function
 * that retries would run on with what had to end.
 */
#include "pg/query/stop.hpp"

#include <csignal>

extern "C" {
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/elog.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
}

#include "pg/query/rules.hpp"
#include "pg/query/stop_message.hpp"

namespace wlm {

namespace {

/* What the handler looks at; entries are claimed and given up by this process's ordinary code. */
struct WatchedQuery {
	volatile QueryHandle handle;
	volatile uint32 serial;
	ManagedQuery *volatile query;  /* of the process's pool: never freed */
};

constexpr int kMaxWatched = 16;         /* more than one process may have managed queries open */
WatchedQuery watched[kMaxWatched];
volatile sig_atomic_t num_watched = 0;

/* The query for which the handler has set QueryCancelPending; kNoQuery = for none. */
volatile QueryHandle posted = kNoQuery;

/*
 * It had been raised before, and was posted again: the error is on its way up for longer than a tick, while a subtransaction is rolled
 * back, or somebody has caught it.
 */
volatile sig_atomic_t posted_again = 0;

/* The query that can begin again now; kNoQuery = none can. */
volatile QueryHandle restartable = kNoQuery;

/*
 * SIGINT is how everybody else asks for a cancel, PostgreSQL's own time-outs too. It leaves no trace beside the flag that we set too, so
 * it is counted as long as we may set it.
 */
volatile sig_atomic_t num_signals = 0;
volatile sig_atomic_t signals_before = 0; /* when this stretch, or attempt, began */
void (*previous_handler)(int) = nullptr;

bool registered = false;
TimeoutId timer;

bool Executes(QueryHandle handle) { return SlotPhase(query_slots[handle]) == Phase::kRunning; }

bool OthersCancelled() { return num_signals != signals_before; }

StopReason Requested(const QuerySlot &slot)
{
	return static_cast<StopReason>(pg_atomic_read_u32(const_cast<pg_atomic_uint32 *>(&slot.stop_requested)));
}

/* Signal handler. */
void OnSignal(int signal)
{
	num_signals = num_signals + 1;
	previous_handler(signal);
}

/* Chained, not replaced; stays for the life of the process. */
void CountSignals()
{
	struct sigaction action;

	if (previous_handler != nullptr || sigaction(SIGINT, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0 ||
	    action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)
		return;
	previous_handler = action.sa_handler;
	action.sa_handler = OnSignal;
	if (sigaction(SIGINT, &action, nullptr) != 0)
		previous_handler = nullptr;
}

/* The request is answered, unless it has become one to end. */
void DropRestart(QuerySlot *slot)
{
	for (StopReason reason : {StopReason::kGiveWay, StopReason::kHop}) {
		uint32 expected = static_cast<uint32>(reason);
		pg_atomic_compare_exchange_u32(&slot->stop_requested, &expected, static_cast<uint32>(StopReason::kNone));
	}
}

/*
 * Signal handler. Who has got a transaction id meanwhile may not wait (HAZARDS W1). Posted once: if somebody below catches it, that
 * is found out by ForbidRestart().
 */
bool MayRestartNow(QueryHandle handle)
{
	return restartable == handle && posted == kNoQuery && !TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/* Signal handler. Interrupts are held, and this signal is blocked. */
void OnTimer()
{
	const double now_ms = NowMs();
	bool executing = false;

	for (int i = 0; i < num_watched; i++) {
		const QueryHandle handle = watched[i].handle;

		if (handle == kNoQuery || !Executes(handle))
			continue;
		executing = true;
		QuerySlot &slot = query_slots[handle];
		if (slot.serial != watched[i].serial)
			continue;
		LookAtQuery(watched[i].query, now_ms);
		const StopReason reason = Requested(slot);
		if (reason == StopReason::kNone)
			continue;
		if (IsRestart(reason) && !MayRestartNow(handle)) {
			if (posted != handle)
				DropRestart(&slot);
			continue;
		}
		if (QueryCancelPending)
			continue; /* by somebody else, whose message it is to be; or by us before */
		posted_again = posted == handle;
		posted = handle;
		QueryCancelPending = true;
		InterruptPending = true;
	}
	if (executing)
		enable_timeout_after(timer, kStopTimerMs); /* legal in a handler: its own entry is off the list by now */
}

WatchedQuery *FindWatched(QueryHandle handle)
{
	for (int i = 0; i < num_watched; i++)
		if (watched[i].handle == handle)
			return &watched[i];
	return nullptr;
}

void Watch(ManagedQuery *query)
{
	const QueryHandle handle = query->handle;
	WatchedQuery *place = FindWatched(handle);

	if (place == nullptr)
		place = FindWatched(kNoQuery);
	if (place == nullptr) {
		if (num_watched == kMaxWatched)
			return;
		place = &watched[num_watched];
		place->handle = kNoQuery;
		num_watched = num_watched + 1;
	}
	place->handle = kNoQuery;
	place->serial = query_slots[handle].serial;
	place->query = query;
	place->handle = handle;
}

/* The cancel that PostgreSQL raised for the flag that we set, and not one of statement_timeout or recovery at the same time. */
bool IsPlainCancel(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->message_id != nullptr &&
	       strcmp(error->message_id, "canceling statement due to user request") == 0;
}

}  // namespace

bool PostStop(QuerySlot *slot, StopReason reason)
{
	uint32 before = pg_atomic_read_u32(&slot->stop_requested);

	while (before == static_cast<uint32>(StopReason::kNone) || (IsRestart(static_cast<StopReason>(before)) && !IsRestart(reason)))
		if (pg_atomic_compare_exchange_u32(&slot->stop_requested, &before, static_cast<uint32>(reason)))
			return true;
	return false;
}

bool RequestStopLocked(QueryHandle handle, uint32 serial, StopReason reason)
{
	QuerySlot &slot = query_slots[handle];

	Assert(LWLockHeldByMeInMode(shared->state_lock, LW_EXCLUSIVE));
	if (slot.pid == 0 || slot.serial != serial)
		return false;
	return PostStop(&slot, reason);
}

void ArmStopTimer(ManagedQuery *query)
{
	if (query->handle == kNoQuery)
		return;
	if (!registered) {
		CountSignals();
		timer = RegisterTimeout(USER_TIMEOUT, OnTimer);
		registered = true;
	}
	Watch(query);
	signals_before = num_signals;
	if (!get_timeout_active(timer))
		enable_timeout_after(timer, kStopTimerMs);
}

/* The query's phase is not kRunning any more, so the handler posts nothing after this. */
void SettleStop(const ManagedQuery *query)
{
	if (likely(posted == kNoQuery) || posted != query->handle)
		return;
	posted = kNoQuery;
	/* Cleared first: who asks after the question is asked again, who asked before it is found by it. */
	const sig_atomic_t signals = num_signals;
	const bool pending = QueryCancelPending;
	QueryCancelPending = false;
	const bool others = OthersCancelled() || MyProc->recoveryConflictPending || get_timeout_indicator(STATEMENT_TIMEOUT, false) ||
	                    get_timeout_indicator(LOCK_TIMEOUT, false);
	if (num_signals != signals || (pending && others)) {
		QueryCancelPending = true;
		InterruptPending = true;
	}
}

void DropStalePost(const ManagedQuery *query)
{
	if (Requested(query_slots[query->handle]) == StopReason::kNone)
		SettleStop(query);
}

void ForgetStop(const ManagedQuery *query)
{
	WatchedQuery *place = query->handle != kNoQuery ? FindWatched(query->handle) : nullptr;

	if (place != nullptr)
		place->handle = kNoQuery;
	SettleStop(query);
}

void ExplainStop(ManagedQuery *query)
{
	if (likely(posted == kNoQuery) || query->handle == kNoQuery || posted != query->handle)
		return;

	/* The cancel was raised, or another error came first: either way nothing of ours is pending after this. */
	const bool raised = !QueryCancelPending || posted_again != 0;
	SettleStop(query);
	if (!raised || geterrcode() != ERRCODE_QUERY_CANCELED)
		return;

	MemoryContextSwitchTo(TopTransactionContext);
	ErrorData *error = CopyErrorData();
	if (!IsPlainCancel(error))
		return;
	const StopMessage told = MessageOfStop(query);
	if (told.message == nullptr)
		return;

	FlushErrorState();
	/* ReThrowError keeps where it happened (CONTEXT), which a new error would lose. */
	error->message_id = told.message;
	error->message = told.text != nullptr ? told.text : pstrdup(told.message);
	error->detail = told.detail;
	error->hint = pstrdup(told.hint);
	ReThrowError(error);
}

void AllowRestart(const ManagedQuery *query)
{
	signals_before = num_signals;
	if (previous_handler != nullptr)
		restartable = query->handle;
}

bool ForbidRestart(const ManagedQuery *query)
{
	restartable = kNoQuery;
	QuerySlot &slot = query_slots[query->handle];
	if (posted == query->handle) {
		if (!QueryCancelPending && IsRestart(Requested(slot)))
			return false;
		if (IsRestart(Requested(slot)))
			SettleStop(query);
	}
	DropRestart(&slot);
	return true;
}

StopReason TakeRestartRequest(const ManagedQuery *query, const ErrorData *error)
{
	restartable = kNoQuery;
	if (query->handle == kNoQuery)
		return StopReason::kNone;

	QuerySlot &slot = query_slots[query->handle];
	const StopReason reason = Requested(slot);
	if (posted != query->handle || !IsRestart(reason)) {
		DropRestart(&slot);
		return StopReason::kNone;
	}

	/*
	 * One cancel raises one error. Nobody else has asked: ours has been raised if it is not pending any more, and whatever the error
	 * is, a function may have made it of our cancel; one that has nothing to do with it comes again. Somebody else has: ours is the error
	 * only if the other is still pending, to be raised in its turn.
	 */
	const bool ours = OthersCancelled() ? QueryCancelPending && IsPlainCancel(error) : !QueryCancelPending;
	SettleStop(query);
	DropRestart(&slot);
	return ours ? reason : StopReason::kNone;
}

#ifdef USE_ASSERT_CHECKING
void PostRestart()
{
	const QueryHandle handle = restartable;
	uint32 none = static_cast<uint32>(StopReason::kNone);

	if (handle == kNoQuery || QueryCancelPending || !MayRestartNow(handle) ||
	    !pg_atomic_compare_exchange_u32(&query_slots[handle].stop_requested, &none, static_cast<uint32>(StopReason::kGiveWay)))
		return;
	posted = handle;
	QueryCancelPending = true;
	InterruptPending = true;
}
#endif

void InitStop()
{
	for (WatchedQuery &query : watched)
		query.handle = kNoQuery;
}

}  // namespace wlm
