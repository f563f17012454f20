/*
 * routing.cpp
 *
 * wlm.classify(sql): every queue in the order in which routing tries them, with
 * the first condition that the statement fails. Callable by everybody, with his
 * own privileges; does not run the statement. What the conditions are is only for
 * those who may see what others do.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include <cstring>

extern "C" {
#include "miscadmin.h"
}

#include "pg/query/classify.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/forecast.hpp"
#include "pg/sql/plan_text.hpp"
#include "pg/sql/sentence.hpp"

namespace wlm {

namespace {

constexpr const char *kCommandNames[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "statement that writes in WITH"};

enum class Unit { kMilliseconds, kKilobytes, kNone };

struct UnitName {
	const char *name;
	double size;
};

constexpr UnitName kTimeUnits[] = {{"ms", 1}, {"s", 1e3}, {"min", 60e3}, {"h", 3600e3}};
constexpr UnitName kMemoryUnits[] = {{"kB", 1}, {"MB", 1024}, {"GB", 1024 * 1024}, {"TB", 1024 * 1024 * 1024}};

/* As people write them: 3 ms, 1.5 s, 20 min, 64 MB. */
template <int num_units>
char *InLargestUnit(double value, const UnitName (&units)[num_units])
{
	int unit = 0;
	while (unit < num_units - 1 && value >= units[unit + 1].size)
		unit++;
	return psprintf("%.4g %s", value / units[unit].size, units[unit].name);
}

char *WithUnit(double value, Unit unit)
{
	if (unit == Unit::kMilliseconds)
		return InLargestUnit(value, kTimeUnits);
	return unit == Unit::kKilobytes ? InLargestUnit(value, kMemoryUnits) : psprintf("%.6g", value);
}

char *RangeReason(const char *what, const PredictedRange &range, double value, Unit unit)
{
	if (!(value >= 0))
		return psprintf("%s is not known", what);
	if (value < static_cast<double>(range.low))
		return psprintf("%s %s is not at least %s", what, WithUnit(value, unit),
		                WithUnit(static_cast<double>(range.low), unit));
	return psprintf("%s %s is not below %s", what, WithUnit(value, unit), WithUnit(static_cast<double>(range.high), unit));
}

char *ClientReason()
{
	/* its text, as pg_stat_activity has it; null for a Unix socket */
	LOCAL_FCINFO(call, 0);
	InitFunctionCallInfoData(*call, nullptr, 0, InvalidOid, nullptr, nullptr);
	const Datum address = inet_client_addr(call);

	if (call->isnull)
		return pstrdup("the client is local");
	return psprintf("client address %s is in none of its networks",
	                TextDatumGetCString(DirectFunctionCall1(network_host, address)));
}

/* Why queue i does not take the statement, for those who may know its conditions. Names no other roles. */
const char *ConditionText(const Workload &workload, int queue, const QueryAttributes &attributes, Mismatch mismatch)
{
	const QueueConditions &wanted = workload.conditions[queue];

	switch (mismatch) {
	case Mismatch::kNone:
	case Mismatch::kDraining:
		return nullptr;
	case Mismatch::kQueryGroup:
		return psprintf("wlm.query_group is \"%s\", not \"%s\"", attributes.query_group, wanted.query_group);
	case Mismatch::kDatabase:
		return psprintf("database \"%s\" is not among its databases", attributes.database);
	case Mismatch::kApplicationName:
		return psprintf("application_name \"%s\" does not match \"%s\"", attributes.application_name, wanted.application_name);
	case Mismatch::kClientAddress:
		return ClientReason();
	case Mismatch::kCommand:
		return psprintf("it does not take a %s", kCommandNames[static_cast<int>(attributes.command)]);
	case Mismatch::kTime:
		return RangeReason("predicted time", wanted.time_ms, static_cast<double>(attributes.time_ms), Unit::kMilliseconds);
	case Mismatch::kMemory:
		return RangeReason("predicted memory", wanted.memory_kb, static_cast<double>(attributes.memory_kb), Unit::kKilobytes);
	case Mismatch::kCost:
		return RangeReason("cost", wanted.cost, static_cast<double>(attributes.cost), Unit::kNone);
	case Mismatch::kRole:
		return psprintf("user \"%s\" is not a member of its roles", GetUserNameFromId(GetUserId(), false));
	}
	return nullptr;
}

/* Why queue i takes the statement, or does not. */
const char *ReasonText(const Workload &workload, int queue, const QueryAttributes &attributes, Mismatch mismatch, bool sees_conditions)
{
	if (mismatch == Mismatch::kNone) {
		const char *reason = queue == 0 ? "it takes what no other queue takes" : "all its conditions hold";
		return workload.limits[queue].intake == Intake::kPaused ? psprintf("%s; it is paused", reason) : reason;
	}
	if (mismatch == Mismatch::kDraining)
		return "it is draining";
	return sees_conditions ? ConditionText(workload, queue, attributes, mismatch) : "a condition does not hold";
}

/* From a copy of the workload, because the original may be renewed between two rows. */
void PutQueues(ReturnSetInfo *set, const StatementForecast &statement)
{
	QueryAttributes attributes = AttributesOf(&statement.graph, &statement.forecast);
	Workload *copy = static_cast<Workload *>(palloc(sizeof(Workload)));
	memcpy(copy, &LocalWorkload(), sizeof *copy);
	attributes.context = copy;
	const Workload &workload = *copy;
	const int taken = Route(workload, attributes);
	const bool sees_conditions = MaySeeAll();

	for (int position = 0; position <= workload.num_ordered; position++) {
		const int queue = position < workload.num_ordered ? workload.order[position] : 0;
		const Mismatch mismatch = Meets(workload, queue, attributes);
		const bool chosen = queue == taken;
		RowWriter row;

		row.Int4(position + 1);
		row.Name(workload.limits[queue].name);
		row.Boolean(mismatch == Mismatch::kNone);
		row.Text(ReasonText(workload, queue, attributes, mismatch, sees_conditions));
		row.Boolean(chosen);
		row.Text(PriorityName(QueryPriority(queue)));
		row.Text(chosen && statement.managed ? LaneName(statement.lane) : nullptr);
		row.Emit(set);
	}
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_classify)
{
	char *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));

	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	PlannedStmt *statement = wlm::PlanText(sql, "classify()");
	const wlm::StatementForecast *forecast = wlm::ForecastStatement(statement, false);

	if (!forecast->managed)
		ereport(NOTICE, (errmsg("the statement would not be managed"),
		                 errdetail_internal("%s", wlm::AsSentence(forecast->unmanaged_reason))));
	wlm::PutQueues(set, *forecast);
	return static_cast<Datum>(0);
}
