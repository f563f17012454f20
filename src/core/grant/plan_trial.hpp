/*
 * plan_trial.hpp
 *
 * What the reader and the writer of PlanMemory must agree on.
 */
#pragma once

#include <cmath>

namespace wlm {

inline constexpr float kMostWorkMemKb = 2147483647.0f; /* MAX_KILOBYTES of PostgreSQL, 64 bits */

/* Settings of memory, kB; floats hold them to seven digits. */
inline bool SameSetting(float one_kb, float other_kb) noexcept
{
	return one_kb > 0 && std::fabs(one_kb - other_kb) <= 0.001f * one_kb;
}

}  // namespace wlm
