/*
 * protocol_books.hpp
 *
 * What the processes know of themselves, kept apart from the Policy, and the
 * promises that they rely on, checked after every event:
 *   - who waits, runs or has returned is what its process believes; it is told
 *     of its admission exactly once per wait;
 *   - every wait ends: max_wait and a little after it began, whoever is dead, as
 *     long as the process itself or the launcher does anything;
 *   - what a process reserved stays reserved; all together only exceed the
 *     budget, a queue or the pool only its slots, by what was forced;
 *   - no one is overtaken by those who came too late, nor passed without end;
 *   - nobody waits for what is free; the server never stands still;
 *   - statements are counted once each, however they end.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/decide/policy/policy.hpp"
#include "protocol_trace.hpp"

namespace wlm::test {

/*
 * A poll is a second, a process may be late by 1.5 s, and a deadline that was a little early, or a reading that was no time, costs
 * another second each.
 */
inline constexpr double kWaitSlackMs = 6000;
inline constexpr double kNoticeSlackMs = 3000;
inline constexpr double kLongestLaterMs = 15000;

struct Book {
	QueryState state = QueryState::kFree;
	int session = -1;
	uint64_t sequence = 0;
	double key = 0;             /* on the policy's clock */
	double arrived = 0;         /* likewise */
	double time = 0;
	double waited = 0;          /* earlier waits, in true time */
	double wait_since = 0;
	double told_at = 0;
	double excused_until = 0;   /* the bound on its wait became smaller a moment ago */
	double later_since = 0;     /* held back by now or later since; 0 = not yet */
	double frozen_until = 0;    /* its process does nothing until then: only the launcher can end its wait */
	double allowance = 0;       /* by which clocks went back: its own poll stands still meanwhile, as its clock does */
	double policy_waited = 0;   /* as the policy sees it */
	double policy_since = 0;
	int64_t memory_kb = 0;      /* wanted */
	int64_t reserved_kb = 0;
	int32_t slots = 0;
	int overtaken = 0;
	bool moved = false;
	bool unaware = false;       /* admitted, and its process does not know yet */
};

/* Who started in this event. */
struct Started {
	QueryHandle handle;
	bool in_order;
};

class Books {
  public:
	Books(Policy *policy, ProtocolCoverage *coverage)
		: books(static_cast<size_t>(policy->max_queries())), policy_(policy), coverage_(*coverage),
		  views_(static_cast<size_t>(policy->max_queries()))
	{
	}

	std::vector<Book> books;    /* by handle */
	std::vector<Started> started;
	std::string problem;
	double now = 0;             /* true time */
	double policy_now = 0;
	double launcher_since = 0;  /* there has been one; or infinity */
	bool over_limits = false;   /* this event may put more into slots than there are: resumed, moved, evicted */
	bool raised = false;        /* ... or into the budget */
	bool may_be_later = false;  /* now or later can hold somebody back */
	Pressure pressure = Pressure::kNone;
	int64_t unavailable_kb = 0;
	/* How statements ended; arrivals are the sum of all and of those that are there. */
	uint64_t num_arrived = 0, num_executed = 0, num_cancelled = 0, num_rejected = 0, num_timed_out = 0, num_table_full = 0;

	Book &At(QueryHandle handle) { return books[static_cast<size_t>(handle)]; }

	void Complain(const std::string &what)
	{
		if (problem.empty())
			problem = what;
	}

	/* Its wait begins. */
	void Queue(QueryHandle handle)
	{
		Book &book = At(handle);
		book.state = QueryState::kQueued;
		book.wait_since = now;
		book.policy_since = policy_now;
		book.excused_until = now;
		book.overtaken = 0;
		book.later_since = 0;
		book.reserved_kb = 0;
		coverage_.waits++;
	}

	/* The policy has admitted it, at arrival, after a wait or instead of one. */
	void Start(QueryHandle handle, bool in_order)
	{
		Book &book = At(handle);
		if (book.state == QueryState::kQueued) {
			book.waited += now - book.wait_since;
			book.policy_waited += policy_now - book.policy_since;
		}
		const QueryView view = policy_->View(handle);
		book.state = QueryState::kRunning;
		book.told_at = now;
		book.reserved_kb = view.reserved_kb;
		started.push_back({handle, in_order});
		coverage_.forced += view.forced ? 1 : 0;
		coverage_.paused_waits += Limits(view.queue).intake == Intake::kPaused && view.lane == Lane::kNormal ? 1 : 0;
	}

