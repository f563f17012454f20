/*
 * target.hpp
 *
 * What is predicted, as tables of accuracy, gates and calibration count it.
 */
#pragma once

#include <cstdint>

namespace wlm {

enum class Target : uint8_t { kTime = 0, kOperatorMemory, kQueryMemory, kNumTargets };
inline constexpr int kNumTargets = static_cast<int>(Target::kNumTargets);

const char *TargetName(Target target) noexcept;

}  // namespace wlm
