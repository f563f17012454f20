/*
 * policy_random.hpp
 *
 * Chance for the property test: skewed numbers, random configurations; and what
 * a run of it has reached.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <utility>
#include <vector>

#include "policy_fixture.hpp"

namespace wlm::test {

struct Coverage {
	uint64_t events = 0, express = 0, queued = 0, forced = 0, let_in = 0, timed_out = 0, full = 0, table_full = 0, evicted = 0,
		configured = 0, jumps = 0, order_checks = 0, untaken_deaths = 0, over_budget = 0, passing = 0, maintenance = 0, grown = 0,
		growth_refused = 0, stopped = 0, alone = 0, superusers = 0, pool_moves = 0, loans = 0, guarded = 0, moved = 0, move_refused = 0,
		paused = 0, asked = 0, gave_way = 0, refused = 0, went_on = 0, later = 0, corrected = 0;
	int64_t most_waiting = 0;

	/* All but what may be rare. */
	std::vector<std::pair<const char *, uint64_t>> Named() const
	{
		return {{"express", express}, {"queued", queued}, {"forced", forced}, {"timed out", timed_out}, {"refused", full},
			{"let in to a queue that stands still", let_in},
			{"table full", table_full}, {"evicted", evicted}, {"configured", configured}, {"clock jumps", jumps},
			{"over budget", over_budget}, {"ended before they knew of their admission", untaken_deaths},
			{"times a starved one went first", passing}, {"comparisons of order", order_checks}, {"maintenance", maintenance},
			{"grown", grown}, {"not", growth_refused}, {"times stopped by pressure", stopped},
			{"started alone over what was left", alone}, {"superusers in their lane", superusers}, {"moves to a full queue", move_refused},
			{"moves of the pool", pool_moves}, {"loans", loans}, {"times slots kept for others", guarded},
			{"moved or of another priority", moved}, {"waits in paused queues", paused}, {"asked to give way", asked},
			{"did", gave_way}, {"not any more", refused}, {"times later", later}, {"corrections of the cut-off", corrected}};
	}
};

class Random {
  public:
	explicit Random(uint64_t seed) : random_(seed) {}

	uint64_t Below(uint64_t limit) { return std::uniform_int_distribution<uint64_t>(0, limit - 1)(random_); }
	bool Chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }
	double Skewed(double most) { return most * std::pow(std::uniform_real_distribution<double>(0, 1)(random_), 4); }

	PolicyConfig RandomConfig(bool crowd)
	{
		PolicyConfig config = test::OneQueue(2);
		const int64_t budgets[] = {0, 7, 1000, 100000, 1000000, 1000000, 1000000, 8000000};
		config.budget_kb = budgets[Below(8)];
		config.max_wait_ms = Chance(0.5) ? 1e9 : 100 + Skewed(60000);
		config.express_floor_ms = Chance(0.2) ? -1 : 10 + Skewed(5000);
		config.express_share = Chance(0.5) ? 0 : 0.4 * Skewed(1);
		config.processors = static_cast<int32_t>(1 + Below(3));
		config.total_slots = Chance(0.7) ? 0 : static_cast<int32_t>(1 + Below(20));
		config.superuser_slots = static_cast<int32_t>(Below(4));
		config.preemption = Chance(0.6);
		config.tune_express = Chance(0.5);
		config.now_or_later = Chance(0.3);
		config.max_standstill_ms = config.preemption || Chance(0.5) ? 0 : 100 + Skewed(30000);
		config.num_queues = static_cast<int32_t>(1 + Below(6));
		std::vector<int> names = {1, 2, 3, 4, 5, 6, 7, 8};
		std::shuffle(names.begin(), names.end(), random_);
		for (int i = 0; i < config.num_queues; i++) {
			QueueLimits &limits = config.queues[i];
			limits = config.queues[0];
			if (i > 0)
				std::snprintf(limits.name, sizeof(limits.name), "q%d", names[static_cast<size_t>(i)]);
			limits.in_use = i == 0 || Chance(0.9);
			limits.max_slots = Chance(0.5) ? 0 : static_cast<int32_t>(1 + Below(5));
			limits.slot_share = Chance(0.4) ? 0 : static_cast<float>(Skewed(1));
			limits.max_slot_share = Chance(0.5) ? 1 : static_cast<float>(0.01 + Skewed(1));
			limits.intake = Chance(0.85) ? Intake::kOpen : Chance(0.7) ? Intake::kPaused : Intake::kDraining;
			limits.max_queue_length = crowd || Chance(0.6) ? -1 : static_cast<int32_t>(Below(12));
			limits.memory_share = Chance(0.5) ? 0 : static_cast<float>(Skewed(1));
			limits.max_memory_share = Chance(0.5) ? 1 : static_cast<float>(0.01 + Skewed(1));
			limits.queue_timeout_ms = Chance(0.7) ? 0 : static_cast<float>(1 + Skewed(20000));
		}
		return config;
	}

  protected:
	std::mt19937_64 random_;
};

}  // namespace wlm::test
