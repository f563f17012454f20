/*
 * interference.cpp
 *
 * wlm.interference(): how statements slow each other, as observed and as fitted.
 */
#include "pg/guard.hpp"

#include <cmath>

#include "core/decide/interference.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/result_rows.hpp"

WLM_FUNCTION(wlm_interference)
{
	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	wlm::InterferenceLearner learner;

	LWLockAcquire(wlm::shared->learn_lock, LW_SHARED);
	learner = wlm::shared->overlaps;
	LWLockRelease(wlm::shared->learn_lock);
	const wlm::Interference fitted = wlm::FitInterference(learner);

	for (int i = 0; i < wlm::InterferenceLearner::kNumBuckets; i++) {
		wlm::RowWriter row;

		if (!(learner.weight[i] >= 0.5))
			continue;
		const double load = learner.sum_load[i] / learner.weight[i];
		row.Float8(load);
		row.Float8(learner.weight[i]);
		row.Float8(std::exp(learner.sum_log_ratio[i] / learner.weight[i]));
		row.Number(fitted.known ? wlm::Slowdown(fitted, load) : std::nan(""));
		row.Emit(set);
	}
	return static_cast<Datum>(0);
}
