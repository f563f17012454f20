/*
 * lifetimes.hpp
 *
 * Which operators of a plan hold memory at the same time, so that those that
 * never do can be given the same memory. Derived from the order in which
 * PostgreSQL's executor runs a plan: a hash join builds its table before it
 * reads its outer side (it may fetch one outer row first), a sort or hash
 * aggregate reads all of its input before it returns a row, an Append runs its
 * children one after the other.
 *
 * PostgreSQL itself keeps all memory until ExecutorEnd. What makes the difference is
 * that we free it as soon as the operator that reads it has all it needs, where
 * nobody can ask for those rows again: `released`.
 */
#pragma once

#include <cstdint>

#include "core/plan/plan_graph.hpp"

namespace wlm {

static_assert(kMaxMemoryNodes <= 64, "a set of memory slots is one word");
using SlotSet = uint64_t;   /* bit i = memory slot i */

inline constexpr int kMaxMoments = 64;

struct Lifetimes {
	int16_t num_moments;             /* 0 without memory nodes */
	int16_t released_by[kMaxMemoryNodes]; /* the slot whose completed input ends this one's life; kNoNode: lives to the end */
	SlotSet released;                /* those that have one */
	SlotSet moments[kMaxMoments];    /* sets alive together; none contains another */
};

/*
 * `may_release` false: whatever was built stays to the end, as in PostgreSQL itself. Where a plan
 * has more moments than fit, some are united, which only asks for more memory than needed.
 *
 * Released are Sort, Hash (not Parallel Hash) and HashAgg below another Sort, Hash or HashAgg that reads them to the end, reached
 * through plain inputs only: not through the inner side of a nested loop, a sub-plan, init-plan, CTE, recursive union or
 * Memoize, which may run them again.
 */
void FindLifetimes(const PlanGraph &graph, bool may_release, Lifetimes *lifetimes) noexcept;

}  // namespace wlm
