/*
 * stop_message.cpp
 *
 * With the numbers of the moment at which it is told, which is a little after that of the decision.
 */
#include "pg/query/stop_message.hpp"

#include <algorithm>

#include "pg/query/rules.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

StopMessage ExplainGuard(const ManagedQuery *query)
{
	const QuerySlot &slot = query_slots[query->handle];

	LWLockAcquire(shared->state_lock, LW_SHARED);
	const int64 real_kb = static_cast<int64>(slot.real_kb);
	const int64 granted_kb = std::max(policy->View(query->handle).reserved_kb, static_cast<int64>(slot.granted_kb) +
	                                  pg_atomic_read_u32(const_cast<pg_atomic_uint32 *>(&slot.grown_kb)));
	const int64 used_kb = shared->guard.used_kb;
	const int64 limit_kb = shared->guard.limit_kb;
	LWLockRelease(shared->state_lock);
	return {.message = "canceling statement due to memory pressure", .text = nullptr,
	        .detail = psprintf("The statement holds " INT64_FORMAT " kB and was granted " INT64_FORMAT " kB; " INT64_FORMAT
	                           " kB of " INT64_FORMAT " kB of memory are in use.", real_kb, granted_kb, used_kb, limit_kb),
	        .hint = "It needs more memory than was predicted for it and cannot spill what it holds. "
	                "Run it again when less is going on, or give the server more memory."};
}

/* The limit is that of the queue in which it is now. */
StopMessage ExplainExecutionTime(const ManagedQuery *query)
{
	QueueLimits limits;

	LWLockAcquire(shared->state_lock, LW_SHARED);
	limits = policy->config().queues[policy->View(query->handle).queue];
	LWLockRelease(shared->state_lock);
	return {.message = "canceling statement due to workload queue execution time limit", .text = nullptr,
	        .detail = psprintf("The statement ran for %.0f ms; queue \"%s\" allows %.0f ms.", query->active_ms, limits.name,
	                           static_cast<double>(limits.max_execution_ms)),
	        .hint = "Let it do less, run it in another queue, or raise max_execution_time of the queue."};
}

StopMessage ExplainRuleStop(const ManagedQuery *query)
{
	const char *rule = "";
	char *const detail = ExplainRule(query, &rule);

	return {.message = "canceling statement due to workload rule \"%s\"",
	        .text = psprintf("canceling statement due to workload rule \"%s\"", rule), .detail = detail, .hint = kRuleHint};
}

}  // namespace

StopMessage MessageOfStop(const ManagedQuery *query)
{
	switch (static_cast<StopReason>(pg_atomic_read_u32(&query_slots[query->handle].stop_requested))) {
		case StopReason::kMemoryGuard:
			return ExplainGuard(query);
		case StopReason::kExecutionTime:
			return ExplainExecutionTime(query);
		case StopReason::kRule:
			return ExplainRuleStop(query);
		case StopReason::kGiveWay:
		case StopReason::kHop:
		case StopReason::kNone:
			break;
	}
	return {};
}

}  // namespace wlm
