/*
 * choose_level.hpp
 *
 * How much of what a query lacks it is given: the level whose predicted time is
 * least, but no level that outcomes have shown to be slower than the session's own
 * setting. A small share of executions tries another level, so that there is something to
 * compare with: on a fixed schedule over the executions of a template, never for
 * a query predicted to be long unless what it is given did worse than was predicted.
 */
#pragma once

#include <cstdint>

#include "core/grant/outcomes.hpp"

namespace wlm {

enum class LevelReason : uint8_t {
	kNothingLacks = 0,
	kPredicted,      /* too few outcomes: as predicted */
	kProven,         /* outcomes say so */
	kWithdrawn,      /* more was slower */
	kExploring,
};
const char *LevelReasonName(LevelReason reason) noexcept; /* "nothing lacks", "predicted", "proven", "withdrawn", "exploring" */

struct LevelChoice {
	GrantLevel level;
	LevelReason reason;
	float part;      /* for GrantLimits::part */
};

/* `outcomes` may be null; explore_rate 0..1 (0 = never); scarce: the pool has little room, so only what pays is worth it. */
LevelChoice ChooseLevel(const GrantCurve &curve, const GrantOutcomes *outcomes, float lacking_kb, double explore_rate,
                        bool scarce) noexcept;

/*
 * SQL Server's rules: a grant shrinks only if it was over twice what was used and over 1 MB more; it grows on a spill; a template
 * that flips keeps what it has. The factor by which predicted needs are raised so that `wanted_kb` (total) becomes what is kept: 1 or more.
 */
float GuardFactor(const GrantGuard &guard, float wanted_kb) noexcept;

}  // namespace wlm
