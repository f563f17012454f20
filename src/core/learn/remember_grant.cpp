/*
 * remember_grant.cpp
 *
 * The writer of the outcomes of grants. Called by the learner, one experience
 * at a time.
 */
#include <algorithm>
#include <cmath>

#include "core/grant/choose_level.hpp"
#include "core/grant/keyed_store.hpp"
#include "core/grant/needs.hpp"
#include "core/grant/outcome_moments.hpp"
#include "core/grant/parallelism.hpp"
#include "core/learn/censoring.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

using Table = KeyedStore<GrantOutcomeStore, GrantOutcomes, &GrantOutcomes::template_fingerprint>;

constexpr float kBetter = 0.03f;          /* in ln: beside so many standard errors, for another level to be preferred */
constexpr float kErrorsDown = 1;
constexpr float kErrorsUp = 2;            /* what was given up comes back only when it is sure to be better */
/*
 * What is not tried grows old by this with each run of another level, so that a new trial counts; but it is not forgotten.
 * Since load is told apart by what the level in use takes, only trials tell levels apart, however often that level runs.
 */
constexpr float kAging = 0.95f;
constexpr float kAgedWeight = 3;
/* Of what a run took beyond its level's mean, this part is believed to be load: a trial is compared with the runs before it. */
constexpr float kLoadRate = 1 / 3.0f;
constexpr float kMostLoadSurprise = 0.5f;
constexpr float kMostLoad = 5;
constexpr float kSteady = 0.05f;          /* smaller changes of a grant have no direction */
constexpr float kWantedZ = 1.645f;        /* 95 %: the default of wlm.grant_quantile */
constexpr float kMostGrowth = 2;

int ClampedLevel(const Experience &experience) noexcept
{
	return experience.applied && experience.grant_level < kNumGrantLevels ? experience.grant_level : 0;
}

bool SpilledAny(const Experience &experience) noexcept
{
	for (int i = 0; i < std::clamp<int>(experience.num_operators, 0, kMaxMemoryNodes); i++)
		if (experience.operators[i].flags & kSpilled)
			return true;
	return false;
}

/* Sums over operators and processes: the limits at the end as far as they were wanted, what was used, and the needs. */
struct Totals {
	float granted_kb;
	float used_kb;
	float needed_kb;
};
Totals TotalsOf(const Experience &experience) noexcept
{
	Totals totals{};
	for (int i = 0; i < std::clamp<int>(experience.num_operators, 0, kMaxMemoryNodes); i++) {
		const OperatorExperience &op = experience.operators[i];
		const float processes = std::max<float>(op.processes, 1);
		const float needed = (op.flags & kObserved) && IsQuantity(op.needed_kb) ? op.needed_kb : 0;
		const float limit = std::max(IsQuantity(op.granted_kb) ? op.granted_kb : 0, IsQuantity(op.grown_kb) ? op.grown_kb : 0);
		const float predicted = IsUsable(op.mixture) ? std::exp(std::clamp(op.mixture.LogAt(kWantedZ), kLeastLogKb, kMostLogKb)) : 0;
		const float wanted = static_cast<float>(kHeadroom) * predicted;
		totals.granted_kb += processes * std::min(limit, std::max(wanted, needed));
		totals.used_kb += processes * ((op.flags & kObserved) && IsQuantity(op.peak_kb) ? op.peak_kb : 0);
		totals.needed_kb += processes * needed;
	}
	return totals;
}

void NoteGuard(GrantGuard *guard, const Experience &experience) noexcept
{
	/* less than wanted, for want of room or by choice, says nothing of what the template should keep */
	if (!experience.applied || LevelOf(experience.coverage) != GrantLevel::kAll)
		return;
	const Totals totals = TotalsOf(experience);
	float size = totals.granted_kb;
	if (!IsQuantity(size))
		return;
	if (SpilledAny(experience))
		size = std::clamp(totals.needed_kb, size, kMostGrowth * size);
	guard->used_kb = totals.used_kb;
	if (guard->kept_kb > 0) {
		const float change = size / guard->kept_kb;
		const int8_t direction = change > 1 + kSteady ? 1 : change < 1 - kSteady ? -1 : 0;
		if (direction != 0) {
			if (guard->direction != 0 && guard->direction != direction && guard->flips < kMostFlips)
				guard->flips++;
			guard->direction = direction;
		}
		if (guard->flips >= kMostFlips)
			size = std::max(size, guard->kept_kb);
	}
	guard->kept_kb = size;
}

