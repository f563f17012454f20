/*
 * policy_shadow_books.hpp
 *
 * The shadow's books: who is where, what is held of slots and memory, and what
 * room that leaves, computed anew from the books for every question. Nothing
 * here is taken from the Policy but its configuration.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/decide/policy/policy.hpp"

namespace wlm::test {

struct ShadowQuery {
	QueryState state = QueryState::kFree;
	bool express = false;
	bool maintenance = false;
	bool superuser = false;     /* in the superusers' lane */
	bool untaken = false;       /* admitted while it waited, not yet seen from TakeAdmitted() */
	bool moved = false;         /* by somebody to another queue or level: has no history in its list */
	Priority priority{};
	int32_t queue = 0;
	int32_t wanted_slots = 0;
	int32_t held = 0;
	int64_t wanted_kb = 0;
	int64_t reserved_kb = 0;
	uint64_t sequence = 0;      /* of arrival */
	double timeout = -1;        /* its own; negative = that of its queue */
	double arrived = 0;
	double queued_since = 0;
	double waited = 0;          /* in earlier waits */
	bool may_wait = true;
	bool restartable = false;
	bool asked = false;         /* TakeVictim() returned it */
	int num_preempted = 0;
	double wasted = 0;
	double run_since = 0;
	double ran = 0;
	double time = 0;            /* as it counts in the key */
};

struct ShadowQueue {
	int64_t slots_used = 0, waiting_slots = 0, running = 0, express = 0, returned = 0, queued = 0, reserved_kb = 0;
	uint64_t executed = 0, timeouts = 0, rejected = 0, cancelled = 0, evicted = 0, forced = 0, preempted = 0;
	double wasted = 0;
	uint64_t let_in = 0;
	double let_in_at = -1e300;
	double started = -1e300;    /* the last start in turn that is certain */
	double stirred = -1e300;    /* the last start of any kind, or a change of the queue itself */
};

class ShadowBooks {
  public:
	std::string problem;
	std::vector<ShadowQuery> queries;
	ShadowQueue queues[kMaxQueues];
	PolicyConfig config;
	double now = 0;             /* time as the Policy must see it: never back */
	uint64_t num_checked_order = 0;
	uint64_t num_untaken_deaths = 0;
	uint64_t num_held_back = 0;
	Pressure pressure = Pressure::kNone;
	int64_t unavailable_kb = 0;
	int64_t used_kb = -1;       /* in real use, as SetUse() said, and what was reserved since */
	int32_t pool = 0;           /* limit of the pool */
	uint64_t num_pool_moves = 0;
	uint64_t num_loans = 0;     /* started into guarantees of others, against real use */
	uint64_t num_guarded = 0;   /* heads that wait since the pool is guaranteed to others */
	uint64_t num_grown = 0;
	uint64_t num_growth_refused = 0;
	uint64_t num_stopped = 0;   /* checks at which pressure kept somebody waiting */
	uint64_t num_asked = 0;
	uint64_t num_later = 0;     /* checks at which somebody was held back for the sake of those that run */
	bool interference = false;  /* the Policy knows one */
	uint64_t num_alone = 0;     /* started over the shrunken budget, since nobody else ran with memory */

	ShadowBooks(Policy *policy, int32_t max_queries) : queries(static_cast<size_t>(max_queries)), policy_(policy)
	{
		config = policy->config();
		pool = policy->pool_slots();
	}

	void Complain(const std::string &what)
	{
		if (problem.empty())
			problem = what;
	}

	ShadowQuery &At(QueryHandle handle) { return queries[static_cast<size_t>(handle)]; }

	int64_t Guarantee(int queue) const
	{
		double sum = 0;
		for (int i = 0; i < config.num_queues; i++)
			sum += config.queues[i].in_use ? static_cast<double>(config.queues[i].memory_share) : 0;
		return static_cast<int64_t>(static_cast<double>(config.budget_kb) *
									static_cast<double>(config.queues[queue].memory_share) * (sum > 1 ? 1 / sum : 1));
	}

	int64_t Most(int queue) const
	{
		return static_cast<int64_t>(static_cast<double>(config.budget_kb) *
									static_cast<double>(config.queues[queue].max_memory_share));
	}

