/*
 * rules.cpp
 *
 * When rules fire, seen from the query's own process: while it waits, in the handler of its timer, and at its
 * end. What follows from that is rule_actions.hpp, by the launcher, whose latch is set.
 */
#include "pg/query/rules.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

extern "C" {
#include "access/xlog.h"
#include "executor/execdesc.h"
#include "utils/memutils.h"
}

#include "pg/query/classify.hpp"
#include "pg/query/rule_actions.hpp"
#include "pg/query/stop.hpp"
#include "pg/wait/queueing.hpp"

namespace wlm {

namespace {

/* How often rules are evaluated while a query runs. */
constexpr double kLookMs = 250;

void Unknown(RuleMetrics *metrics)
{
	for (double &value : metrics->value)
		value = -1;
}

void ReadMetrics(const ManagedQuery *query, double now_ms, RuleMetrics *metrics)
{
	const QuerySlot &slot = query_slots[query->handle];
	const MetricSource &source = query->watch->source;
	const auto set = [metrics](Metric metric, double value) { metrics->value[static_cast<int>(metric)] = value; };

	Unknown(metrics);
	ReadSource(source, slot, query->in_stretch != 0, metrics);
	set(Metric::kExecutionTime, ExecutionMs(query, now_ms));
	set(Metric::kQueueTime, static_cast<double>(query->experience.queue_ms));
	set(Metric::kMemory, slot.real_kb > 0 ? static_cast<double>(slot.real_kb) : -1);

	const uint64 *processed = source.processed;
	set(Metric::kReturnedRows, query->returned_rows + (processed != nullptr ? static_cast<double>(*processed) : 0));
}

void Describe(const Rule &rule, const RuleMetrics &metrics, int next_queue, FiredRule *fired)
{
	memcpy(fired->name, rule.name, sizeof fired->name);
	fired->value = static_cast<float>(FiringValue(rule, metrics));
	fired->action = rule.action;
	fired->metric = rule.predicates[0].metric;
	fired->new_priority = rule.new_priority;
	fired->new_queue = rule.new_queue >= 0 ? rule.new_queue : next_queue;
}

/* Bits last: who sees one finds what it stands for. In a signal handler too. */
void Fire(ManagedQuery *query, uint32 bits, const RuleMetrics &metrics)
{
	QuerySlot &slot = query_slots[query->handle];
	const RuleSet &rules = query->watch->rules;

	for (int i = 0; i < rules.num_rules && i < kMaxRules; i++)
		if ((bits >> i & 1) != 0)
			Describe(rules.rules[i], metrics, query->watch->next_queue, &slot.fired[i]);
	pg_write_barrier();
	pg_atomic_fetch_or_u32(&slot.rules_fired, bits);
	pg_atomic_fetch_add_u64(&shared->counters.rules_fired, std::popcount(bits));
	pg_atomic_fetch_add_u32(&shared->rules_news, 1);
}

/* False if somebody has asked already. */
bool PostStop(const ManagedQuery *query, StopReason reason)
{
	if (!wlm::PostStop(&query_slots[query->handle], reason))
		return false;
	pg_atomic_fetch_add_u64(&shared->counters.stopped, 1);
	return true;
}

bool UsesRows(const Rule &rule)
{
	for (int i = 0; i < rule.num_predicates && i < kMaxPredicates; i++)
		if ((MetricBit(rule.predicates[i].metric) & kRowMetrics) != 0)
			return true;
	return false;
}

/* Counters of rows can be read in the middle of a change: their rules fire when they hold at two looks. */
uint32 Confirmed(RuleWatch *watch, uint32 bits)
{
	uint32 sure = 0;

	for (uint32 rest = bits; rest != 0; rest &= rest - 1) {
		const int i = std::countr_zero(rest);
		if (!UsesRows(watch->rules.rules[i]) || (watch->likely >> i & 1) != 0)
			sure |= uint32{1} << i;
	}
	watch->likely = bits & ~sure;
	return sure;
}

/* The stop comes before the bits: who finds these must see whether the abort was carried out. */
void LookAtRules(ManagedQuery *query, int queue, double now_ms)
{
	RuleWatch *const watch = query->watch;
	RuleMetrics metrics;

	watch->looked_ms = now_ms;
	ReadMetrics(query, now_ms, &metrics);
	const uint32 fired = pg_atomic_read_u32(&query_slots[query->handle].rules_fired);
	const uint32 bits = Confirmed(watch, EvaluateRules(watch->rules, queue, metrics, fired));
	if (bits == 0)
		return;
	const int severest = SeverestRule(watch->rules, bits);
	if (watch->acts && severest >= 0 && watch->rules.rules[severest].action == RuleAction::kAbort &&
	    PostStop(query, StopReason::kRule)) {
		watch->metrics = metrics;
		watch->acting = severest;
	}
	Fire(query, bits, metrics);
	WakeLauncher();
}

/* A number as people write it: whole where it is large. */
char *NumberText(double value)
{
	return std::fabs(value) >= 100 || value == std::floor(value) ? psprintf("%.0f", value) : psprintf("%.3g", value);
}

char *ExplainPredicates(const Rule &rule, const RuleMetrics &metrics)
{
	char *text = pstrdup("");

	for (int i = 0; i < rule.num_predicates && i < kMaxPredicates; i++) {
		const Predicate &predicate = rule.predicates[i];
		const char *relation = predicate.comparison == RuleOperator::kGreater ? "over"
			: predicate.comparison == RuleOperator::kLess ? "under" : "equal to";
		text = psprintf("%s%s%s was %s, %s %s", text, i > 0 ? "; " : "", MetricName(predicate.metric),
		                NumberText(metrics.value[static_cast<int>(predicate.metric)]), relation, NumberText(predicate.value));
	}
	return psprintf("%s.", text);
}

[[noreturn]] void RaiseRule(const Rule &rule, const RuleMetrics &metrics)
{
	ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("canceling statement due to workload rule \"%s\"", rule.name),
	                errdetail_internal("%s", ExplainPredicates(rule, metrics)), errhint("%s", kRuleHint)));
}

}  // namespace