void NoteWorkers(GrantOutcomes *entry, const Experience &experience) noexcept
{
	/* fewer launched than granted: nobody's choice, and not as planned either */
	if (experience.workers_planned <= 0 || !IsUsable(experience.time) ||
	    experience.workers_launched < std::min(experience.workers_granted, experience.workers_planned))
		return;
	const bool fewer = experience.applied && experience.workers_granted < experience.workers_planned;
	/* fewer because others needed the processors: slower because of them, too, and over with the load */
	if (fewer && experience.worker_reason != static_cast<uint8_t>(WorkerReason::kScalability))
		return;
	FoldOutcome(fewer ? &entry->fewer_workers : &entry->as_planned, LogMs(experience.time_ms) - experience.time.mean);
}

void FoldMean(float *mean, float weight, float value) noexcept
{
	if (std::isfinite(value) && value >= 0)
		*mean = weight > 1 ? *mean + (value - *mean) / weight : value;
}

void NoteLevel(GrantOutcomes *entry, const Experience &experience) noexcept
{
	const int index = ClampedLevel(experience);
	OutcomeMoments *level = &entry->level[index];
	const float cost = std::isfinite(experience.total_cost) ? experience.total_cost : 1;
	const float log_ms = LogMs(experience.time_ms);
	const float unloaded = log_ms - std::log(std::max(cost, 1.0f)) - entry->load;
	FoldOutcome(level, unloaded);
	/* against the mean after it: the first run of a level says nothing of the load */
	const float surprise = std::clamp(unloaded - level->mean, -kMostLoadSurprise, kMostLoadSurprise);
	entry->load = std::clamp(entry->load + kLoadRate * surprise, -kMostLoad, kMostLoad);
	FoldMean(&entry->temp_kb[index], level->weight, static_cast<float>(static_cast<double>(experience.temp_bytes) / 1024));
	FoldMean(&entry->peak_kb[index], level->weight, experience.query_memory_kb);
	for (OutcomeMoments &other : entry->level)
		if (&other != level && other.weight > kAgedWeight)
			other.weight = std::max(other.weight * kAging, kAgedWeight);
	if (index > 0 && IsUsable(experience.time))
		FoldOutcome(&entry->surprise, log_ms - experience.time.mean);
}

/*
 * Which level outcomes speak for. It begins with the highest one that was tried, because more memory also protects where needs
 * were predicted too low, and is left only for one that is clearly better, or because it was withdrawn.
 */
void ChoosePreferred(GrantOutcomes *entry) noexcept
{
	if (!HasRuns(entry->level[0], kLeastRuns))
		return;
	int current = entry->preferred - 1;
	if (current < 0 || (entry->withdrawn & (1u << current))) {
		current = kNumGrantLevels - 1;
		while (current > 0 && ((entry->withdrawn & (1u << current)) || !HasRuns(entry->level[current], kLeastRuns)))
			current--;
		if (current == 0 && entry->withdrawn == 0)
			return;   /* nothing to compare with yet */
	}
	int best = current;
	float best_gain = 0;
	for (int i = 0; i < kNumGrantLevels; i++) {
		if (i == current || (entry->withdrawn & (1u << i)) || !HasRuns(entry->level[i], kLeastRuns))
			continue;
		const OutcomeDifference gain = Compare(entry->level[current], entry->level[i]);
		if (gain.mean > kBetter + (i > current ? kErrorsUp : kErrorsDown) * gain.error && gain.mean > best_gain) {
			best_gain = gain.mean;
			best = i;
		}
	}
	entry->preferred = static_cast<uint8_t>(best + 1);
}

void Judge(GrantOutcomes *entry) noexcept
{
	uint8_t withdrawn = 0;
	for (int i = 1; i < kNumGrantLevels; i++)
		if (IsWithdrawn(*entry, static_cast<GrantLevel>(i)))
			withdrawn |= static_cast<uint8_t>(1u << i);
	entry->withdrawn = withdrawn;
	ChoosePreferred(entry);
}

}  // namespace

void RememberGrant(GrantOutcomeStore *store, const Experience &experience) noexcept
{
	if (store == nullptr || experience.template_fingerprint == 0 || !WasRun(experience))
		return;
	const bool lacked = experience.lacking_kb > 0;
	const bool whole = !TimeIsLowerBound(experience) && IsQuantity(experience.time_ms);
	if (!lacked && !whole)
		return;
	/* what never lacked memory, ran alone and was granted nothing needs no entry */
	if (!lacked && experience.workers_planned <= 0 && !experience.applied)
		return;
	Table::Update(store, experience.template_fingerprint, [&](GrantOutcomes *entry) {
		if (lacked) {
			/* cut short counts too: else a trial that is always cancelled would be repeated for ever */
			if (entry->executions < UINT32_MAX)
				entry->executions++;
			if (experience.applied && experience.level_reason == static_cast<uint8_t>(LevelReason::kExploring))
				entry->explored_at = entry->executions;
		}
		if (!whole)
			return;
		NoteGuard(&entry->guard, experience);
		NoteWorkers(entry, experience);
		if (lacked) {
			NoteLevel(entry, experience);
			Judge(entry);
		}
	});
}

}  // namespace wlm
