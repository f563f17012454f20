/*
 * interference.cpp
 *
 * The learner is in shared memory under learn_lock; the policy has a copy of the
 * fitted curve, which it asks under state_lock.
 */
#include "pg/learning/interference.hpp"

#include "pg/postgres.hpp"

#include "core/decide/interference.hpp"
#include "core/learn/overlap.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

void LearnOverlapLocked(const Experience &experience)
{
	Overlap overlap;

	if (OverlapOf(experience, &overlap))
		ObserveOverlap(&shared->overlaps, overlap);
}

void PublishInterference()
{
	InterferenceLearner learner;

	LWLockAcquire(shared->learn_lock, LW_SHARED);
	learner = shared->overlaps;
	LWLockRelease(shared->learn_lock);
	const Interference fitted = FitInterference(learner);

	StateLock lock;
	policy->SetInterference(fitted);
}

}  // namespace wlm
