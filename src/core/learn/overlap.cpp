/*
 * overlap.cpp
 *
 * Predictions are medians over whatever load there was, so the ratio is relative: the
 * fit has a factor of its own for that. Who was hardly predictable counts less.
 */
#include "core/learn/overlap.hpp"

#include <cmath>

namespace wlm {

namespace {

constexpr float kLeastMs = 20;
constexpr float kUsualDeviation = 0.5f; /* of the logarithm: with that, half the weight */

}  // namespace

bool OverlapOf(const Experience &experience, Overlap *overlap) noexcept
{
	if (experience.final_state != FinalState::kCompleted || experience.censored || !(experience.time_ms >= kLeastMs) ||
		!experience.time.HasOpinion() || !(experience.load_beside >= 0))
		return false;
	const float predicted_ms = std::exp(experience.time.LogAt(0));
	if (!(predicted_ms > 0))
		return false;
	const float doubt = experience.time.Deviation() / kUsualDeviation;
	*overlap = {.ratio = experience.time_ms / predicted_ms, .load = experience.load_beside, .weight = 1 / (1 + doubt * doubt)};
	return std::isfinite(overlap->ratio) && std::isfinite(overlap->weight);
}

}  // namespace wlm
