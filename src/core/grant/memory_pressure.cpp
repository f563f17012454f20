/*
 * memory_pressure.cpp
 *
 * The memory guard's decisions; see the header for the rules.
 */
#include "core/grant/memory_pressure.hpp"

#include <algorithm>

namespace wlm {

namespace {

constexpr double kBegin[] = {0, kGrowthStopsAt, kAdmissionStopsAt, kActionAt};

GuardLevel Above(GuardLevel level) noexcept { return static_cast<GuardLevel>(static_cast<uint8_t>(level) + 1); }

GuardLevel LevelAt(double share, GuardLevel present) noexcept
{
	GuardLevel level = GuardLevel::kNone;

	while (level != GuardLevel::kAction) {
		const GuardLevel next = Above(level);
		const double begin = kBegin[static_cast<uint8_t>(next)];
		if (share < (next <= present ? begin - kHysteresis : begin))
			break;
		level = next;
	}
	return level;
}

/* Stalls alone stop nobody: writing temporary files in a small cgroup stalls too, with all its memory reclaimable. */
GuardLevel LevelOfStalls(const MemoryReading &reading, double share) noexcept
{
	if (share < kStallCountsFrom || reading.stalled < kStallStopsGrowth)
		return GuardLevel::kNone;
	return reading.stalled < kStallStopsAdmission ? GuardLevel::kNoGrowth : GuardLevel::kNoAdmission;
}

}  // namespace

const char *GuardLevelName(GuardLevel level) noexcept
{
	switch (level) {
	case GuardLevel::kNone:
		return "none";
	case GuardLevel::kNoGrowth:
		return "no growth";
	case GuardLevel::kNoAdmission:
		return "no admission";
	case GuardLevel::kAction:
		return "action";
	}
	return "none";
}

Pressure PressureOf(GuardLevel level) noexcept
{
	if (level == GuardLevel::kNone)
		return Pressure::kNone;
	return level == GuardLevel::kNoGrowth ? Pressure::kNoGrowth : Pressure::kNoAdmission;
}

double MemoryPressure::ForetoldKb(const MemoryReading &reading, double now_ms, double reaction_ms) const noexcept
{
	const double used = static_cast<double>(reading.used_kb);
	const double elapsed_ms = now_ms - previous_ms_;

	/* Another limit is another machine or cgroup, whose growth is not known. */
	if (previous_ms_ < 0 || elapsed_ms <= 0 || reading.limit_kb != previous_limit_kb_ ||
	    used < kForetellFrom * static_cast<double>(reading.limit_kb))
		return used;
	const double growth = static_cast<double>(reading.used_kb - previous_kb_) / elapsed_ms;
	return used + std::max(0.0, growth) * reaction_ms;
}

GuardLevel MemoryPressure::Observe(const MemoryReading &reading, double now_ms, double reaction_ms) noexcept
{
	if (reading.limit_kb <= 0) {
		*this = MemoryPressure();
		return level_;
	}
	const double limit = static_cast<double>(reading.limit_kb);
	const double foretold = ForetoldKb(reading, now_ms, reaction_ms);
	const GuardLevel stalled = LevelOfStalls(reading, static_cast<double>(reading.used_kb) / limit);

	level_ = std::max(LevelAt(foretold / limit, level_), stalled);
	foretold_kb_ = static_cast<int64_t>(foretold);
	previous_ms_ = now_ms;
	previous_kb_ = reading.used_kb;
	previous_limit_kb_ = reading.limit_kb;
	return level_;
}

double MemoryPressure::PeriodMs(bool busy) const noexcept
{
	const double *const bounds = busy ? kBusyPeriodMs : kIdlePeriodMs;

	if (previous_ms_ < 0)
		return bounds[1];
	const double room_kb = static_cast<double>(previous_limit_kb_ - previous_kb_);
	return std::clamp(room_kb / kFastestKbPerMs / kReadingsToFull, bounds[0], bounds[1]);
}

int64_t OverGrantKb(const GuardedQuery &query) noexcept
{
	const int64_t over = query.real_kb - query.granted_kb;
	const int64_t noise = std::max(kNoiseKb, static_cast<int64_t>(kNoiseShare * static_cast<double>(query.granted_kb)));

	return over > noise ? over : 0;
}

int32_t FindCulprit(std::span<const GuardedQuery> queries) noexcept
{
	int32_t culprit = -1;
	int64_t most = 0;

	for (size_t i = 0; i < queries.size(); i++) {
		const int64_t over = queries[i].stoppable ? OverGrantKb(queries[i]) : 0;
		if (over > most) {
			most = over;
			culprit = static_cast<int32_t>(i);
		}
	}
	return culprit;
}

}  // namespace wlm
