/*
 * protocol_trace.hpp
 *
 * What a run of the protocol simulation has reached, and its latest events, for
 * the report of a failure. The fingerprint is of all events: two runs of one
 * seed must have the same.
 */
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace wlm::test {

/* Where in its life a backend is; also where it may die. */
enum class Step : uint8_t {
	kIdle = 0,          /* no statement runs; cursors may be open */
	kQueued,            /* in the wait loop, and nobody has admitted it */
	kMarked,            /* ... somebody has: it does not know yet */
	kAdmitted,          /* has its slot, does not run yet */
	kTakenBack,         /* ... and the launcher has taken it back */
	kRunning,
	kAsked,             /* runs, asked to give way, has not noticed */
	kStopping,          /* has noticed, and unwinds */
	kAside,             /* has given way, is not in the wait loop yet */
	kQueuedAgain,       /* in the wait loop after that */
	kCursor,            /* idle with a cursor that has returned rows */
	kFailed,            /* an error was raised; ROLLBACK is still to come */
	kNumSteps,
};
inline constexpr size_t kNumSteps = static_cast<size_t>(Step::kNumSteps);
inline constexpr const char *kStepNames[kNumSteps] = {"idle", "queued", "marked", "admitted", "taken back", "running", "asked",
	"stopping", "aside", "queued again", "with a cursor", "failed"};

struct ProtocolCoverage {
	uint64_t events = 0, runs = 0, patient_runs = 0, arrivals = 0, executed = 0, waits = 0, woken = 0, polled = 0, lost_wakeups = 0,
		dead_wakers = 0, cancelled = 0, timed_out = 0, rejected = 0, table_full = 0, forced = 0,
		forced_by_deadline = 0, forced_by_launcher = 0, forced_itself = 0, express = 0, superusers = 0,
		maintenance = 0, taken_back = 0, resumed = 0, grown = 0, grow_refused = 0, reserved = 0, lent = 0, asked = 0,
		gave_way = 0, went_on = 0, refused = 0, hops = 0, launcher_deaths = 0, ticks = 0, configured = 0, moved = 0,
		priorities = 0, cancel_requests = 0, jumps_forward = 0, jumps_back = 0, stray_readings = 0, not_a_time = 0,
		stalls = 0, frozen = 0, absurd = 0, paused_waits = 0, orphan_waits = 0, order_checks = 0, overtakings = 0,
		later = 0, conservation_checks = 0, standing_still_checks = 0;
	std::array<uint64_t, kNumSteps> deaths{};

	std::vector<std::pair<std::string, uint64_t>> Named() const
	{
		std::vector<std::pair<std::string, uint64_t>> all = {
			{"patient runs", patient_runs}, {"arrivals", arrivals}, {"executed", executed}, {"waits", waits}, {"woken", woken},
			{"found out by polling", polled}, {"lost wake-ups", lost_wakeups}, {"dead wakers", dead_wakers},
			{"cancelled", cancelled}, {"timed out", timed_out}, {"rejected", rejected}, {"table full", table_full},
			{"forced", forced}, {"forced by their deadline", forced_by_deadline},
			{"forced by the launcher", forced_by_launcher}, {"forced themselves", forced_itself},
			{"express", express}, {"superusers", superusers}, {"maintenance", maintenance},
			{"slots taken back", taken_back}, {"resumed", resumed}, {"grown", grown}, {"not grown", grow_refused},
			{"reservations changed", reserved}, {"lent while they wait for locks", lent},
			{"asked to give way", asked}, {"gave way", gave_way}, {"went on at once", went_on}, {"refused", refused},
			{"hops", hops}, {"launcher deaths", launcher_deaths}, {"ticks", ticks}, {"configured", configured},
			{"moved", moved}, {"priorities changed", priorities}, {"cancels asked for", cancel_requests},
			{"clock jumps forward", jumps_forward}, {"back", jumps_back}, {"stray readings", stray_readings},
			{"not a time", not_a_time}, {"stalls", stalls}, {"frozen processes", frozen},
			{"absurd requests", absurd}, {"waits ended in paused queues", paused_waits},
			{"waits ended without a launcher", orphan_waits}, {"comparisons of order", order_checks},
			{"overtakings", overtakings}, {"held back for later", later},
			{"checks of work conservation", conservation_checks}, {"of standing still", standing_still_checks}};
		for (size_t step = 0; step < kNumSteps; step++)
			all.emplace_back(std::string("deaths ") + kStepNames[step], deaths[step]);
		return all;
	}
};

class Trace {
  public:
	void Note(double at, const char *what, int session, int handle, double value)
	{
		latest_[count_++ % latest_.size()] = {at, what, session, handle, value};
		for (const uint64_t part : {std::bit_cast<uint64_t>(at), static_cast<uint64_t>(static_cast<unsigned char>(what[0])),
				 static_cast<uint64_t>(session), static_cast<uint64_t>(handle), std::bit_cast<uint64_t>(value)})
			fingerprint_ = (fingerprint_ ^ part) * 0x100000001b3 + (fingerprint_ >> 29);
	}

	uint64_t fingerprint() const { return fingerprint_; }

	/* The last 40, oldest first. */
	std::string Text() const
	{
		std::string text;
		for (uint64_t i = count_ < latest_.size() ? 0 : count_ - latest_.size(); i < count_; i++) {
			const Line &line = latest_[i % latest_.size()];
			char buffer[160];
			std::snprintf(buffer, sizeof(buffer), "%14.3f ms  session %3d  query %3d  %-28s %.17g\n", line.at, line.session, line.handle,
				line.what, line.value);
			text += buffer;
		}
		return text;
	}

  private:
	struct Line {
		double at;
		const char *what;
		int session;
		int handle;
		double value;
	};

	std::array<Line, 40> latest_{};
	uint64_t count_ = 0;
	uint64_t fingerprint_ = 0xcbf29ce484222325;
};

}  // namespace wlm::test
