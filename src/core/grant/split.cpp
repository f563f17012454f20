/*
 * split.cpp
 *
 * Greedy, by predicted time per kB; one number per moment says how much is in
 * use. Ties fall to the lower slot, so the same plan always gets the same grant.
 */
#include "core/grant/split.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace wlm {

namespace {

constexpr int kSteps = 40;      /* of a bisection: to 1 kB from a terabyte */
constexpr double kSlackKb = 1e-3; /* of sums of doubles */
constexpr double kLeastRaise = 1.125; /* a part that is less is not worth a change */

struct Item {
	SlotSet slots;
	double target_kb;   /* work_mem */
	double density;     /* ms per kB */
	bool partly;        /* anything up to the target will do */
};

template <typename Visit>
void ForEachSlot(SlotSet slots, Visit visit) noexcept
{
	for (; slots != 0; slots &= slots - 1)
		visit(std::countr_zero(slots));
}

double LimitKb(const OperatorNeed &need, double work_mem_kb) noexcept { return work_mem_kb * need.multiplier; }

/* What the group would be charged beyond what it is charged now, in one moment. */
double ChangeKb(const Split &split, SlotSet slots, double work_mem_kb) noexcept
{
	double change = 0;
	ForEachSlot(slots, [&](int slot) {
		const OperatorNeed &need = split.needs[slot];
		change += ChargeKb(need, LimitKb(need, work_mem_kb)) - ChargeKb(need, LimitKb(need, split.work_mem_kb[slot]));
	});
	return change;
}

bool Fits(const Split &split, SlotSet slots, double work_mem_kb) noexcept
{
	for (int i = 0; i < split.lifetimes->num_moments; i++) {
		const SlotSet present = slots & split.lifetimes->moments[i];
		if (present == 0)
			continue;
		const double change = ChangeKb(split, present, work_mem_kb);
		if (change > 0 && (split.used_kb[i] + change > split.share_kb + kSlackKb || split.raised_kb[i] + change > split.part_kb + kSlackKb))
			return false;
	}
	return true;
}

/* Is every moment of the group within the share? */
bool IsEnough(const Split &split, SlotSet slots, double work_mem_kb) noexcept
{
	for (int i = 0; i < split.lifetimes->num_moments; i++) {
		const SlotSet present = slots & split.lifetimes->moments[i];
		if (present != 0 && split.used_kb[i] + ChangeKb(split, present, work_mem_kb) > split.share_kb + kSlackKb)
			return false;
	}
	return true;
}

void SetWorkMem(Split *split, SlotSet slots, double work_mem_kb) noexcept
{
	for (int i = 0; i < split->lifetimes->num_moments; i++) {
		const double change = ChangeKb(*split, slots & split->lifetimes->moments[i], work_mem_kb);
		split->used_kb[i] += change;
		split->raised_kb[i] += std::max(change, 0.0);
	}
	ForEachSlot(slots, [&](int slot) { split->work_mem_kb[slot] = work_mem_kb; });
}

/* The largest whole work_mem in [low, high) that passes; low if none does. */
template <typename Passes>
double LargestThat(double low, double high, Passes passes) noexcept
{
	low = std::ceil(low);
	for (int step = 0; step < kSteps && high - low > 1; step++) {
		const double middle = std::floor((low + high) / 2);
		(passes(middle) ? low : high) = middle;
	}
	return low;
}

/* Highest density first; lowest if ascending. */
void SortItems(Item *items, int count, bool ascending) noexcept
{
	for (int i = 1; i < count; i++) {
		const Item item = items[i];
		int place = i;
		for (; place > 0 && (ascending ? items[place - 1].density > item.density : items[place - 1].density < item.density); place--)
			items[place] = items[place - 1];
		items[place] = item;
	}
}

/* What one group would gain by its target; false if nothing. */
bool FindGain(const Split &split, SlotSet slots, Item *item) noexcept
{
	double target = 0, saved = 0;
	bool lowered = false;
	ForEachSlot(slots, [&](int slot) {
		const OperatorNeed &need = split.needs[slot];
		const double limit = TargetKb(need);
		if (limit > need.session_kb)
			target = std::max(target, std::ceil(limit / need.multiplier));
		lowered |= split.work_mem_kb[slot] < split.session_kb;
	});
	target = std::min(std::max(target, split.min_work_mem_kb), split.max_work_mem_kb);
	if (lowered || target <= split.session_kb)
		return false;
	ForEachSlot(slots, [&](int slot) { saved += SavedMs(split.needs[slot], LimitKb(split.needs[slot], target)); });
	if (!(saved > 0))
		return false;
	item->slots = slots;
	item->target_kb = target;
	item->density = saved / std::max(ChangeKb(split, slots, target), kSlackKb);
	item->partly = false;
	return true;
}

/*
 * What it would gain by a part of that. Where the planner's estimate is above the need, the last part is worth more than the
 * first: then a part comes after others that are worth more. False if a part is worth nothing.
 */
bool FindPart(const Split &split, const Item &all, SlotSet together, Item *item) noexcept
{
	double charged = 0, saved = 0; /* work_mem from which on more costs nothing */
	ForEachSlot(all.slots, [&](int slot) { charged = std::max(charged, split.needs[slot].need_kb / split.needs[slot].multiplier); });
	/* one value for all is a compromise anyway */
	if (all.slots != together && split.needs[std::countr_zero(all.slots)].whole)
		return false;
	const double target = std::clamp(charged, split.session_kb, all.target_kb);
	ForEachSlot(all.slots, [&](int slot) { saved += SavedMs(split.needs[slot], LimitKb(split.needs[slot], target)); });
	const double change = ChangeKb(split, all.slots, target);
	if (!(change > 0))
		return false;
	*item = Item{all.slots, all.target_kb, saved / change, true};
	return true;
}

/* What one group would lose per kB at its floor; false if that frees nothing. */
bool FindLoss(const Split &split, SlotSet slots, Item *item) noexcept
{
	double floor = 0, lost = 0;
	ForEachSlot(slots, [&](int slot) {
		const OperatorNeed &need = split.needs[slot];
		/* without an opinion it keeps what it has */
		floor = std::max(floor, need.lowerable ? std::ceil(need.floor_kb / need.multiplier) : split.session_kb);
	});
	if (floor >= split.session_kb)
		return false;
	ForEachSlot(slots, [&](int slot) { lost -= SavedMs(split.needs[slot], LimitKb(split.needs[slot], floor)); });
	const double freed = -ChangeKb(split, slots, floor);
	if (!(freed > 0))
		return false;
	*item = Item{slots, floor, lost / freed, false};
	return true;
}

/* `together` and each slot apart from it: the groups to be asked. */
template <typename Find>
int FindItems(const Split &split, SlotSet together, Item *items, Find find) noexcept
{
	int count = 0;
	if (together != 0 && find(split, together, &items[count]))
		count++;
	for (int slot = 0; slot < split.num_operators; slot++) {
		const SlotSet one = SlotSet{1} << slot;
		if ((together & one) == 0 && find(split, one, &items[count]))
			count++;
	}
	return count;
}

}  // namespace

