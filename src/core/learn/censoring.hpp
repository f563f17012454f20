/*
 * censoring.hpp
 *
 * Which numbers of an experience are the truth and which are only lower bounds
 * (HAZARDS G15). One place, so that learning and judging agree.
 */
#pragma once

#include <algorithm>

#include "core/learn/experience.hpp"

namespace wlm {

/* Rejected or timed out in the queue: nothing was executed, there is nothing to learn. */
inline bool WasRun(const Experience &experience) noexcept
{
	return experience.final_state == FinalState::kCompleted || experience.final_state == FinalState::kCancelled ||
		experience.final_state == FinalState::kFailed;
}

inline bool TimeIsLowerBound(const Experience &experience) noexcept
{
	return experience.censored || experience.final_state != FinalState::kCompleted;
}

/* Reconstructed from batches and disk after a spill, or cut short. */
inline bool NeedIsLowerBound(const OperatorExperience &op) noexcept { return (op.flags & (kSpilled | kCensored)) != 0; }

/* What the whole query took under a grant that made it spill is less than it wanted. */
inline bool QueryMemoryIsLowerBound(const Experience &experience) noexcept
{
	if (TimeIsLowerBound(experience))
		return true;
	const int num_operators = std::clamp<int>(experience.num_operators, 0, kMaxMemoryNodes);
	for (int i = 0; i < num_operators; i++)
		if ((experience.operators[i].flags & kObserved) && (experience.operators[i].flags & kSpilled))
			return true;
	return false;
}

}  // namespace wlm
