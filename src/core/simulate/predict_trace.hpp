/*
 * predict_trace.hpp
 *
 * What would have been known about each query of a trace when it arrived: only
 * from queries that had ended by then. Much simpler than core/predict, which needs
 * plans: the logarithm is a mean plus what the template adds, what the stream adds,
 * and what this template adds in this stream, each faded and counted for little as
 * long as there is little evidence, as recall does with template and plan.
 * Nothing is known before the first query has ended.
 *
 * Either beforehand from the ends as they were recorded (PredictTrace), or within
 * a simulation from its own (SimulationConfig::learner).
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace wlm {

/* What makes queries alike, and who sends them: hashes, 0 = none. */
struct TraceKeys {
	uint64_t template_key;
	uint64_t stream_key;
};

struct Predicted {
	double median;              /* 0 = unknown */
	double upper;               /* quantile wanted */
};

/* 80 % of normally distributed values are under mean + this times sigma; 95 % under the other. */
inline constexpr double kUpperTimeQuantile = 0.8416;
inline constexpr double kUpperMemoryQuantile = 1.6449;

/* Learns one positive quantity, time or memory; under 1 counts as 1. Lives in the caller's memory. */
class TraceLearner {
  public:
	/* For as many queries as will be asked for or learned. */
	static size_t BytesNeeded(int64_t num_queries) noexcept;
	/* nullptr if the span is too small or not aligned to 8. */
	static TraceLearner *Init(std::span<std::byte> memory, int64_t num_queries) noexcept;

	void Forget() noexcept;
	/* `sigmas`: of the upper value. */
	Predicted Predict(const TraceKeys &keys, double sigmas) noexcept;
	/* `predicted`: its median when it arrived, 0 if there was none. Each effect learns what the others leave. */
	void Learn(const TraceKeys &keys, double value, double predicted) noexcept;

  private:
	/* Faded sums of what is left of the logarithm when the coarser effects are taken off, and of the errors that were made. */
	struct Moments {
		uint64_t key;           /* 0 = free */
		double weight;
		double sum;
		double error_weight;
		double squared_error;

		double Effect() const noexcept;
		double Variance(double towards) const noexcept;
		void Learn(double rest, double fading) noexcept;
		void LearnError(double error, double fading) noexcept;
	};

	/* Those that make up a prediction; null where a key is missing. */
	struct Effects {
		Moments *of_template;
		Moments *of_stream;
		Moments *of_both;
	};

	TraceLearner() = default;
	static size_t TableSize(int64_t num_queries) noexcept;
	Moments *table() noexcept { return reinterpret_cast<Moments *>(this + 1); }
	Moments *FindOrAdd(uint64_t key) noexcept;
	Effects Find(const TraceKeys &keys) noexcept;
	Moments &Finest(const Effects &effects) noexcept;

	uint64_t table_size_;
	Moments all_;
};

struct Observed {
	double arrival_ms;          /* not decreasing */
	double end_ms;              /* when its value became known */
	double value;
	TraceKeys keys;
};

size_t PredictTraceBytes(int64_t num_queries) noexcept;

/* `memory`: PredictTraceBytes(), aligned to 8. False if it is too small. */
bool PredictTrace(std::span<const Observed> trace, double sigmas, std::span<std::byte> memory, std::span<Predicted> predictions) noexcept;

}  // namespace wlm
