/*
 * record.cpp
 *
 * Plain copying between the structs that cross the wall.
 */
#include "pg/query/record.hpp"

#include <algorithm>
#include <cmath>

extern "C" {
#include "nodes/plannodes.h"
#include "utils/memutils.h"
}

#include "core/learn/learner.hpp"
#include "pg/plan/plan_memory.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace {

void RecordOperators(ManagedQuery *query, const PlanGraph &graph, const Forecast &forecast)
{
	Experience &experience = query->experience;

	experience.num_operators = forecast.num_memory_nodes;
	for (int16_t slot = 0; slot < forecast.num_memory_nodes; slot++) {
		const int16_t index = graph.memory_node[slot];
		const PlanNode &node = graph.nodes[index];
		OperatorExperience &recorded = experience.operators[slot];

		recorded.plan_node_id = node.plan_node_id;
		recorded.memory_slot = slot;
		recorded.kind = node.kind;
		recorded.memory = node.memory;
		recorded.flags = 0;
		recorded.processes = 0;
		recorded.estimated_rows = node.rows;
		recorded.actual_rows = -1;
		recorded.peak_kb = recorded.needed_kb = recorded.temp_kb = 0;
		recorded.formula_kb = static_cast<float>(FormulaMemoryKb(graph, index));
		recorded.granted_kb = recorded.grown_kb = 0;
	}
}

/* Folded partitions keep their ids, so what is observed of any member finds its slot. */
void RecordSlots(ManagedQuery *query, const PlanGraph &graph)
{
	query->max_plan_node_id = graph.overflow ? -1 : graph.max_plan_node_id;
	for (int id = 0; id <= query->max_plan_node_id; id++) {
		const int16_t index = graph.node_of_plan_id[id];
		const int16_t slot = index == kNoNode ? kNoNode : graph.nodes[index].memory_slot;
		query->slot_of_plan_id[id] = slot == kNoNode ? kNoSlot : static_cast<uint8>(slot);
	}
}

}  // namespace

void RecordPrediction(ManagedQuery *query, const PlanGraph &graph, const Forecast &forecast, int queue, Priority priority)
{
	Experience &experience = query->experience;
	const PlannedStmt *statement = query->query_desc->plannedstmt;

	experience.template_fingerprint = graph.template_fingerprint;
	experience.plan_fingerprint = graph.plan_fingerprint;
	experience.query_id = statement->queryId;
	experience.finished_at = 0;
	experience.temp_bytes = 0;
	experience.database_oid = MyDatabaseId;
	experience.role_oid = GetUserId();
	experience.pid = MyProcPid;
	experience.queue = static_cast<int16_t>(queue);
	experience.priority = static_cast<uint8_t>(priority);
	experience.lane = 0;
	experience.forced = experience.evicted = experience.censored = false;
	experience.applied = query->applied;
	experience.final_state = FinalState::kFailed; /* until it ends otherwise */
	experience.command = graph.command;
	experience.workers_planned = static_cast<int16_t>(std::clamp(graph.planned_workers, 0.0f, 1024.0f));
	experience.workers_launched = 0;
	experience.workers_granted = experience.workers_planned;
	experience.worker_reason = experience.grant_level = experience.level_reason = 0;
	experience.config_generation = pg_atomic_read_u32(&shared->workload_generation);
	experience.total_cost = static_cast<float>(statement->planTree->total_cost);
	experience.estimated_rows = static_cast<float>(statement->planTree->plan_rows);
	experience.returned_rows = -1;
	experience.queue_ms = experience.time_ms = experience.wasted_ms = 0;
	experience.num_preempted = 0;
	experience.load_beside = -1;
	experience.session_work_mem_kb = static_cast<float>(query->session_work_mem_kb);
	experience.plan_work_mem_kb = 0;
	experience.granted_work_mem_kb = experience.reserved_kb = 0;
	experience.lacking_kb = experience.coverage = 0;
	experience.query_memory_kb = 0;
	experience.num_operators = 0;
	if (!forecast.has_opinion) {
		CopyForecast(graph, forecast, &experience);
		query->max_plan_node_id = -1;
		return;
	}
	RecordOperators(query, graph, forecast);
	CopyForecast(graph, forecast, &experience); /* of the operators recorded above too */
	RecordSlots(query, graph);
}

void RecordGrant(ManagedQuery *query, const GrantDecision &decision)
{
	Experience &experience = query->experience;
	const Grant &grant = query->grant;
	const float session = static_cast<float>(query->session_work_mem_kb);
	float largest = query->applied ? static_cast<float>(grant.work_mem_kb) : session;

	for (int i = 0; i < grant.num_operators && i < experience.num_operators; i++) {
		const OperatorGrant &granted = grant.operators[i];
		OperatorExperience &recorded = experience.operators[granted.memory_slot];
		const float in_force = query->applied ? granted.work_mem_kb : session;

		/* the multiplier, and the pooling, are in the limit */
		recorded.granted_kb = granted.work_mem_kb > 0 ? granted.limit_kb * (in_force / granted.work_mem_kb) : 0;
		recorded.grown_kb = recorded.granted_kb;
		largest = std::max(largest, in_force);
	}
	experience.granted_work_mem_kb = largest;
	experience.plan_work_mem_kb = PlannedFor(query->query_desc->plannedstmt);
	experience.lacking_kb = grant.lacking_kb;
	experience.coverage = query->applied ? grant.coverage : 0;
	experience.grant_level = static_cast<uint8_t>(LevelOf(experience.coverage));
	experience.level_reason = static_cast<uint8_t>(decision.choice.reason);
	experience.worker_reason = static_cast<uint8_t>(query->applied ? decision.workers.reason : WorkerReason::kAsPlanned);
}

bool IsNovel(const Forecast &forecast, const PlanGraph &graph)
{
	pg_atomic_uint64 *wanted = &shared->wanted_plans[graph.plan_fingerprint % kWantedPlans];

	if (graph.overflow || !forecast.has_opinion)
		return false;
	if (unlikely(pg_atomic_read_u64(wanted) == graph.plan_fingerprint)) {
		pg_atomic_write_u64(wanted, 0);
		return true;
	}
	return !recall_store->Has(graph.plan_fingerprint);
}

PlanRecord *PreparePlanRecord(const PlanGraph &graph, uint64 query_id)
{
	static PlanRecord *record = nullptr;

	if (record == nullptr)
		record = static_cast<PlanRecord *>(MemoryContextAlloc(TopMemoryContext, sizeof(PlanRecord)));
	record->template_fingerprint = graph.template_fingerprint;
	record->plan_fingerprint = graph.plan_fingerprint;
	record->query_id = query_id;
	record->total_cost = graph.total_cost;
	record->planned_workers = graph.planned_workers;
	record->num_nodes = graph.num_nodes;
	record->num_memory_nodes = graph.num_memory_nodes;
	record->command = graph.command;
	memcpy(record->nodes, graph.nodes, sizeof(PlanNode) * static_cast<size_t>(graph.num_nodes));
	return record;
}

}  // namespace wlm