double FullestKb(const Lifetimes &lifetimes, const double *kb) noexcept
{
	double fullest = 0;
	for (int i = 0; i < lifetimes.num_moments; i++) {
		double sum = 0;
		ForEachSlot(lifetimes.moments[i], [&](int slot) { sum += kb[slot]; });
		fullest = std::max(fullest, sum);
	}
	return fullest;
}

void BeginSplit(Split *split) noexcept
{
	std::fill_n(split->work_mem_kb, split->num_operators, split->session_kb);
	for (int i = 0; i < split->lifetimes->num_moments; i++) {
		split->used_kb[i] = 0;
		split->raised_kb[i] = 0;
		ForEachSlot(split->lifetimes->moments[i],
		            [&](int slot) { split->used_kb[i] += ChargeKb(split->needs[slot], split->needs[slot].session_kb); });
	}
}

void LowerOperators(Split *split, SlotSet together) noexcept
{
	Item items[kMaxMemoryNodes + 1];
	const int count = FindItems(*split, together, items, FindLoss);

	SortItems(items, count, true);
	for (int i = 0; i < count; i++) {
		const Item &item = items[i];
		const auto enough = [&](double work_mem_kb) { return IsEnough(*split, item.slots, work_mem_kb); };
		if (!enough(split->session_kb))
			SetWorkMem(split, item.slots, LargestThat(item.target_kb, split->session_kb, enough));
	}
}

void LiftCeilings(Split *split, SlotSet together, double ceiling) noexcept
{
	double largest = 0;
	for (int slot = 0; slot < split->num_operators; slot++)
		largest = std::max(largest, split->work_mem_kb[slot]);
	for (int slot = 0; slot < split->num_operators; slot++) {
		const OperatorNeed &need = split->needs[slot];
		const bool has_enough = need.need_kb > 0 && LimitKb(need, split->work_mem_kb[slot]) >= need.wanted_kb;
		if ((together >> slot & 1) != 0 || !need.whole || !has_enough)
			continue;
		const double most = std::min(split->max_work_mem_kb, std::floor(split->share_kb / (need.processes * need.multiplier)));
		const double target = std::min(std::max(std::ceil(ceiling * need.need_kb / need.multiplier), largest), most);
		if (target >= split->min_work_mem_kb)
			split->work_mem_kb[slot] = std::max(split->work_mem_kb[slot], target);
	}
}

void RaiseOperators(Split *split, SlotSet together) noexcept
{
	Item items[2 * (kMaxMemoryNodes + 1)];
	const int groups = FindItems(*split, together, items, FindGain);
	int count = groups;
	for (int i = 0; i < groups; i++) {
		if (FindPart(*split, items[i], together, &items[count]))
			count++;
	}

	SortItems(items, count, false);
	for (int i = 0; i < count; i++) {
		const Item &item = items[i];
		const auto fits = [&](double work_mem_kb) { return Fits(*split, item.slots, work_mem_kb); };
		if (split->work_mem_kb[std::countr_zero(item.slots)] > split->session_kb)
			continue; /* has all */
		if (!item.partly) {
			if (fits(item.target_kb))
				SetWorkMem(split, item.slots, item.target_kb);
			continue;
		}
		const double some = LargestThat(split->session_kb, item.target_kb, fits);
		if (some >= split->session_kb * kLeastRaise && some >= split->min_work_mem_kb)
			SetWorkMem(split, item.slots, some);
	}
}

}  // namespace wlm
