/*
 * predict.cpp
 *
 * wlm.predict(sql) and wlm.explain(sql): what is expected of a statement, as
 * rows and as text. Neither runs it. Callable by everyone, with his own
 * privileges.
 */
#include "pg/guard.hpp"

#include <cmath>
#include "pg/sql/result_rows.hpp"

#include <cstring>

#include "core/predict/scalability.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/explain/explain_group.hpp"
#include "pg/sql/forecast.hpp"
#include "pg/sql/learning/grant_curve.hpp"
#include "pg/sql/plan_text.hpp"

namespace wlm {

namespace {

/* What one group of rows is about. */
struct Subject {
	const char *target;
	const char *unit;
	bool fraction;
	int32 plan_node_id;      /* negative: the whole statement */
	const char *operator_name;
	int32 processes = 0;     /* 0: not about a number of processes */
};

/* Median and 95 % interval. */
struct Range {
	double at;
	double low;
	double high;
};

void PutRange(ReturnSetInfo *set, const Subject &subject, const char *expert, double share, const Range &range)
{
	RowWriter row;

	row.Text(subject.target);
	if (subject.plan_node_id < 0)
		row.Null();
	else
		row.Int4(subject.plan_node_id);
	row.Text(subject.operator_name);
	if (subject.processes == 0)
		row.Null();
	else
		row.Int4(subject.processes);
	row.Text(expert);
	row.Number(share);
	row.Float8(range.at);
	row.Float8(range.low);
	row.Float8(range.high);
	row.Text(subject.unit);
	row.Emit(set);
}

void PutRow(ReturnSetInfo *set, const Subject &subject, const char *expert, double share, const Estimate &estimate)
{
	double (*const at)(const Estimate &, double) = subject.fraction ? FractionAt : QuantityAt;

	if (estimate.HasOpinion())
		PutRange(set, subject, expert, share,
		         {at(estimate, 0), at(estimate, -kIntervalZ), at(estimate, kIntervalZ)});
}

/* The mixture first, then each expert that has an opinion; shares may be null: not recorded for this target. */
void PutSubject(ReturnSetInfo *set, const Subject &subject, const Estimate &mixture,
                const Estimate *const answers[kNumExperts], const float *shares)
{
	PutRow(set, subject, "mixture", 1.0, mixture);
	for (int expert = 0; expert < kNumExperts; expert++)
		PutRow(set, subject, kExperts[expert].name, shares != nullptr ? static_cast<double>(shares[expert]) : NAN,
		       *answers[expert]);
}

/* Time with several processes relative to one. */
void PutScalability(ReturnSetInfo *set, const Estimate &parallel_fraction)
{
	if (!parallel_fraction.HasOpinion())
		return;
	for (const int processes : kShownProcesses) {
		const RelativeTime time =
			RelativeTimeWith(parallel_fraction, static_cast<float>(processes), static_cast<float>(kIntervalZ));

		PutRange(set, {"relative_time", "ratio", false, -1, nullptr, processes}, "mixture", 1.0,
		         {time.at, time.low, time.high});
	}
}

/* What an operator needs to stay in memory, and what it writes to temporary files if it is not given that. */
void PutOperator(ReturnSetInfo *set, const StatementForecast &statement, int slot)
{
	const Forecast &forecast = statement.forecast;
	const PlanNode &node = statement.graph.nodes[statement.graph.memory_node[slot]];
	const Estimate *answers[kNumExperts];

	for (int i = 0; i < kNumExperts; i++)
		answers[i] = &forecast.answers[i].memory[slot];
	PutSubject(set, {"operator_memory", "kB", false, node.plan_node_id, NodeName(node)}, forecast.memory[slot], answers,
	           forecast.memory_share);
	for (int i = 0; i < kNumExperts; i++)
		answers[i] = &forecast.answers[i].temp[slot];
	PutSubject(set, {"operator_temp", "kB", false, node.plan_node_id, NodeName(node)}, forecast.temp[slot], answers,
	           nullptr);
}

void PutForecast(ReturnSetInfo *set, const StatementForecast &statement)
{
	const Forecast &forecast = statement.forecast;
	const Estimate *answers[kNumExperts];

	for (int i = 0; i < kNumExperts; i++)
		answers[i] = &forecast.answers[i].time;
	PutSubject(set, {"time", "ms", false, -1, nullptr}, forecast.time, answers, forecast.time_share);
	for (int i = 0; i < kNumExperts; i++)
		answers[i] = &forecast.answers[i].parallel_fraction;
	PutSubject(set, {"parallel_fraction", "fraction", true, -1, nullptr}, forecast.parallel_fraction, answers,
	           nullptr);
	PutScalability(set, forecast.parallel_fraction);
	for (int i = 0; i < kNumExperts; i++)
		answers[i] = &forecast.answers[i].query_memory;
	PutSubject(set, {"query_memory", "kB", false, -1, nullptr}, forecast.query_memory, answers, forecast.memory_share);
	for (int slot = 0; slot < forecast.num_memory_nodes; slot++)
		PutOperator(set, statement, slot);
}

/* One row of text per line. */
void PutLines(ReturnSetInfo *set, char *text)
{
	for (char *line = text; line != nullptr && *line != '\0';) {
		char *end = strchr(line, '\n');
		RowWriter row;

		if (end != nullptr)
			*end++ = '\0';
		row.Text(line);
		row.Emit(set);
		line = end;
	}
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_predict)
{
	char *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));

	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	PlannedStmt *statement = wlm::PlanText(sql, "predict()");
	const wlm::StatementForecast *forecast = wlm::ForecastStatement(statement, true);

	if (!forecast->forecast.has_opinion)
		ereport(NOTICE, (errmsg("no expert has an opinion on this plan"),
		                 forecast->graph.overflow ? errdetail("The plan is too large.") : 0));
	else
		wlm::PutForecast(set, *forecast);
	return static_cast<Datum>(0);
}

WLM_FUNCTION(wlm_explain)
{
	char *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));

	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginValues(fcinfo);
	PlannedStmt *statement = wlm::PlanText(sql, "explain()");
	const wlm::StatementForecast *forecast = wlm::ForecastStatement(statement, false);
	ExplainState *es = NewExplainState();

	es->costs = true;
	wlm::ExplainForecast(es, *forecast);
	wlm::WriteCurveText(es, *forecast);
	if (!forecast->managed)
		appendStringInfo(es->str, "  Not managed: %s\n", forecast->unmanaged_reason);
	wlm::PutLines(set, es->str->data);
	return static_cast<Datum>(0);
}
