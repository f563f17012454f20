/*
 * outcomes.hpp
 *
 * The value of memory, learned: how long a template took under different
 * grants, and with fewer workers than planned. More memory can be slower (HAZARDS
 * G18), so what a grant brings is not taken from "it did not spill" but from
 * outcomes.
 *
 * Times are kept as ln(ms / planner's cost), which makes runs with different
 * constants comparable and, unlike a prediction, does not move when models
 * learn; what slows down all levels for a while (other queries, cold caches) is
 * kept apart. A store like RecallStore: bounded, in a buffer of the caller, one
 * writer (the learner), readers that never wait.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/grant/grant.hpp"
#include "core/predict/forecast.hpp"
#include "core/sequence.hpp"

namespace wlm {

struct Experience;

/* How much was granted of what operators lacked under the session's own setting (Grant::coverage). */
enum class GrantLevel : uint8_t { kOwn = 0, kSome /* up to a half */, kMost, kAll, kNumLevels };
inline constexpr int kNumGrantLevels = static_cast<int>(GrantLevel::kNumLevels);
GrantLevel LevelOf(float coverage) noexcept;
float CoverageOf(GrantLevel level) noexcept;       /* to ask for: 0, 0.5, 0.8, 1 */
const char *GrantLevelName(GrantLevel level) noexcept; /* own, some, most, all */

/* Exponentially decayed, of ln(ms / cost) or of ln(actual / predicted time). */
struct OutcomeMoments {
	float weight;
	float mean;
	float variance;
};

/* SQL Server's rules for what a template is granted. */
struct GrantGuard {
	float kept_kb;         /* total of the last grant, all operators; 0 = none yet */
	float used_kb;         /* by all operators of the last execution */
	int8_t direction;      /* of the last change: -1, 0, +1 */
	uint8_t flips;         /* changes of direction; at kMostFlips the grant stays */
	uint8_t padding[2];
};
inline constexpr int kMostFlips = 3;

struct GrantOutcomes {
	Sequence sequence;
	uint32_t last_used;
	uint64_t template_fingerprint; /* 0 = free */
	uint32_t executions;           /* that lacked memory under their session's own setting, completed or not */
	uint32_t explored_at;          /* `executions` when another level was tried last; 0 = never */
	OutcomeMoments level[kNumGrantLevels];
	float temp_kb[kNumGrantLevels]; /* decayed mean */
	float peak_kb[kNumGrantLevels]; /* decayed mean, of the whole query */
	OutcomeMoments as_planned;     /* ln(actual / predicted) with the planned number of workers */
	OutcomeMoments fewer_workers;  /* ... with fewer, by our choice */
	OutcomeMoments surprise;       /* ln(actual / predicted) with more than the session's own setting */
	GrantGuard guard;
	uint8_t withdrawn;             /* bit of each level found slower than kOwn, until it is found not to be */
	uint8_t preferred;             /* 1 + the level that outcomes speak for; 0 = too few; left only for a better one */
	uint8_t padding[2];
	float load;                    /* by how much all levels take longer at present, in ln: `level` is kept without it */
};

struct GrantOutcomeStore {
	uint32_t capacity;             /* entries, a power of two */
	uint32_t used;
	uint32_t clock;
	uint32_t padding;

	GrantOutcomes *entries() noexcept { return reinterpret_cast<GrantOutcomes *>(this + 1); }
	const GrantOutcomes *entries() const noexcept { return reinterpret_cast<const GrantOutcomes *>(this + 1); }

	static size_t BytesNeeded(uint32_t capacity) noexcept;
	/* nullptr if the span is too small or misaligned. */
	static GrantOutcomeStore *Init(std::span<std::byte> memory, uint32_t capacity) noexcept;

	/* Copies the entry; false if there is none or the writer was busy with it. */
	bool Find(uint64_t template_fingerprint, GrantOutcomes *copy) const noexcept;
	void Clear() noexcept;
};

/* The writer's step. Uses completed experiences only; those that lacked nothing teach at most the guard and the workers. */
void RememberGrant(GrantOutcomeStore *store, const Experience &experience) noexcept;

/* Slower than the session's own setting by more than noise, and not found to be no slower since. */
bool IsWithdrawn(const GrantOutcomes &outcomes, GrantLevel level) noexcept;

/* Predicted time under each level: prior belief (temporary bytes saved) shrunk towards outcomes. */
struct GrantCurve {
	Estimate time[kNumGrantLevels];   /* ln(ms) */
	float runs[kNumGrantLevels];      /* decayed number of outcomes */
	float temp_kb[kNumGrantLevels];   /* predicted; NaN = unknown */
	bool slower[kNumGrantLevels];     /* than the session's own setting, by more than noise: withdrawn */
};

/* `outcomes` may be null. `grant` is what would be granted with part = 1. */
void PredictCurve(const GrantOutcomes *outcomes, const PlanGraph &graph, const Forecast &forecast, const Grant &grant,
                  GrantCurve *curve) noexcept;

}  // namespace wlm
