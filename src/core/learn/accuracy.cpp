/*
 * accuracy.cpp
 *
 * How good the predictions were: decayed histograms of the q-error per target
 * and expert, coverage of the 95 % intervals, and the factor that keeps the
 * mixture's intervals honest. Judge() has one writer at a time; readers copy
 * the struct under its sequence counter.
 *
 * The factor follows adaptive conformal inference (Gibbs and Candes 2021): a
 * miss widens, a hit narrows, in the proportion 95 : 5, so that in the long
 * run 95 % are covered, whatever the distribution does.
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
constexpr double kWantedCoverage = 0.95;
constexpr float kIntervalDeviations = 1.959964f;
constexpr double kCalibrationStep = 0.05; /* of the factor's logarithm, per score */

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

enum class Score : uint8_t { kNone, kCovered, kMissed };

Score ScoreOne(ErrorWindow *window, const Estimate &predicted, const Outcome &outcome, float share) noexcept
{
	if (!IsUsable(predicted))
		return Score::kNone;
	const float error = outcome.value - predicted.mean;
	if (outcome.lower_bound && error <= 0)
		return Score::kNone;
	const bool covered = std::fabs(error) <= kIntervalDeviations * predicted.Deviation();

	for (float &count : window->counts)
		count *= kWindowDecay;
	window->counts[ErrorBucket(std::fabs(error))] += 1;
	window->weight = window->weight * kWindowDecay + 1;
	window->covered = window->covered * kWindowDecay + (covered ? 1.0f : 0.0f);
	window->share = window->share * kWindowDecay + (share >= 0 && share <= 1 ? share : 0.0f);
	return covered ? Score::kCovered : Score::kMissed;
}

void Calibrate(float *factor, Score score, const Outcome &outcome, double step) noexcept
{
	/* that a bound lies inside the interval does not prove that the truth does */
	if (score == Score::kNone || (score == Score::kCovered && outcome.lower_bound))
		return;
	const double change = score == Score::kMissed ? kWantedCoverage : kWantedCoverage - 1;
	const float current = *factor >= kLeastCalibration && *factor <= kMostCalibration ? *factor : 1.0f;
	float next = static_cast<float>(current * std::exp(step * change));
	next = std::clamp(next, kLeastCalibration, kMostCalibration);
	__atomic_store(factor, &next, __ATOMIC_RELAXED);
}

void ScoreTarget(Accuracy *accuracy, Target target, const Outcome &outcome, const Estimate *answers,
                 const float *shares, const Estimate &mixture, double step) noexcept
{
	ErrorWindow *windows = accuracy->windows[static_cast<int>(target)];
	for (int i = 0; i < kNumExperts; i++)
		ScoreOne(&windows[i], answers[i], outcome, shares[i]);
	const Score score = ScoreOne(&windows[kNumExperts], mixture, outcome, 1.0f);
	Calibrate(&accuracy->calibration[static_cast<int>(target)], score, outcome, step);
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
	std::fill_n(accuracy->calibration, kNumTargets, 1.0f);
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

void Judge(Accuracy *accuracy, const Experience &experience) noexcept
{
	if (accuracy == nullptr || !WasRun(experience))
		return;
	accuracy->sequence.BeginWrite();
	if (IsQuantity(experience.time_ms))
		ScoreTarget(accuracy, Target::kTime, {LogMs(experience.time_ms), TimeIsLowerBound(experience)},
		            experience.time_answers, experience.time_share, experience.time, kCalibrationStep);
	if (IsQuantity(experience.query_memory_kb))
		ScoreTarget(
			accuracy, Target::kQueryMemory, {LogKb(experience.query_memory_kb), QueryMemoryIsLowerBound(experience)},
			experience.query_memory_answers, experience.memory_share, experience.query_memory, kCalibrationStep);

	/* operators of one plan err together: all of them count little more than one */
	const double step = kCalibrationStep / std::sqrt(std::max(NumScored(experience), 1));
	for (int i = 0; i < NumOperators(experience); i++) {
		const OperatorExperience &op = experience.operators[i];
		if (!(op.flags & kObserved) || !IsQuantity(op.needed_kb))
			continue;
		ScoreTarget(accuracy, Target::kOperatorMemory, {LogKb(op.needed_kb), NeedIsLowerBound(op)}, op.answers,
		            experience.memory_share, op.mixture, step);
	}
	accuracy->sequence.EndWrite();
}

}  // namespace wlm
