/*
 * interference.hpp
 *
 * Learning how statements slow each other, and telling the policy. For the
 * launcher and the worker that reads history back.
 */
#pragma once

#include "core/learn/experience.hpp"

namespace wlm {

/* learn_lock held exclusively. */
void LearnOverlapLocked(const Experience &experience);

/* Fits what was learned and hands it to the policy. Takes learn_lock (shared) and then state_lock. */
void PublishInterference();

}  // namespace wlm
