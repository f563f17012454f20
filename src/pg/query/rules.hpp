/*
 * rules.hpp
 *
 * Query monitoring rules (core/decide/rules.hpp) while a query waits, runs and ends. A query keeps the rules with which it
 * began. While it runs its backend's own timer looks (query/stop.cpp), abort works without anybody else; what
 * changes its place among others, and the record, is done by the launcher, or at the latest by the query's own end.
 * Rules do nothing to superusers who have asked for their lane (kSuperuserGroup), in which administrators set things right.
 */
#pragma once

#include "pg/observe/rule_metrics.hpp"
#include "pg/query/managed_query.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

/* Of one pooled ManagedQuery, for good; the handler reads it while the query executes. */
struct RuleWatch {
	uint32 generation;              /* of the workload that the rules are of */
	RuleSet rules;
	int next_queue;                 /* of a hop without a target */
	bool acts;                      /* rules do more than to record */
	MetricSource source;
	double looked_ms;               /* when the rules were evaluated last */
	uint32 likely;                  /* bits that held then, on rows: to be confirmed by a second look */
	volatile int acting;            /* the rule that ends the query, -1 = none */
	RuleMetrics metrics;            /* that made it */
};

/* Whether a rule hops to where the routing says: then BeginRules() must be told where that is. */
bool AskForNextQueue(const RuleSet &rules);

/* Before the query arrives. Takes the rules if there are any: without, nothing below does anything. */
void BeginRules(ManagedQuery *query, const Workload &workload, int next_queue);

/* Where the query is now, 0 if the policy has forgotten it. Plain loads of an entry that does not wait: also in a handler. */
int QueueOf(QueryHandle handle);

/* With FillSlot, under state_lock. */
void InitRuleSlotLocked(const ManagedQuery *query, QuerySlot *slot);

/* About once a second in the queue, with the milliseconds of this wait. Moves it, changes its priority and its deadline, or raises. */
void ApplyRulesWhileQueued(ManagedQuery *query, double waited_ms, double *deadline_ms);

/* Around a run (rows are those of its ExecutorRun), and around each stretch, while the handler does not look. */
void OpenRun(ManagedQuery *query);
void CloseRun(ManagedQuery *query);
void OpenRuleStretch(ManagedQuery *query);
void CloseRuleStretch(ManagedQuery *query);

/* In the timer's handler: posts a stop in the slot if the query's queue or a rule wants one, inside of a stretch. */
void LookAtQuery(ManagedQuery *query, double now_ms);

/* ExecutorEnd: rules that hold and that no tick has seen. They are recorded; there is nothing left to act on. */
void FinishRules(ManagedQuery *query);

/* Milliseconds of execution, now inside of a stretch or not. */
double ExecutionMs(const ManagedQuery *query, double now_ms);

inline constexpr const char *kRuleHint = "Table wlm.rule has the rule, wlm.rule_action what it has done. "
                                         "Let the statement do less, run it in another queue, or have the rule changed.";

/* "query_execution_time was 12000, over 10000", of the rule that ends the query; its name in *rule. In the current memory context. */
char *ExplainRule(const ManagedQuery *query, const char **rule);

}  // namespace wlm
