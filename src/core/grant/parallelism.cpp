/*
 * parallelism.cpp
 *
 * See parallelism.hpp.
 */
#include "core/grant/parallelism.hpp"

#include <algorithm>
#include <cmath>

#include "core/grant/outcome_moments.hpp"
#include "core/predict/scalability.hpp"

namespace wlm {

namespace {

/* A worker that saves less than this part of the query's time is not worth a process. */
constexpr double kLeastGain = 0.03;

/* Judged by how well it may scale: one-sided 95 %. */
constexpr float kOptimism = 1.645f;

constexpr float kBusy = 0.8f;         /* of the machine: below, processors are there for whoever takes them */
constexpr float kLeastHarm = 0.1f;    /* of ln(time): less is not worth a change */

/* The last worker goes as long as hardly anything is lost, even if the query scales better than thought. */
int WorthTheirProcess(const Forecast &forecast, int planned) noexcept
{
	if (!forecast.has_opinion || !forecast.parallel_fraction.HasOpinion())
		return planned;
	int workers = planned;
	while (workers > 0) {
		const float processes = static_cast<float>(workers + 1);
		const double with = RelativeTimeWith(forecast.parallel_fraction, processes, kOptimism).low;
		const double without = RelativeTimeWith(forecast.parallel_fraction, processes - 1, kOptimism).low;
		if (!(without < with * (1 + kLeastGain)))
			break;
		workers--;
	}
	return workers;
}

/* Everybody's part of the processors while the machine is busy. */
int FairWorkers(const Forecast &forecast, int planned, const ParallelLoad &load) noexcept
{
	if (!forecast.has_opinion || !forecast.time.HasOpinion() || load.processors <= 0 || load.running <= 0 || !(load.saturation >= kBusy))
		return planned;
	const double share = load.processors / (load.running + 1.0);
	return std::min(planned, std::max(0, static_cast<int>(std::lround(share)) - 1));
}

/* ln(actual / predicted) is worse with fewer workers than as planned, by more than noise. */
bool WasSlower(const GrantOutcomes *outcomes) noexcept
{
	if (outcomes == nullptr || !HasRuns(outcomes->fewer_workers, kLeastRuns))
		return false;
	/* without a run as planned, what was predicted stands for it */
	OutcomeMoments planned = outcomes->as_planned;
	if (!(planned.weight > 0))
		planned = {1, 0, 0};
	const OutcomeDifference difference = Compare(outcomes->fewer_workers, planned);
	return difference.mean > std::max(kLeastHarm, 2 * difference.error);
}

}  // namespace

const char *WorkerReasonName(WorkerReason reason) noexcept
{
	switch (reason) {
		case WorkerReason::kAsPlanned: return "as planned";
		case WorkerReason::kScalability: return "scalability";
		case WorkerReason::kLoad: return "load";
		case WorkerReason::kWithdrawn: return "withdrawn";
	}
	return "as planned";
}

WorkerChoice ChooseWorkers(const Forecast &forecast, int planned, const ParallelLoad &load, const GrantOutcomes *outcomes) noexcept
{
	if (planned <= 0)
		return {0, WorkerReason::kAsPlanned};
	const int useful = WorthTheirProcess(forecast, planned);
	const bool withdrawn = useful < planned && WasSlower(outcomes);
	const int worth = withdrawn ? planned : useful;
	const int fair = FairWorkers(forecast, planned, load);
	if (fair < worth)
		return {fair, WorkerReason::kLoad};
	if (worth < planned)
		return {worth, WorkerReason::kScalability};
	return {planned, withdrawn ? WorkerReason::kWithdrawn : WorkerReason::kAsPlanned};
}

}  // namespace wlm
