/*
 * express.cpp
 *
 * The lane for predicted-short queries: who may use it, its cut-off, and what
 * happens to a query that stays longer than that.
 *
 * Cut-off: clamp(P70 of recent times + floor, floor, 10 floors), as Redshift's
 * short query acceleration does with a floor of 2 s. Recent times are a
 * histogram with log-scaled buckets in which new observations weigh more.
 *
 * Correction: that cut-off looks only at how long queries take, not at what
 * misrouting costs here. Two fading sums hold the cost of both mistakes, in
 * milliseconds: what express queries ran over the cut-off (without a slot,
 * beside everyone else), and what others waited for a slot although they were
 * over sooner. While one is clearly the dearer, the cut-off moves by small
 * factors to where it becomes smaller.
 */
#include "core/decide/policy/policy.hpp"

#include <algorithm>
#include <cmath>

#include "core/decide/policy/constants.hpp"
#include "core/decide/policy/room.hpp"

namespace wlm {

namespace {

constexpr double kBucketsPerDoubling = 4.0;
constexpr double kMaxWeight = 1e6;

}  // namespace

bool Policy::ExpressFits(const Entry &entry, double time_upper_ms) const noexcept
{
	if (!(time_upper_ms > 0 && time_upper_ms < cutoff_ms_) || Paused(entry))
		return false;
	if (entry.memory_kb == 0)
		return true;

	const double budget = static_cast<double>(budget_kb_);
	const QueueState &queue = queues_[entry.queue];
	if (static_cast<double>(entry.memory_kb) > policy::kExpressQueryShare * budget ||
		static_cast<double>(reserved_kb_ + unavailable_kb_) > policy::kExpressBusyShare * budget)
		return false;
	/* While memory is so short that others are stopped, all of the lane together may have what one query may have otherwise. */
	if (pressure_ >= Pressure::kNoAdmission && static_cast<double>(express_kb_ + Wanted(entry)) > policy::kExpressQueryShare * budget)
		return false;
	/* Short queries in endless succession must not keep a starved one from its memory. */
	if (claimant_ != kNoQuery &&
		static_cast<double>(express_kb_ + Wanted(entry)) > policy::kExpressPassingShare * budget)
		return false;
	if (queue.claimant != kNoQuery && queue.claimant != claimant_ && !ShareFits(entries()[queue.claimant]))
		return false;
	return ShareFits(entry) && BudgetFits(entry, Lane::kExpress, true);
}

/* To the normal lane: it takes its slots, over the limit if need be: new admissions wait for it. */
void Policy::Evict(Entry &entry) noexcept
{
	QueueCounters &counters = queues_[entry.queue].counters;
	entry.lane = Lane::kNormal;
	entry.flags |= kEvictedFlag;
	counters.num_evicted++;
	express_kb_ -= entry.memory_kb;
	if (entry.state != QueryState::kRunning)
		return;
	TakeSlots(entry);
	counters.num_express--;
	num_holders_ += HoldsMemory(entry) ? 1 : 0;
	CountRestartable(entry, 1);
}

void Policy::EvictOverrun() noexcept
{
	for (QueryHandle handle = 0; handle < max_queries_; handle++) {
		Entry &entry = entries()[handle];
		if (entry.state != QueryState::kRunning || entry.lane != Lane::kExpress ||
			static_cast<double>(entry.ran_ms) + clock_ms_ - entry.since_ms <= cutoff_ms_)
			continue;
		Evict(entry);
	}
}

void Policy::ObserveEnd(const ObservedEnd &end) noexcept
{
	const double time_ms = end.time_ms;
	if (!(time_ms >= 0))
		return;
	const double place = kBucketsPerDoubling * std::log2(std::max(1.0, std::min(time_ms, 1e12)));
	const int bucket = std::min(kNumBuckets - 1, static_cast<int>(place));

	times_[bucket] += static_cast<float>(time_weight_);
	time_total_ += time_weight_;
	time_weight_ *= policy::kObservationGrowth;
	if (time_weight_ > kMaxWeight) {
		time_total_ = 0;
		for (float &weight : times_) {
			weight = static_cast<float>(static_cast<double>(weight) / time_weight_);
			time_total_ += static_cast<double>(weight);
		}
		time_weight_ = 1;
	}
	WeighMisrouting(end);
	UpdateCutoff();
}

/* By the cut-off in force: it is what the mistakes were made with. Lanes of their own are nobody's mistake. */
void Policy::WeighMisrouting(const ObservedEnd &end) noexcept
{
	const double time_ms = std::min(end.time_ms, policy::kMaxMisroutingMs);
	const double queue_ms = end.queue_ms > 0 ? std::min(end.queue_ms, policy::kMaxMisroutingMs) : 0;
	if (!config_.tune_express || !(config_.express_floor_ms > 0) || (end.lane != Lane::kExpress && end.lane != Lane::kNormal))
		return;

	let_in_ms_ *= policy::kMisroutingFade;
	kept_out_ms_ *= policy::kMisroutingFade;
	if (end.lane == Lane::kExpress)
		let_in_ms_ += std::max(0.0, time_ms - cutoff_ms_);
	else if (time_ms < cutoff_ms_)
		kept_out_ms_ += queue_ms;

	if (++num_weighed_ % policy::kCorrectionEvery != 0 || std::max(let_in_ms_, kept_out_ms_) < config_.express_floor_ms)
		return;
	if (let_in_ms_ > policy::kMisroutingMargin * kept_out_ms_)
		correction_ /= policy::kCorrectionStep;
	else if (kept_out_ms_ > policy::kMisroutingMargin * let_in_ms_)
		correction_ *= policy::kCorrectionStep;
	correction_ = std::clamp(correction_, 1 / policy::kMaxCorrection, policy::kMaxCorrection);
}

void Policy::UpdateCutoff() noexcept
{
	const double floor = config_.express_floor_ms;
	if (!config_.tune_express || !(floor > 0)) {
		correction_ = 1;
		let_in_ms_ = 0;
		kept_out_ms_ = 0;
	}
	if (!(floor > 0)) {
		cutoff_ms_ = 0;
		return;
	}
	double quantile = 0;
	double below = policy::kCutoffQuantile * time_total_;
	for (int bucket = 0; time_total_ > 0 && bucket < kNumBuckets; bucket++) {
		const double weight = static_cast<double>(times_[bucket]);
		if (weight > 0 && below <= weight) {
			quantile = std::exp2((bucket + below / weight) / kBucketsPerDoubling);
			break;
		}
		below -= weight;
	}
	cutoff_ms_ = correction_ * std::clamp(quantile + floor, floor, policy::kCutoffSpan * floor);
}

}  // namespace wlm
