/*
 * later.hpp
 *
 * What runs while a dispatch looks for somebody to start; gathered at most once
 * for each search, and only if someone has to be weighed. For the Policy alone.
 */
#pragma once

#include <algorithm>
#include <cmath>

#include "core/decide/policy/policy.hpp"
#include "core/decide/policy/constants.hpp"

namespace wlm {

struct Policy::Beside {
	RunningQuery running[policy::kMaxBeside];
	int count;
	int num_weighed;
	bool gathered;
	bool ignored;       /* nobody is held back: work was thrown away for the one that starts */
};

/* In 256ths of a processor, so that sums are exact. */
inline float WholeLoad(float load) noexcept
{
	return load > 0 ? std::ceil(std::min(load, static_cast<float>(policy::kMaxProcessors)) * 256.0f) / 256.0f : 0;
}

/* A query without a known load is taken for one process that computes. */
inline double LoadOf(float load) noexcept { return load > 0 ? static_cast<double>(load) : 1; }

}  // namespace wlm
