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

/*
 * Of max_standstill, between two that are let in to a queue that stands still: 30 s of 5 minutes. If one of them is what its running
 * queries wait for, it comes in soon; if all that runs is merely long, its limits stay nearly what they are.
 */
inline constexpr double kLetInPart = 0.1;

/* Express lane: Db2's exceptions, and what may pass while a starved query waits for memory. */
inline constexpr double kExpressQueryShare = 0.02;
inline constexpr double kExpressBusyShare = 0.95;
inline constexpr double kExpressPassingShare = 0.10;
inline constexpr double kCutoffQuantile = 0.70;
inline constexpr double kCutoffSpan = 10.0;         /* the cut-off is between the floor and this many floors */
inline constexpr double kObservationGrowth = 1.001; /* per observation: half the weight is in the last 700 */

/*
 * Correction of the cut-off by the cost of misrouting. The sums have half their weight in the last 140 ends; a step of 5 % every 20 ends
 * doubles or halves the cut-off in some 280, so the sums follow it, and a margin of two keeps noise from moving it to and fro. The least
 * cost (one floor) keeps single mistakes of no consequence out. No end weighs more than ten minutes: one runaway is no pattern.
 */
inline constexpr double kMisroutingFade = 0.995;
inline constexpr double kMisroutingMargin = 2.0;
inline constexpr double kMaxMisroutingMs = 600000.0;
inline constexpr uint64_t kCorrectionEvery = 20;
inline constexpr double kCorrectionStep = 1.05;
inline constexpr double kMaxCorrection = 8.0;

/*
 * Preemption. A query that gave way once gives way again with p = 1/2, then 1/4, ..., and only after kMinRunMs: what it does meanwhile
 * may end it. No query throws away more than its predicted time, or kLeastWasteMs if that is less; who has done kNearlyDone of it runs
 * on. All together throw away at most kWastePart of what is executed, plus an allowance to begin with; a calm month does not save up
 * more than kMostCreditMs.
 */
inline constexpr double kMinRunMs = 1000.0;
inline constexpr double kLeastWasteMs = 1000.0;
inline constexpr double kNearlyDone = 0.8;
inline constexpr double kWastePart = 0.05;
inline constexpr double kWasteAllowanceMs = 10000.0;
inline constexpr double kMostCreditMs = 600000.0;
inline constexpr double kMaxWaitedPart = 0.5;       /* of max_wait: who has waited longer is not made to wait again */
inline constexpr double kSeekPauseMs = 10.0;        /* after a search that found nobody, arrivals do not search: bounds the cost */
/* A request is answered at the next row or interrupt: who has not by then is stuck, and another is asked. */
inline constexpr double kAnswerMs = 2000.0;
inline constexpr int kMaxSeekers = 16;              /* waiting queries that one search serves, at a tick */
inline constexpr uint64_t kRandomSeed = 0x9e3779b97f4a7c15;

/* Now or later. After its turn came a query is held back no longer than its own predicted time, nor than this. */
inline constexpr double kMaxLaterMs = 10000.0;
inline constexpr double kLeastLaterMs = 1000.0;     /* shorter ones are not held back: the next tick may be a second away */
inline constexpr double kLeastRemaining = 0.1;      /* of the predicted time: what a query that overran it is taken to need still */
inline constexpr int kMaxBeside = 32;               /* running queries that are looked at */
inline constexpr int kMaxLaterTries = 8;            /* queries of one search that are weighed; the rest of it waits */

/*
 * The pool of automatic slots. Between the two saturations its limit rests.
 * Start: a statement waits for disk, locks and its client for a good part of its time, so two per processor leave the machine half idle;
 * what is too much is halved within a second, what is too little makes somebody wait. Increase: a quarter a second until the machine has
 * been saturated (from the start to the most in 7 s), then again up to three quarters of where that was, which one halving leaves in
 * 2 s; from there by one, as TCP's congestion avoidance does, so that the limit stays near the edge instead of leaping over it.
 */
inline constexpr double kGrowBelow = 1.0;
inline constexpr double kShrinkAbove = 1.1;
inline constexpr int32_t kStartPerProcessor = 4;
inline constexpr int32_t kMostPerProcessor = 16;
inline constexpr int32_t kGrowthDivisor = 4;
inline constexpr double kCarefulAbove = 0.75;       /* of the limit that saturated the machine */
inline constexpr double kShareRounding = 1e-4;      /* a share is a float: 0.7 of 10 slots are 7 */
inline constexpr int32_t kMaxProcessors = 4096;

}  // namespace wlm::policy
