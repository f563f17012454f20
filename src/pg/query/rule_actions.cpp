/*
 * rule_actions.cpp
 *
 * Of the rules that have fired at the same time the severest acts; each is recorded, with whether
 * it was carried out. Also the abort, which the query itself has posted before anybody can see the rule's bit.
 */
#include "pg/query/rule_actions.hpp"

extern "C" {
#include "access/xlog.h"
#include "utils/timestamp.h"
}

#include "pg/query/classify.hpp"
#include "pg/query/rules.hpp"
#include "pg/query/stop.hpp"

namespace wlm {

namespace {

void PutRecordLocked(const QuerySlot &slot, int queue, const FiredRule &fired, bool applied)
{
	RuleActionRecord record = {};

	record.recorded_at = GetCurrentTimestamp();
	record.query_id = slot.query_id;
	record.value = static_cast<double>(fired.value);
	record.database_oid = slot.database;
	record.role_oid = slot.role;
	record.pid = slot.pid;
	record.queue = static_cast<int16>(queue);
	record.action = static_cast<uint8>(fired.action);
	record.metric = static_cast<uint8>(fired.metric);
	record.applied = applied;
	memcpy(record.rule, fired.name, sizeof record.rule);
	ring->Put(RecordKind::kRuleAction, &record, sizeof record);
}

/*
 * Its slots count in the new queue from now on. If these are more than there are, and fewer wait there than may, it waits there and begins
 * again, if it can. False if it is there already, the queue is gone, or it waits and may not wait there.
 */
bool HopLocked(QueryHandle handle, int target, double now_ms)
{
	const QuerySlot &slot = query_slots[handle];
	const QueryView view = policy->View(handle);

	if (target == view.queue || !IsSameQueue(shared->workload, target, slot.rules_generation) ||
	    policy->Move(handle, target, now_ms) != MoveOutcome::kMoved)
		return false;
	if (view.state == QueryState::kRunning && view.restartable && policy->IsOverSlots(target) && !policy->IsFull(target))
		RequestStopLocked(handle, slot.serial, StopReason::kHop);
	return true;
}

/* Whether the rule's action was carried out. */
bool ActLocked(QueryHandle handle, const FiredRule &fired, double now_ms)
{
	switch (fired.action) {
		case RuleAction::kLog:
			return true;
		case RuleAction::kChangePriority: {
			const Priority priority = static_cast<Priority>(fired.new_priority);
			return policy->ChangePriority(handle, AllowedPriority(priority, query_slots[handle].superuser), now_ms);
		}
		case RuleAction::kHop:
			return HopLocked(handle, fired.new_queue, now_ms);
		case RuleAction::kAbort:
			return false; /* not posted: somebody else's stop came first */
	}
	return false;
}

/* As SeverestRule(). */
int SeverestFired(const QuerySlot &slot, uint32 bits)
{
	int severest = -1;

	for (int i = 0; i < kMaxRules; i++)
		if ((bits >> i & 1) != 0 && (severest < 0 || slot.fired[i].action > slot.fired[severest].action))
			severest = i;
	return severest;
}

uint32 PendingBits(const QuerySlot &slot)
{
	QuerySlot &mutable_slot = const_cast<QuerySlot &>(slot);
	return pg_atomic_read_u32(&mutable_slot.rules_fired) & ~pg_atomic_read_u32(&mutable_slot.rules_done);
}

}  // namespace

void CarryOutLocked(QueryHandle handle, uint32 bits, bool record, double now_ms)
{
	QuerySlot &slot = query_slots[handle];
	const int queue = QueueOf(handle);
	const int severest = slot.rules_act ? SeverestFired(slot, bits) : -1;
	const bool posted = pg_atomic_read_u32(&slot.stop_requested) == static_cast<uint32>(StopReason::kRule);

	for (int i = 0; posted && i < kMaxRules; i++)
		if ((bits >> i & 1) != 0 && slot.fired[i].action == RuleAction::kAbort)
			bits &= ~(uint32{1} << i);
	pg_atomic_fetch_or_u32(&slot.rules_done, bits);
	for (int i = 0; i < kMaxRules; i++) {
		if ((bits >> i & 1) == 0)
			continue;
		const FiredRule &fired = slot.fired[i];
		const bool applied = fired.action == RuleAction::kLog || (i == severest && ActLocked(handle, fired, now_ms));
		if (record)
			PutRecordLocked(slot, queue, fired, applied);
	}
}

/* Of what is still to be done here only the abort has been carried out, if it came in time. */
void RecordRulesLocked(ManagedQuery *query, bool record)
{
	if (!query->watched)
		return;
	query->watched = false;
	query->watch->source.rows = nullptr;
	query->watch->source.processed = nullptr;

	QuerySlot &slot = query_slots[query->handle];
	const uint32 bits = PendingBits(slot);
	const int acting = query->experience.final_state == FinalState::kCancelled ? query->watch->acting : -1;
	const int queue = query->experience.queue; /* the policy may have forgotten the query: a time-out */

	pg_atomic_fetch_or_u32(&slot.rules_done, bits);
	for (int i = 0; record && bits != 0 && i < kMaxRules; i++)
		if ((bits >> i & 1) != 0)
			PutRecordLocked(slot, queue, slot.fired[i], slot.fired[i].action == RuleAction::kLog || i == acting);
}

void ActOnRules()
{
	static uint32 seen = 0; /* of the launcher */
	const uint32 news = pg_atomic_read_u32(&shared->rules_news);

	if (news == seen)
		return;
	seen = news;
	pg_read_barrier();
	const bool record = !RecoveryInProgress();
	const double now_ms = NowMs();
	for (QueryHandle handle = 0; handle < policy->max_queries(); handle++) {
		QuerySlot &slot = query_slots[handle];

		if (PendingBits(slot) == 0)
			continue;
		StateLock lock;
		const uint32 bits = slot.pid != 0 ? PendingBits(slot) : 0;
		if (bits != 0)
			CarryOutLocked(handle, bits, record, now_ms);
	}
}

}  // namespace wlm
