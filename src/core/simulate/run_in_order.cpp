/*
 * run_in_order.cpp
 *
 * A fixed number of slots in the order of arrival; with as many slots as
 * queries everybody starts at once.
 */
#include "core/simulate/run.hpp"

namespace wlm::simulate {

SimulationStatus RunInOrder(Run &run, int32_t slots) noexcept
{
	int32_t first_waiting = 0;  /* who has arrived waits from here on */

	for (;;) {
		const double arrival = run.NextArrivalMs();
		const double end = run.machine.NextEndMs();
		if (arrival == kForever && end == kForever)
			return SimulationStatus::kDone;
		if (end <= arrival)
			run.TakeEnd();
		else
			run.TakeArrival();
		while (first_waiting < static_cast<int32_t>(run.next_arrival) && run.machine.num_running() < slots) {
			run.Begin(first_waiting, run.query(first_waiting).work_ms);
			first_waiting++;
		}
		if (run.Interrupted())
			return SimulationStatus::kInterrupted;
	}
}

}  // namespace wlm::simulate
