/*
 * run.hpp
 *
 * What the schedulers of a simulation share: the arrays, one element for each
 * query, and the books of who waited and ran how long. Only for the files of
 * core/simulate.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/simulate/machine.hpp"
#include "core/simulate/simulate.hpp"

namespace wlm::simulate {

inline constexpr double kNeverRan = -1;
inline constexpr int64_t kEventsPerQuestion = 4096;     /* to SimulationConfig::interrupted */

/* One element for each query. A query is in at most one heap, so these share keys and places. */
struct Arrays {
	double *keys;               /* running: virtual time of its end; waiting: what the scheduler orders by */
	double *queue_ms;
	double *execution_ms;       /* kNeverRan until it has run */
	double *since_ms;           /* when it began to wait or run */
	double *scratch;            /* kWlm with a learner: what was predicted */
	int32_t *places;
	int32_t *running;
	int32_t *waiting;
	int32_t *handles;           /* kWlm: of each query in the Policy */
	int32_t *queries;           /* kWlm: of each handle */
};

struct Run {
	std::span<const TraceQuery> trace;
	const SimulationConfig &config;
	Arrays arrays;
	Machine machine;
	QueryHeap waiting;
	size_t next_arrival;
	int64_t num_events;

	Run(std::span<const TraceQuery> queries, const SimulationConfig &simulation, const Arrays &memory) noexcept
		: trace(queries), config(simulation), arrays(memory),
		  machine(queries, simulation.processors, simulation.memory_kb, memory.running, memory.places, memory.keys),
		  waiting(memory.waiting, memory.places, memory.keys), next_arrival(0), num_events(0)
	{
		for (size_t i = 0; i < queries.size(); i++) {
			arrays.queue_ms[i] = 0;
			arrays.execution_ms[i] = kNeverRan;
		}
	}

	int32_t num_queries() const noexcept { return static_cast<int32_t>(trace.size()); }
	const TraceQuery &query(int32_t i) const noexcept { return trace[static_cast<size_t>(i)]; }
	double NextArrivalMs() const noexcept { return next_arrival < trace.size() ? trace[next_arrival].arrival_ms : kForever; }

	/* Ends go before arrivals of the same moment. */
	bool Interrupted() noexcept
	{
		return ++num_events % kEventsPerQuestion == 0 && config.interrupted != nullptr && config.interrupted();
	}

	int32_t TakeArrival() noexcept
	{
		const int32_t i = static_cast<int32_t>(next_arrival++);
		machine.Advance(query(i).arrival_ms);
		arrays.since_ms[i] = machine.now_ms();
		return i;
	}

	void Begin(int32_t i, double work_ms) noexcept
	{
		arrays.queue_ms[i] += machine.now_ms() - arrays.since_ms[i];
		arrays.since_ms[i] = machine.now_ms();
		machine.Start(i, work_ms);
	}

	/* It has left the machine. */
	void BookExecution(int32_t i) noexcept
	{
		if (arrays.execution_ms[i] < 0)
			arrays.execution_ms[i] = 0;
		arrays.execution_ms[i] += machine.now_ms() - arrays.since_ms[i];
		arrays.since_ms[i] = machine.now_ms();
	}

	int32_t TakeEnd() noexcept
	{
		const int32_t i = machine.End();
		BookExecution(i);
		return i;
	}
};

/* Each runs the trace to its end. */
SimulationStatus RunInOrder(Run &run, int32_t slots) noexcept;
SimulationStatus RunClairvoyant(Run &run, bool suspends) noexcept;
/* With a Policy for max_active queries in `memory`; adds the counters of `result` that the Policy keeps. */
SimulationStatus RunPolicy(Run &run, std::span<std::byte> memory, int32_t max_active, SimulationResult *result) noexcept;

}  // namespace wlm::simulate
