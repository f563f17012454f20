/*
 * overlap.hpp
 *
 * What one execution says about how queries slow each other (decide/interference.hpp):
 * what it took by what was predicted, and how much ran beside it.
 */
#pragma once

#include "core/decide/interference.hpp"
#include "core/learn/experience.hpp"

namespace wlm {

/* False if it says nothing: cut short, without a prediction, or so short that it measures the clock. */
bool OverlapOf(const Experience &experience, Overlap *overlap) noexcept;

}  // namespace wlm
