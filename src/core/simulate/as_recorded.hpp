/*
 * as_recorded.hpp
 *
 * What a trace itself says, beside what is simulated on it: the figures of a
 * SimulationResult for what really happened. Pure arithmetic; scratch memory
 * from the caller.
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

}  // namespace wlm