int QueueOf(QueryHandle handle)
{
	const int queue = policy->View(handle).queue;
	return queue >= 0 && queue < kMaxQueues ? queue : 0;
}

bool AskForNextQueue(const RuleSet &rules)
{
	for (int i = 0; i < rules.num_rules && i < kMaxRules; i++)
		if (rules.rules[i].action == RuleAction::kHop && rules.rules[i].new_queue < 0)
			return true;
	return false;
}

void BeginRules(ManagedQuery *query, const Workload &workload, int next_queue)
{
	query->watched = false;
	if (likely(workload.rules.num_rules == 0))
		return;
	if (query->watch == nullptr)
		query->watch = static_cast<RuleWatch *>(MemoryContextAllocZero(TopMemoryContext, sizeof(RuleWatch)));
	RuleWatch *const watch = query->watch;
	/* Kilobytes: copied when they may have changed, not for every statement. */
	if (watch->generation != workload.generation) {
		watch->rules = workload.rules;
		watch->generation = workload.generation;
	}
	ResetSource(&watch->source, MetricsAskedFor(watch->rules, query->experience.queue));
	watch->next_queue = next_queue;
	watch->acts = query->applied && !WantsSuperuserLane();
	watch->looked_ms = 0;
	watch->likely = 0;
	watch->acting = -1;
	query->watched = true;
}

void InitRuleSlotLocked(const ManagedQuery *query, QuerySlot *slot)
{
	pg_atomic_write_u32(&slot->rules_fired, 0);
	pg_atomic_write_u32(&slot->rules_done, 0);
	slot->metrics_asked = 0;
	slot->rules_act = false;
	if (!query->watched)
		return;
	slot->rules_generation = query->watch->generation;
	slot->metrics_asked = query->watch->source.asked;
	slot->rules_act = query->watch->acts;
	ClearWorkerMetrics(&slot->worker_metrics);
}

