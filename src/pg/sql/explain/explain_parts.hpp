/*
 * explain_parts.hpp
 *
 * What the text and the structured form of the "Workload Manager" group share.
 * Not for others.
 */
#pragma once

#include "core/decide/workload.hpp"
#include "core/predict/scalability.hpp"
#include "pg/settings.hpp"
#include "pg/sql/explain/explain_group.hpp"

namespace wlm {

inline constexpr char kExplainGroup[] = "Workload Manager";

inline const char *ModeName()
{
	switch (static_cast<Mode>(setting::mode)) {
	case Mode::kAuto:
		return "auto";
	case Mode::kObserve:
		return "observe";
	default:
		return "off";
	}
}

inline const PlanNode &NodeOfSlot(const StatementForecast &statement, int slot)
{
	return statement.graph.nodes[statement.graph.memory_node[slot]];
}

/* How a plan without parallel parts would scale is nobody's question. */
inline bool ShowsScalability(const StatementForecast &statement)
{
	return statement.forecast.has_opinion && statement.forecast.parallel_fraction.HasOpinion() &&
		statement.graph.planned_workers > 0;
}

inline RelativeTime RelativeTime95(const Estimate &parallel_fraction, int processes)
{
	return RelativeTimeWith(parallel_fraction, static_cast<float>(processes), static_cast<float>(kIntervalZ));
}

/* What was observed of an operator; null if nothing ran or nothing was seen of it. */
inline const OperatorExperience *ObservedOperator(const ExplainedRun *run, int32 plan_node_id)
{
	if (run == nullptr)
		return nullptr;
	for (int i = 0; i < run->experience.num_operators; i++) {
		const OperatorExperience &seen = run->experience.operators[i];

		if (seen.plan_node_id == plan_node_id && (seen.flags & kObserved) != 0)
			return &seen;
	}
	return nullptr;
}

/* Summed over Gathers, like those planned: each may have at most as many as were chosen for the largest. */
inline int WorkersGranted(const StatementForecast &statement, const ExplainedRun *run)
{
	int workers = 0;

	if (run != nullptr)
		return run->experience.workers_granted;
	for (int i = 0; i < statement.graph.num_nodes; i++) {
		const int planned = statement.graph.nodes[i].workers;
		workers += planned < statement.decision.workers.workers ? planned : statement.decision.workers.workers;
	}
	return workers;
}

/* Limit at the end, of one process. In mode observe nothing was granted, so nothing grew either. */
inline double GrownTo(const ExplainedRun &run, const OperatorGrant &granted, const OperatorExperience &seen)
{
	if (!run.experience.applied)
		return static_cast<double>(seen.granted_kb);
	return static_cast<double>(seen.grown_kb > granted.limit_kb ? seen.grown_kb : granted.limit_kb);
}

void WriteExplainText(ExplainState *es, const StatementForecast &statement, const ExplainedRun *run);
void WriteExplainProperties(ExplainState *es, const StatementForecast &statement, const ExplainedRun *run);

}  // namespace wlm