	/* TakeAdmitted() named it. */
	void Told(QueryHandle handle, bool tick)
	{
		if (handle < 0 || handle >= policy_->max_queries() || At(handle).state != QueryState::kQueued) {
			Complain("told of an admission without waiting, or twice");
			return;
		}
		const Book &book = At(handle);
		const double waited = book.policy_waited + policy_now - book.policy_since;
		const PolicyConfig &config = policy_->config();
		const double most = config.max_standstill_ms > 0 ? std::min(config.max_wait_ms, config.max_standstill_ms) : config.max_wait_ms;
		Start(handle, !(tick && waited + 1 >= most));
		At(handle).unaware = true;
	}

	/* Others have from now on less time to wait, or more. */
	void Configured(bool same_queues)
	{
		for (Book &book : books) {
			book.excused_until = now + kWaitSlackMs;
			book.moved = book.moved || !same_queues;    /* its queue may be gone, and with it its place and claims */
		}
	}

	void WentBack(double by)
	{
		for (Book &book : books)
			book.allowance += by;
	}

	/* After every event. */
	void Check()
	{
		char why[128];
		if (!policy_->CheckInvariants(why, sizeof(why)))
			Complain(why);
		CheckStates();
		CheckBudget();
		CheckSlots();
		CheckOrder();
		CheckWork();
		CheckTotals();
		started.clear();
		over_limits = raised = false;
	}

	/* Queues that a configuration drops take their counters with them. */
	void CheckTotals()
	{
		uint64_t executed = lost_[0], cancelled = lost_[1], rejected = lost_[2], timed_out = lost_[3];
		for (int i = 0; i < policy_->config().num_queues; i++) {
			const QueueCounters counters = policy_->Counters(i);
			executed += counters.num_executed;
			cancelled += counters.num_cancelled;
			rejected += counters.num_rejected;
			timed_out += counters.num_timeouts;
		}
		if (executed != num_executed || cancelled != num_cancelled || rejected != num_rejected || timed_out != num_timed_out)
			Complain("statements are counted otherwise than they ended");
		if (num_arrived != executed + cancelled + rejected + timed_out + num_table_full + static_cast<uint64_t>(policy_->num_active()))
			Complain("statements got lost");
	}

	/* Before Configure(). */
	void WillDrop(const PolicyConfig &next)
	{
		const PolicyConfig &config = policy_->config();
		for (int i = 1; i < config.num_queues; i++) {
			bool stays = !config.queues[i].in_use;
			for (int j = 1; j < next.num_queues; j++)
				stays = stays || (next.queues[j].in_use && std::string(next.queues[j].name) == config.queues[i].name);
			if (stays)
				continue;
			const QueueCounters counters = policy_->Counters(i);
			lost_[0] += counters.num_executed;
			lost_[1] += counters.num_cancelled;
			lost_[2] += counters.num_rejected;
			lost_[3] += counters.num_timeouts;
		}
	}

	/* Everybody has gone. */
	void CheckEmpty()
	{
		CheckTotals();
		if (policy_->num_active() != 0 || policy_->num_queued() != 0 || policy_->num_superusers() != 0)
			Complain("somebody is left");
		if (policy_->reserved_kb() != 0 || policy_->forced_kb() != 0)
			Complain("memory was lost");
		if (policy_->pool_used() != 0)
			Complain("slots were lost");
		if (policy_->TakeAdmitted() != kNoQuery || policy_->TakeVictim() != kNoQuery)
			Complain("somebody who is gone is to be told something");
		for (int i = 0; i < policy_->config().num_queues; i++) {
			const QueueCounters counters = policy_->Counters(i);
			if (counters.slots_used != 0 || counters.num_running != 0 || counters.num_express != 0 || counters.num_returned != 0 ||
				counters.num_queued != 0 || counters.reserved_kb != 0)
				Complain("the account of a queue is not zero");
		}
	}

  private:
	Policy *policy_;
	ProtocolCoverage &coverage_;
	std::vector<QueryView> views_;
	uint64_t lost_[4] = {};
	int32_t used_[kMaxQueues] = {};
	int64_t reserved_in_[kMaxQueues] = {};
	int64_t reserved_kb_ = 0;
	int32_t automatic_used_ = 0, fixed_used_ = 0;

	const QueueLimits &Limits(int queue) const { return policy_->config().queues[queue]; }
	bool Automatic(int queue) const { return Limits(queue).max_slots == 0; }
	QueryView &ViewOf(QueryHandle handle) { return views_[static_cast<size_t>(handle)]; }

