/*
 * rules.cpp
 *
 * As tolerant as configuration.cpp: a rule of which anything cannot be read is
 * left out with a WARNING, because half a rule would do what nobody asked for.
 */
#include "pg/worker/configuration/parts.hpp"

#include <cmath>
#include <cstdlib>
#include <cstring>

extern "C" {
#include "executor/spi.h"
#include "utils/builtins.h"
}

namespace wlm {

namespace {

/* One row for each predicate; one with nulls for a rule that has none. */
constexpr const char *kRulesQuery =
	"SELECT r.name, r.queue, r.action, r.action_value, p.value ->> 'metric', p.value ->> 'operator', p.value ->> 'value' "
	"FROM wlm.rule r LEFT JOIN LATERAL pg_catalog.jsonb_array_elements("
	"CASE pg_catalog.jsonb_typeof(r.predicates) WHEN 'array' THEN r.predicates ELSE '[]' END) "
	"WITH ORDINALITY p(value, position) ON true "
	"WHERE r.enabled ORDER BY r.ordinal, r.name, p.position";

enum RuleColumn : int { kName = 1, kQueue, kAction, kActionValue, kMetric, kOperator, kValue };

constexpr const char *kPrioritiesQuery = "SELECT role, priority FROM wlm.user_priority ORDER BY role";

/* nullptr for null. */
const char *TextAt(uint64 row, int column) { return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column); }

bool QueueFromName(const Workload &workload, const char *name, int32_t *queue)
{
	*queue = QueueByName(workload, name);
	return *queue >= 0;
}

/* What all rows of a rule say alike. The reason why it makes no sense, or nullptr. */
const char *ReadRule(const Workload &workload, uint64 row, Rule *rule)
{
	const char *queue = TextAt(row, kQueue);
	const char *action = TextAt(row, kAction);
	const char *action_value = TextAt(row, kActionValue);
	Priority priority = Priority::kNormal;

	rule->queue = rule->new_queue = -1;
	if (queue != nullptr && !QueueFromName(workload, queue, &rule->queue))
		return psprintf("There is no workload queue \"%s\".", queue);
	if (action == nullptr || !RuleActionFromName(action, &rule->action))
		return psprintf("There is no action \"%s\".", action != nullptr ? action : "");
	if (rule->action == RuleAction::kChangePriority && (action_value == nullptr || !PriorityFromName(action_value, &priority)))
		return psprintf("There is no priority \"%s\".", action_value != nullptr ? action_value : "");
	if (rule->action == RuleAction::kHop && action_value != nullptr && !QueueFromName(workload, action_value, &rule->new_queue))
		return psprintf("There is no workload queue \"%s\".", action_value);
	rule->new_priority = static_cast<uint8>(priority);
	return nullptr;
}

const char *ReadPredicate(uint64 row, Rule *rule)
{
	const char *metric = TextAt(row, kMetric);
	const char *comparison = TextAt(row, kOperator);
	const char *value = TextAt(row, kValue);

	if (rule->num_predicates == kMaxPredicates)
		return psprintf("It has more than %d predicates.", kMaxPredicates);
	Predicate *predicate = &rule->predicates[rule->num_predicates++];
	if (metric == nullptr || !MetricFromName(metric, &predicate->metric))
		return psprintf("There is no metric \"%s\".", metric != nullptr ? metric : "");
	if (comparison == nullptr || !RuleOperatorFromText(comparison, &predicate->comparison))
		return psprintf("There is no operator \"%s\".", comparison != nullptr ? comparison : "");

	char *end = nullptr;
	predicate->value = value != nullptr ? strtod(value, &end) : -1;
	if (value == nullptr || end == value || *end != '\0' || !std::isfinite(predicate->value) || predicate->value < 0)
		return psprintf("\"%s\" is not a number of at least 0.", value != nullptr ? value : "");
	return nullptr;
}

}  // namespace

void ReadRules(Workload *workload)
{
	RuleSet *rules = &workload->rules;
	int skipped = 0;

	rules->num_rules = 0;
	if (SPI_execute(kRulesQuery, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read wlm.rule");

	for (uint64 row = 0; row < SPI_processed;) {
		const char *name = TextAt(row, kName);
		Rule rule = {};
		const char *problem = ReadRule(*workload, row, &rule);

		strlcpy(rule.name, name, sizeof rule.name);
		for (; row < SPI_processed && strcmp(TextAt(row, kName), name) == 0; row++)
			if (problem == nullptr)
				problem = ReadPredicate(row, &rule);

		if (problem != nullptr)
			ereport(WARNING, (errmsg("rule \"%s\" is ignored", name), errdetail_internal("%s", problem),
			                  errhint("Correct it with wlm.alter_rule(), or drop it with wlm.drop_rule().")));
		else if (rules->num_rules == kMaxRules)
			skipped++;
		else
			rules->rules[rules->num_rules++] = rule;
	}
	if (skipped > 0)
		ereport(WARNING, (errmsg("%d rules are ignored", skipped), errdetail("At most %d rules can be enabled.", kMaxRules),
		                  errhint("Drop rules that are not needed with wlm.drop_rule().")));
}

void ReadUserPriorities(Workload *workload)
{
	workload->num_user_priorities = 0;
	if (SPI_execute(kPrioritiesQuery, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read wlm.user_priority");

	for (uint64 row = 0; row < SPI_processed; row++) {
		const char *role = TextAt(row, 1);
		const char *name = TextAt(row, 2);
		Priority priority;

		if (workload->num_user_priorities == kMaxUserPriorities) {
			ereport(WARNING, (errmsg("priorities of more than %d roles are ignored", kMaxUserPriorities),
			                  errhint("Give queues a priority instead.")));
			break;
		}
		if (name == nullptr || !PriorityFromName(name, &priority)) {
			ereport(WARNING, (errmsg("role \"%s\" has an unknown priority \"%s\"", role, name != nullptr ? name : ""),
			                  errdetail("That of its queue is used instead.")));
			continue;
		}
		UserPriority *entry = &workload->user_priorities[workload->num_user_priorities++];
		strlcpy(entry->role, role, sizeof entry->role);
		entry->priority = priority;
	}
}

}  // namespace wlm
