/*
 * policy_constants.hpp
 *
 * Constants of the state machine that its callers need not know. Those
 * without a source are starting points: measure, then choose.
 */
#pragma once

#include <cstdint>

namespace wlm::policy {

inline constexpr double kNever = -1e300;

/* Clock. Processes read it before they take the lock, so it steps back a little all the time. */
inline constexpr double kMaxSkewMs = 2000.0;        /* back by more than this is a jump: the internal clock goes on from where it was */
inline constexpr double kMaxStepMs = 1e9;           /* forward by more than this is cut to this */
inline constexpr double kClockSlackMs = 0.01;       /* rounding of deadlines */

inline constexpr int64_t kMaxMemoryKb = int64_t{1} << 44;   /* keeps sums of a million entries in range */
inline constexpr int32_t kMaxSlots = 1 << 16;

/*
 * Bounds of the cost of a dispatch: how many queries of one wait list are looked at behind a head that does not fit,
 * and how many behind all heads together. Heads themselves are always looked at.
 */
inline constexpr int kLookAhead = 8;
inline constexpr int kMaxLookAhead = 64;
inline constexpr int kMaxUnfit = 64;

/* Stride of priority i: 32 / weight, with weights 1, 2, 4, 8, 16, 32 from lowest to critical. */
inline constexpr uint64_t kStrides[] = {32, 16, 8, 4, 2, 1};
inline constexpr uint64_t kMaxLag = 32;             /* a level that had no slot does not save up more than this */

/* Express lane: Db2's exceptions, and what may pass while a starved query waits for memory. */
inline constexpr double kExpressQueryShare = 0.02;
inline constexpr double kExpressBusyShare = 0.95;
inline constexpr double kExpressPassingShare = 0.10;
inline constexpr double kCutoffQuantile = 0.70;
inline constexpr double kCutoffSpan = 10.0;         /* the cut-off is between the floor and this many floors */
inline constexpr double kObservationGrowth = 1.001; /* per observation: half the weight is in the last 700 */

/* Automatic slots. Between the two saturations the limit rests. */
inline constexpr double kGrowBelow = 1.0;
inline constexpr double kShrinkAbove = 1.1;
inline constexpr int32_t kStartPerProcessor = 2;
inline constexpr int32_t kMostPerProcessor = 16;
inline constexpr int32_t kMaxProcessors = 4096;

}  // namespace wlm::policy
