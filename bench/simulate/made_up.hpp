/*
 * made_up.hpp
 *
 * Traces to check a choice with that was made on a real one: 15 streams, of
 * which few send most, and whose durations drift; 20 templates; log-normal all
 * over. Arrivals are Poisson's, or come in bursts: six times as many during
 * some seven minutes as during the next.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "core/simulate/simulate.hpp"

namespace wlm::bench {

inline std::vector<TraceQuery> MakeUp(bool bursts, uint64_t seed)
{
	constexpr size_t kQueries = 6000, kStreams = 15, kTemplates = 20;
	constexpr double kGapMs = 600, kPhaseMs = 400000, kMany = 2.5, kFew = 0.4;
	constexpr double kDriftStep = 0.05, kDriftReturn = 0.005;
	std::mt19937_64 random(seed);
	std::normal_distribution<double> normal(0, 1);
	std::exponential_distribution<double> exponential(1);
	std::uniform_real_distribution<double> uniform(0, 1);
	std::vector<double> of_template(kTemplates), of_stream(kStreams), drift(kStreams, 0);
	for (double &effect : of_template)
		effect = normal(random);
	for (double &effect : of_stream)
		effect = 0.7 * normal(random);

	std::vector<TraceQuery> trace;
	double now = 0, rate = 1, until = 0;
	for (size_t i = 0; i < kQueries; i++) {
		if (bursts && now >= until) {
			rate = rate < kMany ? kMany : kFew;
			until = now + kPhaseMs * exponential(random);
		}
		now += kGapMs / rate * exponential(random);
		/* Pareto's: a third of them from the first stream, and so on; a fifth from anybody. */
		const double rank = uniform(random) < 0.8 ? std::pow(1 - uniform(random), -1.25) - 1 : kStreams * uniform(random);
		const size_t stream = static_cast<size_t>(std::min(rank, kStreams - 1.0));
		const size_t kind = random() % kTemplates;
		drift[stream] += kDriftStep * normal(random) - kDriftReturn * drift[stream];
		TraceQuery query{};
		query.arrival_ms = now;
		query.work_ms = 1000 * std::exp(of_template[kind] + of_stream[stream] + drift[stream] + 0.4 * normal(random));
		query.priority = Priority::kNormal;
		query.slots = 1;
		query.recorded_queue_ms = -1;
		query.keys = {kind + 1, stream + 1};
		trace.push_back(query);
	}
	return trace;
}

}  // namespace wlm::bench