void ApplyRulesWhileQueued(ManagedQuery *query, double waited_ms, double *deadline_ms)
{
	if (!query->watched)
		return;
	const RuleSet &rules = query->watch->rules;
	RuleMetrics metrics;
	uint32 bits;

	Unknown(&metrics);
	/* who has given way has waited before */
	metrics.value[static_cast<int>(Metric::kQueueTime)] = static_cast<double>(query->experience.queue_ms) + waited_ms;
	{
		const bool record = !RecoveryInProgress();
		StateLock lock;
		if (policy->View(query->handle).state != QueryState::kQueued)
			return;
		const double now_ms = NowMs();
		bits = EvaluateRules(rules, QueueOf(query->handle), metrics, pg_atomic_read_u32(&query_slots[query->handle].rules_fired));
		if (bits == 0)
			return;
		Fire(query, bits, metrics);
		const int severest = SeverestRule(rules, bits);
		if (query->watch->acts && severest >= 0 && rules.rules[severest].action == RuleAction::kAbort &&
		    PostStop(query, StopReason::kRule))
			query->watch->acting = severest;
		CarryOutLocked(query->handle, bits, record, now_ms);
		const QueryView view = policy->View(query->handle);
		query->experience.queue = static_cast<int16_t>(view.queue);
		query->experience.priority = static_cast<uint8_t>(view.priority);
		if (view.state == QueryState::kQueued)
			*deadline_ms = policy->DeadlineMs(query->handle);
	}
	if (query->watch->acting >= 0)
		RaiseRule(rules.rules[query->watch->acting], metrics);
}

/* ExecutorRun would reset the count anyway; before that it is the one of the run before, which is in returned_rows by now. */
void OpenRun(ManagedQuery *query)
{
	EState *const estate = query->query_desc->estate;

	if (!query->watched || (query->query_desc->operation != CMD_SELECT && !query->query_desc->plannedstmt->hasReturning))
		return;
	estate->es_processed = 0;
	query->watch->source.processed = &estate->es_processed;
}

void CloseRun(ManagedQuery *query)
{
	if (query->watched)
		query->watch->source.processed = nullptr;
}

void OpenRuleStretch(ManagedQuery *query)
{
	if (query->watched)
		OpenStretch(&query->watch->source);
	pg_compiler_barrier();
	query->in_stretch = 1;
}

void CloseRuleStretch(ManagedQuery *query)
{
	if (query->in_stretch == 0)
		return;
	query->in_stretch = 0;
	pg_compiler_barrier();
	if (query->watched)
		CloseStretch(&query->watch->source);
}

double ExecutionMs(const ManagedQuery *query, double now_ms)
{
	return query->active_ms + (query->in_stretch != 0 ? std::max(now_ms - query->started_ms, 0.0) : 0.0);
}

void LookAtQuery(ManagedQuery *query, double now_ms)
{
	if (query->in_stretch == 0)
		return;

	const int queue = QueueOf(query->handle);
	if (query->watched && (query->watch->likely != 0 || now_ms - query->watch->looked_ms >= kLookMs))
		LookAtRules(query, queue, now_ms);

	/* An aligned word that changes only with the configuration; the lock is not for signal handlers. */
	const double limit_ms = static_cast<double>(policy->config().queues[queue].max_execution_ms);
	if (query->applied && limit_ms > 0 && ExecutionMs(query, now_ms) > limit_ms)
		PostStop(query, StopReason::kExecutionTime);
}

void FinishRules(ManagedQuery *query)
{
	RuleMetrics metrics;

	if (!query->watched)
		return;
	ReadMetrics(query, NowMs(), &metrics);
	const uint32 fired = pg_atomic_read_u32(&query_slots[query->handle].rules_fired);
	const uint32 bits = EvaluateRules(query->watch->rules, QueueOf(query->handle), metrics, fired);
	if (bits != 0)
		Fire(query, bits, metrics);
}

char *ExplainRule(const ManagedQuery *query, const char **rule)
{
	const RuleWatch *const watch = query->watch;

	if (watch == nullptr || watch->acting < 0)
		return nullptr;
	*rule = watch->rules.rules[watch->acting].name;
	return ExplainPredicates(watch->rules.rules[watch->acting], watch->metrics);
}

}  // namespace wlm
