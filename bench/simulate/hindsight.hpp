/*
 * hindsight.hpp
 *
 * Predictions that know the whole trace, but of a query no more than what it
 * shares with others: the mean of the logarithm of the work of its template in
 * its stream, and, if wanted, by how much its stream was off from that in the
 * five minutes in which it came (both fitted together). No server can know that
 * beforehand: what is lost with these is what prediction by template and stream
 * must lose. They even flatter, since each mean has the query itself in it.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/hash.hpp"
#include "core/simulate/simulate.hpp"

namespace wlm::bench {

inline constexpr double kPartMs = 300000;
inline constexpr int kRounds = 20;          /* each effect is fitted to what the other leaves, in turns; after ten nothing changes */

struct Mean {
	double sum = 0;
	double count = 0;
};

/* means[i] = mean of the values that have the key of i */
inline void FitMeans(const std::vector<uint64_t> &keys, const std::vector<double> &values, std::vector<double> *means)
{
	std::unordered_map<uint64_t, Mean> of;
	for (size_t i = 0; i < keys.size(); i++) {
		of[keys[i]].sum += values[i];
		of[keys[i]].count++;
	}
	for (size_t i = 0; i < keys.size(); i++)
		(*means)[i] = of[keys[i]].sum / of[keys[i]].count;
}

inline void TellInHindsight(bool minutes, std::vector<TraceQuery> *trace)
{
	const size_t count = trace->size();
	std::vector<uint64_t> kinds, parts;
	std::vector<double> logarithms, of_kind(count), of_part(count), rest(count);
	for (const TraceQuery &query : *trace) {
		kinds.push_back(Combine(query.keys.template_key, query.keys.stream_key));
		parts.push_back(Combine(query.keys.stream_key, static_cast<uint64_t>((query.arrival_ms - trace->front().arrival_ms) / kPartMs)));
		logarithms.push_back(std::log(std::max(1.0, query.work_ms)));
	}
	for (int round = 0; round < (minutes ? kRounds : 1); round++) {
		for (size_t i = 0; i < count; i++)
			rest[i] = logarithms[i] - of_part[i];
		FitMeans(kinds, rest, &of_kind);
		if (!minutes)
			break;
		for (size_t i = 0; i < count; i++)
			rest[i] = logarithms[i] - of_kind[i];
		FitMeans(parts, rest, &of_part);
	}
	double squares = 0;
	for (size_t i = 0; i < count; i++)
		squares += std::pow(logarithms[i] - of_kind[i] - of_part[i], 2);
	const double spread = std::sqrt(squares / static_cast<double>(std::max<size_t>(1, count)));
	for (size_t i = 0; i < count; i++) {
		(*trace)[i].predicted_ms = std::exp(of_kind[i] + of_part[i]);
		(*trace)[i].predicted_upper_ms = (*trace)[i].predicted_ms * std::exp(kUpperTimeQuantile * spread);
	}
}

}  // namespace wlm::bench
