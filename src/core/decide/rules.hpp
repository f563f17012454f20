/*
 * rules.hpp
 *
 * Query monitoring rules, as Redshift's WLM has them: up to 25, each with up to
 * three predicates that must all hold, and one action. Compiled from wlm.rule by
 * the worker; evaluated on plain numbers, also in a signal handler: no
 * allocation, no call that is not async-signal-safe, bounded time.
 */
#pragma once

#include <cstdint>

namespace wlm {

inline constexpr int kMaxRules = 25;
inline constexpr int kMaxPredicates = 3;
inline constexpr int kRuleNameLength = 64;

/* Units as named: times in ms, memory in kB, blocks of 8 kB. Summed over the leader and its parallel workers. */
enum class Metric : uint8_t {
	kExecutionTime = 0,         /* query_execution_time, ms */
	kQueueTime,                 /* query_queue_time, ms */
	kCpuTime,                   /* query_cpu_time, ms */
	kTempBlocks,                /* query_temp_blocks_to_disk */
	kBlocksRead,                /* query_blocks_read: not found in shared buffers */
	kScanRows,                  /* scan_row_count: returned by all scans */
	kJoinRows,                  /* join_row_count */
	kNestedLoopRows,            /* nested_loop_join_row_count */
	kReturnedRows,              /* return_row_count */
	kMemory,                    /* query_memory_kb: real memory of its processes */
	kNumMetrics
};
inline constexpr int kNumMetrics = static_cast<int>(Metric::kNumMetrics);

enum class RuleOperator : uint8_t { kGreater = 0, kLess, kEqual };
enum class RuleAction : uint8_t { kLog = 0, kChangePriority, kHop, kAbort };

struct Predicate {
	Metric metric;
	RuleOperator comparison;
	double value;
};

struct Rule {
	char name[kRuleNameLength];
	int32_t queue;              /* index in the workload; -1 = every queue */
	int32_t num_predicates;
	Predicate predicates[kMaxPredicates];
	RuleAction action;
	uint8_t new_priority;       /* Priority, of kChangePriority */
	int32_t new_queue;          /* of kHop: an index; -1 = as if it had no queue: the next one that matches, else default */
};

/* In the order of priority of wlm.rule.ordinal, name. */
struct RuleSet {
	int32_t num_rules;
	Rule rules[kMaxRules];
};

/* What is known of one query now; negative = not known, then no predicate on it holds. */
struct RuleMetrics {
	double value[kNumMetrics];
};

/*
 * Bits of the rules that hold for a query of `queue` and are not in `fired` already (each fires once for a query). Of several that
 * hold, the caller carries out all logs and the severest action, as Redshift does: abort over hop over change_priority.
 */
uint32_t EvaluateRules(const RuleSet &rules, int32_t queue, const RuleMetrics &metrics, uint32_t fired) noexcept;

/* The rule whose action counts among those of `bits`; -1 if none. Ties: the first. */
int SeverestRule(const RuleSet &rules, uint32_t bits) noexcept;

/* Bits (1 << Metric) of the metrics that rules for this queue ask for: what need not be counted is not. */
uint32_t MetricsAskedFor(const RuleSet &rules, int32_t queue) noexcept;

/* The value that made the rule fire: that of its first predicate. */
double FiringValue(const Rule &rule, const RuleMetrics &metrics) noexcept;

const char *MetricName(Metric metric) noexcept;
bool MetricFromName(const char *name, Metric *metric) noexcept;
const char *RuleActionName(RuleAction action) noexcept;
bool RuleActionFromName(const char *name, RuleAction *action) noexcept;
bool RuleOperatorFromText(const char *text, RuleOperator *comparison) noexcept;   /* ">", "<", "=" */

}  // namespace wlm