	static bool InNormalLane(const ShadowQuery &query) { return !query.express && !query.maintenance && !query.superuser; }

	int64_t Demand(const ShadowQuery &query) const
	{
		return std::min({query.wanted_kb, Most(query.queue),
			static_cast<int64_t>(static_cast<double>(config.budget_kb) * kMaxQueryShare)});
	}

	bool Automatic(int queue) const { return config.queues[queue].max_slots == 0; }
	bool Paused(int queue) const { return config.queues[queue].intake == Intake::kPaused; }

	/* What queues hold together, of the pool or of their own. */
	int64_t Held(bool automatic) const
	{
		int64_t sum = 0;
		for (int i = 0; i < config.num_queues; i++)
			sum += Automatic(i) == automatic ? queues[i].slots_used : 0;
		return sum;
	}

	int64_t PoolRoom() const { return std::max<int64_t>(1, pool - Held(false)); }

	int64_t PartOfPool(double share) const { return std::max<int64_t>(1, static_cast<int64_t>(pool * share + 0.0001)); }

	int64_t GuaranteedSlots(int queue) const
	{
		double sum = 0;
		for (int i = 0; i < config.num_queues; i++)
			sum += config.queues[i].in_use && Automatic(i) ? static_cast<double>(config.queues[i].slot_share) : 0;
		const double share = static_cast<double>(config.queues[queue].slot_share);
		return share > 0 ? PartOfPool(sum > 1 ? share / sum : share) : 0;
	}

	int64_t MostSlots(int queue) const
	{
		return std::max(GuaranteedSlots(queue), PartOfPool(static_cast<double>(config.queues[queue].max_slot_share)));
	}

	/* Guaranteed to queues other than this one in which somebody waits. */
	int64_t WithheldSlots(int queue) const
	{
		int64_t sum = 0;
		for (int i = 0; i < config.num_queues; i++) {
			if (i != queue && Automatic(i) && !Paused(i))
				sum += std::min(queues[i].waiting_slots, std::max<int64_t>(0, GuaranteedSlots(i) - queues[i].slots_used));
		}
		return sum;
	}

	int32_t SlotsNeeded(const ShadowQuery &query) const
	{
		const int64_t limit = Automatic(query.queue) ? std::min(MostSlots(query.queue), PoolRoom()) : config.queues[query.queue].max_slots;
		return static_cast<int32_t>(std::min<int64_t>(query.wanted_slots, limit));
	}

	bool SlotFree(const ShadowQuery &query, bool with_guarantees = true) const
	{
		const int64_t wanted = SlotsNeeded(query);
		const int64_t mine = queues[query.queue].slots_used + wanted;
		if (!Automatic(query.queue))
			return mine <= config.queues[query.queue].max_slots;
		const int64_t all = Held(true) + wanted;
		if (Held(true) == 0)
			return true;
		if (mine > MostSlots(query.queue) || all > PoolRoom())
			return false;
		return !with_guarantees || mine <= GuaranteedSlots(query.queue) || all + WithheldSlots(query.queue) <= PoolRoom();
	}

	double Waited(const ShadowQuery &query) const
	{
		return query.waited + (query.state == QueryState::kQueued ? now - query.queued_since : 0);
	}

	double TimeoutOf(const ShadowQuery &query) const
	{
		if (query.num_preempted > 0)
			return 0;
		return query.timeout >= 0 ? query.timeout : static_cast<double>(config.queues[query.queue].queue_timeout_ms);
	}

	bool MayBeLater() const { return config.now_or_later && interference; }

	/* Nobody runs with memory, but for the lanes that may always do. */
	bool Alone() const
	{
		for (const ShadowQuery &query : queries) {
			if (query.state == QueryState::kRunning && InNormalLane(query) && query.reserved_kb > 0)
				return false;
		}
		return true;
	}

	bool Stopped(const ShadowQuery &query) const
	{
		return pressure == Pressure::kNoAdmission && query.priority != Priority::kCritical && Demand(query) > 0 && !Alone();
	}

	int64_t LaneLimit(bool express) const
	{
		const bool lane_open = config.express_floor_ms > 0 && !express;
		return config.budget_kb -
			(lane_open ? static_cast<int64_t>(static_cast<double>(config.budget_kb) * config.express_share) : 0);
	}

