/*
 * grant_curve.cpp
 *
 * wlm.grant_curve(sql): what memory is believed to be worth for a statement.
 */
#include "pg/sql/learning/grant_curve.hpp"

#include <cmath>

#include "pg/guard.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/plan_text.hpp"
#include "pg/sql/result_rows.hpp"

namespace wlm {

namespace {

/* What admission would count at a level that was not chosen. */
int64_t ReservationAt(const StatementForecast &statement, GrantLevel level)
{
	auto *grant = static_cast<Grant *>(palloc(sizeof(Grant)));
	GrantLimits limits = statement.decision.limits;

	limits.part = CoverageOf(level);
	ComputeGrant(statement.graph, statement.forecast, limits, grant);
	return grant->reservation_kb;
}

}  // namespace

int CurveOf(const StatementForecast &statement, CurveLevel (&levels)[kNumGrantLevels])
{
	const GrantDecision &decision = statement.decision;
	const int count = decision.grant.lacking_kb > 0 ? kNumGrantLevels : 1;

	for (int i = 0; i < count; i++) {
		CurveLevel &level = levels[i];

		level.level = count == 1 ? decision.choice.level : static_cast<GrantLevel>(i);
		level.chosen = count == 1 || level.level == decision.choice.level;
		level.memory_kb = level.chosen ? decision.grant.reservation_kb : ReservationAt(statement, level.level);
		level.time = count == 1 ? statement.forecast.time : decision.curve.time[i];
		level.runs = count == 1 ? 0 : static_cast<double>(decision.curve.runs[i]);
		level.temp_kb = count == 1 ? 0 : static_cast<double>(decision.curve.temp_kb[i]);
		level.slower = count > 1 && decision.curve.slower[i];
	}
	return count;
}

}  // namespace wlm

WLM_FUNCTION(wlm_grant_curve)
{
	char *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	wlm::CurveLevel levels[wlm::kNumGrantLevels];

	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	const wlm::StatementForecast *statement = wlm::ForecastStatement(wlm::PlanText(sql, "grant_curve()"), false);
	const int count = wlm::CurveOf(*statement, levels);

	for (int i = 0; i < count; i++) {
		const wlm::CurveLevel &level = levels[i];
		const bool known = level.time.HasOpinion();
		wlm::RowWriter row;

		row.Text(wlm::GrantLevelName(level.level));
		row.Int8(level.memory_kb);
		row.Number(known ? wlm::QuantityAt(level.time, 0) : std::nan(""));
		row.Number(known ? wlm::QuantityAt(level.time, -wlm::kIntervalZ) : std::nan(""));
		row.Number(known ? wlm::QuantityAt(level.time, wlm::kIntervalZ) : std::nan(""));
		row.Float8(level.runs);
		row.Number(level.temp_kb);
		row.Boolean(level.slower);
		row.Boolean(level.chosen);
		row.Text(level.chosen ? wlm::LevelReasonName(statement->decision.choice.reason) : nullptr);
		row.Emit(set);
	}
	return static_cast<Datum>(0);
}
