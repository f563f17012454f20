/*
 * recall_store.hpp
 *
 * What this plan, and this template, did before. A bounded hash table from
 * fingerprint to decayed moments, the last value and a small quantile sketch,
 * for the query and for each of its operators. Lives in a buffer of the caller
 * (shared memory in the server), holds no pointers.
 *
 * One writer at a time (the learner); readers copy an entry under its sequence
 * counter and never wait. When full, the entry least recently useful among the
 * few candidates of its bucket is replaced.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/plan/plan_graph.hpp"
#include "core/predict/forecast.hpp"
#include "core/sequence.hpp"

namespace wlm {

inline constexpr int kRecallOperators = 24; /* memory nodes remembered per entry; further ones are not */
inline constexpr int kSketchBuckets = 16;

/* Exponentially decayed moments of a logarithm. */
struct Moments {
	float weight;      /* decayed count */
	float mean;
	float variance;
	float last;
};

/* Decayed histogram of ln(value / first value), centre buckets finest. */
struct QuantileSketch {
	float centre;
	float counts[kSketchBuckets];
};

struct OperatorMemory {
	Moments needed;         /* ln(kB) */
	float lower_bound;      /* ln(kB): the largest censored need seen, decayed */
	float spill_share;      /* decayed share of runs that spilled */
	uint8_t kind;           /* NodeKind, to detect a changed plan */
};

/*
 * By how much each expert erred more (or less) than the mixture lately, in ln: decayed mean and decayed count
 * of scores. The gate's online correction (gate.hpp); a difference, because experts are not all asked about
 * the same queries.
 */
struct ExpertLosses {
	float excess[kNumExperts];
	float scores[kNumExperts];
};
struct TemplateLosses {
	ExpertLosses time;
	ExpertLosses operator_memory;
};

struct RecallEntry {
	Sequence sequence;
	uint32_t last_used;     /* the store's clock, for replacement */
	uint64_t fingerprint;   /* 0 = free */
	Moments time;           /* ln(ms) */
	QuantileSketch time_sketch;
	Moments query_memory;   /* ln(kB) */
	Moments temp_bytes;     /* ln(1 + bytes) */
	/* time in units of exp(time.mean) against 1/processes: decayed, weighted sums (scalability.hpp) */
	float scale_weight, scale_x, scale_y, scale_xx, scale_xy;
	TemplateLosses losses;  /* kept in templates' entries only */
	int16_t num_operators;
	OperatorMemory operators[kRecallOperators];
};

struct RecallStore {
	uint32_t capacity;      /* entries, a power of two */
	uint32_t used;
	std::atomic<uint32_t> clock;
	uint32_t padding;
	uint64_t observations;

	RecallEntry *entries() noexcept { return reinterpret_cast<RecallEntry *>(this + 1); }
	const RecallEntry *entries() const noexcept { return reinterpret_cast<const RecallEntry *>(this + 1); }

	static size_t BytesNeeded(uint32_t capacity) noexcept;
	/* nullptr if the span is too small or misaligned. */
	static RecallStore *Init(std::span<std::byte> memory, uint32_t capacity) noexcept;

	/* Copies the entry; false if there is none or the writer was busy with it (rare, counted as novel). */
	bool Find(uint64_t fingerprint, RecallEntry *copy) const noexcept;
	/* Whether there is an entry, without copying it. */
	bool Has(uint64_t fingerprint) const noexcept;
	/* The losses of a template's entry; all zero, and false, if there is none. */
	bool FindLosses(uint64_t template_fingerprint, TemplateLosses *losses) const noexcept;
	void Clear() noexcept;
};

struct Experience;

/* The writer's step: folds one experience into the entries of its plan and of its template. */
void Remember(RecallStore *store, const Experience &experience) noexcept;

/* The writer's: replaces the losses of a template's entry, if there is one. */
void RememberLosses(RecallStore *store, uint64_t template_fingerprint, const TemplateLosses &losses) noexcept;

/* Key under which a template's entry is stored: never equal to a plan's. */
uint64_t TemplateKey(uint64_t template_fingerprint) noexcept;

}  // namespace wlm
