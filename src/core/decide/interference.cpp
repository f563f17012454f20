/*
 * interference.cpp
 *
 * The learner and the model of now or later. Buckets hold the logarithm of
 * actual by predicted time: its mean is what multiplicative noise does not
 * move. The fit is y = base * (1 + slope * max(0, load - knee)): `base` takes up
 * what predictions are wrong by on the whole, the knee is searched, the line
 * above it is weighted least squares. Nothing is believed without evidence at
 * loads that differ, nor a slope that could be chance.
 */
#include "core/decide/interference.hpp"

#include <algorithm>
#include <cmath>

namespace wlm {

namespace {

constexpr int kNumBuckets = InterferenceLearner::kNumBuckets;

/* Buckets: half a processor wide up to 4, then four per doubling, the last from 53 on. */
constexpr double kFineLoad = 4.0;
constexpr double kFineBuckets = 8.0;
constexpr double kPerDoubling = 4.0;

constexpr double kMaxLoad = 256.0;              /* the last bucket is open: one absurd reading must not bend the line */
constexpr double kMaxLogRatio = 3.0;            /* 20 times: beyond that the prediction was wrong, not the neighbours busy */
constexpr double kMaxBucketWeight = 500.0;      /* what came before fades as more comes */
constexpr double kFade = 0.9999;                /* per observation, everywhere: half after 7,000 */

constexpr double kLeastWeight = 40.0;           /* of all buckets together */
constexpr double kLeastBucketWeight = 4.0;      /* of each of at least kLeastBuckets; those with less are left out */
constexpr int kLeastBuckets = 3;
constexpr double kLeastSpread = 1.0;            /* processors between the lowest and the highest of them */
constexpr double kLeastDeviation = 0.05;        /* of a single log ratio: nobody is predicted better */
constexpr double kSignificance = 3.0;           /* standard errors of the slope */
constexpr double kMaxSlope = 10.0;
constexpr int kNumKnees = 64;

constexpr int kMaxRunning = 32;

int BucketOf(double load)
{
	const double place = load < kFineLoad ? load * kFineBuckets / kFineLoad : kFineBuckets + kPerDoubling * std::log2(load / kFineLoad);
	return std::clamp(static_cast<int>(std::min(place, 1000.0)), 0, kNumBuckets - 1);
}

struct Point {
	double load;
	double ratio;
	double weight;      /* inverse variance, up to a common factor */
};

struct Line {
	double base;
	double slope;       /* of base * slope_of_the_model */
	double error;       /* weighted sum of squares */
	double spread;      /* weighted sum of squares of x about its mean */
};

Line FitLine(std::span<const Point> points, double knee)
{
	double weight = 0, x_mean = 0, y_mean = 0;
	for (const Point &point : points) {
		weight += point.weight;
		x_mean += point.weight * std::max(0.0, point.load - knee);
		y_mean += point.weight * point.ratio;
	}
	x_mean /= weight;
	y_mean /= weight;
	Line line{y_mean, 0, 0, 0};
	double product = 0;
	for (const Point &point : points) {
		const double x = std::max(0.0, point.load - knee) - x_mean;
		line.spread += point.weight * x * x;
		product += point.weight * x * (point.ratio - y_mean);
	}
	if (line.spread > 0)
		line.slope = std::max(0.0, product / line.spread);
	line.base = y_mean - line.slope * x_mean;
	for (const Point &point : points) {
		const double residual = point.ratio - line.base - line.slope * std::max(0.0, point.load - knee);
		line.error += point.weight * residual * residual;
	}
	return line;
}

/* Queries that run together: each goes on at the rate that its neighbours leave it. */
struct Race {
	double remaining_ms[kMaxRunning + 1];
	double load[kMaxRunning + 1];
	int count;

	double Slowed(const Interference &interference, int i, double total) const
	{
		return Slowdown(interference, std::max(0.0, total - load[i]));
	}

	/* Runs until the first ends, and takes it out: how long that took. */
	double Step(const Interference &interference)
	{
		double total = 0;
		for (int i = 0; i < count; i++)
			total += load[i];
		int first = 0;
		double least_ms = 0;
		for (int i = 0; i < count; i++) {
			const double ms = remaining_ms[i] * Slowed(interference, i, total);
			if (i == 0 || ms < least_ms) {
				first = i;
				least_ms = ms;
			}
		}
		for (int i = 0; i < count; i++)
			remaining_ms[i] = std::max(0.0, remaining_ms[i] - least_ms / Slowed(interference, i, total));
		count--;
		remaining_ms[first] = remaining_ms[count];
		load[first] = load[count];
		return least_ms;
	}

