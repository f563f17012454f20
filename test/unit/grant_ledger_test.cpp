/*
 * grant_ledger_test.cpp
 *
 * What a running query still has to have reserved: known courses, and random
 * ones that must never exceed what was opened and grown.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/grant/ledger.hpp"

namespace wlm {
namespace {

/* A chain of three operators of 1000, 2000 and 4000 kB, of which neighbours live together. */
Grant Chain(int64_t reservation_kb)
{
	Grant grant{};
	grant.reservation_kb = reservation_kb;
	grant.num_operators = 3;
	for (int16_t i = 0; i < 3; i++) {
		grant.operators[i].memory_slot = i;
		grant.operators[i].processes = 2;
		grant.operators[i].expected_kb = static_cast<float>(500 << i);
	}
	grant.lifetimes.num_moments = 2;
	grant.lifetimes.moments[0] = 0b011;
	grant.lifetimes.moments[1] = 0b110;
	grant.lifetimes.released = 0b110;
	return grant;
}

TEST(Ledger, FollowsWhatHappens)
{
	GrantLedger ledger;
	OpenLedger(Chain(6512), &ledger);
	EXPECT_EQ(ReservationKb(ledger), 6512);
	NoteBuilt(&ledger, 2, 3000);
	EXPECT_EQ(ReservationKb(ledger), 5512);
	NoteBuilt(&ledger, 1, 500);
	EXPECT_EQ(ReservationKb(ledger), 4012);
	NoteReleased(&ledger, 0b100);
	EXPECT_EQ(ReservationKb(ledger), 512 + 1000 + 500);
	NoteBuilt(&ledger, 0, 800);
	NoteReleased(&ledger, 0b010);
	EXPECT_EQ(ReservationKb(ledger), 512 + 800);
}

TEST(Ledger, GrowsByWhatWasGiven)
{
	GrantLedger ledger;
	OpenLedger(Chain(6512), &ledger);
	NoteGrown(&ledger, 2, 1000);
	EXPECT_EQ(ReservationKb(ledger), 7512);
	NoteGrown(&ledger, 0, 100); /* not in the fullest moment */
	EXPECT_EQ(ReservationKb(ledger), 7512);
	NoteBuilt(&ledger, 2, 4500);
	EXPECT_EQ(ReservationKb(ledger), 7012);
	NoteGrown(&ledger, 2, 200);
	EXPECT_EQ(ReservationKb(ledger), 7212);
	NoteBuilt(&ledger, 2, 9000); /* more than was ever given: its ceiling was above what it was charged */
	EXPECT_EQ(ReservationKb(ledger), 512 + 2000 + 9000);
}

TEST(Ledger, AReservationBelowTheSumScalesWhatIsNotBuilt)
{
	GrantLedger ledger;
	OpenLedger(Chain(3512), &ledger);
	EXPECT_EQ(ReservationKb(ledger), 3512);
	NoteGrown(&ledger, 2, 1000);
	EXPECT_EQ(ReservationKb(ledger), 4512);
	NoteBuilt(&ledger, 2, 2500);
	EXPECT_EQ(ReservationKb(ledger), 512 + 2500 + 1000);
	NoteReleased(&ledger, 0b110);
	EXPECT_EQ(ReservationKb(ledger), 512 + 500);
}

TEST(Ledger, NonsenseChangesNothing)
{
	GrantLedger ledger;
	Grant empty{};
	empty.reservation_kb = 512;
	OpenLedger(empty, &ledger);
	EXPECT_EQ(ReservationKb(ledger), 512);

	OpenLedger(Chain(6512), &ledger);
	NoteBuilt(&ledger, -1, 1);
	NoteBuilt(&ledger, 3, 1);
	NoteBuilt(&ledger, 64, 1);
	NoteGrown(&ledger, 99, 1);
	NoteGrown(&ledger, 1, NAN);
	NoteGrown(&ledger, 1, -5);
	NoteGrown(&ledger, 1, INFINITY);
	EXPECT_EQ(ReservationKb(ledger), 6512);
	NoteBuilt(&ledger, 1, NAN);
	EXPECT_EQ(ReservationKb(ledger), 4512);
	OpenLedger(Chain(100), &ledger); /* less than the base */
	EXPECT_EQ(ReservationKb(ledger), 100);
}

TEST(Ledger, NeverMoreThanOpenedAndGrown)
{
	for (uint32_t seed = 0; seed < 3000; seed++) {
		std::mt19937 random(seed);
		const auto pick = [&](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
		const int slots = 1 + pick(11);
		Grant grant{};
		grant.num_operators = static_cast<int16_t>(slots);
		double sum = 0;
		for (int i = 0; i < slots; i++) {
			grant.operators[i].memory_slot = static_cast<int16_t>(i);
			grant.operators[i].processes = static_cast<float>(1 + pick(3));
			grant.operators[i].expected_kb = static_cast<float>(pick(100000));
			sum += grant.operators[i].processes * grant.operators[i].expected_kb;
		}
		grant.lifetimes.num_moments = static_cast<int16_t>(1 + pick(4));
		for (int i = 0; i < grant.lifetimes.num_moments; i++)
			grant.lifetimes.moments[i] = static_cast<SlotSet>(1 + pick((1 << slots) - 2));
		grant.reservation_kb = 512 + pick(static_cast<int>(sum));

		GrantLedger ledger;
		OpenLedger(grant, &ledger);
		ASSERT_LE(ReservationKb(ledger), grant.reservation_kb);
		double grown = 0, used[64] = {};
		SlotSet released = 0;
		for (int step = 0; step < 30; step++) {
			const int slot = pick(slots - 1);
			const int64_t before = ReservationKb(ledger);
			switch (pick(2)) {
				case 0:
					used[slot] = pick(50000);
					NoteBuilt(&ledger, slot, static_cast<float>(used[slot]));
					break;
				case 1:
					if (pick(3) == 0) {
						const int by = pick(1000);
						grown += by;
						used[slot] += by;
						NoteGrown(&ledger, slot, static_cast<float>(by));
						ASSERT_LE(ReservationKb(ledger), before + by + 1) << seed;
					}
					break;
				default:
					released |= SlotSet{1} << slot;
					NoteReleased(&ledger, SlotSet{1} << slot);
					ASSERT_LE(ReservationKb(ledger), before) << seed;
			}
			const double bound = static_cast<double>(grant.reservation_kb) + static_cast<double>(ledger.grown_kb);
			ASSERT_LE(static_cast<double>(ReservationKb(ledger)), bound + 1) << seed;
			ASSERT_GE(static_cast<double>(ledger.grown_kb), grown - 1) << seed;
			ASSERT_GE(ReservationKb(ledger), std::min<int64_t>(512, grant.reservation_kb)) << seed;
		}
		/* in the end: the base and what stays, as far as it was given */
		for (int i = 0; i < slots; i++) {
			used[i] = 10 * i;
			NoteBuilt(&ledger, i, static_cast<float>(used[i]));
		}
		double stays = 0;
		for (int i = 0; i < grant.lifetimes.num_moments; i++) {
			double held = 0;
			for (int slot = 0; slot < slots; slot++)
				held += ((grant.lifetimes.moments[i] & ~released) >> slot & 1) != 0 ? used[slot] : 0;
			stays = std::max(stays, held);
		}
		const double most = static_cast<double>(grant.reservation_kb) + static_cast<double>(ledger.grown_kb);
		ASSERT_EQ(ReservationKb(ledger), static_cast<int64_t>(std::min(512 + stays, most))) << seed;
	}
}

}  // namespace
}  // namespace wlm
