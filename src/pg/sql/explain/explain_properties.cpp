/*
 * explain_properties.cpp
 *
 * The "Workload Manager" group for programs: JSON, XML and YAML.
 */
#include "pg/sql/explain/explain_parts.hpp"

namespace wlm {

namespace {

/* "Name", "Name Low" and "Name High"; nothing without an opinion. */
void Interval95(ExplainState *es, const char *name, const char *unit, int digits, const Estimate &estimate,
                bool fraction)
{
	double (*const at)(const Estimate &, double) = fraction ? FractionAt : QuantityAt;

	if (!estimate.HasOpinion())
		return;
	ExplainPropertyFloat(name, unit, at(estimate, 0), digits, es);
	ExplainPropertyFloat(psprintf("%s Low", name), unit, at(estimate, -kIntervalZ), digits, es);
	ExplainPropertyFloat(psprintf("%s High", name), unit, at(estimate, kIntervalZ), digits, es);
}

void WriteExperts(ExplainState *es, const StatementForecast &statement)
{
	ExplainOpenGroup("Experts", "Experts", false, es);
	for (int expert = 0; expert < kNumExperts; expert++) {
		const ExpertAnswer &answer = statement.forecast.answers[expert];

		ExplainOpenGroup("Expert", nullptr, true, es);
		ExplainPropertyText("Name", kExperts[expert].name, es);
		ExplainPropertyFloat("Time Share", nullptr, static_cast<double>(statement.forecast.time_share[expert]), 3, es);
		ExplainPropertyFloat("Memory Share", nullptr, static_cast<double>(statement.forecast.memory_share[expert]), 3,
		                     es);
		Interval95(es, "Time", "ms", 3, answer.time, false);
		Interval95(es, "Memory", "kB", 0, answer.query_memory, false);
		ExplainCloseGroup("Expert", nullptr, true, es);
	}
	ExplainCloseGroup("Experts", "Experts", false, es);
}

void WriteObserved(ExplainState *es, const OperatorGrant &grant, const ExplainedRun &run, const OperatorExperience &seen)
{
	ExplainPropertyFloat("Grown To", "kB", GrownTo(run, grant, seen), 0, es);
	ExplainPropertyFloat("Used", "kB", static_cast<double>(seen.peak_kb), 0, es);
	ExplainPropertyBool("Spilled", (seen.flags & kSpilled) != 0, es);
	ExplainPropertyFloat("Temporary", "kB", static_cast<double>(seen.temp_kb), 0, es);
}

void WriteOperators(ExplainState *es, const StatementForecast &statement, const ExplainedRun *run)
{
	const Grant &granted = statement.decision.grant;

	ExplainOpenGroup("Operators", "Operators", false, es);
	for (int i = 0; i < granted.num_operators; i++) {
		const OperatorGrant &grant = granted.operators[i];
		const OperatorExperience *seen = ObservedOperator(run, grant.plan_node_id);

		ExplainOpenGroup("Operator", nullptr, true, es);
		ExplainPropertyText("Node", NodeName(NodeOfSlot(statement, grant.memory_slot)), es);
		ExplainPropertyInteger("Plan Node Id", nullptr, grant.plan_node_id, es);
		Interval95(es, "Need", "kB", 0, statement.forecast.memory[grant.memory_slot], false);
		if (grant.need_kb > 0)
			ExplainPropertyFloat("Need Quantile", "kB", static_cast<double>(grant.need_kb), 0, es);
		ExplainPropertyFloat("Work Mem", "kB", static_cast<double>(grant.work_mem_kb), 0, es);
		ExplainPropertyFloat("Granted", "kB", static_cast<double>(grant.limit_kb), 0, es);
		ExplainPropertyFloat("Processes", nullptr, static_cast<double>(grant.processes), 0, es);
		if (seen != nullptr)
			WriteObserved(es, grant, *run, *seen);
		ExplainOpenGroup("Experts", "Experts", false, es);
		for (int expert = 0; expert < kNumExperts; expert++) {
			ExplainOpenGroup("Expert", nullptr, true, es);
			ExplainPropertyText("Name", kExperts[expert].name, es);
			Interval95(es, "Need", "kB", 0, statement.forecast.answers[expert].memory[grant.memory_slot], false);
			ExplainCloseGroup("Expert", nullptr, true, es);
		}
		ExplainCloseGroup("Experts", "Experts", false, es);
		ExplainCloseGroup("Operator", nullptr, true, es);
	}
	ExplainCloseGroup("Operators", "Operators", false, es);
}

void WriteScalability(ExplainState *es, const Estimate &parallel_fraction)
{
	ExplainOpenGroup("Scalability", "Scalability", false, es);
	for (const int processes : kShownProcesses) {
		const RelativeTime time = RelativeTime95(parallel_fraction, processes);

		ExplainOpenGroup("Relative Time", nullptr, true, es);
		ExplainPropertyInteger("Processes", nullptr, processes, es);
		ExplainPropertyFloat("Relative Time", nullptr, time.at, 3, es);
		ExplainPropertyFloat("Relative Time Low", nullptr, time.low, 3, es);
		ExplainPropertyFloat("Relative Time High", nullptr, time.high, 3, es);
		ExplainCloseGroup("Relative Time", nullptr, true, es);
	}
	ExplainCloseGroup("Scalability", "Scalability", false, es);
}

/* How much, and why. */
void WriteGrant(ExplainState *es, const StatementForecast &statement, const ExplainedRun *run)
{
	const GrantDecision &decision = statement.decision;
	const Grant &grant = decision.grant;

	ExplainPropertyInteger("Memory Reservation", "kB", grant.reservation_kb, es);
	ExplainPropertyInteger("Work Mem Granted", "kB", grant.work_mem_kb, es);
	ExplainPropertyBool("Work Mem Raised", grant.raises && grant.work_mem_kb > work_mem, es);
	ExplainPropertyText("Grant Level", GrantLevelName(decision.choice.level), es);
	ExplainPropertyText("Grant Reason", LevelReasonName(decision.choice.reason), es);
	ExplainPropertyFloat("Memory Lacking", "kB", static_cast<double>(grant.lacking_kb), 0, es);
	ExplainPropertyFloat("Memory Coverage", nullptr, static_cast<double>(grant.coverage), 3, es);
	if (statement.graph.planned_workers > 0) {
		ExplainPropertyFloat("Workers Planned", nullptr, static_cast<double>(statement.graph.planned_workers), 0, es);
		ExplainPropertyInteger("Workers Granted", nullptr, WorkersGranted(statement, run), es);
		ExplainPropertyText("Workers Reason", WorkerReasonName(decision.workers.reason), es);
	}
}

void WriteRun(ExplainState *es, const ExplainedRun &run)
{
	ExplainPropertyBool("Applied", run.experience.applied, es);
	ExplainPropertyFloat("Queue Time", "ms", static_cast<double>(run.experience.queue_ms), 3, es);
	if (run.experience.query_memory_kb > 0)
		ExplainPropertyFloat("Used Memory", "kB", static_cast<double>(run.experience.query_memory_kb), 0, es);
}

}  // namespace

void WriteExplainProperties(ExplainState *es, const StatementForecast &statement, const ExplainedRun *run)
{
	const Forecast &forecast = statement.forecast;

	ExplainOpenGroup(kExplainGroup, kExplainGroup, true, es);
	ExplainPropertyText("Mode", ModeName(), es);
	ExplainPropertyText("Queue", statement.queue_name, es);
	ExplainPropertyText("Priority", PriorityName(statement.priority), es);
	ExplainPropertyText("Lane", LaneName(statement.lane), es);
	if (forecast.has_opinion) {
		Interval95(es, "Predicted Time", "ms", 3, forecast.time, false);
		Interval95(es, "Predicted Memory", "kB", 0, forecast.query_memory, false);
		Interval95(es, "Parallel Fraction", nullptr, 3, forecast.parallel_fraction, true);
	}
	WriteGrant(es, statement, run);
	if (run != nullptr)
		WriteRun(es, *run);
	ExplainPropertyInteger("Template", nullptr, static_cast<int64>(statement.graph.template_fingerprint), es);
	ExplainPropertyInteger("Fingerprint", nullptr, static_cast<int64>(statement.graph.plan_fingerprint), es);
	ExplainPropertyInteger("Model Version", nullptr, forecast.model_version, es);
	if (ShowsScalability(statement))
		WriteScalability(es, forecast.parallel_fraction);
	if (forecast.has_opinion) {
		WriteExperts(es, statement);
		WriteOperators(es, statement, run);
	}
	ExplainCloseGroup(kExplainGroup, kExplainGroup, true, es);
}

}  // namespace wlm
