/* grant_totals_test.cpp: what a grant may hold in all */
#include "core/grant/totals.hpp"

#include <gtest/gtest.h>

namespace wlm {

namespace {

Grant TwoAndOne()
{
	Grant grant{};
	grant.num_operators = 3;
	const float limits[] = {1000, 300, 900};
	for (int i = 0; i < 3; i++) {
		grant.operators[i].memory_slot = static_cast<int16_t>(i);
		grant.operators[i].limit_kb = limits[i];
		grant.operators[i].processes = 1;
	}
	return grant;
}

}  // namespace

TEST(GrantTotals, NothingIsNothing)
{
	EXPECT_EQ(CeilingKb(Grant{}), 0.0f);
}

TEST(GrantTotals, WithoutMomentsAllCount)
{
	Grant grant = TwoAndOne();
	grant.operators[1].processes = 3;
	EXPECT_EQ(CeilingKb(grant), 1000.0f + 3 * 300 + 900);
}

TEST(GrantTotals, TheFullestMomentCounts)
{
	Grant grant = TwoAndOne();
	grant.lifetimes.num_moments = 2;
	grant.lifetimes.moments[0] = 0b011;
	grant.lifetimes.moments[1] = 0b110;
	EXPECT_EQ(CeilingKb(grant), 1300.0f);
	grant.operators[2].limit_kb = 1100;
	EXPECT_EQ(CeilingKb(grant), 1400.0f);
}

}  // namespace wlm
