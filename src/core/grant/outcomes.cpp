/*
 * outcomes.cpp
 *
 * The store of outcomes, and the curve that is predicted from them.
 *
 * What is estimated is the difference between levels. Each level has a mean of
 * ln(ms / cost) over its runs; the prior says by how much levels should differ because
 * of temporary files saved. The prior is often wrong (HAZARDS G18): it counts
 * as one run.
 */
#include "core/grant/outcomes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/grant/keyed_store.hpp"
#include "core/grant/needs.hpp"
#include "core/grant/outcome_moments.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

using Table = KeyedStore<GrantOutcomeStore, GrantOutcomes, &GrantOutcomes::template_fingerprint>;

constexpr float kMostPrior = 0.405f;         /* ln(1.5): at most a third of the own time is believed to be spilling */
constexpr float kPriorRuns = 1;
constexpr float kSlower = 0.05f;             /* less is not worth a decision */
constexpr float kNotSlower = 0.02f;
constexpr float kUnknownVariance = 0.04f;    /* of a level's difference without any outcome */

float TotalNeed(const Grant &grant, int i) noexcept
{
	return std::max(grant.operators[i].processes, 1.0f) * std::max(grant.operators[i].need_kb, 0.0f);
}

/* What one kB of work_mem allows all processes of an operator. */
float LimitPerKb(const OperatorGrant &op) noexcept
{
	const float multiplier = op.work_mem_kb > 0 && op.limit_kb > 0 ? op.limit_kb / op.work_mem_kb : 1;
	return std::max(op.processes, 1.0f) * multiplier;
}

/* kB of temporary files under the session's own setting: as experts say, else about what lacks. */
float OwnTempKb(const Forecast &forecast, const Grant &grant) noexcept
{
	const float own_kb = static_cast<float>(grant.session_work_mem_kb);
	float total = 0;
	bool known = false;
	for (int i = 0; i < grant.num_operators; i++) {
		const OperatorGrant &op = grant.operators[i];
		if (op.memory_slot < 0 || op.memory_slot >= forecast.num_memory_nodes || !IsUsable(forecast.temp[op.memory_slot]) ||
		    TotalNeed(grant, i) < own_kb * LimitPerKb(op))
			continue;
		total += std::max(op.processes, 1.0f) * std::exp(std::clamp(forecast.temp[op.memory_slot].mean, kLeastLogKb, kMostLogKb));
		known = true;
	}
	return known ? total : std::max(grant.lacking_kb, 0.0f);
}

/* Measured where there are runs; else in proportion to what is not granted. */
void PredictTemp(const GrantOutcomes *outcomes, float own_kb, GrantCurve *curve) noexcept
{
	float scale_kb = own_kb;
	if (outcomes != nullptr && outcomes->level[0].weight > 0)
		scale_kb = outcomes->temp_kb[0];
	for (int i = 0; i < kNumGrantLevels; i++) {
		curve->temp_kb[i] = scale_kb * (1 - CoverageOf(static_cast<GrantLevel>(i)));
		if (outcomes != nullptr && outcomes->level[i].weight > 0)
			curve->temp_kb[i] = outcomes->temp_kb[i];
	}
}

/* Believed difference to the session's own setting, in ln: not positive. */
float Prior(const GrantCurve &curve, int level, float own_ms) noexcept
{
	const float saved_ms = static_cast<float>(kSpillMsPerKb) * std::max(curve.temp_kb[0] - curve.temp_kb[level], 0.0f);
	if (!(own_ms > 0) || !(saved_ms > 0))
		return 0;
	return std::max(std::log1p(-std::min(saved_ms / own_ms, 0.99f)), -kMostPrior);
}

struct Belief {
	float x[kNumGrantLevels];        /* ln(ms / cost) */
	float variance[kNumGrantLevels]; /* of that */
	float scatter;                   /* of one run around it */
};

/*
 * Levels as draws around prior differences, one base for all, flat: the level's own mean counts with its runs, the rest with
 * kPriorRuns. False without any outcome.
 */
bool Shrink(const GrantOutcomes *outcomes, const float prior[kNumGrantLevels], Belief *belief) noexcept
{
	float base = 0;
	float weights = 0;
	float runs = 0;
	belief->scatter = 0;
	for (int i = 0; i < kNumGrantLevels && outcomes != nullptr; i++) {
		const OutcomeMoments &level = outcomes->level[i];
		if (!(level.weight > 0))
			continue;
		const float weight = level.weight / (level.weight + kPriorRuns);
		base += weight * (level.mean - prior[i]);
		weights += weight;
		runs += level.weight;
		belief->scatter += level.weight * OutcomeVariance(level);
	}
	if (!(weights > 0))
		return false;
	base /= weights;
	belief->scatter /= runs;
	for (int i = 0; i < kNumGrantLevels; i++) {
		const OutcomeMoments &level = outcomes->level[i];
		const float weight = std::max(level.weight, 0.0f);
		const float prior_x = base + prior[i];
		belief->x[i] = weight > 0 ? (weight * level.mean + kPriorRuns * prior_x) / (weight + kPriorRuns) : prior_x;
		belief->variance[i] = weight > 0 ? belief->scatter / (weight + kPriorRuns) : std::max(kUnknownVariance, belief->scatter);
	}
	return true;
}

