/*
 * experience.hpp
 *
 * What really happened to one query, beside what had been predicted. Written
 * by src/pg/observe when the query ends, carried through the ring, learned
 * from by core/learn, stored in wlm.history. Only the first num_operators
 * operators are meaningful; BytesUsed() is what travels.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/predict/forecast.hpp"

namespace wlm {

enum class FinalState : uint8_t { kCompleted = 0, kCancelled, kFailed, kRejected, kTimedOut };

enum OperatorFlag : uint8_t {
	kSpilled = 1,
	kCensored = 2,      /* the operator was cut short: needed_kb is a lower bound */
	kObserved = 4,      /* peak_kb and needed_kb hold something */
};

struct OperatorExperience {
	int32_t plan_node_id;
	int16_t memory_slot;
	NodeKind kind;
	MemoryClass memory;
	uint8_t flags;            /* OperatorFlag */
	uint8_t processes;        /* that reported */
	float estimated_rows;
	float actual_rows;        /* per process summed; negative = not sampled */
	float predicted_kb;       /* median of the mixture */
	float granted_kb;         /* limit in force at the start, multiplier included */
	float grown_kb;           /* limit at the end: more where it grew, else granted_kb */
	float peak_kb;            /* largest process */
	float needed_kb;          /* to have stayed in memory, largest process */
	float temp_kb;            /* written to temporary files, largest process; 0 if it did not spill or nobody knows */
	float formula_kb;         /* FormulaMemoryKb: the planner expert's feature */
	Estimate answers[kNumExperts];
	Estimate mixture;
	Embedding embedding;      /* valid if the experience's embedding_version is not 0 */
};

struct Experience {
	uint64_t template_fingerprint;
	uint64_t plan_fingerprint;
	uint64_t query_id;
	int64_t finished_at;      /* microseconds since 2000-01-01 (TimestampTz) */
	int64_t temp_bytes;
	uint32_t model_version;
	uint32_t database_oid;
	uint32_t role_oid;
	int32_t pid;
	int16_t queue;            /* index in the configuration of config_generation */
	uint8_t priority;
	uint8_t lane;             /* 0 normal, 1 express */
	bool forced;
	bool evicted;
	bool censored;            /* time_ms is a lower bound */
	bool applied;             /* the grant was in force (mode auto) */
	FinalState final_state;
	CommandKind command;
	int16_t workers_planned;
	int16_t workers_launched;
	int16_t workers_granted;  /* at most workers_planned; summed over Gathers like it */
	uint8_t worker_reason;    /* WorkerReason */
	uint8_t grant_level;      /* GrantLevel */
	uint8_t level_reason;     /* LevelReason */
	uint32_t config_generation;
	float total_cost;
	float estimated_rows;     /* of the root */
	double returned_rows;     /* negative = unknown */
	float load_beside;        /* mean load of the others that ran meanwhile, processors; negative = unknown */
	float queue_ms;
	float time_ms;            /* execution without the wait; of the last attempt */
	float wasted_ms;          /* execution of attempts that gave way */
	int16_t num_preempted;    /* how many they were */
	float session_work_mem_kb;  /* the session's own setting */
	float plan_work_mem_kb;     /* for which the plan was made; 0 = unknown (a plan made earlier) */
	float granted_work_mem_kb;  /* largest in force for any operator */
	float lacking_kb;           /* Grant::lacking_kb */
	float coverage;             /* Grant::coverage in force; 0 if nothing was applied */
	float reserved_kb;
	float query_memory_kb;    /* peak of all processes */
	Estimate time;            /* the mixture's */
	Estimate query_memory;
	Estimate time_answers[kNumExperts];
	Estimate query_memory_answers[kNumExperts];
	float time_share[kNumExperts];
	float memory_share[kNumExperts];
	Familiarity familiarity;
	float novelty;            /* as in Forecast */
	int16_t num_nodes;        /* of the plan */
	uint32_t embedding_version; /* 0 = none */
	Embedding embedding;
	int16_t num_operators;
	OperatorExperience operators[kMaxMemoryNodes];

	size_t BytesUsed() const noexcept
	{
		return offsetof(Experience, operators) + sizeof(OperatorExperience) * static_cast<size_t>(num_operators);
	}
};

static_assert(std::is_trivially_copyable_v<Experience> && alignof(Experience) <= 8);

}  // namespace wlm
