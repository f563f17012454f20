/*
 * policy_shadow.hpp
 *
 * An independent, slow and simple account of what a Policy should be doing, for
 * the property test: it learns what happened from decisions and views only,
 * keeps its own books of slots, memory and waiters, and complains through
 * `problem` when the Policy disagrees or breaks a promise.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

#include "core/decide/policy.hpp"

namespace wlm::test {

struct ShadowQuery {
	QueryState state = QueryState::kFree;
	bool express = false;
	bool maintenance = false;
	bool untaken = false;       /* admitted while it waited, not yet seen from TakeAdmitted() */
	bool moved = false;         /* by Configure to another queue: has no history in its list */
	Priority priority{};
	int32_t queue = 0;
	int32_t wanted_slots = 0;
	int32_t held = 0;
	int64_t wanted_kb = 0;
	int64_t reserved_kb = 0;
	uint64_t sequence = 0;      /* of arrival */
	double timeout = -1;        /* its own; negative = that of its queue */
	double arrived = 0;
	double run_since = 0;
	double ran = 0;
	double time = 0;            /* as it counts in the key */
};

struct ShadowQueue {
	int64_t slots_used = 0, running = 0, express = 0, returned = 0, queued = 0, reserved_kb = 0;
	uint64_t executed = 0, timeouts = 0, rejected = 0, cancelled = 0, evicted = 0, forced = 0;
};

class Shadow {
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
	uint64_t num_grown = 0;
	uint64_t num_growth_refused = 0;
	uint64_t num_stopped = 0;   /* checks at which pressure kept somebody waiting */
	uint64_t num_alone = 0;     /* started over the shrunken budget, since nobody else ran with memory */

