/*
 * role_share.hpp
 *
 * No role teaches more than half of what the planner expert and the gate's network
 * learn online while others teach too: a weight for each experience, from decayed counts of how many experiences came
 * from its role and from others. A role that is alone keeps weight 1.
 *
 * Others count as teaching while at least 4 of the last 1,400 experiences or so are
 * theirs (0.3 %): else one stray query would stop the learning of the role that does all the
 * work. Roles are hashed into counters: roles that share one are held back as one.
 * Plain data; one writer at a time.
 */
#pragma once

#include <cstdint>
#include <type_traits>

namespace wlm {

inline constexpr int kRoleCounters = 64;

struct RoleShares {
	float experiences[kRoleCounters]; /* decayed: half is gone after 1,000 experiences of whatever role */
};
static_assert(std::is_trivially_copyable_v<RoleShares>);

/* For Learn(): in (0, 1]. Counts the experience. `role` is an OID or a hash. */
float WeightOfRole(RoleShares *shares, uint64_t role) noexcept;

}  // namespace wlm
