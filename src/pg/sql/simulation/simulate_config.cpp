/*
 * simulate_config.cpp
 *
 * "What if": the configuration in force with what the caller of wlm.simulate()
 * would change. Attributes are those of wlm.queue, settings those of
 * settings.md, as far as they act in a simulation; what is not known or not
 * possible is an error that says what is.
 */
#include "pg/sql/simulation/simulation.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

extern "C" {
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
}

#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

constexpr int32 kFifoSlots = 5;
constexpr double kNotRestartable = 0.5;  /* nobody records it; half of what runs is a guess on the safe side */

enum class Kind { kBoolean, kInteger, kReal, kMilliseconds, kPriority };

/* Null in json stands for `unset`, where that is something. */
struct Option {
	const char *name;
	Kind kind;
	double least;
	double most;
	bool nullable;
	double unset;
	const char *values;     /* for the hint */
	void (*set)(WhatIf *what_if, int queue, double value);
};

QueueLimits &Limits(WhatIf *what_if, int queue) { return what_if->policy.queues[queue]; }

constexpr Option kQueueOptions[] = {
	{"max_memory_share", Kind::kReal, 1e-6, 1, false, 0, "a fraction over 0 and up to 1",
	 [](WhatIf *w, int q, double v) { Limits(w, q).max_memory_share = static_cast<float>(v); }},
	{"max_queue_length", Kind::kInteger, 0, 1e9, true, -1, "a number of statements, or null for no limit",
	 [](WhatIf *w, int q, double v) { Limits(w, q).max_queue_length = static_cast<int32>(v); }},
	{"max_slot_share", Kind::kReal, 1e-6, 1, false, 0, "a fraction over 0 and up to 1",
	 [](WhatIf *w, int q, double v) { Limits(w, q).max_slot_share = static_cast<float>(v); }},
	{"max_slots", Kind::kInteger, 1, 10000, true, 0, "a number from 1 to 10000, or null for automatic",
	 [](WhatIf *w, int q, double v) { Limits(w, q).max_slots = static_cast<int32>(v); }},
	{"memory_share", Kind::kReal, 0, 1, false, 0, "a fraction from 0 to 1",
	 [](WhatIf *w, int q, double v) { Limits(w, q).memory_share = static_cast<float>(v); }},
	{"priority", Kind::kPriority, 0, kNumPriorities - 1, false, 0, "lowest, low, normal, high, highest or critical",
	 [](WhatIf *w, int q, double v) {
		 Limits(w, q).priority = static_cast<Priority>(static_cast<int>(v));
		 w->priority_of_queue[q] = true;
	 }},
	{"queue_timeout", Kind::kMilliseconds, 1, 1e12, true, 0, "an interval, or null for none",
	 [](WhatIf *w, int q, double v) { Limits(w, q).queue_timeout_ms = static_cast<float>(v); }},
	{"slot_share", Kind::kReal, 0, 1, false, 0, "a fraction from 0 to 1",
	 [](WhatIf *w, int q, double v) { Limits(w, q).slot_share = static_cast<float>(v); }},
};

constexpr Option kSettings[] = {
	{"express_floor", Kind::kInteger, -1, 2147483647.0, false, 0, "milliseconds; -1 closes the lane",
	 [](WhatIf *w, int, double v) { w->policy.express_floor_ms = v; }},
	{"max_standstill", Kind::kInteger, 0, 2147483647.0, false, 0, "milliseconds; 0 is none",
	 [](WhatIf *w, int, double v) { w->policy.max_standstill_ms = v; }},
	{"max_wait", Kind::kInteger, 1, 2147483647.0, false, 0, "milliseconds",
	 [](WhatIf *w, int, double v) { w->policy.max_wait_ms = v; }},
	{"not_restartable", Kind::kReal, 0, 1, false, 0, "a part from 0 to 1",
	 [](WhatIf *w, int, double v) { w->not_restartable = v; }},
	{"now_or_later", Kind::kBoolean, 0, 1, false, 0, "true or false",
	 [](WhatIf *w, int, double v) { w->policy.now_or_later = v != 0; }},
	{"oversubscription", Kind::kReal, 0.1, 10, false, 0, "a factor from 0.1 to 10",
	 [](WhatIf *w, int, double v) { w->oversubscription = v; }},
	{"preemption", Kind::kBoolean, 0, 1, false, 0, "true or false",
	 [](WhatIf *w, int, double v) { w->policy.preemption = v != 0; }},
	{"recorded_processors", Kind::kReal, 0.1, 4096, false, 0, "a number of processors",
	 [](WhatIf *w, int, double v) { w->recorded_processors = v; }},
	{"short", Kind::kReal, 1e-3, 1e12, false, 0, "milliseconds",
	 [](WhatIf *w, int, double v) { w->short_ms = v; }},
	{"total_slots", Kind::kInteger, 0, 100000, false, 0, "a number of slots; 0 finds the number itself",
	 [](WhatIf *w, int, double v) { w->policy.total_slots = static_cast<int32>(v); }},
	{"tune_express", Kind::kBoolean, 0, 1, false, 0, "true or false",
	 [](WhatIf *w, int, double v) { w->policy.tune_express = v != 0; }},
};

