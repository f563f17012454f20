/*
 * policy_shadow.hpp
 *
 * An independent, slow and simple account of what a Policy should be doing, for
 * the property test: it learns what happened from decisions and views only,
 * enters it in books of its own (policy_shadow_books.hpp), and complains through
 * `problem` when the Policy disagrees or breaks a promise.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

#include "policy_shadow_books.hpp"

namespace wlm::test {

class Shadow : public ShadowBooks {
  public:
	using ShadowBooks::ShadowBooks;

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
				TakeSlots(handle, true);
			queues[query.queue].evicted++;
		}
		AddReserved(handle, got);
	}

	void Queue(QueryHandle handle)
	{
		At(handle).state = QueryState::kQueued;
		At(handle).queued_since = now;
		queues[At(handle).queue].queued++;
		queues[At(handle).queue].waiting_slots += At(handle).wanted_slots;
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
		query.superuser = view.lane == Lane::kSuperuser;
		if (query.state == QueryState::kQueued) {
			if (query.express)
				Complain("a query that waited is in the express lane");
			queue.queued--;
			queue.waiting_slots -= query.wanted_slots;
			query.waited += now - query.queued_since;
			query.state = QueryState::kFree;
		}
		if (in_order && checked && !query.superuser)
			CheckOrder(handle);
		const bool critical = query.priority == Priority::kCritical;
		const bool normal = InNormalLane(query);
		const bool what_is_free = query.maintenance || query.superuser;
		if (what_is_free)
			CheckMaintenance(query, view);
		if (query.superuser)
			CheckSuperuser(query);
		if (checked && !view.forced && normal && !SlotFree(query, !in_order))
			Complain("started without a slot, not counted as forced");
		if (checked && !view.forced && (normal || query.express) && Paused(query.queue))
			Complain("started in a paused queue, not counted as forced");
		if (checked && !what_is_free && (in_order || !view.forced)) {
			if (!MemoryFits(query, false))
				Complain("started without memory");
			if (!query.express && Stopped(query))
				Complain("started in spite of the pressure");
			num_loans += normal && NeedsLoan(query) && MemoryFits(query, true) ? 1 : 0;
			num_alone += !query.express && reserved_kb_ + Demand(query) + unavailable_kb > LaneLimit(false) && Demand(query) > 0 ? 1 : 0;
		}
		if (checked && in_order && view.forced && !critical)
			Complain("started in order, but forced");
		if (checked && view.forced && SlotFree(query) && MemoryFits(query, true) && !Stopped(query) && !Paused(query.queue))
			Complain("forced although there was room");
		if (in_order && checked && normal && !view.forced)
			queue.started = now;
		queue.stirred = now;
		query.state = QueryState::kRunning;
		query.run_since = now;
		query.ran = 0;
		query.reserved_kb = Demand(query);
		if (checked && !what_is_free && view.reserved_kb != query.reserved_kb)
			Complain("reserved another amount than was due");
		query.reserved_kb = view.reserved_kb;
		reserved_kb_ += query.reserved_kb;
		used_kb += used_kb >= 0 ? query.reserved_kb : 0;
		queue.reserved_kb += query.reserved_kb;
		queue.running++;
		queue.forced += view.forced ? 1 : 0;
		TakeSlots(handle, checked);
	}

	/* Only one who would have to wait, and no more than the lane has. */
	void CheckSuperuser(const ShadowQuery &query)
	{
		int32_t others = 0;
		bool alone = true; /* nobody waited beside him, nor starts after him, since he claims nothing any more */
		for (const ShadowQuery &other : queries) {
			others += &other != &query && other.superuser && other.state == QueryState::kRunning ? 1 : 0;
			alone = alone && (&other == &query || other.state != QueryState::kQueued);
		}
		if (others >= config.superuser_slots)
			Complain("more superusers than their lane has");
		if (alone && !MayBeLater() && !Paused(query.queue) && SlotFree(query) &&
			MemoryFits(query, true) && !Stopped(query))
			Complain("a superuser left the normal lane although there was room");
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

	/* How many are due is only known with the books of that moment. */
	void TakeSlots(QueryHandle handle, bool checked)
	{
		ShadowQuery &query = At(handle);
		query.held = policy_->View(handle).held;
		if (query.express)
			queues[query.queue].express++;
		if (checked && query.held != (InNormalLane(query) ? SlotsNeeded(query) : 0))
			Complain("holds another number of slots than is due: " + Pair(SlotsNeeded(query), query.held));
		queues[query.queue].slots_used += query.held;
	}

	void GiveSlots(ShadowQuery &query)
	{
		if (query.express)
			queues[query.queue].express--;
		queues[query.queue].slots_used -= query.held;
		query.held = 0;
	}

	/* Somebody was asked: he must be one that can. */
	void Asked(QueryHandle handle)
	{
		num_asked++;
		if (handle < 0 || handle >= policy_->max_queries()) {
			Complain("a victim that does not exist");
			return;
		}
		ShadowQuery &query = At(handle);
		bool above = false;
		for (const ShadowQuery &other : queries)
			above = above || (other.state == QueryState::kQueued && other.priority > query.priority);
		if (query.state != QueryState::kRunning || query.express || query.maintenance || query.superuser ||
			!query.restartable || !query.may_wait)
			Complain("a victim that cannot give way");
		if (!above)
			Complain("a victim, but nobody of higher priority waits");
		query.asked = true;
	}

	/* Answered. The books after it are those of the moment before others start instead. */
	void GaveWay(QueryHandle handle, Preemption outcome)
	{
		ShadowQuery &query = At(handle);
		ShadowQueue &queue = queues[query.queue];
		const bool can = query.state == QueryState::kRunning && !query.express && !query.maintenance && !query.superuser &&
			query.restartable && query.may_wait && !query.untaken && config.preemption;
		query.asked = false;
		if (query.state == QueryState::kRunning) {      /* gone, whatever the answer is */
			const double lost = query.ran + now - query.run_since;
			queue.preempted++;
			queue.wasted += lost;
			query.wasted += lost;
			query.num_preempted++;
			query.ran = 0;
			query.run_since = now;
		}
		if (outcome == Preemption::kRefused) {
			if (policy_->View(handle).state != query.state && query.state != QueryState::kQueued)
				Complain("refused to wait, but does");
			return;
		}
		bool above = false;
		for (const ShadowQuery &other : queries)
			above = above || (other.state == QueryState::kQueued && other.priority > query.priority);
		if (!can || !above)
			Complain("gave way, but could not, or to nobody");
		query.moved = true;         /* one behind it may have become a claimant meanwhile */
		GiveSlots(query);
		queue.running--;
		queue.reserved_kb -= query.reserved_kb;
		reserved_kb_ -= query.reserved_kb;
		query.reserved_kb = 0;
		Queue(handle);
	}

	void End(QueryHandle handle)
	{
		ShadowQuery &query = At(handle);
		ShadowQueue &queue = queues[query.queue];
		if (query.state == QueryState::kQueued) {
			queue.queued--;
			queue.waiting_slots -= query.wanted_slots;
		} else {
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
		if (MayBeLater())
			return;
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
	void Evict()
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
			TakeSlots(handle, true);
			queues[query.queue].evicted++;
		}
	}

	/* After the evictions of a tick and before its dispatch: whether the limit of the pool moved as it should. */
	void PoolMoved(double saturation)
	{
		const int32_t before = pool;
		const int32_t least = std::max(2, config.processors);
		bool wanted = false, surely = false;    /* of several with the same key any may be the head */
		const std::vector<const ShadowQuery *> heads = Heads();
		for (const ShadowQuery *head : heads) {
			if (head == nullptr || head->priority == Priority::kCritical || !Automatic(head->queue) || Paused(head->queue))
				continue;
			bool all = true;
			for (const ShadowQuery &query : queries) {
				if (query.state != QueryState::kQueued || query.queue != head->queue || query.priority != head->priority ||
					Key(query) > Key(*head) + 1e-6)
					continue;
				wanted = wanted || !SlotFree(query);
				all = all && !SlotFree(query);
			}
			surely = surely || all;
		}
		const int32_t after = policy_->pool_slots();
		num_pool_moves += after != before ? 1 : 0;
		int32_t due_least = before, due_most = before;
		if (config.total_slots == 0 && saturation > 1.1 && Held(true) + Held(false) <= before)
			due_least = due_most = std::max(least, before / 2);
		else if (config.total_slots == 0 && saturation >= 0 && saturation < 1.0 && wanted) {
			due_least = surely ? std::min(before + 1, 16 * config.processors) : before;
			due_most = std::min(before + std::max(1, before / 4), 16 * config.processors);
		}
		if (after < due_least || after > due_most)
			Complain("the pool moved from " + Pair(before, after) + " at a saturation of " + std::to_string(saturation));
		pool = after;
	}

	/* The first by key of each queue and level. */
	std::vector<const ShadowQuery *> Heads(bool without_stopped = false) const
	{
		std::vector<const ShadowQuery *> heads(static_cast<size_t>(kMaxQueues * kNumPriorities), nullptr);
		for (const ShadowQuery &query : queries) {
			if (query.state != QueryState::kQueued || (without_stopped && Stopped(query)))
				continue;
			const ShadowQuery *&head = heads[static_cast<size_t>(query.queue * kNumPriorities + static_cast<int>(query.priority))];
			if (head == nullptr || Key(query) < Key(*head))
				head = &query;
		}
		return heads;
	}

	/* Work conservation: if nobody starved holds room back, the head of a list that has room does not wait. */
	void CheckNobodyWaitsForNothing()
	{
		bool held_back = false;
		for (QueryHandle handle = 0; handle < policy_->max_queries(); handle++) {
			const ShadowQuery &query = At(handle);
			if (query.state != QueryState::kQueued)
				continue;
			const WaitReason reason = policy_->View(handle).reason;
			held_back = held_back || reason == WaitReason::kPassing;
			if (reason == WaitReason::kPressure && pressure != Pressure::kNoAdmission && unavailable_kb == 0)
				Complain("waits for pressure that is not there");
			if ((reason == WaitReason::kPaused) != Paused(query.queue))
				Complain("waits for a pause that is not there, or for something else in a paused queue");
			if (reason == WaitReason::kLater && !MayBeLater())
				Complain("is held back for nothing that is known");
			num_later += reason == WaitReason::kLater ? 1 : 0;
			num_stopped += Stopped(query) ? 1 : 0;
		}
		num_held_back += held_back ? 1 : 0;
		for (const ShadowQuery *head : Heads(true)) {
			if (head == nullptr || Paused(head->queue))
				continue;
			if (MayBeLater() && policy_->View(static_cast<QueryHandle>(head - queries.data())).reason == WaitReason::kLater)
				continue;
			num_guarded += SlotFree(*head, false) && !SlotFree(*head) ? 1 : 0;
			if (!held_back && (head->priority == Priority::kCritical || SlotFree(*head)) &&
				MemoryFits(*head, true))
				Complain("waits although there is room: queue " + std::to_string(head->queue) + ", priority " +
						 std::to_string(static_cast<int>(head->priority)) + ", slots " + std::to_string(head->wanted_slots) +
						 ", kB " + std::to_string(Demand(*head)) + "; used slots " +
						 Pair(queues[head->queue].slots_used, SlotsNeeded(*head)) + ", pool " + Pair(Held(true), PoolRoom()) + ", kB " +
						 Pair(reserved_kb_, config.budget_kb));
		}
	}

	/* After a tick: how many were let in because their queues stand still. Nobody while a queue moves, one at a time, the oldest wait. */
	int64_t LetIn()
	{
		int64_t sum = 0;
		for (int i = 0; i < config.num_queues; i++) {
			ShadowQueue &queue = queues[i];
			const uint64_t more = policy_->Counters(i).num_let_in - queue.let_in;
			const double most = config.max_standstill_ms;
			double longest = -1;
			double sure = -1;   /* of those whose time is not up anyway */
			for (const ShadowQuery &query : queries) {
				if (query.state != QueryState::kQueued || query.queue != i)
					continue;
				longest = std::max(longest, Waited(query));
				if (Waited(query) + 0.1 < config.max_wait_ms)
					sure = std::max(sure, Waited(query));
			}
			if (more > 0 && (more > 1 || !(most > 0) || now - queue.started < most - 0.1 || now - queue.let_in_at < 0.1 * most - 0.1 ||
							 longest < most - 0.1 || config.queues[i].intake == Intake::kPaused))
				Complain("let in to a queue that moves");
			if (more == 0 && most > 0 && sure > most + 0.1 && now - queue.stirred > most + 0.1 &&
				now - queue.let_in_at > 0.1 * most + 0.1 && config.queues[i].intake != Intake::kPaused)
				Complain("nobody is let in to a queue that stands still");
			queue.let_in += more;
			queue.let_in_at = more > 0 ? now : queue.let_in_at;
			sum += static_cast<int64_t>(more);
		}
		return sum;
	}

	/* Not a moment longer than max_wait once a tick has come. */
	void CheckWaits()
	{
		for (const ShadowQuery &query : queries) {
			if (query.state == QueryState::kQueued && Waited(query) > config.max_wait_ms + 0.1)
				Complain("waits longer than max_wait and a tick");
		}
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
				mine.cancelled != his.num_cancelled || mine.evicted != his.num_evicted || mine.forced != his.num_forced ||
				mine.preempted != his.num_preempted || std::fabs(mine.wasted - his.total_wasted_ms) > 1 + 1e-4 * mine.wasted)
				Complain("the counters of queue " + std::to_string(i) + " differ");
			active += mine.running + mine.returned + mine.queued;
			queued += mine.queued;
		}
		if (pool != policy_->pool_slots() || policy_->pool_used() != Held(true) + Held(false))
			Complain("the pool differs: " + Pair(pool, policy_->pool_slots()) + ", used " +
					 Pair(Held(true) + Held(false), policy_->pool_used()));
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
		pool = policy_->pool_slots();
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
			queue.let_in = old[i].let_in;
			queue.let_in_at = old[i].let_in_at;
			queue.stirred = now;
			queue.preempted = old[i].preempted;
			queue.wasted = old[i].wasted;
		}
		for (ShadowQuery &query : queries) {
			if (query.state == QueryState::kFree)
				continue;
			query.moved = query.moved || (query.queue != 0 && target[query.queue] == 0);
			query.queue = target[query.queue];
			ShadowQueue &queue = queues[query.queue];
			queue.queued += query.state == QueryState::kQueued ? 1 : 0;
			queue.waiting_slots += query.state == QueryState::kQueued ? query.wanted_slots : 0;
			queue.running += query.state == QueryState::kRunning ? 1 : 0;
			queue.returned += query.state == QueryState::kReturned ? 1 : 0;
			queue.express += query.state == QueryState::kRunning && query.express ? 1 : 0;
			queue.slots_used += query.held;
			queue.reserved_kb += query.reserved_kb;
		}
	}

	/* By somebody's wish to another queue or level. */
	void Moved(QueryHandle handle, int queue, Priority priority)
	{
		ShadowQuery &query = At(handle);
		const bool queued = query.state == QueryState::kQueued;
		const bool running = query.state == QueryState::kRunning;
		query.moved = true;
		query.priority = priority;
		for (const int sign : {-1, 1}) {
			ShadowQueue &books = queues[query.queue];
			books.queued += queued ? sign : 0;
			books.waiting_slots += queued ? sign * query.wanted_slots : 0;
			books.running += running ? sign : 0;
			books.returned += query.state == QueryState::kReturned ? sign : 0;
			books.express += running && query.express ? sign : 0;
			books.slots_used += sign * query.held;
			books.reserved_kb += sign * query.reserved_kb;
			query.queue = queue;
		}
	}

	void AddReserved(QueryHandle handle, int64_t change_kb)
	{
		At(handle).reserved_kb += change_kb;
		queues[At(handle).queue].reserved_kb += change_kb;
		reserved_kb_ += change_kb;
		used_kb += used_kb >= 0 ? std::max<int64_t>(0, change_kb) : 0;
	}
};

}  // namespace wlm::test
