/*
 * predict_trace.cpp
 *
 * Arrivals and ends in the order of time; each arrival is answered from the
 * sums of the ends before it.
 */
#include "core/simulate/predict_trace.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/hash.hpp"

namespace wlm {

namespace {

/*
 * Of a moment's weight with every observation: half of it is in the last 700, 70, 4 and 7. What a stream does drifts: on the trace
 * of bench/simulate/README.md the error within a stream is mostly that of its query before.
 */
constexpr double kFadingOfAll = 0.999;
constexpr double kFadingOfTemplate = 0.99;
constexpr double kFadingOfStream = 0.85;
constexpr double kFadingOfBoth = 0.9;
constexpr double kFadingOfErrors = 0.98;
constexpr double kShrinkage = 0.5;      /* observations that the coarser estimate is worth */
constexpr double kFirstVariance = 1.0;  /* of the logarithm, before there are errors to learn from; worth kShrinkage observations */

/* Faded sums of what is left of the logarithm when the coarser effects are taken off, and of the errors that were made. */
struct Moments {
	uint64_t key;               /* 0 = free */
	double weight;
	double sum;
	double error_weight;
	double squared_error;

	double Effect() const noexcept { return sum / (weight + kShrinkage); }
	double Variance(double towards) const noexcept { return (squared_error + kShrinkage * towards) / (error_weight + kShrinkage); }

	void Learn(double rest, double fading) noexcept
	{
		weight = fading * weight + 1;
		sum = fading * sum + rest;
	}

	void LearnError(double error, double fading) noexcept
	{
		error_weight = fading * error_weight + 1;
		squared_error = fading * squared_error + error * error;
	}
};

/* Open addressing, never full: three keys for each query at most, and room for twice that. */
class Table {
  public:
	Table(Moments *slots, size_t size) noexcept : slots_(slots), mask_(size - 1) {}

	Moments *Find(uint64_t key) noexcept
	{
		key = key == 0 ? 1 : key;
		for (size_t place = Mix(key) & mask_;; place = (place + 1) & mask_) {
			if (slots_[place].key == 0)
				slots_[place].key = key;
			if (slots_[place].key == key)
				return &slots_[place];
		}
	}

  private:
	Moments *slots_;
	size_t mask_;
};

size_t TableSize(size_t num_queries) noexcept { return std::bit_ceil(6 * num_queries + 8); }

/* The effects that make up a prediction. A query with one key has no more than that effect. */
struct Effects {
	Moments *of_template;
	Moments *of_stream;
	Moments *of_both;
};

class Predictor {
  public:
	explicit Predictor(Table table) noexcept : table_(table) {}

	Predicted Predict(const Observed &query, double sigmas) noexcept
	{
		if (!(all_.weight > 0))
			return Predicted{};
		const Effects effects = Find(query);
		const Moments &finest = Finest(effects);
		double mean = all_.sum / all_.weight;
		for (const Moments *moments : {effects.of_template, effects.of_stream, effects.of_both})
			mean += moments != nullptr ? moments->Effect() : 0;
		/* The mean itself is uncertain: by its variance over what it rests on. */
		const double variance = finest.Variance(all_.Variance(kFirstVariance)) * (1 + 1 / (finest.weight + kShrinkage));
		return Predicted{std::exp(mean), std::exp(mean + sigmas * std::sqrt(variance))};
	}

	/* `predicted`: its median then, 0 if there was none. Each effect learns what the others leave. */
	void Learn(const Observed &query, double predicted) noexcept
	{
		const Effects effects = Find(query);
		const double value = std::log(std::max(1.0, query.value));
		all_.Learn(value, kFadingOfAll);
		const double rest = value - all_.sum / all_.weight;
		const double of_template = effects.of_template != nullptr ? effects.of_template->Effect() : 0;
		const double of_stream = effects.of_stream != nullptr ? effects.of_stream->Effect() : 0;
		if (effects.of_both != nullptr)
			effects.of_both->Learn(rest - of_template - of_stream, kFadingOfBoth);
		if (effects.of_template != nullptr)
			effects.of_template->Learn(rest - of_stream, kFadingOfTemplate);
		if (effects.of_stream != nullptr)
			effects.of_stream->Learn(rest - of_template, kFadingOfStream);
		if (predicted > 0) {
			const double error = value - std::log(predicted);
			Moments &finest = Finest(effects);
			finest.LearnError(error, kFadingOfErrors);
			if (&finest != &all_)
				all_.LearnError(error, kFadingOfAll);
		}
	}

  private:
	Effects Find(const Observed &query) noexcept
	{
		Effects effects{};
		if (query.template_key != 0)
			effects.of_template = table_.Find(Combine(1, query.template_key));
		if (query.stream_key != 0)
			effects.of_stream = table_.Find(Combine(2, query.stream_key));
		if (query.template_key != 0 && query.stream_key != 0)
			effects.of_both = table_.Find(Combine(query.template_key, query.stream_key));
		return effects;
	}

	Moments &Finest(const Effects &effects) noexcept
	{
		for (Moments *const moments : {effects.of_both, effects.of_template, effects.of_stream}) {
			if (moments != nullptr)
				return *moments;
		}
		return all_;
	}

	Table table_;
	Moments all_{};
};

}  // namespace

size_t PredictTraceBytes(int64_t num_queries) noexcept
{
	const size_t count = static_cast<size_t>(std::max<int64_t>(0, num_queries));
	return TableSize(count) * sizeof(Moments) + count * sizeof(int64_t);
}

bool PredictTrace(std::span<const Observed> trace, double sigmas, std::span<std::byte> memory, std::span<Predicted> predictions) noexcept
{
	if (memory.size() < PredictTraceBytes(static_cast<int64_t>(trace.size())) || predictions.size() < trace.size() ||
		reinterpret_cast<uintptr_t>(memory.data()) % 8 != 0)
		return false;

	const size_t table_bytes = TableSize(trace.size()) * sizeof(Moments);
	std::memset(memory.data(), 0, table_bytes);
	Predictor predictor(Table(reinterpret_cast<Moments *>(memory.data()), TableSize(trace.size())));
	int64_t *const by_end = reinterpret_cast<int64_t *>(memory.data() + table_bytes);
	for (size_t i = 0; i < trace.size(); i++)
		by_end[i] = static_cast<int64_t>(i);
	std::sort(by_end, by_end + trace.size(), [&](int64_t a, int64_t b) {
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
			predictor.Learn(trace[ended], predictions[ended].median);
		}
		predictions[i] = predictor.Predict(trace[i], sigmas);
	}
	return true;
}

}  // namespace wlm
