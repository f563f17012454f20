/*
 * priorities.cpp
 *
 * Stride scheduling over priorities (Waldspurger and Weihl 1995): each level
 * has a pass that grows by its stride with every query it starts; the level
 * with the smallest pass is served first. A level that cannot use what is free
 * is skipped and keeps its pass, up to a bounded lag.
 */
#include "core/decide/policy/policy.hpp"

#include "core/decide/policy/constants.hpp"

namespace wlm {

static_assert(sizeof(policy::kStrides) / sizeof(policy::kStrides[0]) == kNumPriorities);

/* Busy levels, smallest pass first; ties go to the higher priority. */
int Policy::OrderLevels(int (&order)[kNumPriorities]) const noexcept
{
	int count = 0;
	for (int level = kNumPriorities - 1; level >= 0; level--) {
		if (levels_[level].queues == 0)
			continue;
		int place = count++;
		for (; place > 0 && levels_[order[place - 1]].pass > levels_[level].pass; place--)
			order[place] = order[place - 1];
		order[place] = level;
	}
	return count;
}

void Policy::ChargeLevel(int level) noexcept
{
	virtual_time_ = levels_[level].pass;
	levels_[level].pass += policy::kStrides[level];
	for (Level &other : levels_) {
		if (other.queues != 0 && other.pass + policy::kMaxLag < virtual_time_)
			other.pass = virtual_time_ - policy::kMaxLag;
	}
}

/* It did not compete while it was empty, so it has saved up nothing; what it was ahead stays. */
void Policy::LevelBecomesBusy(int level) noexcept
{
	if (levels_[level].pass < virtual_time_)
		levels_[level].pass = virtual_time_;
}

}  // namespace wlm
