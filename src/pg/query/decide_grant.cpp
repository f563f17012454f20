/*
 * decide_grant.cpp
 *
 * Collects what core/grant needs to decide from settings and shared memory. What is read of the policy is read
 * without its lock: single words, which may be a moment old.
 */
#include "pg/query/decide_grant.hpp"

#include <algorithm>

#include "pg/query/classify.hpp"
#include "pg/plan/plan_memory.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

/* Memory is scarce while less than this part of the budget is free, or not twice what the query lacks. */
constexpr double kScarcePart = 0.25;

/* Of what a sort is predicted to need, while memory is not scarce: predictions are wrong by such factors. */
constexpr float kCeiling = 4;

bool IsScarce(float lacking_kb)
{
	const double free_kb = static_cast<double>(policy->free_kb());
	return free_kb < kScarcePart * static_cast<double>(policy->config().budget_kb) || free_kb < 2.0 * static_cast<double>(lacking_kb);
}

/* What all operators are expected to take, whether or not at the same time: what the guard compares with. */
float TotalKb(const Grant &grant)
{
	float total = 0;
	for (int i = 0; i < grant.num_operators; i++)
		total += grant.operators[i].expected_kb * grant.operators[i].processes;
	return total;
}

int LargestGather(const PlanGraph &graph)
{
	int workers = 0;
	for (int i = 0; i < graph.num_nodes; i++)
		workers = std::max<int>(workers, graph.nodes[i].workers);
	return workers;
}

WorkerChoice DecideWorkers(const PlanGraph &graph, const Forecast &forecast, const GrantOutcomes *outcomes)
{
	const int planned = LargestGather(graph);
	const ParallelLoad load = {policy->config().processors, policy->num_active() - policy->num_queued(),
	                           static_cast<float>(pg_atomic_read_u32(&shared->saturation_permille)) / 1000.0f};

	if (!setting::reduce_workers || planned == 0)
		return {planned, WorkerReason::kAsPlanned};
	return ChooseWorkers(forecast, planned, load, outcomes);
}

/* What the template keeps, unless it fits the session's own limits: then there is no grant to keep. */
void ApplyGuard(const PlanGraph &graph, const Forecast &forecast, const GrantGuard &guard, GrantDecision *decision)
{
	GrantLimits &limits = decision->limits;
	const double need_factor = limits.need_factor;
	const float factor = GuardFactor(guard, TotalKb(decision->grant));

	if (!(factor > 1))
		return;
	limits.need_factor = need_factor * static_cast<double>(factor);
	ComputeGrant(graph, forecast, limits, &decision->grant);
	if (decision->grant.lacking_kb > 0)
		return;
	limits.need_factor = need_factor;
	ComputeGrant(graph, forecast, limits, &decision->grant);
}

}  // namespace

void DecideGrant(const PlannedStmt *statement, const PlanGraph &graph, const Forecast &forecast, int queue, bool may_release,
                 GrantDecision *decision)
{
	GrantLimits &limits = decision->limits;

	FillGrantLimits(queue, &limits);
	/* a plan made for more memory relies on it, but what its user has SET since then wins (HAZARDS G6) */
	if (limits.may_raise)
		limits.session_work_mem_kb = std::max<int64>(limits.session_work_mem_kb, static_cast<int64>(PlannedFor(statement)));
	limits.may_release = may_release && limits.per_operator;
	limits.ceiling = limits.per_operator && !IsScarce(0) ? kCeiling : 1;
	if (!forecast.has_opinion || !grant_outcomes->Find(graph.template_fingerprint, &decision->outcomes))
		decision->outcomes.template_fingerprint = 0;
	const GrantOutcomes *outcomes = decision->outcomes.template_fingerprint != 0 ? &decision->outcomes : nullptr;

	decision->workers = DecideWorkers(graph, forecast, outcomes);
	if (decision->workers.reason == WorkerReason::kScalability || decision->workers.reason == WorkerReason::kLoad)
		limits.most_workers = decision->workers.workers;
	ComputeGrant(graph, forecast, limits, &decision->grant);
	if (outcomes != nullptr)
		ApplyGuard(graph, forecast, outcomes->guard, decision);

	PredictCurve(outcomes, graph, forecast, decision->grant, &decision->curve);
	decision->choice = ChooseLevel(decision->curve, outcomes, decision->grant.lacking_kb, setting::explore_rate,
	                               IsScarce(decision->grant.lacking_kb));
	if (decision->choice.part < 1) {
		limits.part = decision->choice.part;
		ComputeGrant(graph, forecast, limits, &decision->grant);
	}
}

void ShrinkGrant(const PlanGraph &graph, const Forecast &forecast, int64 max_query_kb, GrantDecision *decision)
{
	decision->limits.max_query_kb = max_query_kb;
	ComputeGrant(graph, forecast, decision->limits, &decision->grant);
}

}  // namespace wlm
