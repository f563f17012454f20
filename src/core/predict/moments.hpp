/*
 * moments.hpp
 *
 * Decayed mean, variance and histogram of a logarithm: what a recall entry is
 * made of. Half of the weight is gone after 20 further observations.
 */
#pragma once

#include "core/predict/recall_store.hpp"

namespace wlm {

inline constexpr float kRecallDecay = 0.96593633f; /* 0.5^(1/20) */
inline constexpr float kMostRecallWeight = 30.0f;  /* 1 / (1 - decay) = 29.4 */
inline constexpr float kNoBound = -100.0f;         /* OperatorMemory::lower_bound: none seen */

void Fold(Moments *moments, float value) noexcept;

/* Folds a lower bound in, if it lies above what is believed; false if it taught nothing. */
bool Raise(Moments *moments, float value) noexcept;

void AddToSketch(QuantileSketch *sketch, const Moments &moments, float value) noexcept;

/* Of a sketch that holds something; linear inside a bucket. */
float SketchQuantile(const QuantileSketch &sketch, float probability) noexcept;

/* Finite, weights and variances in range. */
bool IsSane(const Moments &moments) noexcept;
bool IsSane(const QuantileSketch &sketch) noexcept;
bool IsSane(const RecallEntry &entry) noexcept;

}  // namespace wlm
