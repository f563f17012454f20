/*
 * choose_level.cpp
 *
 * Which level a query is given, when another one is tried, and the guard.
 *
 * What outcomes speak for is settled by the writer, with hysteresis
 * (GrantOutcomes::preferred), so that one decision after another is made from the same state; here
 * it is applied, and until there are outcomes the curve decides.
 */
#include "core/grant/choose_level.hpp"

#include <algorithm>
#include <cmath>

#include "core/grant/outcome_moments.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

constexpr float kTie = 0.03f;              /* of ln(ms): not worth memory when that is scarce, nor a change */
constexpr float kSettledWithin = 0.1f;     /* an interval inside +-10 % is settled too */
constexpr int kCounterpartRuns = 4;        /* of what the chosen level is judged against: all that the first executions try */
constexpr float kLongMs = 10000;           /* tried only with reason */
constexpr float kSurprise = 0.2f;          /* of ln(actual / predicted), beside two standard errors: a reason */
constexpr double kFullRate = 0.05;         /* of exploration, from which the first executions are explored as below */
constexpr uint32_t kFirstExplored = 5;
constexpr uint32_t kYoungGap = 4;
constexpr uint32_t kYoung = 20;            /* executions */
constexpr double kSettledGap = 4;          /* times 1 / explore_rate */

constexpr GrantLevel Level(int index) noexcept { return static_cast<GrantLevel>(index); }

bool Known(const GrantCurve &curve, int level) noexcept { return curve.runs[level] > WeightOfRuns(kLeastRuns) - 0.01f; }

bool AnyWithdrawnAbove(const GrantCurve &curve, int level) noexcept
{
	for (int i = level + 1; i < kNumGrantLevels; i++)
		if (curve.slower[i])
			return true;
	return false;
}

/*
 * Ties go to more memory, or to less where it is scarce. Where it is not, a lower level displaces the highest either by the
 * prior alone or when both have been tried often enough: one run would be a decision by noise.
 */
int BestOfCurve(const GrantCurve &curve, bool scarce) noexcept
{
	int highest = kNumGrantLevels - 1;
	while (highest > 0 && curve.slower[highest])
		highest--;
	const auto is_candidate = [&curve, highest, scarce](int i) {
		const bool by_prior = !(curve.runs[i] > 0) && !(curve.runs[highest] > 0);
		return i == highest || (!curve.slower[i] && (scarce || by_prior || (Known(curve, i) && Known(curve, highest))));
	};
	int best = highest;
	for (int i = 0; i < highest; i++)
		if (is_candidate(i) && curve.time[i].mean < curve.time[best].mean - kTie)
			best = i;
	int chosen = best;
	for (int i = 0; i <= highest; i++) {
		if (!is_candidate(i) || curve.time[i].mean > curve.time[best].mean + kTie)
			continue;
		if (scarce)
			return i;
		chosen = i;
	}
	return chosen;
}

/* At most `preferred`: the least that is as good but for a few percent. */
int LeastAsGood(const GrantCurve &curve, int preferred) noexcept
{
	for (int i = 0; i < preferred; i++)
		if (!curve.slower[i] && curve.time[i].mean <= curve.time[preferred].mean + kTie)
			return i;
	return preferred;
}

/* What to compare the chosen level with; the chosen level itself if nothing is worth it. */
int WorthTrying(const GrantOutcomes &outcomes, const GrantCurve &curve, int chosen, bool scarce) noexcept
{
	const int counterpart = chosen != 0 ? 0 : kNumGrantLevels - 1;
	if (!Known(curve, counterpart) ||
	    (outcomes.executions < kYoung && curve.runs[counterpart] < WeightOfRuns(kCounterpartRuns) - 0.01f))
		return counterpart;
	/* between them only where all of it is too much or too dear */
	const bool others = scarce || curve.slower[kNumGrantLevels - 1];
	int target = counterpart;
	for (int i = 0; others && i < kNumGrantLevels; i++)
		if (i != chosen && curve.runs[i] < curve.runs[target])
			target = i;
	return target;
}

bool Settled(const GrantOutcomes &outcomes, const GrantCurve &curve, int chosen, int target) noexcept
{
	if (!Known(curve, chosen) || !Known(curve, target))
		return false;
	const OutcomeDifference difference = Compare(outcomes.level[target], outcomes.level[chosen]);
	const float distance = std::fabs(difference.mean);
	return distance > 2 * difference.error || distance + 2 * difference.error < kSettledWithin;
}

