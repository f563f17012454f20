/*
 * interference.hpp
 *
 * How much queries slow each other, learned from observed overlap: the question
 * of IconqSched (arXiv 2501.16256), whether a query should start now or a little
 * later, with a model small enough to be learned in tens of executions:
 *
 *     slowdown(load) = 1 + slope * max(0, load - knee)
 *
 * where load is what runs beside it, weighed by how much each keeps the machine
 * busy. A query starts later if that costs less, summed over itself and those
 * that run: it would slow them by more than its own wait costs.
 */
#pragma once

#include <cstdint>
#include <span>

namespace wlm {

/* Learned coefficients; known = false: nothing is held back. */
struct Interference {
	float slope;                /* added slowdown for each unit of load over the knee */
	float knee;                 /* load that nobody feels, processors */
	bool known;
};

/* One execution beside others: what it took by what was predicted for it, and the mean load of the others meanwhile. */
struct Overlap {
	float ratio;                /* actual / predicted time, over 0 */
	float load;                 /* processors, time-weighted mean */
	float weight;               /* 0..1, less for what was hardly predictable */
};

/* Sufficient statistics by buckets of load, fading; trivially copyable, in shared memory. */
struct InterferenceLearner {
	static constexpr int kNumBuckets = 24;
	double weight[kNumBuckets];
	double sum_log_ratio[kNumBuckets];
	double sum_squared_log_ratio[kNumBuckets];
	double sum_load[kNumBuckets];
};

void InitInterference(InterferenceLearner *learner) noexcept;
void ObserveOverlap(InterferenceLearner *learner, const Overlap &overlap) noexcept;
/* The curve that fits best; known only with enough evidence at different loads. */
Interference FitInterference(const InterferenceLearner &learner) noexcept;

double Slowdown(const Interference &interference, double load) noexcept;

struct RunningQuery {
	double remaining_ms;        /* of its own work, alone; at least 0 */
	double load;
};

/*
 * What starting now costs more (over 0) or less (under 0) than starting when the first of `running` has ended,
 * in milliseconds summed over the query and all that run. 0 if nothing is known or nothing runs.
 */
double CostOfStartingNow(const Interference &interference, double time_ms, double load, std::span<const RunningQuery> running) noexcept;

}  // namespace wlm
