/*
 * totals.hpp
 *
 * One number for a grant that is made of many: what its operators may hold in
 * all their processes at the fullest moment. A ceiling, for people to read; what
 * counts against the budget is the reservation.
 */
#pragma once

#include <algorithm>

#include "core/grant/grant.hpp"

namespace wlm {

inline float CeilingKb(const Grant &grant) noexcept
{
	float largest = 0;
	const int moments = std::max<int>(grant.lifetimes.num_moments, 1);

	for (int moment = 0; moment < moments; moment++) {
		float sum = 0;
		for (int i = 0; i < grant.num_operators; i++) {
			const OperatorGrant &held = grant.operators[i];
			const bool alive = grant.lifetimes.num_moments == 0 ||
				(grant.lifetimes.moments[moment] >> held.memory_slot & 1) != 0;
			if (alive)
				sum += held.limit_kb * held.processes;
		}
		largest = std::max(largest, sum);
	}
	return largest;
}

}  // namespace wlm