/* Executions from one trial to the next. The first are the 5th, 9th, 13th and 17th: many templates are not seen more often. */
uint32_t GapAfter(const GrantOutcomes &outcomes, double rate, bool settled) noexcept
{
	constexpr double kMostGap = 1e6;
	double gap;
	if (outcomes.executions < kYoung) {
		const uint32_t last = outcomes.explored_at;
		gap = (last > 0 ? kYoungGap : kFirstExplored) * std::max(kFullRate / rate, 1.0);
	}
	else
		gap = std::max(1 / rate, 2.0) * (settled ? kSettledGap : 1);
	return static_cast<uint32_t>(std::min(std::round(gap), kMostGap));
}

bool IsLong(const GrantCurve &curve, int level) noexcept
{
	return !curve.time[level].HasOpinion() || curve.time[level].mean > std::log(kLongMs);
}

/* A long query is not made a trial of, unless what it is given did clearly worse than had been predicted. */
bool MayTry(const GrantOutcomes &outcomes, const GrantCurve &curve, int chosen, int target) noexcept
{
	if (!IsLong(curve, chosen) && !IsLong(curve, target))
		return true;
	const OutcomeMoments &surprise = outcomes.surprise;
	return chosen != 0 && surprise.weight > WeightOfRuns(2) - 0.01f &&
		surprise.mean > std::max(kSurprise, 2 * std::sqrt(OutcomeVariance(surprise) / surprise.weight));
}

bool IsDue(const GrantOutcomes &outcomes, const GrantCurve &curve, int chosen, int target, double rate) noexcept
{
	/* another run of what is known better than the chosen level would tell nothing */
	if (outcomes.executions + 1 < kFirstExplored || target == chosen || !(curve.runs[chosen] > 1) ||
	    curve.runs[target] > curve.runs[chosen])
		return false;
	/*
	 * At multiples of the gap, not from then on: many may be running at once, and until one of them has been learned from, all
	 * that begin would be trials.
	 */
	const bool settled = Settled(outcomes, curve, chosen, target);
	return (outcomes.executions + 1 - outcomes.explored_at) % GapAfter(outcomes, rate, settled) == 0;
}

LevelChoice Choice(int level, LevelReason reason) noexcept { return {Level(level), reason, CoverageOf(Level(level))}; }

}  // namespace

const char *LevelReasonName(LevelReason reason) noexcept
{
	switch (reason) {
		case LevelReason::kNothingLacks:
			return "nothing lacks";
		case LevelReason::kPredicted:
			return "predicted";
		case LevelReason::kProven:
			return "proven";
		case LevelReason::kWithdrawn:
			return "withdrawn";
		case LevelReason::kExploring:
			return "exploring";
		default:
			return "unknown";
	}
}

LevelChoice ChooseLevel(const GrantCurve &curve, const GrantOutcomes *outcomes, float lacking_kb, double explore_rate,
                        bool scarce) noexcept
{
	if (!(lacking_kb > 0))
		return Choice(kNumGrantLevels - 1, LevelReason::kNothingLacks);

	const int preferred = outcomes != nullptr ? outcomes->preferred - 1 : -1;
	int chosen = BestOfCurve(curve, scarce);
	if (preferred >= 0 && preferred < kNumGrantLevels && !curve.slower[preferred])
		chosen = scarce ? LeastAsGood(curve, preferred) : preferred;

	if (outcomes != nullptr && explore_rate > 0) {
		const int target = WorthTrying(*outcomes, curve, chosen, scarce);
		if (IsDue(*outcomes, curve, chosen, target, std::min(explore_rate, 1.0)) && MayTry(*outcomes, curve, chosen, target))
			return Choice(target, LevelReason::kExploring);
	}
	if (AnyWithdrawnAbove(curve, chosen))
		return Choice(chosen, LevelReason::kWithdrawn);
	const bool compared = Known(curve, chosen) && Known(curve, chosen != 0 ? 0 : kNumGrantLevels - 1);
	return Choice(chosen, compared ? LevelReason::kProven : LevelReason::kPredicted);
}

float GuardFactor(const GrantGuard &guard, float wanted_kb) noexcept
{
	constexpr float kMostFactor = 2;
	constexpr float kMostWasteKb = 1024;
	if (!(wanted_kb > 0) || !(guard.kept_kb > wanted_kb))
		return 1;
	const bool may_shrink = guard.kept_kb > 2 * guard.used_kb && guard.kept_kb - guard.used_kb > kMostWasteKb;
	if (may_shrink && guard.flips < kMostFlips)
		return 1;
	return std::min(guard.kept_kb / wanted_kb, kMostFactor);
}

}  // namespace wlm
