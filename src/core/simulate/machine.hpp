/*
 * machine.hpp
 *
 * Processor sharing on a virtual clock: all that run advance at the same rate,
 * so who ends next is known from the work that one query would have had done
 * since the beginning (`virtual_ms_`): a query that starts with work w ends
 * when that has grown by w, whoever comes and goes meanwhile.
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include "core/simulate/query_heap.hpp"
#include "core/simulate/simulate.hpp"

namespace wlm::simulate {

inline constexpr double kForever = std::numeric_limits<double>::infinity();

class Machine {
  public:
	Machine(std::span<const TraceQuery> trace, double processors, int64_t memory_kb, int32_t *items, int32_t *places, double *keys) noexcept
		: trace_(trace), processors_(processors), memory_kb_(memory_kb), keys_(keys), running_(items, places, keys),
		  now_ms_(trace.empty() ? 0 : trace[0].arrival_ms)
	{
	}

	double now_ms() const noexcept { return now_ms_; }
	int32_t num_running() const noexcept { return running_.size(); }
	int32_t running(int32_t i) const noexcept { return running_[i]; }
	int64_t used_kb() const noexcept { return used_kb_; }
	int64_t peak_kb() const noexcept { return peak_kb_; }
	/* Work done by all so far: processors in use, over time. */
	double busy_integral() const noexcept { return busy_integral_; }
	double running_integral() const noexcept { return running_integral_; }
	double memory_integral() const noexcept { return memory_integral_; }
	double over_memory_ms() const noexcept { return over_memory_ms_; }
	double RemainingMs(int32_t query) const noexcept { return std::max(0.0, keys_[query] - virtual_ms_); }

	double NextEndMs() const noexcept
	{
		return running_.empty() ? kForever : now_ms_ + std::max(0.0, running_.top_key() - virtual_ms_) / Rate();
	}

	/* At most to NextEndMs(). */
	void Advance(double to_ms) noexcept
	{
		const double elapsed = to_ms - now_ms_;
		if (!(elapsed > 0))
			return;
		if (!running_.empty()) {
			virtual_ms_ += elapsed * Rate();
			busy_integral_ += elapsed * Rate() * running_.size();
		}
		running_integral_ += elapsed * running_.size();
		memory_integral_ += elapsed * static_cast<double>(used_kb_);
		if (memory_kb_ > 0 && used_kb_ > memory_kb_)
			over_memory_ms_ += elapsed;
		now_ms_ = to_ms;
	}

	void Start(int32_t query, double work_ms) noexcept
	{
		keys_[query] = virtual_ms_ + work_ms;
		running_.Push(query);
		used_kb_ += trace_[static_cast<size_t>(query)].memory_kb;
		peak_kb_ = std::max(peak_kb_, used_kb_);
	}

	/* Returns what is left of its work. */
	double Stop(int32_t query) noexcept
	{
		const double remaining = RemainingMs(query);
		running_.Remove(query);
		used_kb_ -= trace_[static_cast<size_t>(query)].memory_kb;
		if (running_.empty())
			virtual_ms_ = 0;    /* keeps the clock precise over long traces */
		return remaining;
	}

	/* The one that ends at NextEndMs(), to which the clock is moved. */
	int32_t End() noexcept
	{
		const int32_t query = running_.top();
		Advance(NextEndMs());
		virtual_ms_ = std::max(virtual_ms_, running_.top_key());
		Stop(query);
		return query;
	}

  private:
	double Rate() const noexcept { return std::min(1.0, processors_ / running_.size()); }

	std::span<const TraceQuery> trace_;
	double processors_;
	int64_t memory_kb_;
	double *keys_;
	QueryHeap running_;
	double now_ms_;
	double virtual_ms_ = 0;
	int64_t used_kb_ = 0;
	int64_t peak_kb_ = 0;
	double busy_integral_ = 0;
	double running_integral_ = 0;
	double memory_integral_ = 0;
	double over_memory_ms_ = 0;
};

}  // namespace wlm::simulate
