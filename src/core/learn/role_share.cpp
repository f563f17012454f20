/*
 * role_share.cpp
 *
 * See role_share.hpp. Of n experiences of a role and m of all others each of the n
 * gets the weight m / n, so that together they weigh as much as the others
 * (kMostRoleShare = 1/2).
 */
#include "core/learn/role_share.hpp"

#include <algorithm>
#include <cmath>

#include "core/hash.hpp"
#include "core/learn/sample_pool.hpp"

namespace wlm {

namespace {

constexpr float kDecay = 0.99930709f; /* 0.5^(1/1000) */
constexpr float kMost = 1444;         /* 1 / (1 - decay) = 1443.2 */
constexpr float kContributing = 4;    /* recent experiences of others from which on they count */
constexpr float kOfOthers = kMostRoleShare / (1 - kMostRoleShare);

}  // namespace

float WeightOfRole(RoleShares *shares, uint64_t role) noexcept
{
	float total = 0;
	for (float &count : shares->experiences) {
		count = count >= 0 && count <= kMost ? count * kDecay : 0;
		total += count;
	}
	float *mine = &shares->experiences[Mix(role) % kRoleCounters];
	const float others = std::max(total - *mine, 0.0f);
	*mine = std::min(*mine + 1, kMost);
	return others < kContributing ? 1.0f : std::min(others * kOfOthers / *mine, 1.0f);
}

}  // namespace wlm
