/*
 * later.hpp
 *
 * What runs while a dispatch looks for somebody to start; gathered at most once
 * for each search, and only if someone has to be weighed. For the Policy alone.
 */
#pragma once

#include "core/decide/policy.hpp"
#include "core/decide/policy_constants.hpp"

namespace wlm {

struct Policy::Beside {
	RunningQuery running[policy::kMaxBeside];
	int count;
	int num_weighed;
	bool gathered;
	bool ignored;       /* nobody is held back: work was thrown away for the one that starts */
};

}  // namespace wlm