template <size_t count>
char *NamesOf(const Option (&options)[count])
{
	StringInfoData names;

	initStringInfo(&names);
	for (size_t i = 0; i < count; i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", options[i].name);
	return names.data;
}

template <size_t count>
const Option *Find(const Option (&options)[count], const char *name)
{
	for (const Option &option : options) {
		if (strcmp(option.name, name) == 0)
			return &option;
	}
	return nullptr;
}

char *TextOf(const JsonbValue &value)
{
	return value.type == jbvString ? pnstrdup(value.val.string.val, static_cast<Size>(value.val.string.len)) : nullptr;
}

double IntervalMs(const JsonbValue &value)
{
	const Datum interval =
		DirectFunctionCall3(interval_in, CStringGetDatum(TextOf(value)), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	const Interval *time = DatumGetIntervalP(interval);
	const double days = time->day + time->month * static_cast<double>(DAYS_PER_MONTH);

	return (static_cast<double>(time->time) + days * static_cast<double>(USECS_PER_DAY)) / 1000;
}

/* NaN if it is nothing of the kind. */
double ValueOf(const Option &option, const JsonbValue &value)
{
	if (value.type == jbvNull)
		return option.nullable ? option.unset : NAN;
	if (option.kind == Kind::kBoolean)
		return value.type == jbvBool ? value.val.boolean : NAN;
	if (option.kind == Kind::kPriority) {
		Priority priority;
		return value.type == jbvString && PriorityFromName(TextOf(value), &priority) ? static_cast<int>(priority) : NAN;
	}
	double number = NAN;
	if (value.type == jbvNumeric)
		number = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value.val.numeric)));
	else if (value.type == jbvString && option.kind == Kind::kMilliseconds)
		number = IntervalMs(value);
	if (!(number >= option.least && number <= option.most) || (option.kind == Kind::kInteger && number != std::floor(number)))
		return NAN;
	return number;
}

void Apply(const Option &option, const JsonbValue &value, WhatIf *what_if, int queue)
{
	const double number = ValueOf(option, value);

	if (std::isnan(number))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("invalid value of \"%s\" for wlm.simulate()", option.name),
		                errhint("Give %s.", option.values)));
	option.set(what_if, queue, number);
	what_if->changed = true;
}

/* Calls `each` for every key of an object. */
template <typename Each>
void ForEachKey(JsonbContainer *container, const char *what, Each each)
{
	JsonbValue key, value;
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token = JsonbIteratorNext(&iterator, &key, true);

	if (token != WJB_BEGIN_OBJECT)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("%s of wlm.simulate() must be a JSON object", what),
		                errhint("For example: queues => '{\"default\": {\"max_slots\": 4}}', settings => '{\"preemption\": true}'.")));
	while ((token = JsonbIteratorNext(&iterator, &key, true)) == WJB_KEY) {
		char *name = TextOf(key);
		JsonbIteratorNext(&iterator, &value, true);
		each(name, value);
	}
}

