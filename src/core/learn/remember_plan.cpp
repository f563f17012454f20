/*
 * remember_plan.cpp
 *
 * The writer of PlanMemory: follows a statement, begins a trial of a plan for
 * more memory, and settles it. Every way leads forward (watching, trying, accepted or
 * withdrawn), so plans change a bounded number of times; only kSame begins
 * again, when there is at least twice the memory to plan with.
 */
#include <algorithm>
#include <cmath>

#include "core/grant/keyed_store.hpp"
#include "core/grant/outcome_moments.hpp"
#include "core/grant/plan_memory.hpp"
#include "core/grant/plan_trial.hpp"
#include "core/learn/censoring.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

using Table = KeyedStore<PlanMemoryStore, PlanMemory, &PlanMemory::statement>;

constexpr int kRunsToBegin = 5;
constexpr float kLeastLogTime = 2.9957f;  /* ln(20 ms) */
constexpr float kNoticeablyMore = 1.5f;   /* times the session's setting */
constexpr float kGrantDecay = 0.9f;       /* of the largest grant, while watching */
constexpr int kRunsToCompare = 4;
constexpr int kRunsToSuspect = 3;
constexpr int kMostTries = 12;
constexpr int kTriesForSame = 2;
constexpr float kOldOutcomes = 4;         /* weight of the own plan's outcomes when a trial begins: they are older */
constexpr float kFaster = 0.03f;
constexpr float kFasterErrors = 1.5f;
constexpr float kSlowerErrors = 2;
constexpr uint8_t kMostStrangers = 10;

enum class WhichPlan { kOwn, kOther, kUnknown };

WhichPlan PlanThatRan(const PlanMemory &entry, const Experience &experience) noexcept
{
	const float planned_kb = experience.plan_work_mem_kb;
	if (planned_kb > 0) {
		if (SameSetting(entry.session_kb, planned_kb))
			return WhichPlan::kOwn;
		return SameSetting(entry.other_kb, planned_kb) ? WhichPlan::kOther : WhichPlan::kUnknown;
	}
	/* made earlier: its template tells, unless both plans look the same */
	const uint64_t ran = experience.template_fingerprint;
	if (entry.trial == PlanTrial::kWatching || entry.trial == PlanTrial::kSame)
		return entry.own_template == 0 || entry.own_template == ran ? WhichPlan::kOwn : WhichPlan::kUnknown;
	if (entry.own_template == entry.other_template)
		return WhichPlan::kUnknown;
	return ran == entry.own_template ? WhichPlan::kOwn : ran == entry.other_template ? WhichPlan::kOther : WhichPlan::kUnknown;
}

void BeginTrial(PlanMemory *entry, float other_kb) noexcept
{
	entry->trial = PlanTrial::kTrying;
	entry->other_kb = std::round(other_kb);
	entry->other_template = 0;
	entry->other = OutcomeMoments{};
	entry->own.weight = std::min(entry->own.weight, kOldOutcomes);
}

void Watch(PlanMemory *entry, float granted_kb) noexcept
{
	entry->other_kb = std::max(granted_kb, kGrantDecay * entry->other_kb);
	if (HasRuns(entry->own, kRunsToBegin) && entry->own.mean >= kLeastLogTime &&
	    entry->other_kb > kNoticeablyMore * entry->session_kb)
		BeginTrial(entry, entry->other_kb);
}

bool OtherIsSlower(const PlanMemory &entry) noexcept
{
	if (!HasRuns(entry.own, kRunsToSuspect) || !HasRuns(entry.other, kRunsToSuspect))
		return false;
	const OutcomeDifference slower = Compare(entry.other, entry.own);
	return slower.mean > kSlowerErrors * slower.error;
}

void SettleTrial(PlanMemory *entry) noexcept
{
	if (entry->other_template == entry->own_template && HasRuns(entry->other, kTriesForSame)) {
		entry->trial = PlanTrial::kSame;
		return;
	}
	if (HasRuns(entry->own, kRunsToCompare) && HasRuns(entry->other, kRunsToCompare)) {
		const OutcomeDifference faster = Compare(entry->own, entry->other);
		if (faster.mean > std::max(kFaster, kFasterErrors * faster.error)) {
			entry->trial = PlanTrial::kAccepted;
			return;
		}
	}
	if (OtherIsSlower(*entry) || HasRuns(entry->other, kMostTries))
		entry->trial = PlanTrial::kWithdrawn;
}

void Advance(PlanMemory *entry, float granted_kb) noexcept
{
	switch (entry->trial) {
		case PlanTrial::kWatching:
			Watch(entry, granted_kb);
			break;
		case PlanTrial::kTrying:
			SettleTrial(entry);
			break;
		case PlanTrial::kAccepted:
			if (OtherIsSlower(*entry)) {
				entry->trial = PlanTrial::kWithdrawn;
				entry->reversals++;
			}
			break;
		case PlanTrial::kSame:
			if (granted_kb >= 2 * entry->other_kb)
				BeginTrial(entry, granted_kb);
			break;
		case PlanTrial::kWithdrawn:
			break;
	}
}

/* True if the entry is for this session's setting; begins anew if only others have come for a while. */
bool IsForSession(PlanMemory *entry, float session_kb) noexcept
{
	if (SameSetting(entry->session_kb, session_kb)) {
		entry->strangers = 0;
		return true;
	}
	if (entry->session_kb > 0 && ++entry->strangers < kMostStrangers)
		return false;
	entry->own_template = entry->other_template = 0;
	entry->session_kb = session_kb;
	entry->other_kb = 0;
	entry->executions = 0;
	entry->trial = PlanTrial::kWatching;
	entry->reversals = entry->strangers = 0;
	entry->own = entry->other = OutcomeMoments{};
	return true;
}

void RememberRun(PlanMemory *entry, const Experience &experience) noexcept
{
	const float granted_kb = IsQuantity(experience.granted_work_mem_kb) && experience.granted_work_mem_kb < kMostWorkMemKb ?
		experience.granted_work_mem_kb : 0;
	const float log_ms = LogMs(experience.time_ms);
	/* of what was cut short only one thing is known: that the plan for more memory was slower, if it ran for longer already */
	if (TimeIsLowerBound(experience) &&
	    (PlanThatRan(*entry, experience) != WhichPlan::kOther || !(entry->own.weight > 0) || log_ms <= entry->own.mean))
		return;
	switch (PlanThatRan(*entry, experience)) {
		case WhichPlan::kOwn:
			FoldOutcome(&entry->own, log_ms);
			entry->own_template = experience.template_fingerprint;
			break;
		case WhichPlan::kOther:
			FoldOutcome(&entry->other, log_ms);
			entry->other_template = experience.template_fingerprint;
			break;
		case WhichPlan::kUnknown:
			return;
	}
	Advance(entry, granted_kb);
}

}  // namespace

void RememberPlan(PlanMemoryStore *store, const Experience &experience) noexcept
{
	const uint64_t statement = StatementKey(experience.query_id, experience.database_oid);
	if (store == nullptr || statement == 0 || experience.template_fingerprint == 0 || !WasRun(experience) ||
	    !IsQuantity(experience.session_work_mem_kb))
		return;
	Table::Update(store, statement, [&](PlanMemory *entry) {
		if (!IsForSession(entry, experience.session_work_mem_kb))
			return;
		/* cut short counts too, so that what is tried next does not depend on success */
		if (entry->executions < UINT32_MAX)
			entry->executions++;
		if (IsQuantity(experience.time_ms))
			RememberRun(entry, experience);
	});
}

}  // namespace wlm