	void CheckStates()
	{
		std::fill(used_, used_ + kMaxQueues, 0);
		std::fill(reserved_in_, reserved_in_ + kMaxQueues, 0);
		reserved_kb_ = automatic_used_ = fixed_used_ = 0;
		const double max_wait = policy_->config().max_wait_ms;
		for (QueryHandle handle = 0; handle < policy_->max_queries(); handle++) {
			const Book &book = At(handle);
			QueryView &view = ViewOf(handle);
			view = policy_->View(handle);
			if (view.state != book.state)
				Complain("a process believes that query " + std::to_string(handle) + " is in another state: " +
						 std::to_string(static_cast<int>(book.state)) + ", not " + std::to_string(static_cast<int>(view.state)));
			if (book.state == QueryState::kFree)
				continue;
			if (book.state == QueryState::kQueued) {
				if (now < book.frozen_until + kWaitSlackMs && now < launcher_since + kWaitSlackMs)
					continue;
				const double waited = now - book.wait_since;
				const double most = std::max(0.0, max_wait - book.waited) + kWaitSlackMs + book.allowance;
				if (waited > most && now > book.excused_until + book.allowance)
					Complain("query " + std::to_string(handle) + " waits longer than max_wait: " + std::to_string(waited) + " ms");
				continue;
			}
			if (book.unaware && now - std::max(book.told_at, book.frozen_until) > kNoticeSlackMs)
				Complain("query " + std::to_string(handle) + " was admitted, but its process does not learn it");
			if (view.reserved_kb != book.reserved_kb)
				Complain("what query " + std::to_string(handle) + " had reserved was changed");
			used_[view.queue] += view.held;
			(Automatic(view.queue) ? automatic_used_ : fixed_used_) += view.held;
			reserved_in_[view.queue] += view.reserved_kb;
			reserved_kb_ += view.reserved_kb;
			if (view.held > book.slots || (book.state == QueryState::kReturned && view.held != 0))
				Complain("holds slots that it has given back, or never wanted");
		}
		if (reserved_kb_ != policy_->reserved_kb() || automatic_used_ + fixed_used_ != policy_->pool_used())
			Complain("slots or memory do not add up");
	}

	void CheckBudget()
	{
		if (reserved_kb_ <= policy_->config().budget_kb)
			return;
		if (reserved_kb_ > policy_->config().budget_kb + policy_->forced_kb())
			Complain("over the budget by more than was forced");
		bool forced = raised;
		for (const Started &one : started)
			forced = forced || ViewOf(one.handle).forced;
		for (const Started &one : started) {
			if (!forced && ViewOf(one.handle).reserved_kb > 0)
				Complain("started over the budget, not counted as forced");
		}
	}

	void CheckSlots()
	{
		int32_t superusers = 0;
		bool forced = over_limits;
		for (const Started &one : started)
			forced = forced || ViewOf(one.handle).forced;
		for (const QueryView &view : views_)
			superusers += view.state == QueryState::kRunning && view.lane == Lane::kSuperuser ? 1 : 0;
		for (const Started &one : started) {
			const QueryView &view = ViewOf(one.handle);
			const QueueLimits &limits = Limits(view.queue);
			if (view.state != QueryState::kRunning)
				continue;
			if (view.lane == Lane::kSuperuser && superusers > policy_->config().superuser_slots)
				Complain("more superusers than their lane has");
			if (!view.forced && limits.intake == Intake::kPaused && (view.lane == Lane::kNormal || view.lane == Lane::kExpress))
				Complain("started in a paused queue, not counted as forced");
			if (view.lane != Lane::kNormal || forced)
				continue;
			if (!Automatic(view.queue) && used_[view.queue] > limits.max_slots)
				Complain("more slots of a queue than it has");
			if (Automatic(view.queue) && started.size() == 1 && automatic_used_ > std::max(1, policy_->pool_slots() - fixed_used_) &&
				automatic_used_ > view.held)
				Complain("more slots than the pool has");
		}
	}

	/*
	 * Of the same queue and level. Who arrived later than time / kWaitCredit after one that wants no more does not start before him;
	 * those who want less do at most kMaxPassed times once he is ahead of them.
	 */
	void CheckOrder()
	{
		if (may_be_later)
			return;
		for (const Started &one : started) {
			const Book &mine = At(one.handle);
			const QueryView &view = ViewOf(one.handle);
			if (!one.in_order || mine.moved || view.forced || view.lane != Lane::kNormal || view.state != QueryState::kRunning)
				continue;
			for (QueryHandle handle = 0; handle < policy_->max_queries(); handle++) {
				Book &other = At(handle);
				if (other.state != QueryState::kQueued || other.moved || other.sequence > mine.sequence ||
					ViewOf(handle).queue != view.queue || ViewOf(handle).priority != view.priority || other.key > mine.key - 1e-6)
					continue;
				coverage_.order_checks++;
				if (mine.arrived > other.arrived + other.time / kWaitCredit + 1e-3 && mine.slots >= other.slots &&
					mine.memory_kb >= other.memory_kb)
					Complain("overtook one who was entitled first and wanted no more");
				if (mine.memory_kb == 0 && other.memory_kb > 0)
					continue;       /* he may be stopped by pressure, or for a starved one elsewhere */
				coverage_.overtakings++;
				if (++other.overtaken > kMaxPassed)
					Complain("query " + std::to_string(handle) + " was passed more often than it may be");
			}
		}
	}