	int64_t ExpressKb() const
	{
		int64_t sum = 0;
		for (const ShadowQuery &query : queries)
			sum += query.express ? query.reserved_kb : 0;
		return sum;
	}

	int64_t WithheldFrom(int queue) const
	{
		int64_t withheld = 0;
		for (int i = 0; i < config.num_queues; i++) {
			const ShadowQueue &other = queues[i];
			if (i != queue && other.running + other.returned + (Paused(i) ? 0 : other.queued) > 0)
				withheld += std::max<int64_t>(0, Guarantee(i) - other.reserved_kb);
		}
		return withheld;
	}

	/* The part of that which nobody waits for who has a slot. */
	int64_t LendableFrom(int queue) const
	{
		int64_t lendable = 0;
		for (int i = 0; i < config.num_queues; i++) {
			const ShadowQueue &other = queues[i];
			const bool waiting = !Paused(i) && other.queued > 0;
			const bool wanted = waiting && (Automatic(i) || other.slots_used < config.queues[i].max_slots);
			if (i != queue && !wanted && (other.running + other.returned > 0 || waiting))
				lendable += std::max<int64_t>(0, Guarantee(i) - other.reserved_kb);
		}
		return lendable;
	}

	/* Whether `kb` more may be taken by one that does not wait for it. */
	bool LeftOver(const ShadowQuery &query, bool express, int64_t kb) const
	{
		const int64_t sum = reserved_kb_ + kb + unavailable_kb;
		const int64_t in_queue = queues[query.queue].reserved_kb + kb;
		return sum <= LaneLimit(express) && in_queue <= Most(query.queue) &&
			query.reserved_kb + kb <= static_cast<int64_t>(static_cast<double>(config.budget_kb) * kMaxQueryShare) &&
			query.reserved_kb + kb <= Most(query.queue) &&
			(in_queue <= Guarantee(query.queue) || sum + WithheldFrom(query.queue) <= LaneLimit(express));
	}

	bool TooLargeForExpress(const ShadowQuery &query, int64_t kb) const
	{
		return static_cast<double>(query.reserved_kb + kb) > 0.02 * static_cast<double>(config.budget_kb);
	}

	bool MayGrow(const ShadowQuery &query, int64_t kb) const
	{
		return LeftOver(query, query.express && !TooLargeForExpress(query, kb), kb);
	}

	bool MemoryFits(const ShadowQuery &query, bool with_guarantees) const
	{
		const int64_t demand = Demand(query);
		const int64_t limit = LaneLimit(query.express) - (query.express || !Alone() ? unavailable_kb : 0);
		if (demand == 0)
			return true;
		if (reserved_kb_ + demand > limit || queues[query.queue].reserved_kb + demand > Most(query.queue))
			return false;
		if (!with_guarantees || reserved_kb_ == 0 || queues[query.queue].reserved_kb + demand <= Guarantee(query.queue))
			return true;
		const int64_t withheld = WithheldFrom(query.queue);
		return reserved_kb_ + demand + withheld <= limit || LoanFits(query, demand, withheld, limit);
	}

	bool LoanFits(const ShadowQuery &query, int64_t demand, int64_t withheld, int64_t limit) const
	{
		const int64_t lendable = LendableFrom(query.queue);
		return used_kb >= 0 && pressure == Pressure::kNone && lendable > 0 && reserved_kb_ + demand + withheld - lendable <= limit &&
			used_kb + demand + withheld <= limit;
	}

	bool NeedsLoan(const ShadowQuery &query) const
	{
		const int64_t demand = Demand(query);
		return demand > 0 && reserved_kb_ > 0 && queues[query.queue].reserved_kb + demand > Guarantee(query.queue) &&
			reserved_kb_ + demand + WithheldFrom(query.queue) > LaneLimit(false);
	}

	/* The same key that the policy promises to use. */
	static double Key(const ShadowQuery &query) { return query.time + kWaitCredit * query.arrived; }

	static std::string Pair(int64_t expected, int64_t actual)
	{
		return std::to_string(expected) + "/" + std::to_string(actual);
	}

	int64_t reserved_kb() const { return reserved_kb_; }

  protected:
	Policy *policy_;
	int64_t reserved_kb_ = 0;
};

}  // namespace wlm::test
