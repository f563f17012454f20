/*
 * drift.hpp
 *
 * Notices that predictions have become worse for good: a reason to train. Losses
 * are ranked among those before (so their distribution does not matter, however
 * heavy its tails), and ranks that lie too high are added up (CUSUM).
 *
 * Under stationarity fewer than 1 observation in 10,000 gives a false alarm; losses
 * that double are noticed within about 100 observations (drift_test.cpp). Sources: Page
 * (1954), continuous inspection schemes; Bakir and Reynolds (1979), with ranks.
 *
 * Plain data; one writer at a time.
 */
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/learn/experience.hpp"

namespace wlm {

inline constexpr int kDriftBuckets = 48; /* of the loss, each 2^(1/2) wide; the ends are open */

struct DriftState {
	float counts[kDriftBuckets]; /* decayed: what losses were like */
	float weight;                /* their sum */
	float rise;                  /* CUSUM of ranks */
	uint64_t observations;
	uint64_t alarms;
};
static_assert(std::is_trivially_copyable_v<DriftState> && alignof(DriftState) <= 8);

void InitDrift(DriftState *state) noexcept;

/* A loss >= 0 in any unit; others are ignored. True = alarm: what is normal is then learned anew. */
bool Observe(DriftState *state, float loss) noexcept;

/* The mixture's error of the time, in predicted deviations; of a lower bound only if it proves the prediction too low. */
bool ObserveDrift(DriftState *state, const Experience &experience) noexcept;

}  // namespace wlm
