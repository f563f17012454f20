/*
 * split.hpp
 *
 * Who gets the memory where not everything fits: first where a kilobyte saves most
 * predicted time; and who gives some up where not even the session's own limits fit: first where it
 * costs least. Private to core/grant.
 *
 * What must have the same work_mem moves together, as a group: all Parallel Hash tables of a query (their
 * participants find the query's setting), or all operators where one value is asked for.
 */
#pragma once

#include "core/grant/needs.hpp"

namespace wlm {

struct Split {
	const Lifetimes *lifetimes;
	double share_kb;                        /* for the operators of all processes, at every moment */
	double part_kb;                         /* beyond the session's limits, likewise */
	double min_work_mem_kb;                 /* of what is changed */
	double max_work_mem_kb;
	double session_kb;                      /* work_mem */
	int num_operators;
	OperatorNeed needs[kMaxMemoryNodes];    /* by slot */
	double work_mem_kb[kMaxMemoryNodes];    /* result, whole kB: the session's before the first step */
	double used_kb[kMaxMoments];            /* charges in force */
	double raised_kb[kMaxMoments];          /* beyond the session's */
};

/* All at the session's own setting. */
void BeginSplit(Split *split) noexcept;

/* Below the session's own limits, as far as share_kb asks for it. */
void LowerOperators(Split *split, SlotSet together) noexcept;

/* `together`: slots that must have the same work_mem; the others are raised one by one. */
void RaiseOperators(Split *split, SlotSet together) noexcept;

/*
 * A sort or tuplestore cannot grow once it has begun, and a limit that is not used costs nothing: those that have what they
 * need get `ceiling` times that, or what any other operator has, uncharged, within the share.
 */
void LiftCeilings(Split *split, SlotSet together, double ceiling) noexcept;

/* Largest sum of `kb` (by slot, of all processes) over the moments. */
double FullestKb(const Lifetimes &lifetimes, const double *kb) noexcept;

}  // namespace wlm
