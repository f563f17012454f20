/*
 * moments.cpp
 *
 * See moments.hpp. Values are logarithms that have passed log_scale.hpp, so they
 * are finite and small; entries from blobs have passed IsSane().
 */
#include "core/predict/moments.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <iterator>

namespace wlm {

namespace {

constexpr float kMostLog = 101.0f; /* |any logarithm kept here|, kNoBound included */
constexpr float kRecentreAt = 0.3f;

/* Of ln(value / centre); the outermost buckets are open and drawn as wide as 1.6. */
constexpr float kSketchEdges[kSketchBuckets + 1] = {
	-4.8f, -3.2f, -1.6f, -0.8f, -0.4f, -0.2f, -0.1f, -0.05f, 0.0f, 0.05f, 0.1f, 0.2f, 0.4f, 0.8f, 1.6f, 3.2f, 4.8f,
};

int SketchBucket(float offset) noexcept
{
	int bucket = 0;
	while (bucket < kSketchBuckets - 1 && offset >= kSketchEdges[bucket + 1])
		bucket++;
	return bucket;
}

/* Moves the fine buckets to where the values are now; counts are spread evenly over their old range. */
void Recentre(QuantileSketch *sketch, float centre) noexcept
{
	QuantileSketch moved{};
	moved.centre = centre;
	const float shift = sketch->centre - centre;
	for (int from = 0; from < kSketchBuckets; from++) {
		const float low = kSketchEdges[from] + shift;
		const float high = kSketchEdges[from + 1] + shift;
		const float density = sketch->counts[from] / (high - low);
		for (int to = 0; to < kSketchBuckets; to++) {
			const float left = to == 0 ? low : std::max(low, kSketchEdges[to]);
			const float right = to == kSketchBuckets - 1 ? high : std::min(high, kSketchEdges[to + 1]);
			if (right > left)
				moved.counts[to] += density * (right - left);
		}
	}
	*sketch = moved;
}

bool Within(float value, float least, float most) noexcept { return value >= least && value <= most; }

}  // namespace

void Fold(Moments *moments, float value) noexcept
{
	const float old_weight = kRecallDecay * moments->weight;
	const float weight = old_weight + 1;
	const float delta = value - moments->mean;
	moments->mean += delta / weight;
	moments->variance = old_weight / weight * (moments->variance + delta * delta / weight);
	moments->weight = weight;
	moments->last = value;
}

bool Raise(Moments *moments, float value) noexcept
{
	if (!(moments->weight > 0) || value <= moments->mean)
		return false;
	Fold(moments, value);
	return true;
}

void AddToSketch(QuantileSketch *sketch, const Moments &moments, float value) noexcept
{
	if (moments.weight <= 1)
		*sketch = QuantileSketch{value, {}};
	else if (std::fabs(moments.mean - sketch->centre) > kRecentreAt)
		Recentre(sketch, moments.mean);
	for (float &count : sketch->counts)
		count *= kRecallDecay;
	sketch->counts[SketchBucket(value - sketch->centre)] += 1;
}

float SketchQuantile(const QuantileSketch &sketch, float probability) noexcept
{
	float total = 0;
	for (const float count : sketch.counts)
		total += count;
	float left = probability * total;
	for (int i = 0; i < kSketchBuckets; i++) {
		const float count = sketch.counts[i];
		if (count > 0 && left <= count)
			return sketch.centre + kSketchEdges[i] + (kSketchEdges[i + 1] - kSketchEdges[i]) * left / count;
		left -= count;
	}
	return sketch.centre;
}

bool IsSane(const Moments &moments) noexcept
{
	return Within(moments.weight, 0, kMostRecallWeight) && Within(moments.mean, -kMostLog, kMostLog) &&
		Within(moments.variance, 0, kMostLog * kMostLog) && Within(moments.last, -kMostLog, kMostLog);
}

bool IsSane(const QuantileSketch &sketch) noexcept
{
	return Within(sketch.centre, -kMostLog, kMostLog) &&
		std::all_of(std::begin(sketch.counts), std::end(sketch.counts),
	                [](float count) { return Within(count, 0, kMostRecallWeight); });
}

bool IsSane(const RecallEntry &entry) noexcept
{
	constexpr float kMostSum = kMostLog * kMostLog * kMostRecallWeight;
	if (entry.fingerprint == 0 || entry.num_operators < 0 || entry.num_operators > kRecallOperators ||
	    !IsSane(entry.time) || !IsSane(entry.time_sketch) || !IsSane(entry.query_memory) || !IsSane(entry.temp_bytes))
		return false;
	for (const float sum : {entry.scale_weight, entry.scale_x, entry.scale_y, entry.scale_xx, entry.scale_xy})
		if (!Within(sum, -kMostSum, kMostSum))
			return false;
	for (int i = 0; i < entry.num_operators; i++) {
		const OperatorMemory &op = entry.operators[i];
		if (!IsSane(op.needed) || !Within(op.lower_bound, -kMostLog, kMostLog) || !Within(op.spill_share, 0, 1) ||
		    op.kind >= static_cast<uint8_t>(NodeKind::kNumKinds))
			return false;
	}
	return true;
}

}  // namespace wlm
