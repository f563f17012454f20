/*
 * plan_memory.cpp
 *
 * A filter in shared memory tells which statements are worth a look into
 * plan_memory_store; the learner writes it anew after each batch. Readers may find it a
 * batch behind, which costs a plan made one second too early or too late.
 *
 * What a plan was made with is kept in a small table of the process, found by
 * what survives in the copies that the plan cache makes: query id, cost and rows.
 * Two plans of one statement that agree in those are the same plan for all that
 * anybody learns from it.
 */
#include "pg/plan/plan_memory.hpp"

#include <bit>

extern "C" {
#include "access/parallel.h"
#include "utils/guc.h"
#include "utils/plancache.h"
}

#include "core/grant/outcomes.hpp"
#include "core/grant/plan_memory.hpp"
#include "core/hash.hpp"
#include "pg/managed_cost.hpp"
#include "pg/query/classify.hpp"
#include "pg/settings.hpp"

namespace wlm {

namespace {

constexpr int kNotedPlans = 256;

struct NotedPlan {
	uint64 key;
	int kb;
};

/* Of this process. */
NotedPlan noted_plans[kNotedPlans];
int planning_kb = 0;              /* work_mem of the planning that goes on, if it is not the session's own */
int session_kb_of_planning = 0;

uint64 PlanKey(const PlannedStmt *statement)
{
	const Plan *plan = statement->planTree;
	const uint64 key = Combine(Combine(static_cast<uint64>(statement->queryId), std::bit_cast<uint64>(plan->total_cost)),
	                           std::bit_cast<uint64>(plan->plan_rows));

	return key != 0 ? key : 1;
}

void SetWorkMem(int kb)
{
	char text[32];

	pg_snprintf(text, sizeof text, "%d", kb);
	(void) set_config_option("work_mem", text, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

bool IsPlannedOtherwise(const PlanMemory &entry)
{
	return entry.statement != 0 && (entry.trial == PlanTrial::kTrying || entry.trial == PlanTrial::kAccepted);
}

bool HasBit(uint64 statement)
{
	const int bit = static_cast<int>(Mix(statement) % kPlannedOtherwiseBits);

	return (pg_atomic_read_u64(&shared->planned_otherwise[bit / 64]) >> (bit % 64) & 1) != 0;
}

/* Whether this process's statements are subject to it at all, and their user has left the choice to us (HAZARDS G6). */
bool MayPlanOtherwise()
{
	return setting::plan_memory && setting::mode == static_cast<int>(Mode::kAuto) && !setting::bypass && !IsParallelWorker() &&
	       MayChangeWorkMem();
}

}  // namespace

int WorkMemForPlan(const Query *query)
{
	PlanMemory entry;

	if (planning_kb != 0)
		return work_mem == planning_kb ? session_kb_of_planning : 0;
	const uint64 statement = StatementKey(static_cast<uint64>(query->queryId), MyDatabaseId);
	if (statement == 0 || !HasBit(statement) || !MayPlanOtherwise() || !plan_memory_store->Find(statement, &entry))
		return 0;
	const int64 kb = WorkMemToPlanWith(entry, work_mem, setting::explore_rate);
	return kb <= setting::max_work_mem_kb && kb != work_mem ? static_cast<int>(kb) : 0;
}

PlanningLevel OpenPlanning(int kb)
{
	const PlanningLevel level = {NewGUCNestLevel(), work_mem, planning_kb, session_kb_of_planning};

	SetWorkMem(kb);
	/* Nested in a planning of ours, this is the session's own again. */
	session_kb_of_planning = planning_kb == 0 ? level.outer_kb : 0;
	planning_kb = planning_kb == 0 ? kb : 0;
	return level;
}

void ClosePlanning(const PlanningLevel &level)
{
	AbandonPlanning(level);
	AtEOXact_GUC(true, level.nest_level);
}

void AbandonPlanning(const PlanningLevel &level)
{
	planning_kb = level.outer_planning_kb;
	session_kb_of_planning = level.outer_session_kb;
}

void NotePlan(const PlannedStmt *statement, int kb)
{
	if (statement->queryId == 0)
		return;
	const uint64 key = PlanKey(statement);
	noted_plans[key % kNotedPlans] = {key, kb != 0 ? kb : work_mem};
}

float PlannedFor(const PlannedStmt *statement)
{
	if (statement->queryId == 0 || statement->planTree == nullptr)
		return 0;
	const uint64 key = PlanKey(statement);
	const NotedPlan &noted = noted_plans[key % kNotedPlans];
	return noted.key == key ? static_cast<float>(noted.kb) : 0;
}

namespace {

/* A trial goes on with what the learner has heard of, in batches: until then another reset would plan the same again. */
bool IsNews(uint64 key, uint32 executions, bool otherwise)
{
	static struct {
		uint64 key;
		uint32 executions;
		bool otherwise;
	} seen[16];
	auto &last = seen[key % lengthof(seen)];

	if (last.key == key && last.executions == executions && last.otherwise == otherwise)
		return false;
	last = {key, executions, otherwise};
	return true;
}

}  // namespace

void ReviewPlan(const PlannedStmt *statement)
{
	const uint64 key = StatementKey(static_cast<uint64>(statement->queryId), MyDatabaseId);
	PlanMemory entry;

	/* Most plans were made for the session's own setting, and for most statements that is what should be. */
	const bool otherwise = PlannedFor(statement) > static_cast<float>(work_mem);
	if (key == 0 || (!otherwise && (!AnyPlannedOtherwise() || !HasBit(key))) || !plan_memory_store->Find(key, &entry))
		return;
	/* One execution is all that a trial asks for; what was accepted may stay. */
	const bool stale = otherwise ? entry.trial != PlanTrial::kAccepted || !MayPlanOtherwise()
	                             : MayPlanOtherwise() && WorkMemToPlanWith(entry, work_mem, setting::explore_rate) != 0;
	if (stale && IsNews(key, entry.executions, otherwise))
		ResetPlanCache();
}

void LearnOutcomesLocked(const Experience &experience)
{
	RememberGrant(grant_outcomes, experience);
	RememberPlan(plan_memory_store, experience);
}

void PublishOutcomesLocked()
{
	uint64 bits[kPlannedOtherwiseBits / 64] = {};
	uint32 count = 0;

	for (uint32 i = 0; i < plan_memory_store->capacity; i++) {
		const PlanMemory &entry = plan_memory_store->entries()[i];
		if (!IsPlannedOtherwise(entry))
			continue;
		const int bit = static_cast<int>(Mix(entry.statement) % kPlannedOtherwiseBits);
		bits[bit / 64] |= static_cast<uint64>(1) << (bit % 64);
		count++;
	}
	for (int i = 0; i < kPlannedOtherwiseBits / 64; i++)
		pg_atomic_write_u64(&shared->planned_otherwise[i], bits[i]);
	pg_atomic_write_u32(&shared->num_planned_otherwise, count);
}

void ClearOutcomesLocked()
{
	grant_outcomes->Clear();
	plan_memory_store->Clear();
	PublishOutcomesLocked();
}

}  // namespace wlm
