/*
 * sample_format.hpp
 *
 * What the pool knows of an encoded sample besides EncodeSample() and
 * DecodeSample(). The format stands at the head of sample.cpp.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/learn/sample.hpp"

namespace wlm {

/* The first four bytes of every record, for finding the next one in a damaged stream. */
inline constexpr uint32_t kSampleMagic = 0x736d6c77u; /* "wlms" on a little-endian machine */

inline constexpr size_t kLeastSampleBytes = 161; /* a plan of one node without a memory limit */

/* Sets Sample::weight in a record that DecodeSample() or EncodeSample() knows to be whole. */
void ReweighEncodedSample(std::span<std::byte> encoded, float weight) noexcept;

}  // namespace wlm
