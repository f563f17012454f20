/*
 * hash.hpp
 *
 * 64-bit mixing for fingerprints. Fingerprints are stored in tables and must
 * mean the same after a restart and on another machine, so this may not change
 * once released: the finaliser is that of SplitMix64 (Steele et al. 2014).
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace wlm {

constexpr uint64_t Mix(uint64_t x) noexcept
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* Order matters: Combine(a, b) != Combine(b, a). */
constexpr uint64_t Combine(uint64_t seed, uint64_t value) noexcept
{
	return Mix(seed ^ (value * 0xff51afd7ed558ccdu)) + value;
}

constexpr uint64_t CombineText(uint64_t seed, const char *text) noexcept
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a over the bytes, then mixed in */
	for (; *text != '\0'; text++)
		hash = (hash ^ static_cast<unsigned char>(*text)) * 0x100000001b3u;
	return Combine(seed, hash);
}

}  // namespace wlm
