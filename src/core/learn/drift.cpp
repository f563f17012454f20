/*
 * drift.cpp
 *
 * See drift.hpp. A rank is uniform between 0 and 1 as long as nothing changes; when losses
 * double its mean is about 0.7. The sum of (rank - kExpected) therefore falls
 * while nothing changes and rises afterwards.
 */
#include "core/learn/drift.hpp"

#include <algorithm>
#include <cmath>

#include "core/learn/censoring.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

constexpr float kExpected = 0.60f;    /* half-way between what is normal and doubled losses */
constexpr float kAlarm = 5.0f;        /* e^(2 * 0.1 / variance of a rank * 5) = e^12 observations until a false alarm */
constexpr float kLeastWeight = 200;   /* losses to know what is normal; their mean rank is then within 0.02 */
constexpr float kDecay = 0.999f;
constexpr float kSuspicious = kAlarm / 2; /* from here on losses are not added to what is normal */
constexpr float kLeastDeviation = 0.02f;  /* ln */

int Bucket(float loss) noexcept
{
	const float position = 2 * std::log2(std::max(loss, 1e-12f)) + kDriftBuckets / 2.0f;
	return static_cast<int>(std::clamp(position, 0.0f, static_cast<float>(kDriftBuckets - 1)));
}

/* Of the middle of the bucket: the mean rank of what lies in it. */
float Rank(const DriftState &state, int bucket) noexcept
{
	float below = 0;
	for (int i = 0; i < bucket; i++)
		below += state.counts[i];
	return (below + state.counts[bucket] / 2) / state.weight;
}

}  // namespace

void InitDrift(DriftState *state) noexcept { *state = DriftState{}; }

bool Observe(DriftState *state, float loss) noexcept
{
	if (!(loss >= 0) || !std::isfinite(loss))
		return false;
	const int bucket = Bucket(loss);
	state->observations++;
	if (state->weight >= kLeastWeight) {
		state->rise = std::max(state->rise + Rank(*state, bucket) - kExpected, 0.0f);
		if (state->rise >= kAlarm) {
			const DriftState before = *state;
			InitDrift(state);
			state->observations = before.observations;
			state->alarms = before.alarms + 1;
			return true;
		}
		if (state->rise > kSuspicious)
			return false;
	}
	for (float &count : state->counts)
		count *= kDecay;
	state->counts[bucket] += 1;
	state->weight = state->weight * kDecay + 1;
	return false;
}

bool ObserveDrift(DriftState *state, const Experience &experience) noexcept
{
	if (!WasRun(experience) || !IsQuantity(experience.time_ms) || !IsUsable(experience.time))
		return false;
	const float error = LogMs(experience.time_ms) - experience.time.mean;
	if (TimeIsLowerBound(experience) && error <= 0)
		return false;
	/* not in predicted deviations: calibration widens those as fast as errors grow, and would hide it; ranks need no unit */
	return Observe(state, std::fabs(error));
}

}  // namespace wlm