/* Where, among the levels, the runs lie that the forecast has learned from. */
float MeanOfRuns(const GrantOutcomes &outcomes, const Belief &belief) noexcept
{
	float sum = 0;
	float weights = 0;
	for (int i = 0; i < kNumGrantLevels; i++) {
		sum += outcomes.level[i].weight * belief.x[i];
		weights += outcomes.level[i].weight;
	}
	return sum / weights;
}

}  // namespace

GrantLevel LevelOf(float coverage) noexcept
{
	/* a little slack: what is asked for is rounded on its way to PostgreSQL */
	if (!(coverage > 0.02f))
		return GrantLevel::kOwn;
	if (coverage <= 0.52f)
		return GrantLevel::kSome;
	return coverage < 0.97f ? GrantLevel::kMost : GrantLevel::kAll;
}

float CoverageOf(GrantLevel level) noexcept
{
	switch (level) {
		case GrantLevel::kSome:
			return 0.5f;
		case GrantLevel::kMost:
			return 0.8f;
		case GrantLevel::kAll:
			return 1;
		default:
			return 0;
	}
}

const char *GrantLevelName(GrantLevel level) noexcept
{
	switch (level) {
		case GrantLevel::kOwn:
			return "own";
		case GrantLevel::kSome:
			return "some";
		case GrantLevel::kMost:
			return "most";
		case GrantLevel::kAll:
			return "all";
		default:
			return "unknown";
	}
}

size_t GrantOutcomeStore::BytesNeeded(uint32_t capacity) noexcept { return Table::BytesNeeded(capacity); }

GrantOutcomeStore *GrantOutcomeStore::Init(std::span<std::byte> memory, uint32_t capacity) noexcept
{
	return Table::Init(memory, capacity);
}

bool GrantOutcomeStore::Find(uint64_t template_fingerprint, GrantOutcomes *copy) const noexcept
{
	return Table::Find(*this, template_fingerprint, copy);
}

void GrantOutcomeStore::Clear() noexcept { Table::Clear(this); }

bool IsWithdrawn(const GrantOutcomes &outcomes, GrantLevel level) noexcept
{
	const int index = static_cast<int>(level);
	if (index <= 0 || index >= kNumGrantLevels)
		return false;
	const bool was = (outcomes.withdrawn & (1u << index)) != 0;
	if (!HasRuns(outcomes.level[0], kLeastRuns) || !HasRuns(outcomes.level[index], kLeastRuns))
		return was;
	const OutcomeDifference difference = Compare(outcomes.level[index], outcomes.level[0]);
	return difference.mean > std::max(kSlower, 2 * difference.error) || (was && difference.mean > kNotSlower);
}

/*
 * forecast.time was learned from runs under whatever was granted to them, so it is taken for the time under the mean of the
 * levels that this template ran with, each with the weight of its runs; without outcomes, under the session's own setting.
 */
void PredictCurve(const GrantOutcomes *outcomes, const PlanGraph &graph, const Forecast &forecast, const Grant &grant,
                  GrantCurve *curve) noexcept
{
	*curve = GrantCurve{};
	PredictTemp(outcomes, OwnTempKb(forecast, grant), curve);

	Estimate anchor = forecast.time;
	const float log_cost = std::log(std::max(std::isfinite(graph.total_cost) ? graph.total_cost : 1.0f, 1.0f));
	float own_ms = IsUsable(anchor) ? std::exp(std::clamp(anchor.mean, kLeastLogMs, kMostLogMs)) : 0;
	if (outcomes != nullptr && outcomes->level[0].weight > 0)
		own_ms = std::exp(std::clamp(outcomes->level[0].mean + outcomes->load + log_cost, kLeastLogMs, kMostLogMs));
	float prior[kNumGrantLevels];
	for (int i = 0; i < kNumGrantLevels; i++)
		prior[i] = Prior(*curve, i, own_ms);

	Belief belief{};
	const bool has_outcomes = Shrink(outcomes, prior, &belief);
	const float anchor_x = has_outcomes ? MeanOfRuns(*outcomes, belief) : 0;
	if (!IsUsable(anchor)) {
		anchor = Estimate{};
		if (has_outcomes)
			anchor = {anchor_x + outcomes->load + log_cost, belief.scatter, 0, 1, 1};
	}
	for (int i = 0; i < kNumGrantLevels; i++) {
		curve->runs[i] = outcomes != nullptr ? std::max(outcomes->level[i].weight, 0.0f) : 0;
		curve->slower[i] = outcomes != nullptr && IsWithdrawn(*outcomes, static_cast<GrantLevel>(i));
		curve->time[i] = anchor;
		if (!anchor.HasOpinion())
			continue;
		curve->time[i].mean += has_outcomes ? belief.x[i] - anchor_x : prior[i];
		curve->time[i].model_variance += has_outcomes ? belief.variance[i] : i > 0 ? kUnknownVariance : 0;
		curve->time[i].support += curve->runs[i];
	}
}

}  // namespace wlm
