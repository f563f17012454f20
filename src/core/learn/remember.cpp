/*
 * remember.cpp
 *
 * The recall store's writer: one experience goes into the entry of its plan and
 * into that of its template. Called by the learner, one at a time.
 */
#include <algorithm>
#include <cmath>

#include "core/learn/censoring.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/moments.hpp"
#include "core/predict/plan_features.hpp"
#include "core/predict/recall_access.hpp"
#include "core/predict/scalability.hpp"
#include "core/predict/shared_words.hpp"

namespace wlm {

namespace {

constexpr float kSpillDecay = 0.9f;
constexpr float kMostSurprise = 2.3f; /* of ln(time), in the sums for the scalability curve */
constexpr float kMostTimes = 1e5f;    /* sum of times in units of the mean: 30 runs x a weight of 25 x 10, and to spare */

/* True if there is anything in it that an entry could keep. */
bool Teaches(const Experience &experience) noexcept
{
	if (!WasRun(experience))
		return false;
	if (IsQuantity(experience.time_ms) || IsQuantity(experience.query_memory_kb))
		return true;
	for (int i = 0; i < NumOperators(experience); i++)
		if ((experience.operators[i].flags & kObserved) && IsQuantity(experience.operators[i].needed_kb))
			return true;
	return false;
}

/*
 * A bound on a quantity of which nothing is known yet counts only if it lies above
 * what had been predicted; otherwise a query cancelled early would look short.
 */
bool FoldOrRaise(Moments *moments, float value, bool lower_bound, const Estimate &predicted) noexcept
{
	if (lower_bound && moments->weight > 0)
		return Raise(moments, value);
	if (lower_bound && !(IsUsable(predicted) && value > predicted.mean))
		return false;
	Fold(moments, value);
	return true;
}

/* Sums over times in units of exp(before) become sums in units of exp(now). */
void RescaleTimes(RecallEntry *entry, float before, float now) noexcept
{
	if (!(entry->scale_weight > 0))
		return;
	const float factor = std::exp(before - now);
	entry->scale_y *= factor;
	entry->scale_xy *= factor;
	/* not the same query any more */
	if (!(entry->scale_y < kMostTimes))
		entry->scale_weight = entry->scale_x = entry->scale_y = entry->scale_xx = entry->scale_xy = 0;
}

void FoldScale(RecallEntry *entry, float processes, float log_ms) noexcept
{
	const float x = 1 / processes;
	/* a freak counts as ten times the usual */
	const float y = std::exp(std::clamp(log_ms - entry->time.mean, -kMostSurprise, kMostSurprise));
	const float weight = ScalabilityWeight(x);
	entry->scale_weight = entry->scale_weight * kRecallDecay + weight;
	entry->scale_x = entry->scale_x * kRecallDecay + weight * x;
	entry->scale_y = entry->scale_y * kRecallDecay + weight * y;
	entry->scale_xx = entry->scale_xx * kRecallDecay + weight * x * x;
	entry->scale_xy = entry->scale_xy * kRecallDecay + weight * x * y;
}

void FoldQuery(RecallEntry *entry, const Experience &experience) noexcept
{
	const bool cut = TimeIsLowerBound(experience);
	if (IsQuantity(experience.time_ms)) {
		const float log_ms = LogMs(experience.time_ms);
		const float before = entry->time.mean;
		if (FoldOrRaise(&entry->time, log_ms, cut, experience.time))
			AddToSketch(&entry->time_sketch, entry->time, log_ms);
		RescaleTimes(entry, before, entry->time.mean);
		if (!cut)
			FoldScale(entry, 1.0f + std::max<float>(experience.workers_launched, 0), log_ms);
	}
	if (IsQuantity(experience.query_memory_kb))
		FoldOrRaise(&entry->query_memory, LogKb(experience.query_memory_kb), QueryMemoryIsLowerBound(experience),
		            experience.query_memory);
	if (experience.temp_bytes >= 0) {
		const float log_bytes = static_cast<float>(std::log1p(static_cast<double>(experience.temp_bytes)));
		if (!cut)
			Fold(&entry->temp_bytes, log_bytes);
		else
			Raise(&entry->temp_bytes, log_bytes);
	}
}

void FoldOperator(OperatorMemory *memory, const OperatorExperience &op) noexcept
{
	const float log_kb = LogKb(op.needed_kb);
	const float spilled = (op.flags & kSpilled) ? 1.0f : 0.0f;
	const bool first = memory->needed.weight <= 0 && memory->lower_bound <= kNoBound;
	memory->spill_share = first ? spilled : kSpillDecay * memory->spill_share + (1 - kSpillDecay) * spilled;

	if (NeedIsLowerBound(op)) {
		memory->lower_bound = std::max(memory->lower_bound, log_kb);
		Raise(&memory->needed, log_kb);
		return;
	}
	Fold(&memory->needed, log_kb);
	/* a bound that later runs do not confirm fades */
	if (memory->lower_bound > log_kb)
		memory->lower_bound = log_kb + kRecallDecay * (memory->lower_bound - log_kb);
}

void FoldOperators(RecallEntry *entry, const Experience &experience) noexcept
{
	for (int i = 0; i < NumOperators(experience); i++) {
		const OperatorExperience &op = experience.operators[i];
		const uint8_t kind = static_cast<uint8_t>(op.kind);
		if (!(op.flags & kObserved) || !IsQuantity(op.needed_kb) || op.memory_slot < 0 ||
		    op.memory_slot >= kRecallOperators || kind >= static_cast<uint8_t>(NodeKind::kNumKinds))
			continue;
		OperatorMemory *memory = &entry->operators[op.memory_slot];
		if (memory->kind != kind) {
			*memory = OperatorMemory{};
			memory->lower_bound = kNoBound;
			memory->kind = kind;
		}
		FoldOperator(memory, op);
		entry->num_operators = std::max(entry->num_operators, static_cast<int16_t>(op.memory_slot + 1));
	}
}

void RememberAs(RecallStore *store, uint64_t key, const Experience &experience) noexcept
{
	bool found;
	RecallEntry *place = PlaceFor(store, key, &found);
	RecallEntry entry;
	if (found)
		ReadOwn(*place, &entry);
	else
		InitEntry(&entry, key);
	FoldQuery(&entry, experience);
	FoldOperators(&entry, experience);
	/* a new query cancelled early teaches nothing that would be worth another's place */
	if (!found && !(entry.time.weight > 0) && !(entry.query_memory.weight > 0) && entry.num_operators == 0)
		return;
	entry.last_used = store->clock.load(std::memory_order_relaxed);
	if (place->fingerprint == 0)
		store->used++;
	PublishShared(place, entry);
}

}  // namespace

void Remember(RecallStore *store, const Experience &experience) noexcept
{
	if (store == nullptr || !Teaches(experience))
		return;
	store->clock.fetch_add(1, std::memory_order_relaxed);
	if (experience.plan_fingerprint != 0)
		RememberAs(store, experience.plan_fingerprint, experience);
	if (experience.template_fingerprint != 0)
		RememberAs(store, TemplateKey(experience.template_fingerprint), experience);
	store->observations++;
}

}  // namespace wlm
