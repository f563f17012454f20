/*
 * forecast.cpp
 *
 * The lane follows the policy's rule with what is known before arrival; only
 * how busy the server is at that moment can make it differ.
 */
#include "pg/sql/forecast.hpp"

#include <cmath>

#include "pg/models/published_models.hpp"
#include "pg/plan/read_plan.hpp"
#include "pg/query/classify.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

/* A short query that wants more of the budget than this is not short (ALGORITHMS.md, section 6). */
constexpr double kExpressQueryShare = 0.02;

/* Keeps exp() of a wild estimate printable. */
double Bounded(double logarithm)
{
	if (std::isnan(logarithm))
		return 0;
	return std::exp(std::fmin(std::fmax(logarithm, -40.0), 60.0));
}

const char *UnmanagedReason(const StatementForecast &statement, double cost)
{
	if (setting::mode == static_cast<int>(Mode::kOff))
		return "wlm.mode is \"off\"";
	if (setting::bypass)
		return "wlm.bypass is on";
	if (cost < setting::min_cost)
		return "its cost is below wlm.min_cost";
	if (statement.graph.touches_only_catalogs)
		return "it reads system catalogs only";
	return nullptr;
}

Lane ForecastLane(const StatementForecast &statement)
{
	const bool paused = LocalWorkload().limits[statement.queue].intake == Intake::kPaused;
	const bool superuser_lane = WantsSuperuserLane() && policy->num_superusers() < policy->config().superuser_slots;
	const Lane otherwise = superuser_lane ? Lane::kSuperuser : Lane::kNormal;
	const double cutoff_ms = ExpressCutoffMs();
	const double upper_ms = QuantityAt(statement.forecast.time, static_cast<double>(kLaneZ));
	const double budget_kb = static_cast<double>(BudgetKb()) * setting::oversubscription;

	if (paused || !statement.forecast.has_opinion || !statement.forecast.time.HasOpinion() || setting::express_floor_ms < 0)
		return otherwise;
	if (upper_ms > cutoff_ms)
		return otherwise;
	const bool small = static_cast<double>(statement.decision.grant.reservation_kb) <= budget_kb * kExpressQueryShare;
	return small ? Lane::kExpress : otherwise;
}

}  // namespace

const char *LaneName(Lane lane)
{
	switch (lane) {
	case Lane::kExpress:
		return "express";
	case Lane::kMaintenance:
		return "maintenance";
	case Lane::kSuperuser:
		return "superuser";
	case Lane::kNormal:
		break;
	}
	return "normal";
}

double QuantityAt(const Estimate &estimate, double z)
{
	return Bounded(static_cast<double>(estimate.LogAt(static_cast<float>(z))));
}

double FractionAt(const Estimate &estimate, double z)
{
	const double odds = QuantityAt(estimate, z);

	return odds / (1 + odds);
}

double StatementCost(const PlannedStmt *statement)
{
	return statement->planTree != nullptr ? statement->planTree->total_cost : 0;
}

bool WouldBeManaged(const PlannedStmt *statement)
{
	return shared != nullptr && statement->commandType != CMD_UTILITY && statement->planTree != nullptr &&
		setting::mode != static_cast<int>(Mode::kOff) && !setting::bypass &&
		StatementCost(statement) >= setting::min_cost;
}

StatementForecast *ForecastStatement(PlannedStmt *statement, bool ask_everybody)
{
	auto *result = static_cast<StatementForecast *>(palloc0(sizeof(StatementForecast)));

	ReadPlan(statement, &result->graph);
	result->context = SessionPlanContext();
	result->context.ask_everybody = ask_everybody;
	{
		const ModelsInUse models;
		Predict(models.view(), result->graph, result->context, &result->forecast);
	}

	result->queue = RouteQuery(&result->graph, &result->forecast);
	result->priority = QueryPriority(result->queue);
	strlcpy(result->queue_name, LocalWorkload().limits[result->queue].name, sizeof result->queue_name);
	/* as in an execution that nobody watches */
	DecideGrant(statement, result->graph, result->forecast, result->queue, true, &result->decision);
	result->lane = ForecastLane(*result);
	result->unmanaged_reason = UnmanagedReason(*result, StatementCost(statement));
	result->managed = result->unmanaged_reason == nullptr;
	return result;
}

}  // namespace wlm
