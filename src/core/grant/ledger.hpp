/*
 * ledger.hpp
 *
 * What a running query holds and may still come to hold. Its reservation begins
 * with the predicted needs and follows what happens: an operator that is built is
 * charged by what it uses, one that grows by what it was given, one that was
 * released nothing; moments that are over do not count any more.
 *
 * The leader's own operators only; those of workers keep their predicted charge.
 * No clock, no lock: the caller tells the policy when ReservationKb() has changed.
 */
#pragma once

#include <cstdint>

#include "core/grant/grant.hpp"

namespace wlm {

struct GrantLedger {
	Lifetimes lifetimes;
	int64_t opened_kb;                  /* reservation at the start */
	float base_kb;                      /* beside operators */
	float scale;                        /* opened_kb against the sum of charges at the fullest moment: a quantile of the sum is less */
	float grown_kb;                     /* beyond what was expected: by growth, or found when built */
	int16_t num_slots;
	SlotSet built;                      /* charged by use */
	SlotSet released;
	float charge_kb[kMaxMemoryNodes];   /* all its processes */
};

void OpenLedger(const Grant &grant, GrantLedger *ledger) noexcept;

/* The operator has all its input. used_kb: all its processes, as far as known. */
void NoteBuilt(GrantLedger *ledger, int slot, float used_kb) noexcept;
void NoteGrown(GrantLedger *ledger, int slot, float by_kb) noexcept;
void NoteReleased(GrantLedger *ledger, SlotSet slots) noexcept;

/* What should be reserved from now on; never more than opened_kb + grown_kb. */
int64_t ReservationKb(const GrantLedger &ledger) noexcept;

}  // namespace wlm