	/* The sum of the times until each of them has ended. */
	double Total(const Interference &interference)
	{
		double clock = 0, sum = 0;
		while (count > 0) {
			clock += Step(interference);
			sum += clock;
		}
		return sum;
	}
};

}  // namespace

void InitInterference(InterferenceLearner *learner) noexcept
{
	*learner = InterferenceLearner{};
}

void ObserveOverlap(InterferenceLearner *learner, const Overlap &overlap) noexcept
{
	const double load = std::min(kMaxLoad, static_cast<double>(overlap.load));
	const double ratio = static_cast<double>(overlap.ratio);
	if (!(ratio > 0) || !std::isfinite(ratio) || !(load >= 0) || !std::isfinite(overlap.load) || !(overlap.weight > 0))
		return;
	const double weight = std::min(1.0, static_cast<double>(overlap.weight));
	const int bucket = BucketOf(load);
	const double log_ratio = std::clamp(std::log(ratio), -kMaxLogRatio, kMaxLogRatio);
	const double full = learner->weight[bucket] + weight;
	for (int i = 0; i < kNumBuckets; i++) {
		const double keep = i == bucket && full > kMaxBucketWeight ? kFade * (kMaxBucketWeight - weight) / learner->weight[i] : kFade;
		learner->weight[i] *= keep;
		learner->sum_log_ratio[i] *= keep;
		learner->sum_squared_log_ratio[i] *= keep;
		learner->sum_load[i] *= keep;
	}
	learner->weight[bucket] += weight;
	learner->sum_log_ratio[bucket] += weight * log_ratio;
	learner->sum_squared_log_ratio[bucket] += weight * log_ratio * log_ratio;
	learner->sum_load[bucket] += weight * load;
}

Interference FitInterference(const InterferenceLearner &learner) noexcept
{
	const Interference unknown{0, 0, false};
	Point points[kNumBuckets];
	int count = 0;
	double weight = 0, squares = 0;
	for (int i = 0; i < kNumBuckets; i++) {
		if (!(learner.weight[i] >= kLeastBucketWeight))
			continue;
		const double log_ratio = learner.sum_log_ratio[i] / learner.weight[i];
		const double ratio = std::exp(log_ratio);
		Point &point = points[count++];
		point.load = learner.sum_load[i] / learner.weight[i];
		point.ratio = ratio;
		point.weight = learner.weight[i] / (ratio * ratio);     /* the deviation grows with the ratio */
		weight += learner.weight[i];
		squares += std::max(0.0, learner.sum_squared_log_ratio[i] - learner.weight[i] * log_ratio * log_ratio);
	}
	if (!(weight >= kLeastWeight) || count < kLeastBuckets || !(points[count - 1].load - points[0].load >= kLeastSpread))
		return unknown;

	/* A knee above the last bucket but one would rest on a single point. */
	const std::span<const Point> all(points, static_cast<size_t>(count));
	double best_knee = 0;
	Line best = FitLine(all, 0);
	for (int i = 1; i < kNumKnees; i++) {
		const double knee = points[count - 2].load * i / kNumKnees;
		const Line line = FitLine(all, knee);
		if (line.error < best.error) {
			best = line;
			best_knee = knee;
		}
	}

	const double deviation = std::max(kLeastDeviation, std::sqrt(squares / std::max(1.0, weight - count)));
	if (!(best.base > 0) || !(best.spread > 0) || !(best.slope > kSignificance * deviation / std::sqrt(best.spread)))
		return unknown;
	return Interference{static_cast<float>(std::min(kMaxSlope, best.slope / best.base)), static_cast<float>(best_knee), true};
}

double Slowdown(const Interference &interference, double load) noexcept
{
	const double over = load - static_cast<double>(interference.knee);
	return over > 0 ? 1 + static_cast<double>(interference.slope) * over : 1;
}

/* Both futures are played to their end; of more than kMaxRunning, those beyond are left out of both. */
double CostOfStartingNow(const Interference &interference, double time_ms, double load, std::span<const RunningQuery> running) noexcept
{
	if (!interference.known || running.empty() || !(time_ms > 0) || !std::isfinite(time_ms) || !(load >= 0))
		return 0;
	Race later{};
	for (const RunningQuery &query : running.first(std::min<size_t>(running.size(), kMaxRunning))) {
		later.remaining_ms[later.count] = query.remaining_ms > 0 ? query.remaining_ms : 0;
		later.load[later.count] = query.load > 0 ? query.load : 0;
		later.count++;
	}
	const auto join = [&](Race &race) {
		race.remaining_ms[race.count] = time_ms;
		race.load[race.count] = load;
		race.count++;
	};

	Race now = later;
	join(now);
	/* All that is summed waits through the first step of `later`: the one that ends in it, those that go on, and the query. */
	const int num_then = later.count + 1;
	const double first_ms = later.Step(interference);
	join(later);
	return now.Total(interference) - (num_then * first_ms + later.Total(interference));
}

}  // namespace wlm
