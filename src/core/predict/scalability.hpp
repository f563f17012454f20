/*
 * scalability.hpp
 *
 * How the time of a query depends on its degree of parallelism. Amdahl's curve,
 *
 *     time(w) / time(1) = (1 - f) + f / w,
 *
 * where w counts the processes that work: workers launched plus the leader,
 * which takes part unless parallel_leader_participation is off. f lies in
 * (0, 1) and is estimated in logit space (Forecast::parallel_fraction).
 *
 * What each further worker costs (its start, tuples through the queue) has no
 * parameter of its own: one server launches too few different numbers of
 * workers to tell it from f, and PostgreSQL's planner counts it already.
 */
#pragma once

#include "core/estimate.hpp"

namespace wlm {

struct RelativeTime {
	double at;   /* time(w) / time(1), in the middle */
	double low;  /* at z standard deviations: the query scales better than thought */
	double high; /* ... or worse; low <= at <= high */
};

/* Without an opinion nothing is saved for certain (at = high = 1), everything perhaps (low = 1 / processes). */
RelativeTime RelativeTimeWith(const Estimate &parallel_fraction, float processes, float z) noexcept;

/*
 * Learning f: weighted sums over runs with x = 1 / processes and y = time in any unit that all runs share.
 * Amdahl's curve is a line in x, y (not in ln y, where fitting a line puts 0.81 for 0.9 with 1 and 6 processes).
 */
struct ScalabilitySums {
	float weight;
	float x, y, xx, xy;
};

/* Errors of time are proportional to it; a function of x alone, so that it cannot bias. */
float ScalabilityWeight(float x) noexcept;

/*
 * `runs` have been summed up (decayed), ln(time) varies by log_variance over them. No opinion if they had too much
 * the same number of processes. Model variance is that of the fit, asymmetric errors near 0 and 1 drawn wide.
 */
Estimate FitParallelFraction(const ScalabilitySums &sums, float runs, float log_variance) noexcept;

}  // namespace wlm