int QueueNamed(const WhatIf &what_if, const char *name)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < what_if.policy.num_queues; i++) {
		const QueueLimits &limits = what_if.policy.queues[i];
		if (!limits.in_use)
			continue;
		if (strcmp(limits.name, name) == 0)
			return i;
		appendStringInfo(&names, "%s\"%s\"", names.len == 0 ? "" : ", ", limits.name);
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
	                errmsg("workload queue \"%s\" does not exist", name),
	                errhint("Queues are %s.", names.data)));
	pg_unreachable();
}

void CheckShares(const WhatIf &what_if)
{
	double guaranteed = 0;

	for (int i = 0; i < what_if.policy.num_queues; i++) {
		const QueueLimits &limits = what_if.policy.queues[i];
		if (!limits.in_use)
			continue;
		guaranteed += static_cast<double>(limits.memory_share);
		if (limits.memory_share > limits.max_memory_share)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			                errmsg("memory_share %g of workload queue \"%s\" exceeds its max_memory_share %g",
			                       static_cast<double>(limits.memory_share), limits.name, static_cast<double>(limits.max_memory_share)),
			                errhint("What is guaranteed can be at most what is allowed.")));
	}
	if (guaranteed > 1.00001)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("guaranteed memory shares of all workload queues exceed the budget"),
		                errdetail("They would add up to %.3f; at most 1 can be guaranteed.", guaranteed),
		                errhint("Lower memory_share of other queues too, or raise max_memory_share instead.")));
}

void UpdateBudget(WhatIf *what_if)
{
	what_if->policy.budget_kb = static_cast<int64>(static_cast<double>(what_if->memory_kb) * what_if->oversubscription);
}

}  // namespace

void PresentConfiguration(WhatIf *what_if)
{
	*what_if = WhatIf{};
	LWLockAcquire(shared->state_lock, LW_SHARED);
	what_if->policy = policy->config();
	LWLockRelease(shared->state_lock);
	what_if->processors = what_if->recorded_processors = static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
	what_if->memory_kb = BudgetKb();
	what_if->oversubscription = setting::oversubscription;
	what_if->fifo_slots = kFifoSlots;
	what_if->not_restartable = kNotRestartable;
	UpdateBudget(what_if);
}

void ApplyQueueChanges(Jsonb *changes, WhatIf *what_if)
{
	ForEachKey(&changes->root, "queues", [what_if](const char *name, const JsonbValue &attributes) {
		const int queue = QueueNamed(*what_if, name);
		if (attributes.type != jbvBinary)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			                errmsg("changes of workload queue \"%s\" must be a JSON object", name),
			                errhint("Attributes are %s.", NamesOf(kQueueOptions))));
		ForEachKey(attributes.val.binary.data, "queues", [what_if, queue](const char *attribute, const JsonbValue &value) {
			const Option *option = Find(kQueueOptions, attribute);
			if (option == nullptr)
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				                errmsg("workload queues have no attribute \"%s\" that can be simulated", attribute),
				                errhint("Attributes are %s. Which queue a statement goes to is what was recorded.",
				                        NamesOf(kQueueOptions))));
			Apply(*option, value, what_if, queue);
		});
	});
	CheckShares(*what_if);
}

void ApplySettings(Jsonb *changes, WhatIf *what_if)
{
	ForEachKey(&changes->root, "settings", [what_if](const char *name, const JsonbValue &value) {
		const Option *option = Find(kSettings, name);
		if (option == nullptr)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			                errmsg("there is no setting \"%s\" that can be simulated", name),
			                errhint("Settings are %s.", NamesOf(kSettings))));
		const bool changed = what_if->changed;
		Apply(*option, value, what_if, 0);
		/* These say how to look at the same configuration. */
		if (strcmp(name, "short") == 0 || strcmp(name, "recorded_processors") == 0)
			what_if->changed = changed;
	});
	UpdateBudget(what_if);
}

void SetMemory(const char *text, WhatIf *what_if)
{
	const char *hint = nullptr;
	int kb;

	if (!parse_int(text, &kb, GUC_UNIT_KB, &hint) || kb < 64)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("invalid memory \"%s\" for wlm.simulate()", text),
		                errhint("Give at least 64kB, with one of the units \"kB\", \"MB\", \"GB\" and \"TB\".")));
	what_if->memory_kb = kb;
	what_if->changed = true;
	UpdateBudget(what_if);
}

}  // namespace wlm
