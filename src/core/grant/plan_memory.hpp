/*
 * plan_memory.hpp
 *
 * With how much memory a statement's plan should be made. PostgreSQL plans for
 * the session's work_mem; where a statement is regularly given more, a plan for more may be better, or worse
 * (HAZARDS G12, G18). So another value is tried for a statement that has been seen often enough, what comes of it
 * is compared with the plan for the session's own setting, and the choice is made once: a plan that proved
 * slower is withdrawn for good, and a choice that had to be reversed is not tried again. No flapping.
 *
 * Keyed by statement (query id and database). A store like GrantOutcomeStore: one writer, readers never wait.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/grant/outcomes.hpp"
#include "core/sequence.hpp"

namespace wlm {

enum class PlanTrial : uint8_t {
	kWatching = 0,   /* too little is known */
	kTrying,         /* some executions are planned with more */
	kSame,           /* more memory makes the same plan */
	kAccepted,       /* planned with more: it was faster */
	kWithdrawn,      /* planned with the session's own: more was not faster */
};
const char *PlanTrialName(PlanTrial trial) noexcept; /* watching, trying, same, accepted, withdrawn */

struct PlanMemory {
	Sequence sequence;
	uint32_t last_used;
	uint64_t statement;         /* StatementKey(); 0 = free */
	uint64_t own_template;      /* of the plan for the session's own setting */
	uint64_t other_template;    /* of the plan for other_kb; 0 = not seen yet */
	float session_kb;           /* for which the trial was made; another session setting begins anew */
	float other_kb;             /* work_mem to plan with while trying or accepted */
	uint32_t executions;
	PlanTrial trial;
	uint8_t reversals;
	uint8_t strangers;          /* executions in a row of sessions with another setting */
	uint8_t padding;
	OutcomeMoments own;         /* ln(ms) */
	OutcomeMoments other;
};

struct PlanMemoryStore {
	uint32_t capacity;
	uint32_t used;
	uint32_t clock;
	uint32_t padding;

	PlanMemory *entries() noexcept { return reinterpret_cast<PlanMemory *>(this + 1); }
	const PlanMemory *entries() const noexcept { return reinterpret_cast<const PlanMemory *>(this + 1); }

	static size_t BytesNeeded(uint32_t capacity) noexcept;
	static PlanMemoryStore *Init(std::span<std::byte> memory, uint32_t capacity) noexcept;
	bool Find(uint64_t statement, PlanMemory *copy) const noexcept;
	void Clear() noexcept;
};

/* Never 0; 0 stands for a statement without query id, which is not followed. */
uint64_t StatementKey(uint64_t query_id, uint32_t database_oid) noexcept;

/* work_mem to plan this execution with, in kB; 0 = the session's own. */
int64_t WorkMemToPlanWith(const PlanMemory &entry, int64_t session_work_mem_kb, double explore_rate) noexcept;

/* The writer's step; needs session_work_mem_kb and plan_work_mem_kb of the experience. */
void RememberPlan(PlanMemoryStore *store, const Experience &experience) noexcept;

}  // namespace wlm
