/*
 * as_recorded.hpp
 *
 * What a trace itself says, beside what is simulated on it: the figures of a
 * SimulationResult for what really happened, and predictions for queries that
 * came without any. Pure arithmetic; scratch memory from the caller.
 */
#pragma once

#include <cstdint>
#include <span>

#include "core/simulate/simulate.hpp"

namespace wlm {

/*
 * Fills what can be known: everything but the counts of events (num_forced and below), which stay 0, and p95 and the like of nothing,
 * which are NaN. Queue times that are unknown (negative) make all that rests on them NaN. execution_ms[i] is what query i took among
 * the others. `values`: one for each query; `order`: two for each.
 */
void SummarizeRecorded(std::span<const TraceQuery> trace, std::span<const double> execution_ms, double short_ms, int64_t memory_kb,
                       std::span<double> values, std::span<int64_t> order, SimulationResult *result) noexcept;

/*
 * For a trace that names a template for each query but no predicted time: what one would have said when the query came who had seen the
 * template's queries that had ended by then. Geometric mean and 80 % quantile; unknown (0) for the first of a template. `ended_ms`:
 * when each query had ended; `order`: two for each query.
 */
void PredictByTemplate(std::span<TraceQuery> trace, std::span<const int64_t> templates, std::span<const double> ended_ms,
                       std::span<int64_t> order) noexcept;

}  // namespace wlm
