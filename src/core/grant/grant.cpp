/*
 * grant.cpp
 *
 * From needs (needs.hpp) through their split (split.hpp) to the grant and its
 * reservation. Runs once per managed query in the backend that is about to start it.
 */
#include "core/grant/grant.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/grant/split.hpp"

namespace wlm {

namespace {

/* The session's own setting and nothing else. */
void ResetGrant(const GrantLimits &limits, Grant *grant) noexcept
{
	grant->session_work_mem_kb = grant->work_mem_kb = limits.session_work_mem_kb;
	grant->reservation_kb = static_cast<int64_t>(kBaseKb);
	grant->raises = false;
	grant->adjusts = false;
	grant->lacking_kb = 0;
	grant->coverage = 1;
	grant->saved_ms = 0;
	grant->num_operators = 0;
	grant->lifetimes.num_moments = 0;
	grant->lifetimes.released = 0;
	std::fill_n(grant->lifetimes.released_by, kMaxMemoryNodes, kNoNode);
}

/* All that must find the same work_mem. */
SlotSet SlotsTogether(const PlanGraph &graph, const GrantLimits &limits, int count) noexcept
{
	SlotSet together = 0;
	for (int slot = 0; slot < count; slot++) {
		if (!limits.per_operator || graph.nodes[graph.memory_node[slot]].memory == MemoryClass::kParallelHash)
			together |= SlotSet{1} << slot;
	}
	return together;
}

/* What each operator lacks under the session's setting of what it could be given, all its processes. */
void FindLacking(const Split &split, double *lacking) noexcept
{
	for (int slot = 0; slot < split.num_operators; slot++) {
		const OperatorNeed &need = split.needs[slot];
		lacking[slot] = ChargeKb(need, TargetKb(need)) - ChargeKb(need, need.session_kb);
	}
}

/* Part of what is lacked that is granted, over all operators. */
double GrantedPart(const Split &split, const double *lacking) noexcept
{
	double lacked = 0, granted = 0;
	for (int slot = 0; slot < split.num_operators; slot++) {
		const OperatorNeed &need = split.needs[slot];
		const double more = ChargeKb(need, split.work_mem_kb[slot] * need.multiplier) - ChargeKb(need, need.session_kb);
		lacked += lacking[slot];
		granted += std::clamp(more, 0.0, lacking[slot]);
	}
	return lacked > 0 ? std::min(granted / lacked, 1.0) : 1.0;
}

void FillOperators(const PlanGraph &graph, const Split &split, double *charges, Grant *grant) noexcept
{
	double saved = 0;
	for (int16_t slot = 0; slot < split.num_operators; slot++) {
		const OperatorNeed &need = split.needs[slot];
		const double limit = split.work_mem_kb[slot] * need.multiplier;
		OperatorGrant *filled = &grant->operators[slot];
		charges[slot] = ChargeKb(need, limit);
		saved += SavedMs(need, limit);
		filled->plan_node_id = graph.nodes[graph.memory_node[slot]].plan_node_id;
		filled->memory_slot = slot;
		filled->released = (grant->lifetimes.released >> slot & 1) != 0;
		filled->processes = static_cast<float>(need.processes);
		filled->work_mem_kb = static_cast<float>(split.work_mem_kb[slot]);
		filled->limit_kb = static_cast<float>(limit);
		filled->need_kb = static_cast<float>(need.need_kb);
		filled->expected_kb = static_cast<float>(charges[slot] / need.processes);
		grant->adjusts |= split.work_mem_kb[slot] != static_cast<double>(grant->work_mem_kb);
	}
	grant->saved_ms = static_cast<float>(saved);
	grant->num_operators = static_cast<int16_t>(split.num_operators);
}

/*
 * The quantile of the sum is below the sum of the quantiles; but what does not fit under its
 * limit will spill instead of using more.
 */
int64_t ReservedKb(const Forecast &forecast, const GrantLimits &limits, double fullest_kb) noexcept
{
	double total = fullest_kb;
	if (total > 0 && forecast.query_memory.HasOpinion()) {
		const double quantile = static_cast<double>(forecast.query_memory.At(limits.z)) * limits.need_factor;
		if (std::isfinite(quantile))
			total = std::min(total, std::max(quantile, 0.0));
	}
	return static_cast<int64_t>(std::ceil(total + kBaseKb - 1e-3)); /* sums of doubles */
}

}  // namespace

void ComputeGrant(const PlanGraph &graph, const Forecast &forecast, const GrantLimits &limits, Grant *grant) noexcept
{
	ResetGrant(limits, grant);
	if (!forecast.has_opinion || graph.overflow)
		return;

	Split split;
	double lacking[kMaxMemoryNodes];
	double charges[kMaxMemoryNodes];

	FindLifetimes(graph, limits.may_release, &grant->lifetimes);
	split.lifetimes = &grant->lifetimes;
	split.num_operators = std::min(forecast.num_memory_nodes, graph.num_memory_nodes);
	split.session_kb = static_cast<double>(limits.session_work_mem_kb);
	split.min_work_mem_kb = static_cast<double>(std::max<int64_t>(limits.min_work_mem_kb, 64)); /* PostgreSQL takes no less */
	split.max_work_mem_kb = static_cast<double>(limits.max_work_mem_kb);
	split.share_kb = static_cast<double>(limits.max_query_kb) - kBaseKb;
	for (int16_t slot = 0; slot < kMaxMemoryNodes; slot++) {
		if (slot < split.num_operators)
			FindNeed(graph, forecast, limits, slot, &split.needs[slot]);
		else if (slot < graph.num_memory_nodes) /* nobody foresaw anything of it */
			split.needs[slot] = OperatorNeed{};
		else
			break;
	}
	FindLacking(split, lacking);
	std::fill(lacking + split.num_operators, lacking + kMaxMemoryNodes, 0.0);
	std::fill(charges + split.num_operators, charges + kMaxMemoryNodes, 0.0);
	const double lacking_kb = FullestKb(grant->lifetimes, lacking);
	split.part_kb = limits.part >= 1 ? INFINITY : lacking_kb * std::max(static_cast<double>(limits.part), 0.0);

	BeginSplit(&split);
	if (limits.may_raise) {
		const SlotSet together = SlotsTogether(graph, limits, split.num_operators);
		if (limits.may_lower && limits.per_operator)
			LowerOperators(&split, together);
		if (limits.part > 0)
			RaiseOperators(&split, together);
		if (limits.part >= 1 && limits.ceiling > 1)
			LiftCeilings(&split, together, static_cast<double>(limits.ceiling));
		if (together != 0)
			grant->work_mem_kb = static_cast<int64_t>(split.work_mem_kb[std::countr_zero(together)]);
	}

	grant->raises = grant->work_mem_kb != limits.session_work_mem_kb;
	grant->lacking_kb = static_cast<float>(lacking_kb);
	grant->coverage = static_cast<float>(GrantedPart(split, lacking));
	FillOperators(graph, split, charges, grant);
	grant->reservation_kb = ReservedKb(forecast, limits, FullestKb(grant->lifetimes, charges));
}

}  // namespace wlm
