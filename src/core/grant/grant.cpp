/*
 * grant.cpp
 *
 * One work_mem per query. The total over all operators and processes grows
 * with work_mem, so the largest one that fits the query's share is found by
 * bisection over a monotone function.
 */
#include "core/grant/grant.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/planner_model.hpp"

namespace wlm {

namespace {

/* Allocation is in powers of two in places (hash tables, tuplesort's array): leave room for it. */
constexpr double kHeadroom = 1.15;

/* What an executor needs beside its operators: expression states, slots, catalog caches. */
constexpr double kBaseKb = 512;

struct Need {
	double kb;          /* upper quantile of one process */
	double processes;
	double multiplier;
};

double TotalKb(const Need *needs, int count, double work_mem_kb) noexcept
{
	double total = 0;
	for (int i = 0; i < count; i++)
		total += needs[i].processes * std::min(needs[i].kb, work_mem_kb * needs[i].multiplier);
	return total;
}

/*
 * The limit that an operator should find. A hash join settles how many batches it makes before it
 * has seen a row, from the planner's estimate, and never goes back to fewer: so its limit must fit
 * the estimate as well as the need, although it will not use more than the need.
 */
double WantedKb(const PlanGraph &graph, int16_t index, double need_kb) noexcept
{
	const MemoryClass memory = graph.nodes[index].memory;

	if (memory != MemoryClass::kHash && memory != MemoryClass::kParallelHash)
		return need_kb;
	const double planned_kb = FormulaMemoryKb(graph, index);
	return std::isfinite(planned_kb) ? std::max(need_kb, planned_kb) : need_kb;
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

void ComputeGrant(const PlanGraph &graph, const Forecast &forecast, const GrantLimits &limits, Grant *grant) noexcept
{
	Need needs[kMaxMemoryNodes];
	const double session = static_cast<double>(limits.session_work_mem_kb);
	double wanted = session;
	double upper_needs = 0;
	int count = 0;

	grant->num_operators = 0;
	grant->work_mem_kb = limits.session_work_mem_kb;
	grant->reservation_kb = static_cast<int64_t>(kBaseKb);
	grant->raises = false;
	grant->adjusts = false;
	grant->lacking_kb = 0;
	grant->coverage = 1;
	grant->saved_ms = 0;
	grant->lifetimes.num_moments = 0;
	grant->lifetimes.released = 0;
	if (!forecast.has_opinion || graph.overflow)
		return;

	for (int16_t slot = 0; slot < forecast.num_memory_nodes; slot++) {
		const PlanNode &node = graph.nodes[graph.memory_node[slot]];
		const Estimate &estimate = forecast.memory[slot];
		const double need = estimate.HasOpinion() ? estimate.At(limits.z) * kHeadroom : 0;
		OperatorGrant &operator_grant = grant->operators[count];

		/* A parallel hash table is one for all, with the limits of all pooled. */
		const bool pooled = node.memory == MemoryClass::kParallelHash;
		needs[count].kb = std::isfinite(need) ? need : 0;
		needs[count].multiplier = LimitMultiplier(node.memory, limits.hash_mem_multiplier) *
		                          (pooled ? std::max(1.0f, node.processes) : 1.0f);
		needs[count].processes = static_cast<double>(std::max(1.0f, node.fold_count)) *
		                         (pooled ? 1.0f : std::max(1.0f, node.processes));
		operator_grant.plan_node_id = node.plan_node_id;
		operator_grant.memory_slot = slot;
		operator_grant.released = false;
		operator_grant.need_kb = static_cast<float>(needs[count].kb);
		operator_grant.processes = static_cast<float>(needs[count].processes);
		wanted = std::max(wanted, WantedKb(graph, graph.memory_node[slot], needs[count].kb) / needs[count].multiplier);
		upper_needs += needs[count].kb * needs[count].processes;
		count++;
	}

	double work_mem = session;
	if (limits.may_raise && wanted > session) {
		wanted = std::max(wanted, static_cast<double>(limits.min_work_mem_kb));
		wanted = std::min(wanted, static_cast<double>(limits.max_work_mem_kb));
		work_mem = std::max(wanted, session);

		const double share = static_cast<double>(limits.max_query_kb) - kBaseKb;
		if (TotalKb(needs, count, work_mem) > share) {
			double low = session, high = work_mem;
			for (int step = 0; step < 24 && high - low > 64; step++) {
				const double middle = (low + high) / 2;
				(TotalKb(needs, count, middle) <= share ? low : high) = middle;
			}
			work_mem = low;
		}
	}

	grant->work_mem_kb = static_cast<int64_t>(std::ceil(work_mem));
	grant->raises = grant->work_mem_kb > limits.session_work_mem_kb;
	for (int i = 0; i < count; i++) {
		const double limit = static_cast<double>(grant->work_mem_kb) * needs[i].multiplier;
		grant->operators[i].work_mem_kb = static_cast<float>(grant->work_mem_kb);
		grant->operators[i].limit_kb = static_cast<float>(limit);
		grant->operators[i].expected_kb = static_cast<float>(std::min(limit, needs[i].kb));
	}
	grant->num_operators = static_cast<int16_t>(count);

	/*
	 * The quantile of the sum is below the sum of the quantiles; but what does not fit under its
	 * limit will spill instead of using more.
	 */
	double total = TotalKb(needs, count, static_cast<double>(grant->work_mem_kb));
	if (forecast.query_memory.HasOpinion()) {
		const double quantile = forecast.query_memory.At(limits.z);
		if (std::isfinite(quantile) && upper_needs > 0)
			total = std::min(total, std::max(quantile, 0.0));
	}
	grant->reservation_kb = static_cast<int64_t>(std::ceil(total + kBaseKb));
}

}  // namespace wlm
