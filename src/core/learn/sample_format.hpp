/*
 * sample_format.hpp
 *
 * What the pool knows of an encoded sample besides EncodeSample() and
 * DecodeSample(), and what no sample exceeds, made or read. The format stands at the
 * head of sample_format.cpp.
 */
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/learn/sample.hpp"

namespace wlm {

/* The first four bytes of every record, for finding the next one in a damaged stream. */
inline constexpr uint32_t kSampleMagic = 0x736d6c77u; /* "wlms" on a little-endian machine */

inline constexpr float kMostExecutions = 1e7f; /* beyond 2^24 a float no longer counts by ones */
inline constexpr float kMostLogVariance = 300.0f; /* the widest that fits between the least and the most */
inline constexpr float kMostWorkers = 1024.0f;

inline constexpr size_t kLeastSampleBytes = 161; /* a plan of one node without a memory limit */

/* A sample's floats, in the order in which they stand in the record. */
template <class AnySample>
auto SampleNumbers(AnySample *sample) noexcept
{
	return std::array{
		&sample->executions, &sample->log_ms, &sample->log_ms_variance, &sample->time_weight, &sample->log_ms_bound,
		&sample->log_query_kb, &sample->query_kb_weight, &sample->workers_launched, &sample->weight};
}

/* Sets Sample::weight in a record that DecodeSample() or EncodeSample() knows to be whole. */
void ReweighEncodedSample(std::span<std::byte> encoded, float weight) noexcept;

}  // namespace wlm