	int64_t Share(double share) const { return static_cast<int64_t>(std::ceil(static_cast<double>(policy_->config().budget_kb) * share)); }

	/* Whether a slot is surely free for it, whatever is guaranteed to others. */
	bool SlotSurely(const QueryView &view, int32_t wanted) const
	{
		const QueueCounters mine = policy_->Counters(view.queue);
		if (!Automatic(view.queue))
			return used_[view.queue] + std::min(wanted, Limits(view.queue).max_slots) <= Limits(view.queue).max_slots;
		if (automatic_used_ == 0)
			return true;
		const int32_t room = std::max(1, policy_->pool_slots() - fixed_used_);
		const int32_t needed = std::min({wanted, mine.most_slots, room});
		int32_t others = 0;
		for (int i = 0; i < policy_->config().num_queues; i++)
			others += i != view.queue && Automatic(i) ? std::max(0, policy_->Counters(i).guaranteed_slots - used_[i]) : 0;
		return used_[view.queue] + needed <= mine.most_slots && automatic_used_ + needed + others <= room;
	}

	bool MemorySurely(const QueryView &view, int64_t wanted_kb) const
	{
		const PolicyConfig &config = policy_->config();
		const int64_t most = Share(static_cast<double>(Limits(view.queue).max_memory_share)) - 1;
		const int64_t demand = std::min({wanted_kb, std::max<int64_t>(0, most), Share(kMaxQueryShare)});
		if (demand == 0)
			return true;
		int64_t others = 0;
		for (int i = 0; i < config.num_queues; i++)
			others += i != view.queue && config.queues[i].in_use
						  ? std::max<int64_t>(0, Share(static_cast<double>(config.queues[i].memory_share)) - reserved_in_[i])
						  : 0;
		return pressure != Pressure::kNoAdmission && reserved_in_[view.queue] + demand < most &&
			reserved_kb_ + demand + others + 1 < config.budget_kb - Share(config.express_share) - unavailable_kb;
	}

	/* No longer than kMaxLaterMs and a tick after its turn came. */
	void CheckLater(Book &book)
	{
		coverage_.later++;
		if (book.later_since == 0)
			book.later_since = now;
		if (now - std::max(book.later_since, launcher_since) > kLongestLaterMs + book.allowance)
			Complain("held back for too long");
	}

	/* The first of each queue and level. */
	void CheckWork()
	{
		if (policy_->num_queued() == 0)
			return;
		const bool still = policy_->num_active() == policy_->num_queued();
		QueryHandle heads[kMaxQueues * kNumPriorities];
		std::fill(heads, heads + kMaxQueues * kNumPriorities, kNoQuery);
		bool held_back = false;
		for (QueryHandle handle = 0; handle < policy_->max_queries(); handle++) {
			const QueryView &view = ViewOf(handle);
			if (view.state != QueryState::kQueued)
				continue;
			held_back = held_back || view.reason == WaitReason::kPassing;
			QueryHandle &head = heads[view.queue * kNumPriorities + static_cast<int>(view.priority)];
			if (head == kNoQuery || At(handle).key < At(head).key)
				head = handle;
		}
		for (const QueryHandle head : heads) {
			if (head == kNoQuery || Limits(ViewOf(head).queue).intake == Intake::kPaused)
				continue;
			const QueryView &view = ViewOf(head);
			coverage_.standing_still_checks++;
			if (still)
				Complain("the server stands still");
			if (held_back)
				continue;
			coverage_.conservation_checks++;
			if ((view.priority != Priority::kCritical && !SlotSurely(view, At(head).slots)) || !MemorySurely(view, At(head).memory_kb))
				continue;
			if (!may_be_later || view.reason != WaitReason::kLater)
				Complain("query " + std::to_string(head) + " waits for what is free");
			else
				CheckLater(At(head));
		}
	}
};

}  // namespace wlm::test
