/*
 * rules.cpp
 *
 * Query monitoring rules on plain numbers. EvaluateRules() runs in the signal
 * handler of a query's timer: loops with fixed bounds, no call into libc.
 */
#include "core/decide/rules.hpp"

#include <cstring>

namespace wlm {

namespace {

constexpr const char *kMetricNames[kNumMetrics] = {
	"query_execution_time",
	"query_queue_time",
	"query_cpu_time",
	"query_temp_blocks_to_disk",
	"query_blocks_read",
	"scan_row_count",
	"join_row_count",
	"nested_loop_join_row_count",
	"return_row_count",
	"query_memory_kb",
};

/* In the order of severity, which is that of the enum. */
constexpr const char *kActionNames[] = {"log", "change_priority", "hop", "abort"};
constexpr int kNumActions = static_cast<int>(RuleAction::kAbort) + 1;

constexpr const char *kOperators[] = {">", "<", "="};
constexpr int kNumOperators = static_cast<int>(RuleOperator::kEqual) + 1;

template <int num_names>
int IndexOf(const char *const (&names)[num_names], const char *name) noexcept
{
	for (int i = 0; i < num_names; i++)
		if (std::strcmp(names[i], name) == 0)
			return i;
	return -1;
}

bool Applies(const Rule &rule, int32_t queue) noexcept
{
	return rule.queue < 0 || rule.queue == queue;
}

/* The set is read from shared memory: whatever is there, the loops stay within their arrays. */
int NumRules(const RuleSet &rules) noexcept
{
	return rules.num_rules < kMaxRules ? rules.num_rules : kMaxRules;
}

int NumPredicates(const Rule &rule) noexcept
{
	return rule.num_predicates < kMaxPredicates ? rule.num_predicates : kMaxPredicates;
}

bool IsMetric(Metric metric) noexcept
{
	return static_cast<int>(metric) < kNumMetrics;
}

bool Holds(const Predicate &predicate, const RuleMetrics &metrics) noexcept
{
	if (!IsMetric(predicate.metric))
		return false;
	const double value = metrics.value[static_cast<int>(predicate.metric)];
	if (!(value >= 0))
		return false; /* not known, or NaN */
	switch (predicate.comparison) {
		case RuleOperator::kGreater:
			return value > predicate.value;
		case RuleOperator::kLess:
			return value < predicate.value;
		case RuleOperator::kEqual:
			return value == predicate.value;
	}
	return false;
}

bool AllHold(const Rule &rule, const RuleMetrics &metrics) noexcept
{
	const int num_predicates = NumPredicates(rule);
	for (int i = 0; i < num_predicates; i++)
		if (!Holds(rule.predicates[i], metrics))
			return false;
	return num_predicates > 0;
}

}  // namespace

uint32_t EvaluateRules(const RuleSet &rules, int32_t queue, const RuleMetrics &metrics, uint32_t fired) noexcept
{
	const int num_rules = NumRules(rules);
	uint32_t holding = 0;

	for (int i = 0; i < num_rules; i++) {
		const uint32_t bit = uint32_t{1} << i;
		if ((fired & bit) == 0 && Applies(rules.rules[i], queue) && AllHold(rules.rules[i], metrics))
			holding |= bit;
	}
	return holding;
}

int SeverestRule(const RuleSet &rules, uint32_t bits) noexcept
{
	const int num_rules = NumRules(rules);
	int severest = -1;

	for (int i = 0; i < num_rules; i++) {
		if ((bits & (uint32_t{1} << i)) == 0)
			continue;
		if (severest < 0 || rules.rules[i].action > rules.rules[severest].action)
			severest = i;
	}
	return severest;
}

uint32_t MetricsAskedFor(const RuleSet &rules, int32_t queue) noexcept
{
	const int num_rules = NumRules(rules);
	uint32_t metrics = 0;

	for (int i = 0; i < num_rules; i++) {
		const Rule &rule = rules.rules[i];
		if (!Applies(rule, queue))
			continue;
		const int num_predicates = NumPredicates(rule);
		for (int j = 0; j < num_predicates; j++)
			if (IsMetric(rule.predicates[j].metric))
				metrics |= uint32_t{1} << static_cast<int>(rule.predicates[j].metric);
	}
	return metrics;
}

double FiringValue(const Rule &rule, const RuleMetrics &metrics) noexcept
{
	if (NumPredicates(rule) < 1 || !IsMetric(rule.predicates[0].metric))
		return -1.0;
	return metrics.value[static_cast<int>(rule.predicates[0].metric)];
}

const char *MetricName(Metric metric) noexcept
{
	return IsMetric(metric) ? kMetricNames[static_cast<int>(metric)] : "unknown";
}

bool MetricFromName(const char *name, Metric *metric) noexcept
{
	const int index = IndexOf(kMetricNames, name);
	if (index < 0)
		return false;
	*metric = static_cast<Metric>(index);
	return true;
}

const char *RuleActionName(RuleAction action) noexcept
{
	const int index = static_cast<int>(action);
	return index < kNumActions ? kActionNames[index] : "log";
}

bool RuleActionFromName(const char *name, RuleAction *action) noexcept
{
	const int index = IndexOf(kActionNames, name);
	if (index < 0)
		return false;
	*action = static_cast<RuleAction>(index);
	return true;
}

bool RuleOperatorFromText(const char *text, RuleOperator *comparison) noexcept
{
	static_assert(kNumOperators == sizeof kOperators / sizeof kOperators[0]);
	const int index = IndexOf(kOperators, text);
	if (index < 0)
		return false;
	*comparison = static_cast<RuleOperator>(index);
	return true;
}

}  // namespace wlm
