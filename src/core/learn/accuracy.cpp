/*
 * accuracy.cpp
 *
 * How good the predictions were: decayed histograms of the q-error per target
 * and expert, coverage of the 95 % intervals, and the factors that keep the
 * mixture's intervals honest. Judge() has one writer at a time; readers copy
 * the struct under its sequence counter.
 *
 * The factors follow adaptive conformal inference (Gibbs and Candes 2021), each
 * side by itself: a miss above widens upwards, a hit narrows, in the proportion
 * 95 : 5, so that in the long run 5 % lie above z = 1.645 whatever the
 * distribution does; below likewise with 2.5 % and z = -1.96. The quantile
 * between anchors is a normal distribution's: where tails are heavy the 97.5 %
 * bound is passed a little more often (t with two degrees of freedom: 3.7 %).
 */
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/learn/censoring.hpp"
#include "core/learn/learner.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/mixture.hpp"
#include "core/predict/plan_features.hpp"

namespace wlm {

namespace {

constexpr float kWindowDecay = 0.9977f; /* half of the weight is gone after 300 scores */
constexpr float kIntervalDeviations = 1.959964f;

/* What is anchored: "95 % of the time it needs at most this", and half of what the 95 % interval may miss below. */
constexpr float kUpperDeviations = 1.644854f;
constexpr float kMissedAbove = 0.05f;
constexpr float kLowerDeviations = kIntervalDeviations;
constexpr float kMissedBelow = 0.025f;

constexpr float kCalibrationStep = 0.05f; /* of the factors' logarithms, per score */
constexpr float kEagerness = 2;           /* how much faster a new class's own part moves */
constexpr float kNewClassScores = 50;
constexpr float kMostClassScores = 1e6f;
constexpr float kLeastLogFactor = -2.302585f; /* of kLeastCalibration */
constexpr float kMostLogFactor = 2.995732f;   /* of kMostCalibration */

/* Buckets of ln(q-error): narrow where good predictions differ, then 10 %; the last is open. */
constexpr int kNarrowBuckets = 24;
constexpr float kNarrowWidth = 0.02f;
constexpr float kWideWidth = 0.1f;
constexpr float kNarrowEnd = kNarrowBuckets * kNarrowWidth;

int ErrorBucket(float log_error) noexcept
{
	const float position =
		log_error < kNarrowEnd ? log_error / kNarrowWidth : kNarrowBuckets + (log_error - kNarrowEnd) / kWideWidth;
	return static_cast<int>(std::clamp(position, 0.0f, static_cast<float>(kErrorBuckets - 1)));
}

float BucketStart(int bucket) noexcept
{
	return bucket < kNarrowBuckets ? static_cast<float>(bucket) * kNarrowWidth
								   : kNarrowEnd + static_cast<float>(bucket - kNarrowBuckets) * kWideWidth;
}

double ErrorQuantile(const ErrorWindow &window, double probability) noexcept
{
	double total = 0;
	for (const float count : window.counts)
		total += count;
	double left = probability * total;
	for (int i = 0; i < kErrorBuckets; i++) {
		const double count = window.counts[i];
		if (count > 0 && left <= count)
			return std::exp(BucketStart(i) + (BucketStart(i + 1) - BucketStart(i)) * left / count);
		left -= count;
	}
	return std::exp(BucketStart(kErrorBuckets));
}

/* What came out: ln of the quantity, and whether it is only a lower bound. */
struct Outcome {
	float value;
	bool lower_bound;
};

int ClassOf(Familiarity familiarity) noexcept
{
	return std::clamp<int>(static_cast<int>(familiarity), 0, kNumFamiliarities - 1);
}

/* False if there was nothing to score. */
bool ScoreOne(ErrorWindow *window, const Estimate &predicted, const Outcome &outcome, float share) noexcept
{
	if (!IsUsable(predicted))
		return false;
	const float error = outcome.value - predicted.mean;
	if (outcome.lower_bound && error <= 0)
		return false;
	const bool covered = outcome.value >= predicted.LogAt(-kIntervalDeviations) &&
		outcome.value <= predicted.LogAt(kIntervalDeviations);

	for (float &count : window->counts)
		count *= kWindowDecay;
	window->counts[ErrorBucket(std::fabs(error))] += 1;
	window->weight = window->weight * kWindowDecay + 1;
	window->covered = window->covered * kWindowDecay + (covered ? 1.0f : 0.0f);
	window->share = window->share * kWindowDecay + (share >= 0 && share <= 1 ? share : 0.0f);
	return true;
}

void Move(float *log_factor, float change) noexcept
{
	const float current = std::isfinite(*log_factor) ? *log_factor : 0.0f;
	float next = std::clamp(current + change, kLeastLogFactor, kMostLogFactor);
	__atomic_store(log_factor, &next, __ATOMIC_RELAXED);
}

/*
 * One side's factor after one outcome: misses widen, hits narrow, in the proportion of what is wanted. The common
 * part moves with every score, the class's own part too, faster while the class is new.
 */
void Calibrate(float *common, float *own, float step, float own_step, bool missed, float wanted) noexcept
{
	const float change = (missed ? 1.0f : 0.0f) - wanted;
	Move(common, step * change);
	Move(own, own_step * change);
}

void CalibrateBoth(CalibrationTrack *track, Familiarity familiarity, const Estimate &predicted, const Outcome &outcome,
                   float step) noexcept
{
	const int which = ClassOf(familiarity);
	const bool below = outcome.value < predicted.LogAt(-kLowerDeviations);
	const bool above = outcome.value > predicted.LogAt(kUpperDeviations);
	/* that a bound lies inside the interval does not prove that the truth does */
	if (outcome.lower_bound && !above)
		return;
	float *scores = &track->class_scores[which];
	const float before = *scores >= 0 && *scores <= kMostClassScores ? *scores : 0.0f;
	*scores = std::min(before + 1, kMostClassScores);
	const float own_step = step * (1 + kEagerness * kNewClassScores / (kNewClassScores + before));
	Calibrate(&track->lower, &track->class_lower[which], step, own_step, below, kMissedBelow);
	Calibrate(&track->upper, &track->class_upper[which], step, own_step, above, kMissedAbove);
}

void ScoreTarget(Accuracy *accuracy, Target target, const Outcome &outcome, const Estimate *answers,
                 const float *shares, const Estimate &mixture, Familiarity familiarity, float step) noexcept
{
	ErrorWindow *windows = accuracy->windows[static_cast<int>(target)];
	for (int i = 0; i < kNumExperts; i++)
		ScoreOne(&windows[i], answers[i], outcome, shares[i]);
	if (ScoreOne(&windows[kNumExperts], mixture, outcome, 1.0f))
		CalibrateBoth(&accuracy->calibration[static_cast<int>(target)], familiarity, mixture, outcome, step);
}

float LoadLog(const float &log_factor) noexcept
{
	float value;
	__atomic_load(&log_factor, &value, __ATOMIC_RELAXED);
	return value >= kLeastLogFactor && value <= kMostLogFactor ? value : 0.0f;
}

float Factor(float log_factor) noexcept { return std::exp(std::clamp(log_factor, kLeastLogFactor, kMostLogFactor)); }

Factors FactorsOf(const CalibrationTrack &track, int which) noexcept
{
	/* that intervals were too wide for plans seen before does not make them too wide for others */
	const bool seen = which == static_cast<int>(Familiarity::kPlanSeen);
	const auto shared = [seen](float common) { return seen ? common : std::max(common, 0.0f); };
	return {Factor(shared(LoadLog(track.lower)) + LoadLog(track.class_lower[which])),
	        Factor(shared(LoadLog(track.upper)) + LoadLog(track.class_upper[which]))};
}

int NumScored(const Experience &experience) noexcept
{
	int scored = 0;
	for (int i = 0; i < NumOperators(experience); i++)
		if ((experience.operators[i].flags & kObserved) && IsQuantity(experience.operators[i].needed_kb))
			scored++;
	return scored;
}

}  // namespace

const char *TargetName(Target target) noexcept
{
	switch (target) {
		case Target::kTime: return "time";
		case Target::kOperatorMemory: return "operator_memory";
		case Target::kQueryMemory: return "query_memory";
		case Target::kNumTargets: break;
	}
	return "unknown";
}

const char *JudgedName(int judged) noexcept
{
	if (judged >= 0 && judged < kNumExperts)
		return kExperts[judged].name;
	return judged == kNumExperts ? "mixture" : "unknown";
}

void InitAccuracy(Accuracy *accuracy) noexcept
{
	/* the memory may be new: an odd counter would shut out readers for ever */
	accuracy->sequence.value.store((accuracy->sequence.value.load(std::memory_order_relaxed) + 1) & ~1u,
	                               std::memory_order_relaxed);
	accuracy->sequence.BeginWrite();
	for (auto &target : accuracy->windows)
		for (ErrorWindow &window : target)
			window = ErrorWindow{};
	std::fill_n(accuracy->calibration, kNumTargets, CalibrationTrack{});
	accuracy->sequence.EndWrite();
}

AccuracyRow Summarise(const ErrorWindow &window) noexcept
{
	if (!(window.weight > 0) || !std::isfinite(window.weight)) {
		constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
		return {0, kNan, kNan, kNan, kNan, kNan};
	}
	return {window.weight,
	        ErrorQuantile(window, 0.5),
	        ErrorQuantile(window, 0.9),
	        ErrorQuantile(window, 0.95),
	        std::clamp<double>(window.covered / window.weight, 0, 1),
	        std::clamp<double>(window.share / window.weight, 0, 1)};
}

Calibration CalibrationOf(const Accuracy *accuracy, Familiarity familiarity) noexcept
{
	Calibration calibration;
	if (accuracy != nullptr)
		for (int target = 0; target < kNumTargets; target++)
			calibration.of[target] = FactorsOf(accuracy->calibration[target], ClassOf(familiarity));
	return calibration;
}

float MeanCalibration(const Accuracy &accuracy, Target target) noexcept
{
	const CalibrationTrack &track = accuracy.calibration[static_cast<int>(target)];
	float sum = 0;
	float weight = 0;
	for (int i = 0; i < kNumFamiliarities; i++) {
		const Factors factors = FactorsOf(track, i);
		const float scores = track.class_scores[i] >= 0 && track.class_scores[i] <= kMostClassScores ? track.class_scores[i] : 0;
		sum += scores * (factors.lower + factors.upper) / 2;
		weight += scores;
	}
	return weight > 0 ? sum / weight : 1.0f;
}

void Judge(Accuracy *accuracy, const Experience &experience) noexcept
{
	if (accuracy == nullptr || !WasRun(experience))
		return;
	accuracy->sequence.BeginWrite();
	if (IsQuantity(experience.time_ms))
		ScoreTarget(accuracy, Target::kTime, {LogMs(experience.time_ms), TimeIsLowerBound(experience)},
		            experience.time_answers, experience.time_share, experience.time, experience.familiarity,
		            kCalibrationStep);
	if (IsQuantity(experience.query_memory_kb))
		ScoreTarget(
			accuracy, Target::kQueryMemory, {LogKb(experience.query_memory_kb), QueryMemoryIsLowerBound(experience)},
			experience.query_memory_answers, experience.memory_share, experience.query_memory,
			experience.familiarity, kCalibrationStep);

	/* operators of one plan err together: all of them count little more than one */
	const float step = kCalibrationStep / std::sqrt(static_cast<float>(std::max(NumScored(experience), 1)));
	for (int i = 0; i < NumOperators(experience); i++) {
		const OperatorExperience &op = experience.operators[i];
		if (!(op.flags & kObserved) || !IsQuantity(op.needed_kb))
			continue;
		ScoreTarget(accuracy, Target::kOperatorMemory, {LogKb(op.needed_kb), NeedIsLowerBound(op)}, op.answers,
		            experience.memory_share, op.mixture, experience.familiarity, step);
	}
	accuracy->sequence.EndWrite();
}

}  // namespace wlm
