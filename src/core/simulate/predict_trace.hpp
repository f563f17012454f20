/*
 * predict_trace.hpp
 *
 * What would have been known about each query of a trace when it arrived: only
 * from queries that had ended by then. Much simpler than core/predict, which needs
 * plans: the logarithm is a mean plus what the template adds, what the stream adds,
 * and what this template adds in this stream, each faded and counted for little as
 * long as there is little evidence, as recall does with template and plan.
 * Nothing is known before the first query has ended.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace wlm {

struct Observed {
	double arrival_ms;          /* not decreasing */
	double end_ms;              /* when its value became known */
	double value;               /* time or memory; under 1 counts as 1 */
	uint64_t template_key;      /* 0 = none */
	uint64_t stream_key;
};

struct Predicted {
	double median;              /* 0 = unknown */
	double upper;               /* quantile wanted */
};

/* 80 % of normally distributed values are under mean + this times sigma; 95 % under the other. */
inline constexpr double kUpperTimeQuantile = 0.8416;
inline constexpr double kUpperMemoryQuantile = 1.6449;

size_t PredictTraceBytes(int64_t num_queries) noexcept;

/* `memory`: PredictTraceBytes(), aligned to 8. False if it is too small. `sigmas`: of the upper value. */
bool PredictTrace(std::span<const Observed> trace, double sigmas, std::span<std::byte> memory, std::span<Predicted> predictions) noexcept;

}  // namespace wlm
