/*
 * ledger.cpp
 *
 * One sum per moment. A released operator counts in no moment any more, which is what makes moments end; what is
 * not built yet counts by its predicted charge, scaled like the reservation at the start; what is built by its use.
 */
#include "core/grant/ledger.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/grant/needs.hpp"

namespace wlm {

namespace {

bool IsSlot(const GrantLedger &ledger, int slot) noexcept { return slot >= 0 && slot < ledger.num_slots; }

float Clean(float kb) noexcept { return std::isfinite(kb) && kb > 0 ? kb : 0; }

/* The operators of one moment. */
double SumKb(const GrantLedger &ledger, SlotSet moment) noexcept
{
	double built = 0, expected = 0;
	for (SlotSet left = moment & ~ledger.released; left != 0; left &= left - 1) {
		const int slot = std::countr_zero(left);
		(ledger.built >> slot & 1 ? built : expected) += ledger.charge_kb[slot];
	}
	return built + expected * ledger.scale;
}

double FullestMomentKb(const GrantLedger &ledger) noexcept
{
	double fullest = 0;
	for (int i = 0; i < ledger.lifetimes.num_moments; i++)
		fullest = std::max(fullest, SumKb(ledger, ledger.lifetimes.moments[i]));
	return fullest;
}

}  // namespace

void OpenLedger(const Grant &grant, GrantLedger *ledger) noexcept
{
	ledger->lifetimes = grant.lifetimes;
	ledger->opened_kb = grant.reservation_kb;
	ledger->base_kb = static_cast<float>(std::min<double>(kBaseKb, static_cast<double>(grant.reservation_kb)));
	ledger->scale = 1;
	ledger->grown_kb = 0;
	ledger->built = 0;
	ledger->released = 0;
	ledger->num_slots = 0;
	std::fill_n(ledger->charge_kb, kMaxMemoryNodes, 0.0f);
	for (int i = 0; i < grant.num_operators; i++) {
		const OperatorGrant &one = grant.operators[i];
		if (one.memory_slot < 0 || one.memory_slot >= kMaxMemoryNodes)
			continue;
		ledger->charge_kb[one.memory_slot] = Clean(one.processes * one.expected_kb);
		ledger->num_slots = std::max(ledger->num_slots, static_cast<int16_t>(one.memory_slot + 1));
	}
	const double fullest = FullestMomentKb(*ledger);
	if (fullest > 0)
		ledger->scale = static_cast<float>(std::clamp((static_cast<double>(ledger->opened_kb) - ledger->base_kb) / fullest, 0.0, 1.0));
}

void NoteBuilt(GrantLedger *ledger, int slot, float used_kb) noexcept
{
	if (!IsSlot(*ledger, slot))
		return;
	const bool built = (ledger->built >> slot & 1) != 0;
	const float charged = ledger->charge_kb[slot] * (built ? 1 : ledger->scale);
	/* a ceiling may be above what was charged for it */
	ledger->grown_kb += std::max(Clean(used_kb) - charged, 0.0f);
	ledger->built |= SlotSet{1} << slot;
	ledger->charge_kb[slot] = Clean(used_kb);
}

void NoteGrown(GrantLedger *ledger, int slot, float by_kb) noexcept
{
	const float by = Clean(by_kb);
	if (!IsSlot(*ledger, slot))
		return;
	ledger->grown_kb += by;
	/* given in full, whatever is made of predictions */
	const bool built = (ledger->built >> slot & 1) != 0;
	ledger->charge_kb[slot] += built || !(ledger->scale > 0) ? by : by / ledger->scale;
}

void NoteReleased(GrantLedger *ledger, SlotSet slots) noexcept
{
	ledger->released |= slots;
}

int64_t ReservationKb(const GrantLedger &ledger) noexcept
{
	const double held = ledger.base_kb + FullestMomentKb(ledger);
	const double most = static_cast<double>(ledger.opened_kb) + ledger.grown_kb;
	return static_cast<int64_t>(std::ceil(std::min(held, most) - 1e-2)); /* charges are floats */
}

}  // namespace wlm
