/*
 * needs.cpp
 *
 * See needs.hpp.
 */
#include "core/grant/needs.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/planner_model.hpp"

namespace wlm {

namespace {

/* ExecChooseHashTableSize keeps 2 % of the limit for skewed values. */
constexpr double kSkewRoom = 1.03;

/* A bitmap that becomes lossy rechecks rows instead of writing files: a tenth of the cost, as a guess. */
constexpr double kBitmapCost = 0.1;

/*
 * With need N and limit L a hash join makes N / L batches with two files each, and each file has a buffer of 8 kB outside
 * the limit: L + 16 kB * N / L in all, which is least at L = sqrt(16 kB * N). Below, less memory uses more (HAZARDS G8).
 */
constexpr double kBatchBuffersKb = 16;

constexpr double kMostKb = 1e12; /* beyond, an estimate means nothing */

double Finite(double value) noexcept { return value > 0 && value < kMostKb ? value : 0; }

bool IsHash(MemoryClass memory) noexcept { return memory == MemoryClass::kHash || memory == MemoryClass::kParallelHash; }

double SpillMs(const PlanNode &node, const Estimate &temp, const OperatorNeed &need) noexcept
{
	switch (node.memory) {
		case MemoryClass::kUnbounded: return 0;
		case MemoryClass::kBitmap: return kSpillMsPerKb * kBitmapCost * need.need_kb * need.processes;
		default: break;
	}
	const double median = temp.HasOpinion() ? static_cast<double>(temp.At(0)) : NAN;
	if (!(median >= 0 && median < kMostKb))
		return kSpillMsPerKb * std::max(need.need_kb, 1.0) * need.processes;
	/* each participant of a Parallel Hash writes its own files */
	const double writers = std::max(1.0f, node.fold_count) * std::max(1.0f, node.processes);
	return kSpillMsPerKb * median * writers;
}

}  // namespace

double LimitMultiplier(MemoryClass memory, double hash_mem_multiplier) noexcept
{
	switch (memory) {
		case MemoryClass::kHash:
		case MemoryClass::kParallelHash:
		case MemoryClass::kHashAgg:
		case MemoryClass::kMemoize:
		case MemoryClass::kUnbounded:
			return hash_mem_multiplier;
		default:
			return 1.0;
	}
}

void FindNeed(const PlanGraph &graph, const Forecast &forecast, const GrantLimits &limits, int16_t slot, OperatorNeed *need) noexcept
{
	const int16_t index = graph.memory_node[slot];
	const PlanNode &node = graph.nodes[index];
	const MemoryClass memory = node.memory;
	const Estimate &estimate = forecast.memory[slot];
	/* a parallel hash table is one for all, with the limits of all pooled */
	const bool pooled = memory == MemoryClass::kParallelHash;
	need->whole = memory == MemoryClass::kSort || memory == MemoryClass::kIncrementalSort || memory == MemoryClass::kTuplestore;
	const double planned = std::max(1.0f, node.processes);
	const double processes = limits.most_workers >= 0 ? std::min(planned, limits.most_workers + 1.0) : planned;
	/* fewer processes have more rows each to sort; a table of groups or a hash table that each builds alone does not grow */
	const double share = need->whole ? planned / processes : 1;

	need->need_kb = estimate.HasOpinion() ? Finite(static_cast<double>(estimate.At(limits.z)) * kHeadroom * share * limits.need_factor) : 0;
	need->multiplier = LimitMultiplier(memory, limits.hash_mem_multiplier) * (pooled ? processes : 1.0);
	need->processes = std::max(1.0f, node.fold_count) * (pooled ? 1.0 : processes);
	need->session_kb = static_cast<double>(limits.session_work_mem_kb) * need->multiplier;
	need->most_kb = std::max(static_cast<double>(limits.max_work_mem_kb) * need->multiplier, need->session_kb);
	/* At the quantile it is more than may be given, but as likely as not it fits: then what may be given is worth trying. */
	if (need->whole && need->need_kb > need->most_kb &&
	    static_cast<double>(estimate.At(0)) * kHeadroom * share * limits.need_factor <= need->most_kb)
		need->need_kb = need->most_kb;
	need->unlimited = memory == MemoryClass::kUnbounded;
	need->lowerable = need->need_kb > 0 && memory != MemoryClass::kBitmap && !need->unlimited;

	/*
	 * A hash join settles how many batches it makes before it has seen a row, from the planner's estimate, and
	 * never goes back to fewer: so its limit must fit the estimate as well as the need, although it will not use more
	 * than the need.
	 */
	need->wanted_kb = need->need_kb;
	if (IsHash(memory) && need->need_kb > 0)
		need->wanted_kb = std::max(need->need_kb, Finite(FormulaMemoryKb(graph, index)) * kSkewRoom);

	const double least = static_cast<double>(limits.min_work_mem_kb) * need->multiplier;
	need->floor_kb = std::min(need->session_kb, IsHash(memory) ? std::max(least, std::sqrt(kBatchBuffersKb * need->need_kb)) : least);
	need->spill_ms = SpillMs(node, forecast.temp[slot], *need);
}

double ChargeKb(const OperatorNeed &need, double limit_kb) noexcept
{
	return need.processes * (need.unlimited ? need.need_kb : std::min(need.need_kb, limit_kb));
}

double SavedMs(const OperatorNeed &need, double limit_kb) noexcept
{
	const bool spilled = need.wanted_kb > need.session_kb;
	if (need.whole) {
		const bool spills = need.wanted_kb > limit_kb;
		return need.spill_ms * (static_cast<int>(spilled) - static_cast<int>(spills));
	}
	const double wanted = std::max(need.wanted_kb, 1.0);
	if (limit_kb < need.session_kb) /* so much more of its whole is written */
		return need.spill_ms * (std::min(1.0, limit_kb / wanted) - std::min(1.0, need.session_kb / wanted));
	if (!spilled)
		return 0;
	return need.spill_ms * (std::min(limit_kb, need.wanted_kb) - need.session_kb) / (need.wanted_kb - need.session_kb);
}

double TargetKb(const OperatorNeed &need) noexcept
{
	if (need.unlimited || need.wanted_kb <= need.session_kb || (need.whole && need.wanted_kb > need.most_kb))
		return need.session_kb;
	return std::min(need.wanted_kb, need.most_kb);
}

}  // namespace wlm
