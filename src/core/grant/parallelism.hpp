/*
 * parallelism.hpp
 *
 * With how many of its planned workers a query should run: fewer where the
 * predicted speed-up of the last ones is not worth a process, or where others
 * need the processors; never more than planned. A reduction for want of
 * speed-up that made this template slower than planned is withdrawn; one for load ends with the load.
 */
#pragma once

#include "core/predict/forecast.hpp"
#include "core/grant/outcomes.hpp"

namespace wlm {

struct ParallelLoad {
	int processors;
	int running;          /* other managed queries that run now */
	float saturation;     /* 1 = the machine is full */
};

enum class WorkerReason : uint8_t { kAsPlanned = 0, kScalability, kLoad, kWithdrawn };
const char *WorkerReasonName(WorkerReason reason) noexcept; /* "as planned", "scalability", "load", "withdrawn" */

struct WorkerChoice {
	int workers;          /* 0..planned */
	WorkerReason reason;
};

/* `planned`: workers of the largest Gather. `outcomes` may be null. */
WorkerChoice ChooseWorkers(const Forecast &forecast, int planned, const ParallelLoad &load, const GrantOutcomes *outcomes) noexcept;

}  // namespace wlm