	Shadow(Policy *policy, int32_t max_queries) : queries(static_cast<size_t>(max_queries)), policy_(policy)
	{
		config = policy->config();
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

	int64_t Demand(const ShadowQuery &query) const
	{
		return std::min({query.wanted_kb, Most(query.queue),
			static_cast<int64_t>(static_cast<double>(config.budget_kb) * kMaxQueryShare)});
	}

	int32_t Limit(int queue) const { return policy_->Counters(queue).slots; }

	bool SlotFree(const ShadowQuery &query) const
	{
		const int32_t limit = Limit(query.queue);
		return queues[query.queue].slots_used + std::min(query.wanted_slots, limit) <= limit;
	}

	/* Nobody runs with memory, but for the lanes that may always do. */
	bool Alone() const
	{
		for (const ShadowQuery &query : queries) {
			if (query.state == QueryState::kRunning && !query.express && !query.maintenance && query.reserved_kb > 0)
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
			if (i != queue && other.running + other.returned + other.queued > 0)
				withheld += std::max<int64_t>(0, Guarantee(i) - other.reserved_kb);
		}
		return withheld;
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

	/* `got` was given for a wish of `wanted`, at least `least`; the books are those before. */
	void Grown(QueryHandle handle, int64_t wanted, int64_t least, int64_t got)
	{
		ShadowQuery &query = At(handle);
		if (query.state == QueryState::kFree || query.state == QueryState::kQueued || wanted <= 0) {
			if (got != 0)
				Complain("something grew that cannot");
			return;
		}
		(got > 0 ? num_grown : num_growth_refused)++;
		least = std::clamp<int64_t>(least, 1, wanted);
		if (got < 0 || got > wanted || (got > 0 && got < least))
			Complain("grew by another amount than was asked for");
		if (got > 0 && (pressure != Pressure::kNone || !MayGrow(query, got)))
			Complain("grew by what was not there");
		int64_t due = wanted;       /* if nobody waits, there is no claim either */
		while (due > least && !MayGrow(query, due))
			due = std::max(least, due / 2);
		if (pressure == Pressure::kNone && policy_->num_queued() == 0 && got != (MayGrow(query, due) ? due : 0))
			Complain("grew by another amount than was due: " + Pair(due, got));
		const bool leaves = query.express && got > 0 && TooLargeForExpress(query, got);
		if (query.express && (policy_->View(handle).lane != Lane::kExpress) != leaves)
			Complain("growth and the express lane do not agree");
		if (leaves) {
			if (query.state == QueryState::kRunning)
				GiveSlots(query);
			query.express = false;
			if (query.state == QueryState::kRunning)
				TakeSlots(query);
			queues[query.queue].evicted++;
		}
		AddReserved(handle, got);
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
		return reserved_kb_ + demand + WithheldFrom(query.queue) <= limit;
	}

	/* The same key that the policy promises to use. */
	static double Key(const ShadowQuery &query) { return query.time + kWaitCredit * query.arrived; }

	void Queue(QueryHandle handle)
	{
		At(handle).state = QueryState::kQueued;
		queues[At(handle).queue].queued++;
	}

	/*
	 * A query runs now. `in_order`: by dispatch, so the promises of room and order hold; `checked`: the books are those
	 * of the moment of its start.
	 */
	void Run(QueryHandle handle, bool in_order, bool checked)
	{
		ShadowQuery &query = At(handle);
		ShadowQueue &queue = queues[query.queue];
		const QueryView view = policy_->View(handle);
		query.express = view.lane == Lane::kExpress;
		query.maintenance = view.lane == Lane::kMaintenance;
		if (query.state == QueryState::kQueued) {
			if (query.express)
				Complain("a query that waited is in the express lane");
			queue.queued--;
			query.state = QueryState::kFree;
		}
		if (in_order && checked)
			CheckOrder(handle);
		const bool critical = query.priority == Priority::kCritical;
		if (query.maintenance)
			CheckMaintenance(query, view);
		if (checked && !view.forced && !query.express && !query.maintenance && !SlotFree(query))
			Complain("started without a slot, not counted as forced");
		if (checked && !query.maintenance && (in_order || !view.forced)) {
			if (!MemoryFits(query, false))
				Complain("started without memory");
			if (!query.express && Stopped(query))
				Complain("started in spite of the pressure");
			num_alone += !query.express && reserved_kb_ + Demand(query) + unavailable_kb > LaneLimit(false) && Demand(query) > 0 ? 1 : 0;
		}
		if (checked && in_order && view.forced && !critical)
			Complain("started in order, but forced");
		if (checked && view.forced && SlotFree(query) && MemoryFits(query, true) && !Stopped(query))
			Complain("forced although there was room");
		query.state = QueryState::kRunning;
		query.run_since = now;
		query.ran = 0;
		query.reserved_kb = Demand(query);
		if (checked && !query.maintenance && view.reserved_kb != query.reserved_kb)
			Complain("reserved another amount than was due");
		query.reserved_kb = view.reserved_kb;
		reserved_kb_ += query.reserved_kb;
		queue.reserved_kb += query.reserved_kb;
		queue.running++;
		queue.forced += view.forced ? 1 : 0;
		TakeSlots(query);
	}

	/* What it got is what was left over; claims cannot be seen from here, but without waiters there is none. */
	void CheckMaintenance(const ShadowQuery &query, const QueryView &view)
	{
		const int64_t got = view.reserved_kb;
		if (view.forced || got < 0 || got > query.wanted_kb)
			Complain("maintenance was forced, or got more than it wanted");
		if (got > 0 && (pressure == Pressure::kNoAdmission || !LeftOver(query, false, got)))
			Complain("maintenance got what was not left over");
		if (pressure != Pressure::kNoAdmission && policy_->num_queued() == 0 && got < query.wanted_kb && LeftOver(query, false, got + 1))
			Complain("maintenance got less than was left over");
	}

	void TakeSlots(ShadowQuery &query)
	{
		if (query.maintenance)
			return;
		if (query.express) {
			queues[query.queue].express++;
			return;
		}
		query.held = std::min(query.wanted_slots, Limit(query.queue));
		queues[query.queue].slots_used += query.held;
	}

	void GiveSlots(ShadowQuery &query)
	{
		if (query.express)
			queues[query.queue].express--;
		queues[query.queue].slots_used -= query.held;
		query.held = 0;
	}

	void End(QueryHandle handle)
	{
		ShadowQuery &query = At(handle);
		ShadowQueue &queue = queues[query.queue];
		if (query.state == QueryState::kQueued)
			queue.queued--;
		else {
			if (query.state == QueryState::kRunning) {
				queue.running--;
				GiveSlots(query);
			} else
				queue.returned--;
			reserved_kb_ -= query.reserved_kb;
			queue.reserved_kb -= query.reserved_kb;
		}
		num_untaken_deaths += query.untaken ? 1 : 0;
		query = ShadowQuery{};
	}

	/*
	 * Nobody of the same queue and priority who came earlier, is ahead by key and wants no more may still wait: he would
	 * have fitted. So a later one overtakes him only if it came less than his time / kWaitCredit after him.
	 */
	void CheckOrder(QueryHandle started)
	{
		const ShadowQuery &mine = At(started);
		for (const ShadowQuery &other : queries) {
			if (other.state != QueryState::kQueued || other.queue != mine.queue || other.priority != mine.priority ||
				other.sequence > mine.sequence || other.moved || mine.moved)
				continue;
			num_checked_order++;
			if (Key(other) < Key(mine) - 1e-6 && other.wanted_slots <= mine.wanted_slots && Demand(other) <= Demand(mine))
				Complain("overtook one who was entitled first and wanted no more");
		}
	}

	/* Express queries that overran go to the normal lane at a tick; then automatic limits move. */
	void Evict(const std::vector<int32_t> &limits_before)
	{
		for (QueryHandle handle = 0; handle < policy_->max_queries(); handle++) {
			ShadowQuery &query = At(handle);
			if (query.state != QueryState::kRunning || !query.express)
				continue;
			const double excess = query.ran + now - query.run_since - policy_->express_cutoff_ms();
			const bool evicted = policy_->View(handle).lane == Lane::kNormal;
			if ((evicted && excess < -1) || (!evicted && excess > 1))
				Complain("evicted too early or too late");
			if (!evicted)
				continue;
			GiveSlots(query);
			query.express = false;
			query.held = std::min(query.wanted_slots, limits_before[static_cast<size_t>(query.queue)]);
			queues[query.queue].slots_used += query.held;
			queues[query.queue].evicted++;
		}
	}

	/* Work conservation: if nobody starved holds room back, the head of a list that has room does not wait. */
	void CheckNobodyWaitsForNothing()
	{
		bool held_back = false;
		std::vector<const ShadowQuery *> heads(static_cast<size_t>(kMaxQueues * kNumPriorities), nullptr);
		for (QueryHandle handle = 0; handle < policy_->max_queries(); handle++) {
			const ShadowQuery &query = At(handle);
			if (query.state != QueryState::kQueued)
				continue;
			const WaitReason reason = policy_->View(handle).reason;
			held_back = held_back || reason == WaitReason::kPassing;
			if (reason == WaitReason::kPressure && pressure != Pressure::kNoAdmission && unavailable_kb == 0)
				Complain("waits for pressure that is not there");
			if (Stopped(query)) {
				num_stopped++;
				continue;
			}
			const ShadowQuery *&head = heads[static_cast<size_t>(query.queue * kNumPriorities + static_cast<int>(query.priority))];
			if (head == nullptr || Key(query) < Key(*head))
				head = &query;
		}
		num_held_back += held_back ? 1 : 0;
		for (const ShadowQuery *head : heads) {
			if (head != nullptr && !held_back && (head->priority == Priority::kCritical || SlotFree(*head)) &&
				MemoryFits(*head, true))
				Complain("waits although there is room: queue " + std::to_string(head->queue) + ", priority " +
						 std::to_string(static_cast<int>(head->priority)) + ", slots " + std::to_string(head->wanted_slots) +
						 ", kB " + std::to_string(Demand(*head)) + "; used slots " +
						 Pair(queues[head->queue].slots_used, Limit(head->queue)) + ", kB " +
						 Pair(reserved_kb_, config.budget_kb));
		}
	}

	/* Not a moment longer than max_wait once a tick has come. */
	void CheckWaits()
	{
		for (const ShadowQuery &query : queries) {
			if (query.state == QueryState::kQueued && now - query.arrived > config.max_wait_ms + 0.1)
				Complain("waits longer than max_wait and a tick");
		}
	}

	static std::string Pair(int64_t expected, int64_t actual)
	{
		return std::to_string(expected) + "/" + std::to_string(actual);
	}

	void CheckBooks()
	{
		char why[128];
		if (!policy_->CheckInvariants(why, sizeof(why)))
			Complain(why);
		if (policy_->reserved_kb() != reserved_kb_ || policy_->reserved_kb() > config.budget_kb + policy_->forced_kb())
			Complain("memory does not add up");
		int64_t active = 0, queued = 0;
		for (int i = 0; i < config.num_queues; i++) {
			const ShadowQueue &mine = queues[i];
			const QueueCounters his = policy_->Counters(i);
			if (mine.slots_used != his.slots_used || mine.running != his.num_running || mine.express != his.num_express ||
				mine.returned != his.num_returned || mine.queued != his.num_queued || mine.reserved_kb != his.reserved_kb)
				Complain("the books of queue " + std::to_string(i) + " differ: slots " + Pair(mine.slots_used, his.slots_used) +
						 ", running " + Pair(mine.running, his.num_running) + ", express " + Pair(mine.express, his.num_express) +
						 ", returned " + Pair(mine.returned, his.num_returned) + ", queued " +
						 Pair(mine.queued, his.num_queued) + ", kB " + Pair(mine.reserved_kb, his.reserved_kb));
			if (mine.executed != his.num_executed || mine.timeouts != his.num_timeouts || mine.rejected != his.num_rejected ||
				mine.cancelled != his.num_cancelled || mine.evicted != his.num_evicted || mine.forced != his.num_forced)
				Complain("the counters of queue " + std::to_string(i) + " differ");
			active += mine.running + mine.returned + mine.queued;
			queued += mine.queued;
		}
		if (num_grown != policy_->num_grown() || num_growth_refused != policy_->num_growth_refused())
			Complain("the counters of growth differ");
		if (pressure != policy_->pressure() || unavailable_kb != policy_->unavailable_kb() ||
			policy_->free_kb() != std::max<int64_t>(0, config.budget_kb - unavailable_kb - reserved_kb_))
			Complain("pressure or what is free differs");
		if (active != policy_->num_active() || queued != policy_->num_queued())
			Complain("the number of queries differs");
	}

	/* Queues by name: what a Configure must do to queries and counters. */
	void Configured()
	{
		const PolicyConfig before = config;
		config = policy_->config();
		ShadowQueue old[kMaxQueues];
		int target[kMaxQueues] = {};
		for (int i = 0; i < kMaxQueues; i++) {
			old[i] = queues[i];
			queues[i] = ShadowQueue{};
		}
		for (int i = 1; i < before.num_queues; i++) {
			for (int j = 1; j < config.num_queues; j++) {
				if (before.queues[i].in_use && config.queues[j].in_use &&
					std::string(before.queues[i].name) == config.queues[j].name)
					target[i] = j;
			}
		}
		for (int i = 0; i < before.num_queues; i++) {
			if (i != 0 && target[i] == 0)
				continue;
			ShadowQueue &queue = queues[target[i]];
			queue.executed = old[i].executed;
			queue.timeouts = old[i].timeouts;
			queue.rejected = old[i].rejected;
			queue.cancelled = old[i].cancelled;
			queue.evicted = old[i].evicted;
			queue.forced = old[i].forced;
		}
		for (ShadowQuery &query : queries) {
			if (query.state == QueryState::kFree)
				continue;
			query.moved = query.moved || (query.queue != 0 && target[query.queue] == 0);
			query.queue = target[query.queue];
			ShadowQueue &queue = queues[query.queue];
			queue.queued += query.state == QueryState::kQueued ? 1 : 0;
			queue.running += query.state == QueryState::kRunning ? 1 : 0;
			queue.returned += query.state == QueryState::kReturned ? 1 : 0;
			queue.express += query.state == QueryState::kRunning && query.express ? 1 : 0;
			queue.slots_used += query.held;
			queue.reserved_kb += query.reserved_kb;
		}
	}

	void AddReserved(QueryHandle handle, int64_t change_kb)
	{
		At(handle).reserved_kb += change_kb;
		queues[At(handle).queue].reserved_kb += change_kb;
		reserved_kb_ += change_kb;
	}

	int64_t reserved_kb() const { return reserved_kb_; }

  private:
	Policy *policy_;
	int64_t reserved_kb_ = 0;
};

}  // namespace wlm::test
