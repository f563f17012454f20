/*
 * predict_trace.cpp
 *
 * Sums of logarithms in a hash table of the caller's memory.
 */
#include "core/simulate/predict_trace.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <new>
#include <type_traits>

#include "core/hash.hpp"

namespace wlm {

namespace {

/*
 * Of a moment's weight with every observation: half of it is in the last 700, 70, 2 and 7. What a stream does drifts: on the trace
 * of bench/simulate/README.md the error within a stream is mostly that of its query before.
 */
constexpr double kFadingOfAll = 0.999;
constexpr double kFadingOfTemplate = 0.99;
constexpr double kFadingOfStream = 0.6;
constexpr double kFadingOfBoth = 0.9;
constexpr double kFadingOfErrors = 0.98;
constexpr double kShrinkage = 0.5;      /* observations that the coarser estimate is worth */
constexpr double kFirstVariance = 1.0;  /* of the logarithm, before there are errors to learn from; worth kShrinkage observations */


}  // namespace

double TraceLearner::Moments::Effect() const noexcept { return sum / (weight + kShrinkage); }

double TraceLearner::Moments::Variance(double towards) const noexcept
{
	return (squared_error + kShrinkage * towards) / (error_weight + kShrinkage);
}

void TraceLearner::Moments::Learn(double rest, double fading) noexcept
{
	weight = fading * weight + 1;
	sum = fading * sum + rest;
}

void TraceLearner::Moments::LearnError(double error, double fading) noexcept
{
	error_weight = fading * error_weight + 1;
	squared_error = fading * squared_error + error * error;
}

/* Open addressing, never full: three keys for each query at most, and room for twice that. */
size_t TraceLearner::TableSize(int64_t num_queries) noexcept
{
	return std::bit_ceil(6 * static_cast<size_t>(std::max<int64_t>(0, num_queries)) + 8);
}

size_t TraceLearner::BytesNeeded(int64_t num_queries) noexcept { return sizeof(TraceLearner) + TableSize(num_queries) * sizeof(Moments); }

TraceLearner *TraceLearner::Init(std::span<std::byte> memory, int64_t num_queries) noexcept
{
	static_assert(std::is_trivially_copyable_v<TraceLearner> && alignof(TraceLearner) <= 8 && sizeof(TraceLearner) % alignof(Moments) == 0);
	if (memory.size() < BytesNeeded(num_queries) || reinterpret_cast<uintptr_t>(memory.data()) % 8 != 0)
		return nullptr;
	TraceLearner *const learner = ::new (static_cast<void *>(memory.data())) TraceLearner;
	learner->table_size_ = TableSize(num_queries);
	learner->Forget();
	return learner;
}

void TraceLearner::Forget() noexcept
{
	all_ = Moments{};
	std::memset(static_cast<void *>(table()), 0, table_size_ * sizeof(Moments));
}

TraceLearner::Moments *TraceLearner::FindOrAdd(uint64_t key) noexcept
{
	const uint64_t mask = table_size_ - 1;
	key = key == 0 ? 1 : key;
	for (uint64_t place = Mix(key) & mask;; place = (place + 1) & mask) {
		if (table()[place].key == 0)
			table()[place].key = key;
		if (table()[place].key == key)
			return &table()[place];
	}
}

TraceLearner::Effects TraceLearner::Find(const TraceKeys &keys) noexcept
{
	Effects effects{};
	if (keys.template_key != 0)
		effects.of_template = FindOrAdd(Combine(1, keys.template_key));
	if (keys.stream_key != 0)
		effects.of_stream = FindOrAdd(Combine(2, keys.stream_key));
	if (keys.template_key != 0 && keys.stream_key != 0)
		effects.of_both = FindOrAdd(Combine(keys.template_key, keys.stream_key));
	return effects;
}

TraceLearner::Moments &TraceLearner::Finest(const Effects &effects) noexcept
{
	for (Moments *const moments : {effects.of_both, effects.of_template, effects.of_stream}) {
		if (moments != nullptr)
			return *moments;
	}
	return all_;
}

Predicted TraceLearner::Predict(const TraceKeys &keys, double sigmas) noexcept
{
	if (!(all_.weight > 0))
		return Predicted{};
	const Effects effects = Find(keys);
	const Moments &finest = Finest(effects);
	double mean = all_.sum / all_.weight;
	for (const Moments *moments : {effects.of_template, effects.of_stream, effects.of_both})
		mean += moments != nullptr ? moments->Effect() : 0;
	/* The mean itself is uncertain: by its variance over what it rests on. */
	const double variance = finest.Variance(all_.Variance(kFirstVariance)) * (1 + 1 / (finest.weight + kShrinkage));
	return Predicted{std::exp(mean), std::exp(mean + sigmas * std::sqrt(variance))};
}

void TraceLearner::Learn(const TraceKeys &keys, double value, double predicted) noexcept
{
	const Effects effects = Find(keys);
	const double logarithm = std::log(std::max(1.0, value));
	all_.Learn(logarithm, kFadingOfAll);
	const double rest = logarithm - all_.sum / all_.weight;
	const double of_template = effects.of_template != nullptr ? effects.of_template->Effect() : 0;
	const double of_stream = effects.of_stream != nullptr ? effects.of_stream->Effect() : 0;
	if (effects.of_both != nullptr)
		effects.of_both->Learn(rest - of_template - of_stream, kFadingOfBoth);
	if (effects.of_template != nullptr)
		effects.of_template->Learn(rest - of_stream, kFadingOfTemplate);
	if (effects.of_stream != nullptr)
		effects.of_stream->Learn(rest - of_template, kFadingOfStream);
	if (predicted > 0) {
		const double error = logarithm - std::log(predicted);
		Moments &finest = Finest(effects);
		finest.LearnError(error, kFadingOfErrors);
		if (&finest != &all_)
			all_.LearnError(error, kFadingOfAll);
	}
}

size_t PredictTraceBytes(int64_t num_queries) noexcept
{
	return TraceLearner::BytesNeeded(num_queries) + static_cast<size_t>(std::max<int64_t>(0, num_queries)) * sizeof(int64_t);
}

/* Arrivals and ends in the order of time. */
bool PredictTrace(std::span<const Observed> trace, double sigmas, std::span<std::byte> memory, std::span<Predicted> predictions) noexcept
{
	const int64_t count = static_cast<int64_t>(trace.size());
	if (memory.size() < PredictTraceBytes(count) || predictions.size() < trace.size())
		return false;
	TraceLearner *const learner = TraceLearner::Init(memory, count);
	if (learner == nullptr)
		return false;

	int64_t *const by_end = reinterpret_cast<int64_t *>(memory.data() + TraceLearner::BytesNeeded(count));
	for (int64_t i = 0; i < count; i++)
		by_end[i] = i;
	std::sort(by_end, by_end + count, [&](int64_t a, int64_t b) {
		const double end_a = trace[static_cast<size_t>(a)].end_ms, end_b = trace[static_cast<size_t>(b)].end_ms;
		return end_a != end_b ? end_a < end_b : a < b;
	});

	size_t num_ended = 0;
	for (size_t i = 0; i < trace.size(); i++) {
		/* An end before its own arrival would be learned before it is asked: such nonsense waits its turn. */
		for (; num_ended < trace.size(); num_ended++) {
			const size_t ended = static_cast<size_t>(by_end[num_ended]);
			if (trace[ended].end_ms > trace[i].arrival_ms || ended >= i)
				break;
			learner->Learn(trace[ended].keys, trace[ended].value, predictions[ended].median);
		}
		predictions[i] = learner->Predict(trace[i].keys, sigmas);
	}
	return true;
}

}  // namespace wlm
